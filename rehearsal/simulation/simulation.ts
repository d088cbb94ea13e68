/**
 * One run, decided by a seed: faults strike while a cluster forms or after it has formed. Then they stop, and the
 * cluster must converge within a bound. The invariants are checked after every step.
 */
import type { Delays } from '../aws/core/types';
import type { Call } from './cluster/aws-link';
import { SimulatedCluster, type ClusterOptions } from './cluster/cluster';
import {
  DEPLOYMENT_SHARE,
  DEPLOYMENTS,
  FAULT_KINDS,
  Faults,
  hash,
  isDeployment,
  OF_HEALING,
  type Act,
  type FaultKind,
} from './faults';
import { Invariants } from './invariants/invariants';
import type { Assembly, Next } from './setup';
import { Strikes } from './strikes';
import { unfinished } from './invariants/converged';

/**
 * Liveness: the time from the end of the faults until the cluster has converged. A load balancer adds the time in which
 * it registers and deregisters targets.
 */
const CONVERGENCE_MS = 15 * 60_000;
/** How long it must stay converged. */
const STAYS_MS = 60_000;
/** How often convergence is checked. */
const STEP_MS = 1_000;

export interface SimulationOptions extends Pick<ClusterOptions, 'seed' | 'bundles' | 'tamper' | 'withoutRaftFence'> {
  /** A cloud assembly, and the stack in it to create. */
  assembly: Assembly;
  /** What is deployed during the faults if a deployment is among them, and the seat whose volume was lost before. */
  next?: Next;
  /** @default 'forming' */
  act?: Act;
  /** @default - some of all kinds, by the seed */
  faults?: readonly FaultKind[];
  /** How often each kind may happen at most. */
  limits?: Partial<Record<FaultKind, number>>;
  /** Overrides the probabilities of faults that strike at a call or an event. */
  chances?: Partial<Record<FaultKind, number>>;
  /** Overrides the average intervals of the other faults, in milliseconds. */
  intervalsMs?: Partial<Record<FaultKind, number>>;
  /** How long faults may happen, in milliseconds. @default - from half a minute to a few minutes, by the seed */
  faultsEndMs?: number;
  /** Gets every event: what AWS and the engines did, and what agents and functions logged. */
  trace?(line: string): void;
}

export interface SimulationResult {
  /** Breaches of invariants; the run ends at the first. */
  breaches: string[];
  /** What kept the cluster from converging in time; empty when it converged. */
  unfinished: string[];
  /** Whether the stack was created, and not rolled back. */
  formed: boolean;
  /** Virtual milliseconds until convergence: from the start of the faults, and from their end. */
  formedMs: number;
  convergedMs: number;
  virtualMs: number;
  faults: Partial<Record<FaultKind, number>>;
  /** How often each AWS action was called and each effect of an agent happened. */
  actions: Record<string, number>;
}

/**
 * A deployment replaces one instance after another, and each may fail some times; CloudFormation waits up to an hour.
 */
const DEPLOYMENT_MS = 3 * 3_600_000;

/** Actions of functions, recognised by their log lines. */
const LOGGED: [string, string][] = [
  ['function: attach-volume', '"Done: attach-volume.'],
  ['function: admit', '"Done: admit.'],
  ['function: abandon', '"Done: abandon.'],
  ['function: extend-hook', '"Done: extend-hook.'],
  ['function: told to init', '"Told to init.'],
  ['function: told to join', '"Told to join.'],
  ['function: told to remove', '"Told to remove.'],
  ['function: told to retire', '"Told to retire.'],
  ['function: told to leave', '"Told to leave.'],
  ['function: told to recover', '"Told to recover.'],
  ['function: command erased', '"Its command was erased.'],
  ['function: published', '"Published a swarm report.'],
  ['function: refused', '"Refused a swarm report.'],
  ['function: let-go', '"Done: let-go.'],
  ['function: ordered to release', '"Ordered to release.'],
  ['function: ordered to reap', '"Ordered to reap.'],
  ['function: ordered to rotate', '"Ordered to rotate the join tokens.'],
  ['function: ordered to drain', '"Ordered to drain.'],
  ['function: ordered to restore', '"Ordered to restore.'],
  ['function: replace', '"Done: replace.'],
  ['function: suspend-launch', '"Done: suspend-launch.'],
  ['function: resume-launch', '"Done: resume-launch.'],
  ['function: terminate', '"Done: terminate.'],
];

/** The faults that may happen in an act. */
export function kindsOf(act: Act): FaultKind[] {
  return FAULT_KINDS.filter((kind) => act === 'healing' || !OF_HEALING.includes(kind));
}

/** The faults of this seed. */
export function faultsOf(seed: number, act: Act): { kinds: FaultKind[]; endMs: number } {
  // With all faults at once, a run hides what two faults alone would show.
  const share = 0.15 + 0.6 * hash(seed, 101);
  const kinds = kindsOf(act).filter((kind) =>
    isDeployment(kind)
      ? kind === deploymentOf(seed)
      : hash(seed, 102, FAULT_KINDS.indexOf(kind)) < (kind === 'outage' ? 0.05 : share),
  );
  // Only a long fault period contains an outage longer than an instance has to become Ready.
  const minutes = kinds.includes('outage') ? 20 : 4;
  return { kinds, endMs: Math.round(30_000 + hash(seed, 103) * minutes * 60_000) };
}

/** The deployment of this seed, if any: CloudFormation does one at a time. */
function deploymentOf(seed: number): FaultKind | undefined {
  return hash(seed, 105) < DEPLOYMENT_SHARE ? DEPLOYMENTS[Math.floor(hash(seed, 106) * DEPLOYMENTS.length)] : undefined;
}

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run();
}

class Simulation {
  private readonly faults: Faults;
  private readonly endMs: number;
  /** When faults begin. */
  private begun: number;
  private readonly cluster: SimulatedCluster;
  private readonly invariants: Invariants;
  private readonly actions = new Map<string, number>();
  private readonly started: number;
  private stack: 'creating' | 'created' | Error = 'creating';
  private readonly strikes: Strikes;
  /** When the deployment ended. */
  private deployedMs = 0;

  constructor(private readonly options: SimulationOptions) {
    const { seed } = options;
    const chosen = faultsOf(seed, options.act ?? 'forming');
    this.endMs = options.faultsEndMs ?? chosen.endMs;
    this.faults = new Faults(
      seed,
      options.faults ?? chosen.kinds,
      options.limits,
      options.chances,
      options.intervalsMs,
    );
    this.cluster = new SimulatedCluster({
      ...options,
      faults: this.faults,
      delays: delaysOf(seed),
      onEvent: (name, event) => this.invariants.onEvent(name, event),
      onLog: (origin, line) => this.onLog(origin, line),
      onLost: (instanceId) => this.trace(`FAULT lost ${instanceId}`),
      onEffect: (node, effect, argument) => {
        // All other calls only read.
        if (/^(configure|init|join|leave|start|mount|label|stop|kill|recover|update|remove|rotate)/.test(effect)) {
          this.count(`agent: ${effect}`);
          this.trace(`${node.identity.instanceId} ${effect} ${argument === undefined ? '' : JSON.stringify(argument)}`);
        }
        this.invariants.onEffect(node, effect, argument);
      },
    });
    const { region, docker, link, clock } = this.cluster;
    this.started = this.begun = clock.now();
    this.invariants = new Invariants(this.cluster);
    this.strikes = new Strikes({
      seed,
      cluster: this.cluster,
      faults: this.faults,
      endMs: this.endMs,
      lostSeat: options.next?.lostSeat ?? 0,
      deploy: () => this.deploy(),
      trace: (line) => this.trace(line),
    });
    link.onCall((call) => this.onCall(call));
    region.onEvent(({ source, what, subject, detail }) =>
      this.trace(`${source} ${what} ${subject} ${JSON.stringify(detail)}`),
    );
    docker.onEvent(({ what, nodeId, address }) => this.trace(`docker ${what} ${nodeId ?? ''} ${address ?? ''}`));
  }

  async run(): Promise<SimulationResult> {
    const { folder, stackName } = this.options.assembly;
    this.cluster.region.createStack(folder, stackName).then(
      () => (this.stack = 'created'),
      (error: Error) => (this.stack = error),
    );
    if (this.options.act === 'healing') await this.formInPeace();
    this.strikes.schedule();
    while (this.elapsed() < this.endMs && !this.broken())
      await this.step(Math.min(STEP_MS, this.endMs - this.elapsed()));
    this.stopFaults();
    const { left, wholeMs } = await this.converge();
    this.checkWishes();
    if (this.stack instanceof Error) this.trace(`The stack: ${this.stack.message}`);
    const virtualMs = this.elapsed();
    await this.cluster.stop();
    return {
      breaches: this.invariants.breaches,
      unfinished: this.broken() ? [] : left,
      formed: this.stack === 'created',
      formedMs: wholeMs,
      convergedMs: Math.max(0, wholeMs - Math.max(this.endMs, this.deployedMs)),
      virtualMs,
      faults: Object.fromEntries(this.faults.injected),
      actions: Object.fromEntries([...this.actions, ...this.cluster.link.calls]),
    };
  }

  private async formInPeace(): Promise<void> {
    this.faults.stop();
    for (let left = this.unfinished(); left.length > 0; left = this.unfinished()) {
      if (this.elapsed() >= CONVERGENCE_MS)
        throw new Error(`The cluster did not form, although there were no faults: ${left.join(' ')}`);
      await this.step(STEP_MS);
    }
    this.trace('The cluster has formed. Faults begin.');
    this.faults.goOn();
    this.begun = this.cluster.clock.now();
  }

  private unfinished(): string[] {
    return unfinished({ stack: this.stack, ...this.cluster });
  }

  /** Updates the stack with another template. */
  private deploy(): void {
    const { next } = this.options;
    if (!next || this.stack !== 'created') return;
    this.trace('The deployment begins.');
    this.stack = 'creating';
    const over = () => {
      this.stack = 'created';
      this.deployedMs = this.elapsed();
      this.trace('The deployment has ended.');
    };
    this.cluster.region.updateStack(next.assembly.folder, next.assembly.stackName).then(over, (error: Error) => {
      // CloudFormation gives a new seat 15 minutes, as in a creation, and a replacement an hour. Faults may last
      // longer.
      if (!this.faults.injected.has('resize')) this.invariants.breaches.push(`deployment: ${error.message}`);
      this.trace(error.message);
      over();
    });
  }

  /** What operators set by hand is still set, or the node is gone. */
  private checkWishes(): void {
    const [swarm] = this.cluster.docker.swarms();
    for (const [id, wish] of this.strikes.wishes) {
      const node = swarm?.nodes.find((one) => one.id === id);
      if (node && node.availability !== wish)
        this.invariants.breaches.push(`operator: ${id} was made ${wish} by hand, and is ${node.availability}.`);
    }
  }

  /** Runs until the cluster has converged and stays converged, or the bound is reached. */
  private async converge(): Promise<{ left: string[]; wholeMs: number }> {
    for (
      const limit = this.elapsed() + DEPLOYMENT_MS;
      this.options.act === 'healing' && this.stack === 'creating' && this.elapsed() < limit && !this.broken();
    )
      await this.step(STEP_MS);
    const { registerTarget, deregisterTarget } = delaysOf(this.options.seed);
    const end =
      this.elapsed() +
      CONVERGENCE_MS +
      (this.cluster.region.loadBalancers().length > 0 ? registerTarget + deregisterTarget : 0);
    let wholeMs: number | undefined;
    for (;;) {
      const left = this.unfinished();
      if (left.length > 0) wholeMs = undefined;
      else wholeMs ??= this.elapsed();
      const stayed = wholeMs !== undefined && this.elapsed() - wholeMs >= STAYS_MS;
      if (stayed || this.elapsed() >= end || this.broken()) return { left, wholeMs: wholeMs ?? this.elapsed() };
      await this.step(STEP_MS);
    }
  }

  private async step(ms: number): Promise<void> {
    await this.cluster.clock.advance(ms);
    this.invariants.check();
  }

  private elapsed(): number {
    return this.cluster.clock.now() - this.begun;
  }

  private broken(): boolean {
    return this.invariants.breaches.length > 0;
  }

  private stopFaults(): void {
    this.trace('Faults stop.');
    this.faults.stop();
    this.cluster.isolated.clear();
    this.cluster.skews.clear();
    this.cluster.docker.network.healAll();
  }

  // Observation

  private onCall(call: Call): void {
    if (!/^(Get|Query|Describe|BatchGet)/.test(call.action))
      this.trace(`${call.service} ${call.action} ${JSON.stringify(call.input).slice(0, 300)}`);
    this.invariants.onCall(call);
  }

  private onLog(origin: string, line: string): void {
    this.trace(`${origin}: ${line}`);
    this.invariants.onLog(origin, line);
    for (const [action, pattern] of LOGGED) if (line.includes(pattern)) this.count(action);
  }

  private count(what: string): void {
    this.actions.set(what, (this.actions.get(what) ?? 0) + 1);
  }

  private trace(line: string): void {
    this.options.trace?.(`${((this.cluster.clock.now() - this.started) / 1000).toFixed(3).padStart(9)} ${line}`);
  }
}

/** AWS's delays, decided by the seed. */
function delaysOf(seed: number): Delays {
  const vary = (n: number, most: number) => Math.round(hash(seed, 104, n) * most);
  return {
    launch: 2_000 + vary(1, 15_000),
    terminate: 1_000 + vary(2, 30_000),
    attachVolume: vary(3, 5_000),
    detachVolume: vary(4, 5_000),
    queue: vary(5, 2_000),
    stream: vary(6, 2_000),
    registerTarget: 15_000 + vary(7, 180_000),
    deregisterTarget: vary(8, 120_000),
  };
}

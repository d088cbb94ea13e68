/**
 * A cluster forms, from a seed, or has formed: for a while things go wrong; then they stop, and it has to become whole
 * within a bound. What must never happen is checked after every step.
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
 * Liveness: from the end of the faults until the cluster is whole; with a load balancer as much later as it takes
 * targets in and lets them go.
 */
const CONVERGENCE_MS = 15 * 60_000;
/** How long it has to stay so. */
const STAYS_MS = 60_000;
/** How often it is looked whether it is whole. */
const STEP_MS = 1_000;

export interface SimulationOptions extends Pick<ClusterOptions, 'seed' | 'bundles' | 'tamper' | 'withoutRaftFence'> {
  /** A cloud assembly and the stack in it that is created. */
  assembly: Assembly;
  /** What is deployed meanwhile, where a deployment is among the faults, and the seat whose volume was lost before. */
  next?: Next;
  /** @default 'forming' */
  act?: Act;
  /** @default - some of all kinds, by the seed */
  faults?: readonly FaultKind[];
  /** The most of each kind. */
  limits?: Partial<Record<FaultKind, number>>;
  /** Other chances than the usual, for faults that happen at a call or an event. */
  chances?: Partial<Record<FaultKind, number>>;
  /** Other intervals than the usual, for faults that come by the minute: their average, in milliseconds. */
  intervalsMs?: Partial<Record<FaultKind, number>>;
  /**
   * Milliseconds from the first moment in which something may go wrong until faults stop.
   * @default - from half a minute to a few minutes, by the seed
   */
  faultsEndMs?: number;
  /** Gets every line: what AWS did, what engines did, what agents and functions logged. */
  trace?(line: string): void;
}

export interface SimulationResult {
  /** Breaches of invariants; the run ends at the first. */
  breaches: string[];
  /** What kept the cluster from being whole in time; empty when it became so. */
  unfinished: string[];
  /** Whether the stack was created, and not rolled back. */
  formed: boolean;
  /** Virtual milliseconds: from the start of the faults to whole, and from the end of the faults to whole. */
  formedMs: number;
  convergedMs: number;
  virtualMs: number;
  faults: Partial<Record<FaultKind, number>>;
  /** How often functions and agents did what: AWS actions, and effects of agents. */
  actions: Record<string, number>;
}

/**
 * A deployment replaces one instance after the other, each of which may fail some times; CloudFormation itself waits
 * for an hour.
 */
const DEPLOYMENT_MS = 3 * 3_600_000;

/** What functions did, by what they log. */
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

/** What may go wrong in an act at all. */
export function kindsOf(act: Act): FaultKind[] {
  return FAULT_KINDS.filter((kind) => act === 'healing' || !OF_HEALING.includes(kind));
}

/** What may go wrong by this seed. */
export function faultsOf(seed: number, act: Act): { kinds: FaultKind[]; endMs: number } {
  // A run in which everything goes wrong at once hides what two faults alone would show.
  const share = 0.15 + 0.6 * hash(seed, 101);
  const kinds = kindsOf(act).filter((kind) =>
    isDeployment(kind)
      ? kind === deploymentOf(seed)
      : hash(seed, 102, FAULT_KINDS.indexOf(kind)) < (kind === 'outage' ? 0.05 : share),
  );
  // Only a long time of faults holds an outage that outlasts what an instance is given to become Ready.
  const minutes = kinds.includes('outage') ? 20 : 4;
  return { kinds, endMs: Math.round(30_000 + hash(seed, 103) * minutes * 60_000) };
}

/** The deployment that happens by this seed, if any: CloudFormation does one at a time. */
function deploymentOf(seed: number): FaultKind | undefined {
  return hash(seed, 105) < DEPLOYMENT_SHARE ? DEPLOYMENTS[Math.floor(hash(seed, 106) * DEPLOYMENTS.length)] : undefined;
}

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run();
}

class Simulation {
  private readonly faults: Faults;
  private readonly endMs: number;
  /** When things begin to go wrong. */
  private begun: number;
  private readonly cluster: SimulatedCluster;
  private readonly invariants: Invariants;
  private readonly actions = new Map<string, number>();
  private readonly started: number;
  private stack: 'creating' | 'created' | Error = 'creating';
  private readonly strikes: Strikes;
  /** When the deployment was over. */
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
        // The others only look.
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
        throw new Error(`It did not form though nothing went wrong: ${left.join(' ')}`);
      await this.step(STEP_MS);
    }
    this.trace('It has formed. Now things go wrong.');
    this.faults.goOn();
    this.begun = this.cluster.clock.now();
  }

  private unfinished(): string[] {
    return unfinished({ stack: this.stack, ...this.cluster });
  }

  /** Another template of the same stack. */
  private deploy(): void {
    const { next } = this.options;
    if (!next || this.stack !== 'created') return;
    this.trace('A deployment begins.');
    this.stack = 'creating';
    const over = () => {
      this.stack = 'created';
      this.deployedMs = this.elapsed();
      this.trace('The deployment is over.');
    };
    this.cluster.region.updateStack(next.assembly.folder, next.assembly.stackName).then(over, (error: Error) => {
      // A new seat has 15 minutes from CloudFormation, as in a creation: things may go wrong for longer. What is
      // replaced has an hour.
      if (!this.faults.injected.has('resize')) this.invariants.breaches.push(`deployment: ${error.message}`);
      this.trace(error.message);
      over();
    });
  }

  /** What operators did by hand is so still, or the node is no more. */
  private checkWishes(): void {
    const [swarm] = this.cluster.docker.swarms();
    for (const [id, wish] of this.strikes.wishes) {
      const node = swarm?.nodes.find((one) => one.id === id);
      if (node && node.availability !== wish)
        this.invariants.breaches.push(`operator: ${id} was made ${wish} by hand, and is ${node.availability}.`);
    }
  }

  /** Until the cluster is whole and stays so, or the bound is reached. */
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

  // What is watched

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

/** How long AWS takes, by the seed. */
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

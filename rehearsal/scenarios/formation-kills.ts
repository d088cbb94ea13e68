/**
 * Kills parts of the cluster (SIGKILL) at chosen moments of a formation: a node's agent or engine when the node reaches
 * a milestone, a function when one of its calls reaches the emulated AWS or has been answered. run/rehearsal.ts reports
 * the events. Every planned kill happens once, or the formation fails.
 */
import type { Clock } from '../../protocol/clock';
import { AGENT_SERVICE } from '../../protocol/environment';
import type { AwsBackend, AwsCall } from '../aws/wire/http';
import { AwsError } from '../aws/core/types';
import type { FunctionProcesses } from '../functions/function-processes';
import type { RealMachines, ServiceProcess } from '../nodes/real-machines';
import type { Milestone, NodeTimeline } from '../display/timeline';

export type Kill =
  | {
      what: 'agent' | 'engine';
      /** Its name in the timeline: `seat 0`, `worker 1`. */
      node: string;
      /**
       * When to kill it. If it does not run then, it is killed as soon as it runs. If it is planned several times, it
       * is killed that often, each time as soon as it runs again. `unheard` (for an engine of a later seat): when it
       * has become a raft member, but may not have stored anything from the leader yet. It usually comes back unable to
       * hear the leader.
       */
      at: Milestone | 'launched' | 'unheard';
      /** Delay after the milestone. @default 0 */
      afterMs?: number;
    }
  | {
      what: 'function';
      /** Part of its logical id: `NodeJoin`, `LeaderToken`. */
      function: string;
      /** Before the call has any effect, or after its effect but before the caller gets the answer. */
      at: 'before' | 'after';
      /** `AttachVolume`, ... */
      call: string;
      /** Which of these calls; for `after`, only calls with an effect count. @default 1 */
      nth?: number;
    };

export interface KillDone {
  kill: Kill;
  /** Milliseconds from the start of the deployment to the planned moment, and to the signal. */
  momentMs: number;
  killedMs: number;
  /**
   * Whether the killed process is the one that ran at the planned moment. The times cannot tell: they depend on how
   * busy the machine is.
   */
  prompt: boolean;
}

/**
 * Runs on the node before it gets the command to join. Blocks its raft port until it has a session with the leader, so
 * that its join ends exactly when it becomes a member, which otherwise needs a busy machine. Returns at that moment.
 */
const UNTIL_UNHEARD = `
  rule='INPUT -p tcp --dport 2377 ! -i lo -j DROP'
  iptables -w -I $rule
  until [ -e /var/lib/docker/swarm/certificates/swarm-node.crt ]; do sleep 0.02; done
  sleep 0.9
  iptables -w -D $rule
  for try in {1..3000}; do grep -q '"JoinInProgress": *false' /var/lib/docker/swarm/docker-state.json && break; sleep 0.005; done`;

export const UNITS = { agent: AGENT_SERVICE, engine: 'docker' };
/** How often a node is polled for a process to kill, or for its return. */
const POLL_MS = 5;
/** How long to wait for it: systemd starts an engine at most three times a minute. */
const RUNS_MS = 90_000;

export interface KillsProps {
  clock: Clock;
  /** Milliseconds since the start of the deployment. */
  elapsed(): number;
  machines: Pick<RealMachines, 'serviceProcess' | 'killProcess' | 'exec'>;
  functions: Pick<FunctionProcesses, 'caller' | 'kill'>;
  failed(error: Error): void;
}

/** The process that ran when a kill was due. */
interface Moment {
  momentMs: number;
  running: string | undefined;
}

type NodeKill = Extract<Kill, { what: 'agent' | 'engine' }>;
type FunctionKill = Extract<Kill, { what: 'function' }>;

export class Kills {
  readonly done: KillDone[] = [];
  private readonly started = new Set<Kill>();
  private readonly calls = new Map<FunctionKill, number>();
  /** By service: settles when it runs again after its last kill, so that no process is killed twice. */
  private readonly underWay = new Map<string, Promise<void>>();

  constructor(
    private readonly planned: Kill[],
    private readonly props: KillsProps,
  ) {}

  /** A node has reached a milestone. */
  reached({ name, instanceId }: Pick<NodeTimeline, 'name' | 'instanceId'>, milestone: Milestone | 'launched'): void {
    for (const kill of this.planned) {
      if (
        kill.what === 'function' ||
        kill.node !== name ||
        (kill.at === 'unheard' ? 'engine' : kill.at) !== milestone ||
        this.started.has(kill)
      )
        continue;
      this.started.add(kill);
      const service = `${kill.what} of ${instanceId}`;
      const before = this.underWay.get(service) ?? Promise.resolve();
      const moment = this.moment(kill, instanceId);
      this.underWay.set(
        service,
        Promise.all([moment, before])
          .then(([found]) => this.killService(kill, instanceId, found))
          .catch((error: Error) => this.props.failed(error)),
      );
    }
  }

  /** Wraps the emulated AWS for callers that may be killed at any call. */
  around(aws: AwsBackend): AwsBackend {
    return {
      call: async (call) => {
        // The dead process does not get this answer.
        if (this.killFunction('before', call)) throw new AwsError('ServiceUnavailable', 'The caller was killed.', 503);
        const answer = await aws.call(call);
        this.killFunction('after', call);
        return answer;
      },
      put: aws.put?.bind(aws),
    };
  }

  /** Resolves when everything killed on the nodes runs again. @throws Error naming the kills whose moment never came */
  async settled(): Promise<void> {
    await Promise.all(this.underWay.values());
    const missed = this.planned.filter((kill) => !this.done.some((one) => one.kill === kill));
    if (missed.length > 0)
      throw new Error(`The swarm has formed without the moments of these kills: ${JSON.stringify(missed)}`);
  }

  /** Waits for the moment of a kill. @returns the process that runs then */
  private async moment(kill: NodeKill, instanceId: string): Promise<Moment> {
    if (kill.at === 'unheard') await this.props.machines.exec(instanceId, ['/bin/bash', '-c', UNTIL_UNHEARD]);
    if (kill.afterMs !== undefined) await this.props.clock.sleep(kill.afterMs);
    const momentMs = this.props.elapsed();
    return { momentMs, running: (await this.running(kill, instanceId))?.id };
  }

  private async killService(
    kill: NodeKill,
    instanceId: string,
    { momentMs, running: atMoment }: Moment,
  ): Promise<void> {
    const killed = await this.until(`The ${kill.what} of ${kill.node} runs`, async () => {
      const running = await this.running(kill, instanceId);
      return running && (await this.props.machines.killProcess(instanceId, running.id)) ? running.id : undefined;
    });
    this.done.push({ kill, momentMs, killedMs: this.props.elapsed(), prompt: killed === atMoment });
    await this.until(`The ${kill.what} of ${kill.node} runs again after it was killed`, async () => {
      const running = await this.running(kill, instanceId);
      return running?.ready && running.id !== killed ? running.id : undefined;
    });
  }

  private running(kill: NodeKill, instanceId: string): Promise<ServiceProcess | undefined> {
    return this.props.machines.serviceProcess(instanceId, UNITS[kill.what]);
  }

  private async until(what: string, find: () => Promise<string | undefined>): Promise<string> {
    const { clock, elapsed } = this.props;
    const deadline = elapsed() + RUNS_MS;
    for (;;) {
      const found = await find();
      if (found !== undefined) return found;
      if (elapsed() > deadline) throw new Error(`${what}: this did not happen within ${RUNS_MS / 1000} s.`);
      await clock.sleep(POLL_MS);
    }
  }

  /** @returns true when the caller was killed */
  private killFunction(at: FunctionKill['at'], { action, accessKeyId }: AwsCall): boolean {
    const { functions, elapsed } = this.props;
    const caller = functions.caller(accessKeyId);
    if (caller === undefined) return false;
    let killed = false;
    for (const kill of this.planned) {
      if (
        kill.what !== 'function' ||
        kill.at !== at ||
        kill.call !== action ||
        !caller.includes(kill.function) ||
        this.count(kill) !== (kill.nth ?? 1)
      )
        continue;
      const momentMs = elapsed();
      if (functions.kill(caller) === 0) throw new Error(`No process of ${caller} is running, but it called ${action}.`);
      this.done.push({ kill, momentMs, killedMs: elapsed(), prompt: true });
      killed = true;
    }
    return killed;
  }

  /** How often the call of this kill was made, including now. */
  private count(kill: FunctionKill): number {
    const count = (this.calls.get(kill) ?? 0) + 1;
    this.calls.set(kill, count);
    return count;
  }
}

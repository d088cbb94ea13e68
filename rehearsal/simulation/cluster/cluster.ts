/**
 * A whole cluster in one process and in virtual time: the template's own resources in the emulated AWS, the functions
 * and agents themselves, simulated Docker engines.
 */
import { EmulatedRegion } from '../../aws/region';
import type { Delays } from '../../aws/core/types';
import { VirtualClock } from '../virtual-clock';
import { AwsLink } from './aws-link';
import { SimulatedDocker } from '../docker/simulated-docker';
import { Faults } from '../faults';
import { SimulatedFunctions } from './functions';
import { SimulatedMachines } from './machines';
import type { SimulatedNode } from './node';

/**
 * How long Docker waits for a task to stop before it kills it.
 * https://docs.docker.com/reference/cli/docker/service/create/#options
 */
const STOP_GRACE_MS = 10_000;

export interface ClusterOptions {
  /** Determines every random number and identifier. */
  seed: number;
  /** The folder with the functions' bundles, `dist/lambda`. */
  bundles: string;
  delays: Delays;
  faults: Faults;
  /** Changes a request before it is carried out, so that a test can disable a guard. */
  tamper?(service: string, action: string, input: Record<string, any>): Record<string, any>;
  /** Disables the raft fence: a manager's version index grows without a commit. */
  withoutRaftFence?: boolean;
  /** Whether the function of this name (`node-join`, ...) receives an event. @default it receives all */
  hears?(name: string, event: unknown): boolean;
  /** Called with every event that a function receives. */
  onEvent?(functionName: string, event: unknown): void;
  /** Called with every log line of a node or a function. */
  onLog(origin: string, line: string): void;
  /** Before each effect of an agent. */
  onEffect(node: SimulatedNode, effect: string, argument: unknown): void;
  /** Called when a fault has killed an instance. */
  onLost?(instanceId: string): void;
}

export class SimulatedCluster {
  readonly clock: VirtualClock;
  readonly docker: SimulatedDocker;
  readonly link: AwsLink;
  readonly machines: SimulatedMachines;
  readonly region: EmulatedRegion;
  readonly functions: SimulatedFunctions;
  /** How far each node's clock is ahead, in milliseconds. */
  readonly skews = new Map<string, number>();
  /** Instances that cannot reach AWS. */
  readonly isolated = new Set<string>();

  constructor(private readonly options: ClusterOptions) {
    const { seed, faults, tamper, onLog } = options;
    const clock = (this.clock = new VirtualClock(seed));
    this.docker = new SimulatedDocker(clock, (daemon) => {
      if (!faults.happens('kill-engine')) return;
      for (const node of this.machines.nodes.values()) if (node.daemon === daemon) node.killEngine();
    });
    this.docker.tasksEndMs = STOP_GRACE_MS;
    this.link = new AwsLink(clock, faults, ({ service, action, input, accessKeyId }) =>
      this.region.call({ service, action, input: tamper ? tamper(service, action, input) : input, accessKeyId }),
    );
    this.machines = new SimulatedMachines({
      clock,
      faults,
      link: this.link,
      docker: this.docker,
      credentials: (instanceId) => this.region.credentialsFor(instanceId),
      skew: (instanceId) => this.skews.get(instanceId) ?? 0,
      notice: (instanceId) =>
        this.region.targetLifecycleState(instanceId) === 'Terminated'
          ? 'termination'
          : this.region.hasSpotNotice(instanceId)
            ? 'interruption'
            : undefined,
      connected: (instanceId) => !this.isolated.has(instanceId),
      loseInstance: (instanceId) => this.loseInstance(instanceId),
      log: onLog,
      onEffect: options.onEffect,
      withoutRaftFence: options.withoutRaftFence ?? false,
    });
    this.functions = new SimulatedFunctions({
      clock,
      faults,
      link: this.link,
      bundles: options.bundles,
      respond: (url, body) => this.region.put(url, body),
      hears: options.hears,
      onEvent: options.onEvent,
      onLog,
    });
    this.region = new EmulatedRegion({
      clock,
      machines: this.machines,
      functions: this.functions,
      delays: options.delays,
    });
  }

  /** A fault: the machine is lost at once. */
  loseInstance(instanceId: string): void {
    this.options.onLost?.(instanceId);
    this.machines.lose(instanceId);
    void this.region.killInstance(instanceId);
  }

  async stop(): Promise<void> {
    for (const instanceId of [...this.machines.nodes.keys()]) this.machines.lose(instanceId);
    const stopped = this.region.stop();
    stopped.catch(() => undefined);
    await this.clock.finish(stopped, 3_600_000);
  }
}

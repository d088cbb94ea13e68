/** The reference app as simulated clusters, for tests that let one certain thing go wrong at one certain moment. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AwsEvent, Delays } from '../../../rehearsal/aws/core/types';
import type { Call } from '../../../rehearsal/simulation/cluster/aws-link';
import { SimulatedCluster, type ClusterOptions } from '../../../rehearsal/simulation/cluster/cluster';
import { Faults } from '../../../rehearsal/simulation/faults';
import { Invariants } from '../../../rehearsal/simulation/invariants/invariants';
import type { SimulatedNode } from '../../../rehearsal/simulation/cluster/node';
import { Assemblies, type Assembly, type Setup } from '../../../rehearsal/simulation/setup';
import { failed } from '../../../rehearsal/simulation/shrink';
import type { SimulationResult } from '../../../rehearsal/simulation/simulation';
import { unfinished } from '../../../rehearsal/simulation/invariants/converged';

export const PROJECT = resolve(__dirname, '../../..');
export const BUNDLES = join(PROJECT, 'dist/lambda');
if (!existsSync(BUNDLES)) throw new Error('The functions are not bundled. Run: npm run build');

export const assemblies = new Assemblies(PROJECT, mkdtempSync(join(tmpdir(), 'simulated-assemblies-')));

const DELAYS: Delays = {
  launch: 5_000,
  terminate: 5_000,
  attachVolume: 1_000,
  detachVolume: 1_000,
  queue: 100,
  stream: 100,
  registerTarget: 60_000,
  deregisterTarget: 30_000,
};
export const MINUTE = 60_000;

const stories: Story[] = [];
afterEach(async () => {
  for (const story of stories.splice(0)) await story.cluster.stop();
});

const SEEDS = 300;

/**
 * Searches a seed that fails while a guard is off. The same seed has to pass with it, so that it is the missing guard
 * that was found.
 *
 * @param run a seed, with the guard or without it
 * @param why what the failure must be
 * @param from where the search begins: not long before a seed that was seen to fail
 */
export async function expectSeedNeeds(
  run: (seed: number, guard: 'on' | 'off') => Promise<SimulationResult>,
  why: RegExp,
  from = 1,
): Promise<void> {
  for (let seed = from; seed < from + SEEDS; seed++) {
    const { breaches, unfinished: left } = await run(seed, 'off');
    const failure = [...breaches, ...left][0];
    if (failure === undefined) continue;
    expect(failure).toMatch(why);
    expect(failed(await run(seed, 'on'))).toBe(false);
    return;
  }
  throw new Error(`None of ${SEEDS} seeds failed.`);
}

type Options = Partial<Pick<ClusterOptions, 'tamper' | 'seed' | 'hears' | 'delays'>>;

export class Story {
  readonly cluster: SimulatedCluster;
  readonly invariants: Invariants;
  readonly events: AwsEvent[] = [];
  readonly calls: Call[] = [];
  readonly logs: string[] = [];
  stack: 'creating' | 'created' | Error = 'creating';
  /** Called before each effect of an agent. */
  onEffect: (node: SimulatedNode, effect: string, argument: any) => void = () => undefined;
  /** Called after each request that AWS carried out. */
  onCall: (call: Call) => void = () => undefined;

  private constructor(options: Options) {
    this.cluster = new SimulatedCluster({
      seed: 1,
      bundles: BUNDLES,
      delays: DELAYS,
      faults: new Faults(1, []),
      onEvent: (name, event) => this.invariants.onEvent(name, event),
      onLog: (origin, line) => {
        this.logs.push(`${origin}: ${line}`);
        this.invariants.onLog(origin, line);
      },
      onEffect: (node, effect, argument) => {
        this.invariants.onEffect(node, effect, argument);
        this.onEffect(node, effect, argument);
      },
      ...options,
    });
    this.invariants = new Invariants(this.cluster);
    this.cluster.region.onEvent((event) => this.events.push(event));
    this.cluster.link.onCall((call) => {
      this.calls.push(call);
      this.invariants.onCall(call);
      this.onCall(call);
    });
    stories.push(this);
  }

  /** A stack that is being created. */
  static of({ folder, stackName }: Assembly, options: Options = {}): Story {
    const story = new Story(options);
    story.cluster.region.createStack(folder, stackName).then(
      () => (story.stack = 'created'),
      (error: Error) => (story.stack = error),
    );
    return story;
  }

  /** Another template of the same stack. */
  deploy({ folder, stackName }: Assembly): void {
    this.stack = 'creating';
    this.cluster.region.updateStack(folder, stackName).then(
      () => (this.stack = 'created'),
      (error: Error) => (this.stack = error),
    );
  }

  delete(): void {
    this.stack = 'creating';
    this.cluster.region.deleteStack(this.cluster.region.stackNames()[0]!).then(
      () => (this.stack = 'created'),
      (error: Error) => (this.stack = error),
    );
  }

  static async begin(setup: Setup, options: Options = {}): Promise<Story> {
    return Story.of(await assemblies.of(setup), options);
  }

  /** As an operator does it: through the group, which then launches another. */
  terminate({ identity: { instanceId } }: SimulatedNode): void {
    const { region } = this.cluster;
    const input = { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false };
    void region.call({
      service: 'autoscaling',
      action: 'TerminateInstanceInAutoScalingGroup',
      input,
      accessKeyId: region.operator.accessKeyId,
    });
  }

  /** Lets time pass until the condition holds. */
  async until(condition: () => boolean, limit = 15 * MINUTE): Promise<void> {
    const { clock } = this.cluster;
    for (const end = clock.now() + limit; !condition();) {
      if (clock.now() >= end)
        throw new Error(
          `Not within ${limit / 1000} virtual seconds: ${condition}\nmissing: ` +
            `${this.missing().join(' ')}\n${this.logs.slice(-10).join('\n')}`,
        );
      await this.pass(250);
    }
  }

  async pass(ms: number): Promise<void> {
    await this.cluster.clock.advance(ms);
    this.invariants.check();
  }

  missing(): string[] {
    return unfinished({ stack: this.stack, ...this.cluster });
  }

  /** Until the cluster is whole; nothing that must never happen may have happened. */
  async whole(limit = 15 * MINUTE): Promise<void> {
    await this.until(() => this.missing().length === 0 || this.invariants.breaches.length > 0, limit);
    expect(this.invariants.breaches).toEqual([]);
  }

  /** The instance that holds a seat now. */
  seat(number: number): SimulatedNode | undefined {
    return [...this.cluster.machines.nodes.values()].find((node) => node.seat === number);
  }

  /** The manager that leads, of those that there are. */
  leader(): SimulatedNode {
    const { docker, machines } = this.cluster;
    return [...machines.nodes.values()].find(
      ({ daemon }) => daemon.runner?.nodeId !== undefined && daemon.runner.nodeId === docker.swarms()[0]!.leader,
    )!;
  }

  workers(): SimulatedNode[] {
    return [...this.cluster.machines.nodes.values()].filter(({ role }) => role === 'worker');
  }

  /** One item of a table, in the service's own form. */
  item(table: 'token' | 'report', partition: string, key: string): Record<string, any> | undefined {
    return this.cluster.region
      .tableItems()
      .find(
        ({ table: name, item }) => name.toLowerCase().includes(table) && item.pk?.S === partition && item.sk?.S === key,
      )?.item;
  }
}

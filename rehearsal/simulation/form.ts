/**
 * Forms a stack on simulated engines in virtual time, and deletes it again: what `cdk-docker-swarm start` does on
 * machines that cannot run real nodes. It injects no faults.
 */
import { commandsCodec } from '../../protocol/commands';
import { COMMANDS_KEY, REPORT_KEY, SORT_KEY, SWARM_KEY_PREFIX } from '../../protocol/keys';
import { plainAttributes } from '../../protocol/items';
import { reportCodec } from '../../protocol/report';
import { decodeSwarmReport, type SwarmNode } from '../../protocol/swarm';
import { ROLE_TAG, SEAT_TAG } from '../../protocol/tags';
import type { AwsEvent, Delays } from '../aws/core/types';
import type { Deleted, Formed, Logs, SwarmListEntry } from '../display/results';
import { Timeline } from '../display/timeline';
import type { Call } from './cluster/aws-link';
import { SimulatedCluster } from './cluster/cluster';
import { Faults } from './faults';
import { unfinished } from './invariants/converged';

/** CloudFormation gives up earlier. */
const LIMIT_MS = 60 * 60_000;
const STEP_MS = 250;
/** In the order of magnitude of AWS's own delays. */
const DELAYS: Delays = {
  launch: 8_000,
  terminate: 20_000,
  attachVolume: 2_000,
  detachVolume: 2_000,
  queue: 100,
  stream: 200,
  registerTarget: 120_000,
  deregisterTarget: 60_000,
};

export interface SimulatedFormation {
  formed?: Formed;
  deleted?: Deleted;
  /** Why the stack did not form, or was not deleted. */
  error?: string;
  rows: Formed['nodes'];
  logs: Logs;
}

/** @param bundles the folder with the functions' bundles, `dist/lambda` */
export async function formSimulated(
  stack: { assembly: string; name: string },
  bundles: string,
): Promise<SimulatedFormation> {
  return new SimulatedRehearsal(stack, bundles).run();
}

class SimulatedRehearsal {
  private readonly cluster: SimulatedCluster;
  private readonly timeline: Timeline;
  private readonly logs = new Map<string, string[]>();
  private readonly waitedOut: string[] = [];
  private workers = 0;

  constructor(
    private readonly stack: { assembly: string; name: string },
    bundles: string,
  ) {
    this.cluster = new SimulatedCluster({
      seed: 1,
      bundles,
      delays: DELAYS,
      faults: new Faults(1, []),
      onLog: (origin, line) => void this.logs.set(origin, [...(this.logs.get(origin) ?? []), line]),
      onEffect: ({ identity }, effect) =>
        void (effect === 'configureEngine' && this.timeline.reach(identity.instanceId, 'userData')),
    });
    this.timeline = new Timeline(
      () => this.cluster.clock.now(),
      () => undefined,
    );
    this.cluster.region.onEvent((event) => this.observe(event));
    this.cluster.link.onCall((call) => this.read(call));
  }

  async run(): Promise<SimulatedFormation> {
    const result: SimulatedFormation = { rows: [], logs: {} };
    try {
      result.formed = await this.form();
      result.deleted = await this.delete();
    } catch (error) {
      result.error = error instanceof Error ? error.message : String(error);
    }
    await this.cluster.stop();
    return {
      ...result,
      rows: this.timeline.rows(),
      logs: Object.fromEntries([...this.logs].map(([origin, lines]) => [origin, lines.join('\n')])),
    };
  }

  private async form(): Promise<Formed> {
    const { clock, region, docker } = this.cluster;
    const started = clock.now();
    let stack: 'creating' | 'created' | Error = 'creating';
    region.createStack(this.stack.assembly, this.stack.name).then(
      () => (stack = 'created'),
      (error: Error) => (stack = error),
    );
    const missing = () => unfinished({ stack, ...this.cluster });
    while ((stack as unknown) instanceof Error || missing().length > 0) {
      if ((stack as unknown) instanceof Error) throw stack;
      if (clock.now() - started > LIMIT_MS)
        throw new Error(
          `The swarm has not converged after ${LIMIT_MS / 60_000} virtual minutes: ${missing().join(' ')}`,
        );
      await clock.advance(STEP_MS);
    }
    const [swarm] = docker.swarms();
    return {
      nodes: this.timeline.rows(),
      swarm: swarm!.nodes.map(toEntry),
      formationMs: clock.now() - started,
      delayedMs: region.delayed(),
    };
  }

  private async delete(): Promise<Deleted> {
    const { clock, region } = this.cluster;
    const started = clock.now();
    const deletion = region.deleteStack(this.stack.name);
    deletion.catch(() => undefined);
    await clock.finish(deletion, LIMIT_MS);
    if (this.waitedOut.length > 0)
      throw new Error(`The stack is deleted, but these instances' hooks timed out: ${this.waitedOut.join(', ')}`);
    return { deletionMs: clock.now() - started, kept: region.remains() };
  }

  private observe({ source, what, subject, detail }: AwsEvent): void {
    if (source === 'ec2' && what === 'pending') this.launched(subject);
    if (source === 'ec2' && what === 'volume-attached') this.timeline.reach(String(detail.instanceId), 'volume');
    if (source === 'autoscaling' && what === 'hook-completed') this.timeline.reach(subject, 'hook');
    if (source === 'autoscaling' && what === 'hook-expired') this.waitedOut.push(subject);
  }

  private launched(instanceId: string): void {
    const { privateIpAddress, availabilityZone, tags } = this.cluster.region
      .instances()
      .find((one) => one.instanceId === instanceId)!;
    const seat = tags[SEAT_TAG];
    const name = seat === undefined ? `worker ${++this.workers}` : `seat ${seat}`;
    this.timeline.launch({
      instanceId,
      name,
      role: tags[ROLE_TAG] ?? 'unknown',
      address: privateIpAddress,
      availabilityZone,
    });
  }

  /** The tables by which functions and agents communicate. */
  private read({ action, input }: Call): void {
    if (action === 'TransactWriteItems')
      for (const { Update } of input.TransactItems) if (Update) this.readItem({ ...Update });
    if (action === 'UpdateItem') this.readItem(input);
  }

  private readItem({
    Key,
    ExpressionAttributeNames: names = {},
    ExpressionAttributeValues: values = {},
  }: Record<string, any>): void {
    const written = Object.entries(names as Record<string, string>).filter(
      ([name]) => values[`:${name.slice(1)}`] !== undefined,
    );
    const item = plainAttributes(
      Object.fromEntries(written.map(([name, attribute]) => [attribute, values[`:${name.slice(1)}`]])),
    );
    const key = String(Key[SORT_KEY].S);
    if (key === COMMANDS_KEY) this.readCommand(item);
    if (key === REPORT_KEY) this.readReport(item);
    if (key.startsWith(SWARM_KEY_PREFIX)) this.readSwarm(item);
  }

  private readCommand(item: Record<string, unknown>): void {
    const commands = commandsCodec.decode(item);
    if (commands.ok && commands.value.command !== null)
      this.timeline.reach(commands.value.command.instanceId, 'command');
  }

  private readReport(item: Record<string, unknown>): void {
    const report = reportCodec.decode(item);
    if (!report.ok) return;
    if (report.value.engine) this.timeline.reach(report.value.instanceId, 'engine');
    if (report.value.swarm?.nodeId !== undefined) this.timeline.reach(report.value.instanceId, 'joined');
  }

  private readSwarm(item: Record<string, unknown>): void {
    const swarm = decodeSwarmReport([item]);
    if (!swarm.ok) return;
    for (const { state, instanceId } of swarm.value.nodes)
      if (state === 'ready' && instanceId !== undefined) this.timeline.reach(instanceId, 'ready');
  }
}

function toEntry({ id, hostname, role, availability, state, manager, address }: SwarmNode): SwarmListEntry {
  return {
    id,
    hostname,
    role,
    availability,
    state,
    manager: manager?.leader ? 'leader' : (manager?.reachability ?? ''),
    address: address ?? '',
    engine: 'simulated',
  };
}

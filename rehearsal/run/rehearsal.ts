/**
 * Deploys a stack in the emulated region with real nodes and functions, waits until its swarm has converged, and
 * deletes it again. Runs as the first process of the region's namespaces (nodes/namespaces.ts): when it ends,
 * everything it started ends. It observes the region's events and tables, and at the end the engines themselves.
 */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { systemClock as clock } from '../../protocol/clock';
import { leaderCodec } from '../../protocol/cluster';
import { commandsCodec } from '../../protocol/commands';
import { environmentVariables } from '../../protocol/environment';
import {
  CLUSTER_PARTITION,
  COMMANDS_KEY,
  LEADER_KEY,
  mailbox,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
  SWARM_KEY_PREFIX,
} from '../../protocol/keys';
import { plainAttributes } from '../../protocol/items';
import { reportCodec } from '../../protocol/report';
import { decodeSwarmReport } from '../../protocol/swarm';
import { ROLE_TAG, SEAT_TAG } from '../../protocol/tags';
import { serveAws } from '../aws/wire/http';
import { imdsHandler, type InstanceMetadata } from '../aws/imds/imds';
import { SPOT_NOTICE_MS } from '../aws/ec2/ec2';
import { EmulatedRegion } from '../aws/region';
import type { AwsEvent, MachineSpec } from '../aws/core/types';
import { FunctionProcesses } from '../functions/function-processes';
import { Kills } from '../scenarios/formation-kills';
import type { Deleted, Formed, Logs, Moment, SwarmListEntry } from '../display/results';
import type { Evidence, RehearsalOrder, Message } from './messages';
import { METADATA_ADDRESS } from '../nodes/network';
import { RealMachines } from '../nodes/real-machines';
import { run } from '../nodes/shell';
import type { Stage } from '../scenarios/play';
import { playScenario } from '../scenarios/scenarios';
import { changeAssembly, type Template } from '../assembly/synth';
import { Timeline, type NodeTimeline } from '../display/timeline';

/** The region has its own network, so any port is free. */
const ENDPOINT_PORT = 8000;
const ENDPOINT = `http://${METADATA_ADDRESS}:${ENDPOINT_PORT}`;
/** The run fails after this time, unless its order sets another. */
const DEADLINE_MS = 10 * 60_000;
/** How often tables and engines are polled: the resolution of the timeline. */
const POLL_MS = 50;
/**
 * How long mailboxes may still hold join tokens after all nodes have joined. A lost event costs at most a minute: the
 * sweep repeats it.
 */
const TOKENS_MS = 90_000;

type Item = Record<string, { S?: string; N?: string }>;

interface Tables {
  token: string;
  report: string;
  roleIds: Record<string, string | undefined>;
}

export class Rehearsal {
  private readonly timeline: Timeline;
  private readonly aborted: Promise<never>;
  private abort!: (error: Error) => void;
  private machines!: RealMachines;
  private functions!: FunctionProcesses;
  private region!: EmulatedRegion;
  private kills!: Kills;
  /** The swarm ids that leader-token published. More than one is a bug. */
  private readonly published = new Set<string>();
  private readonly events: string[] = [];
  private readonly userData = new Map<string, string>();
  private workers = 0;

  constructor(
    private readonly order: RehearsalOrder,
    private readonly tell: (message: Message) => void,
  ) {
    this.timeline = new Timeline(clock.now, (node, milestone) => {
      this.kills.reached(node, milestone);
      tell({ kind: 'milestone', node, milestone, rows: this.timeline.rows(), atMs: this.elapsed() });
    });
    this.aborted = new Promise((_, reject) => (this.abort = reject));
    this.aborted.catch(() => undefined);
  }

  async run(): Promise<void> {
    const deadlineMs = this.order.deadlineMs ?? DEADLINE_MS;
    const cancel = clock.after(deadlineMs, () =>
      this.abort(new Error(`The swarm was not formed and deleted again within ${deadlineMs / 1000} s.`)),
    );
    try {
      await this.prepare();
      const formed = await this.form();
      this.tell({ kind: 'formed', formed, evidence: await Promise.race([this.evidence(), this.aborted]) });
      const { scenario } = this.order;
      if (scenario !== undefined)
        this.tell({ kind: 'played', ...(await this.watched(playScenario(scenario, this.stage()))) });
      this.tell({ kind: 'deleted', deleted: await this.delete(), logs: await this.logs() });
    } catch (error) {
      const said = error instanceof Error ? error : new Error(String(error));
      this.tell({ kind: 'failed', error: said.message, rows: this.timeline.rows(), logs: await this.logs() });
    } finally {
      cancel();
    }
  }

  private async prepare(): Promise<void> {
    const { order } = this;
    // Visible in these namespaces only. It must be another file system than `/`: an overlay of `/` cannot keep its
    // changes there.
    mkdirSync(order.folder, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', order.folder]);
    this.machines = await RealMachines.start({
      clock,
      run: order.run,
      folder: order.folder,
      endpoint: ENDPOINT,
      node: order.node,
      dockerd: order.dockerd,
      awsStandIn: order.awsStandIn,
      onLaunch: (spec) => {
        this.userData.set(spec.instanceId, spec.userData);
        this.timeline.launch(this.describe(spec));
      },
      onUserData: (instanceId, status) => {
        if (status === 0) this.timeline.reach(instanceId, 'userData');
        else this.abort(new Error(`The user data of ${instanceId} failed with exit status ${status}.`));
      },
    });
    this.functions = new FunctionProcesses({
      clock,
      runtime: order.lambdaRuntime,
      node: order.node,
      endpoint: ENDPOINT,
    });
    const delays = {
      launch: 0,
      terminate: 0,
      attachVolume: 0,
      detachVolume: 0,
      queue: 0,
      stream: 0,
      registerTarget: 0,
      deregisterTarget: 0,
    };
    this.region = new EmulatedRegion({ clock, machines: this.machines, functions: this.functions, delays });
    this.region.endpoint = ENDPOINT;
    this.region.onEvent(({ at, source, what, subject, detail }) =>
      this.events.push(JSON.stringify({ atMs: at - this.timeline.started, source, what, subject, ...detail })),
    );
    const { machines, functions } = this;
    this.kills = new Kills(order.kills ?? [], {
      clock,
      machines,
      functions,
      elapsed: () => this.elapsed(),
      failed: (error) => this.abort(error),
    });
    await serveAws(this.kills.around(this.region), { host: '0.0.0.0', port: ENDPOINT_PORT });
    const metadata = createServer(imdsHandler((address) => this.metadata(address)));
    await new Promise<void>((resolve) => metadata.listen(80, METADATA_ADDRESS, resolve));
  }

  private async form(): Promise<Formed> {
    const swarm = await this.watched(
      this.region
        .createStack(this.order.assembly, this.order.stackName)
        .then(() => this.convergedSwarm())
        .then((swarm) => this.convergedAfterKills(swarm)),
    );
    return { nodes: this.timeline.rows(), swarm, formationMs: this.elapsed(), delayedMs: this.region.delayed() };
  }

  /** Does the work while events and tables are watched for the nodes' milestones. */
  private async watched<T>(work: Promise<T>): Promise<T> {
    const unsubscribe = this.region.onEvent((event) => this.observe(event));
    const done = new AbortController();
    const watching = this.watchTables(done.signal);
    try {
      return await Promise.race([work, this.aborted, watching.then(() => this.aborted)]);
    } finally {
      unsubscribe();
      done.abort();
    }
  }

  private stage(): Stage {
    const { region, machines } = this;
    const instances = (wanted: string) =>
      this.timeline
        .rows()
        .flatMap(({ role, instanceId }) =>
          role === wanted && machines.running().includes(instanceId) ? [instanceId] : [],
        );
    const deploy = async (change: (template: Template) => Template) => {
      const out = join(this.order.folder, `deployed-${clock.uuid()}`);
      changeAssembly(this.order.assembly, this.order.stackName, out, change);
      await region.updateStack(out, this.order.stackName);
    };
    const deployNext = async () => void (await region.updateStack(this.order.nextAssembly!, this.order.stackName));
    const milestones = (instanceId: string) =>
      this.timeline.rows().find((row) => row.instanceId === instanceId)?.milestones ?? {};
    const onMoment = (moment: Moment) => this.tell({ kind: 'moment', moment });
    return {
      clock,
      region,
      machines,
      instances,
      milestones,
      folder: this.order.folder,
      converged: () => this.convergedAgain(),
      deploy,
      deployNext,
      onMoment,
    };
  }

  /** Unlike after the formation, groups may still be replacing instances: some have ended, others do not run yet. */
  private async convergedAgain(): Promise<SwarmListEntry[]> {
    const full = () =>
      this.region
        .groups()
        .every(
          ({ desired, instances }) =>
            instances.length === desired && instances.every(({ state }) => state === 'InService'),
        );
    while (!full()) await clock.sleep(POLL_MS);
    return this.convergedSwarm();
  }

  private async delete(): Promise<Deleted> {
    const started = clock.now();
    const waitedOut: string[] = [];
    const unsubscribe = this.region.onEvent(
      ({ what, subject }) => void (what === 'hook-expired' && waitedOut.push(subject)),
    );
    await Promise.race([this.region.deleteStack(this.order.stackName), this.aborted]);
    unsubscribe();
    const deletionMs = clock.now() - started;
    if (waitedOut.length > 0)
      throw new Error(`The stack is deleted, but these instances' hooks timed out: ${waitedOut.join(', ')}`);
    const instances = this.machines.running();
    if (instances.length > 0)
      throw new Error(`The stack is deleted, but these instances still run: ${instances.join(', ')}`);
    return { deletionMs, kept: [...new Set([...this.region.remains(), ...this.machines.volumeIds()])] };
  }

  private describe({ instanceId, privateIpAddress, availabilityZone, tags }: MachineSpec) {
    const seat = tags[SEAT_TAG];
    const name = seat === undefined ? `worker ${++this.workers}` : `seat ${seat}`;
    return { instanceId, name, role: tags[ROLE_TAG] ?? 'unknown', address: privateIpAddress, availabilityZone };
  }

  private observe({ source, what, subject, detail }: AwsEvent): void {
    if (source === 'ec2' && what === 'volume-attached') this.timeline.reach(String(detail.instanceId), 'volume');
    if (source === 'autoscaling' && what === 'hook-completed') this.timeline.reach(subject, 'hook');
  }

  /** What the metadata service tells the instance at this address; undefined when it does not run. */
  private metadata(address: string): InstanceMetadata | undefined {
    const instance = this.region.instanceByAddress(address);
    const credentials = instance && this.region.credentialsFor(instance.instanceId);
    if (instance?.roleName === undefined || credentials === undefined) return undefined;
    const { instanceId, privateIpAddress, availabilityZone, instanceType, lifecycle, tags, roleName, noticedAt } =
      instance;
    const userData = this.userData.get(instanceId) ?? '';
    const targetLifecycleState = this.region.targetLifecycleState(instanceId);
    return {
      instanceId,
      privateIpAddress,
      availabilityZone,
      region: this.region.region,
      instanceType,
      instanceLifeCycle: lifecycle,
      tags,
      roleName,
      credentials,
      userData,
      targetLifecycleState,
      ...(noticedAt !== undefined && { terminatedAt: noticedAt + SPOT_NOTICE_MS }),
    };
  }

  /** Polls the tables as the account's operator would: not every write is an event. */
  private async watchTables(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const tables = this.tables();
      if (tables !== undefined) {
        for (const row of this.timeline.rows()) await this.watchNode(tables, row);
        this.readLeader(await this.items(tables.token, CLUSTER_PARTITION));
      }
      await clock.sleep(POLL_MS, signal);
    }
  }

  /** The tables and roles from the functions' environment; undefined until the functions exist. */
  private tables(): Tables | undefined {
    const variables = Object.assign({}, ...this.region.functions().map(({ environment }) => environment)) as Record<
      string,
      string | undefined
    >;
    const { [environmentVariables.tokenTable]: token, [environmentVariables.reportTable]: report } = variables;
    if (token === undefined || report === undefined) return undefined;
    return {
      token,
      report,
      roleIds: {
        manager: variables[environmentVariables.managerRoleId],
        worker: variables[environmentVariables.workerRoleId],
      },
    };
  }

  private async watchNode(
    { token, report, roleIds }: Tables,
    { instanceId, role, milestones }: NodeTimeline,
  ): Promise<void> {
    const roleId = roleIds[role];
    if (roleId === undefined) return;
    if (milestones.command === undefined) this.readCommands(await this.items(token, mailbox(roleId, instanceId)));
    // A manager may lead the swarm, and report other nodes, long after its own milestones are complete.
    if (role === 'manager' || milestones.joined === undefined)
      this.readReports(instanceId, await this.items(report, mailbox(roleId, instanceId)));
  }

  private async items(table: string, partition: string): Promise<Item[]> {
    const input = {
      TableName: table,
      KeyConditionExpression: '#pk = :pk',
      ExpressionAttributeNames: { '#pk': PARTITION_KEY },
      ExpressionAttributeValues: { ':pk': { S: partition } },
      ConsistentRead: true,
    };
    const { Items } = await this.region.call({
      service: 'dynamodb',
      action: 'Query',
      input,
      accessKeyId: this.region.operator.accessKeyId,
    });
    return Items as Item[];
  }

  private readCommands(items: Item[]): void {
    for (const item of items) {
      if (item[SORT_KEY]?.S !== COMMANDS_KEY) continue;
      const commands = commandsCodec.decode(plainAttributes(item));
      if (commands.ok && commands.value.command !== null)
        this.timeline.reach(commands.value.command.instanceId, 'command');
    }
  }

  private readLeader(items: Item[]): void {
    const item = items.find(({ [SORT_KEY]: key }) => key?.S === LEADER_KEY);
    const leader = item && leaderCodec.decode(plainAttributes(item));
    if (leader?.ok) this.published.add(leader.value.swarmId);
  }

  private readReports(instanceId: string, items: Item[]): void {
    const chunks: Record<string, unknown>[] = [];
    for (const item of items) {
      const key = item[SORT_KEY]?.S ?? '';
      if (key.startsWith(SWARM_KEY_PREFIX)) chunks[Number(key.slice(SWARM_KEY_PREFIX.length))] = plainAttributes(item);
      if (key !== REPORT_KEY) continue;
      const report = reportCodec.decode(plainAttributes(item));
      if (!report.ok) continue;
      if (report.value.engine) this.timeline.reach(instanceId, 'engine');
      if (report.value.swarm?.nodeId !== undefined) this.timeline.reach(instanceId, 'joined');
    }
    const swarm = decodeSwarmReport(chunks.filter((chunk) => chunk !== undefined));
    if (!swarm.ok) return;
    for (const node of swarm.value.nodes)
      if (node.state === 'ready' && node.instanceId !== undefined) this.timeline.reach(node.instanceId, 'ready');
  }

  /** The swarm's own node list, once every instance is a Ready node and the leader has reported so. */
  private async convergedSwarm(): Promise<SwarmListEntry[]> {
    for (;;) {
      const rows = this.timeline.rows().filter(({ instanceId }) => this.machines.running().includes(instanceId));
      const list = await this.nodeList(
        rows.filter(({ role }) => role === 'manager').map(({ instanceId }) => instanceId),
      );
      const complete = rows.every(
        ({ milestones }) =>
          milestones.joined !== undefined && milestones.ready !== undefined && milestones.hook !== undefined,
      );
      if (
        complete &&
        list.length === rows.length &&
        list.every(({ state, manager }) => state === 'ready' && manager !== 'unreachable')
      )
        return list;
      await clock.sleep(POLL_MS);
    }
  }

  /**
   * Waits until the swarm has converged after the kills. The last kill may come after it had already converged, and a
   * node list shows a dead engine as ready for a while.
   */
  private async convergedAfterKills(swarm: SwarmListEntry[]): Promise<SwarmListEntry[]> {
    await this.kills.settled();
    if (this.kills.done.length === 0) return swarm;
    for (const instanceId of this.machines.running())
      while ((await this.engineState(instanceId)) !== 'active') await clock.sleep(POLL_MS);
    return this.convergedSwarm();
  }

  /** What an engine reports of its own membership. */
  private async engineState(instanceId: string): Promise<string | undefined> {
    const info = (await this.machines.engine(instanceId, '/info').catch(() => undefined)) as
      { Swarm?: { LocalNodeState?: string } } | undefined;
    return info?.Swarm?.LocalNodeState;
  }

  private async evidence(): Promise<Evidence> {
    await this.tokensErased();
    const joined = new Set<string>();
    for (const { role, instanceId } of this.timeline.rows()) {
      if (role === 'manager' && this.machines.running().includes(instanceId))
        joined.add(await this.swarmId(instanceId));
    }
    return { published: [...this.published], joined: [...joined], kills: this.kills.done };
  }

  /** As a manager's engine reports it. A newly promoted manager needs a moment before it does. */
  private async swarmId(instanceId: string): Promise<string> {
    for (;;) {
      const swarm = (await this.machines.engine(instanceId, '/swarm').catch(() => undefined)) as
        { ID: string } | undefined;
      if (swarm !== undefined) return swarm.ID;
      await clock.sleep(POLL_MS);
    }
  }

  /** Resolves when no node's mailbox holds a join token. */
  private async tokensErased(): Promise<void> {
    const deadline = clock.now() + TOKENS_MS;
    for (;;) {
      const holders = await this.tokenHolders();
      if (holders.length === 0) return;
      if (clock.now() > deadline)
        throw new Error(`All nodes have joined, but these mailboxes still hold join tokens: ${holders.join(', ')}`);
      await clock.sleep(POLL_MS);
    }
  }

  private async tokenHolders(): Promise<string[]> {
    const { token, report, roleIds } = this.tables()!;
    const holders: string[] = [];
    for (const { instanceId, name, role } of this.timeline.rows()) {
      for (const table of [token, report]) {
        const items = await this.items(table, mailbox(roleIds[role]!, instanceId));
        for (const item of items)
          if (JSON.stringify(item).includes('SWMTKN')) holders.push(`${item[SORT_KEY]?.S} of ${name}`);
      }
    }
    return holders;
  }

  private elapsed(): number {
    return clock.now() - this.timeline.started;
  }

  private async nodeList(managers: string[]): Promise<SwarmListEntry[]> {
    const [first] = managers;
    if (first === undefined) return [];
    const nodes = (await this.machines.engine(first, '/nodes').catch(() => [])) as Record<string, any>[];
    return nodes
      .filter((node) => !isNobody(node))
      .map(({ ID, Description, Spec, Status, ManagerStatus }) => ({
        id: ID,
        hostname: Description.Hostname,
        role: Spec.Role,
        availability: Spec.Availability,
        state: Status.State,
        manager: ManagerStatus?.Leader ? 'leader' : (ManagerStatus?.Reachability ?? ''),
        address: Status.Addr,
        engine: Description.Engine.EngineVersion,
      }))
      .sort((a, b) => (a.role + a.hostname < b.role + b.hostname ? -1 : 1));
  }

  private async logs(): Promise<Logs> {
    const logs: Logs = { 'emulated-aws': this.events.join('\n') };
    for (const [instanceId, files] of Object.entries((await this.machines?.logs()) ?? {}))
      for (const [name, text] of Object.entries(files)) logs[`${instanceId}/${name}`] = text;
    for (const name of this.functions?.names() ?? []) logs[name] = this.functions.log(name).join('\n');
    return logs;
  }
}

/**
 * A node that never appeared: its engine died after the swarm had issued its certificate but before the certificate was
 * on disk, and came back as another node. No engine will ever be this node, and nothing removes it from the swarm's
 * list yet. (A joining node looks the same for a moment; waiting for all instances covers that.)
 */
function isNobody({ Description, Status, ManagerStatus }: Record<string, any>): boolean {
  return Status.State !== 'ready' && !Description?.Hostname && !ManagerStatus;
}

/** The inner process of the command. Never returns. */
export async function runRehearsal(order: RehearsalOrder): Promise<void> {
  // The terminal's Ctrl-C reaches this process too, but its parent decides what happens.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const sent: Promise<void>[] = [];
  await new Rehearsal(order, (message) =>
    sent.push(new Promise((resolve) => process.send!(message, () => resolve()))),
  ).run();
  // The namespaces and the channel end with this process.
  await Promise.all(sent);
  process.exit(0);
}

/**
 * What can happen to a cluster that has formed, on real engines: each scenario does one thing to it, waits until it is whole again, and says what came when, in milliseconds from the instance's end (or from the order to end it).
 */
import type { Clock } from '../protocol/clock';
import { SPOT_NOTICE_MS } from './aws/ec2';
import type { EmulatedRegion } from './aws/region';
import type { Moment, SwarmListEntry } from './messages';
import { SEAT_TAG } from '../protocol/tags';
import { UNITS } from './kills';
import type { RealMachines } from './nodes/real-machines';
import type { Template } from './synth';

/** A cluster that has formed, and what scenarios do with it. */
export interface Stage {
  clock: Clock;
  region: EmulatedRegion;
  machines: RealMachines;
  /** Instances that run, by role, in the order in which they were launched. */
  instances(role: 'manager' | 'worker'): string[];
  /** The swarm's own node list, once every instance that runs is a Ready node of it, and nobody else is in it. */
  whole(): Promise<SwarmListEntry[]>;
  /** Another template of the same stack. @throws Error when it was rolled back */
  deploy(change: (template: Template) => Template): Promise<void>;
  /** The app as `next` of the scenario has it. */
  deployNext(): Promise<void>;
}

export interface Scenario {
  title: string;
  managers: 1 | 3 | 5;
  workers: number;
  /** Workers are spot instances. @default false */
  spot?: true;
  /** The app that the scenario deploys later: context values. */
  next?: { managers: number; workers: number; volumeGenerations?: Record<string, number> };
  /** How long all of it may take, in milliseconds. @default 10 minutes */
  deadlineMs?: number;
  run(play: Play): Promise<void>;
}

const POLL_MS = 50;
const REPLICAS = 4;
/** Longer than an election takes, and shorter than anybody is replaced after. */
const CUT_OFF_MS = 40_000;
/** The service's tasks do not hear SIGTERM (`sleep` is process 1), so that they use all of it. */
const STOP_GRACE = '10s';
/** Docker keeps everything there. */
const FILL_DISK = 'mount -t tmpfs -o size=64k tmpfs /var/lib/docker && ! head -c 1M /dev/zero > /var/lib/docker/full';
const IMAGE = 'rehearsal-sleep';
/** A root file system of one program and its libraries: no registry is reached from here. */
const IMPORT = `tar -C / -ch bin/sleep $(ldd /bin/sleep | grep -o '/[^ )]*') | docker import - ${IMAGE}`;
const CREATE = ['docker', 'service', 'create', '--detach', '--no-resolve-image', '--name', 'work', '--replicas', String(REPLICAS), '--constraint', 'node.role==worker', '--stop-grace-period', STOP_GRACE, IMAGE, '/bin/sleep', '100000'];

/** Tasks are asked for on a manager. */
class Play {
  readonly moments: Moment[] = [];
  private begun = 0;

  constructor(readonly stage: Stage) {}

  begin(): void {
    this.begun = this.stage.clock.now();
  }

  /** Waits for something, and notes when it came. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await this.stage.clock.sleep(POLL_MS);
    this.moments.push({ what, ms: this.elapsed() });
  }

  async startService(): Promise<void> {
    await this.loadImage();
    await this.stage.machines.exec(this.stage.instances('manager')[0]!, CREATE);
    while ((await this.tasks()).filter(isRunning).length < REPLICAS) await this.stage.clock.sleep(POLL_MS);
  }

  /** As a registry would have it for them. */
  async loadImage(): Promise<void> {
    for (const instanceId of this.stage.instances('worker')) await this.stage.machines.exec(instanceId, ['sh', '-c', IMPORT]);
  }

  tasks(): Promise<Task[]> {
    return this.ask('/tasks');
  }

  nodes(): Promise<Node[]> {
    return this.ask('/nodes');
  }

  /** As a manager tells it that answers; until one does, nothing is known. */
  private async ask<T>(path: string): Promise<T[]> {
    for (;;) {
      for (const instanceId of this.stage.instances('manager')) {
        const answer = await this.stage.machines.engine(instanceId, path).catch(() => undefined);
        if (Array.isArray(answer)) return answer as T[];
      }
      await this.stage.clock.sleep(POLL_MS);
    }
  }

  /** The node that an instance is, by its own engine. */
  async nodeId(instanceId: string): Promise<string> {
    const { Swarm } = (await this.stage.machines.engine(instanceId, '/info')) as { Swarm: { NodeID: string } };
    return Swarm.NodeID;
  }

  async leader(): Promise<{ instanceId: string; nodeId: string }> {
    const nodeId = (await this.nodes()).find(({ ManagerStatus }) => ManagerStatus?.Leader)!.ID;
    for (const instanceId of this.stage.instances('manager')) if ((await this.nodeId(instanceId)) === nodeId) return { instanceId, nodeId };
    throw new Error('The leader is no instance.');
  }

  async nextLeader(last: { nodeId: string }): Promise<void> {
    await this.until('the swarm has a leader again', async () => (await this.nodes()).some(({ ID, ManagerStatus }) => ManagerStatus?.Leader && ID !== last.nodeId));
  }

  /** As an operator does it: through the group, which then launches another. */
  async terminate(instanceId: string): Promise<void> {
    const { region } = this.stage;
    await region.call({ service: 'autoscaling', action: 'TerminateInstanceInAutoScalingGroup', input: { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false }, accessKeyId: region.operator.accessKeyId });
  }

  /** Whatever happens to the leader, it comes back as it was: nobody is replaced. */
  async troubleLeader(trouble: (leader: { instanceId: string; nodeId: string }) => Promise<void>): Promise<void> {
    const leader = await this.leader();
    const before = this.stage.instances('manager');
    this.begin();
    await trouble(leader);
    await this.whole();
    if (this.stage.instances('manager').join() !== before.join()) throw new Error('An instance was replaced, though it came back.');
  }

  /** Until the cluster is whole again, with the very managers that it had. */
  async sameManagers(change: () => Promise<void>): Promise<void> {
    const ids = async () => (await this.nodes()).flatMap(({ ID, Spec }) => (Spec.Role === 'manager' ? [ID] : [])).sort().join();
    const before = await ids();
    await change();
    await this.whole();
    if ((await ids()) !== before) throw new Error('A seat came back as another node.');
  }

  /** So many managers run, none of them one of those. */
  holdSeats(count: number, lost: string[]): boolean {
    const managers = this.stage.instances('manager');
    return managers.length === count && !lost.some((instanceId) => managers.includes(instanceId));
  }

  async killAgent(instanceId: string): Promise<void> {
    await this.killService(instanceId, UNITS.agent);
  }

  async killEngine(instanceId: string): Promise<void> {
    await this.killService(instanceId, UNITS.engine);
  }

  private async killService(instanceId: string, unit: string): Promise<void> {
    const { machines } = this.stage;
    const running = await machines.serviceProcess(instanceId, unit);
    if (!running || !(await machines.killProcess(instanceId, running.id))) throw new Error(`${unit} of ${instanceId} does not run.`);
  }

  /** Nobody can say anything about the swarm until there is a leader again. */
  async loseManagers(instanceIds: string[]): Promise<void> {
    const { stage } = this;
    await this.sameManagers(async () => {
      this.begin();
      for (const instanceId of instanceIds) await stage.region.killInstance(instanceId);
      await this.until('other instances hold their seats', async () => this.holdSeats(3, instanceIds));
      await this.until('the swarm has a leader again', async () => (await this.nodes()).some(isLeader));
    });
  }

  elapsed(): number {
    return this.stage.clock.now() - this.begun;
  }

  async isListed(nodeId: string): Promise<boolean> {
    return (await this.nodes()).some(({ ID }) => ID === nodeId);
  }

  /** A worker with some of the service's tasks. */
  async busyWorker(): Promise<{ instanceId: string; nodeId: string }> {
    await this.startService();
    const instanceId = this.stage.instances('worker')[0]!;
    return { instanceId, nodeId: await this.nodeId(instanceId) };
  }

  /** What never happens: the instance goes before its node, or the node before its tasks have ended. They take the whole of their grace to end, so that they are seen where nobody waited for them. */
  async expectOrder({ instanceId, nodeId }: { instanceId: string; nodeId: string }): Promise<void> {
    const letGo = !this.hasOpenHook(instanceId);
    if (await this.isListed(nodeId)) {
      if (letGo) throw new Error('The instance was let go before its node was removed.');
      return;
    }
    // It may be gone by now.
    const containers = (await this.stage.machines.engine(instanceId, '/containers/json').catch(() => [])) as unknown[];
    if (containers.length > 0) throw new Error(`The node was removed while ${containers.length} of its tasks still ran.`);
  }

  hasOpenHook(instanceId: string): boolean {
    return this.stage.region.groups().some(({ instances }) => instances.some((one) => one.instanceId === instanceId && one.openHooks.length > 0));
  }

  async whole(): Promise<void> {
    await this.until('the cluster is whole again', async () => (await this.stage.whole()).length > 0);
  }
}

interface Task {
  NodeID?: string;
  DesiredState: string;
  Status: { State: string };
}

interface Node {
  ID: string;
  Spec: { Availability: string; Role: string };
  ManagerStatus?: { Leader?: boolean };
}

const isLeader = ({ ManagerStatus }: Node) => ManagerStatus?.Leader === true;
const isRunning = ({ DesiredState, Status }: Task) => DesiredState === 'running' && Status.State === 'running';

/** A node that had tasks: whether all of them run elsewhere. */
const movedFrom = (nodeId: string, tasks: Task[]) => tasks.filter((task) => isRunning(task) && task.NodeID !== nodeId).length === REPLICAS;

/** What came when. */
export async function playScenario(name: string, stage: Stage): Promise<Moment[]> {
  const play = new Play(stage);
  await SCENARIOS[name]!.run(play);
  return play.moments;
}

export const SCENARIOS: Record<string, Scenario> = {
  'worker-terminated': {
    title: 'A worker with running tasks is terminated through its group.',
    managers: 1,
    workers: 2,
    async run(play) {
      const worker = await play.busyWorker();
      const { instanceId, nodeId } = worker;
      play.begin();
      await play.terminate(instanceId);
      const inOrder = async (condition: () => Promise<boolean>) => {
        await play.expectOrder(worker);
        return condition();
      };
      await play.until('it is drained', () => inOrder(async () => (await play.nodes()).some(({ ID, Spec }) => ID === nodeId && Spec.Availability === 'drain')));
      await play.until('its tasks run elsewhere', () => inOrder(async () => movedFrom(nodeId, await play.tasks())));
      await play.until('its node is removed', () => inOrder(async () => !(await play.isListed(nodeId))));
      await play.until('the instance is let go', async () => !play.hasOpenHook(instanceId));
      await play.whole();
    },
  },
  'worker-killed': {
    title: 'A worker with running tasks dies without notice.',
    managers: 1,
    workers: 2,
    async run(play) {
      const { instanceId, nodeId } = await play.busyWorker();
      play.begin();
      await play.stage.region.killInstance(instanceId);
      await play.until('its tasks run elsewhere', async () => movedFrom(nodeId, await play.tasks()));
      await play.until('its node is removed', async () => !(await play.isListed(nodeId)));
      await play.whole();
    },
  },
  'leader-killed': {
    title: 'The leader of three managers dies without notice.',
    managers: 3,
    workers: 1,
    async run(play) {
      const leader = await play.leader();
      await play.sameManagers(async () => {
        play.begin();
        await play.stage.region.killInstance(leader.instanceId);
        await play.nextLeader(leader);
        await play.until('its seat has another instance', async () => play.stage.instances('manager').length === 3);
      });
    },
  },
  'two-managers-killed': {
    title: 'Two of three managers, the leader among them, die in the same second: the quorum is lost until they are back.',
    managers: 3,
    workers: 1,
    async run(play) {
      const leader = await play.leader();
      const other = play.stage.instances('manager').find((instanceId) => instanceId !== leader.instanceId)!;
      await play.loseManagers([leader.instanceId, other]);
    },
  },
  'all-managers-killed': {
    title: 'All three managers die in the same second.',
    managers: 3,
    workers: 1,
    run: (play) => play.loseManagers(play.stage.instances('manager')),
  },
  'manager-terminated': {
    title: 'The leader of three managers is terminated through its group.',
    managers: 3,
    workers: 1,
    async run(play) {
      const leader = await play.leader();
      await play.sameManagers(async () => {
        play.begin();
        await play.terminate(leader.instanceId);
        await play.until('the instance is let go', async () => !play.hasOpenHook(leader.instanceId));
        await play.nextLeader(leader);
      });
    },
  },
  'manager-cut-off': {
    title: 'The leader of three managers is cut off from everything for 40 seconds.',
    managers: 3,
    workers: 1,
    run: (play) =>
      play.troubleLeader(async (leader) => {
        await play.stage.machines.cutOff(leader.instanceId);
        await play.nextLeader(leader);
        await play.stage.clock.sleep(Math.max(0, CUT_OFF_MS - play.elapsed()));
        await play.stage.machines.connect(leader.instanceId);
        await play.until('it is connected again', async () => true);
      }),
  },
  'spot-notice': {
    title: 'A spot worker with running tasks gets its notice: EC2 takes it back two minutes later.',
    managers: 1,
    workers: 2,
    spot: true,
    async run(play) {
      const worker = await play.busyWorker();
      play.begin();
      play.stage.region.interruptSpot(worker.instanceId);
      await play.until('its terminate hook begins', async () => play.hasOpenHook(worker.instanceId));
      const drained = async () => {
        await play.expectOrder(worker);
        return !(await play.isListed(worker.nodeId));
      };
      await play.until('its node is drained and removed', drained);
      await play.until('the instance is let go', async () => !play.hasOpenHook(worker.instanceId));
      if (play.elapsed() >= SPOT_NOTICE_MS) throw new Error('EC2 had taken it back by then.');
      await play.whole();
    },
  },
  'workers-terminated': {
    title: 'Five of six workers with running tasks are terminated through their group in the same second.',
    managers: 1,
    workers: 6,
    async run(play) {
      await play.startService();
      const nodes = await Promise.all(play.stage.instances('worker').slice(1).map(async (instanceId) => ({ instanceId, nodeId: await play.nodeId(instanceId) })));
      play.begin();
      for (const { instanceId } of nodes) await play.terminate(instanceId);
      await play.until('all five nodes are drained and removed', async () => {
        for (const node of nodes) await play.expectOrder(node);
        const left = await play.nodes();
        return !nodes.some(({ nodeId }) => left.some(({ ID }) => ID === nodeId));
      });
      await play.until('all five are let go', async () => !nodes.some(({ instanceId }) => play.hasOpenHook(instanceId)));
      await play.until('all tasks run on others', async () => (await play.tasks()).filter((task) => isRunning(task) && !nodes.some(({ nodeId }) => nodeId === task.NodeID)).length === REPLICAS);
      await play.whole();
    },
  },
  'engine-hung': {
    title: 'The engine of the leader of three managers hangs (SIGSTOP).',
    managers: 3,
    workers: 1,
    run: (play) =>
      play.troubleLeader(async (leader) => {
        await play.stage.machines.hangEngine(leader.instanceId);
        await play.nextLeader(leader);
        await play.until('its engine answers again', () => play.nodeId(leader.instanceId).then((nodeId) => nodeId === leader.nodeId, () => false));
      }),
  },
  'leader-killed-twice': {
    title: 'The leader of three managers dies without notice, and so does the next one as soon as it leads: the quorum is lost until they are back.',
    managers: 3,
    workers: 1,
    async run(play) {
      const first = await play.leader();
      await play.sameManagers(async () => {
        play.begin();
        await play.stage.region.killInstance(first.instanceId);
        await play.nextLeader(first);
        const second = await play.leader();
        await play.stage.region.killInstance(second.instanceId);
        await play.until('the second one is dead, too', async () => true);
        await play.until('other instances hold their seats', async () => play.holdSeats(3, [first.instanceId, second.instanceId]));
        await play.until('the swarm has a leader again', async () => (await play.nodes()).some(isLeader));
      });
    },
  },
  'zone-lost': {
    title: 'Everything in the zone of the leader dies without notice: one of three managers and one of three workers, with running tasks.',
    managers: 3,
    workers: 3,
    async run(play) {
      const { region } = play.stage;
      await play.startService();
      const leader = await play.leader();
      const zoneOf = (instanceId: string) => region.instances().find((one) => one.instanceId === instanceId)!.availabilityZone;
      const lost = [...play.stage.instances('manager'), ...play.stage.instances('worker')].filter((instanceId) => zoneOf(instanceId) === zoneOf(leader.instanceId));
      if (lost.length < 2) throw new Error('The zone has the leader alone.');
      const ids = new Set(await Promise.all(lost.map((instanceId) => play.nodeId(instanceId))));
      await play.sameManagers(async () => {
        play.begin();
        for (const instanceId of lost) await region.killInstance(instanceId);
        await play.nextLeader(leader);
        await play.until('its tasks run elsewhere', async () => (await play.tasks()).filter((task) => isRunning(task) && !ids.has(task.NodeID!)).length === REPLICAS);
      });
    },
  },
  'agent-killed-mid-drain': {
    title: "A worker with running tasks is terminated through its group, and the leader's agent dies while it drains it.",
    managers: 1,
    workers: 2,
    async run(play) {
      const worker = await play.busyWorker();
      const leader = await play.leader();
      play.begin();
      await play.terminate(worker.instanceId);
      await play.until('it is drained', async () => (await play.nodes()).some(({ ID, Spec }) => ID === worker.nodeId && Spec.Availability === 'drain'));
      await play.killAgent(leader.instanceId);
      await play.until("the leader's agent is dead", async () => true);
      await play.until('its node is removed', async () => {
        await play.expectOrder(worker);
        return !(await play.isListed(worker.nodeId));
      });
      await play.until('the instance is let go', async () => !play.hasOpenHook(worker.instanceId));
      await play.whole();
    },
  },
  'seats-retired': {
    title: 'A deployment makes three managers of five, and the leader dies while one of them is demoted.',
    managers: 5,
    workers: 1,
    next: { managers: 3, workers: 1 },
    async run(play) {
      const before = await play.nodes();
      play.begin();
      const deployed = play.stage.deployNext();
      deployed.catch(() => undefined);
      await play.until('the first is demoted', async () => (await play.nodes()).filter(({ Spec }) => Spec.Role === 'manager').length < 5);
      const leader = await play.leader();
      await play.stage.region.killInstance(leader.instanceId);
      await play.until('the leader is dead', async () => true);
      await play.until('the deployment is complete', () => deployed.then(() => true));
      await play.whole();
      const after = await play.nodes();
      if (after.filter(({ ManagerStatus }) => ManagerStatus).length !== 3 || after.some(({ ID }) => !before.some((one) => one.ID === ID))) throw new Error('The managers are not three of those that there were.');
    },
  },
  'rolling-update': {
    title: 'A deployment replaces all instances. In the first one a manager does not come back, and it is rolled back; the second one works.',
    managers: 3,
    workers: 2,
    deadlineMs: 15 * 60_000,
    async run(play) {
      await play.startService();
      await play.sameManagers(async () => {
        play.begin();
        const failure = await play.stage.deploy((template) => withSilentSeat(renewed(template, 'standard'), 1)).then(() => undefined, (error: Error) => error);
        if (!failure?.message.includes('Failed to receive 1 resource signal')) throw failure ?? new Error('The deployment succeeded, though a manager did not come back.');
        await play.until('the first one is rolled back', async () => true);
        await play.stage.whole();
        await play.until('the cluster is whole', async () => true);
        const before = [...play.stage.instances('manager'), ...play.stage.instances('worker')];
        await play.stage.deploy((template) => renewed(template, 'unlimited'));
        await play.until('the second one is complete', async () => true);
        await play.stage.whole();
        const left = [...play.stage.instances('manager'), ...play.stage.instances('worker')].filter((instanceId) => before.includes(instanceId));
        if (left.length > 0) throw new Error(`Not replaced: ${left.join(', ')}.`);
        await play.loadImage();
        await play.until('all tasks run', async () => (await play.tasks()).filter(isRunning).length === REPLICAS);
      });
    },
  },
  'volume-lost': {
    title: 'A manager dies, and its volume with it. A deployment gives its seat another volume.',
    managers: 3,
    workers: 1,
    next: { managers: 3, workers: 1, volumeGenerations: { 1: 2 } },
    async run(play) {
      const { region } = play.stage;
      const before = await play.nodes();
      const instanceId = region.instances().find(({ tags, state }) => tags[SEAT_TAG] === '1' && state === 'running')!.instanceId;
      const nodeId = await play.nodeId(instanceId);
      const { volumeId } = region.volumes().find(({ attachment }) => attachment?.instanceId === instanceId)!;
      play.begin();
      await region.killInstance(instanceId);
      await region.loseVolume(volumeId);
      await play.until('another instance holds its seat', async () => play.holdSeats(3, [instanceId]));
      await play.stage.deployNext();
      await play.until('the deployment is complete', async () => true);
      await play.whole();
      const after = await play.nodes();
      if (after.some(({ ID }) => ID === nodeId) || after.filter(({ ID }) => before.some((one) => one.ID === ID)).length !== before.length - 1) throw new Error('Not just that one manager is another node.');
    },
  },
  'disk-full': {
    title: 'The disk of a worker with running tasks is full, and its engine ends: it never starts again.',
    managers: 1,
    workers: 3,
    deadlineMs: 15 * 60_000,
    async run(play) {
      const { instanceId, nodeId } = await play.busyWorker();
      play.begin();
      await play.stage.machines.exec(instanceId, ['/bin/sh', '-c', FILL_DISK]);
      await play.killEngine(instanceId);
      await play.until('its tasks run elsewhere', async () => movedFrom(nodeId, await play.tasks()));
      await play.until('it is replaced', async () => !play.stage.instances('worker').includes(instanceId));
      await play.until('its node is removed', async () => !(await play.isListed(nodeId)));
      await play.whole();
    },
  },
};

/** Other instances all the same: CloudFormation replaces every one. */
function renewed(template: Template, CpuCredits: string): Template {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate') Object.assign(Properties!.LaunchTemplateData as object, { CreditSpecification: { CpuCredits } });
  }
  return template;
}

/** User data that does nothing, as with an image that does not boot; and a deployment that waits for a minute only. */
function withSilentSeat(template: Template, seat: number): Template {
  for (const [id, { Type, Properties, UpdatePolicy }] of Object.entries(template.Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate' && id.includes(`Seat${seat}`)) Object.assign(Properties!.LaunchTemplateData as object, { UserData: Buffer.from('#!/bin/sh\nexec sleep infinity\n').toString('base64') });
    if (Type === 'AWS::AutoScaling::AutoScalingGroup') (UpdatePolicy as { AutoScalingRollingUpdate: { PauseTime: string } }).AutoScalingRollingUpdate.PauseTime = 'PT1M';
  }
  return template;
}

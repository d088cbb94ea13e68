/**
 * What can happen to a cluster that has formed, on real engines: each scenario does one thing to it, waits until it is whole again, and says what came when, in milliseconds from the instance's end (or from the order to end it).
 */
import type { Clock } from '../protocol/clock';
import type { EmulatedRegion } from './aws/region';
import type { Moment, SwarmListEntry } from './messages';
import type { RealMachines } from './nodes/real-machines';

/** A cluster that has formed, and what scenarios do with it. */
export interface Stage {
  clock: Clock;
  region: EmulatedRegion;
  machines: RealMachines;
  /** Instances that run, by role, in the order in which they were launched. */
  instances(role: 'manager' | 'worker'): string[];
  /** The swarm's own node list, once every instance that runs is a Ready node of it, and nobody else is in it. */
  whole(): Promise<SwarmListEntry[]>;
}

export interface Scenario {
  title: string;
  managers: 1 | 3;
  workers: number;
  run(stage: Stage): Promise<Moment[]>;
}

const POLL_MS = 50;
const REPLICAS = 4;
/** The service's tasks do not hear SIGTERM (`sleep` is process 1), so that they use all of it. */
const STOP_GRACE = '10s';
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
    this.moments.push({ what, ms: this.stage.clock.now() - this.begun });
  }

  async startService(): Promise<void> {
    const { machines } = this.stage;
    for (const instanceId of this.stage.instances('worker')) await machines.exec(instanceId, ['sh', '-c', IMPORT]);
    await machines.exec(this.stage.instances('manager')[0]!, CREATE);
    while ((await this.tasks()).filter(isRunning).length < REPLICAS) await this.stage.clock.sleep(POLL_MS);
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
  Spec: { Availability: string };
  ManagerStatus?: { Leader?: boolean };
}

const isRunning = ({ DesiredState, Status }: Task) => DesiredState === 'running' && Status.State === 'running';

/** A node that had tasks: whether all of them run elsewhere. */
const movedFrom = (nodeId: string, tasks: Task[]) => tasks.filter((task) => isRunning(task) && task.NodeID !== nodeId).length === REPLICAS;

export const SCENARIOS: Record<string, Scenario> = {
  'worker-terminated': {
    title: 'A worker with running tasks is terminated through its group.',
    managers: 1,
    workers: 2,
    async run(stage) {
      const play = new Play(stage);
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
      return play.moments;
    },
  },
  'worker-killed': {
    title: 'A worker with running tasks dies without notice.',
    managers: 1,
    workers: 2,
    async run(stage) {
      const play = new Play(stage);
      const { instanceId, nodeId } = await play.busyWorker();
      play.begin();
      await stage.region.killInstance(instanceId);
      await play.until('its tasks run elsewhere', async () => movedFrom(nodeId, await play.tasks()));
      await play.until('its node is removed', async () => !(await play.isListed(nodeId)));
      await play.whole();
      return play.moments;
    },
  },
  'leader-killed': {
    title: 'The leader of three managers dies without notice.',
    managers: 3,
    workers: 1,
    async run(stage) {
      const play = new Play(stage);
      const leader = await play.leader();
      play.begin();
      await stage.region.killInstance(leader.instanceId);
      await play.nextLeader(leader);
      await play.until('its seat has another instance', async () => stage.instances('manager').length === 3);
      await play.whole();
      if (!(await play.isListed(leader.nodeId))) throw new Error('The seat came back as another node.');
      return play.moments;
    },
  },
  'engine-hung': {
    title: 'The engine of the leader of three managers hangs (SIGSTOP).',
    managers: 3,
    workers: 1,
    async run(stage) {
      const play = new Play(stage);
      const leader = await play.leader();
      const before = stage.instances('manager');
      play.begin();
      await stage.machines.hangEngine(leader.instanceId);
      await play.nextLeader(leader);
      await play.until('its engine answers again', () => play.nodeId(leader.instanceId).then((nodeId) => nodeId === leader.nodeId, () => false));
      await play.whole();
      if (stage.instances('manager').join() !== before.join()) throw new Error('An instance was replaced, though its engine could be started again.');
      return play.moments;
    },
  },
};

/**
 * What can happen to a cluster that has formed, on real engines: each scenario does one thing to it, waits until it is
 * whole again, and says what came when, in milliseconds from the instance's end (or from the order to end it).
 */
import type { RecoveryAnswer } from '../../protocol/recovery';
import { SPOT_NOTICE_MS } from '../aws/ec2/ec2';
import type { Moment } from '../display/results';
import { isLeader, isRunning, movedFrom, Play, REPLICAS, type Stage } from './play';
import type { Template } from '../assembly/synth';
import { MANY_CLIENTS } from './traffic';

export interface Scenario {
  title: string;
  managers: 1 | 3 | 5;
  workers: number;
  /** Workers are spot instances. @default false */
  spot?: true;
  /** A load balancer's listener, and a real proxy in its place. */
  listener?: { port: number; nodes: 'workers'; healthCheck: { port: number } };
  /** Published ports that the load balancer follows, on workers. */
  follow?: { from: number; to: number };
  /** Programs that it needs besides what real nodes need, and the Debian package of each. */
  needs?: Record<string, string>;
  /** The app that the scenario deploys later: context values. */
  next?: { managers: number; workers: number; volumeGenerations?: Record<string, number> };
  /** How long all of it may take, in milliseconds. @default 10 minutes */
  deadlineMs?: number;
  /** Requests are counted, and none of them may fail: nothing else is rehearsed beside it. @default false */
  alone?: boolean;
  run(play: Play): Promise<void>;
}

/** Longer than an election takes, and shorter than anybody is replaced after. */
const CUT_OFF_MS = 40_000;
/** A service's own port on the workers themselves: whoever is sent a connection has to have a task. */
const WEB_PORT = 8080;
const PROXY = { haproxy: 'haproxy', busybox: 'busybox-static' };
const BALANCED = {
  listener: { port: WEB_PORT, nodes: 'workers', healthCheck: { port: WEB_PORT } },
  needs: { ...PROXY, hey: 'hey' },
  alone: true,
} satisfies Partial<Scenario>;
/** Docker keeps everything there. */
const FILL_DISK = 'mount -t tmpfs -o size=64k tmpfs /var/lib/docker && ! head -c 1M /dev/zero > /var/lib/docker/full';
/** What came when, and what is worth being told besides. */
export async function playScenario(name: string, stage: Stage): Promise<{ moments: Moment[]; remarks: string[] }> {
  const play = new Play(stage);
  await SCENARIOS[name]!.run(play);
  return { moments: play.moments, remarks: play.remarks };
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
      await play.until('it is drained', () =>
        inOrder(async () =>
          (await play.nodes()).some(({ ID, Spec }) => ID === nodeId && Spec.Availability === 'drain'),
        ),
      );
      await play.until('its health check fails', () => inOrder(async () => !(await play.isHealthy(instanceId))));
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
  'balanced-worker-terminated': {
    title: 'A worker behind a load balancer is terminated through its group, under constant requests.',
    managers: 1,
    workers: 2,
    ...BALANCED,
    async run(play) {
      const served = await play.beginRequests();
      const instanceId = play.stage.instances('worker')[0]!;
      play.begin();
      await play.terminate(instanceId);
      await play.until('it is sent nothing more', async () => !play.isRouted(instanceId));
      await play.until('the instance is let go', async () => !play.hasOpenHook(instanceId));
      await play.whole();
      await play.endRequests(served);
    },
  },
  'balanced-worker-killed': {
    title:
      'A worker behind a load balancer dies without notice, under constant requests: they fail until the ' +
      'load balancer knows, and not afterwards.',
    managers: 1,
    workers: 2,
    ...BALANCED,
    async run(play) {
      const served = await play.beginRequests(MANY_CLIENTS);
      const instanceId = play.stage.instances('worker')[0]!;
      play.begin();
      // EC2 says nothing of it yet: the load balancer has its health check, and target-update what the swarm says.
      await play.stage.machines.kill(instanceId);
      await play.until('it is sent nothing more', async () => !play.isRouted(instanceId));
      const known = play.elapsed();
      await play.stage.region.killInstance(instanceId);
      await play.whole();
      await play.endRequests(served, known);
    },
  },
  'balanced-workers-replaced': {
    title: 'A deployment replaces all instances behind a load balancer, under constant requests.',
    managers: 1,
    workers: 2,
    ...BALANCED,
    deadlineMs: 15 * 60_000,
    async run(play) {
      const served = await play.beginRequests();
      const before = play.stage.instances('worker');
      play.begin();
      await play.stage.deploy((template) => renewed(template, 'standard'));
      await play.until('the deployment is complete', async () => true);
      await play.whole();
      if (play.stage.instances('worker').some((instanceId) => before.includes(instanceId)))
        throw new Error('A worker was not replaced.');
      await play.endRequests(served);
    },
  },
  'published-port': {
    title: 'A service publishes a port, then another one, then it is removed: the load balancer follows.',
    managers: 1,
    workers: 2,
    follow: { from: 8081, to: 8099 },
    needs: PROXY,
    alone: true,
    deadlineMs: 90_000,
    run: (play) => play.publishAndChange(),
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
  'manager-killed': {
    title: 'A manager that does not lead dies without notice.',
    managers: 3,
    workers: 1,
    async run(play) {
      const killed = await play.follower();
      const seat = play.seatOf(killed);
      await play.sameManagers(async () => {
        play.begin();
        await play.stage.region.killInstance(killed);
        await play.until('its seat has another instance', async () => play.holdSeats(3, [killed]));
        await play.follow(play.holderOf(seat)!, [
          ['userData', 'its user data has run'],
          ['volume', 'its volume is attached'],
          ['engine', 'its engine answers'],
          ['ready', 'it is Ready'],
        ]);
      });
    },
  },
  'two-managers-killed': {
    title:
      'Two of three managers, the leader among them, die in the same second: the quorum is lost until they are back.',
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
      const nodes = await Promise.all(
        play.stage
          .instances('worker')
          .slice(1)
          .map(async (instanceId) => ({ instanceId, nodeId: await play.nodeId(instanceId) })),
      );
      play.begin();
      for (const { instanceId } of nodes) await play.terminate(instanceId);
      await play.until('all five nodes are drained and removed', async () => {
        for (const node of nodes) await play.expectOrder(node);
        const left = await play.nodes();
        return !nodes.some(({ nodeId }) => left.some(({ ID }) => ID === nodeId));
      });
      await play.until(
        'all five are let go',
        async () => !nodes.some(({ instanceId }) => play.hasOpenHook(instanceId)),
      );
      await play.until(
        'all tasks run on others',
        async () =>
          (await play.tasks()).filter((task) => isRunning(task) && !nodes.some(({ nodeId }) => nodeId === task.NodeID))
            .length === REPLICAS,
      );
      await play.whole();
    },
  },
  'engine-hung': {
    title: 'The engine of the leader of three managers hangs (SIGSTOP).',
    managers: 3,
    workers: 1,
    run: (play) =>
      play.troubleLeader(async (leader) => {
        if (!(await play.isHealthy(leader.instanceId))) throw new Error('It does not say that it may be sent work.');
        await play.stage.machines.hangEngine(leader.instanceId);
        await play.until('its health check fails', async () => !(await play.isHealthy(leader.instanceId)));
        await play.nextLeader(leader);
        await play.until('its engine answers again', () =>
          play.nodeId(leader.instanceId).then(
            (nodeId) => nodeId === leader.nodeId,
            () => false,
          ),
        );
        await play.until('its health check passes again', () => play.isHealthy(leader.instanceId));
      }),
  },
  'leader-killed-twice': {
    title:
      'The leader of three managers dies without notice, and so does the next one as soon as it leads: the ' +
      'quorum is lost until they are back.',
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
        await play.until('other instances hold their seats', async () =>
          play.holdSeats(3, [first.instanceId, second.instanceId]),
        );
        await play.until('the swarm has a leader once more', async () => (await play.nodes()).some(isLeader));
      });
    },
  },
  'zone-lost': {
    title:
      'Everything in the zone of the leader dies without notice: one of three managers and one of three ' +
      'workers, with running tasks.',
    managers: 3,
    workers: 3,
    async run(play) {
      const { region } = play.stage;
      await play.startService();
      const leader = await play.leader();
      const zoneOf = (instanceId: string) =>
        region.instances().find((one) => one.instanceId === instanceId)!.availabilityZone;
      const lost = [...play.stage.instances('manager'), ...play.stage.instances('worker')].filter(
        (instanceId) => zoneOf(instanceId) === zoneOf(leader.instanceId),
      );
      if (lost.length < 2) throw new Error('The zone has the leader alone.');
      const ids = new Set(await Promise.all(lost.map((instanceId) => play.nodeId(instanceId))));
      await play.sameManagers(async () => {
        play.begin();
        for (const instanceId of lost) await region.killInstance(instanceId);
        await play.nextLeader(leader);
        await play.until(
          'its tasks run elsewhere',
          async () =>
            (await play.tasks()).filter((task) => isRunning(task) && !ids.has(task.NodeID!)).length === REPLICAS,
        );
      });
    },
  },
  'agent-killed-mid-drain': {
    title:
      "A worker with running tasks is terminated through its group, and the leader's agent dies while it drains it.",
    managers: 1,
    workers: 2,
    async run(play) {
      const worker = await play.busyWorker();
      const leader = await play.leader();
      play.begin();
      await play.terminate(worker.instanceId);
      await play.until('it is drained', async () =>
        (await play.nodes()).some(({ ID, Spec }) => ID === worker.nodeId && Spec.Availability === 'drain'),
      );
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
      await play.until(
        'the first is demoted',
        async () => (await play.nodes()).filter(({ Spec }) => Spec.Role === 'manager').length < 5,
      );
      const leader = await play.leader();
      await play.stage.region.killInstance(leader.instanceId);
      await play.until('the leader is dead', async () => true);
      await play.until('the deployment is complete', () => deployed.then(() => true));
      await play.whole();
      const after = await play.nodes();
      if (
        after.filter(({ ManagerStatus }) => ManagerStatus).length !== 3 ||
        after.some(({ ID }) => !before.some((one) => one.ID === ID))
      )
        throw new Error('The managers are not three of those that there were.');
    },
  },
  'rolling-update': {
    title:
      'A deployment replaces all instances. In the first one a manager does not come back, and it is ' +
      'rolled back; the second one works.',
    managers: 3,
    workers: 2,
    deadlineMs: 15 * 60_000,
    async run(play) {
      await play.startService();
      await play.sameManagers(async () => {
        play.begin();
        const failure = await play.stage
          .deploy((template) => withSilentSeat(renewed(template, 'standard'), 1))
          .then(
            () => undefined,
            (error: Error) => error,
          );
        if (!failure?.message.includes('Failed to receive 1 resource signal'))
          throw failure ?? new Error('The deployment succeeded, though a manager did not come back.');
        await play.until('the first one is rolled back', async () => true);
        await play.stage.whole();
        await play.until('the cluster is whole', async () => true);
        const before = [...play.stage.instances('manager'), ...play.stage.instances('worker')];
        await play.stage.deploy((template) => renewed(template, 'unlimited'));
        await play.until('the second one is complete', async () => true);
        await play.stage.whole();
        const left = [...play.stage.instances('manager'), ...play.stage.instances('worker')].filter((instanceId) =>
          before.includes(instanceId),
        );
        if (left.length > 0) throw new Error(`Not replaced: ${left.join(', ')}.`);
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
      const instanceId = play.holderOf('1')!;
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
      if (
        after.some(({ ID }) => ID === nodeId) ||
        after.filter(({ ID }) => before.some((one) => one.ID === ID)).length !== before.length - 1
      )
        throw new Error('Not just that one manager is another node.');
    },
  },
  'quorum-lost': {
    title:
      'Two of three managers die, and their volumes with them: the quorum is lost for good. A person says ' +
      'so, the third manager goes on alone, and a deployment gives the others other volumes.',
    managers: 3,
    workers: 2,
    next: { managers: 3, workers: 2, volumeGenerations: { 0: 2, 2: 2 } },
    deadlineMs: 20 * 60_000,
    async run(play) {
      const { region, machines } = play.stage;
      await play.startService();
      const survivor = play.holderOf('1')!;
      const nodeId = await play.nodeId(survivor);
      const { ID: swarmId } = (await machines.engine(survivor, '/swarm')) as { ID: string };
      play.begin();
      for (const seat of ['0', '2']) {
        const instanceId = play.holderOf(seat)!;
        const { volumeId } = region.volumes().find(({ attachment }) => attachment?.instanceId === instanceId)!;
        await region.killInstance(instanceId);
        await region.loseVolume(volumeId);
      }
      const ask = async (recover: object) =>
        (await region.invoke(region.functions().find(({ logicalId }) => logicalId.includes('NodeLeave'))!.logicalId, {
          recover,
        })) as RecoveryAnswer;
      const refused = await ask({ seat: 1, swarmId });
      if (!('refused' in refused)) throw new Error('The quorum was given up at once.');
      await play.until('it may be given up', async () => 'wouldDo' in (await ask({ seat: 1 })));
      const begun = await ask({ seat: 1, swarmId });
      if (!('begun' in begun)) throw new Error(`It was not given up: ${JSON.stringify(begun)}`);
      await play.until(
        'the third manager goes on alone',
        async () => (await play.nodes()).filter(({ ManagerStatus }) => ManagerStatus).length === 1,
      );
      await play.until('the others are taken out of the swarm', async () => (await play.nodes()).length === 3);
      const { ID } = (await machines.engine(survivor, '/swarm')) as { ID: string };
      if (ID !== swarmId || (await play.nodeId(survivor)) !== nodeId)
        throw new Error('It is another swarm, or the manager is another node.');
      await play.until('all tasks run', async () => (await play.tasks()).filter(isRunning).length === REPLICAS);
      await play.stage.deployNext();
      await play.until('the deployment is complete', async () => true);
      await play.whole();
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
    if (Type === 'AWS::EC2::LaunchTemplate')
      Object.assign(Properties!.LaunchTemplateData as object, { CreditSpecification: { CpuCredits } });
  }
  return template;
}

/** User data that does nothing, as with an image that does not boot; and a deployment that waits for a minute only. */
function withSilentSeat(template: Template, seat: number): Template {
  for (const [id, { Type, Properties, UpdatePolicy }] of Object.entries(template.Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate' && id.includes(`Seat${seat}`))
      Object.assign(Properties!.LaunchTemplateData as object, {
        UserData: Buffer.from('#!/bin/sh\nexec sleep infinity\n').toString('base64'),
      });
    if (Type === 'AWS::AutoScaling::AutoScalingGroup')
      (UpdatePolicy as { AutoScalingRollingUpdate: { PauseTime: string } }).AutoScalingRollingUpdate.PauseTime = 'PT1M';
  }
  return template;
}

/**
 * Failure scenarios for a formed cluster on real engines. Each does one thing to the cluster, waits until it has
 * converged, and records what happened when, in milliseconds from the end of the instance (or from the command that
 * ends it).
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
  /** A listener of a load balancer; a real proxy takes its place. */
  listener?: { port: number; nodes: 'workers'; healthCheck: { port: number } };
  /** Published ports that the load balancer follows, on workers. */
  follow?: { from: number; to: number };
  /** Programs it needs beyond those that real nodes need, and the Debian package of each. */
  needs?: Record<string, string>;
  /** Context values of the app that the scenario deploys later. */
  next?: { managers: number; workers: number; volumeGenerations?: Record<string, number> };
  /** How long the whole run may take, in milliseconds. @default 10 minutes */
  deadlineMs?: number;
  /** Runs alone, because it counts requests and none may fail. @default false */
  alone?: boolean;
  run(play: Play): Promise<void>;
}

/** Longer than an election takes, and shorter than it takes until an instance is replaced. */
const CUT_OFF_MS = 40_000;
/** A service's host-mode port on the workers: a worker that gets a connection needs a task. */
const WEB_PORT = 8080;
const PROXY = { haproxy: 'haproxy' };
const BALANCED = {
  listener: { port: WEB_PORT, nodes: 'workers', healthCheck: { port: WEB_PORT } },
  needs: { ...PROXY, hey: 'hey' },
  alone: true,
} satisfies Partial<Scenario>;
/** Docker stores all its data there. */
const FILL_DISK = 'mount -t tmpfs -o size=64k tmpfs /var/lib/docker && ! head -c 1M /dev/zero > /var/lib/docker/full';
/** Plays a scenario. @returns what happened when, and its other results */
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
      await play.until('its terminate hook is completed', async () => !play.hasOpenHook(instanceId));
      await play.converged();
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
      await play.converged();
    },
  },
  'balanced-worker-terminated': {
    title: 'A worker behind a load balancer is terminated through its group under constant load.',
    managers: 1,
    workers: 2,
    ...BALANCED,
    async run(play) {
      const served = await play.beginRequests();
      const instanceId = play.stage.instances('worker')[0]!;
      play.begin();
      await play.terminate(instanceId);
      await play.until('it gets no new connections', async () => !play.isRouted(instanceId));
      await play.until('its terminate hook is completed', async () => !play.hasOpenHook(instanceId));
      await play.converged();
      await play.endRequests(served);
    },
  },
  'balanced-worker-killed': {
    title:
      'A worker behind a load balancer dies without notice under constant load: requests fail until the ' +
      'load balancer notices, and not afterwards.',
    managers: 1,
    workers: 2,
    ...BALANCED,
    async run(play) {
      const served = await play.beginRequests(MANY_CLIENTS);
      const instanceId = play.stage.instances('worker')[0]!;
      play.begin();
      // EC2 does not report it yet: the load balancer only has its health check, target-update only the swarm's report.
      await play.stage.machines.kill(instanceId);
      await play.until('it gets no new connections', async () => !play.isRouted(instanceId));
      const known = play.elapsed();
      await play.stage.region.killInstance(instanceId);
      await play.converged();
      await play.endRequests(served, known);
    },
  },
  'balanced-workers-replaced': {
    title: 'A deployment replaces all instances behind a load balancer under constant load.',
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
      await play.converged();
      if (play.stage.instances('worker').some((instanceId) => before.includes(instanceId)))
        throw new Error('A worker was not replaced.');
      await play.endRequests(served);
    },
  },
  'published-port': {
    title: 'A service publishes a port, then another one, then it is removed; the load balancer follows.',
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
        await play.until('its seat has a new instance', async () => play.stage.instances('manager').length === 3);
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
        await play.until('its seat has a new instance', async () => play.holdSeats(3, [killed]));
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
      'Two of three managers, including the leader, die in the same second: the quorum is lost until they are back.',
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
        await play.until('its terminate hook is completed', async () => !play.hasOpenHook(leader.instanceId));
        await play.nextLeader(leader);
      });
    },
  },
  'manager-cut-off': {
    title: 'The leader of three managers is cut off from the network for 40 seconds.',
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
    title: 'A spot worker with running tasks gets an interruption notice; EC2 reclaims it two minutes later.',
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
      await play.until('its terminate hook is completed', async () => !play.hasOpenHook(worker.instanceId));
      if (play.elapsed() >= SPOT_NOTICE_MS) throw new Error('EC2 had already reclaimed it.');
      await play.converged();
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
        'all five terminate hooks are completed',
        async () => !nodes.some(({ instanceId }) => play.hasOpenHook(instanceId)),
      );
      await play.until(
        'all tasks run on other nodes',
        async () =>
          (await play.tasks()).filter((task) => isRunning(task) && !nodes.some(({ nodeId }) => nodeId === task.NodeID))
            .length === REPLICAS,
      );
      await play.converged();
    },
  },
  'engine-hung': {
    title: 'The engine of the leader of three managers hangs (SIGSTOP).',
    managers: 3,
    workers: 1,
    run: (play) =>
      play.troubleLeader(async (leader) => {
        if (!(await play.isHealthy(leader.instanceId))) throw new Error('Its health check does not pass.');
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
      'The leader of three managers dies without notice, and the next leader dies as soon as it is elected: ' +
      'the quorum is lost until they are back.',
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
        await play.until('the second one is dead', async () => true);
        await play.until('new instances hold their seats', async () =>
          play.holdSeats(3, [first.instanceId, second.instanceId]),
        );
        await play.until('the swarm has a third leader', async () => (await play.nodes()).some(isLeader));
      });
    },
  },
  'zone-lost': {
    title:
      "Everything in the leader's zone dies without notice: one of three managers, and one of three workers " +
      'with running tasks.',
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
      if (lost.length < 2) throw new Error("No worker runs in the leader's zone.");
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
      "A worker with running tasks is terminated through its group, and the leader's agent dies while draining it.",
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
      await play.until('its terminate hook is completed', async () => !play.hasOpenHook(worker.instanceId));
      await play.converged();
    },
  },
  'seats-retired': {
    title: 'A deployment reduces five managers to three, and the leader dies while one of them is demoted.',
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
      await play.converged();
      const after = await play.nodes();
      if (
        after.filter(({ ManagerStatus }) => ManagerStatus).length !== 3 ||
        after.some(({ ID }) => !before.some((one) => one.ID === ID))
      )
        throw new Error('The managers are not three of the original five.');
    },
  },
  'rolling-update': {
    title:
      'A deployment replaces all instances, but a manager does not come back, and it is rolled back; a ' +
      'second deployment succeeds.',
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
          throw failure ?? new Error('The deployment succeeded although a manager did not come back.');
        await play.until('the first deployment is rolled back', async () => true);
        await play.stage.converged();
        await play.until('the cluster has converged after the rollback', async () => true);
        const before = [...play.stage.instances('manager'), ...play.stage.instances('worker')];
        await play.stage.deploy((template) => renewed(template, 'unlimited'));
        await play.until('the second deployment is complete', async () => true);
        await play.stage.converged();
        const left = [...play.stage.instances('manager'), ...play.stage.instances('worker')].filter((instanceId) =>
          before.includes(instanceId),
        );
        if (left.length > 0) throw new Error(`Not replaced: ${left.join(', ')}.`);
        await play.until('all tasks run', async () => (await play.tasks()).filter(isRunning).length === REPLICAS);
      });
    },
  },
  'volume-lost': {
    title: 'A manager dies and its volume is lost. A deployment gives its seat a new volume.',
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
      await play.until('a new instance holds its seat', async () => play.holdSeats(3, [instanceId]));
      await play.stage.deployNext();
      await play.until('the deployment is complete', async () => true);
      await play.converged();
      const after = await play.nodes();
      if (
        after.some(({ ID }) => ID === nodeId) ||
        after.filter(({ ID }) => before.some((one) => one.ID === ID)).length !== before.length - 1
      )
        throw new Error('More than the one manager became a new node.');
    },
  },
  'quorum-lost': {
    title:
      'Two of three managers die and their volumes are lost: the quorum is lost for good. An operator ' +
      'recovers it, the third manager goes on alone, and a deployment gives the others new volumes.',
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
      if (!('refused' in refused)) throw new Error('The recovery was accepted at once.');
      await play.until('the recovery may begin', async () => 'wouldDo' in (await ask({ seat: 1 })));
      const begun = await ask({ seat: 1, swarmId });
      if (!('begun' in begun)) throw new Error(`The recovery did not begin: ${JSON.stringify(begun)}`);
      await play.until(
        'the third manager goes on alone',
        async () => (await play.nodes()).filter(({ ManagerStatus }) => ManagerStatus).length === 1,
      );
      await play.until('the others are removed from the swarm', async () => (await play.nodes()).length === 3);
      const { ID } = (await machines.engine(survivor, '/swarm')) as { ID: string };
      if (ID !== swarmId || (await play.nodeId(survivor)) !== nodeId)
        throw new Error('The swarm or the node is not the same.');
      await play.until('all tasks run', async () => (await play.tasks()).filter(isRunning).length === REPLICAS);
      await play.stage.deployNext();
      await play.until('the deployment is complete', async () => true);
      await play.converged();
    },
  },
  'disk-full': {
    title: 'The disk of a worker with running tasks is full; its engine ends and never starts again.',
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
      await play.converged();
    },
  },
};

/** A change that makes CloudFormation replace every instance. */
function renewed(template: Template, CpuCredits: string): Template {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    if (Type === 'AWS::EC2::LaunchTemplate')
      Object.assign(Properties!.LaunchTemplateData as object, { CreditSpecification: { CpuCredits } });
  }
  return template;
}

/**
 * A seat whose user data does nothing, like an image that does not boot, and a deployment that waits only one minute.
 */
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

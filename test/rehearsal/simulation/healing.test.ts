/**
 * What other swarms on AWS died of, one test each: a cluster that has formed loses something at one certain moment, and
 * becomes whole again, without a breach of what must never happen.
 */
import type { Call } from '../../../rehearsal/simulation/cluster/aws-link';
import type { SimulatedNode } from '../../../rehearsal/simulation/cluster/node';
import { MINUTE, Story } from './support';

jest.setTimeout(60_000);

const THREE = { managers: 3, workers: 2 };

async function formed(setup = THREE): Promise<Story> {
  const story = await Story.begin(setup);
  await story.whole();
  return story;
}

const swarm = ({ cluster }: Story) => cluster.docker.swarms()[0]!;
const managers = (story: Story) => [0, 1, 2].flatMap((seat) => story.seat(seat) ?? []);
const lose = (story: Story, { identity }: SimulatedNode) => story.cluster.loseInstance(identity.instanceId);

function leader(story: Story): SimulatedNode {
  const { leader: nodeId } = swarm(story);
  return managers(story).find(({ daemon }) => daemon.runner?.nodeId === nodeId)!;
}

/** Whole again, with the same managers by their identities: nobody joined afresh, nobody is one too many. */
async function expectSameManagers(story: Story, before: string[]): Promise<void> {
  await story.pass(1_000);
  await story.whole();
  expect(
    swarm(story)
      .members.map(({ nodeId }) => nodeId)
      .sort(),
  ).toEqual(before);
}

const identities = (story: Story) =>
  swarm(story)
    .members.map(({ nodeId }) => nodeId)
    .sort();

test('the leader is killed twice in a row', async () => {
  const story = await formed();
  const before = identities(story);
  lose(story, leader(story));
  await story.until(() => leader(story) !== undefined);
  lose(story, leader(story));
  await expectSameManagers(story, before);
});

test.each([2, 3])('%i of three managers are killed in the same moment', async (count) => {
  const story = await formed();
  const before = identities(story);
  for (const manager of managers(story).slice(0, count)) lose(story, manager);
  await expectSameManagers(story, before);
});

test('all managers are terminated in the same second: they leave one by one, never without a quorum', async () => {
  const story = await formed();
  const before = identities(story);
  const first = new Set(managers(story).map(({ identity: { instanceId } }) => instanceId));
  for (const manager of managers(story)) story.terminate(manager);
  let lost = 0;
  story.cluster.docker.onEvent(() => (lost += swarm(story).hasQuorum ? 0 : 1));
  await expectSameManagers(story, before);
  expect(lost).toBe(0);
  // The next one does not wait for the sweep: it goes as soon as the last one's successor is admitted, and its own
  // tasks have had their time.
  const completed = (hook: string) =>
    story.events
      .filter(
        ({ what, subject, detail }) =>
          what === 'hook-completed' &&
          detail.hook === hook &&
          !first.has(subject) === (hook === 'launch') &&
          /Seat/.test(String(detail.group)),
      )
      .map(({ at }) => at);
  const [, ...gone] = completed('terminate');
  const admitted = completed('launch');
  expect(gone).toHaveLength(2);
  for (const [n, at] of gone.entries()) expect(at - admitted[n]!).toBeLessThan(20_000);
});

test(
  'a function dies between the two tombstones of the leader, another manager breaks, and the engine of the ' +
    'first hangs: nobody waits for ever',
  async () => {
    const story = await formed();
    const before = identities(story);
    const boss = leader(story);
    const { instanceId } = boss.identity;
    const buries = ({ input }: Call) =>
      JSON.stringify(input).includes(instanceId) &&
      (input.Item?.tombstone !== undefined || /SET #tombstone/.test(input.UpdateExpression));
    let tombstones = 0;
    story.onCall = (call) => {
      if (!buries(call) || ++tombstones > 1) return;
      for (const name of ['node-join', 'node-leave']) story.cluster.functions.kill(name);
      managers(story)
        .find((other) => other !== boss)!
        .breakDown();
    };
    story.terminate(boss);
    await story.until(() => tombstones === 1);
    await story.pass(2 * MINUTE);
    expect(boss.on).toBe(true);
    boss.hangEngine();
    await expectSameManagers(story, before);
  },
);

test('two workers are terminated in the same second', async () => {
  const story = await formed();
  const gone = story.workers();
  for (const worker of gone) story.terminate(worker);
  await story.pass(1_000);
  await story.whole();
  expect(story.workers().some((worker) => gone.includes(worker))).toBe(false);
});

test('a worker is terminated before its join has finished: it never becomes a node that nobody is', async () => {
  const story = await Story.begin(THREE);
  let joining: SimulatedNode | undefined;
  story.onEffect = (node, effect) => {
    if (joining || effect !== 'joinSwarm' || node.role !== 'worker') return;
    joining = node;
    story.terminate(node);
  };
  await story.until(() => joining !== undefined);
  await story.whole(30 * MINUTE);
  expect(swarm(story).nodes.some(({ instanceId }) => instanceId === joining!.identity.instanceId)).toBe(false);
});

/** In the moment in which the leader's agent is about to do this, its instance dies. */
async function leaderDiesAt(effect: string, provoke: (story: Story) => void): Promise<void> {
  const story = await formed();
  const before = identities(story);
  let died: SimulatedNode | undefined;
  story.onEffect = (node, what, argument) => {
    if (died || !(argument === undefined ? what : `${what} ${JSON.stringify(argument)}`).startsWith(effect)) return;
    died = node;
    lose(story, node);
  };
  provoke(story);
  await story.until(() => died !== undefined);
  await expectSameManagers(story, before);
}

test('the leader dies while it drains a worker', () =>
  leaderDiesAt('updateNode', (story) => story.terminate(story.workers()[0]!)));

test('the leader dies while it removes a worker', () =>
  leaderDiesAt('removeNode', (story) => story.terminate(story.workers()[0]!)));

test('the leader dies while a worker is admitted', () =>
  leaderDiesAt('labelSwarm', (story) => lose(story, story.workers()[0]!)));

test('an engine hangs: its agent kills it, and it is the same node again', async () => {
  const story = await formed();
  const before = swarm(story)
    .nodes.map(({ id }) => id)
    .sort();
  const [worker] = story.workers();
  worker!.hangEngine();
  leader(story).hangEngine();
  await story.until(() => story.missing().length > 0);
  await story.whole();
  expect(
    swarm(story)
      .nodes.map(({ id }) => id)
      .sort(),
  ).toEqual(before);
  expect(story.workers()).toContain(worker);
});

test.each(['worker', 'manager'])(
  'an engine of a %s never starts again, as on a disk that is full: its instance is replaced',
  async (role) => {
    const story = await formed();
    const before = identities(story);
    const broken = role === 'worker' ? story.workers()[0]! : leader(story);
    broken.breakDown();
    await story.until(() => story.missing().length > 0);
    await expectSameManagers(story, before);
    expect(broken.on).toBe(false);
  },
);

test('a node that is drained, paused or demoted by hand is left as it is', async () => {
  const story = await formed({ managers: 3, workers: 4 });
  const boss = leader(story).daemon;
  const idOf = (node: SimulatedNode) => node.daemon.runner!.nodeId!;
  const [drained, paused] = story.workers();
  const demoted = managers(story).find(({ daemon }) => daemon !== boss)!;
  const own = [
    boss.updateNode(idOf(drained!), { availability: 'drain' }),
    boss.updateNode(idOf(paused!), { availability: 'pause' }),
  ];
  await story.pass(5_000);
  await Promise.all(own);
  const later = boss.updateNode(idOf(demoted), { role: 'worker' });
  await story.pass(20 * MINUTE);
  await later;
  const states = new Map(
    swarm(story).nodes.map(({ instanceId, availability, role }) => [instanceId, `${role} ${availability}`]),
  );
  expect([drained, paused, demoted].map((node) => states.get(node!.identity.instanceId))).toEqual([
    'worker drain',
    'worker pause',
    'worker active',
  ]);
  expect([drained, paused, demoted].every((node) => node!.on)).toBe(true);
  expect(story.invariants.breaches).toEqual([]);
  // Its successor takes its place, as what it was or as a manager again.
  story.terminate(demoted);
  const seatGroup = () =>
    story.cluster.region
      .groups()
      .find(({ instances }) =>
        instances.some(({ instanceId }) => instanceId === story.seat(demoted.seat!)?.identity.instanceId),
      );
  await story.until(() => !demoted.on && seatGroup()?.instances[0]?.state === 'InService');
  await story.pass(20 * MINUTE);
  expect(seatGroup()?.instances.map(({ state }) => state)).toEqual(['InService']);
  expect(story.invariants.breaches).toEqual([]);
});

test('a worker promoted by hand is part of the quorum: it leaves when the others are one without it', async () => {
  const story = await formed({ managers: 3, workers: 2 });
  const boss = leader(story).daemon;
  const [promoted] = story.workers();
  const change = boss.updateNode(promoted!.daemon.runner!.nodeId!, { role: 'manager' });
  await story.pass(5_000);
  await change;
  await story.until(() => swarm(story).members.length === 4);
  const victim = managers(story).find(({ daemon, seat }) => seat !== undefined && daemon !== boss)!;
  const lost = () => !swarm(story).hasQuorum;
  lose(story, victim);
  story.terminate(promoted!);
  let without = 0;
  story.cluster.docker.onEvent(() => (without += lost() ? 1 : 0));
  await story.until(() => !promoted!.on);
  await story.whole();
  expect(without).toBe(0);
});

test('an operator removes a node whose engine is down: its instance is replaced, and joins as another', async () => {
  const story = await formed();
  const [worker] = story.workers();
  const id = worker!.daemon.runner!.nodeId!;
  worker!.breakDown();
  await story.until(() => swarm(story).nodes.find((node) => node.id === id)!.state === 'down');
  const removed = leader(story).daemon.removeNode(id, { force: false });
  await story.pass(1_000);
  await removed;
  await story.whole();
  expect(worker!.on).toBe(false);
});

test(
  'a manager that was terminated knew the join tokens: others take their place, and who comes later joins ' +
    'with these',
  async () => {
    const story = await formed();
    const { managerToken } = swarm(story);
    story.terminate(managers(story)[1]!);
    await story.until(() => swarm(story).managerToken !== managerToken);
    await story.whole();
    const [worker] = story.workers();
    story.terminate(worker!);
    await story.until(() => !story.workers().includes(worker!));
    await story.whole();
    expect(story.logs.filter((line) => line.includes('Rotated the join tokens.'))).toHaveLength(1);
  },
);

test(
  'an engine dies while raft takes it in, and comes back deaf, but with a session, so that it is admitted: ' +
    'it is taken out, and joins afresh',
  async () => {
    const isDeafInSession = ({ daemon: { runner } }: SimulatedNode) =>
      runner?.peer?.deaf === true && runner.status === 'active';
    let admitted = 0;
    // Whether its node finds the leader before its own manager is there is chance.
    for (let seed = 1; admitted === 0 && seed <= 10; seed++) {
      const story = await Story.begin(THREE, { seed });
      story.cluster.docker.onEvent(({ what, nodeId }) => {
        const third = managers(story).find(({ daemon }) => daemon.runner?.nodeId === nodeId);
        if (what === 'raft-member-added' && swarm(story).members.length === 3)
          void story.cluster.clock.sleep(1).then(() => third?.killEngine());
      });
      await story.until(() => swarm(story)?.members.length === 3);
      await story.pass(10_000);
      const deaf = managers(story).find(isDeafInSession);
      if (!deaf) continue;
      const { nodeId } = deaf.daemon.runner!;
      await story.until(() => story.stack === 'created');
      admitted += isDeafInSession(deaf) ? 1 : 0;
      await story.whole();
      expect(identities(story)).not.toContain(nodeId);
    }
    expect(admitted).toBe(1);
  },
);

/** What other swarms on AWS died of, one test each: a cluster that has formed loses something at one certain moment, and becomes whole again, without a breach of what must never happen. */
import type { Call } from '../../../rehearsal/simulation/aws-link';
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import { MINUTE, Scenario } from './support';

jest.setTimeout(60_000);

const THREE = { managers: 3, workers: 2 };

async function formed(setup = THREE): Promise<Scenario> {
  const scenario = await Scenario.begin(setup);
  await scenario.whole();
  return scenario;
}

const swarm = ({ cluster }: Scenario) => cluster.docker.swarms()[0]!;
const managers = (scenario: Scenario) => [0, 1, 2].flatMap((seat) => scenario.seat(seat) ?? []);
const lose = (scenario: Scenario, { identity }: SimulatedNode) => scenario.cluster.loseInstance(identity.instanceId);

function leader(scenario: Scenario): SimulatedNode {
  const { leader: nodeId } = swarm(scenario);
  return managers(scenario).find(({ daemon }) => daemon.runner?.nodeId === nodeId)!;
}

/** Whole again, with the same managers by their identities: nobody joined afresh, nobody is one too many. */
async function expectSameManagers(scenario: Scenario, before: string[]): Promise<void> {
  await scenario.pass(1_000);
  await scenario.whole();
  expect(swarm(scenario).members.map(({ nodeId }) => nodeId).sort()).toEqual(before);
}

const identities = (scenario: Scenario) => swarm(scenario).members.map(({ nodeId }) => nodeId).sort();

test('the leader is killed twice in a row', async () => {
  const scenario = await formed();
  const before = identities(scenario);
  lose(scenario, leader(scenario));
  await scenario.until(() => leader(scenario) !== undefined);
  lose(scenario, leader(scenario));
  await expectSameManagers(scenario, before);
});

test.each([2, 3])('%i of three managers are killed in the same moment', async (count) => {
  const scenario = await formed();
  const before = identities(scenario);
  for (const manager of managers(scenario).slice(0, count)) lose(scenario, manager);
  await expectSameManagers(scenario, before);
});

test('all managers are terminated in the same second: they leave one after the other, and never without a quorum', async () => {
  const scenario = await formed();
  const before = identities(scenario);
  const first = new Set(managers(scenario).map(({ identity: { instanceId } }) => instanceId));
  for (const manager of managers(scenario)) scenario.terminate(manager);
  let lost = 0;
  scenario.cluster.docker.onEvent(() => (lost += swarm(scenario).hasQuorum ? 0 : 1));
  await expectSameManagers(scenario, before);
  expect(lost).toBe(0);
  // The next one does not wait for the sweep: it goes as soon as the last one's successor is admitted, and its own tasks have had their time.
  const completed = (hook: string) => scenario.events.filter(({ what, subject, detail }) => what === 'hook-completed' && detail.hook === hook && !first.has(subject) === (hook === 'launch') && /Seat/.test(String(detail.group))).map(({ at }) => at);
  const [, ...gone] = completed('terminate');
  const admitted = completed('launch');
  expect(gone).toHaveLength(2);
  for (const [n, at] of gone.entries()) expect(at - admitted[n]!).toBeLessThan(20_000);
});

test('a function dies between the two tombstones of the leader, another manager breaks, and the engine of the first hangs: nobody waits for ever', async () => {
  const scenario = await formed();
  const before = identities(scenario);
  const boss = leader(scenario);
  const { instanceId } = boss.identity;
  const buries = ({ input }: Call) => JSON.stringify(input).includes(instanceId) && (input.Item?.tombstone !== undefined || /SET #tombstone/.test(input.UpdateExpression));
  let tombstones = 0;
  scenario.onCall = (call) => {
    if (!buries(call) || ++tombstones > 1) return;
    for (const name of ['node-join', 'node-leave']) scenario.cluster.functions.kill(name);
    managers(scenario).find((other) => other !== boss)!.breakDown();
  };
  scenario.terminate(boss);
  await scenario.until(() => tombstones === 1);
  await scenario.pass(2 * MINUTE);
  expect(boss.on).toBe(true);
  boss.hangEngine();
  await expectSameManagers(scenario, before);
});

test('two workers are terminated in the same second', async () => {
  const scenario = await formed();
  const gone = scenario.workers();
  for (const worker of gone) scenario.terminate(worker);
  await scenario.pass(1_000);
  await scenario.whole();
  expect(scenario.workers().some((worker) => gone.includes(worker))).toBe(false);
});

test('a worker is terminated before its join has finished: it never becomes a node that nobody is', async () => {
  const scenario = await Scenario.begin(THREE);
  let joining: SimulatedNode | undefined;
  scenario.onEffect = (node, effect) => {
    if (joining || effect !== 'joinSwarm' || node.role !== 'worker') return;
    joining = node;
    scenario.terminate(node);
  };
  await scenario.until(() => joining !== undefined);
  await scenario.whole(30 * MINUTE);
  expect(swarm(scenario).nodes.some(({ instanceId }) => instanceId === joining!.identity.instanceId)).toBe(false);
});

/** In the moment in which the leader's agent is about to do this, its instance dies. */
async function leaderDiesAt(effect: string, provoke: (scenario: Scenario) => void): Promise<void> {
  const scenario = await formed();
  const before = identities(scenario);
  let died: SimulatedNode | undefined;
  scenario.onEffect = (node, what, argument) => {
    if (died || !(argument === undefined ? what : `${what} ${JSON.stringify(argument)}`).startsWith(effect)) return;
    died = node;
    lose(scenario, node);
  };
  provoke(scenario);
  await scenario.until(() => died !== undefined);
  await expectSameManagers(scenario, before);
}

test('the leader dies while it drains a worker', () => leaderDiesAt('updateNode', (scenario) => scenario.terminate(scenario.workers()[0]!)));

test('the leader dies while it removes a worker', () => leaderDiesAt('removeNode', (scenario) => scenario.terminate(scenario.workers()[0]!)));

test('the leader dies while a worker is admitted', () => leaderDiesAt('labelSwarm', (scenario) => lose(scenario, scenario.workers()[0]!)));

test('an engine hangs: its agent kills it, and it is the same node again', async () => {
  const scenario = await formed();
  const before = swarm(scenario).nodes.map(({ id }) => id).sort();
  const [worker] = scenario.workers();
  worker!.hangEngine();
  leader(scenario).hangEngine();
  await scenario.until(() => scenario.missing().length > 0);
  await scenario.whole();
  expect(swarm(scenario).nodes.map(({ id }) => id).sort()).toEqual(before);
  expect(scenario.workers()).toContain(worker);
});

test.each(['worker', 'manager'])('an engine of a %s never starts again, as on a disk that is full: its instance is replaced', async (role) => {
  const scenario = await formed();
  const before = identities(scenario);
  const broken = role === 'worker' ? scenario.workers()[0]! : leader(scenario);
  broken.breakDown();
  await scenario.until(() => scenario.missing().length > 0);
  await expectSameManagers(scenario, before);
  expect(broken.on).toBe(false);
});

test('a node that is drained, paused or demoted by hand is left as it is', async () => {
  const scenario = await formed({ managers: 3, workers: 4 });
  const boss = leader(scenario).daemon;
  const idOf = (node: SimulatedNode) => node.daemon.runner!.nodeId!;
  const [drained, paused] = scenario.workers();
  const demoted = managers(scenario).find(({ daemon }) => daemon !== boss)!;
  const own = [
    boss.updateNode(idOf(drained!), { availability: 'drain' }),
    boss.updateNode(idOf(paused!), { availability: 'pause' }),
  ];
  await scenario.pass(5_000);
  await Promise.all(own);
  const later = boss.updateNode(idOf(demoted), { role: 'worker' });
  await scenario.pass(20 * MINUTE);
  await later;
  const states = new Map(swarm(scenario).nodes.map(({ instanceId, availability, role }) => [instanceId, `${role} ${availability}`]));
  expect([drained, paused, demoted].map((node) => states.get(node!.identity.instanceId))).toEqual(['worker drain', 'worker pause', 'worker active']);
  expect([drained, paused, demoted].every((node) => node!.on)).toBe(true);
  expect(scenario.invariants.breaches).toEqual([]);
  // Its successor takes its place, as what it was or as a manager again.
  scenario.terminate(demoted);
  const seatGroup = () => scenario.cluster.region.groups().find(({ instances }) => instances.some(({ instanceId }) => instanceId === scenario.seat(demoted.seat!)?.identity.instanceId));
  await scenario.until(() => !demoted.on && seatGroup()?.instances[0]?.state === 'InService');
  await scenario.pass(20 * MINUTE);
  expect(seatGroup()?.instances.map(({ state }) => state)).toEqual(['InService']);
  expect(scenario.invariants.breaches).toEqual([]);
});

test('a worker that was promoted by hand is part of the quorum: it leaves when the others are one without it', async () => {
  const scenario = await formed({ managers: 3, workers: 2 });
  const boss = leader(scenario).daemon;
  const [promoted] = scenario.workers();
  const change = boss.updateNode(promoted!.daemon.runner!.nodeId!, { role: 'manager' });
  await scenario.pass(5_000);
  await change;
  await scenario.until(() => swarm(scenario).members.length === 4);
  const victim = managers(scenario).find(({ daemon, seat }) => seat !== undefined && daemon !== boss)!;
  const lost = () => !swarm(scenario).hasQuorum;
  lose(scenario, victim);
  scenario.terminate(promoted!);
  let without = 0;
  scenario.cluster.docker.onEvent(() => (without += lost() ? 1 : 0));
  await scenario.until(() => !promoted!.on);
  await scenario.whole();
  expect(without).toBe(0);
});

test('an operator removes a node whose engine is down: its instance is replaced, and joins as another', async () => {
  const scenario = await formed();
  const [worker] = scenario.workers();
  const id = worker!.daemon.runner!.nodeId!;
  worker!.breakDown();
  await scenario.until(() => swarm(scenario).nodes.find((node) => node.id === id)!.state === 'down');
  const removed = leader(scenario).daemon.removeNode(id, { force: false });
  await scenario.pass(1_000);
  await removed;
  await scenario.whole();
  expect(worker!.on).toBe(false);
});

test('a manager that was terminated knew the join tokens: others take their place, and who comes later joins with these', async () => {
  const scenario = await formed();
  const { managerToken } = swarm(scenario);
  scenario.terminate(managers(scenario)[1]!);
  await scenario.until(() => swarm(scenario).managerToken !== managerToken);
  await scenario.whole();
  const [worker] = scenario.workers();
  scenario.terminate(worker!);
  await scenario.until(() => !scenario.workers().includes(worker!));
  await scenario.whole();
  expect(scenario.logs.filter((line) => line.includes('Rotated the join tokens.'))).toHaveLength(1);
});

test('an engine dies while raft takes it in, and comes back deaf, but with a session, so that it is admitted: it is taken out, and joins afresh', async () => {
  const isDeafInSession = ({ daemon: { runner } }: SimulatedNode) => runner?.peer?.deaf === true && runner.status === 'active';
  let admitted = 0;
  // Whether its node finds the leader before its own manager is there is chance.
  for (let seed = 1; admitted === 0 && seed <= 10; seed++) {
    const scenario = await Scenario.begin(THREE, { seed });
    scenario.cluster.docker.onEvent(({ what, nodeId }) => {
      const third = managers(scenario).find(({ daemon }) => daemon.runner?.nodeId === nodeId);
      if (what === 'raft-member-added' && swarm(scenario).members.length === 3) void scenario.cluster.clock.sleep(1).then(() => third?.killEngine());
    });
    await scenario.until(() => swarm(scenario)?.members.length === 3);
    await scenario.pass(10_000);
    const deaf = managers(scenario).find(isDeafInSession);
    if (!deaf) continue;
    const { nodeId } = deaf.daemon.runner!;
    await scenario.until(() => scenario.stack === 'created');
    admitted += isDeafInSession(deaf) ? 1 : 0;
    await scenario.whole();
    expect(identities(scenario)).not.toContain(nodeId);
  }
  expect(admitted).toBe(1);
});

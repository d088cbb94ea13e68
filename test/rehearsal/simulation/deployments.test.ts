/** A cluster that has formed, and a deployment that changes it: more or fewer seats, other instances, functions that do not work. */
import type { Delays } from '../../../rehearsal/aws/types';
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import type { Template } from '../../../rehearsal/synth';
import { otherInstances } from '../../../rehearsal/simulation/setup';
import { assemblies, MINUTE, Scenario } from './support';

jest.setTimeout(120_000);

const HOUR = 60 * MINUTE;
const setup = (managers: number, workers = 2) => ({ managers, workers });
const swarm = ({ cluster }: Scenario) => cluster.docker.swarms()[0]!;
const identities = (scenario: Scenario) => swarm(scenario).members.map(({ nodeId }) => nodeId).sort();

/** As AWS may take it, so that several seats wait at their hooks for many minutes. */
const SLOW: Delays = { launch: 150_000, terminate: 90_000, attachVolume: 3_000, detachVolume: 3_000, queue: 200, stream: 300, registerTarget: 60_000, deregisterTarget: 30_000 };

async function formed(managers: number, workers = 2, delays?: Delays): Promise<Scenario> {
  const scenario = await Scenario.begin(setup(managers, workers), delays && { delays });
  await scenario.whole(HOUR);
  return scenario;
}

/** How often the swarm had no quorum after some step. An election is no loss of it. */
function losses(scenario: Scenario): () => number {
  let lost = 0;
  scenario.cluster.docker.onEvent(() => (lost += swarm(scenario).hasQuorum ? 0 : 1));
  return () => lost;
}

/** Until the deployment is over and the cluster whole, and for some time after. */
async function settled(scenario: Scenario): Promise<void> {
  await scenario.until(() => scenario.stack !== 'creating' || scenario.invariants.breaches.length > 0, 4 * HOUR);
  await scenario.whole(HOUR);
  await scenario.pass(2 * MINUTE);
  await scenario.whole(HOUR);
}

describe('seats', () => {
  test.each([
    [5, 3],
    [3, 1],
    [5, 1],
  ])('from %i to %i: the last ones leave raft one after the other, and go', async (before, after) => {
    const scenario = await formed(before);
    const lost = losses(scenario);
    const kept = Array.from({ length: after }, (_, seat) => scenario.seat(seat)!.daemon.runner!.nodeId!).sort();
    scenario.deploy(await assemblies.of(setup(after)));
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    expect(identities(scenario)).toEqual(kept);
    expect(swarm(scenario).nodes).toHaveLength(after + 2);
    expect(lost()).toBe(0);
  });

  test('from 5 to 3 while the leader is one of those that go', async () => {
    const scenario = await formed(5);
    // Until one of the last two leads.
    for (let tries = 0; tries < 20 && ![3, 4].some((seat) => scenario.seat(seat)?.daemon.runner?.nodeId === swarm(scenario).leader); tries++) {
      const leading = [0, 1, 2].map((seat) => scenario.seat(seat)!).find(({ daemon }) => daemon.runner?.nodeId === swarm(scenario).leader)!;
      scenario.cluster.loseInstance(leading.identity.instanceId);
      await scenario.pass(MINUTE);
      await scenario.whole(HOUR);
    }
    expect([3, 4].map((seat) => scenario.seat(seat)!.daemon.runner!.nodeId)).toContain(swarm(scenario).leader);
    scenario.deploy(await assemblies.of(setup(3)));
    await settled(scenario);
    expect(swarm(scenario).members).toHaveLength(3);
  });

  test('one that is to go is dead already: what is left of it goes, too', async () => {
    const scenario = await formed(5);
    const lost = losses(scenario);
    scenario.deploy(await assemblies.of(setup(3)));
    await scenario.until(() => scenario.events.some(({ what, subject }) => what === 'terminating-wait' && subject === scenario.seat(4)?.identity.instanceId));
    scenario.cluster.loseInstance(scenario.seat(4)!.identity.instanceId);
    await settled(scenario);
    expect(swarm(scenario).members).toHaveLength(3);
    expect(lost()).toBe(0);
  });

  test.each([
    [3, 5],
    [1, 3],
  ])('from %i to %i: the new ones join one after the other', async (before, after) => {
    const scenario = await formed(before);
    const were = identities(scenario);
    scenario.deploy(await assemblies.of(setup(after)));
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    expect(identities(scenario)).toEqual(expect.arrayContaining(were));
    expect(swarm(scenario).members).toHaveLength(after);
  });
});

describe('a volume that is lost', () => {
  test.each(['a follower', 'the leader'])('of %s: somebody is told, and with another volume its seat joins as another member', async (who) => {
    const scenario = await formed(3);
    const lost = losses(scenario);
    const were = identities(scenario);
    const number = [0, 1, 2].find((seat) => (scenario.seat(seat)!.daemon.runner!.nodeId === swarm(scenario).leader) === (who === 'the leader'))!;
    const victim = scenario.seat(number)!;
    const [nodeId, volumeId] = [victim.daemon.runner!.nodeId!, victim.attachedVolume!];
    scenario.cluster.loseInstance(victim.identity.instanceId);
    await scenario.pass(1_000);
    await scenario.cluster.region.loseVolume(volumeId);
    await scenario.until(() => scenario.logs.some((line) => line.includes(`The volume of seat ${number}, ${volumeId}, is not there.`)));
    scenario.deploy(await assemblies.of({ ...setup(3), volumeGenerations: { [number]: 2 } }));
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    const now = identities(scenario);
    expect(now).toHaveLength(3);
    expect(now).not.toContain(nodeId);
    expect(were.filter((id) => now.includes(id))).toHaveLength(2);
    expect(swarm(scenario).nodes).toHaveLength(5);
    if (who !== 'the leader') expect(lost()).toBe(0);
  });

  test('of every manager, one after the other: the swarm is the same all the time', async () => {
    const scenario = await formed(3);
    const lost = losses(scenario);
    const [{ swarmId }, were] = [swarm(scenario), identities(scenario)];
    scenario.deploy(await assemblies.of({ ...setup(3), volumeGenerations: { 0: 2, 1: 2, 2: 2 } }));
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    expect(swarm(scenario).swarmId).toBe(swarmId);
    expect(identities(scenario)).toHaveLength(3);
    expect(identities(scenario).some((id) => were.includes(id))).toBe(false);
    expect(lost()).toBe(0);
  });
});

describe('a rolling update', () => {
  test('replaces every instance: seats one by one, as the same members, and workers drained, with no moment below the quorum', async () => {
    const scenario = await formed(3, 4);
    const [before, were] = [new Set(scenario.cluster.machines.nodes.keys()), identities(scenario)];
    const lost = losses(scenario);
    let most = 0;
    scenario.cluster.docker.onEvent(() => (most = Math.max(most, swarm(scenario).members.filter(({ alive }) => !alive).length)));
    scenario.deploy(await assemblies.changed(setup(3, 4), 'other-instances', otherInstances));
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    expect([...scenario.cluster.machines.nodes.keys()].filter((instanceId) => before.has(instanceId))).toEqual([]);
    expect(identities(scenario)).toEqual(were);
    expect([most, lost()]).toEqual([1, 0]);
  });

  test('in which a seat does not come back stops there, and is rolled back, with no moment below the quorum', async () => {
    const scenario = await formed(3);
    const were = identities(scenario);
    const workers = scenario.workers();
    const lost = losses(scenario);
    let most = 0;
    scenario.cluster.docker.onEvent(() => (most = Math.max(most, swarm(scenario).members.filter(({ alive }) => !alive).length)));
    const broken = new Set<SimulatedNode>();
    scenario.onEffect = (node) => {
      const { tags } = scenario.cluster.region.instances().find(({ instanceId }) => instanceId === node.identity.instanceId)!;
      // As with an image whose Docker does not start.
      if (node.seat !== 1 || tags['aws:ec2launchtemplate:version'] !== '2' || broken.has(node)) return;
      broken.add(node);
      node.breakDown();
    };
    scenario.deploy(await assemblies.changed(setup(3), 'other-instances', otherInstances));
    await scenario.until(() => scenario.stack !== 'creating' || scenario.invariants.breaches.length > 0, 4 * HOUR);
    expect(String(scenario.stack)).toMatch(/Failed to receive 1 resource signal/);
    scenario.stack = 'created';
    await scenario.whole(HOUR);
    expect(broken.size).toBeGreaterThan(0);
    expect(scenario.events.some(({ what }) => what === 'update-rollback-complete')).toBe(true);
    expect(identities(scenario)).toEqual(were);
    expect(scenario.workers()).toEqual(workers);
    expect([most, lost()]).toEqual([1, 0]);
  });

  test.each([
    ['the volume of every manager', () => assemblies.of({ ...setup(3), volumeGenerations: { 0: 2, 1: 2, 2: 2 } }), 3, 0],
    ['every instance, while the seats become five', () => assemblies.changed(setup(5), 'other-instances', otherInstances), 5, 3],
  ])('of %s waits for as long as instances take, with no moment below the quorum', async (_, assembly, members, same) => {
    const scenario = await formed(3, 2, SLOW);
    const [lost, were] = [losses(scenario), identities(scenario)];
    scenario.deploy(await assembly());
    await settled(scenario);
    expect(scenario.stack).toBe('created');
    expect(identities(scenario)).toHaveLength(members);
    expect(identities(scenario).filter((id) => were.includes(id))).toHaveLength(same);
    expect(lost()).toBe(0);
  });

  test('to five seats whose image is broken stops at the first one, and is rolled back, with no moment below the quorum', async () => {
    const scenario = await formed(3, 2, SLOW);
    const [lost, were] = [losses(scenario), identities(scenario)];
    const broken = new Set<SimulatedNode>();
    scenario.onEffect = (node) => {
      const { tags } = scenario.cluster.region.instances().find(({ instanceId }) => instanceId === node.identity.instanceId)!;
      if (node.seat === undefined || tags['aws:ec2launchtemplate:version'] !== '2' || broken.has(node)) return;
      broken.add(node);
      node.breakDown();
    };
    scenario.deploy(await assemblies.changed(setup(5), 'other-instances', otherInstances));
    await scenario.until(() => scenario.stack !== 'creating' || scenario.invariants.breaches.length > 0, 4 * HOUR);
    expect(String(scenario.stack)).toMatch(/Failed to receive \d+ resource signal/);
    scenario.stack = 'created';
    await scenario.whole(HOUR);
    expect(broken.size).toBeGreaterThan(0);
    expect(identities(scenario)).toEqual(were);
    expect(lost()).toBe(0);
  });

  test('with functions that do not work stalls, and goes on when it is rolled back', async () => {
    const scenario = await formed(3);
    const were = identities(scenario);
    const lost = losses(scenario);
    let most = 0;
    scenario.cluster.docker.onEvent(() => (most = Math.max(most, swarm(scenario).members.filter(({ alive }) => !alive).length)));
    scenario.deploy(await assemblies.changed(setup(3), 'broken-functions', (template) => withoutFunctions(otherInstances(template))));
    await scenario.until(() => scenario.stack !== 'creating' || scenario.invariants.breaches.length > 0, 4 * HOUR);
    expect(String(scenario.stack)).toMatch(/Failed to receive 1 resource signal/);
    scenario.stack = 'created';
    await scenario.whole(HOUR);
    expect(identities(scenario)).toEqual(were);
    expect([most, lost()]).toEqual([1, 0]);
  });
});

/** Functions without the variables that they need. */
function withoutFunctions(template: Template): Template {
  for (const { Type, Properties } of Object.values(template.Resources)) if (Type === 'AWS::Lambda::Function') Properties!.Environment = { Variables: {} };
  return template;
}

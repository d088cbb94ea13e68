/**
 * A cluster that has formed, and a deployment that changes it: more or fewer seats, other instances, functions that do
 * not work.
 */
import type { Delays } from '../../rehearsal/aws/core/types';
import type { SimulatedNode } from '../../rehearsal/simulation/cluster/node';
import type { Template } from '../../rehearsal/assembly/synth';
import { otherInstances } from '../../rehearsal/simulation/setup';
import { assemblies, MINUTE, Story } from '../rehearsal/simulation/support';

jest.setTimeout(120_000);

const HOUR = 60 * MINUTE;
const setup = (managers: number, workers = 2) => ({ managers, workers });
const swarm = ({ cluster }: Story) => cluster.docker.swarms()[0]!;
const identities = (story: Story) =>
  swarm(story)
    .members.map(({ nodeId }) => nodeId)
    .sort();

/** As AWS may take it, so that several seats wait at their hooks for many minutes. */
const SLOW: Delays = {
  launch: 150_000,
  terminate: 90_000,
  attachVolume: 3_000,
  detachVolume: 3_000,
  queue: 200,
  stream: 300,
  registerTarget: 60_000,
  deregisterTarget: 30_000,
};

async function formed(managers: number, workers = 2, delays?: Delays): Promise<Story> {
  const story = await Story.begin(setup(managers, workers), delays && { delays });
  await story.whole(HOUR);
  return story;
}

/** How often the swarm had no quorum after some step. An election is no loss of it. */
function losses(story: Story): () => number {
  let lost = 0;
  story.cluster.docker.onEvent(() => (lost += swarm(story).hasQuorum ? 0 : 1));
  return () => lost;
}

/** Until the deployment is over and the cluster whole, and for some time after. */
async function settled(story: Story): Promise<void> {
  await story.until(() => story.stack !== 'creating' || story.invariants.breaches.length > 0, 4 * HOUR);
  await story.whole(HOUR);
  await story.pass(2 * MINUTE);
  await story.whole(HOUR);
}

describe('seats', () => {
  test.each([
    [5, 3],
    [3, 1],
    [5, 1],
  ])('from %i to %i: the last ones leave raft one after the other, and go', async (before, after) => {
    const story = await formed(before);
    const lost = losses(story);
    const kept = Array.from({ length: after }, (_, seat) => story.seat(seat)!.daemon.runner!.nodeId!).sort();
    story.deploy(await assemblies.of(setup(after)));
    await settled(story);
    expect(story.stack).toBe('created');
    expect(identities(story)).toEqual(kept);
    expect(swarm(story).nodes).toHaveLength(after + 2);
    expect(lost()).toBe(0);
  });

  test('from 5 to 3 while the leader is one of those that go', async () => {
    const story = await formed(5);
    // Until one of the last two leads.
    for (
      let tries = 0;
      tries < 20 && ![3, 4].some((seat) => story.seat(seat)?.daemon.runner?.nodeId === swarm(story).leader);
      tries++
    ) {
      const leading = [0, 1, 2]
        .map((seat) => story.seat(seat)!)
        .find(({ daemon }) => daemon.runner?.nodeId === swarm(story).leader)!;
      story.cluster.loseInstance(leading.identity.instanceId);
      await story.pass(MINUTE);
      await story.whole(HOUR);
    }
    expect([3, 4].map((seat) => story.seat(seat)!.daemon.runner!.nodeId)).toContain(swarm(story).leader);
    story.deploy(await assemblies.of(setup(3)));
    await settled(story);
    expect(swarm(story).members).toHaveLength(3);
  });

  test('one that is to go is dead already: what is left of it goes, too', async () => {
    const story = await formed(5);
    const lost = losses(story);
    story.deploy(await assemblies.of(setup(3)));
    await story.until(() =>
      story.events.some(
        ({ what, subject }) => what === 'terminating-wait' && subject === story.seat(4)?.identity.instanceId,
      ),
    );
    story.cluster.loseInstance(story.seat(4)!.identity.instanceId);
    await settled(story);
    expect(swarm(story).members).toHaveLength(3);
    expect(lost()).toBe(0);
  });

  test.each([
    [3, 5],
    [1, 3],
  ])('from %i to %i: the new ones join one after the other', async (before, after) => {
    const story = await formed(before);
    const were = identities(story);
    story.deploy(await assemblies.of(setup(after)));
    await settled(story);
    expect(story.stack).toBe('created');
    expect(identities(story)).toEqual(expect.arrayContaining(were));
    expect(swarm(story).members).toHaveLength(after);
  });
});

describe('a volume that is lost', () => {
  test.each(['a follower', 'the leader'])(
    'of %s: somebody is told, and with another volume its seat joins as another member',
    async (who) => {
      const story = await formed(3);
      const lost = losses(story);
      const were = identities(story);
      const number = [0, 1, 2].find(
        (seat) => (story.seat(seat)!.daemon.runner!.nodeId === swarm(story).leader) === (who === 'the leader'),
      )!;
      const victim = story.seat(number)!;
      const [nodeId, volumeId] = [victim.daemon.runner!.nodeId!, victim.attachedVolume!];
      story.cluster.loseInstance(victim.identity.instanceId);
      await story.pass(1_000);
      await story.cluster.region.loseVolume(volumeId);
      await story.until(() =>
        story.logs.some((line) => line.includes(`EC2 does not list ${volumeId}, the volume of seat ${number}.`)),
      );
      story.deploy(await assemblies.of({ ...setup(3), volumeGenerations: { [number]: 2 } }));
      await settled(story);
      expect(story.stack).toBe('created');
      const now = identities(story);
      expect(now).toHaveLength(3);
      expect(now).not.toContain(nodeId);
      expect(were.filter((id) => now.includes(id))).toHaveLength(2);
      expect(swarm(story).nodes).toHaveLength(5);
      if (who !== 'the leader') expect(lost()).toBe(0);
    },
  );

  test('of every manager, one after the other: the swarm is the same all the time', async () => {
    const story = await formed(3);
    const lost = losses(story);
    const [{ swarmId }, were] = [swarm(story), identities(story)];
    story.deploy(await assemblies.of({ ...setup(3), volumeGenerations: { 0: 2, 1: 2, 2: 2 } }));
    await settled(story);
    expect(story.stack).toBe('created');
    expect(swarm(story).swarmId).toBe(swarmId);
    expect(identities(story)).toHaveLength(3);
    expect(identities(story).some((id) => were.includes(id))).toBe(false);
    expect(lost()).toBe(0);
  });
});

describe('a rolling update', () => {
  test(
    'replaces every instance: seats one by one, as the same members, and workers drained, with no moment ' +
      'below the quorum',
    async () => {
      const story = await formed(3, 4);
      const [before, were] = [new Set(story.cluster.machines.nodes.keys()), identities(story)];
      const lost = losses(story);
      let most = 0;
      story.cluster.docker.onEvent(
        () => (most = Math.max(most, swarm(story).members.filter(({ alive }) => !alive).length)),
      );
      story.deploy(await assemblies.changed(setup(3, 4), 'other-instances', otherInstances));
      await settled(story);
      expect(story.stack).toBe('created');
      expect([...story.cluster.machines.nodes.keys()].filter((instanceId) => before.has(instanceId))).toEqual([]);
      expect(identities(story)).toEqual(were);
      expect([most, lost()]).toEqual([1, 0]);
    },
  );

  test('in which a seat does not come back stops there and is rolled back, never below the quorum', async () => {
    const story = await formed(3);
    const were = identities(story);
    const workers = story.workers();
    const lost = losses(story);
    let most = 0;
    story.cluster.docker.onEvent(
      () => (most = Math.max(most, swarm(story).members.filter(({ alive }) => !alive).length)),
    );
    const broken = new Set<SimulatedNode>();
    story.onEffect = (node) => {
      const { tags } = story.cluster.region
        .instances()
        .find(({ instanceId }) => instanceId === node.identity.instanceId)!;
      // As with an image whose Docker does not start.
      if (node.seat !== 1 || tags['aws:ec2launchtemplate:version'] !== '2' || broken.has(node)) return;
      broken.add(node);
      node.breakDown();
    };
    story.deploy(await assemblies.changed(setup(3), 'other-instances', otherInstances));
    await story.until(() => story.stack !== 'creating' || story.invariants.breaches.length > 0, 4 * HOUR);
    expect(String(story.stack)).toMatch(/Failed to receive 1 resource signal/);
    story.stack = 'created';
    await story.whole(HOUR);
    expect(broken.size).toBeGreaterThan(0);
    expect(story.events.some(({ what }) => what === 'update-rollback-complete')).toBe(true);
    expect(identities(story)).toEqual(were);
    expect(story.workers()).toEqual(workers);
    expect([most, lost()]).toEqual([1, 0]);
  });

  test.each([
    [
      'the volume of every manager',
      () => assemblies.of({ ...setup(3), volumeGenerations: { 0: 2, 1: 2, 2: 2 } }),
      3,
      0,
    ],
    [
      'every instance, while the seats become five',
      () => assemblies.changed(setup(5), 'other-instances', otherInstances),
      5,
      3,
    ],
  ])(
    'of %s waits for as long as instances take, with no moment below the quorum',
    async (_, assembly, members, same) => {
      const story = await formed(3, 2, SLOW);
      const [lost, were] = [losses(story), identities(story)];
      story.deploy(await assembly());
      await settled(story);
      expect(story.stack).toBe('created');
      expect(identities(story)).toHaveLength(members);
      expect(identities(story).filter((id) => were.includes(id))).toHaveLength(same);
      expect(lost()).toBe(0);
    },
  );

  test(
    'to five seats whose image is broken stops at the first one, and is rolled back, with no moment below ' +
      'the quorum',
    async () => {
      const story = await formed(3, 2, SLOW);
      const [lost, were] = [losses(story), identities(story)];
      const broken = new Set<SimulatedNode>();
      story.onEffect = (node) => {
        const { tags } = story.cluster.region
          .instances()
          .find(({ instanceId }) => instanceId === node.identity.instanceId)!;
        if (node.seat === undefined || tags['aws:ec2launchtemplate:version'] !== '2' || broken.has(node)) return;
        broken.add(node);
        node.breakDown();
      };
      story.deploy(await assemblies.changed(setup(5), 'other-instances', otherInstances));
      await story.until(() => story.stack !== 'creating' || story.invariants.breaches.length > 0, 4 * HOUR);
      expect(String(story.stack)).toMatch(/Failed to receive \d+ resource signal/);
      story.stack = 'created';
      await story.whole(HOUR);
      expect(broken.size).toBeGreaterThan(0);
      expect(identities(story)).toEqual(were);
      expect(lost()).toBe(0);
    },
  );

  test('with functions that do not work stalls, and goes on when it is rolled back', async () => {
    const story = await formed(3);
    const were = identities(story);
    const lost = losses(story);
    let most = 0;
    story.cluster.docker.onEvent(
      () => (most = Math.max(most, swarm(story).members.filter(({ alive }) => !alive).length)),
    );
    story.deploy(
      await assemblies.changed(setup(3), 'broken-functions', (template) => withoutFunctions(otherInstances(template))),
    );
    await story.until(() => story.stack !== 'creating' || story.invariants.breaches.length > 0, 4 * HOUR);
    expect(String(story.stack)).toMatch(/Failed to receive 1 resource signal/);
    story.stack = 'created';
    await story.whole(HOUR);
    expect(identities(story)).toEqual(were);
    expect([most, lost()]).toEqual([1, 0]);
  });
});

/** Functions without the variables that they need. */
function withoutFunctions(template: Template): Template {
  for (const { Type, Properties } of Object.values(template.Resources))
    if (Type === 'AWS::Lambda::Function') Properties!.Environment = { Variables: {} };
  return template;
}

/**
 * Guards of the membership rules, each switched off by taking the place of its module, or at the door to AWS: what it
 * is there for happens then, and an invariant finds it. With the guard the same story ends well. And so it is in one of
 * some seeds.
 */
import { plan } from '../../lambda/membership/plan';
import { reap } from '../../lambda/membership/rules/reap';
import type { Draft, Plan } from '../../lambda/membership/draft';
import type { Observation } from '../../lambda/membership/observation';
import { quorumOf } from '../../protocol/swarm';
import { hash } from '../../rehearsal/simulation/faults';
import type { SimulatedNode } from '../../rehearsal/simulation/cluster/node';
import { simulate, type SimulationOptions } from '../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES, expectSeedNeeds, MINUTE, Story } from '../rehearsal/simulation/support';

jest.setTimeout(600_000);

/** The module itself, with one of its functions to be replaced. */
function replaceable(path: string, name: string) {
  const actual = jest.requireActual<Record<string, (...args: any[]) => unknown>>(path);
  return { ...actual, [name]: jest.fn(actual[name]) };
}
jest.mock('../../protocol/swarm', () => replaceable('../../protocol/swarm', 'quorumOf'));
jest.mock('../../lambda/membership/rules/reap', () => replaceable('../../lambda/membership/rules/reap', 'reap'));
jest.mock('../../lambda/membership/plan', () => replaceable('../../lambda/membership/plan', 'plan'));

const actual = {
  quorumOf: jest.requireActual<typeof import('../../protocol/swarm')>('../../protocol/swarm').quorumOf,
  reap: jest.requireActual<typeof import('../../lambda/membership/rules/reap')>('../../lambda/membership/rules/reap')
    .reap,
  plan: jest.requireActual<typeof import('../../lambda/membership/plan')>('../../lambda/membership/plan').plan,
};
function switchOn(): void {
  jest.mocked(quorumOf).mockImplementation(actual.quorumOf);
  jest.mocked(reap).mockImplementation(actual.reap);
  jest.mocked(plan).mockImplementation(actual.plan);
}
beforeEach(switchOn);

const THREE = { managers: 3, workers: 2 };
const managers = (story: Story) => [0, 1, 2].flatMap((seat) => story.seat(seat) ?? []);
const breaches = ({ invariants }: Story) => invariants.breaches.join('\n');

async function formed(): Promise<Story> {
  const story = await Story.begin(THREE);
  await story.whole();
  return story;
}

/** What must never happen is judged at every step. */
async function watched(story: Story, ms: number): Promise<void> {
  for (let passed = 0; passed < ms && story.invariants.breaches.length === 0; passed += 1_000) await story.pass(1_000);
}

/** One of some seeds, in which these things go wrong, fails for that reason without the guard. */
const expectASeedNeeds = (
  switchOff: () => void,
  why: RegExp,
  options: (seed: number) => Partial<SimulationOptions>,
  from = 1,
) =>
  expectSeedNeeds(
    async (seed, guard) => {
      if (guard === 'off') switchOff();
      else switchOn();
      return simulate({
        seed,
        assembly: await assemblies.of(THREE),
        bundles: BUNDLES,
        act: 'healing',
        faultsEndMs: 4 * MINUTE,
        ...options(seed),
      });
    },
    why,
    from,
  );

describe('the quorum check', () => {
  const switchOff = () => void jest.mocked(quorumOf).mockReturnValue(0);

  async function allTerminated(): Promise<Story> {
    const story = await formed();
    for (const manager of managers(story)) story.terminate(manager);
    await watched(story, 5 * MINUTE);
    return story;
  }

  test('lets managers go that are terminated together one after the other', async () => {
    const story = await allTerminated();
    await story.whole();
  });

  test('without it, more of them are let go than the quorum bears', async () => {
    switchOff();
    expect(breaches(await allTerminated())).toMatch(/^2: .* was let go\.$/m);
  });

  test('without it a seed fails, which passes with it', () =>
    expectASeedNeeds(switchOff, /^2: .* was let go\.$/, () => ({
      faults: ['terminate-instance', 'kill-instance'],
      intervalsMs: { 'terminate-instance': 10_000 },
    })));
});

describe('one change of managers at a time', () => {
  /** Whoever could be told to join is told with the one whose turn it is. */
  const all = (observed: Observation, newId: () => string): Plan => {
    const planned = actual.plan(observed, newId);
    const joins = planned.commands.filter(({ role, command }) => role === 'manager' && command?.kind === 'join');
    const others = observed.instances.filter(
      ({ group, report, instanceId }) =>
        group.role === 'manager' &&
        report?.swarm?.state === 'inactive' &&
        report.volume?.state === 'mounted' &&
        !joins.some((one) => one.instanceId === instanceId),
    );
    return {
      ...planned,
      commands: [
        ...planned.commands,
        ...joins.flatMap((join) =>
          others.map(({ instanceId }) => ({
            ...join,
            instanceId,
            command: { ...join.command!, id: newId(), instanceId },
          })),
        ),
      ],
    };
  };
  const switchOff = () => void jest.mocked(plan).mockImplementation(all);

  /**
   * Two that could join are there before the first that has something to join, and reach it only later: so a join takes
   * its time.
   */
  async function atOnce(): Promise<Story> {
    const story = await Story.begin(THREE);
    await story.until(() => story.seat(0) !== undefined);
    const { isolated, docker } = story.cluster;
    isolated.add(story.seat(0)!.identity.instanceId);
    await story.pass(2 * MINUTE);
    isolated.clear();
    const [first, ...others] = managers(story).map(({ identity }) => identity.address);
    for (const other of others) docker.network.cut(first!, other);
    await watched(story, MINUTE);
    docker.network.healAll();
    return story;
  }

  test('holds while three seats are there at once', async () => {
    const story = await atOnce();
    await story.whole();
  });

  test('without it, two join at the same time', async () => {
    switchOff();
    expect(breaches(await atOnce())).toMatch(/^3: Managers at .* are joining at the same time\.$/m);
  });

  test('without it a seed fails, which passes with it', () =>
    expectASeedNeeds(
      switchOff,
      /^3: Managers at .* are joining at the same time\.$/,
      () => ({
        act: 'forming',
        faults: ['slow-answer', 'isolation', 'partition'],
        intervalsMs: { isolation: 10_000, partition: 10_000 },
      }),
      3,
    ));
});

describe('two witnesses', () => {
  const switchOff = () =>
    void jest.mocked(reap).mockImplementation((draft: Draft) =>
      actual.reap({
        ...draft,
        order: draft.order.bind(draft),
        observed: { ...draft.observed, gone: { has: () => true } },
      } as unknown as Draft),
    );
  const groupless = (input: Record<string, any>) => ({
    ...input,
    Filters: [{ ...input.Filters[0], Values: ['nothing'] }],
  });

  /**
   * Auto Scaling's answers lack the groups, and a worker is cut off from the swarm: for that it is down, and in no
   * group.
   */
  async function unseen(): Promise<Story> {
    let empty = false;
    const story = await Story.begin(THREE, {
      tamper: (service, action, input) =>
        empty && service === 'autoscaling' && action === 'DescribeAutoScalingGroups' ? groupless(input) : input,
    });
    await story.whole();
    const [worker] = story.workers() as [SimulatedNode];
    const cut = managers(story).map(({ identity }) => identity.address);
    for (const address of cut) story.cluster.docker.network.cut(worker.identity.address, address);
    empty = true;
    await watched(story, 4 * MINUTE);
    empty = false;
    for (const address of cut) story.cluster.docker.network.heal(worker.identity.address, address);
    return story;
  }

  test('keep a node whose instance EC2 still knows', async () => {
    const story = await unseen();
    const before = story.workers().map(({ identity }) => identity.instanceId);
    await story.whole();
    expect(story.workers().map(({ identity }) => identity.instanceId)).toEqual(before);
  });

  test('with one alone, it is removed', async () => {
    switchOff();
    expect(breaches(await unseen())).toMatch(/^4: .* was removed, but its instance/m);
  });

  test('with one alone a seed fails, which passes with both', () =>
    expectASeedNeeds(switchOff, /^4: .* was removed, but its instance/, (seed) => {
      // One answer of Auto Scaling in five lacks the groups.
      let asked = 0;
      return {
        faults: ['partition'],
        intervalsMs: { partition: 10_000 },
        tamper: (service, action, input) =>
          service === 'autoscaling' && action === 'DescribeAutoScalingGroups' && hash(seed, asked++) < 0.2
            ? groupless(input)
            : input,
      };
    }));
});

describe('nothing that may carry a lost quorum is abandoned', () => {
  /** All managers die, and their successors do not reach each other until they are late. */
  async function apart(): Promise<Story> {
    const story = await formed();
    const addresses = managers(story).map(({ identity }) => identity.address);
    const { docker } = story.cluster;
    const pairs = addresses.flatMap((one, n) => addresses.slice(n + 1).map((other) => [one, other] as const));
    for (const [one, other] of pairs) docker.network.cut(one, other);
    for (const { identity } of managers(story)) story.cluster.loseInstance(identity.instanceId);
    await watched(story, 16 * MINUTE);
    for (const [one, other] of pairs) docker.network.heal(one, other);
    return story;
  }
  const abandoned = ({ events }: Story) =>
    events.filter(({ what, detail }) => what === 'hook-completed' && detail.result === 'ABANDON').length;

  test('late managers are kept, and are the quorum when they reach each other', async () => {
    const story = await apart();
    expect(story.events.some(({ what }) => what === 'heartbeat')).toBe(true);
    expect(abandoned(story)).toBe(0);
    await story.whole();
  });

  const switchOff = () =>
    void jest.mocked(plan).mockImplementation((observed, newId): Plan => {
      const planned = actual.plan(observed, newId);
      return {
        ...planned,
        effects: planned.effects.map((effect) =>
          effect.kind === 'extend-hook' && effect.reason.includes('no quorum reports')
            ? { kind: 'abandon', instanceId: effect.instanceId, group: effect.group, reason: 'It is late.' }
            : effect,
        ),
      };
    });

  test('without that, they are thrown away', async () => {
    switchOff();
    expect(breaches(await apart())).toMatch(/^8: .* a raft member, was abandoned while the swarm had no quorum\.$/m);
  });

  test('without that a seed fails, which passes with it', () =>
    expectASeedNeeds(
      switchOff,
      /^(2|8): .* was abandoned/,
      () => ({
        faults: ['kill-instance', 'isolation', 'partition'],
        intervalsMs: { 'kill-instance': MINUTE, isolation: MINUTE, partition: 10_000 },
        faultsEndMs: 25 * MINUTE,
      }),
      43,
    ));
});

/**
 * Guards of the membership rules, each switched off by taking the place of its module, or at the door to AWS: what it is there for happens then, and an invariant finds it. With the guard the same story ends well. And so it is in one
 * of some seeds.
 */
import { plan } from '../../../lambda/membership/plan';
import { reap } from '../../../lambda/membership/reap';
import type { Draft, Plan } from '../../../lambda/membership/draft';
import type { Observation } from '../../../lambda/membership/observation';
import { quorumOf } from '../../../protocol/swarm';
import { hash } from '../../../rehearsal/simulation/faults';
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import { simulate, type SimulationOptions } from '../../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES, expectSeedNeeds, MINUTE, Scenario } from './support';

jest.setTimeout(600_000);

/** The module itself, with one of its functions to be replaced. */
function replaceable(path: string, name: string) {
  const actual = jest.requireActual<Record<string, (...args: any[]) => unknown>>(path);
  return { ...actual, [name]: jest.fn(actual[name]) };
}
jest.mock('../../../protocol/swarm', () => replaceable('../../../protocol/swarm', 'quorumOf'));
jest.mock('../../../lambda/membership/reap', () => replaceable('../../../lambda/membership/reap', 'reap'));
jest.mock('../../../lambda/membership/plan', () => replaceable('../../../lambda/membership/plan', 'plan'));

const actual = {
  quorumOf: jest.requireActual<typeof import('../../../protocol/swarm')>('../../../protocol/swarm').quorumOf,
  reap: jest.requireActual<typeof import('../../../lambda/membership/reap')>('../../../lambda/membership/reap').reap,
  plan: jest.requireActual<typeof import('../../../lambda/membership/plan')>('../../../lambda/membership/plan').plan,
};
function switchOn(): void {
  jest.mocked(quorumOf).mockImplementation(actual.quorumOf);
  jest.mocked(reap).mockImplementation(actual.reap);
  jest.mocked(plan).mockImplementation(actual.plan);
}
beforeEach(switchOn);

const THREE = { managers: 3, workers: 2 };
const managers = (scenario: Scenario) => [0, 1, 2].flatMap((seat) => scenario.seat(seat) ?? []);
const breaches = ({ invariants }: Scenario) => invariants.breaches.join('\n');

async function formed(): Promise<Scenario> {
  const scenario = await Scenario.begin(THREE);
  await scenario.whole();
  return scenario;
}

/** What must never happen is judged at every step. */
async function watched(scenario: Scenario, ms: number): Promise<void> {
  for (let passed = 0; passed < ms && scenario.invariants.breaches.length === 0; passed += 1_000) await scenario.pass(1_000);
}

/** One of some seeds, in which these things go wrong, fails for that reason without the guard. */
const expectASeedNeeds = (switchOff: () => void, why: RegExp, options: (seed: number) => Partial<SimulationOptions>, from = 1) =>
  expectSeedNeeds(
    async (seed, guard) => {
      if (guard === 'off') switchOff();
      else switchOn();
      return simulate({ seed, assembly: await assemblies.of(THREE), bundles: BUNDLES, act: 'healing', faultsEndMs: 4 * MINUTE, ...options(seed) });
    },
    why,
    from,
  );

describe('the quorum check', () => {
  const switchOff = () => void jest.mocked(quorumOf).mockReturnValue(0);

  async function allTerminated(): Promise<Scenario> {
    const scenario = await formed();
    for (const manager of managers(scenario)) scenario.terminate(manager);
    await watched(scenario, 5 * MINUTE);
    return scenario;
  }

  test('lets managers go that are terminated together one after the other', async () => {
    const scenario = await allTerminated();
    await scenario.whole();
  });

  test('without it, more of them are let go than the quorum bears', async () => {
    switchOff();
    expect(breaches(await allTerminated())).toMatch(/^2: .* was let go\.$/m);
  });

  test('without it a seed fails, which passes with it', () =>
    expectASeedNeeds(switchOff, /^2: .* was let go\.$/, () => ({ faults: ['terminate-instance', 'kill-instance'], intervalsMs: { 'terminate-instance': 10_000 } })));
});

describe('one change of managers at a time', () => {
  /** Whoever could be told to join is told with the one whose turn it is. */
  const all = (observed: Observation, newId: () => string): Plan => {
    const planned = actual.plan(observed, newId);
    const joins = planned.commands.filter(({ role, command }) => role === 'manager' && command?.kind === 'join');
    const others = observed.instances.filter(({ group, report, instanceId }) => group.role === 'manager' && report?.swarm?.state === 'inactive' && report.volume?.state === 'mounted' && !joins.some((one) => one.instanceId === instanceId));
    return { ...planned, commands: [...planned.commands, ...joins.flatMap((join) => others.map(({ instanceId }) => ({ ...join, instanceId, command: { ...join.command!, id: newId(), instanceId } })))] };
  };
  const switchOff = () => void jest.mocked(plan).mockImplementation(all);

  /** Two that could join are there before the first that has something to join, and reach it only later: so a join takes its time. */
  async function atOnce(): Promise<Scenario> {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.seat(0) !== undefined);
    const { isolated, docker } = scenario.cluster;
    isolated.add(scenario.seat(0)!.identity.instanceId);
    await scenario.pass(2 * MINUTE);
    isolated.clear();
    const [first, ...others] = managers(scenario).map(({ identity }) => identity.address);
    for (const other of others) docker.network.cut(first!, other);
    await watched(scenario, MINUTE);
    docker.network.healAll();
    return scenario;
  }

  test('holds while three seats are there at once', async () => {
    const scenario = await atOnce();
    await scenario.whole();
  });

  test('without it, two join at the same time', async () => {
    switchOff();
    expect(breaches(await atOnce())).toMatch(/^3: Managers at .* join at the same time\.$/m);
  });

  test('without it a seed fails, which passes with it', () =>
    expectASeedNeeds(switchOff, /^3: Managers at .* join at the same time\.$/, () => ({ act: 'forming', faults: ['slow-answer', 'isolation', 'partition'], intervalsMs: { isolation: 10_000, partition: 10_000 } }), 3));
});

describe('two witnesses', () => {
  const switchOff = () =>
    void jest.mocked(reap).mockImplementation((draft: Draft) => actual.reap({ ...draft, order: draft.order.bind(draft), observed: { ...draft.observed, gone: { has: () => true } } } as unknown as Draft));
  const groupless = (input: Record<string, any>) => ({ ...input, Filters: [{ ...input.Filters[0], Values: ['nothing'] }] });

  /** Auto Scaling's answers lack the groups, and a worker is cut off from the swarm: for that it is down, and in no group. */
  async function unseen(): Promise<Scenario> {
    let empty = false;
    const scenario = await Scenario.begin(THREE, {
      tamper: (service, action, input) => (empty && service === 'autoscaling' && action === 'DescribeAutoScalingGroups' ? groupless(input) : input),
    });
    await scenario.whole();
    const [worker] = scenario.workers() as [SimulatedNode];
    const cut = managers(scenario).map(({ identity }) => identity.address);
    for (const address of cut) scenario.cluster.docker.network.cut(worker.identity.address, address);
    empty = true;
    await watched(scenario, 4 * MINUTE);
    empty = false;
    for (const address of cut) scenario.cluster.docker.network.heal(worker.identity.address, address);
    return scenario;
  }

  test('keep a node whose instance EC2 still knows', async () => {
    const scenario = await unseen();
    const before = scenario.workers().map(({ identity }) => identity.instanceId);
    await scenario.whole();
    expect(scenario.workers().map(({ identity }) => identity.instanceId)).toEqual(before);
  });

  test('with one alone, it is removed', async () => {
    switchOff();
    expect(breaches(await unseen())).toMatch(/^4: .* is removed, but its instance/m);
  });

  test('with one alone a seed fails, which passes with both', () =>
    expectASeedNeeds(switchOff, /^4: .* is removed, but its instance/, (seed) => {
      // One answer of Auto Scaling in five lacks the groups.
      let asked = 0;
      return { faults: ['partition'], intervalsMs: { partition: 10_000 }, tamper: (service, action, input) => (service === 'autoscaling' && action === 'DescribeAutoScalingGroups' && hash(seed, asked++) < 0.2 ? groupless(input) : input) };
    }));
});

describe('nothing that may carry a lost quorum is abandoned', () => {
  /** All managers die, and their successors do not reach each other until they are late. */
  async function apart(): Promise<Scenario> {
    const scenario = await formed();
    const addresses = managers(scenario).map(({ identity }) => identity.address);
    const { docker } = scenario.cluster;
    const pairs = addresses.flatMap((one, n) => addresses.slice(n + 1).map((other) => [one, other] as const));
    for (const [one, other] of pairs) docker.network.cut(one, other);
    for (const { identity } of managers(scenario)) scenario.cluster.loseInstance(identity.instanceId);
    await watched(scenario, 16 * MINUTE);
    for (const [one, other] of pairs) docker.network.heal(one, other);
    return scenario;
  }
  const abandoned = ({ events }: Scenario) => events.filter(({ what, detail }) => what === 'hook-completed' && detail.result === 'ABANDON').length;

  test('late managers are kept, and are the quorum when they reach each other', async () => {
    const scenario = await apart();
    expect(scenario.events.some(({ what }) => what === 'heartbeat')).toBe(true);
    expect(abandoned(scenario)).toBe(0);
    await scenario.whole();
  });

  const switchOff = () =>
    void jest.mocked(plan).mockImplementation((observed, newId): Plan => {
      const planned = actual.plan(observed, newId);
      return { ...planned, effects: planned.effects.map((effect) => (effect.kind === 'extend-hook' && effect.reason.includes('no quorum reports') ? { kind: 'abandon', instanceId: effect.instanceId, group: effect.group, reason: 'It is late.' } : effect)) };
    });

  test('without that, they are thrown away', async () => {
    switchOff();
    expect(breaches(await apart())).toMatch(/^8: .* a member of raft, was abandoned while the swarm had no quorum\.$/m);
  });

  test('without that a seed fails, which passes with it', () =>
    expectASeedNeeds(switchOff, /^(2|8): .* was abandoned/, () => ({ faults: ['kill-instance', 'isolation', 'partition'], intervalsMs: { 'kill-instance': MINUTE, isolation: MINUTE, partition: 10_000 }, faultsEndMs: 25 * MINUTE }), 43));
});

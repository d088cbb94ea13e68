import { plan, type Observed } from '../../../lambda/leader-token/plan';
import { emptyMembership, type LeaderRecord } from '../../../protocol/cluster';
import { tokensDigest } from '../../../protocol/report';
import type { SwarmNode } from '../../../protocol/swarm';

const instanceId = 'i-00000000000000001';
const other = 'i-00000000000000002';
const swarmId = 's'.repeat(25);
const nodeId = 'n'.repeat(25);
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const self: SwarmNode = {
  id: nodeId,
  hostname: 'm',
  role: 'manager',
  availability: 'active',
  state: 'ready',
  instanceId,
  address: '10.0.0.1',
  manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' },
};
const first: Observed = {
  now: 1_000,
  instanceId,
  report: {
    instanceId,
    role: 'manager',
    seat: 0,
    address: '10.0.0.1',
    swarm: { state: 'active', nodeId, swarmId, controlAvailable: true },
    tokens,
  },
  swarm: { swarmId, epoch: 12, nodes: [self] },
  membership: { ...emptyMembership, bootstrap: { seat: 0, instanceId, volumeId: 'vol-1', commandId: 'c1' } },
};
const leader: LeaderRecord = { swarmId, epoch: 11, instanceId, tokens, updatedAt: 0 };
const { tokens: _, ...withoutTokens } = first.report;

describe('what leader-token makes of a swarm report', () => {
  it('publishes the first report of the instance that was told to make the swarm', () => {
    expect(plan(first)).toEqual({
      kind: 'publish',
      // Without a generation: its quorum was never recovered.
      leader: { swarmId, epoch: 12, instanceId, tokens, updatedAt: 1_000 },
      publishedTokens: tokensDigest(tokens),
      reason: 'First report of the swarm that this instance was told to create.',
    });
  });

  it('publishes an epoch as far ahead as a swarm can commit, and none beyond', () => {
    const ahead = (commits: number) =>
      plan({ ...first, leader, swarm: { ...first.swarm, epoch: leader.epoch + commits } }).kind;
    expect(ahead(1_000_000_000)).toBe('publish');
    expect(ahead(1_000_000_001)).toBe('refuse');
  });

  it('never goes back to an earlier generation, though the membership record was read before the last recovery', () => {
    const before = { ...emptyMembership, generation: { number: 1, seat: 0 } };
    expect(plan({ ...first, leader: { ...leader, generation: 2 }, membership: before })).toMatchObject({
      kind: 'publish',
      leader: { epoch: 12, generation: 2 },
    });
  });

  it('keeps the published tokens when a later report carries none', () => {
    expect(plan({ ...first, report: withoutTokens, leader })).toMatchObject({
      kind: 'publish',
      leader: { tokens },
      publishedTokens: undefined,
    });
  });

  it(
    'after a quorum was recovered, publishes what the manager says that went on, however far behind it was, ' +
      'and then whatever is newer',
    () => {
      const recovered = { ...emptyMembership, generation: { number: 1, seat: 0 } };
      const behind = { ...first, leader: { ...leader, epoch: 9_000 }, membership: recovered };
      expect(plan(behind)).toMatchObject({ kind: 'publish', leader: { epoch: 12, generation: 1 } });
      expect(plan({ ...behind, membership: emptyMembership }).kind).toBe('ignore');
      // Nobody else may say that it is that one.
      expect(plan({ ...behind, report: { ...first.report, seat: 1 } }).kind).toBe('ignore');
      const after = { ...leader, epoch: 12, generation: 1 };
      expect(plan({ ...first, leader: after, membership: recovered }).kind).toBe('ignore');
      expect(
        plan({
          ...first,
          leader: after,
          membership: recovered,
          report: { ...first.report, seat: 1 },
          swarm: { ...first.swarm, epoch: 13 },
        }),
      ).toMatchObject({ kind: 'publish', leader: { epoch: 13, generation: 1 } });
    },
  );

  it("publishes though a worker carries the leader's label", () => {
    const forger: SwarmNode = {
      id: 'f'.repeat(25),
      hostname: 'w',
      role: 'worker',
      availability: 'active',
      state: 'ready',
      instanceId,
    };
    expect(plan({ ...first, swarm: { ...first.swarm, nodes: [forger, self] } }).kind).toBe('publish');
  });

  it.each<[string, Partial<Observed>, string]>([
    [
      'a second swarm: no swarm yet, and another instance was told to make it',
      {
        membership: {
          ...emptyMembership,
          bootstrap: { seat: 0, instanceId: other, volumeId: 'vol-1', commandId: 'c1' },
        },
      },
      'refuse',
    ],
    [
      'an epoch that no swarm reaches, which would keep every true one out',
      { leader, swarm: { ...first.swarm, epoch: Number.MAX_SAFE_INTEGER } },
      'refuse',
    ],
    ['a swarm nobody was told to make', { membership: emptyMembership }, 'refuse'],
    ['another swarm than is published', { leader: { ...leader, swarmId: 'o'.repeat(25) } }, 'refuse'],
    [
      'a report that names another instance than its mailbox',
      { report: { ...first.report, instanceId: other } },
      'refuse',
    ],
    ['a worker in a manager mailbox', { report: { ...first.report, role: 'worker' } }, 'refuse'],
    [
      'a manager that does not lead by its own list',
      { swarm: { swarmId, epoch: 12, nodes: [{ ...self, manager: { ...self.manager!, leader: false } }] } },
      'refuse',
    ],
    [
      'a node under the label of another instance',
      { swarm: { swarmId, epoch: 12, nodes: [{ ...self, instanceId: other }] } },
      'refuse',
    ],
    ['an epoch that is published already', { leader: { ...leader, epoch: 12 } }, 'ignore'],
    ['a stale epoch', { leader: { ...leader, epoch: 13 } }, 'ignore'],
    ['no tokens, and none published', { report: withoutTokens }, 'ignore'],
  ])('does not publish %s', (_name, change, kind) => {
    expect(plan({ ...first, ...change }).kind).toBe(kind);
  });
});

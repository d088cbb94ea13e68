import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import { HUNG_MS } from '../../../../lambda/membership/rules/replace-hung';
import {
  emptyMembership,
  LEADER_STALE_MS,
  type LeaderRecord,
  type Membership,
  membershipCodec,
} from '../../../../protocol/cluster';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const leader: LeaderRecord = { swarmId: 's'.repeat(25), epoch: 20, instanceId: idOf(0), tokens, updatedAt: NOW };
const seats = [0, 1, 2].map((seat) => ({
  seat,
  volumeId: `vol-${seat}`,
  networkInterfaceId: `eni-${seat}`,
  address: `10.0.${seat}.10`,
}));

const seat = (n: number, lifecycleState = 'InService'): Instance => ({
  instanceId: idOf(n),
  group: { name: `seat-${n}`, role: 'manager', seat: n },
  lifecycleState,
});
const worker = (n: number, lifecycleState = 'InService'): Instance => ({
  instanceId: idOf(n),
  group: { name: 'web', role: 'worker' },
  lifecycleState,
});
const member = (
  n: number,
  change: Partial<SwarmNode> = {},
  reachability: 'reachable' | 'unreachable' = 'reachable',
): SwarmNode => ({
  id: nodeIdOf(n),
  hostname: `node-${n}`,
  role: 'manager',
  availability: 'active',
  state: 'ready',
  instanceId: idOf(n),
  address: `10.0.${n}.10`,
  manager: { leader: n === 0, reachability, address: `10.0.${n}.10:2377` },
  ...change,
});
const node = (n: number, change: Partial<SwarmNode> = {}): SwarmNode => ({
  id: nodeIdOf(n),
  hostname: `node-${n}`,
  role: 'worker',
  availability: 'active',
  state: 'ready',
  instanceId: idOf(n),
  ...change,
});
const range = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

const managers = [seat(0), seat(1), seat(2)];
const members = [member(0), member(1), member(2)];
/** Five workers, of which number 10 is `change`. */
const workers = (change: Partial<SwarmNode> | undefined) => ({
  instances: [...managers, ...range(10, 5).map((n) => worker(n))],
  nodes: [...members, ...(change ? [node(10, change)] : []), ...range(11, 4).map((n) => node(n))],
});
const down = workers({ state: 'down' });

function planned(over: Partial<Observation>, membership: Partial<Membership> = {}) {
  const observation: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: members,
    membership: { ...emptyMembership, ...membership },
    instances: managers,
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    volumes: [],
    ...over,
  };
  const result = plan(
    { ...observation, ...(observation.leader === leader && { leader: { ...leader, updatedAt: observation.now } }) },
    () => 'c',
  );
  return {
    replaced: result.effects.filter(({ kind }) => kind === 'replace').map(({ instanceId }) => instanceId),
    alarms: result.alarms.map(({ reason }) => reason),
    membership: result.membership,
  };
}

/** For so long it has been down. */
const since = (n: number, ms: number): Partial<Membership> => ({ hung: { [idOf(n)]: NOW - ms } });

describe('an instance in service', () => {
  it('that is down for the swarm is remembered, and replaced when it still is later', () => {
    const first = planned(down);
    expect(first).toMatchObject({ replaced: [], membership: { hung: { [idOf(10)]: NOW } } });
    expect(planned({ ...down, now: NOW + HUNG_MS - 1 }, first.membership).replaced).toEqual([]);
    expect(planned({ ...down, now: NOW + HUNG_MS }, first.membership)).toMatchObject({
      replaced: [idOf(10)],
      alarms: [expect.stringContaining('more than 5 minutes')],
    });
  });

  it('that came back meanwhile is forgotten, and counts from the beginning the next time', () => {
    const { membership } = planned(workers({}), since(10, HUNG_MS));
    expect(membership.hung).toEqual({});
    expect(planned(down, membership).replaced).toEqual([]);
  });

  it('that is no node at all is down: removed by hand, perhaps, while its engine was away', () => {
    expect(planned(workers(undefined), since(10, HUNG_MS)).replaced).toEqual([idOf(10)]);
  });

  it.each<[string, Partial<SwarmNode>]>([
    ['is drained by hand', { availability: 'drain' }],
    ['is paused by hand', { availability: 'pause' }],
    ['was not heard of yet by a new leader', { state: 'unknown' }],
    ['has lost its session a moment ago', { state: 'disconnected' }],
  ])('that %s is left alone', (_, change) => {
    expect(planned(workers(change), since(10, HUNG_MS))).toMatchObject({ replaced: [], membership: { hung: {} } });
  });

  it.each(['Pending:Wait', 'Standby', 'Terminating:Wait'])('only: one that is %s is left to others', (state) => {
    const { instances, nodes } = down;
    expect(
      planned(
        {
          nodes,
          instances: instances.map((instance) => (instance.instanceId === idOf(10) ? worker(10, state) : instance)),
        },
        since(10, HUNG_MS),
      ).replaced,
    ).toEqual([]);
  });

  it('is not replaced while no quorum reports, and counts from the beginning then', () => {
    expect(
      planned({ ...down, leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }, since(10, HUNG_MS)),
    ).toMatchObject({ replaced: [], membership: { hung: {} } });
  });
});

describe('the breaker', () => {
  const fleet = (count: number, dead: number, ms = HUNG_MS) => {
    const ids = range(10, count);
    return planned(
      {
        instances: [...managers, ...ids.map((n) => worker(n))],
        nodes: [...members, ...ids.map((n, k) => node(n, k < dead ? { state: 'down' } : {}))],
      },
      { hung: Object.fromEntries(ids.slice(0, dead).map((n) => [idOf(n), NOW - ms])) },
    );
  };

  it('lets one node be replaced, however few there are', () => {
    expect(fleet(1, 1).replaced).toEqual([idOf(10)]);
  });

  it(
    'trips above a fifth of a role: nobody is replaced, the time counts from the beginning, and somebody is ' + 'told',
    () => {
      expect(fleet(10, 2).replaced).toHaveLength(2);
      expect(fleet(10, 3)).toMatchObject({
        replaced: [],
        alarms: [expect.stringContaining('3 of 10 workers are down')],
        membership: { hung: {} },
      });
      expect(fleet(10, 3, 0)).toMatchObject({ alarms: [expect.stringContaining('none is replaced')] });
    },
  );

  it('of one role does not keep the other waiting', () => {
    const ids = range(10, 3);
    const nodes = [
      member(0),
      member(1),
      member(2, { state: 'down' }, 'unreachable'),
      ...ids.map((n) => node(n, { state: 'down' })),
    ];
    expect(
      planned({ instances: [...managers, ...ids.map((n) => worker(n))], nodes }, since(2, HUNG_MS)).replaced,
    ).toEqual([idOf(2)]);
  });

  it('keeps the record of the largest fleet within its bound', () => {
    expect(() => membershipCodec.encode(fleet(10_000, 2_000).membership)).not.toThrow();
  });
});

describe('a manager', () => {
  const lost = { nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable')] };

  it.each<[string, SwarmNode[]]>([
    ['down', lost.nodes],
    ['deaf: reachable for raft, and down', [member(0), member(1), member(2, { state: 'down' })]],
    ['not reached by raft', [member(0), member(1), member(2, {}, 'unreachable')]],
    ['no node at all', [member(0), member(1)]],
  ])('that is %s is replaced, too', (_, nodes) => {
    expect(planned({ nodes }, since(2, HUNG_MS)).replaced).toEqual([idOf(2)]);
  });

  it('that was demoted by hand is up', () => {
    expect(
      planned({ nodes: [member(0), member(1), member(2, { role: 'worker', manager: undefined })] }, since(2, HUNG_MS))
        .replaced,
    ).toEqual([]);
  });

  it('waits while another is changed, and not while it is changed itself: its successor goes on with that', () => {
    const change = (n: number): Partial<Membership> => ({
      ...since(2, HUNG_MS),
      managerChange: { kind: 'join', seat: n, instanceId: idOf(n), commandId: 'c', expiresAt: NOW },
    });
    expect(planned(lost, change(1)).replaced).toEqual([]);
    expect(planned(lost, change(2)).replaced).toEqual([idOf(2)]);
  });

  it('is never one of two: the swarm has lost its quorum, or will', () => {
    expect(
      planned(
        { nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'down' })] },
        { hung: { [idOf(1)]: 0, [idOf(2)]: 0 } },
      ).replaced,
    ).toEqual([]);
  });
});

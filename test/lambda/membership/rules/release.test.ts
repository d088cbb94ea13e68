import {
  BACK_MS,
  DRAIN_DEADLINE_MS,
  PROLONG_MS,
  TRAFFIC_MS,
  UNHEARD_MS,
  VOLUMES_STALE_MS,
} from '../../../../lambda/membership/rules/release';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import {
  emptyMembership,
  LEADER_STALE_MS,
  type LeaderRecord,
  type Membership,
  membershipCodec,
} from '../../../../protocol/cluster';
import { MOST_ORDERS } from '../../../../protocol/orders';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const STACK = 'arn:aws:cloudformation:us-east-1:123456789012:stack/Test/1';
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const seats = [0, 1, 2].map((seat) => ({
  seat,
  volumeId: `vol-${seat}`,
  networkInterfaceId: `eni-${seat}`,
  address: `10.0.${seat}.10`,
}));
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const leader: LeaderRecord = {
  swarmId: 's'.repeat(25),
  epoch: 20,
  instanceId: idOf(0),
  tokens,
  updatedAt: NOW - 1_000,
};
const stale: LeaderRecord = { ...leader, updatedAt: NOW - LEADER_STALE_MS };

const seat = (n: number, lifecycleState = 'InService', swarmId: string | undefined = leader.swarmId): Instance => ({
  instanceId: idOf(n),
  group: { name: `seat-${n}`, role: 'manager', seat: n, stack: { stackId: STACK, logicalId: `Seat${n}` } },
  lifecycleState,
  report: {
    instanceId: idOf(n),
    role: 'manager',
    seat: n,
    address: `10.0.${n}.10`,
    swarm: { state: 'active', nodeId: nodeIdOf(n), controlAvailable: true, ...(swarmId && { swarmId }) },
  },
});
const worker = (n: number, lifecycleState = 'InService'): Instance => ({
  instanceId: idOf(n),
  group: { name: 'web', role: 'worker', stack: { stackId: STACK, logicalId: 'Web' } },
  lifecycleState,
});
const leaving = 'Terminating:Wait';
/** Without tasks. */
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
  idleFor: idOf(n),
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
  address: `10.0.9.${n % 200}`,
  ...change,
});
const three = [member(0), member(1), member(2)];

function planned(over: Partial<Observation>, membership: Partial<Membership> = {}) {
  const observation: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: three,
    membership: { ...emptyMembership, ...membership },
    instances: [],
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    volumes: [],
    ...over,
  };
  const result = plan(observation, () => 'c');
  return {
    letGo: result.effects.filter(({ kind }) => kind === 'let-go').map(({ instanceId }) => instanceId),
    prolonged: result.effects.filter(({ kind }) => kind === 'extend-hook').map(({ instanceId }) => instanceId),
    orders: result.orders.flatMap(({ instanceId, orders }) =>
      orders.length === 0
        ? [`${instanceId} nothing`]
        : orders.map((order) => `${instanceId} ${order.kind} ${order.nodeId} ${order.instanceId}`),
    ),
    alarms: result.alarms.map(({ instanceId }) => instanceId),
    membership: result.membership,
  };
}

const managers = [seat(0), seat(1), seat(2)];
const [first, ...others] = managers;

describe('a worker that was promoted by hand', () => {
  const promoted = member(7, { address: '10.0.9.7' });
  const instances = (...rest: Instance[]) => [...rest, worker(7, leaving)];

  it('waits until the others are a quorum without it, and has its hook prolonged', () => {
    const lost = planned(
      {
        nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable'), promoted],
        instances: instances(seat(0), seat(1)),
      },
      { departures: { [idOf(7)]: { since: NOW - PROLONG_MS } } },
    );
    expect(lost).toMatchObject({ letGo: [], orders: [], prolonged: [idOf(7)] });
    expect(planned({ nodes: [...three, promoted], instances: instances(...managers) })).toMatchObject({
      letGo: [idOf(7)],
      membership: { departures: { [idOf(7)]: { letGoAt: NOW } } },
    });
    expect(planned({ nodes: [...three, promoted], instances: instances(...managers), leader: stale }).letGo).toEqual(
      [],
    );
  });

  it('goes at once while raft does not count it', () => {
    expect(
      planned({ nodes: [...three, { ...promoted, manager: undefined }], instances: instances(...managers) }).letGo,
    ).toEqual([idOf(7)]);
  });

  it('is drained first', () => {
    expect(
      planned({ nodes: [...three, { ...promoted, idleFor: undefined }], instances: instances(...managers) }),
    ).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(7)} ${idOf(7)}`] });
  });
});

describe('a worker that waits at its terminate hook', () => {
  const instances = [...managers, worker(7, leaving)];
  const nodes = [...three, node(7)];
  const waits = { letGo: [], orders: [`${idOf(0)} release ${nodeIdOf(7)} ${idOf(7)}`] };

  it('is to be released by the leader, and let go once its node is gone', () => {
    expect(planned({ nodes, instances })).toMatchObject({
      ...waits,
      membership: { departures: { [idOf(7)]: { since: NOW } } },
    });
    expect(planned({ instances }).letGo).toEqual([idOf(7)]);
  });

  it('is ordered once, and again of whoever leads next: nobody else keeps the order', () => {
    const { membership } = planned({ nodes, instances });
    expect(planned({ nodes, instances }, membership).orders).toEqual([]);
    const next = { ...leader, instanceId: idOf(1) };
    expect(planned({ leader: next, nodes, instances }, membership).orders).toEqual([
      `${idOf(0)} nothing`,
      `${idOf(1)} release ${nodeIdOf(7)} ${idOf(7)}`,
    ]);
    expect(planned({ instances }, membership).orders).toEqual([`${idOf(0)} nothing`]);
  });

  it.each<[string, Partial<Observation>]>([
    ['its whole stack goes', { stacksLeaving: new Set([STACK]) }],
    ['no swarm was ever made', { leader: undefined, nodes: [] }],
    ['EC2 has ended it', { gone: new Set([idOf(7)]) }],
  ])('is let go at once when %s', (_, over) => {
    expect(planned({ nodes, instances, ...over })).toMatchObject({ letGo: [idOf(7)], orders: [], alarms: [] });
  });

  it('waits while no quorum reports, but not beyond the deadline, which is said', () => {
    const since = (ms: number) => ({ departures: { [idOf(7)]: { since: NOW - ms, prolongedAt: NOW } } });
    expect(planned({ nodes, instances, leader: stale }, since(DRAIN_DEADLINE_MS - 1)).letGo).toEqual([]);
    expect(planned({ nodes, instances, leader: stale }, since(DRAIN_DEADLINE_MS))).toMatchObject({
      letGo: [idOf(7)],
      alarms: [idOf(7)],
    });
  });

  it('has its hook prolonged now and then', () => {
    const since = (ms: number) => planned({ nodes, instances }, { departures: { [idOf(7)]: { since: NOW - ms } } });
    expect(since(PROLONG_MS - 1).prolonged).toEqual([]);
    expect(since(PROLONG_MS)).toMatchObject({
      prolonged: [idOf(7)],
      membership: { departures: { [idOf(7)]: { prolongedAt: NOW } } },
    });
  });

  it('takes no other node along: neither a manager that claims its id, nor the node that its own report names', () => {
    const liar = member(2, { instanceId: idOf(7) });
    const told: Instance = {
      ...worker(7, leaving),
      report: {
        instanceId: idOf(7),
        role: 'worker',
        address: '10.0.9.7',
        swarm: { state: 'active', nodeId: nodeIdOf(8), controlAvailable: false },
      },
    };
    expect(
      planned({ nodes: [member(0), member(1), liar, node(7), node(8)], instances: [...managers, told, worker(8)] })
        .orders,
    ).toEqual(waits.orders);
  });

  it('waits for its turn when very many leave, whoever came first goes first', () => {
    const many = Array.from({ length: MOST_ORDERS + 5 }, (_, n) => 10 + n);
    const departures = Object.fromEntries(many.map((n) => [idOf(n), { since: NOW - n }]));
    const { orders } = planned(
      {
        nodes: [...three, ...many.map((n) => node(n))],
        instances: [...managers, ...many.map((n) => worker(n, leaving))],
      },
      { departures },
    );
    expect(orders).toHaveLength(MOST_ORDERS);
    expect(orders.join()).not.toContain(nodeIdOf(10));
    expect(orders.join()).toContain(nodeIdOf(MOST_ORDERS + 14));
  });

  it('is written down only when its turn has come: the record holds a fleet of any size', () => {
    const many = Array.from({ length: 5_000 }, (_, n) => 10 + n);
    const { membership, orders } = planned({
      nodes: [...three, ...many.map((n) => node(n))],
      instances: [...managers, ...many.map((n) => worker(n, leaving))],
    });
    expect(orders).toHaveLength(MOST_ORDERS);
    expect(Object.keys(membership.departures)).toHaveLength(MOST_ORDERS);
    expect(() => membershipCodec.encode(membership)).not.toThrow();
  });

  it('is forgotten when it is gone', () => {
    expect(
      planned({ instances: managers }, { departures: { [idOf(7)]: { since: NOW } } }).membership.departures,
    ).toEqual({});
  });
});

describe('a worker behind a load balancer that waits at its terminate hook', () => {
  const instances = [...managers, worker(7, leaving)];
  const nodes = [...three, node(7)];
  const order = `${idOf(0)} release ${nodeIdOf(7)} ${idOf(7)}`;
  const traffic = (...left: string[]) => ({ arrived: new Set<string>(), left: new Set(left) });

  it('is drained when it is sent no connections any more', () => {
    expect(planned({ instances, nodes, traffic: traffic(idOf(7)) }).orders).toEqual([order]);
  });

  it('is not drained before, and not let go, and the time that it waits runs', () => {
    expect(planned({ instances, nodes, traffic: traffic() })).toMatchObject({
      orders: [],
      letGo: [],
      membership: { departures: { [idOf(7)]: { since: NOW } } },
    });
  });

  it.each(['spot', 'otherwise'] as const)('is drained after some time, whatever load balancers do: %s', (kind) => {
    const leaves = {
      ...worker(7, leaving),
      group: { ...worker(7).group, ...(kind === 'spot' && { spot: true as const }) },
    };
    const waits = (ms: number) =>
      planned(
        { instances: [...managers, leaves], nodes, traffic: traffic() },
        { departures: { [idOf(7)]: { since: NOW - ms } } },
      ).orders;
    expect([waits(TRAFFIC_MS[kind] - 1), waits(TRAFFIC_MS[kind])]).toEqual([[], [order]]);
  });

  it('goes on to be drained when its health check passes once more', () => {
    const orders = {
      instanceId: idOf(0),
      orders: [{ kind: 'release' as const, nodeId: nodeIdOf(7), instanceId: idOf(7) }],
    };
    expect(
      planned({ instances, nodes, traffic: traffic() }, { orders, departures: { [idOf(7)]: { since: NOW - 20_000 } } })
        .membership.orders,
    ).toEqual(orders);
  });

  it('is let go at once when it is no node, or all of its stack goes', () => {
    expect(planned({ instances, nodes: three, traffic: traffic() }).letGo).toEqual([idOf(7)]);
    expect(planned({ instances, nodes, traffic: traffic(), stacksLeaving: new Set([STACK]) }).letGo).toContain(idOf(7));
  });

  it('keeps the record within its bound, however many leave', () => {
    const many = Array.from({ length: 2_000 }, (_, n) => n + 10);
    const { membership } = planned({
      instances: [...managers, ...many.map((n) => worker(n, leaving))],
      nodes: [...three, ...many.map((n) => node(n))],
      traffic: traffic(),
    });
    expect(() => membershipCodec.encode(membership)).not.toThrow();
  });

  it('that is a manager does not wait for them', () => {
    expect(planned({ instances: [seat(0, leaving), ...others], traffic: traffic() }).letGo).toEqual([idOf(0)]);
  });
});

describe('a manager that waits at its terminate hook', () => {
  const change = (n: number): Membership['managerChange'] => ({
    kind: 'join',
    seat: n,
    instanceId: idOf(n),
    commandId: 'c',
    expiresAt: NOW,
  });

  it('is let go when the others are a quorum', () => {
    expect(planned({ instances: [seat(0, leaving), ...others] })).toMatchObject({ letGo: [idOf(0)], orders: [] });
  });

  it.each<[string, SwarmNode[]]>([
    ['is down', [member(0), member(1, { state: 'down' }), member(2)]],
    ['is not reached', [member(0), member(1, {}, 'unreachable'), member(2)]],
    ['was not heard of yet by a new leader', [member(0), member(1, { state: 'unknown' }), member(2)]],
  ])('waits while another one %s', (_, nodes) => {
    expect(planned({ nodes, instances: [first!, seat(1), seat(2, leaving)] }).letGo).toEqual([]);
  });

  it('waits while another one sees no leader itself, whatever the list says, or was never heard', () => {
    expect(planned({ instances: [first!, seat(1, 'InService', ''), seat(2, leaving)] }).letGo).toEqual([]);
    expect(planned({ instances: [first!, { ...seat(1), report: undefined }, seat(2, leaving)] }).letGo).toEqual([]);
  });

  it('waits while it is unknown to a new leader itself', () => {
    expect(
      planned({
        nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'unknown' })],
        instances: [first!, seat(1), seat(2, leaving)],
      }).letGo,
    ).toEqual([]);
  });

  it('has its hook prolonged meanwhile', () => {
    const nodes = [member(0), member(1, { state: 'down' }), member(2)];
    expect(
      planned(
        { nodes, instances: [first!, seat(1), seat(2, leaving)] },
        { departures: { [idOf(2)]: { since: NOW - PROLONG_MS } } },
      ).prolonged,
    ).toEqual([idOf(2)]);
  });

  it('goes one after the other: whoever was let go does not count, however long Auto Scaling shows it still', () => {
    const both = [first!, seat(1, leaving), seat(2, leaving)];
    const { letGo, membership } = planned({ instances: both });
    expect(letGo).toEqual([idOf(1)]);
    expect(planned({ now: NOW + 1_000, instances: both }, membership).letGo).toEqual([idOf(1)]);
    const gone = [first!, seat(2, leaving)];
    expect(planned({ now: NOW + 2_000, instances: gone }, membership).letGo).toEqual([]);
    const back = [first!, { ...seat(1), instanceId: idOf(11) }, seat(2, leaving)];
    expect(
      planned(
        {
          now: NOW + 3_000,
          nodes: [member(0), member(1, { instanceId: idOf(11), idleFor: idOf(11) }), member(2)],
          instances: back,
        },
        membership,
      ).letGo,
    ).toEqual([idOf(2)]);
  });

  it('is remembered for a while after it was let go', () => {
    const departures = { [idOf(1)]: { since: NOW - 60_000, letGoAt: NOW - LEADER_STALE_MS + 1 } };
    expect(planned({ instances: managers }, { departures }).membership.departures).toEqual(departures);
    expect(planned({ now: NOW + 1, instances: managers }, { departures }).membership.departures).toEqual({});
  });

  it.each<[string, Partial<Observation>]>([
    ['it is down', { nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable')] }],
    ['it is no member', { nodes: [member(0), member(1)] }],
    ['EC2 has ended it, whoever reports', { leader: stale, gone: new Set([idOf(2)]) }],
    ['it is the only one, whoever reports', { leader: stale, nodes: [member(2)] }],
    ['its whole stack goes', { stacksLeaving: new Set([STACK]) }],
  ])('is let go at once when %s', (_, over) => {
    expect(planned({ instances: [first!, seat(1), seat(2, leaving)], ...over }).letGo).toEqual([idOf(2)]);
  });

  it(
    'whose volume was never attached is let go, whoever reports, once EC2 would know by now of an attachment ' +
      'from before it began to leave',
    () => {
      const never = (ms: number) =>
        planned(
          {
            leader: stale,
            volumes: [{ volumeId: 'vol-2', state: 'available' }],
            instances: [first!, seat(1), seat(2, leaving)],
          },
          { departures: { [idOf(2)]: { since: NOW - ms } } },
        ).letGo;
      expect([never(VOLUMES_STALE_MS - 1), never(VOLUMES_STALE_MS)]).toEqual([[], [idOf(2)]]);
    },
  );

  it('that has its volume mounted waits, though EC2, which may be behind, says that nobody has it', () => {
    const mounted: Instance = {
      ...seat(2, leaving),
      report: {
        instanceId: idOf(2),
        role: 'manager',
        seat: 2,
        address: '10.0.2.10',
        volume: { id: 'vol-2', state: 'mounted' },
      },
    };
    expect(
      planned(
        { leader: stale, volumes: [{ volumeId: 'vol-2', state: 'available' }], instances: [first!, seat(1), mounted] },
        { departures: { [idOf(2)]: { since: NOW - VOLUMES_STALE_MS } } },
      ).letGo,
    ).toEqual([]);
  });

  it('waits while its node is down, but raft reaches it: it may just have come back, and be needed', () => {
    expect(
      planned({
        nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'down' })],
        instances: [first!, seat(1), seat(2, leaving)],
      }).letGo,
    ).toEqual([]);
  });

  it(
    'that is down is let go by a list from after it began to leave: an older one may show its predecessor, ' +
      'or itself before its engine was back, and the quorum may need it since',
    () => {
      const down = (listedAfter: number, instanceId = idOf(2)) =>
        planned(
          {
            leader: { ...leader, updatedAt: NOW - 1_000 },
            nodes: [member(0), member(1, {}, 'unreachable'), member(2, { state: 'down', instanceId }, 'unreachable')],
            instances: [first!, seat(1), seat(2, leaving)],
          },
          { departures: { [idOf(2)]: { since: NOW - 1_000 - listedAfter } } },
        ).letGo;
      expect([down(BACK_MS - 1), down(BACK_MS - 1, idOf(9)), down(BACK_MS), down(BACK_MS, idOf(9))]).toEqual([
        [],
        [],
        [idOf(2)],
        [idOf(2)],
      ]);
    },
  );

  it('that raft may count already waits while no quorum reports, but not for ever', () => {
    const joining = (ms: number) =>
      planned(
        { leader: stale, nodes: [member(0)], instances: [first!, seat(1, leaving)] },
        { managerChange: change(1), departures: { [idOf(1)]: { since: NOW - ms } } },
      ).letGo;
    expect(joining(0)).toEqual([]);
    expect(joining(UNHEARD_MS)).toEqual([idOf(1)]);
  });

  it('whose predecessor raft may count already waits as that one would: what was begun lies on its volume', () => {
    const joining = (ms: number) =>
      planned(
        { leader: stale, nodes: [member(0)], instances: [first!, { ...seat(1, leaving), instanceId: idOf(11) }] },
        { managerChange: change(1), departures: { [idOf(11)]: { since: NOW - ms } } },
      ).letGo;
    expect(joining(0)).toEqual([]);
    expect(joining(UNHEARD_MS)).toEqual([idOf(11)]);
  });

  it('waits while another manager is taken in, and while it is taken in itself', () => {
    expect(
      planned(
        { nodes: [member(0)], instances: [seat(0, leaving), seat(1, 'Pending:Wait')] },
        { managerChange: change(1) },
      ).letGo,
    ).toEqual([]);
    expect(planned({ instances: [first!, seat(1), seat(2, leaving)] }, { managerChange: change(1) }).letGo).toEqual([]);
    const joining = (now: number) =>
      planned(
        { now, nodes: [member(0)], instances: [first!, seat(1, leaving)], leader: { ...leader, updatedAt: now } },
        { managerChange: change(1) },
      ).letGo;
    expect(joining(NOW + LEADER_STALE_MS - 1)).toEqual([]);
    expect(joining(NOW + LEADER_STALE_MS)).toEqual([idOf(1)]);
  });

  it(
    'whose tombstone stands already is let go while no quorum is heard: it may be the leader that nobody ' +
      'hears any more',
    () => {
      const [, , ...rest] = managers;
      const buried = (over: Partial<Observation>) =>
        planned({ instances: [{ ...seat(0, leaving), report: undefined, buried: true }, seat(1), ...rest], ...over })
          .letGo;
      expect(buried({ leader: stale })).toEqual([idOf(0)]);
      expect(planned({ leader: stale, instances: [seat(0, leaving), seat(1), ...rest] }).letGo).toEqual([]);
      // Others have been lost since it was let go: those that see a leader are no quorum without it. Nobody waits for
      // ever.
      const alone = (ms: number) =>
        planned(
          {
            leader: stale,
            instances: [{ ...seat(0, leaving), report: undefined, buried: true }, seat(1), seat(2, 'InService', '')],
          },
          { departures: { [idOf(0)]: { since: NOW - 2 * UNHEARD_MS, letGoAt: NOW - ms } } },
        ).letGo;
      expect([alone(0), alone(UNHEARD_MS - 1), alone(UNHEARD_MS)]).toEqual([[], [], [idOf(0)]]);
      // While another one leads, it goes by the rules.
      expect(
        buried({
          leader: { ...leader, instanceId: idOf(1) },
          nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable')],
        }),
      ).toEqual([]);
    },
  );

  it(
    'is let go in the middle of its own join when that has not ended long after its time: nobody but its ' +
      'successor can end it',
    () => {
      const broken = (now: number, seatInFlight: number) =>
        planned(
          {
            now,
            leader: { ...leader, updatedAt: now },
            nodes: [member(0), member(1), member(2, { state: 'unknown', hostname: '' })],
            instances: [first!, seat(1), seat(2, leaving)],
          },
          { managerChange: change(seatInFlight) },
        ).letGo;
      expect(broken(NOW + LEADER_STALE_MS - 1, 2)).toEqual([]);
      expect(broken(NOW + LEADER_STALE_MS, 2)).toEqual([idOf(2)]);
      expect(broken(NOW + LEADER_STALE_MS, 1)).toEqual([]);
    },
  );

  describe('where there are fewer managers than seats', () => {
    const five = {
      seats: [0, 1, 2, 3, 4].map((n) => ({
        seat: n,
        volumeId: `vol-${n}`,
        networkInterfaceId: `eni-${n}`,
        address: `10.0.${n}.10`,
      })),
    };
    const mounted = (volumeId = 'vol-1'): Instance => ({
      ...seat(1, leaving),
      report: { ...seat(1).report!, volume: { id: volumeId, state: 'mounted' } },
    });
    const pair = (ms: number, over: Partial<Observation> = {}, membership: Partial<Membership> = {}) =>
      planned(
        {
          nodes: [member(0), member(1)],
          instances: [first!, mounted()],
          volumes: [{ volumeId: 'vol-1', state: 'in-use', attachedTo: idOf(1) }],
          ...over,
        },
        { departures: { [idOf(1)]: { since: NOW - ms } }, ...membership },
      ).letGo;

    it(
      'one of two goes some minutes later, for its successor brings the quorum back: neither could ever go ' +
        'otherwise',
      () => {
        expect([pair(UNHEARD_MS - 1), pair(UNHEARD_MS)]).toEqual([[], [idOf(1)]]);
      },
    );

    it(
      'not when its volume is to go as well, nor when the other does not work, nor when there are more of ' +
        'them, however long that takes',
      () => {
        const long = 100 * UNHEARD_MS;
        const other = mounted('vol-old');
        expect(
          pair(long, {
            instances: [first!, other],
            volumes: [
              { volumeId: 'vol-old', state: 'in-use', attachedTo: idOf(1) },
              { volumeId: 'vol-1', state: 'available' },
            ],
          }),
        ).toEqual([]);
        expect(pair(long, { nodes: [member(0, { state: 'down' }), member(1)] })).toEqual([]);
        expect(
          pair(long, { nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable')], ...five }),
        ).toEqual([]);
      },
    );

    it('a join that nobody can end, for its seat has no instance, counts as one member more', () => {
      const waits = (members: number, expiresAt: number, holder: Instance[] = []) => {
        const rest = Array.from({ length: members - 1 }, (_, n) => (n === 0 ? 0 : n + 1));
        const nodes = [...rest, 1].map((n) => member(n));
        return planned(
          { ...five, nodes, instances: [...rest.map((n) => seat(n)), seat(1, leaving), ...holder] },
          { managerChange: { ...change(4)!, expiresAt }, departures: { [idOf(1)]: { since: NOW } } },
        ).letGo;
      };
      expect(waits(4, NOW - LEADER_STALE_MS)).toEqual([idOf(1)]);
      expect(waits(4, NOW - LEADER_STALE_MS + 1)).toEqual([]);
      expect(waits(4, NOW - LEADER_STALE_MS, [{ ...seat(4, 'Pending:Wait'), report: undefined }])).toEqual([]);
      expect(waits(3, NOW - LEADER_STALE_MS)).toEqual([]);
    });
  });

  it('that a person has demoted is drained, too, and stays a node', () => {
    const demoted = node(2, { address: '10.0.2.10' });
    const goes = (change: Partial<SwarmNode>) =>
      planned({
        nodes: [member(0), member(1), { ...demoted, ...change }],
        instances: [first!, seat(1), seat(2, leaving)],
      });
    expect(goes({})).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(2)} ${idOf(2)}`] });
    expect(goes({ idleFor: idOf(2) })).toMatchObject({ letGo: [idOf(2)], orders: [] });
  });

  describe('with tasks', () => {
    const busy = (n: number, change: Partial<SwarmNode> = {}) => member(n, { idleFor: undefined, ...change });
    const nodes = [member(0), member(1), busy(2)];
    const instances = [first!, seat(1), seat(2, leaving)];
    const drain = `${idOf(0)} drain ${nodeIdOf(2)} ${idOf(2)}`;

    it('is drained by the leader, and let go when they have ended', () => {
      expect(planned({ nodes, instances })).toMatchObject({
        letGo: [],
        orders: [drain],
        membership: { departures: { [idOf(2)]: { since: NOW } } },
      });
      expect(
        planned({ nodes: [member(0), member(1), busy(2, { availability: 'drain', drainedFor: idOf(2) })], instances }),
      ).toMatchObject({ letGo: [], orders: [drain] });
      expect(
        planned({
          nodes: [member(0), member(1), member(2, { availability: 'drain', drainedFor: idOf(2) })],
          instances,
        }),
      ).toMatchObject({ letGo: [idOf(2)], orders: [] });
    });

    it('is not drained while it may not go', () => {
      expect(planned({ nodes: [member(0), member(1, { state: 'down' }), busy(2)], instances })).toMatchObject({
        letGo: [],
        orders: [],
      });
    });

    it('drains itself where it leads, or is the only one', () => {
      expect(
        planned({ nodes: [busy(0), member(1), member(2)], instances: [seat(0, leaving), seat(1), seat(2)] }),
      ).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(0)} ${idOf(0)}`] });
      expect(planned({ nodes: [busy(0)], instances: [seat(0, leaving)] })).toMatchObject({
        letGo: [],
        orders: [`${idOf(0)} drain ${nodeIdOf(0)} ${idOf(0)}`],
      });
    });

    it('goes one after the other', () => {
      expect(
        planned({ nodes: [member(0), busy(1), busy(2)], instances: [first!, seat(1, leaving), seat(2, leaving)] }),
      ).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(1)} ${idOf(1)}`] });
    });

    it('is let go at its deadline all the same, which is said; the time before its turn does not count', () => {
      const since = (drainingSince: number | undefined) =>
        planned(
          { nodes, instances },
          {
            departures: {
              [idOf(2)]: {
                since: NOW - 2 * DRAIN_DEADLINE_MS,
                ...(drainingSince !== undefined && { drainingSince }),
                prolongedAt: NOW,
              },
            },
          },
        );
      expect(since(undefined)).toMatchObject({
        letGo: [],
        orders: [drain],
        alarms: [],
        membership: { departures: { [idOf(2)]: { drainingSince: NOW } } },
      });
      expect(since(NOW - DRAIN_DEADLINE_MS + 1).letGo).toEqual([]);
      expect(since(NOW - DRAIN_DEADLINE_MS)).toMatchObject({ letGo: [idOf(2)], alarms: [idOf(2)] });
    });

    it('is drained when load balancers send it nothing more, or some minutes later', () => {
      const sent = (ms: number, left: string[]) =>
        planned(
          { nodes, instances, traffic: { arrived: new Set(), left: new Set(left) } },
          { departures: { [idOf(2)]: { since: NOW - ms } } },
        );
      expect(sent(TRAFFIC_MS.otherwise - 1, [])).toMatchObject({ letGo: [], orders: [] });
      expect(sent(TRAFFIC_MS.otherwise - 1, [idOf(2)])).toMatchObject({ letGo: [], orders: [drain] });
      expect(sent(TRAFFIC_MS.otherwise, [])).toMatchObject({ letGo: [], orders: [drain] });
    });

    it.each<[string, Partial<Observation>]>([
      ['its whole stack goes', { stacksLeaving: new Set([STACK]) }],
      ['EC2 has ended it', { gone: new Set([idOf(2)]) }],
      ['it is down', { nodes: [member(0), member(1), busy(2, { state: 'down' })] }],
      ['no quorum reports that could drain it', { leader: stale, nodes: [busy(2)] }],
    ])('is not waited for when %s', (_, over) => {
      expect(planned({ nodes, instances, ...over }).letGo).toContain(idOf(2));
    });

    it('is not drained by a mark that is of its predecessor', () => {
      expect(
        planned({ nodes: [member(0), member(1), busy(2, { idleFor: idOf(9) })], instances }).orders.join(),
      ).toContain(drain);
    });
  });

  it('that came back has our drain undone, whoever drained it otherwise', () => {
    const successor: Instance = { ...seat(2), instanceId: idOf(12) };
    const back = (change: Partial<SwarmNode>) =>
      planned({
        nodes: [member(0), member(1), member(2, { instanceId: idOf(12), availability: 'drain', ...change })],
        instances: [first!, seat(1), successor],
      }).orders;
    expect(back({ drainedFor: idOf(2), idleFor: idOf(2) })).toEqual([`${idOf(0)} restore ${nodeIdOf(2)} ${idOf(12)}`]);
    expect(back({ idleFor: idOf(2) })).toEqual([`${idOf(0)} restore ${nodeIdOf(2)} ${idOf(12)}`]);
    expect(back({ idleFor: undefined })).toEqual([]);
    // Not before it works, nor for the one that it was done for.
    expect(back({ drainedFor: idOf(2), state: 'unknown' })).toEqual([]);
    expect(back({ drainedFor: idOf(12), idleFor: idOf(12) })).toEqual([]);
  });

  it('is kept while no quorum reports: it may carry it', () => {
    const instances = [first!, seat(1), seat(2, leaving)];
    expect(planned({ leader: stale, instances })).toMatchObject({ letGo: [], prolonged: [] });
    // What the list says is what was so when it was made: of its predecessor, perhaps.
    expect(
      planned({
        leader: stale,
        nodes: [member(0), member(1), member(2, { state: 'down', instanceId: idOf(9) })],
        instances,
      }).letGo,
    ).toEqual([]);
  });
});

describe('a worker that died without notice', () => {
  const nodes = [...three, node(7, { state: 'down' })];
  const gone = new Set([idOf(7)]);

  it('is removed when both witnesses say so', () => {
    expect(planned({ nodes, instances: managers, gone }).orders).toEqual([`${idOf(0)} reap ${nodeIdOf(7)} ${idOf(7)}`]);
  });

  it.each<[string, Partial<Observation>]>([
    ['EC2 does not say that it is gone', { gone: new Set(), interrupted: new Set(), groups: [], interfaces: [] }],
    ['the swarm still hears it', { nodes: [...three, node(7)] }],
    ['it is in a group', { instances: [...managers, worker(7)] }],
    ['it is a manager', { nodes: [...three, member(7, { state: 'down' })] }],
    ['it is to leave raft still', { nodes: [...three, member(7, { state: 'down', role: 'worker' })] }],
    [
      'it carries no instance id: it is none of ours',
      { nodes: [...three, node(7, { state: 'down', instanceId: undefined })] },
    ],
  ])('is left alone when %s', (_, over) => {
    expect(planned({ nodes, instances: managers, gone, ...over }).orders).toEqual([]);
  });
});

import {
  RAFT_RETURN_MS,
  DRAIN_DEADLINE_MS,
  PROLONG_EVERY_MS,
  CONNECTIONS_DEADLINE_MS,
  NO_QUORUM_DEADLINE_MS,
  VOLUMES_STALE_MS,
} from '../../../../lambda/membership/rules/release';
import { announcementOf } from '../../../../lambda/membership/announcements';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { LEADER_STALE_MS, type Membership, membershipCodec } from '../../../../protocol/cluster';
import { MAX_ORDERS } from '../../../../protocol/orders';
import type { SwarmNode } from '../../../../protocol/swarm';
import {
  available,
  idOf,
  idsOf,
  instance,
  worksAsWorker,
  leader,
  LEAVING,
  lostMember,
  manager,
  managers,
  member as memberOf,
  nodeIdOf,
  NOW,
  numbers,
  planned as plannedFor,
  seatsOf,
  seesLeader,
  seesNoLeader,
  silentLeader,
  STACK_ID,
  web,
  worker,
  workerNode,
} from '../world';

/** A member whose tasks have all ended: nothing keeps it from leaving. */
const member: typeof memberOf = (n, change, reachability) => memberOf(n, { idleFor: idOf(n), ...change }, reachability);
const three = [member(0), member(1), member(2)];
const [first, ...others] = managers;

function planned(change: Partial<Observation>, membership: Partial<Membership> = {}) {
  const plan = plannedFor({ nodes: three, instances: [], ...change, membership });
  return {
    letGo: idsOf(plan, 'let-go'),
    announced: plan.effects.flatMap((effect) => announcementOf(effect)?.event ?? []),
    prolonged: idsOf(plan, 'extend-hook'),
    orders: plan.orders.flatMap(({ instanceId, orders }) =>
      orders.length === 0
        ? [`${instanceId} nothing`]
        : orders.map((order) => `${instanceId} ${order.kind} ${order.nodeId} ${order.instanceId}`),
    ),
    alarms: plan.alarms.map(({ instanceId }) => instanceId),
    membership: plan.membership,
  };
}

describe('a worker that was promoted by hand', () => {
  const promoted = member(7, { address: '10.0.9.7' });
  const instances = (...rest: Instance[]) => [...rest, worker(7, LEAVING)];

  it('waits, its hook extended, until the others are a quorum without it', () => {
    const lost = planned(
      {
        nodes: [member(0), member(1), lostMember(2), promoted],
        instances: instances(manager(0), manager(1)),
      },
      { departures: { [idOf(7)]: { since: NOW - PROLONG_EVERY_MS } } },
    );
    expect(lost).toMatchObject({ letGo: [], orders: [], prolonged: [idOf(7)] });
    expect(planned({ nodes: [...three, promoted], instances: instances(...managers) })).toMatchObject({
      letGo: [idOf(7)],
      membership: { departures: { [idOf(7)]: { letGoAt: NOW } } },
    });
    expect(
      planned({ nodes: [...three, promoted], instances: instances(...managers), leader: silentLeader }).letGo,
    ).toEqual([]);
  });

  it('is let go at once while raft does not count it', () => {
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

describe('an instance that is let go', () => {
  it.each<[string, string[], Partial<Observation>]>([
    ['as a node that left', ['nodeLeft'], {}],
    ['as a node that was lost if EC2 has terminated it', ['nodeLost'], { gone: new Set([idOf(2), idOf(7)]) }],
    ['not at all if its whole stack is leaving', [], { stacksLeaving: new Set([STACK_ID]) }],
    ['not at all if no swarm was ever formed', [], { leader: undefined, nodes: [] }],
  ])('is announced %s', (_, events, over) => {
    const leaves = (...instances: Instance[]) => planned({ nodes: three, instances, ...over });
    expect(leaves(manager(0), manager(1), manager(2, LEAVING))).toMatchObject({ letGo: [idOf(2)], announced: events });
    expect(leaves(...managers, worker(7, LEAVING))).toMatchObject({ letGo: [idOf(7)], announced: events });
  });
});

describe('a manager whose seat is no longer configured', () => {
  it('is released once it is a worker, and let go at a deadline that starts then', () => {
    const at = (ms: number, membership?: Membership) =>
      planned(
        {
          now: NOW + ms,
          leader: { ...leader, updatedAt: NOW + ms },
          seats: seatsOf(2),
          nodes: [member(0), member(1), workerNode(2)],
          instances: [manager(0), manager(1), manager(2, LEAVING)],
        },
        membership ?? { departures: { [idOf(2)]: { since: NOW - 2 * DRAIN_DEADLINE_MS } } },
      );
    const first = at(0);
    expect(first).toMatchObject({ letGo: [], orders: [`${idOf(0)} release ${nodeIdOf(2)} ${idOf(2)}`] });
    const later = at(1_000, first.membership);
    expect(at(DRAIN_DEADLINE_MS - 1, later.membership).letGo).toEqual([]);
    expect(at(DRAIN_DEADLINE_MS, later.membership)).toMatchObject({ letGo: [idOf(2)], alarms: [idOf(2)] });
  });
});

describe('a worker that waits at its terminate hook', () => {
  const instances = [...managers, worker(7, LEAVING)];
  const nodes = [...three, workerNode(7)];
  const waits = { letGo: [], orders: [`${idOf(0)} release ${nodeIdOf(7)} ${idOf(7)}`] };

  it('is released by the leader, and let go once its node is gone', () => {
    expect(planned({ nodes, instances })).toMatchObject({
      ...waits,
      membership: { departures: { [idOf(7)]: { since: NOW } } },
    });
    expect(planned({ instances }).letGo).toEqual([idOf(7)]);
  });

  it('is ordered to be released once, and again from the next leader; nobody else keeps the order', () => {
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
    ['its whole stack is leaving', { stacksLeaving: new Set([STACK_ID]) }],
    ['no swarm was ever formed', { leader: undefined, nodes: [] }],
    ['EC2 has terminated it', { gone: new Set([idOf(7)]) }],
  ])('is let go at once when %s', (_, over) => {
    expect(planned({ nodes, instances, ...over })).toMatchObject({ letGo: [idOf(7)], orders: [], alarms: [] });
  });

  it('waits while no quorum is visible, until its deadline, which raises an alarm', () => {
    const since = (ms: number) => ({ departures: { [idOf(7)]: { since: NOW - ms, prolongedAt: NOW } } });
    expect(planned({ nodes, instances, leader: silentLeader }, since(DRAIN_DEADLINE_MS - 1)).letGo).toEqual([]);
    expect(planned({ nodes, instances, leader: silentLeader }, since(DRAIN_DEADLINE_MS))).toMatchObject({
      letGo: [idOf(7)],
      alarms: [idOf(7)],
    });
  });

  it('has its hook extended at intervals', () => {
    const since = (ms: number) => planned({ nodes, instances }, { departures: { [idOf(7)]: { since: NOW - ms } } });
    expect(since(PROLONG_EVERY_MS - 1).prolonged).toEqual([]);
    expect(since(PROLONG_EVERY_MS)).toMatchObject({
      prolonged: [idOf(7)],
      membership: { departures: { [idOf(7)]: { prolongedAt: NOW } } },
    });
  });

  it('takes no other node with it: neither a manager that claims its id, nor the node its own report names', () => {
    const liar = member(2, { instanceId: idOf(7) });
    const told = worker(7, LEAVING, { swarm: worksAsWorker(8) });
    expect(
      planned({
        nodes: [member(0), member(1), liar, workerNode(7), workerNode(8)],
        instances: [...managers, told, worker(8)],
      }).orders,
    ).toEqual(waits.orders);
  });

  it('waits its turn when very many leave, first come, first served', () => {
    const many = numbers(10, MAX_ORDERS + 5);
    const departures = Object.fromEntries(many.map((n) => [idOf(n), { since: NOW - n }]));
    const { orders } = planned(
      {
        nodes: [...three, ...many.map((n) => workerNode(n))],
        instances: [...managers, ...many.map((n) => worker(n, LEAVING))],
      },
      { departures },
    );
    expect(orders).toHaveLength(MAX_ORDERS);
    expect(orders.join()).not.toContain(nodeIdOf(10));
    expect(orders.join()).toContain(nodeIdOf(MAX_ORDERS + 14));
  });

  it('is recorded only when its turn has come, so the record holds a fleet of any size', () => {
    const many = numbers(10, 3_000);
    const { membership, orders } = planned({
      nodes: [...three, ...many.map((n) => workerNode(n))],
      instances: [...managers, ...many.map((n) => worker(n, LEAVING))],
    });
    expect(orders).toHaveLength(MAX_ORDERS);
    expect(Object.keys(membership.departures)).toHaveLength(MAX_ORDERS);
    expect(() => membershipCodec.encode(membership)).not.toThrow();
  });

  it('is forgotten once it is gone', () => {
    expect(
      planned({ instances: managers }, { departures: { [idOf(7)]: { since: NOW } } }).membership.departures,
    ).toEqual({});
  });
});

describe('a worker behind a load balancer that waits at its terminate hook', () => {
  const instances = [...managers, worker(7, LEAVING)];
  const nodes = [...three, workerNode(7)];
  const order = `${idOf(0)} release ${nodeIdOf(7)} ${idOf(7)}`;
  const traffic = (...left: string[]) => ({ arrived: new Set<string>(), left: new Set(left) });

  it('is drained once it is sent no more connections', () => {
    expect(planned({ instances, nodes, traffic: traffic(idOf(7)) }).orders).toEqual([order]);
  });

  it('is neither drained nor let go before that, while its time runs', () => {
    expect(planned({ instances, nodes, traffic: traffic() })).toMatchObject({
      orders: [],
      letGo: [],
      membership: { departures: { [idOf(7)]: { since: NOW } } },
    });
  });

  it.each(['spot', 'otherwise'] as const)('is drained after a while, whatever load balancers do: %s', (kind) => {
    const leaves = instance(7, { ...web, ...(kind === 'spot' && { spot: true }) }, LEAVING);
    const waits = (ms: number) =>
      planned(
        { instances: [...managers, leaves], nodes, traffic: traffic() },
        { departures: { [idOf(7)]: { since: NOW - ms } } },
      ).orders;
    expect([waits(CONNECTIONS_DEADLINE_MS[kind] - 1), waits(CONNECTIONS_DEADLINE_MS[kind])]).toEqual([[], [order]]);
  });

  it('stays ordered to be released when its health check passes once more', () => {
    const orders = {
      instanceId: idOf(0),
      orders: [{ kind: 'release' as const, nodeId: nodeIdOf(7), instanceId: idOf(7) }],
    };
    expect(
      planned({ instances, nodes, traffic: traffic() }, { orders, departures: { [idOf(7)]: { since: NOW - 20_000 } } })
        .membership.orders,
    ).toEqual(orders);
  });

  it('is let go at once when it is not a node or its whole stack is leaving', () => {
    expect(planned({ instances, nodes: three, traffic: traffic() }).letGo).toEqual([idOf(7)]);
    expect(planned({ instances, nodes, traffic: traffic(), stacksLeaving: new Set([STACK_ID]) }).letGo).toContain(
      idOf(7),
    );
  });

  it('keeps the record within its size limit, however many leave', () => {
    const many = numbers(10, 3_000);
    const { membership } = planned({
      instances: [...managers, ...many.map((n) => worker(n, LEAVING))],
      nodes: [...three, ...many.map((n) => workerNode(n))],
      traffic: traffic(),
    });
    expect(() => membershipCodec.encode(membership)).not.toThrow();
  });

  it('does not wait for load balancers if it is a manager', () => {
    expect(planned({ instances: [manager(0, LEAVING), ...others], traffic: traffic() }).letGo).toEqual([idOf(0)]);
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
    expect(planned({ instances: [manager(0, LEAVING), ...others] })).toMatchObject({ letGo: [idOf(0)], orders: [] });
  });

  it.each<[string, SwarmNode[]]>([
    ['is down', [member(0), member(1, { state: 'down' }), member(2)]],
    ['is unreachable', [member(0), member(1, {}, 'unreachable'), member(2)]],
    ['has not been heard of by a new leader yet', [member(0), member(1, { state: 'unknown' }), member(2)]],
  ])('waits while another one %s', (_, nodes) => {
    expect(planned({ nodes, instances: [first!, manager(1), manager(2, LEAVING)] }).letGo).toEqual([]);
  });

  it('waits while another one says that it sees no leader, whatever the list says, or has never reported', () => {
    expect(
      planned({ instances: [first!, manager(1, undefined, { swarm: seesNoLeader(1) }), manager(2, LEAVING)] }).letGo,
    ).toEqual([]);
    expect(planned({ instances: [first!, manager(1, undefined, null), manager(2, LEAVING)] }).letGo).toEqual([]);
  });

  it('waits while a new leader has not heard of it yet', () => {
    expect(
      planned({
        nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'unknown' })],
        instances: [first!, manager(1), manager(2, LEAVING)],
      }).letGo,
    ).toEqual([]);
  });

  it('has its hook extended while it waits', () => {
    const nodes = [member(0), member(1, { state: 'down' }), member(2)];
    expect(
      planned(
        { nodes, instances: [first!, manager(1), manager(2, LEAVING)] },
        { departures: { [idOf(2)]: { since: NOW - PROLONG_EVERY_MS } } },
      ).prolonged,
    ).toEqual([idOf(2)]);
  });

  it('goes one at a time: one that was let go does not count, however long Auto Scaling still lists it', () => {
    const both = [first!, manager(1, LEAVING), manager(2, LEAVING)];
    const { letGo, membership } = planned({ instances: both });
    expect(letGo).toEqual([idOf(1)]);
    expect(planned({ now: NOW + 1_000, instances: both }, membership).letGo).toEqual([idOf(1)]);
    const gone = [first!, manager(2, LEAVING)];
    expect(planned({ now: NOW + 2_000, instances: gone }, membership).letGo).toEqual([]);
    const back = [first!, { ...manager(1), instanceId: idOf(11) }, manager(2, LEAVING)];
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

  it('is remembered for a while after it is let go', () => {
    const departures = { [idOf(1)]: { since: NOW - 60_000, letGoAt: NOW - LEADER_STALE_MS + 1 } };
    expect(planned({ instances: managers }, { departures }).membership.departures).toEqual(departures);
    expect(planned({ now: NOW + 1, instances: managers }, { departures }).membership.departures).toEqual({});
  });

  it.each<[string, Partial<Observation>]>([
    ['it is down', { nodes: [member(0), member(1), lostMember(2)] }],
    ['it is not a member', { nodes: [member(0), member(1)] }],
    ['EC2 has terminated it, quorum or not', { leader: silentLeader, gone: new Set([idOf(2)]) }],
    ['it is the only one, quorum or not', { leader: silentLeader, nodes: [member(2)] }],
    ['its whole stack is leaving', { stacksLeaving: new Set([STACK_ID]) }],
  ])('is let go at once when %s', (_, over) => {
    expect(planned({ instances: [first!, manager(1), manager(2, LEAVING)], ...over }).letGo).toEqual([idOf(2)]);
  });

  it('is let go, quorum or not, if its volume was never attached and EC2 has had time to tell otherwise', () => {
    const never = (ms: number) =>
      planned(
        {
          leader: silentLeader,
          volumes: [available(2)],
          instances: [first!, manager(1), manager(2, LEAVING, { volume: undefined })],
        },
        { departures: { [idOf(2)]: { since: NOW - ms } } },
      ).letGo;
    expect([never(VOLUMES_STALE_MS - 1), never(VOLUMES_STALE_MS)]).toEqual([[], [idOf(2)]]);
  });

  it('waits while it has its volume mounted, though EC2, which may be behind, calls the volume available', () => {
    expect(
      planned(
        { leader: silentLeader, volumes: [available(2)], instances: [first!, manager(1), manager(2, LEAVING)] },
        { departures: { [idOf(2)]: { since: NOW - VOLUMES_STALE_MS } } },
      ).letGo,
    ).toEqual([]);
  });

  it('waits while its node is down but raft reaches it: it may just have come back and be needed', () => {
    expect(
      planned({
        nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'down' })],
        instances: [first!, manager(1), manager(2, LEAVING)],
      }).letGo,
    ).toEqual([]);
  });

  it(
    'is let go while down only by a list from after it began to leave: an older list may show its predecessor, or ' +
      'itself before its engine was back',
    () => {
      const down = (listedAfter: number, instanceId = idOf(2)) =>
        planned(
          {
            leader: { ...leader, updatedAt: NOW - 1_000 },
            nodes: [member(0), member(1, {}, 'unreachable'), member(2, { state: 'down', instanceId }, 'unreachable')],
            instances: [first!, manager(1), manager(2, LEAVING)],
          },
          { departures: { [idOf(2)]: { since: NOW - 1_000 - listedAfter } } },
        ).letGo;
      expect([
        down(RAFT_RETURN_MS - 1),
        down(RAFT_RETURN_MS - 1, idOf(9)),
        down(RAFT_RETURN_MS),
        down(RAFT_RETURN_MS, idOf(9)),
      ]).toEqual([[], [], [idOf(2)], [idOf(2)]]);
    },
  );

  it('waits without a visible quorum if raft may already count it, but not for ever', () => {
    const joining = (ms: number) =>
      planned(
        { leader: silentLeader, nodes: [member(0)], instances: [first!, manager(1, LEAVING)] },
        { managerChange: change(1), departures: { [idOf(1)]: { since: NOW - ms } } },
      ).letGo;
    expect(joining(0)).toEqual([]);
    expect(joining(NO_QUORUM_DEADLINE_MS)).toEqual([idOf(1)]);
  });

  it('waits just as its predecessor would, whose join lies on its volume', () => {
    const joining = (ms: number) =>
      planned(
        {
          leader: silentLeader,
          nodes: [member(0)],
          instances: [first!, { ...manager(1, LEAVING), instanceId: idOf(11) }],
        },
        { managerChange: change(1), departures: { [idOf(11)]: { since: NOW - ms } } },
      ).letGo;
    expect(joining(0)).toEqual([]);
    expect(joining(NO_QUORUM_DEADLINE_MS)).toEqual([idOf(11)]);
  });

  it('waits while another manager joins, and while it joins itself', () => {
    expect(
      planned(
        { nodes: [member(0)], instances: [manager(0, LEAVING), manager(1, 'Pending:Wait')] },
        { managerChange: change(1) },
      ).letGo,
    ).toEqual([]);
    expect(
      planned({ instances: [first!, manager(1), manager(2, LEAVING)] }, { managerChange: change(1) }).letGo,
    ).toEqual([]);
    const joining = (now: number) =>
      planned(
        { now, nodes: [member(0)], instances: [first!, manager(1, LEAVING)], leader: { ...leader, updatedAt: now } },
        { managerChange: change(1) },
      ).letGo;
    expect(joining(NOW + LEADER_STALE_MS - 1)).toEqual([]);
    expect(joining(NOW + LEADER_STALE_MS)).toEqual([idOf(1)]);
  });

  it('is let go without a visible quorum once it has a tombstone: it may be the leader nobody hears', () => {
    const [, , ...rest] = managers;
    const buried = (over: Partial<Observation>) =>
      planned({
        instances: [{ ...manager(0, LEAVING, null), hasTombstone: true }, manager(1), ...rest],
        ...over,
      }).letGo;
    expect(buried({ leader: silentLeader })).toEqual([idOf(0)]);
    expect(planned({ leader: silentLeader, instances: [manager(0, LEAVING), manager(1), ...rest] }).letGo).toEqual([]);
    // Others have been lost since it was let go: those that see a leader are no quorum without it. Nobody waits for
    // ever.
    const alone = (ms: number) =>
      planned(
        {
          leader: silentLeader,
          instances: [
            { ...manager(0, LEAVING, null), hasTombstone: true },
            manager(1),
            manager(2, undefined, { swarm: seesNoLeader(2) }),
          ],
        },
        { departures: { [idOf(0)]: { since: NOW - 2 * NO_QUORUM_DEADLINE_MS, letGoAt: NOW - ms } } },
      ).letGo;
    expect([alone(0), alone(NO_QUORUM_DEADLINE_MS - 1), alone(NO_QUORUM_DEADLINE_MS)]).toEqual([[], [], [idOf(0)]]);
    // Only managers of seats tell of a quorum. A worker is no part of one, whatever it reports.
    expect(
      buried({
        leader: silentLeader,
        instances: [
          { ...manager(0, LEAVING, null), hasTombstone: true },
          manager(1),
          manager(2, undefined, { swarm: seesNoLeader(2) }),
          worker(7, 'Pending:Wait', { swarm: seesLeader(7) }),
        ],
      }),
    ).toEqual([]);
    // While another one leads, it goes by the rules.
    expect(
      buried({
        leader: { ...leader, instanceId: idOf(1) },
        nodes: [member(0), member(1), lostMember(2)],
      }),
    ).toEqual([]);
  });

  it('is let go during its own join long after that expired: only its successor can finish it', () => {
    const broken = (now: number, seatInFlight: number) =>
      planned(
        {
          now,
          leader: { ...leader, updatedAt: now },
          nodes: [member(0), member(1), member(2, { state: 'unknown', hostname: '' })],
          instances: [first!, manager(1), manager(2, LEAVING)],
        },
        { managerChange: change(seatInFlight) },
      ).letGo;
    expect(broken(NOW + LEADER_STALE_MS - 1, 2)).toEqual([]);
    expect(broken(NOW + LEADER_STALE_MS, 2)).toEqual([idOf(2)]);
    expect(broken(NOW + LEADER_STALE_MS, 1)).toEqual([]);
  });

  describe('where there are fewer managers than seats', () => {
    const five = { seats: seatsOf(5) };
    const mounted = (volumeId = 'vol-1') => manager(1, LEAVING, { volume: { id: volumeId, state: 'mounted' } });
    const pair = (ms: number, over: Partial<Observation> = {}, membership: Partial<Membership> = {}) =>
      planned(
        {
          nodes: [member(0), member(1)],
          instances: [first!, mounted()],
          ...over,
        },
        { departures: { [idOf(1)]: { since: NOW - ms } }, ...membership },
      ).letGo;

    it('lets one of two go some minutes later: its successor restores the quorum', () => {
      expect([pair(NO_QUORUM_DEADLINE_MS - 1), pair(NO_QUORUM_DEADLINE_MS)]).toEqual([[], [idOf(1)]]);
    });

    it('keeps one whose volume goes too, one of two whose other does not work, and one of more than two', () => {
      const long = 100 * NO_QUORUM_DEADLINE_MS;
      const other = mounted('vol-old');
      expect(
        pair(long, {
          instances: [first!, other],
          volumes: [{ volumeId: 'vol-old', state: 'in-use', attachedTo: idOf(1) }, available(1)],
        }),
      ).toEqual([]);
      expect(pair(long, { nodes: [member(0, { state: 'down' }), member(1)] })).toEqual([]);
      expect(pair(long, { nodes: [member(0), member(1), lostMember(2)], ...five })).toEqual([]);
    });

    it('counts a join whose seat has no instance as one more member', () => {
      const waits = (members: number, expiresAt: number, holder: Instance[] = []) => {
        const rest = Array.from({ length: members - 1 }, (_, n) => (n === 0 ? 0 : n + 1));
        const nodes = [...rest, 1].map((n) => member(n));
        return planned(
          { ...five, nodes, instances: [...rest.map((n) => manager(n)), manager(1, LEAVING), ...holder] },
          { managerChange: { ...change(4)!, expiresAt }, departures: { [idOf(1)]: { since: NOW } } },
        ).letGo;
      };
      expect(waits(4, NOW - LEADER_STALE_MS)).toEqual([idOf(1)]);
      expect(waits(4, NOW - LEADER_STALE_MS + 1)).toEqual([]);
      expect(waits(4, NOW - LEADER_STALE_MS, [manager(4, 'Pending:Wait', null)])).toEqual([]);
      expect(waits(3, NOW - LEADER_STALE_MS)).toEqual([]);
    });
  });

  it('is drained, and stays a node, after somebody demoted it', () => {
    const demoted = workerNode(2, { address: '10.0.2.10' });
    const goes = (change: Partial<SwarmNode>) =>
      planned({
        nodes: [member(0), member(1), { ...demoted, ...change }],
        instances: [first!, manager(1), manager(2, LEAVING)],
      });
    expect(goes({})).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(2)} ${idOf(2)}`] });
    expect(goes({ idleFor: idOf(2) })).toMatchObject({ letGo: [idOf(2)], orders: [] });
  });

  describe('with tasks', () => {
    const busy = (n: number, change: Partial<SwarmNode> = {}) => member(n, { idleFor: undefined, ...change });
    const nodes = [member(0), member(1), busy(2)];
    const instances = [first!, manager(1), manager(2, LEAVING)];
    const drain = `${idOf(0)} drain ${nodeIdOf(2)} ${idOf(2)}`;

    it('is drained by the leader, and let go when its tasks have ended', () => {
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

    it('is not drained while it must stay', () => {
      expect(planned({ nodes: [member(0), member(1, { state: 'down' }), busy(2)], instances })).toMatchObject({
        letGo: [],
        orders: [],
      });
    });

    it('drains itself if it leads or is the only one', () => {
      expect(
        planned({ nodes: [busy(0), member(1), member(2)], instances: [manager(0, LEAVING), manager(1), manager(2)] }),
      ).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(0)} ${idOf(0)}`] });
      expect(planned({ nodes: [busy(0)], instances: [manager(0, LEAVING)] })).toMatchObject({
        letGo: [],
        orders: [`${idOf(0)} drain ${nodeIdOf(0)} ${idOf(0)}`],
      });
    });

    it('goes one at a time', () => {
      expect(
        planned({
          nodes: [member(0), busy(1), busy(2)],
          instances: [first!, manager(1, LEAVING), manager(2, LEAVING)],
        }),
      ).toMatchObject({ letGo: [], orders: [`${idOf(0)} drain ${nodeIdOf(1)} ${idOf(1)}`] });
    });

    it('is let go at its deadline with an alarm; the time before its turn does not count', () => {
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

    it('is drained once load balancers send it nothing more, or some minutes later', () => {
      const sent = (ms: number, left: string[]) =>
        planned(
          { nodes, instances, traffic: { arrived: new Set(), left: new Set(left) } },
          { departures: { [idOf(2)]: { since: NOW - ms } } },
        );
      expect(sent(CONNECTIONS_DEADLINE_MS.otherwise - 1, [])).toMatchObject({ letGo: [], orders: [] });
      expect(sent(CONNECTIONS_DEADLINE_MS.otherwise - 1, [idOf(2)])).toMatchObject({ letGo: [], orders: [drain] });
      expect(sent(CONNECTIONS_DEADLINE_MS.otherwise, [])).toMatchObject({ letGo: [], orders: [drain] });
    });

    it.each<[string, Partial<Observation>]>([
      ['its whole stack is leaving', { stacksLeaving: new Set([STACK_ID]) }],
      ['EC2 has terminated it', { gone: new Set([idOf(2)]) }],
      ['it is down', { nodes: [member(0), member(1), busy(2, { state: 'down' })] }],
      ['raft does not count it yet', { nodes: [member(0), member(1), busy(2, { manager: undefined })] }],
      ['no quorum is visible that could drain it', { leader: silentLeader, nodes: [busy(2)] }],
    ])('does not wait for its tasks when %s', (_, over) => {
      expect(planned({ nodes, instances, ...over }).letGo).toContain(idOf(2));
    });

    it('is drained although its predecessor was marked idle', () => {
      expect(
        planned({ nodes: [member(0), member(1), busy(2, { idleFor: idOf(9) })], instances }).orders.join(),
      ).toContain(drain);
    });
  });

  it('has only our own drain undone when it is back', () => {
    const successor: Instance = { ...manager(2), instanceId: idOf(12) };
    const back = (change: Partial<SwarmNode>) =>
      planned({
        nodes: [member(0), member(1), member(2, { instanceId: idOf(12), availability: 'drain', ...change })],
        instances: [first!, manager(1), successor],
      }).orders;
    expect(back({ drainedFor: idOf(2), idleFor: idOf(2) })).toEqual([`${idOf(0)} restore ${nodeIdOf(2)} ${idOf(12)}`]);
    expect(back({ idleFor: idOf(2) })).toEqual([`${idOf(0)} restore ${nodeIdOf(2)} ${idOf(12)}`]);
    expect(back({ idleFor: undefined })).toEqual([]);
    // Not before it works, nor for the one that it was done for.
    expect(back({ drainedFor: idOf(2), state: 'unknown' })).toEqual([]);
    expect(back({ drainedFor: idOf(12), idleFor: idOf(12) })).toEqual([]);
  });

  it('is kept while no quorum is visible: it may carry the quorum', () => {
    const instances = [first!, manager(1), manager(2, LEAVING)];
    expect(planned({ leader: silentLeader, instances })).toMatchObject({ letGo: [], prolonged: [] });
    // What the list says is what was so when it was made: of its predecessor, perhaps.
    expect(
      planned({
        leader: silentLeader,
        nodes: [member(0), member(1), member(2, { state: 'down', instanceId: idOf(9) })],
        instances,
      }).letGo,
    ).toEqual([]);
  });
});

describe('a worker that died without notice', () => {
  const nodes = [...three, workerNode(7, { state: 'down' })];
  const gone = new Set([idOf(7)]);

  it('is removed when both witnesses agree', () => {
    expect(planned({ nodes, instances: managers, gone }).orders).toEqual([`${idOf(0)} reap ${nodeIdOf(7)} ${idOf(7)}`]);
  });

  it.each<[string, Partial<Observation>]>([
    ['EC2 does not say that it is gone', { gone: new Set(), interrupted: new Set(), groups: [], interfaces: [] }],
    ['the swarm still hears from it', { nodes: [...three, workerNode(7)] }],
    ['it is in a group', { instances: [...managers, worker(7)] }],
    ['it is a manager', { nodes: [...three, member(7, { state: 'down' })] }],
    ['it has yet to leave raft', { nodes: [...three, member(7, { state: 'down', role: 'worker' })] }],
    [
      'it has no instance id, so it is not ours',
      { nodes: [...three, workerNode(7, { state: 'down', instanceId: undefined })] },
    ],
  ])('is left alone when %s', (_, over) => {
    expect(planned({ nodes, instances: managers, gone, ...over }).orders).toEqual([]);
  });
});

import type { Observation } from '../../../../lambda/membership/observation';
import { HUNG_MS } from '../../../../lambda/membership/rules/replace-hung';
import { type Membership, membershipCodec } from '../../../../protocol/cluster';
import type { SwarmNode } from '../../../../protocol/swarm';
import {
  idOf,
  idsOf,
  leader,
  lostMember,
  managers,
  member,
  members,
  NOW,
  numbers,
  planned as plannedFor,
  silentLeader,
  worker,
  workerNode,
} from '../world';

/** Five workers, of which number 10 is `change`; undefined when it is no node at all. */
const workers = (change: Partial<SwarmNode> | undefined) => ({
  instances: [...managers, ...numbers(10, 5).map((n) => worker(n))],
  nodes: [...members, ...(change ? [workerNode(10, change)] : []), ...numbers(11, 4).map((n) => workerNode(n))],
});
const down = workers({ state: 'down' });

function planned({ now = NOW, ...change }: Partial<Observation>, membership: Partial<Membership> = {}) {
  const plan = plannedFor({
    now,
    leader: { ...leader, updatedAt: now },
    nodes: members,
    instances: managers,
    ...change,
    membership,
  });
  return {
    replaced: idsOf(plan, 'replace'),
    alarms: plan.alarms.map(({ reason }) => reason),
    membership: plan.membership,
  };
}

/** It has been down for this long. */
const since = (n: number, ms: number): Partial<Membership> => ({ hung: { [idOf(n)]: NOW - ms } });

describe('an instance in service', () => {
  it('is replaced when it has been down for the swarm for too long', () => {
    const first = planned(down);
    expect(first).toMatchObject({ replaced: [], membership: { hung: { [idOf(10)]: NOW } } });
    expect(planned({ ...down, now: NOW + HUNG_MS - 1 }, first.membership).replaced).toEqual([]);
    expect(planned({ ...down, now: NOW + HUNG_MS }, first.membership)).toMatchObject({
      replaced: [idOf(10)],
      alarms: [expect.stringContaining('more than 5 minutes')],
    });
  });

  it('gets its full time again when it was up in between', () => {
    const { membership } = planned(workers({}), since(10, HUNG_MS));
    expect(membership.hung).toEqual({});
    expect(planned(down, membership).replaced).toEqual([]);
  });

  it('counts as down when it is no node at all: somebody may have removed it while its engine was away', () => {
    expect(planned(workers(undefined), since(10, HUNG_MS)).replaced).toEqual([idOf(10)]);
  });

  it.each<[string, Partial<SwarmNode>]>([
    ['is drained by hand', { availability: 'drain' }],
    ['is paused by hand', { availability: 'pause' }],
    ['has not been heard of by a new leader yet', { state: 'unknown' }],
    ['lost its session a moment ago', { state: 'disconnected' }],
  ])('is left alone when it %s', (_, change) => {
    expect(planned(workers(change), since(10, HUNG_MS))).toMatchObject({ replaced: [], membership: { hung: {} } });
  });

  it.each(['Pending:Wait', 'Standby', 'Terminating:Wait'])('is left to other rules in lifecycle state %s', (state) => {
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

  it('is not replaced while no quorum is visible, and gets its full time again afterwards', () => {
    expect(planned({ ...down, leader: silentLeader }, since(10, HUNG_MS))).toMatchObject({
      replaced: [],
      membership: { hung: {} },
    });
  });
});

describe('the breaker', () => {
  const fleet = (count: number, dead: number, ms = HUNG_MS) => {
    const ids = numbers(10, count);
    return planned(
      {
        instances: [...managers, ...ids.map((n) => worker(n))],
        nodes: [...members, ...ids.map((n, k) => workerNode(n, k < dead ? { state: 'down' } : {}))],
      },
      { hung: Object.fromEntries(ids.slice(0, dead).map((n) => [idOf(n), NOW - ms])) },
    );
  };

  it('allows one replacement, however few nodes there are', () => {
    expect(fleet(1, 1).replaced).toEqual([idOf(10)]);
  });

  it('trips when more than a fifth of a role is down: nobody is replaced, times restart, an alarm is raised', () => {
    expect(fleet(10, 2).replaced).toHaveLength(2);
    expect(fleet(10, 3)).toMatchObject({
      replaced: [],
      alarms: [expect.stringContaining('3 of 10 workers are down')],
      membership: { hung: {} },
    });
    expect(fleet(10, 3, 0)).toMatchObject({ alarms: [expect.stringContaining('none is replaced')] });
  });

  it('of one role does not stop replacements in the other', () => {
    const ids = numbers(10, 3);
    const nodes = [member(0), member(1), lostMember(2), ...ids.map((n) => workerNode(n, { state: 'down' }))];
    expect(
      planned({ instances: [...managers, ...ids.map((n) => worker(n))], nodes }, since(2, HUNG_MS)).replaced,
    ).toEqual([idOf(2)]);
  });

  it('keeps the membership record of the largest fleet within its size limit', () => {
    expect(() => membershipCodec.encode(fleet(10_000, 2_000).membership)).not.toThrow();
  });
});

describe('a manager', () => {
  const lost = { nodes: [member(0), member(1), lostMember(2)] };

  it.each<[string, SwarmNode[]]>([
    ['down', lost.nodes],
    ['deaf: reachable for raft, but down', [member(0), member(1), member(2, { state: 'down' })]],
    ['unreachable for raft', [member(0), member(1), member(2, {}, 'unreachable')]],
    ['no node at all', [member(0), member(1)]],
  ])('is replaced when it is %s', (_, nodes) => {
    expect(planned({ nodes }, since(2, HUNG_MS)).replaced).toEqual([idOf(2)]);
  });

  it('counts as up after somebody demoted it by hand', () => {
    expect(
      planned({ nodes: [member(0), member(1), member(2, { role: 'worker', manager: undefined })] }, since(2, HUNG_MS))
        .replaced,
    ).toEqual([]);
  });

  it('waits while another seat is being changed, but not for its own change, which its successor finishes', () => {
    const change = (n: number): Partial<Membership> => ({
      ...since(2, HUNG_MS),
      managerChange: { kind: 'join', seat: n, instanceId: idOf(n), commandId: 'c', expiresAt: NOW },
    });
    expect(planned(lost, change(1)).replaced).toEqual([]);
    expect(planned(lost, change(2)).replaced).toEqual([idOf(2)]);
  });

  it('is never replaced while another is down too: the swarm has lost its quorum or is about to', () => {
    expect(
      planned(
        { nodes: [member(0), member(1, { state: 'down' }), member(2, { state: 'down' })] },
        { hung: { [idOf(1)]: 0, [idOf(2)]: 0 } },
      ).replaced,
    ).toEqual([]);
  });
});

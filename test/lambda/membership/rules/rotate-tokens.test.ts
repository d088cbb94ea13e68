import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Observation } from '../../../../lambda/membership/observation';
import { PATIENCE_MS, ROTATION_MS } from '../../../../lambda/membership/rules/rotate-tokens';
import type { Membership } from '../../../../protocol/cluster';
import { tokensDigest } from '../../../../protocol/report';
import {
  idOf,
  leader,
  manager,
  member,
  NOW,
  planned as plannedFor,
  seatsOf,
  silentLeader,
  STACK_ID,
  tokensOf,
  waiting,
  web,
} from '../world';

/** A swarm of one manager. */
function planned(membership: Partial<Membership>, change: Partial<Observation> = {}) {
  const {
    orders,
    membership: after,
    commands,
  } = plannedFor({ seats: seatsOf(1), nodes: [member(0)], instances: [manager(0)], ...change, membership }, () => 'id');
  return { orders, rotation: after.rotation, joins: commands.filter(({ command }) => command?.kind === 'join').length };
}

const old = { rotation: { at: NOW - ROTATION_MS } };
const asked = { id: 'id', expiresAt: NOW + COMMAND_MS - 5_000, instead: tokensDigest(leader.tokens) };
const pending = {
  rotation: { at: NOW - ROTATION_MS, dueSince: NOW - 1, asked },
  orders: { instanceId: idOf(0), orders: [], rotation: 'id' },
};

const joining = waiting(7, web);

describe('the join tokens', () => {
  test('count as new at the first look at a swarm', () => {
    expect(planned({ rotation: null })).toEqual({ orders: [], rotation: { at: NOW }, joins: 0 });
    expect(planned({ rotation: null }, { leader: undefined, nodes: [] }).rotation).toBeNull();
  });

  test('are rotated by the leader once they are a month old', () => {
    expect(planned({ rotation: { at: NOW - ROTATION_MS + 1 } }).orders).toEqual([]);
    expect(planned(old)).toEqual({
      orders: [{ instanceId: idOf(0), orders: [], rotation: 'id' }],
      rotation: { ...old.rotation, dueSince: NOW, asked: { ...asked, expiresAt: NOW + COMMAND_MS } },
      joins: 0,
    });
  });

  test('are rotated once a manager has left since the last rotation', () => {
    const departures = (letGoAt: number) => ({ [idOf(1)]: { since: NOW - 10_000, letGoAt } });
    expect(planned({ rotation: { at: NOW - 5_000 }, departures: departures(NOW - 4_000) }).orders).toHaveLength(1);
    expect(planned({ rotation: { at: NOW - 5_000 }, departures: departures(NOW - 6_000) }).orders).toEqual([]);
  });

  test('are not rotated during a manager change, without a visible quorum, or while the whole stack leaves', () => {
    expect(planned(old, { stacksLeaving: new Set([STACK_ID]) }).orders).toEqual([]);
    const managerChange = {
      kind: 'join' as const,
      seat: 0,
      instanceId: idOf(9),
      commandId: 'c',
      expiresAt: NOW + COMMAND_MS,
    };
    expect(planned({ ...old, managerChange }).orders).toEqual([]);
    expect(planned(old, { leader: silentLeader }).orders).toEqual([]);
  });

  test('wait for workers that are joining, but not for ever', () => {
    const workerJoins = { [idOf(7)]: { commandId: 'c', expiresAt: NOW + COMMAND_MS } };
    const since = (ms: number) =>
      planned(
        { rotation: { at: NOW - ROTATION_MS - ms, dueSince: NOW - ms }, workerJoins },
        { instances: [manager(0), joining] },
      ).orders;
    expect(since(PATIENCE_MS - 1)).toEqual([]);
    expect(since(PATIENCE_MS)).toHaveLength(1);
  });

  test('are given to nobody between the order to rotate and the publication of the new pair', () => {
    const instances = [manager(0), joining];
    expect(planned(pending, { instances })).toMatchObject({ orders: [], joins: 0 });
    // The record says that it was done, and still has the tokens of before.
    expect(planned(pending, { instances, leader: { ...leader, rotation: 'id' } }).joins).toBe(0);
    // Somebody else rotated them. The order may still be carried out.
    expect(planned(pending, { instances, leader: { ...leader, tokens: tokensOf('b') } })).toEqual({
      orders: [],
      rotation: pending.rotation,
      joins: 0,
    });
    const done = { ...leader, rotation: 'id', tokens: tokensOf('b') };
    expect(planned(pending, { instances, leader: done })).toEqual({
      orders: [{ instanceId: idOf(0), orders: [] }],
      rotation: { at: asked.expiresAt - COMMAND_MS },
      joins: 1,
    });
  });

  test('are ordered again after the order to rotate them expires', () => {
    const late = { ...pending, rotation: { ...pending.rotation, asked: { ...asked, expiresAt: NOW } } };
    const first = planned(late);
    expect(first).toMatchObject({
      orders: [{ instanceId: idOf(0), orders: [] }],
      rotation: { at: NOW - ROTATION_MS, dueSince: NOW - 1 },
    });
    expect(planned({ rotation: first.rotation }).orders).toHaveLength(1);
  });

  test('are rotated by whoever leads, so the order moves to a new leader', () => {
    expect(planned(pending, { leader: { ...leader, instanceId: idOf(3) } }).orders).toEqual([
      { instanceId: idOf(0), orders: [] },
      { instanceId: idOf(3), orders: [], rotation: 'id' },
    ]);
  });
});

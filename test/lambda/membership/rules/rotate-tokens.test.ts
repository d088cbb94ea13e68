import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import { PATIENCE_MS, ROTATION_MS } from '../../../../lambda/membership/rules/rotate-tokens';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord, type Membership } from '../../../../protocol/cluster';
import { tokensDigest } from '../../../../protocol/report';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 10_000_000_000;
const tokensOf = (letter: string) => ({
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(24)}${letter}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(24)}${letter}`,
});
const seats = [{ seat: 0, volumeId: 'vol-0', networkInterfaceId: 'eni-0', address: '10.0.0.10' }];
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const leader: LeaderRecord = {
  swarmId: 's'.repeat(25),
  epoch: 20,
  instanceId: idOf(0),
  tokens: tokensOf('a'),
  updatedAt: NOW - 1_000,
};
const manager: Instance = {
  instanceId: idOf(0),
  group: { name: 'seat-0', role: 'manager', seat: 0 },
  lifecycleState: 'InService',
  report: {
    instanceId: idOf(0),
    role: 'manager',
    seat: 0,
    address: '10.0.0.10',
    swarm: { state: 'active', nodeId: nodeIdOf(0), controlAvailable: true, swarmId: leader.swarmId },
  },
};
const waiting: Instance = {
  instanceId: idOf(7),
  group: { name: 'web', role: 'worker' },
  lifecycleState: 'Pending:Wait',
  ec2: { state: 'running', address: '10.0.9.7', launchedAt: NOW },
  report: {
    instanceId: idOf(7),
    role: 'worker',
    address: '10.0.9.7',
    swarm: { state: 'inactive', controlAvailable: false },
  },
};
const node: SwarmNode = {
  id: nodeIdOf(0),
  hostname: 'node',
  role: 'manager',
  availability: 'active',
  state: 'ready',
  instanceId: idOf(0),
  address: '10.0.0.10',
  manager: { leader: true, reachability: 'reachable', address: '10.0.0.10:2377' },
};

function planned(membership: Partial<Membership>, over: Partial<Observation> = {}) {
  const observation: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: [node],
    membership: { ...emptyMembership, ...membership },
    instances: [manager],
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    volumes: [],
    ...over,
  };
  const result = plan(observation, () => 'id');
  return {
    orders: result.orders,
    rotation: result.membership.rotation,
    joins: result.commands.filter(({ command }) => command?.kind === 'join').length,
  };
}

const old = { rotation: { at: NOW - ROTATION_MS } };
const asked = { id: 'id', expiresAt: NOW + COMMAND_MS - 5_000, instead: tokensDigest(leader.tokens) };
const pending = {
  rotation: { at: NOW - ROTATION_MS, dueSince: NOW - 1, asked },
  orders: { instanceId: idOf(0), orders: [], rotation: 'id' },
};

describe('the join tokens', () => {
  test('are as old as the first look at the swarm says', () => {
    expect(planned({})).toEqual({ orders: [], rotation: { at: NOW }, joins: 0 });
    expect(planned({}, { leader: undefined, nodes: [] }).rotation).toBeNull();
  });

  test('are rotated by the leader when they are a month old', () => {
    expect(planned({ rotation: { at: NOW - ROTATION_MS + 1 } }).orders).toEqual([]);
    expect(planned(old)).toEqual({
      orders: [{ instanceId: idOf(0), orders: [], rotation: 'id' }],
      rotation: { ...old.rotation, dueSince: NOW, asked: { ...asked, expiresAt: NOW + COMMAND_MS } },
      joins: 0,
    });
  });

  test('are rotated when a manager was let go since', () => {
    const departures = (letGoAt: number) => ({ [idOf(1)]: { since: NOW - 10_000, letGoAt } });
    expect(planned({ rotation: { at: NOW - 5_000 }, departures: departures(NOW - 4_000) }).orders).toHaveLength(1);
    expect(planned({ rotation: { at: NOW - 5_000 }, departures: departures(NOW - 6_000) }).orders).toEqual([]);
  });

  test('are not rotated while a manager is taken in or out, no quorum reports, or the whole stack goes', () => {
    expect(planned(old, { stacksLeaving: new Set(['stack']) }).orders).toEqual([]);
    const managerChange = {
      kind: 'join' as const,
      seat: 0,
      instanceId: idOf(9),
      commandId: 'c',
      expiresAt: NOW + COMMAND_MS,
    };
    expect(planned({ ...old, managerChange }).orders).toEqual([]);
    expect(planned(old, { leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }).orders).toEqual([]);
  });

  test('are not rotated while workers join, but for ever', () => {
    const workerJoins = { [idOf(7)]: { commandId: 'c', expiresAt: NOW + COMMAND_MS } };
    const since = (ms: number) =>
      planned(
        { rotation: { at: NOW - ROTATION_MS - ms, dueSince: NOW - ms }, workerJoins },
        { instances: [manager, waiting] },
      ).orders;
    expect(since(PATIENCE_MS - 1)).toEqual([]);
    expect(since(PATIENCE_MS)).toHaveLength(1);
  });

  test('nobody is told to join until the new ones are published', () => {
    const instances = [manager, waiting];
    expect(planned(pending, { instances })).toMatchObject({ orders: [], joins: 0 });
    // The record says that it was done, and still has the tokens of before.
    expect(planned(pending, { instances, leader: { ...leader, rotation: 'id' } }).joins).toBe(0);
    const done = { ...leader, rotation: 'id', tokens: tokensOf('b') };
    expect(planned(pending, { instances, leader: done })).toEqual({
      orders: [{ instanceId: idOf(0), orders: [] }],
      rotation: { at: asked.expiresAt - COMMAND_MS },
      joins: 1,
    });
  });

  test('an order that nobody carried out is taken back, and given again', () => {
    const late = { ...pending, rotation: { ...pending.rotation, asked: { ...asked, expiresAt: NOW } } };
    const first = planned(late);
    expect(first).toMatchObject({
      orders: [{ instanceId: idOf(0), orders: [] }],
      rotation: { at: NOW - ROTATION_MS, dueSince: NOW - 1 },
    });
    expect(planned({ rotation: first.rotation }).orders).toHaveLength(1);
  });

  test('the order goes to whoever leads', () => {
    expect(planned(pending, { leader: { ...leader, instanceId: idOf(3) } }).orders).toEqual([
      { instanceId: idOf(0), orders: [] },
      { instanceId: idOf(3), orders: [], rotation: 'id' },
    ]);
  });
});

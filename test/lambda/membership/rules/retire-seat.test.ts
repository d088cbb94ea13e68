import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import { DRAIN_DEADLINE_MS } from '../../../../lambda/membership/rules/release';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord, type Membership } from '../../../../protocol/cluster';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
/** Three of five: 3 and 4 are configured no more. */
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

const seat = (n: number, lifecycleState = 'InService'): Instance => ({
  instanceId: idOf(n),
  group: { name: `seat-${n}`, role: 'manager', seat: n },
  lifecycleState,
  report: {
    instanceId: idOf(n),
    role: 'manager',
    seat: n,
    address: `10.0.${n}.10`,
    swarm: { state: 'active', nodeId: nodeIdOf(n), controlAvailable: true, swarmId: leader.swarmId },
  },
});
const leaving = 'Terminating:Wait';
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
const down = (n: number) => member(n, { state: 'down' }, 'unreachable');
const worker = (n: number, change: Partial<SwarmNode> = {}) =>
  member(n, { role: 'worker', manager: undefined, ...change });

function planned(over: Partial<Observation>, membership: Partial<Membership> = {}) {
  const observation: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: [],
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
    told: result.commands.map(
      ({ instanceId, command }) =>
        `${instanceId} ` +
        `${command === null ? 'nothing' : `${command.kind} ${'nodeId' in command ? command.nodeId : ''}`}`,
    ),
    letGo: result.effects.filter(({ kind }) => kind === 'let-go').map(({ instanceId }) => instanceId),
    orders: result.orders.flatMap(({ orders }) => orders.map(({ kind, nodeId }) => `${kind} ${nodeId}`)),
    change: result.membership.managerChange?.kind,
  };
}

const five = [0, 1, 2, 3, 4].map((n) => member(n));
const instances = [seat(0), seat(1), seat(2), seat(3, leaving), seat(4, leaving)];
const retiring = (over: Partial<NonNullable<Membership['managerChange']>> = {}) => ({
  managerChange: {
    kind: 'retire' as const,
    seat: 4,
    instanceId: idOf(0),
    commandId: 'c',
    expiresAt: NOW + COMMAND_MS,
    nodeId: nodeIdOf(4),
    ...over,
  },
});

describe('a seat that is configured no more', () => {
  test('whose instance leaves is taken out of raft by the leader, the last one first, and is not let go', () => {
    expect(planned({ instances, nodes: five })).toEqual({
      told: [`${idOf(0)} retire ${nodeIdOf(4)}`],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('waits while another manager goes, though the list shows it at work still', () => {
    const three = [member(0), member(1), member(3)];
    const goes = (letGoAt?: number) =>
      planned(
        { instances: [seat(0), seat(1), seat(3, leaving)], nodes: three },
        { departures: { [idOf(1)]: { since: NOW - 5_000, ...(letGoAt !== undefined && { letGoAt }) } } },
      ).told;
    expect(goes()).toEqual([`${idOf(0)} retire ${nodeIdOf(3)}`]);
    expect(goes(NOW - 5_000)).toEqual([]);
  });

  test('whose instance is in service stays: the deployment may be rolled back', () => {
    expect(planned({ instances: [0, 1, 2, 3, 4].map((n) => seat(n)), nodes: five })).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: undefined,
    });
  });

  test('waits for another change of managers to end, and is waited for by the next', () => {
    const change = {
      kind: 'remove' as const,
      seat: 1,
      instanceId: idOf(0),
      commandId: 'c',
      expiresAt: NOW + 1,
      nodeId: nodeIdOf(9),
    };
    expect(planned({ instances, nodes: [...five, down(9)] }, { managerChange: change }).told).toEqual([]);
    expect(planned({ instances, nodes: five }, retiring())).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('is asked for again when its command expired, or another leads', () => {
    expect(planned({ instances, nodes: five }, retiring({ expiresAt: NOW })).told).toEqual([
      `${idOf(0)} retire ${nodeIdOf(4)}`,
    ]);
    expect(planned({ instances, nodes: five, leader: { ...leader, instanceId: idOf(1) } }, retiring()).told).toEqual([
      `${idOf(0)} nothing`,
      `${idOf(1)} retire ${nodeIdOf(4)}`,
    ]);
  });

  test('gives way when others were lost meanwhile: what is left of them goes first', () => {
    const former = idOf(3);
    const lost = {
      instances: [seat(0), seat(1), seat(2), seat(4, leaving)],
      nodes: [member(0), down(1), member(2), down(3), member(4)],
      gone: new Set([former]),
    };
    expect(planned(lost, retiring({ expiresAt: NOW + 1 }))).toMatchObject({ told: [], change: 'retire' });
    expect(
      planned({ ...lost, leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }, retiring({ expiresAt: NOW })),
    ).toMatchObject({ told: [], change: 'retire' });
    expect(planned(lost, retiring({ expiresAt: NOW }))).toMatchObject({
      told: [`${idOf(0)} nothing`],
      change: undefined,
    });
    expect(planned(lost).told).toEqual([`${idOf(0)} remove ${nodeIdOf(3)}`]);
  });

  test('is kept while no quorum reports, or while the others would be none, however long that takes', () => {
    const late = {
      departures: { [idOf(3)]: { since: NOW - DRAIN_DEADLINE_MS }, [idOf(4)]: { since: NOW - DRAIN_DEADLINE_MS } },
    };
    expect(
      planned({ instances, nodes: five, leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }, late),
    ).toMatchObject({ told: [], letGo: [] });
    expect(planned({ instances, nodes: [member(0), down(1), down(2), member(3), member(4)] }, late)).toMatchObject({
      told: [],
      letGo: [],
    });
    const seesNoLeader = (n: number, lifecycleState?: string) => ({
      ...seat(n, lifecycleState),
      report: { ...seat(n).report!, swarm: { ...seat(n).report!.swarm!, swarmId: undefined } },
    });
    // The list shows a deaf one at work.
    expect(
      planned(
        {
          instances: [seat(0), seat(1), seesNoLeader(2), seat(3, leaving), seat(4, leaving)],
          nodes: [member(0), down(1), member(2), member(3), member(4)],
        },
        late,
      ),
    ).toMatchObject({ told: [], letGo: [] });
  });

  test('that is out of raft is drained and removed as a worker is, and the next one is asked for', () => {
    const nodes = [...five.slice(0, 4), worker(4)];
    expect(planned({ instances, nodes }, retiring())).toEqual({
      told: [`${idOf(0)} nothing`],
      letGo: [],
      orders: [`release ${nodeIdOf(4)}`],
      change: undefined,
    });
    expect(planned({ instances, nodes })).toEqual({
      told: [`${idOf(0)} retire ${nodeIdOf(3)}`],
      letGo: [],
      orders: [`release ${nodeIdOf(4)}`],
      change: 'retire',
    });
  });

  test('that is a member still, though its role is a worker already, is waited for', () => {
    expect(planned({ instances, nodes: [...five.slice(0, 4), member(4, { role: 'worker' })] }, retiring())).toEqual({
      told: [],
      letGo: [],
      orders: [],
      change: 'retire',
    });
  });

  test('that is no node any more is let go', () => {
    expect(
      planned({ instances: instances.filter(({ instanceId }) => instanceId !== idOf(3)), nodes: five.slice(0, 3) })
        .letGo,
    ).toEqual([idOf(4)]);
  });

  test('whose instance is gone is a dead member, and is removed; not while its group still has it', () => {
    const nodes = [...five.slice(0, 4), down(4)];
    const gone = new Set([idOf(4)]);
    expect(planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), down(4)], gone }).told).toEqual([
      `${idOf(0)} remove ${nodeIdOf(4)}`,
    ]);
    // A list of groups that lacks one says nothing, nor does the swarm alone.
    expect(planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), down(4)] }).told).toEqual([]);
    expect(planned({ instances: instances.slice(0, 3), nodes: [...five.slice(0, 3), member(4)], gone }).told).toEqual(
      [],
    );
    expect(
      planned({ instances: [...instances.slice(0, 3), seat(3), seat(4, 'Terminating:Proceed')], nodes, gone }).told,
    ).toEqual([]);
  });
});

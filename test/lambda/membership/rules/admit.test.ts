import {
  ADMISSION_DEADLINE_MS,
  EXTENSION_MS,
  EXTEND_EVERY_MS,
  MAX_COMMANDS,
  TRAFFIC_DEADLINE_MS,
  WORKER_JOINS,
} from '../../../../lambda/membership/rules/admit';
import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Group } from '../../../../lambda/shared/groups';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan as planFor } from '../../../../lambda/membership/plan';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord } from '../../../../protocol/cluster';
import type { Report } from '../../../../protocol/report';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const swarmId = 's'.repeat(25);
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const leader: LeaderRecord = { swarmId, epoch: 20, instanceId: 'i-00000000000000000', tokens, updatedAt: NOW - 1_000 };
const seats = [0, 1, 2].map((seat) => ({
  seat,
  volumeId: `vol-${seat}`,
  networkInterfaceId: `eni-${seat}`,
  address: `10.0.${seat}.10`,
}));
const stack = { stackId: 'arn:stack', logicalId: 'Group' };

const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const seatGroup = (seat: number): Group => ({ name: `seat-${seat}`, role: 'manager', seat, stack });
const workers: Group = { name: 'workers', role: 'worker', stack };

/** An instance that waits at its launch hook; its engine answers and is in no swarm. */
function waiting(
  n: number,
  group: Group,
  report: Partial<Report> | null = {},
  change: Partial<Instance> = {},
): Instance {
  const address = group.role === 'manager' ? `10.0.${group.seat}.10` : `10.0.9.${n % 250}`;
  const volume = group.role === 'manager' ? { volume: { id: `vol-${group.seat}`, state: 'mounted' as const } } : {};
  return {
    instanceId: idOf(n),
    group,
    lifecycleState: 'Pending:Wait',
    ec2: { state: 'running', address, launchedAt: NOW - 30_000 },
    ...(report && {
      report: {
        instanceId: idOf(n),
        role: group.role,
        ...(group.seat !== undefined && { seat: group.seat }),
        address,
        ...volume,
        engine: { version: '25.0.8' },
        swarm: { state: 'inactive' as const, controlAvailable: false },
        ...report,
      },
    }),
    ...change,
  };
}

const joined = (n: number, role: 'manager' | 'worker'): Partial<Report> => ({
  swarm: { state: 'active', nodeId: nodeIdOf(n), controlAvailable: role === 'manager' },
});

function node(n: number, role: 'manager' | 'worker', change: Partial<SwarmNode> = {}): SwarmNode {
  return {
    id: nodeIdOf(n),
    hostname: `node-${n}`,
    role,
    availability: 'active',
    state: 'ready',
    instanceId: idOf(n),
    address: '10.0.0.1',
    ...(role === 'manager' && {
      manager: { leader: n === 0, reachability: 'reachable' as const, address: `10.0.${n}.10:2377` },
    }),
    ...change,
  };
}

function observed(change: Partial<Observation>): Observation {
  return {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    nodes: [],
    membership: { ...emptyMembership, rotation: { at: NOW } },
    instances: [],
    volumes: seats.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) })),
    ...change,
  };
}

let counter = 0;
const plan = (change: Partial<Observation>) => planFor(observed(change), () => `command-${++counter}`);
const formed = { leader, nodes: [node(0, 'manager')] };

describe('a worker behind a load balancer', () => {
  const traffic = (...arrived: string[]) => ({ arrived: new Set(arrived), left: new Set<string>() });
  const ready = (launchedAt = NOW - 30_000) =>
    waiting(7, workers, joined(7, 'worker'), { ec2: { state: 'running', address: '10.0.9.7', launchedAt } });
  const nodes = [node(0, 'manager'), node(7, 'worker')];
  const admitted = (instances: Instance[], ...arrived: string[]) =>
    plan({ leader, nodes, instances, traffic: traffic(...arrived) })
      .effects.filter(({ kind }) => kind === 'admit')
      .map(({ instanceId }) => instanceId);

  it('is admitted when it is sent connections', () => {
    expect(admitted([ready()])).toEqual([]);
    expect(admitted([ready()], idOf(7))).toEqual([idOf(7)]);
  });

  it('is admitted some minutes after its launch in any case, before it would be given up', () => {
    expect(admitted([ready(NOW - TRAFFIC_DEADLINE_MS + 1)])).toEqual([]);
    expect(admitted([ready(NOW - TRAFFIC_DEADLINE_MS)])).toEqual([idOf(7)]);
    expect(TRAFFIC_DEADLINE_MS).toBeLessThan(ADMISSION_DEADLINE_MS);
  });

  it('that is Ready loses its command, and is not told to join again meanwhile', () => {
    const membership = {
      ...emptyMembership,
      workerJoins: { [idOf(7)]: { commandId: 'c', expiresAt: NOW + COMMAND_MS } },
    };
    const { commands, membership: after } = plan({
      leader,
      nodes,
      instances: [ready()],
      membership,
      traffic: traffic(),
    });
    expect(commands).toMatchObject([{ instanceId: idOf(7), command: null }]);
    expect(after).toMatchObject({ workerJoins: {}, admissions: {} });
  });

  it('that is a manager does not wait', () => {
    const manager = waiting(0, seatGroup(0), joined(0, 'manager'));
    expect(admitted([manager])).toEqual([idOf(0)]);
  });
});

describe('a seat', () => {
  const speaks = waiting(0, seatGroup(0), {
    volume: { id: 'vol-0', state: 'waiting' },
    engine: undefined,
    swarm: undefined,
  });
  const available = [{ volumeId: 'vol-0', state: 'available' }];

  it('gets its own volume as soon as it speaks', () => {
    expect(plan({ instances: [speaks], volumes: available }).effects).toMatchObject([
      { kind: 'attach-volume', instanceId: idOf(0), volumeId: 'vol-0' },
    ]);
  });

  it.each<[string, Instance, Observation['volumes']]>([
    ['it has not spoken', waiting(0, seatGroup(0), null), available],
    ['EC2 says that it is still pending', { ...speaks, ec2: { ...speaks.ec2!, state: 'pending' } }, available],
    ['its volume is not there', speaks, []],
    ['another instance still holds the volume', speaks, [{ volumeId: 'vol-0', state: 'in-use', attachedTo: idOf(9) }]],
  ])('gets no volume while %s', (_, instance, volumes) => {
    expect(plan({ instances: [instance], volumes }).effects).toEqual([]);
  });
});

describe('the swarm', () => {
  it('is made by seat 0, and the claim is written with the command', () => {
    const { commands, membership } = plan({ instances: [waiting(0, seatGroup(0))] });
    expect(commands).toMatchObject([
      {
        instanceId: idOf(0),
        role: 'manager',
        command: { kind: 'init', volumeId: 'vol-0', advertiseAddress: '10.0.0.10', expiresAt: NOW + COMMAND_MS },
      },
    ]);
    expect(membership).toMatchObject({
      bootstrap: { instanceId: idOf(0), volumeId: 'vol-0', commandId: commands[0]!.command!.id },
      managerChange: { kind: 'init', instanceId: idOf(0) },
    });
  });

  it('is never made by another seat', () => {
    expect(plan({ instances: [waiting(1, seatGroup(1)), waiting(2, seatGroup(2))] }).commands).toEqual([]);
  });

  it('is made by one instance only, though three managers ask at once', () => {
    const { commands } = plan({
      instances: [waiting(2, seatGroup(2)), waiting(1, seatGroup(1)), waiting(0, seatGroup(0))],
    });
    expect(commands.map(({ instanceId }) => instanceId)).toEqual([idOf(0)]);
  });

  it('is not made again once one was published', () => {
    expect(
      plan({ ...formed, instances: [waiting(0, seatGroup(0))] }).commands.map(({ command }) => command?.kind),
    ).not.toContain('init');
  });

  it('is made by the successor on the same volume when the first was lost before it made it', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-0', commandId: 'old' };
    const { commands, membership } = plan({
      instances: [waiting(0, seatGroup(0))],
      membership: { ...emptyMembership, bootstrap },
    });
    expect(commands).toMatchObject([{ command: { kind: 'init' } }]);
    expect(membership.bootstrap).toMatchObject({ instanceId: idOf(0), volumeId: 'vol-0' });
  });

  it(
    'made by an instance that died before anybody heard of it is spoken for by its successor on the same ' +
      'volume, without a command',
    () => {
      const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-0', commandId: 'old' };
      const { commands, membership } = plan({
        instances: [waiting(0, seatGroup(0), joined(0, 'manager'))],
        membership: { ...emptyMembership, bootstrap },
      });
      expect(commands).toEqual([]);
      expect(membership.bootstrap).toEqual({ ...bootstrap, instanceId: idOf(0) });
    },
  );

  it('is spoken for by no successor on another volume, and by no other seat', () => {
    const membership = {
      ...emptyMembership,
      bootstrap: { seat: 0, instanceId: idOf(8), volumeId: 'vol-lost', commandId: 'old' },
    };
    expect(
      plan({
        instances: [waiting(0, seatGroup(0), joined(0, 'manager')), waiting(1, seatGroup(1), joined(1, 'manager'))],
        membership,
      }).membership.bootstrap,
    ).toEqual(membership.bootstrap);
  });

  it('is not made on another volume than it was to be made on', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-lost', commandId: 'old' };
    const { commands, alarms } = plan({
      instances: [waiting(0, seatGroup(0))],
      membership: { ...emptyMembership, bootstrap },
    });
    expect(commands).toEqual([]);
    expect(alarms).toHaveLength(1);
  });

  it.each<[string, Instance]>([
    ['the volume is not mounted', waiting(0, seatGroup(0), { volume: { id: 'vol-0', state: 'waiting' } })],
    ['another volume is mounted', waiting(0, seatGroup(0), { volume: { id: 'vol-1', state: 'mounted' } })],
    ['the engine does not answer', waiting(0, seatGroup(0), { swarm: undefined })],
    ['the engine is a member already', waiting(0, seatGroup(0), joined(0, 'manager'))],
  ])('is not made while %s', (_, instance) => {
    expect(plan({ instances: [instance] }).commands).toEqual([]);
  });

  it('is not made while EC2 says that the volume is attached elsewhere, whatever the node says', () => {
    expect(
      plan({
        instances: [waiting(0, seatGroup(0))],
        volumes: [{ volumeId: 'vol-0', state: 'in-use', attachedTo: idOf(9) }],
      }).commands,
    ).toEqual([]);
  });

  it('is not commanded twice while the command is valid', () => {
    const first = plan({ instances: [waiting(0, seatGroup(0))] });
    expect(plan({ instances: [waiting(0, seatGroup(0))], membership: first.membership }).commands).toEqual([]);
  });
});

describe('managers', () => {
  it('join one at a time, the lowest seat first', () => {
    const { commands, membership } = plan({
      ...formed,
      instances: [waiting(2, seatGroup(2)), waiting(1, seatGroup(1))],
    });
    expect(commands).toMatchObject([
      {
        instanceId: idOf(1),
        command: { kind: 'join', role: 'manager', token: tokens.manager, swarmId, managers: ['10.0.0.10'] },
      },
    ]);
    expect(membership.managerChange).toMatchObject({ kind: 'join', instanceId: idOf(1) });
    expect(
      plan({ ...formed, instances: [waiting(2, seatGroup(2)), waiting(1, seatGroup(1))], membership }).commands,
    ).toEqual([]);
  });

  it.each<[string, Partial<Observation>]>([
    [
      'a member is unreachable',
      {
        nodes: [
          node(0, 'manager'),
          node(5, 'manager', { manager: { leader: false, reachability: 'unreachable', address: '10.0.5.10:2377' } }),
        ],
      },
    ],
    [
      'a demotion is under way: a worker by role that is still in raft',
      { nodes: [node(0, 'manager'), { ...node(5, 'manager'), role: 'worker' }] },
    ],
    [
      'a promotion is under way: a manager by role that is not in raft',
      { nodes: [node(0, 'manager'), node(5, 'manager', { manager: undefined })] },
    ],
    ['the leader has been silent', { leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }],
    ['no node list is there', { nodes: [] }],
    [
      'a manager is let go',
      {
        instances: [waiting(1, seatGroup(1)), waiting(0, seatGroup(0), null, { lifecycleState: 'Terminating:Wait' })],
        membership: { ...emptyMembership, departures: { [idOf(0)]: { since: NOW, letGoAt: NOW } } },
      },
    ],
    [
      'the only manager is let go by the same plan',
      {
        nodes: [node(0, 'manager', { idleFor: idOf(0) })],
        instances: [waiting(1, seatGroup(1)), waiting(0, seatGroup(0), null, { lifecycleState: 'Terminating:Wait' })],
      },
    ],
  ])('do not join while %s', (_, change) => {
    expect(plan({ ...formed, instances: [waiting(1, seatGroup(1))], ...change }).commands).toEqual([]);
  });

  it('are offered all reachable managers, the leader first', () => {
    const nodes = [node(1, 'manager'), node(0, 'manager')];
    const { commands } = plan({ leader, nodes, instances: [waiting(2, seatGroup(2))] });
    expect(commands[0]!.command).toMatchObject({ managers: ['10.0.0.10', '10.0.1.10'] });
  });

  it('are offered addresses of seats only, whatever a manager reports', () => {
    const nodes = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => node(n, 'manager'));
    nodes[0] = node(0, 'manager', {
      manager: { leader: true, reachability: 'reachable', address: 'example.org:2377' },
    });
    const { commands } = plan({ leader, nodes, instances: [waiting(10, workers)] });
    expect(commands[0]!.command).toMatchObject({ managers: ['10.0.1.10', '10.0.2.10'] });
    expect(
      plan({ leader, nodes: [nodes[0]!], instances: [waiting(10, workers), waiting(1, seatGroup(1))] }).commands,
    ).toEqual([]);
  });

  it('that come back with their state are admitted without a command', () => {
    const { commands, effects } = plan({ ...formed, instances: [waiting(0, seatGroup(0), joined(0, 'manager'))] });
    expect(commands).toEqual([]);
    expect(effects).toMatchObject([{ kind: 'admit', instanceId: idOf(0), group: 'seat-0', ...stack }]);
  });
});

describe('workers', () => {
  it('all join at once, also beside a manager', () => {
    const { commands, membership } = plan({
      ...formed,
      instances: [waiting(1, seatGroup(1)), waiting(10, workers), waiting(11, workers)],
    });
    expect(commands.map(({ instanceId, command }) => [instanceId, command!.kind === 'join' && command!.token])).toEqual(
      [
        [idOf(1), tokens.manager],
        [idOf(10), tokens.worker],
        [idOf(11), tokens.worker],
      ],
    );
    expect(Object.keys(membership.workerJoins)).toEqual([idOf(10), idOf(11)]);
  });

  it('join in bounded parallel, and what ends and begins fits one transaction', () => {
    const many = Array.from({ length: 300 }, (_, n) => waiting(1_000 + n, workers));
    const first = plan({ ...formed, instances: many });
    expect(first.commands).toHaveLength(WORKER_JOINS);
    // All of the first left meanwhile: their commands are erased while others are told to join.
    const next = plan({ ...formed, instances: many.slice(WORKER_JOINS), membership: first.membership });
    expect(next.commands).toHaveLength(MAX_COMMANDS);
    expect(next.commands.filter(({ command }) => command === null)).toHaveLength(WORKER_JOINS);
  });

  it('wait for a swarm and for its quorum', () => {
    expect(plan({ instances: [waiting(10, workers)] }).commands).toEqual([]);
    expect(
      plan({ ...formed, leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS }, instances: [waiting(10, workers)] })
        .commands,
    ).toEqual([]);
  });

  it('never get the manager token', () => {
    const { commands } = plan({ ...formed, instances: [waiting(10, workers)] });
    expect(JSON.stringify(commands)).not.toContain(tokens.manager);
  });
});

describe('admission', () => {
  const instances = [waiting(10, workers, joined(10, 'worker'))];
  const flight = {
    ...emptyMembership,
    rotation: { at: NOW },
    workerJoins: { [idOf(10)]: { commandId: 'c', expiresAt: NOW + 1_000 } },
  };

  it('erases the command, records what is still to be done, then continues the hook and signals', () => {
    const { commands, membership, effects } = plan({
      leader,
      nodes: [node(0, 'manager'), node(10, 'worker')],
      instances,
      membership: flight,
    });
    expect(commands).toMatchObject([{ instanceId: idOf(10), command: null }]);
    expect(membership).toMatchObject({ workerJoins: {}, admissions: { [idOf(10)]: { group: 'workers' } } });
    expect(effects).toMatchObject([{ kind: 'admit', instanceId: idOf(10) }]);
  });

  it('is finished after a crash: the hook may be continued already, the stack is still to be told', () => {
    const membership = { ...emptyMembership, admissions: { [idOf(10)]: { group: 'workers' } } };
    const inService = { ...instances[0]!, lifecycleState: 'InService', ec2: undefined, report: undefined };
    expect(plan({ ...formed, instances: [inService], membership }).effects).toMatchObject([
      { kind: 'admit', instanceId: idOf(10), ...stack },
    ]);
  });

  it.each<[string, SwarmNode]>([
    ['the leader does not show it Ready', node(10, 'worker', { state: 'unknown' })],
    ['its role is another', node(10, 'manager')],
    ['the node id is not the one that its own mailbox reports', { ...node(11, 'worker'), instanceId: idOf(10) }],
    ['the label is of another instance', node(10, 'worker', { instanceId: idOf(11) })],
  ])('does not happen while %s', (_, listed) => {
    const { effects } = plan({ leader, nodes: [node(0, 'manager'), listed], instances, membership: flight });
    expect(effects).toEqual([]);
  });

  it.each([
    ['active', 1],
    ['pending', 1],
    ['error', 0],
    ['locked', 0],
  ] as const)('of a node that the leader shows Ready while its engine calls itself %s: %i', (state, count) => {
    const joining = [waiting(10, workers, { swarm: { state, nodeId: nodeIdOf(10), controlAvailable: false } })];
    expect(
      plan({ leader, nodes: [node(0, 'manager'), node(10, 'worker')], instances: joining, membership: flight }).effects,
    ).toHaveLength(count);
  });

  it(
    'is not mixed with giving up: what was found Ready is not abandoned while its hook is still to be ' + 'continued',
    () => {
      const membership = { ...emptyMembership, admissions: { [idOf(10)]: { group: 'workers' } } };
      const late = waiting(10, workers, joined(10, 'worker'), {
        ec2: { state: 'running', address: '10.0.9.10', launchedAt: NOW - ADMISSION_DEADLINE_MS },
      });
      expect(plan({ ...formed, instances: [late], membership }).effects.map(({ kind }) => kind)).toEqual(['admit']);
    },
  );

  it('ends when its instance left before its hook was continued: no stack is told of a dead instance', () => {
    const membership = { ...emptyMembership, admissions: { [idOf(10)]: { group: 'workers' } } };
    const { effects, membership: after } = plan({ ...formed, membership });
    expect(effects).toEqual([]);
    expect(after.admissions).toEqual({});
  });

  it('of a manager waits until raft reaches it', () => {
    const manager = waiting(1, seatGroup(1), joined(1, 'manager'));
    const unreachable = node(1, 'manager', {
      manager: { leader: false, reachability: 'unknown', address: '10.0.1.10:2377' },
    });
    expect(plan({ leader, nodes: [node(0, 'manager'), unreachable], instances: [manager] }).effects).toEqual([]);
    expect(
      plan({ leader, nodes: [node(0, 'manager'), node(1, 'manager')], instances: [manager] }).effects,
    ).toMatchObject([{ kind: 'admit' }]);
  });

  it('is refused to a member of another swarm, and somebody is told', () => {
    const stranger = waiting(1, seatGroup(1), {
      swarm: { state: 'active', nodeId: nodeIdOf(1), swarmId: 'o'.repeat(25), controlAvailable: true },
    });
    const { effects, alarms } = plan({ ...formed, instances: [stranger] });
    expect(effects).toEqual([]);
    expect(alarms).toMatchObject([{ instanceId: idOf(1) }]);
  });
});

describe('past its deadline an instance', () => {
  const late = (n: number, group: Group, report: Partial<Report> | null = {}) =>
    waiting(n, group, report, { ec2: { state: 'running', launchedAt: NOW - ADMISSION_DEADLINE_MS } });

  it('is abandoned while the quorum is visible', () => {
    expect(plan({ ...formed, instances: [late(10, workers)] }).effects).toMatchObject([
      { kind: 'abandon', instanceId: idOf(10) },
    ]);
  });

  it('is abandoned when no swarm was ever made: nothing carries a quorum then', () => {
    expect(plan({ instances: [late(0, seatGroup(0))] }).effects).toMatchObject([{ kind: 'abandon' }]);
  });

  it('is kept, its hook extended, while a swarm exists whose quorum does not report', () => {
    const silent = { ...leader, updatedAt: NOW - LEADER_STALE_MS };
    expect(plan({ ...formed, leader: silent, instances: [late(0, seatGroup(0))] }).effects).toMatchObject([
      { kind: 'extend-hook', instanceId: idOf(0) },
    ]);
  });

  it(
    'is kept while the quorum was last seen by a leader that has ended: what that told may have come late, ' +
      'and others be a quorum since, of which this one is a part',
    () => {
      const kinds = (gone: string) =>
        plan({
          ...formed,
          nodes: [
            node(0, 'manager'),
            node(1, 'manager', {
              state: 'down',
              manager: { leader: false, reachability: 'unreachable', address: '10.0.1.10:2377' },
            }),
          ],
          instances: [late(1, seatGroup(1))],
          gone: new Set([gone]),
        }).effects.map(({ kind }) => kind);
      expect(kinds(leader.instanceId)).toEqual(['extend-hook']);
      expect(kinds(idOf(30))).toEqual(['abandon']);
    },
  );

  it.each([
    ['a worker', 20, workers, 'abandon'],
    ['a seat without its volume', 20, seatGroup(1), 'abandon'],
    ['a seat with its volume', 0, seatGroup(0), 'extend-hook'],
  ])('is abandoned even without a quorum when it has never spoken and holds no volume: %s', (_, n, group, kind) => {
    const silent = { ...leader, updatedAt: NOW - LEADER_STALE_MS };
    expect(
      plan({ ...formed, leader: silent, instances: [late(n, group, null)] }).effects.map((effect) => effect.kind),
    ).toEqual([kind]);
  });

  it('gets its volume all the same: the quorum may wait for it', () => {
    const silent = { ...leader, updatedAt: NOW - LEADER_STALE_MS };
    const speaks = waiting(
      0,
      seatGroup(0),
      { volume: { id: 'vol-0', state: 'waiting' }, engine: undefined, swarm: undefined },
      { ec2: { state: 'running', address: '10.0.0.10', launchedAt: NOW - ADMISSION_DEADLINE_MS } },
    );
    expect(
      plan({
        ...formed,
        leader: silent,
        instances: [speaks],
        volumes: [{ volumeId: 'vol-0', state: 'available' }],
      }).effects.map(({ kind }) => kind),
    ).toEqual(['extend-hook', 'attach-volume']);
  });

  it(
    'is given time again once the quorum reports, and no more than that; its hook is prolonged while it does ' +
      'not, so that one request that fails costs nothing',
    () => {
      const silent = { ...leader, updatedAt: NOW - LEADER_STALE_MS };
      const { membership } = plan({ ...formed, leader: silent, instances: [late(10, workers)] });
      const later = (ms: number, quorum: boolean) =>
        plan({
          ...formed,
          now: NOW + ms,
          leader: { ...leader, updatedAt: quorum ? NOW + ms : 0 },
          instances: [late(10, workers)],
          membership,
        }).effects.map(({ kind }) => kind);
      expect(later(EXTENSION_MS - 1, true)).toEqual([]);
      expect(later(EXTENSION_MS, true)).toEqual(['abandon']);
      expect(later(EXTEND_EVERY_MS - 1, false)).toEqual([]);
      expect(later(EXTEND_EVERY_MS, false)).toEqual(['extend-hook']);
    },
  );
});

describe('a manager in the list that is no member of raft', () => {
  const orphan: SwarmNode = {
    id: nodeIdOf(9),
    hostname: '',
    role: 'manager',
    availability: 'active',
    state: 'unknown',
  };
  const nodes = [node(0, 'manager'), orphan];
  const inService = (report: Partial<Report> | null) =>
    waiting(0, seatGroup(0), report, { lifecycleState: 'InService' });
  const next = waiting(1, seatGroup(1));
  const third = (state: 'inactive' | 'pending') =>
    waiting(2, seatGroup(2), { swarm: { state, controlAvailable: false } });

  it('does not keep a seat waiting when every seat speaks, and each is a member or has nothing', () => {
    expect(
      plan({ ...formed, nodes, instances: [inService(joined(0, 'manager')), next, third('inactive')] }).commands,
    ).toMatchObject([{ instanceId: idOf(1), command: { kind: 'join' } }]);
  });

  it('does not keep a seat waiting either once another leader lists it as down: seed 3598', () => {
    const down: SwarmNode = { ...orphan, state: 'down' };
    expect(
      plan({
        ...formed,
        nodes: [node(0, 'manager'), down],
        instances: [inService(joined(0, 'manager')), next, third('inactive')],
      }).commands,
    ).toMatchObject([{ instanceId: idOf(1), command: { kind: 'join' } }]);
  });

  it('keeps a seat waiting when it was seen and went down: its engine may come back', () => {
    const seen: SwarmNode = { ...orphan, hostname: 'ip-10-0-1-12', state: 'down' };
    expect(
      plan({
        ...formed,
        nodes: [node(0, 'manager'), seen],
        instances: [inService(joined(0, 'manager')), next, third('inactive')],
      }).commands,
    ).toEqual([]);
  });

  it('does not keep a seat waiting for one that has no instance yet: its group depends on this one', () => {
    expect(plan({ ...formed, nodes, instances: [inService(joined(0, 'manager')), next] }).commands).toMatchObject([
      { instanceId: idOf(1), command: { kind: 'join' } },
    ]);
  });

  it.each<[string, Instance[]]>([
    ['one seat is silent', [inService(joined(0, 'manager')), next, waiting(2, seatGroup(2), null)]],
    ['the engine of one seat is on its way', [inService(joined(0, 'manager')), next, third('pending')]],
    [
      'the volume of one seat is not mounted yet',
      [
        inService(joined(0, 'manager')),
        next,
        waiting(2, seatGroup(2), { volume: { id: 'vol-2', state: 'waiting' }, swarm: undefined }),
      ],
    ],
    [
      'one seat says that it is a node which the list does not show as a member',
      [inService(joined(0, 'manager')), next, waiting(2, seatGroup(2), joined(9, 'manager'))],
    ],
    [
      'one seat has two instances, one of which is silent',
      [
        inService(joined(0, 'manager')),
        next,
        third('inactive'),
        waiting(3, seatGroup(2), null, { lifecycleState: 'Terminating:Wait' }),
      ],
    ],
  ])('keeps managers waiting while %s: it may be on its way', (_, instances) => {
    expect(plan({ ...formed, nodes, instances }).commands).toEqual([]);
  });
});

describe('an instance past its deadline', () => {
  const late = (n: number, group: typeof workers, more: Partial<Instance> = {}) =>
    waiting(
      n,
      group,
      {},
      { ec2: { state: 'running', address: `10.0.${n}.10`, launchedAt: NOW - ADMISSION_DEADLINE_MS }, ...more },
    );

  it.each<[string, number, typeof workers]>([
    ['worker', 10, workers],
    ['manager', 1, seatGroup(1)],
  ])('is not told to join by the plan that gives it up: %s', (_, n, group) => {
    const { commands, effects } = plan({ ...formed, instances: [late(n, group)] });
    expect(effects.map(({ kind }) => kind)).toEqual(['abandon']);
    expect(commands).toEqual([]);
  });

  it('is kept while raft may count it already: its join is in flight', () => {
    const managerChange = {
      kind: 'join' as const,
      seat: 1,
      instanceId: idOf(1),
      commandId: 'c',
      expiresAt: NOW - LEADER_STALE_MS + 1,
    };
    const kinds = (now: number) =>
      plan({
        ...formed,
        now,
        leader: { ...leader, updatedAt: now },
        instances: [
          waiting(1, seatGroup(1), joined(1, 'manager'), {
            ec2: { state: 'running', address: '10.0.1.10', launchedAt: 0 },
          }),
        ],
        membership: { ...emptyMembership, managerChange },
      }).effects.map(({ kind }) => kind);
    expect(kinds(NOW)).toEqual(['extend-hook']);
    expect(kinds(NOW + 1)).toEqual(['abandon']);
  });
});

describe('a join in flight', () => {
  const managerChange = { kind: 'join' as const, seat: 1, instanceId: idOf(1), commandId: 'c', expiresAt: NOW + 1_000 };
  const membership = { ...emptyMembership, rotation: { at: NOW }, managerChange };

  const over = (n: number, lastCommand: Report['lastCommand'], state: 'inactive' | 'pending' = 'inactive') =>
    waiting(n, seatGroup(n), { lastCommand, swarm: { state, controlAvailable: false } });

  it.each([
    ['its report is from before the command', over(1, undefined)],
    ['its last word is of another command', over(1, { id: 'earlier', outcome: 'failed' })],
    ['Docker goes on with it', over(1, { id: 'c', outcome: 'failed' }, 'pending')],
  ])('keeps other managers waiting however long ago its command expired, while %s', (_, first) => {
    const now = managerChange.expiresAt + 300_000;
    expect(
      plan({
        ...formed,
        leader: { ...leader, updatedAt: now },
        now,
        instances: [first, waiting(2, seatGroup(2))],
        membership,
      }).commands,
    ).toEqual([]);
  });

  it.each(['failed', 'refused'] as const)(
    'keeps other managers waiting when it %s, until the leader has given a newer list, and then is tried again',
    (outcome) => {
      const instances = [over(1, { id: 'c', outcome }), waiting(2, seatGroup(2))];
      const seen = plan({ ...formed, instances, membership });
      expect(seen.commands).toEqual([]);
      expect(seen.membership.managerChange).toEqual({ ...managerChange, overAtEpoch: leader.epoch });
      expect(plan({ ...formed, instances, membership: seen.membership }).commands).toEqual([]);
      const { commands } = plan({
        ...formed,
        leader: { ...leader, epoch: leader.epoch + 1 },
        instances: instances.slice(0, 1),
        membership: seen.membership,
      });
      // One write for the mailbox: a transaction may not touch an item twice.
      expect(commands).toMatchObject([{ instanceId: idOf(1), command: { kind: 'join' } }]);
    },
  );

  it('lets a manager that was never told go before one that failed', () => {
    const instances = [over(1, { id: 'c', outcome: 'failed' }), waiting(2, seatGroup(2))];
    const { commands } = plan({
      ...formed,
      leader: { ...leader, epoch: leader.epoch + 1 },
      instances,
      membership: { ...emptyMembership, managerChange: { ...managerChange, overAtEpoch: leader.epoch } },
      volumes: [1, 2].map((n) => ({ volumeId: `vol-${n}`, state: 'in-use', attachedTo: idOf(n) })),
    });
    expect(commands).toMatchObject([
      { instanceId: idOf(1), command: null },
      { instanceId: idOf(2), command: { kind: 'join' } },
    ]);
  });

  it.each([
    ['nobody holds its seat', []],
    ['its successor is silent', [waiting(4, seatGroup(1), null)]],
    [
      'its successor has no volume yet',
      [waiting(4, seatGroup(1), { volume: { id: 'vol-1', state: 'waiting' }, swarm: undefined })],
    ],
    ['its successor goes on with it', [waiting(4, seatGroup(1), joined(1, 'manager'))]],
  ])('goes on when its instance left, while %s', (_, instances) => {
    expect(plan({ ...formed, instances: [...instances, waiting(2, seatGroup(2))], membership }).commands).toEqual([]);
  });

  it(
    'ends when its instance left and its successor finds nothing on the volume, and the token of both is ' + 'seen to',
    () => {
      const { commands, membership: after } = plan({
        ...formed,
        instances: [waiting(4, seatGroup(1))],
        membership: { ...emptyMembership, managerChange: { ...managerChange, overAtEpoch: leader.epoch - 1 } },
        volumes: [{ volumeId: 'vol-1', state: 'in-use', attachedTo: idOf(4) }],
      });
      expect(commands).toMatchObject([
        { instanceId: idOf(1), command: null },
        { instanceId: idOf(4), command: { kind: 'join' } },
      ]);
      expect(after.managerChange?.instanceId).toBe(idOf(4));
    },
  );

  it('ends when the successor of its instance is Ready: what one began, the other finished', () => {
    const nodes = [node(0, 'manager'), node(1, 'manager', { instanceId: idOf(4) })];
    expect(
      plan({ ...formed, nodes, instances: [waiting(4, seatGroup(1), joined(1, 'manager'))], membership }).membership
        .managerChange,
    ).toBeNull();
  });

  it('ends when its seat is no longer configured: nobody is left to end it', () => {
    expect(
      plan({
        ...formed,
        seats: observed(formed).seats.filter(({ seat }) => seat !== 1),
        instances: [waiting(2, seatGroup(2))],
        membership,
      }).commands,
    ).toMatchObject([
      { instanceId: idOf(1), command: null },
      { instanceId: idOf(2), command: { kind: 'join' } },
    ]);
  });

  it('changes nothing while it goes on', () => {
    const observation = observed({ ...formed, instances: [waiting(1, seatGroup(1))], membership });
    const result = planFor(observation, () => 'unused');
    expect(result).toEqual({
      membership: observation.membership,
      commands: [],
      orders: [],
      effects: [],
      alarms: [],
      announcements: [],
    });
    expect(result.membership).toBe(observation.membership);
  });
});

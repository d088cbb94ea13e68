import { ADMISSION_DEADLINE_MS } from '../../../../lambda/membership/rules/admit';
import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import { SUSPECT_GROWTH_S, SUSPECT_MS } from '../../../../lambda/membership/rules/return-seat';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord, type Membership } from '../../../../protocol/cluster';
import type { Report } from '../../../../protocol/report';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const swarmId = 's'.repeat(25);
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
const leader: LeaderRecord = { swarmId, epoch: 20, instanceId: idOf(0), tokens, updatedAt: NOW - 1_000 };
/** No report of a leader has come for long. */
const noLeader: LeaderRecord = { ...leader, updatedAt: NOW - LEADER_STALE_MS };

type Swarm = NonNullable<Report['swarm']>;
/** What an engine says of itself. */
const works = (n: number): Swarm => ({ state: 'active', nodeId: nodeIdOf(n), swarmId, controlAvailable: true });
const seesNoLeader = (n: number): Swarm => ({ state: 'active', nodeId: nodeIdOf(n), controlAvailable: true });
const isDeaf = (n: number): Swarm => ({ state: 'pending', nodeId: nodeIdOf(n), controlAvailable: true });
const hasNothing: Swarm = { state: 'inactive', controlAvailable: false };

function manager(
  seat: number,
  swarm: Swarm | undefined,
  lifecycleState = seat === 0 ? 'InService' : 'Pending:Wait',
): Instance {
  const address = `10.0.${seat}.10`;
  return {
    instanceId: idOf(seat),
    group: { name: `seat-${seat}`, role: 'manager', seat },
    lifecycleState,
    ec2: { state: 'running', address, launchedAt: NOW - 300_000 },
    report: {
      instanceId: idOf(seat),
      role: 'manager',
      seat,
      address,
      ...(swarm?.controlAvailable && !swarm.swarmId && { leaderless: SUSPECT_GROWTH_S }),
      volume: { id: `vol-${seat}`, state: 'mounted' },
      ...(swarm && { engine: { version: '20.10.24' }, swarm }),
    },
  };
}

function member(
  seat: number,
  change: Partial<SwarmNode> = {},
  reachability: 'reachable' | 'unreachable' = 'reachable',
): SwarmNode {
  const address = `10.0.${seat}.10`;
  return {
    id: nodeIdOf(seat),
    hostname: `node-${seat}`,
    role: 'manager',
    availability: 'active',
    state: 'ready',
    instanceId: idOf(seat),
    address,
    manager: { leader: seat === 0, reachability, address: `${address}:2377` },
    ...change,
  };
}
/** In the list, and no member of raft. */
const withoutMembership = (seat: number, change: Partial<SwarmNode> = {}): SwarmNode => ({
  ...member(seat),
  manager: undefined,
  state: 'down',
  ...change,
});
const deaf = (seat: number) => member(seat, { state: 'down' });

/** A suspicion of so long, from when its engine had just begun to name no leader. */
const suspected = (n: number, ms: number, leaderless = 0): Membership['suspects'] => ({
  [nodeIdOf(n)]: { since: NOW - ms, leaderless },
});

type Change = NonNullable<Membership['managerChange']>;
const change = (kind: Change['kind'], seat: number, over: Partial<Change> = {}): Change => ({
  kind,
  seat,
  instanceId: idOf(seat),
  commandId: 'c',
  expiresAt: NOW - LEADER_STALE_MS,
  ...over,
});

let counter = 0;
function planned(over: Partial<Observation>, managerChange: Change | null) {
  const observation: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    nodes: [],
    membership: { ...emptyMembership, managerChange },
    instances: [],
    volumes: seats.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) })),
    ...over,
  };
  const { commands, membership, alarms } = plan(observation, () => `command-${++counter}`);
  return {
    suspects: membership.suspects,
    commands: commands.map(({ instanceId, command }) => [instanceId, command?.kind ?? null]),
    command: commands.at(-1)?.command,
    change: membership.managerChange,
    alarms: alarms.map(({ reason }) => reason),
  };
}

describe('a third manager that raft counts and that sees no leader', () => {
  const nodes = [member(0), member(1), deaf(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2))];

  it('is taken out by the leader, which says so', () => {
    const result = planned({ nodes, instances }, change('join', 2));
    expect(result.commands).toEqual([
      [idOf(2), null],
      [idOf(0), 'remove'],
    ]);
    expect(result.command).toMatchObject({
      kind: 'remove',
      nodeId: nodeIdOf(2),
      instanceId: idOf(0),
      expiresAt: NOW + COMMAND_MS,
    });
    expect(result.change).toMatchObject({ kind: 'remove', seat: 2, nodeId: nodeIdOf(2), instanceId: idOf(0) });
    expect(result.alarms).toEqual([
      `Node ${nodeIdOf(2)} of seat 2 is taken out of the swarm. Raft counts it, and it sees no leader, ` +
        'though its engine runs and has its volume.',
    ]);
  });

  it.each<[string, Partial<Observation>, Change]>([
    ['its time is not over', { nodes, instances }, change('join', 2, { expiresAt: NOW - LEADER_STALE_MS + 1 })],
    ['it sees the leader', { nodes, instances: [...instances.slice(0, 2), manager(2, works(2))] }, change('join', 2)],
    [
      'its engine says nothing',
      { nodes, instances: [...instances.slice(0, 2), manager(2, undefined)] },
      change('join', 2),
    ],
    [
      'its volume is with another',
      { nodes, instances, volumes: [{ volumeId: 'vol-2', state: 'in-use', attachedTo: idOf(9) }] },
      change('join', 2),
    ],
    [
      'its node has a session',
      { nodes: [member(0), member(1), member(2, { state: 'unknown' })], instances },
      change('join', 2),
    ],
    [
      'no quorum reports, and there are two others',
      {
        leader: noLeader,
        nodes,
        instances: [manager(0, seesNoLeader(0)), manager(1, seesNoLeader(1), 'InService'), manager(2, isDeaf(2))],
      },
      change('join', 2),
    ],
  ])('is left alone while %s', (_, over, before) => {
    const result = planned(over, before);
    expect(result.commands).toEqual([]);
    expect(result.change).toEqual(before);
  });

  it('leaves once it is out of the list, and joins afresh once it has left', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW + 1_000 });
    const two = nodes.slice(0, 2);
    const out = planned({ nodes: two, instances }, removing);
    expect(out.commands).toEqual([
      [idOf(0), null],
      [idOf(2), 'leave'],
    ]);
    expect(out.change).toMatchObject({ kind: 'leave', seat: 2, instanceId: idOf(2) });
    const gone = planned({ nodes: two, instances: [...instances.slice(0, 2), manager(2, hasNothing)] }, out.change);
    expect(gone.commands).toEqual([[idOf(2), 'join']]);
    expect(gone.change).toMatchObject({ kind: 'join', seat: 2 });
  });

  it('is not told to leave what it is by now, when the node that was taken out was another', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(7) });
    expect(
      planned(
        { nodes: [member(0), member(1), member(2)], instances: [...instances.slice(0, 2), manager(2, isDeaf(2))] },
        removing,
      ),
    ).toMatchObject({ commands: [[idOf(0), null]], change: null });
  });

  it(
    'is taken out by the next leader when the first one dies, and by the same one again when its command ' + 'expired',
    () => {
      const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW + 1_000 });
      expect(planned({ nodes, instances }, removing).commands).toEqual([]);
      expect(planned({ leader: { ...leader, instanceId: idOf(1) }, nodes, instances }, removing).commands).toEqual([
        [idOf(0), null],
        [idOf(1), 'remove'],
      ]);
      expect(planned({ nodes, instances }, { ...removing, expiresAt: NOW }).commands).toEqual([[idOf(0), 'remove']]);
    },
  );

  it('goes on to be taken out when it was demoted already, and is let be when it came back before', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW });
    expect(
      planned(
        { nodes: [member(0), member(1), withoutMembership(2, { role: 'worker', state: 'ready' })], instances },
        removing,
      ).commands,
    ).toEqual([[idOf(0), 'remove']]);
    expect(planned({ nodes: [member(0), member(1), member(2)], instances }, removing)).toMatchObject({
      commands: [[idOf(0), null]],
      change: null,
    });
  });
});

describe('a manager that was admitted in the moment before it died, and came back deaf', () => {
  const nodes = [member(0), member(1), deaf(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2), 'InService')];
  const settings = { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 };
  const volumes = seats.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) }));
  const since = (suspects: Membership['suspects'], over: Partial<Observation> = {}) =>
    plan(
      {
        now: NOW,
        seats,
        settings,
        leader,
        nodes,
        instances,
        volumes,
        stacksLeaving: new Set(),
        gone: new Set(),
        interrupted: new Set(),
        groups: [],
        interfaces: [],
        membership: { ...emptyMembership, suspects },
        ...over,
      },
      () => 'c',
    );

  it('is suspected, and taken out when it still seems deaf later', () => {
    expect(since({})).toMatchObject({ commands: [], membership: { suspects: suspected(2, 0, SUSPECT_GROWTH_S) } });
    expect(since(suspected(2, SUSPECT_MS - 1)).commands).toEqual([]);
    expect(since(suspected(2, SUSPECT_MS)).commands).toMatchObject([
      { instanceId: idOf(0), command: { kind: 'remove', nodeId: nodeIdOf(2) } },
    ]);
  });

  it.each<[string, Partial<Observation>]>([
    ['it is only cut off', { nodes: [member(0), member(1), member(2, { state: 'down' }, 'unreachable')] }],
    ['no quorum reports', { leader: noLeader }],
    ['a person has demoted it', { nodes: [member(0), member(1), member(2, { role: 'worker' })] }],
    [
      'it leads',
      {
        nodes: [
          member(0),
          member(1),
          member(2, { manager: { leader: true, reachability: 'reachable', address: '10.0.2.10:2377' } }),
        ],
      },
    ],
    ['it sees a leader', { instances: [...instances.slice(0, 2), manager(2, works(2), 'InService')] }],
    ['its engine does not answer', { instances: [...instances.slice(0, 2), manager(2, undefined, 'InService')] }],
  ])('is not suspected any more when %s', (_, over) => {
    expect(since(suspected(2, NOW), over)).toMatchObject({ commands: [], membership: { suspects: {} } });
  });

  it('has its time anew when it saw a leader, or there was none, while another change was in flight', () => {
    const before = suspected(2, SUSPECT_MS);
    const managerChange = change('join', 1, { expiresAt: NOW + 1_000 });
    const membership = { ...emptyMembership, suspects: before, managerChange };
    const seeing = { membership, instances: [...instances.slice(0, 2), manager(2, works(2), 'InService')] };
    expect(since(before, { membership }).membership.suspects).toEqual(before);
    expect(since(before, seeing).membership.suspects).toEqual({});
    expect(since(before, { membership, leader: noLeader }).membership.suspects).toEqual({});
  });

  it('joins afresh once it has left, though its hook was continued long ago', () => {
    const gone = {
      nodes: nodes.slice(0, 2),
      instances: [...instances.slice(0, 2), manager(2, hasNothing, 'InService')],
    };
    expect(planned(gone, change('leave', 2)).commands).toEqual([[idOf(2), 'join']]);
  });
});

describe('a second manager that took the quorum with it', () => {
  const nodes = [member(0)];
  const instances = [manager(0, seesNoLeader(0)), manager(1, isDeaf(1))];

  it.each([
    ['before the leader could say that it is a member', nodes],
    ['after that', [member(0), deaf(1)]],
  ])(
    'leaves, %s; then the first goes on alone; then its node is taken out of the list; then it joins afresh',
    (_, list) => {
      const leaving = planned({ leader: noLeader, nodes: list, instances }, change('join', 1));
      expect(leaving.commands).toEqual([[idOf(1), 'leave']]);
      expect(leaving.change).toMatchObject({ kind: 'leave', seat: 1 });
      const left = [manager(0, seesNoLeader(0)), manager(1, hasNothing)];
      const recovering = planned({ leader: noLeader, nodes: list, instances: left }, leaving.change);
      expect(recovering.commands).toEqual([
        [idOf(1), null],
        [idOf(0), 'recover'],
      ]);
      expect(recovering.command).toMatchObject({ kind: 'recover', nodeId: nodeIdOf(0), advertiseAddress: '10.0.0.10' });
      const alone = {
        nodes: [member(0), withoutMembership(1)],
        instances: [manager(0, works(0)), manager(1, hasNothing)],
      };
      const recovered = planned(alone, recovering.change);
      expect(recovered).toMatchObject({ commands: [[idOf(0), null]], change: null });
      const removing = planned(alone, null);
      expect(removing.commands).toEqual([[idOf(0), 'remove']]);
      expect(removing.command).toMatchObject({ nodeId: nodeIdOf(1) });
      expect(planned({ ...alone, nodes: [member(0)] }, removing.change).commands).toEqual([
        [idOf(0), null],
        [idOf(1), 'join'],
      ]);
    },
  );

  it.each<[string, Partial<Observation>]>([
    ['the first sees a leader', { leader: noLeader, nodes, instances: [manager(0, works(0)), manager(1, isDeaf(1))] }],
    [
      'it sees a leader itself',
      { leader: noLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, works(1))] },
    ],
    ['the first is not there', { leader: noLeader, nodes, instances: [manager(1, isDeaf(1))] }],
    [
      'the first is somebody else by now',
      { leader: noLeader, nodes, instances: [manager(0, seesNoLeader(5)), manager(1, isDeaf(1))] },
    ],
    [
      'its engine is silent',
      { leader: noLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, undefined)] },
    ],
    ['there was a third', { leader: noLeader, nodes: [member(0), deaf(1), member(2)], instances }],
    ['the list has nobody', { leader: noLeader, nodes: [], instances }],
  ])('stays as it is while %s', (_, over) => {
    expect(planned(over, change('join', 1)).commands).toEqual([]);
  });

  it('has joined when the last list shows it Ready: then it was no deaf member, and is not told to leave', () => {
    expect(planned({ leader: noLeader, nodes: [member(0), member(1)], instances }, change('join', 1))).toMatchObject({
      commands: [[idOf(1), null]],
      change: null,
    });
  });

  it('never leaves the first alone before it has nothing any more', () => {
    const leaving = change('leave', 1);
    for (const swarm of [isDeaf(1), undefined])
      expect(
        planned({ leader: noLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, swarm)] }, leaving)
          .command?.kind,
      ).not.toBe('recover');
    expect(planned({ leader: noLeader, nodes, instances: [manager(0, seesNoLeader(0))] }, leaving).commands).toEqual(
      [],
    );
  });

  it(
    'is told again when its command expired, or another instance has its volume, and is let be when it sees ' +
      'a leader by then',
    () => {
      const leaving = change('leave', 1, { expiresAt: NOW + 1_000 });
      expect(planned({ leader: noLeader, nodes, instances }, leaving).commands).toEqual([]);
      expect(planned({ leader: noLeader, nodes, instances }, { ...leaving, expiresAt: NOW }).commands).toEqual([
        [idOf(1), 'leave'],
      ]);
      expect(planned({ leader: noLeader, nodes, instances }, { ...leaving, instanceId: idOf(8) }).commands).toEqual([
        [idOf(8), null],
        [idOf(1), 'leave'],
      ]);
      expect(
        planned(
          { nodes: [member(0), member(1)], instances: [manager(0, works(0)), manager(1, works(1))] },
          { ...leaving, expiresAt: NOW },
        ),
      ).toMatchObject({ commands: [[idOf(1), null]], change: null });
    },
  );

  it('keeps its instance while it is on its way, however late it is', () => {
    const late = {
      ...manager(1, isDeaf(1)),
      ec2: { state: 'running', address: '10.0.1.10', launchedAt: NOW - ADMISSION_DEADLINE_MS },
    };
    const { membership, effects } = plan(
      {
        now: NOW,
        seats,
        settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
        leader: noLeader,
        nodes,
        stacksLeaving: new Set(),
        gone: new Set(),
        interrupted: new Set(),
        groups: [],
        interfaces: [],
        membership: { ...emptyMembership, managerChange: change('join', 1) },
        instances: [instances[0]!, late],
        volumes: seats.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) })),
      },
      () => 'c',
    );
    expect(membership.managerChange).toMatchObject({ kind: 'leave' });
    expect(effects.map(({ kind }) => kind)).toEqual(['extend-hook']);
  });
});

describe('a member of raft that nobody is', () => {
  const ghost = member(2, { hostname: '', state: 'unknown', id: nodeIdOf(7) }, 'unreachable');
  const others = [manager(0, works(0)), manager(1, works(1), 'InService')];

  it.each([
    ['has nothing', hasNothing],
    ['is another member', works(2)],
  ])('is taken out before anybody joins, when the engine behind its address %s', (_, swarm) => {
    const result = planned(
      {
        nodes: [member(0), member(1), ghost, ...(swarm === hasNothing ? [] : [member(2)])],
        instances: [...others, manager(2, swarm)],
      },
      null,
    );
    expect(result.commands).toEqual([[idOf(0), 'remove']]);
    expect(result.command).toMatchObject({ nodeId: nodeIdOf(7) });
  });

  it.each<[string, Instance[]]>([
    ['has nobody', []],
    ['is silent', [manager(2, undefined)]],
    ['may be it', [manager(2, isDeaf(7))]],
  ])('stays when the seat at its address %s', (_, holders) => {
    expect(
      planned({ nodes: [member(0), member(1), ghost], instances: [...others, ...holders] }, null).commands,
    ).toEqual([]);
  });
});

it.each(['remove', 'leave', 'recover'] as const)('%s ends when its seat is no longer configured', (kind) => {
  expect(
    planned(
      { seats: seats.slice(0, 1), nodes: [member(0)], instances: [manager(0, works(0))] },
      change(kind, 1, { nodeId: nodeIdOf(1) }),
    ),
  ).toMatchObject({ commands: [[idOf(1), null]], change: null });
});

describe('a manager whose node was taken out of the swarm, and whose engine was never told', () => {
  const nodes = [member(0), member(1)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2), 'InService')];
  const settings = { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 };
  const volumes = seats.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) }));
  const since = (ms: number | undefined, over: Partial<Observation> = {}, membership: Partial<Membership> = {}) =>
    plan(
      {
        now: NOW,
        seats,
        settings,
        leader,
        nodes,
        instances,
        volumes,
        stacksLeaving: new Set(),
        gone: new Set(),
        interrupted: new Set(),
        groups: [],
        interfaces: [],
        membership: { ...emptyMembership, ...(ms !== undefined && { suspects: suspected(2, ms) }), ...membership },
        ...over,
      },
      () => 'c',
    );

  it('is suspected, and its engine leaves when it is in no list for long', () => {
    expect(since(undefined)).toMatchObject({
      commands: [],
      membership: { suspects: suspected(2, 0, SUSPECT_GROWTH_S) },
    });
    expect(since(SUSPECT_MS - 1).commands).toEqual([]);
    expect(since(SUSPECT_MS)).toMatchObject({
      commands: [{ instanceId: idOf(2), command: { kind: 'leave' } }],
      membership: { managerChange: { kind: 'leave', seat: 2 } },
    });
  });

  it.each<[string, Partial<Observation>, Partial<Membership>]>([
    ['the list has it', { nodes: [...nodes, member(2)] }, {}],
    [
      'the list has it as no manager any more',
      { nodes: [...nodes, { ...member(2), role: 'worker', manager: undefined }] },
      {},
    ],
    ['its engine sees a leader', { instances: [...instances.slice(0, 2), manager(2, works(2), 'InService')] }, {}],
    ['its engine has nothing', { instances: [...instances.slice(0, 2), manager(2, hasNothing, 'InService')] }, {}],
    ['no quorum reports', { leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } }, {}],
    [
      'another manager is taken in',
      {},
      { managerChange: { kind: 'join', seat: 1, instanceId: idOf(1), commandId: 'd', expiresAt: NOW + 1_000 } },
    ],
    ['its volume was given up: its seat waits for another one', {}, { abandonedVolumes: ['vol-2'] }],
  ])('is left alone while %s', (_, over, membership) => {
    expect(since(SUSPECT_MS, over, membership).commands.filter(({ command }) => command?.kind === 'leave')).toEqual([]);
  });
});

describe('a manager that the list shows at work, and that sees no leader', () => {
  const nodes = [member(0), member(1), member(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, seesNoLeader(2), 'InService')];
  const suspects = suspected(2, SUSPECT_MS);
  const decided = (over: Partial<Observation> = {}, before: Membership['suspects'] = suspects) =>
    planned({ nodes, instances, membership: { ...emptyMembership, suspects: before }, ...over }, null);

  it('is suspected, and taken out when it still sees none later', () => {
    expect(decided({}, {}).commands).toEqual([]);
    expect(decided({}, suspected(2, SUSPECT_MS - 1)).commands).toEqual([]);
    expect(decided()).toMatchObject({
      commands: [[idOf(0), 'remove']],
      command: { nodeId: nodeIdOf(2), inSession: true },
      change: { kind: 'remove', seat: 2 },
    });
  });

  it.each<[string, Partial<Observation>]>([
    [
      'another one does not see it either',
      { instances: [instances[0]!, manager(1, seesNoLeader(1), 'InService'), instances[2]!] },
    ],
    ['another one is down', { nodes: [member(0), member(1, { state: 'down' }), member(2)] }],
    [
      'the report of another one is of somebody else',
      { instances: [instances[0]!, manager(1, works(9), 'InService'), instances[2]!] },
    ],
    ['a new leader does not know of it yet', { nodes: [member(0), member(1), member(2, { state: 'unknown' })] }],
    ['its volume is with another', { volumes: [{ volumeId: 'vol-2', state: 'in-use', attachedTo: idOf(9) }] }],
    [
      'its word has not grown since: it may be an old one',
      { membership: { ...emptyMembership, suspects: suspected(2, SUSPECT_MS, 30) } },
    ],
    ['its report does not come through', { instances: [...instances.slice(0, 2), manager(2, undefined, 'InService')] }],
  ])('is left alone while %s', (_, over) => {
    expect(decided(over).commands).toEqual([]);
  });

  it('is asked for again when the command has expired: the list alone says that it came back', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW });
    const ended = decided({ membership: { ...emptyMembership, suspects, managerChange: removing } });
    expect(ended).toMatchObject({ commands: [[idOf(0), null]], change: null });
    expect(decided({}, ended.suspects).commands).toEqual([[idOf(0), 'remove']]);
  });

  it('counts from anew when its agent does', () => {
    const restarted = [
      ...instances.slice(0, 2),
      { ...instances[2]!, report: { ...instances[2]!.report!, leaderless: 30 } },
    ];
    expect(decided({ instances: restarted }, suspected(2, SUSPECT_MS, 600))).toMatchObject({
      commands: [],
      suspects: suspected(2, SUSPECT_MS, 30),
    });
  });

  it('keeps a fourth from joining, whose quorum would have nobody to spare', () => {
    const four = [0, 1, 2, 3].map((seat) => ({
      seat,
      volumeId: `vol-${seat}`,
      networkInterfaceId: `eni-${seat}`,
      address: `10.0.${seat}.10`,
    }));
    const volumes = four.map(({ volumeId, seat }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) }));
    const joins = (third: Swarm | undefined) =>
      planned(
        {
          seats: four,
          volumes,
          nodes,
          instances: [...instances.slice(0, 2), manager(2, third, 'InService'), manager(3, hasNothing)],
        },
        null,
      ).commands;
    expect(joins(seesNoLeader(2))).toEqual([]);
    expect(joins(undefined)).toEqual([]);
    expect(joins(works(2))).toEqual([[idOf(3), 'join']]);
  });

  it('leaves once it is out of the list', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW + 1_000 });
    expect(planned({ nodes: nodes.slice(0, 2), instances }, removing).commands).toEqual([
      [idOf(0), null],
      [idOf(2), 'leave'],
    ]);
  });
});

it('nobody joins while the engine of a seat has nothing, and the list still shows it at work', () => {
  const instances = [manager(0, works(0)), manager(1, hasNothing, 'InService'), manager(2, hasNothing)];
  expect(planned({ nodes: [member(0), member(1)], instances }, null).commands).toEqual([]);
  expect(planned({ nodes: [member(0)], instances }, null).commands).toEqual([[idOf(1), 'join']]);
});

import { ADMISSION_DEADLINE_MS } from '../../../../lambda/membership/rules/admit';
import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Instance } from '../../../../lambda/membership/observation';
import { SUSPECT_GROWTH_S, SUSPECT_MS } from '../../../../lambda/membership/rules/return-seat';
import { LEADER_STALE_MS, type Membership } from '../../../../protocol/cluster';
import type { Report } from '../../../../protocol/report';
import type { SwarmNode } from '../../../../protocol/swarm';
import {
  attached,
  type Changes,
  deaf as isDeaf,
  idOf,
  inNoSwarm as hasNothing,
  leader,
  lostMember,
  manager as managerOf,
  member,
  nodeIdOf,
  NOW,
  planned as plannedFor,
  seats,
  seatsOf,
  seesLeader as works,
  seesNoLeader,
  silentLeader,
} from '../world';

type Swarm = NonNullable<Report['swarm']>;

/** Seat 0 is in service and the others wait at their launch hooks, unless a test says otherwise. */
function manager(
  seat: number,
  swarm: Swarm | undefined,
  lifecycleState = seat === 0 ? 'InService' : 'Pending:Wait',
): Instance {
  return managerOf(seat, lifecycleState, {
    swarm,
    ...(!swarm && { engine: undefined }),
    ...(swarm?.controlAvailable && !swarm.swarmId && { leaderless: SUSPECT_GROWTH_S }),
  });
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

function planned(over: Changes, managerChange: Change | null) {
  const { commands, membership, alarms } = plannedFor({
    nodes: [],
    instances: [],
    membership: { managerChange },
    ...over,
  });
  return {
    suspects: membership.suspects,
    commands: commands.map(({ instanceId, command }) => [instanceId, command?.kind ?? null]),
    command: commands.at(-1)?.command,
    /** In whose mailboxes they are. */
    roles: commands.map(({ role }) => role),
    change: membership.managerChange,
    alarms: alarms.map(({ reason }) => reason),
  };
}

describe('a third manager that raft counts and that sees no leader', () => {
  const nodes = [member(0), member(1), deaf(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2))];

  it('is removed by the leader, with an alarm, and its token is erased from its mailbox', () => {
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
    expect(result.roles).toEqual(['manager', 'manager']);
    expect(result.alarms).toEqual([
      `Node ${nodeIdOf(2)} of seat 2 is removed from the swarm. Raft counts it, but it sees no leader, ` +
        'although its engine runs on its volume.',
    ]);
  });

  it.each<[string, Changes, Change]>([
    ['its time is not over', { nodes, instances }, change('join', 2, { expiresAt: NOW - LEADER_STALE_MS + 1 })],
    ['it sees the leader', { nodes, instances: [...instances.slice(0, 2), manager(2, works(2))] }, change('join', 2)],
    [
      'its engine says nothing',
      { nodes, instances: [...instances.slice(0, 2), manager(2, undefined)] },
      change('join', 2),
    ],
    ['its volume is attached elsewhere', { nodes, instances, volumes: [attached(2, 9)] }, change('join', 2)],
    [
      'its node has a session',
      { nodes: [member(0), member(1), member(2, { state: 'unknown' })], instances },
      change('join', 2),
    ],
    [
      'no quorum is visible, and there are two others',
      {
        leader: silentLeader,
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

  it('leaves once it is off the list, and joins afresh once it has left', () => {
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

  it('is not told to leave when the node that was removed was another one', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(7) });
    expect(
      planned(
        { nodes: [member(0), member(1), member(2)], instances: [...instances.slice(0, 2), manager(2, isDeaf(2))] },
        removing,
      ),
    ).toMatchObject({ commands: [[idOf(0), null]], change: null });
  });

  it('is removed by the next leader when the first one dies, and by a new command when the old one expired', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW + 1_000 });
    expect(planned({ nodes, instances }, removing).commands).toEqual([]);
    expect(planned({ leader: { ...leader, instanceId: idOf(1) }, nodes, instances }, removing).commands).toEqual([
      [idOf(0), null],
      [idOf(1), 'remove'],
    ]);
    expect(planned({ nodes, instances }, { ...removing, expiresAt: NOW }).commands).toEqual([[idOf(0), 'remove']]);
  });

  it('is still removed after it was demoted, but left alone if it came back before that', () => {
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

describe('a manager that was admitted just before it died, and came back deaf', () => {
  const nodes = [member(0), member(1), deaf(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2), 'InService')];
  const since = (suspects: Membership['suspects'], over: Changes = {}) =>
    plannedFor({ nodes, instances, membership: { suspects }, ...over });

  it('is suspected, and removed if it still seems deaf later', () => {
    expect(since({})).toMatchObject({ commands: [], membership: { suspects: suspected(2, 0, SUSPECT_GROWTH_S) } });
    expect(since(suspected(2, SUSPECT_MS - 1)).commands).toEqual([]);
    expect(since(suspected(2, SUSPECT_MS)).commands).toMatchObject([
      { instanceId: idOf(0), command: { kind: 'remove', nodeId: nodeIdOf(2) } },
    ]);
  });

  it.each<[string, Changes]>([
    ['it is only cut off', { nodes: [member(0), member(1), lostMember(2)] }],
    ['no quorum is visible', { leader: silentLeader }],
    ['somebody demoted it', { nodes: [member(0), member(1), member(2, { role: 'worker' })] }],
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
  ])('is no longer suspected when %s', (_, over) => {
    expect(since(suspected(2, NOW), over)).toMatchObject({ commands: [], membership: { suspects: {} } });
  });

  it('gets its full time again if, during another manager change, it saw a leader or there was none', () => {
    const before = suspected(2, SUSPECT_MS);
    const managerChange = change('join', 1, { expiresAt: NOW + 1_000 });
    const membership = { suspects: before, managerChange };
    const seeing = { membership, instances: [...instances.slice(0, 2), manager(2, works(2), 'InService')] };
    expect(since(before, { membership }).membership.suspects).toEqual(before);
    expect(since(before, seeing).membership.suspects).toEqual({});
    expect(since(before, { membership, leader: silentLeader }).membership.suspects).toEqual({});
  });

  it('joins afresh once it has left, though its launch hook was completed long ago', () => {
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
  ])('leaves, %s; then the first goes on alone, its node is removed, and it joins afresh', (_, list) => {
    const leaving = planned({ leader: silentLeader, nodes: list, instances }, change('join', 1));
    expect(leaving.commands).toEqual([[idOf(1), 'leave']]);
    expect(leaving.change).toMatchObject({ kind: 'leave', seat: 1 });
    const left = [manager(0, seesNoLeader(0)), manager(1, hasNothing)];
    const recovering = planned({ leader: silentLeader, nodes: list, instances: left }, leaving.change);
    expect(recovering.commands).toEqual([
      [idOf(1), null],
      [idOf(0), 'recover'],
    ]);
    expect(recovering.command).toMatchObject({ kind: 'recover', nodeId: nodeIdOf(0), advertiseAddress: '10.0.0.10' });
    const again = (over: Changes) =>
      planned({ leader: silentLeader, nodes: list, ...over }, recovering.change).commands;
    const expired = { now: recovering.change!.expiresAt };
    expect(again({ instances: left, now: expired.now - 1 })).toEqual([]);
    expect(again({ instances: left, ...expired })).toEqual([[idOf(0), 'recover']]);
    // Only while the first is there and sees no leader, and the second has nothing.
    expect(again({ instances: [left[1]!], ...expired })).toEqual([]);
    expect(again({ instances: [manager(0, works(0)), left[1]!], ...expired })).toEqual([]);
    expect(again({ instances, ...expired })).toEqual([]);
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
  });

  it.each<[string, Changes]>([
    [
      'the first sees a leader',
      { leader: silentLeader, nodes, instances: [manager(0, works(0)), manager(1, isDeaf(1))] },
    ],
    [
      'it sees a leader itself',
      { leader: silentLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, works(1))] },
    ],
    ['the first is not there', { leader: silentLeader, nodes, instances: [manager(1, isDeaf(1))] }],
    [
      'the first is somebody else by now',
      { leader: silentLeader, nodes, instances: [manager(0, seesNoLeader(5)), manager(1, isDeaf(1))] },
    ],
    [
      'its engine is silent',
      { leader: silentLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, undefined)] },
    ],
    ['there was a third manager', { leader: silentLeader, nodes: [member(0), deaf(1), member(2)], instances }],
    ['the list is empty', { leader: silentLeader, nodes: [], instances }],
  ])('stays as it is while %s', (_, over) => {
    expect(planned(over, change('join', 1)).commands).toEqual([]);
  });

  it('counts as joined, and is not told to leave, when the last list shows it Ready', () => {
    expect(
      planned({ leader: silentLeader, nodes: [member(0), member(1)], instances }, change('join', 1)),
    ).toMatchObject({
      commands: [[idOf(1), null]],
      change: null,
    });
  });

  it('never lets the first go on alone before its own engine has nothing left', () => {
    const leaving = change('leave', 1);
    for (const swarm of [isDeaf(1), undefined])
      expect(
        planned({ leader: silentLeader, nodes, instances: [manager(0, seesNoLeader(0)), manager(1, swarm)] }, leaving)
          .command?.kind,
      ).not.toBe('recover');
    expect(
      planned({ leader: silentLeader, nodes, instances: [manager(0, seesNoLeader(0))] }, leaving).commands,
    ).toEqual([]);
  });

  it('is told to leave again when the command expired or another instance has its volume', () => {
    const leaving = change('leave', 1, { expiresAt: NOW + 1_000 });
    expect(planned({ leader: silentLeader, nodes, instances }, leaving).commands).toEqual([]);
    expect(planned({ leader: silentLeader, nodes, instances }, { ...leaving, expiresAt: NOW }).commands).toEqual([
      [idOf(1), 'leave'],
    ]);
    expect(planned({ leader: silentLeader, nodes, instances }, { ...leaving, instanceId: idOf(8) }).commands).toEqual([
      [idOf(8), null],
      [idOf(1), 'leave'],
    ]);
    expect(
      planned(
        { nodes: [member(0), member(1)], instances: [manager(0, works(0)), manager(1, works(1))] },
        { ...leaving, expiresAt: NOW },
      ),
    ).toMatchObject({ commands: [[idOf(1), null]], change: null });
  });

  it('keeps its instance while it is on its way, however late', () => {
    const late = {
      ...manager(1, isDeaf(1)),
      ec2: { state: 'running', address: '10.0.1.10', launchedAt: NOW - ADMISSION_DEADLINE_MS },
    };
    const { membership, effects } = plannedFor({
      leader: silentLeader,
      nodes,
      membership: { managerChange: change('join', 1) },
      instances: [instances[0]!, late],
    });
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
  ])('is removed before anybody joins when the engine behind its address %s', (_, swarm) => {
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

  it('stays when it is at work, though it has no host name', () => {
    const nodes = [member(0), member(1), member(2, { hostname: '', id: nodeIdOf(7) })];
    expect(planned({ nodes, instances: [...others, manager(2, hasNothing)] }, null).commands).toEqual([]);
  });

  it('stays when a manager reports no volume, which may be its own', () => {
    const withoutVolume = managerOf(2, 'Pending:Wait', { swarm: hasNothing, volume: undefined });
    const nodes = [member(0), member(1), withoutMembership(2)];
    expect(planned({ nodes, instances: [...others, withoutVolume] }, null).commands).toEqual([]);
    expect(planned({ nodes, instances: [...others, manager(2, hasNothing)] }, null).commands).toEqual([
      [idOf(0), 'remove'],
    ]);
  });

  it('is removed under a number that no seat has when it is at the address of none', () => {
    const former = member(4, { state: 'down' });
    const result = planned(
      { nodes: [member(0), member(1), member(2), former], instances: others, gone: new Set([idOf(4)]) },
      null,
    );
    expect(result.change).toMatchObject({ kind: 'remove', seat: 3, nodeId: former.id });
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

it.each(['remove', 'leave', 'recover'] as const)(
  'a change of kind %s ends when its seat is no longer configured',
  (kind) => {
    expect(
      planned(
        { seats: seats.slice(0, 1), nodes: [member(0)], instances: [manager(0, works(0))] },
        change(kind, 1, { nodeId: nodeIdOf(1) }),
      ),
    ).toMatchObject({ commands: [[idOf(1), null]], change: null });
  },
);

describe('a manager whose node was removed from the swarm without its engine being told', () => {
  const nodes = [member(0), member(1)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, isDeaf(2), 'InService')];
  const since = (ms: number | undefined, over: Changes = {}, membership: Partial<Membership> = {}) =>
    plannedFor({
      nodes,
      instances,
      ...over,
      membership: { ...(ms !== undefined && { suspects: suspected(2, ms) }), ...membership },
    });

  it('is suspected, and told to leave when no list has it for long', () => {
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

  it.each<[string, Changes, Partial<Membership>]>([
    ['the list has it', { nodes: [...nodes, member(2)] }, {}],
    [
      'the list has it, but not as a manager',
      { nodes: [...nodes, { ...member(2), role: 'worker', manager: undefined }] },
      {},
    ],
    ['its engine sees a leader', { instances: [...instances.slice(0, 2), manager(2, works(2), 'InService')] }, {}],
    ['its engine is in no swarm', { instances: [...instances.slice(0, 2), manager(2, hasNothing, 'InService')] }, {}],
    ['no quorum is visible', { leader: silentLeader }, {}],
    [
      'another manager joins',
      {},
      { managerChange: { kind: 'join', seat: 1, instanceId: idOf(1), commandId: 'd', expiresAt: NOW + 1_000 } },
    ],
    ['its volume was given up, so its seat waits for another one', {}, { abandonedVolumes: ['vol-2'] }],
  ])('is left alone while %s', (_, over, membership) => {
    expect(since(SUSPECT_MS, over, membership).commands.filter(({ command }) => command?.kind === 'leave')).toEqual([]);
  });
});

describe('a manager that sees no leader while the list shows it at work', () => {
  const nodes = [member(0), member(1), member(2)];
  const instances = [manager(0, works(0)), manager(1, works(1), 'InService'), manager(2, seesNoLeader(2), 'InService')];
  const suspects = suspected(2, SUSPECT_MS);
  const decided = (over: Changes = {}, before: Membership['suspects'] = suspects) =>
    planned({ nodes, instances, membership: { suspects: before }, ...over }, null);

  it('is suspected, and removed if it still sees none later', () => {
    expect(decided({}, {}).commands).toEqual([]);
    expect(decided({}, suspected(2, SUSPECT_MS - 1)).commands).toEqual([]);
    expect(decided()).toMatchObject({
      commands: [[idOf(0), 'remove']],
      command: { nodeId: nodeIdOf(2), inSession: true },
      change: { kind: 'remove', seat: 2 },
    });
  });

  it.each<[string, Changes]>([
    [
      'another one sees no leader either',
      { instances: [instances[0]!, manager(1, seesNoLeader(1), 'InService'), instances[2]!] },
    ],
    ['another one is down', { nodes: [member(0), member(1, { state: 'down' }), member(2)] }],
    [
      'the report of another one names a different node',
      { instances: [instances[0]!, manager(1, works(9), 'InService'), instances[2]!] },
    ],
    ['a new leader has not heard of it yet', { nodes: [member(0), member(1), member(2, { state: 'unknown' })] }],
    ['its volume is attached elsewhere', { volumes: [attached(2, 9)] }],
    [
      'the time that it reports has not grown: the report may be an old one',
      { membership: { suspects: suspected(2, SUSPECT_MS, 30) } },
    ],
    ['its report does not arrive', { instances: [...instances.slice(0, 2), manager(2, undefined, 'InService')] }],
  ])('is left alone while %s', (_, over) => {
    expect(decided(over).commands).toEqual([]);
  });

  it('is suspected on, and removed again, when the command expired and only the list says that it came back', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW });
    const ended = decided({ membership: { suspects, managerChange: removing } });
    expect(ended).toMatchObject({ commands: [[idOf(0), null]], change: null });
    expect(decided({}, ended.suspects).commands).toEqual([[idOf(0), 'remove']]);
  });

  it('gets its full time again when its agent starts counting anew', () => {
    const restarted = [
      ...instances.slice(0, 2),
      { ...instances[2]!, report: { ...instances[2]!.report!, leaderless: 30 } },
    ];
    expect(decided({ instances: restarted }, suspected(2, SUSPECT_MS, 600))).toMatchObject({
      commands: [],
      suspects: suspected(2, SUSPECT_MS, 30),
    });
  });

  it('keeps a fourth manager from joining, whose quorum could spare nobody', () => {
    const joins = (third: Swarm | undefined) =>
      planned(
        {
          seats: seatsOf(4),
          nodes,
          instances: [...instances.slice(0, 2), manager(2, third, 'InService'), manager(3, hasNothing)],
        },
        null,
      ).commands;
    expect(joins(seesNoLeader(2))).toEqual([]);
    expect(joins(undefined)).toEqual([]);
    expect(joins(works(2))).toEqual([[idOf(3), 'join']]);
  });

  it('leaves once it is off the list', () => {
    const removing = change('remove', 2, { instanceId: idOf(0), nodeId: nodeIdOf(2), expiresAt: NOW + 1_000 });
    expect(planned({ nodes: nodes.slice(0, 2), instances }, removing).commands).toEqual([
      [idOf(0), null],
      [idOf(2), 'leave'],
    ]);
  });
});

it('nobody joins while the engine of a seat is in no swarm but the list still shows it at work', () => {
  const instances = [manager(0, works(0)), manager(1, hasNothing, 'InService'), manager(2, hasNothing)];
  expect(planned({ nodes: [member(0), member(1)], instances }, null).commands).toEqual([]);
  expect(planned({ nodes: [member(0)], instances }, null).commands).toEqual([[idOf(1), 'join']]);
});

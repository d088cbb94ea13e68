import {
  ADMISSION_DEADLINE_MS,
  EXTENSION_MS,
  EXTEND_EVERY_MS,
  MAX_COMMANDS,
  TRAFFIC_DEADLINE_MS,
  WORKER_JOINS,
} from '../../../../lambda/membership/rules/admit';
import { COMMAND_MS } from '../../../../lambda/membership/draft';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { plan as planFor } from '../../../../lambda/membership/plan';
import type { Group } from '../../../../lambda/shared/groups';
import { LEADER_STALE_MS } from '../../../../protocol/cluster';
import type { Report } from '../../../../protocol/report';
import type { SwarmNode } from '../../../../protocol/swarm';
import {
  attached,
  available,
  type Changes,
  idOf,
  leader,
  lostMember,
  member,
  nodeIdOf,
  NOW,
  numbers,
  observation,
  planned,
  seatGroup,
  seats,
  silentLeader,
  SWARM_ID as swarmId,
  tokens,
  unformed,
  waiting,
  web,
  workerNode,
} from '../world';

const joined = (n: number, role: 'manager' | 'worker'): Partial<Report> => ({
  swarm: { state: 'active', nodeId: nodeIdOf(n), controlAvailable: role === 'manager' },
});
/** Before a swarm was formed, unless a test says that one was. */
const plan = (changes: Changes) => planned({ ...unformed, ...changes });
const formed = { leader, nodes: [member(0)] };

describe('a worker behind a load balancer', () => {
  const traffic = (...arrived: string[]) => ({ arrived: new Set(arrived), left: new Set<string>() });
  const ready = (launchedAt = NOW - 30_000) =>
    waiting(7, web, joined(7, 'worker'), { ec2: { state: 'running', address: '10.0.9.7', launchedAt } });
  const nodes = [member(0), workerNode(7)];
  const admitted = (instances: Instance[], ...arrived: string[]) =>
    plan({ leader, nodes, instances, traffic: traffic(...arrived) })
      .effects.filter(({ kind }) => kind === 'admit')
      .map(({ instanceId }) => instanceId);

  it('is admitted once it is sent connections', () => {
    expect(admitted([ready()])).toEqual([]);
    expect(admitted([ready()], idOf(7))).toEqual([idOf(7)]);
  });

  it('is admitted without connections some minutes after its launch, before it would be abandoned', () => {
    expect(admitted([ready(NOW - TRAFFIC_DEADLINE_MS + 1)])).toEqual([]);
    expect(admitted([ready(NOW - TRAFFIC_DEADLINE_MS)])).toEqual([idOf(7)]);
    expect(TRAFFIC_DEADLINE_MS).toBeLessThan(ADMISSION_DEADLINE_MS);
  });

  it('loses its command once it is Ready, and is not told to join again while it waits', () => {
    const membership = {
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

  it('does not wait for connections if it is a manager', () => {
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
  const free = [available(0)];

  it('gets its own volume as soon as it reports', () => {
    expect(plan({ instances: [speaks], volumes: free }).effects).toMatchObject([
      { kind: 'attach-volume', instanceId: idOf(0), volumeId: 'vol-0' },
    ]);
  });

  it.each<[string, Instance, Observation['volumes']]>([
    ['it has not reported', waiting(0, seatGroup(0), null), free],
    ['EC2 says that it is still pending', { ...speaks, ec2: { ...speaks.ec2!, state: 'pending' } }, free],
    ['EC2 does not describe its volume', speaks, []],
    ['another instance still holds the volume', speaks, [attached(0, 9)]],
  ])('gets no volume while %s', (_, instance, volumes) => {
    expect(plan({ instances: [instance], volumes }).effects).toEqual([]);
  });
});

describe('the swarm', () => {
  it('is formed by seat 0, whose claim is written with the command', () => {
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

  it('is never formed by another seat', () => {
    expect(plan({ instances: [waiting(1, seatGroup(1)), waiting(2, seatGroup(2))] }).commands).toEqual([]);
  });

  it('is formed by one instance only, though three managers wait at once', () => {
    const { commands } = plan({
      instances: [waiting(2, seatGroup(2)), waiting(1, seatGroup(1)), waiting(0, seatGroup(0))],
    });
    expect(commands.map(({ instanceId }) => instanceId)).toEqual([idOf(0)]);
  });

  it('is not formed again once one was published', () => {
    expect(
      plan({ ...formed, instances: [waiting(0, seatGroup(0))] }).commands.map(({ command }) => command?.kind),
    ).not.toContain('init');
  });

  it('is formed by the successor on the same volume when the first instance was lost before it did', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-0', commandId: 'old' };
    const { commands, membership } = plan({
      instances: [waiting(0, seatGroup(0))],
      membership: { bootstrap },
    });
    expect(commands).toMatchObject([{ command: { kind: 'init' } }]);
    expect(membership.bootstrap).toMatchObject({ instanceId: idOf(0), volumeId: 'vol-0' });
  });

  it('is claimed, without a command, by the successor on the volume of an instance that formed it and died', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-0', commandId: 'old' };
    const { commands, membership } = plan({
      instances: [waiting(0, seatGroup(0), joined(0, 'manager'))],
      membership: { bootstrap },
    });
    expect(commands).toEqual([]);
    expect(membership.bootstrap).toEqual({ ...bootstrap, instanceId: idOf(0) });
  });

  it('is claimed by that successor, whatever the instances of other seats say', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-0', commandId: 'old' };
    const { membership } = plan({
      instances: [waiting(1, seatGroup(1), joined(1, 'manager')), waiting(0, seatGroup(0), joined(0, 'manager'))],
      membership: { bootstrap },
    });
    expect(membership.bootstrap).toEqual({ ...bootstrap, instanceId: idOf(0) });
  });

  it('is claimed neither by a successor on another volume nor by another seat', () => {
    const membership = {
      bootstrap: { seat: 0, instanceId: idOf(8), volumeId: 'vol-lost', commandId: 'old' },
    };
    expect(
      plan({
        instances: [waiting(0, seatGroup(0), joined(0, 'manager')), waiting(1, seatGroup(1), joined(1, 'manager'))],
        membership,
      }).membership.bootstrap,
    ).toEqual(membership.bootstrap);
  });

  it('is not formed on another volume than the claim names', () => {
    const bootstrap = { seat: 0, instanceId: idOf(8), volumeId: 'vol-lost', commandId: 'old' };
    const { commands, alarms } = plan({
      instances: [waiting(0, seatGroup(0))],
      membership: { bootstrap },
    });
    expect(commands).toEqual([]);
    expect(alarms).toHaveLength(1);
  });

  it.each<[string, Instance]>([
    ['the volume is not mounted', waiting(0, seatGroup(0), { volume: { id: 'vol-0', state: 'waiting' } })],
    ['another volume is mounted', waiting(0, seatGroup(0), { volume: { id: 'vol-1', state: 'mounted' } })],
    ['the engine does not answer', waiting(0, seatGroup(0), { swarm: undefined })],
    ['the engine is a member already', waiting(0, seatGroup(0), joined(0, 'manager'))],
  ])('is not formed while %s', (_, instance) => {
    expect(plan({ instances: [instance] }).commands).toEqual([]);
  });

  it('is not formed while EC2 says that the volume is attached elsewhere, whatever the node says', () => {
    expect(
      plan({
        instances: [waiting(0, seatGroup(0))],
        volumes: [attached(0, 9)],
      }).commands,
    ).toEqual([]);
  });

  it('is not ordered twice while the command is valid', () => {
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

  it.each<[string, Changes]>([
    [
      'a member is unreachable',
      {
        nodes: [member(0), member(5, {}, 'unreachable')],
      },
    ],
    [
      'a demotion is under way, so that a worker by role is still in raft',
      { nodes: [member(0), { ...member(5), role: 'worker' }] },
    ],
    [
      'a promotion is under way, so that a manager by role is not in raft yet',
      { nodes: [member(0), member(5, { manager: undefined })] },
    ],
    ['the leader is silent', { leader: silentLeader }],
    ['there is no node list', { nodes: [] }],
    [
      'a manager is being let go',
      {
        instances: [waiting(1, seatGroup(1)), waiting(0, seatGroup(0), null, { lifecycleState: 'Terminating:Wait' })],
        membership: { departures: { [idOf(0)]: { since: NOW, letGoAt: NOW } } },
      },
    ],
    [
      'the only manager is let go by the same plan',
      {
        nodes: [member(0, { idleFor: idOf(0) })],
        instances: [waiting(1, seatGroup(1)), waiting(0, seatGroup(0), null, { lifecycleState: 'Terminating:Wait' })],
      },
    ],
  ])('do not join while %s', (_, change) => {
    expect(plan({ ...formed, instances: [waiting(1, seatGroup(1))], ...change }).commands).toEqual([]);
  });

  it('are offered all reachable managers, the leader first', () => {
    const nodes = [member(1), member(0)];
    const { commands } = plan({ leader, nodes, instances: [waiting(2, seatGroup(2))] });
    expect(commands[0]!.command).toMatchObject({ managers: ['10.0.0.10', '10.0.1.10'] });
  });

  it('are offered addresses of seats only, whatever a manager reports', () => {
    const nodes = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => member(n));
    nodes[0] = member(0, {
      manager: { leader: true, reachability: 'reachable', address: 'example.org:2377' },
    });
    const { commands } = plan({ leader, nodes, instances: [waiting(10, web)] });
    expect(commands[0]!.command).toMatchObject({ managers: ['10.0.1.10', '10.0.2.10'] });
    expect(
      plan({ leader, nodes: [nodes[0]!], instances: [waiting(10, web), waiting(1, seatGroup(1))] }).commands,
    ).toEqual([]);
  });

  it('are admitted without a command when they come back with their state', () => {
    const { commands, effects } = plan({ ...formed, instances: [waiting(0, seatGroup(0), joined(0, 'manager'))] });
    expect(commands).toEqual([]);
    expect(effects).toMatchObject([{ kind: 'admit', instanceId: idOf(0), group: 'seat-0', ...seatGroup(0).stack }]);
  });
});

describe('workers', () => {
  it('all join at once, even while a manager joins', () => {
    const { commands, membership } = plan({
      ...formed,
      instances: [waiting(1, seatGroup(1)), waiting(10, web), waiting(11, web)],
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

  it('join a bounded number at a time, so that erased and new commands fit one transaction', () => {
    const many = numbers(1_000, 300).map((n) => waiting(n, web));
    const first = plan({ ...formed, instances: many });
    expect(first.commands).toHaveLength(WORKER_JOINS);
    // All of the first left meanwhile: their commands are erased while others are told to join.
    const next = plan({ ...formed, instances: many.slice(WORKER_JOINS), membership: first.membership });
    expect(next.commands).toHaveLength(MAX_COMMANDS);
    expect(next.commands.filter(({ command }) => command === null)).toHaveLength(WORKER_JOINS);
  });

  it('wait for a swarm and a visible quorum', () => {
    expect(plan({ instances: [waiting(10, web)] }).commands).toEqual([]);
    expect(plan({ ...formed, leader: silentLeader, instances: [waiting(10, web)] }).commands).toEqual([]);
  });

  it('never get the manager token', () => {
    const { commands } = plan({ ...formed, instances: [waiting(10, web)] });
    expect(JSON.stringify(commands)).not.toContain(tokens.manager);
  });
});

describe('admission', () => {
  const instances = [waiting(10, web, joined(10, 'worker'))];
  const flight = {
    rotation: { at: NOW },
    workerJoins: { [idOf(10)]: { commandId: 'c', expiresAt: NOW + 1_000 } },
  };

  it('erases the command and records the admission before it completes the hook and signals the stack', () => {
    const { commands, membership, effects } = plan({
      leader,
      nodes: [member(0), workerNode(10)],
      instances,
      membership: flight,
    });
    expect(commands).toMatchObject([{ instanceId: idOf(10), command: null }]);
    expect(membership).toMatchObject({ workerJoins: {}, admissions: { [idOf(10)]: { group: 'web' } } });
    expect(effects).toMatchObject([{ kind: 'admit', instanceId: idOf(10) }]);
  });

  it('is finished after a crash between the launch hook and the signal to the stack', () => {
    const membership = { admissions: { [idOf(10)]: { group: 'web' } } };
    const inService = { ...instances[0]!, lifecycleState: 'InService', ec2: undefined, report: undefined };
    expect(plan({ ...formed, instances: [inService], membership }).effects).toMatchObject([
      { kind: 'admit', instanceId: idOf(10), ...web.stack },
    ]);
  });

  it.each<[string, SwarmNode]>([
    ['the leader does not show it Ready', workerNode(10, { state: 'unknown' })],
    ['its role is a different one', member(10)],
    ['its own report names another node', { ...workerNode(11), instanceId: idOf(10) }],
    ['the label of its node names another instance', workerNode(10, { instanceId: idOf(11) })],
  ])('does not happen while %s', (_, listed) => {
    const { effects } = plan({ leader, nodes: [member(0), listed], instances, membership: flight });
    expect(effects).toEqual([]);
  });

  it.each([
    ['active', 1],
    ['pending', 1],
    ['error', 0],
    ['locked', 0],
  ] as const)('of a node that the leader shows Ready while its engine calls itself %s: %i', (state, count) => {
    const joining = [waiting(10, web, { swarm: { state, nodeId: nodeIdOf(10), controlAvailable: false } })];
    expect(
      plan({ leader, nodes: [member(0), workerNode(10)], instances: joining, membership: flight }).effects,
    ).toHaveLength(count);
  });

  it('excludes abandoning: a node found Ready is kept while its hook is still to be completed', () => {
    const membership = { admissions: { [idOf(10)]: { group: 'web' } } };
    const late = waiting(10, web, joined(10, 'worker'), {
      ec2: { state: 'running', address: '10.0.9.10', launchedAt: NOW - ADMISSION_DEADLINE_MS },
    });
    expect(plan({ ...formed, instances: [late], membership }).effects.map(({ kind }) => kind)).toEqual(['admit']);
  });

  it('is dropped, and no stack signalled, when the instance left before its hook was completed', () => {
    const membership = { admissions: { [idOf(10)]: { group: 'web' } } };
    const { effects, membership: after } = plan({ ...formed, membership });
    expect(effects).toEqual([]);
    expect(after.admissions).toEqual({});
  });

  it('of a manager waits until raft reaches it', () => {
    const manager = waiting(1, seatGroup(1), joined(1, 'manager'));
    const unreachable = member(1, {
      manager: { leader: false, reachability: 'unknown', address: '10.0.1.10:2377' },
    });
    expect(plan({ leader, nodes: [member(0), unreachable], instances: [manager] }).effects).toEqual([]);
    expect(plan({ leader, nodes: [member(0), member(1)], instances: [manager] }).effects).toMatchObject([
      { kind: 'admit' },
    ]);
  });

  it('is refused to a member of another swarm, with an alarm', () => {
    const stranger = waiting(1, seatGroup(1), {
      swarm: { state: 'active', nodeId: nodeIdOf(1), swarmId: 'o'.repeat(25), controlAvailable: true },
    });
    const { effects, alarms } = plan({ ...formed, instances: [stranger] });
    expect(effects).toEqual([]);
    expect(alarms).toMatchObject([{ instanceId: idOf(1) }]);
  });
});

describe('an instance past its deadline', () => {
  const late = (n: number, group: Group, report: Partial<Report> | null = {}) =>
    waiting(n, group, report, { ec2: { state: 'running', launchedAt: NOW - ADMISSION_DEADLINE_MS } });

  it('is abandoned while the quorum is visible', () => {
    expect(plan({ ...formed, instances: [late(10, web)] }).effects).toMatchObject([
      { kind: 'abandon', instanceId: idOf(10) },
    ]);
  });

  it('is abandoned when no swarm was ever formed: nothing carries a quorum then', () => {
    expect(plan({ instances: [late(0, seatGroup(0))] }).effects).toMatchObject([{ kind: 'abandon' }]);
  });

  it('is kept, its hook extended, while a swarm exists whose quorum is not visible', () => {
    expect(plan({ ...formed, leader: silentLeader, instances: [late(0, seatGroup(0))] }).effects).toMatchObject([
      { kind: 'extend-hook', instanceId: idOf(0) },
    ]);
  });

  it('is kept when the last leader was terminated: a quorum since then may include this instance', () => {
    const kinds = (gone: string) =>
      plan({
        ...formed,
        nodes: [member(0), lostMember(1)],
        instances: [late(1, seatGroup(1))],
        gone: new Set([gone]),
      }).effects.map(({ kind }) => kind);
    expect(kinds(leader.instanceId)).toEqual(['extend-hook']);
    expect(kinds(idOf(30))).toEqual(['abandon']);
  });

  it.each([
    ['a worker', 20, web, 'abandon'],
    ['a seat without its volume', 20, seatGroup(1), 'abandon'],
    ['a seat with its volume', 0, seatGroup(0), 'extend-hook'],
  ])('that never reported is abandoned without a quorum only if it holds no volume: %s', (_, n, group, kind) => {
    expect(
      plan({ ...formed, leader: silentLeader, instances: [late(n, group, null)] }).effects.map((effect) => effect.kind),
    ).toEqual([kind]);
  });

  it('still gets its volume: the quorum may be waiting for it', () => {
    const speaks = waiting(
      0,
      seatGroup(0),
      { volume: { id: 'vol-0', state: 'waiting' }, engine: undefined, swarm: undefined },
      { ec2: { state: 'running', address: '10.0.0.10', launchedAt: NOW - ADMISSION_DEADLINE_MS } },
    );
    expect(
      plan({
        ...formed,
        leader: silentLeader,
        instances: [speaks],
        volumes: [available(0)],
      }).effects.map(({ kind }) => kind),
    ).toEqual(['extend-hook', 'attach-volume']);
  });

  it('gets a fixed extra time once the quorum is visible again, and its hook is extended until then', () => {
    const { membership } = plan({ ...formed, leader: silentLeader, instances: [late(10, web)] });
    const later = (ms: number, quorum: boolean) =>
      plan({
        ...formed,
        now: NOW + ms,
        leader: { ...leader, updatedAt: quorum ? NOW + ms : 0 },
        instances: [late(10, web)],
        membership,
      }).effects.map(({ kind }) => kind);
    expect(later(EXTENSION_MS - 1, true)).toEqual([]);
    expect(later(EXTENSION_MS, true)).toEqual(['abandon']);
    expect(later(EXTEND_EVERY_MS - 1, false)).toEqual([]);
    expect(later(EXTEND_EVERY_MS, false)).toEqual(['extend-hook']);
  });
});

describe('a manager in the list that is no member of raft', () => {
  const orphan: SwarmNode = {
    id: nodeIdOf(9),
    hostname: '',
    role: 'manager',
    availability: 'active',
    state: 'unknown',
  };
  const nodes = [member(0), orphan];
  const inService = (report: Partial<Report> | null) =>
    waiting(0, seatGroup(0), report, { lifecycleState: 'InService' });
  const next = waiting(1, seatGroup(1));
  const third = (state: 'inactive' | 'pending') =>
    waiting(2, seatGroup(2), { swarm: { state, controlAvailable: false } });

  it('does not keep a seat waiting when every seat reports, and each is a member or in no swarm', () => {
    expect(
      plan({ ...formed, nodes, instances: [inService(joined(0, 'manager')), next, third('inactive')] }).commands,
    ).toMatchObject([{ instanceId: idOf(1), command: { kind: 'join' } }]);
  });

  it('does not keep a seat waiting once another leader lists it as down (seed 3598)', () => {
    const down: SwarmNode = { ...orphan, state: 'down' };
    expect(
      plan({
        ...formed,
        nodes: [member(0), down],
        instances: [inService(joined(0, 'manager')), next, third('inactive')],
      }).commands,
    ).toMatchObject([{ instanceId: idOf(1), command: { kind: 'join' } }]);
  });

  it('keeps a seat waiting when it was seen before it went down: its engine may come back', () => {
    const seen: SwarmNode = { ...orphan, hostname: 'ip-10-0-1-12', state: 'down' };
    expect(
      plan({
        ...formed,
        nodes: [member(0), seen],
        instances: [inService(joined(0, 'manager')), next, third('inactive')],
      }).commands,
    ).toEqual([]);
  });

  it('does not keep a seat waiting for a seat without an instance, whose group may depend on this one', () => {
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
  ])('keeps managers waiting, since it may be on its way, while %s', (_, instances) => {
    expect(plan({ ...formed, nodes, instances }).commands).toEqual([]);
  });
});

describe('an instance past its deadline', () => {
  const late = (n: number, group: Group, more: Partial<Instance> = {}) =>
    waiting(
      n,
      group,
      {},
      { ec2: { state: 'running', address: `10.0.${n}.10`, launchedAt: NOW - ADMISSION_DEADLINE_MS }, ...more },
    );

  it.each<[string, number, Group]>([
    ['worker', 10, web],
    ['manager', 1, seatGroup(1)],
  ])('is not told to join by the plan that abandons it: %s', (_, n, group) => {
    const { commands, effects } = plan({ ...formed, instances: [late(n, group)] });
    expect(effects.map(({ kind }) => kind)).toEqual(['abandon']);
    expect(commands).toEqual([]);
  });

  it('is kept while its join is in flight: raft may already count it', () => {
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
        membership: { managerChange },
      }).effects.map(({ kind }) => kind);
    expect(kinds(NOW)).toEqual(['extend-hook']);
    expect(kinds(NOW + 1)).toEqual(['abandon']);
  });
});

describe('a join in flight', () => {
  const managerChange = { kind: 'join' as const, seat: 1, instanceId: idOf(1), commandId: 'c', expiresAt: NOW + 1_000 };
  const membership = { rotation: { at: NOW }, managerChange };

  const over = (n: number, lastCommand: Report['lastCommand'], state: 'inactive' | 'pending' = 'inactive') =>
    waiting(n, seatGroup(n), { lastCommand, swarm: { state, controlAvailable: false } });

  it.each([
    ['its report is from before the command', over(1, undefined)],
    ['its report is about another command', over(1, { id: 'earlier', outcome: 'failed' })],
    ['Docker is still trying', over(1, { id: 'c', outcome: 'failed' }, 'pending')],
  ])('keeps other managers waiting, however long ago its command expired, while %s', (_, first) => {
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
    'that %s keeps other managers waiting until the leader has sent a newer list, and is tried again then',
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

  it('lets a manager that was never told to join go before one that failed', () => {
    const instances = [over(1, { id: 'c', outcome: 'failed' }), waiting(2, seatGroup(2))];
    const { commands } = plan({
      ...formed,
      leader: { ...leader, epoch: leader.epoch + 1 },
      instances,
      membership: { managerChange: { ...managerChange, overAtEpoch: leader.epoch } },
      volumes: [attached(1), attached(2)],
    });
    expect(commands).toMatchObject([
      { instanceId: idOf(1), command: null },
      { instanceId: idOf(2), command: { kind: 'join' } },
    ]);
  });

  it.each([
    ['its seat has no instance', []],
    ['its successor is silent', [waiting(4, seatGroup(1), null)]],
    [
      'its successor has no volume yet',
      [waiting(4, seatGroup(1), { volume: { id: 'vol-1', state: 'waiting' }, swarm: undefined })],
    ],
    ['its successor carries on with it', [waiting(4, seatGroup(1), joined(1, 'manager'))]],
  ])('stays in flight after its instance left, while %s', (_, instances) => {
    expect(plan({ ...formed, instances: [...instances, waiting(2, seatGroup(2))], membership }).commands).toEqual([]);
  });

  it('ends when its instance left and its successor finds nothing on the volume: the old command is erased', () => {
    const { commands, membership: after } = plan({
      ...formed,
      instances: [waiting(4, seatGroup(1))],
      membership: { managerChange: { ...managerChange, overAtEpoch: leader.epoch - 1 } },
      volumes: [attached(1, 4)],
    });
    expect(commands).toMatchObject([
      { instanceId: idOf(1), command: null },
      { instanceId: idOf(4), command: { kind: 'join' } },
    ]);
    expect(after.managerChange?.instanceId).toBe(idOf(4));
  });

  it('ends when the successor of its instance is Ready and so has finished it', () => {
    const nodes = [member(0), member(1, { instanceId: idOf(4) })];
    expect(
      plan({ ...formed, nodes, instances: [waiting(4, seatGroup(1), joined(1, 'manager'))], membership }).membership
        .managerChange,
    ).toBeNull();
  });

  it('ends when its seat is no longer configured, so nobody is left to finish it', () => {
    expect(
      plan({
        ...formed,
        seats: seats.filter(({ seat }) => seat !== 1),
        instances: [waiting(2, seatGroup(2))],
        membership,
      }).commands,
    ).toMatchObject([
      { instanceId: idOf(1), command: null },
      { instanceId: idOf(2), command: { kind: 'join' } },
    ]);
  });

  it('causes no changes while it is in flight', () => {
    const observed = observation({ ...formed, instances: [waiting(1, seatGroup(1))], membership });
    const result = planFor(observed, () => 'unused');
    expect(result).toEqual({
      membership: observed.membership,
      commands: [],
      orders: [],
      effects: [],
      alarms: [],
      announcements: [],
    });
    expect(result.membership).toBe(observed.membership);
  });
});

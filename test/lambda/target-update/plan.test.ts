/**
 * Which targets are registered and deregistered, as tables: nodes, instances and targets on the left, what is to change
 * on the right.
 */
import {
  isFresh,
  plan as planned,
  type Change,
  type Observed,
  type TargetGroup,
} from '../../../lambda/target-update/plan';
import type { GroupMember } from '../../../lambda/shared/groups';
import { decodeServedBy, encodeServedBy, type ServedBy } from '../../../protocol/targets';
import type { SwarmNode } from '../../../protocol/swarm';

const STACK = 'arn:aws:cloudformation:us-east-1:1:stack/S/1';
const AGENT = '2378';
const plan = (observed: Observed) => planned(observed).changes;

/**
 * `a ready active InService`: the node's state and availability (`-` for none), and where its instance is in its life.
 * `m...` are managers; a `:Group` behind the name is its Auto Scaling group.
 */
function cluster(...rows: string[]): Pick<Observed, 'nodes' | 'instances'> {
  const parsed = rows.map((row) => {
    const [named, state, availability, lifecycleState] = row.split(' ') as [string, string, string, string];
    const [name, group = 'Web'] = named.split(':') as [string, string?];
    return {
      name,
      group,
      state,
      availability,
      lifecycleState,
      role: name.startsWith('m') ? ('manager' as const) : ('worker' as const),
    };
  });
  return {
    nodes: parsed
      .filter(({ state }) => state !== '-')
      .map(({ name, role, state, availability }) => ({
        id: name,
        hostname: name,
        role,
        state: state as SwarmNode['state'],
        availability: availability as SwarmNode['availability'],
        instanceId: name,
      })),
    instances: parsed
      .filter(({ lifecycleState }) => lifecycleState !== '-')
      .map(({ name, group, role, lifecycleState }): GroupMember => ({
        instanceId: name,
        lifecycleState,
        group: { name: group, role, stack: { stackId: STACK, logicalId: group } },
      })),
  };
}

/** `a healthy`, or `a:81 healthy` at another port than the group's. */
function targets(...rows: string[]): TargetGroup['targets'] {
  return rows.map((row) => {
    const [at, state] = row.split(' ') as [string, string];
    const [instanceId, port = '80'] = at.split(':') as [string, string?];
    return { instanceId, port: Number(port), state };
  });
}

/** What changes, in a line: `+a -b keep c wait d strange e`. */
function changes(
  observed: Pick<Observed, 'nodes' | 'instances'>,
  present: TargetGroup['targets'],
  { servedBy = 'all' as ServedBy, healthCheckPort = AGENT, quorumVisible = true } = {},
): string {
  const found = plan({
    quorumVisible,
    ...observed,
    targetGroups: [{ arn: 'tg', servedBy, port: 80, healthCheckPort, targets: present }],
  });
  return found.map(line).join(' | ');
}

function line({ register, deregister, kept, waiting, foreign: strange }: Change): string {
  return [
    ...register.map(({ instanceId }) => `+${instanceId}`),
    ...deregister.map(({ instanceId, port }) => `-${instanceId}${port === 80 ? '' : `:${port}`}`),
    ...kept.map(({ instanceId }) => `keep ${instanceId}`),
    ...waiting.map((instanceId) => `wait ${instanceId}`),
    ...strange.map((instanceId) => `strange ${instanceId}`),
  ].join(' ');
}

const PAIR = cluster('a ready active InService', 'b ready active InService');

test('nothing is done when the targets are the nodes', () => {
  expect(changes(PAIR, targets('a healthy', 'b initial'))).toBe('');
});

test.each<[string, string, string]>([
  ['a Ready node in service', 'a ready active InService', '+a'],
  ['a paused node: its tasks go on', 'a ready pause InService', '+a'],
  ['a drained node', 'a ready drain InService', ''],
  ['a node that is down', 'a down active InService', ''],
  ['a node whose state nobody knows, right after a change of leader', 'a unknown active InService', ''],
  ['an instance that is no node', 'a - - InService', ''],
  ['one that waits at its launch hook: a load balancer takes minutes', 'a ready active Pending:Wait', '+a'],
  ['one that has just left it', 'a ready active Pending:Proceed', '+a'],
  ['one that waits there and is not Ready', 'a down active Pending:Wait', ''],
  ['one that runs, and is not at its hook yet', 'a ready active Pending', ''],
  ['an instance in standby', 'a ready active Standby', ''],
  ['an instance that leaves', 'a ready active Terminating:Wait', ''],
  ['a node whose instance is in no group', 'a ready active -', ''],
])('registers only who may be sent work: %s', (_, row, expected) => {
  expect(changes(cluster(row), [])).toBe(expected);
});

test.each<[string, string, string]>([
  ['drained', 'a ready drain InService', '-a'],
  ['down', 'a down active InService', '-a'],
  ['disconnected', 'a disconnected active InService', '-a'],
  ['no node any more', 'a - - InService', '-a'],
  ['of no group any more', 'a ready active -', '-a strange a'],
  ['in standby', 'a ready active Standby', '-a'],
  ['not known to anybody, right after a change of leader', 'a unknown active InService', ''],
  ['drained, right after a change of leader', 'a unknown drain InService', '-a'],
])('deregisters a healthy target that is %s, while another healthy one stays', (_, row, expected) => {
  expect(changes(cluster(row, 'b ready active InService'), targets('a healthy', 'b healthy'))).toBe(expected);
});

test('a target that leaves fails its health check before it is deregistered', () => {
  const leaving = cluster('a ready active Terminating:Wait', 'b ready active InService');
  expect(changes(leaving, targets('a healthy', 'b healthy'))).toBe('wait a');
  expect(changes(leaving, targets('a unhealthy.draining', 'b healthy'))).toBe('wait a');
  expect(changes(leaving, targets('a unhealthy', 'b healthy'))).toBe('-a');
  expect(changes(leaving, targets('a initial', 'b healthy'))).toBe('-a');
});

test('and is deregistered at once where the health check is not the agent’s: nothing would fail', () => {
  expect(
    changes(cluster('a ready active Terminating:Wait', 'b ready active InService'), targets('a healthy', 'b healthy'), {
      healthCheckPort: 'traffic-port',
    }),
  ).toBe('-a');
});

test.each<[string, string[], string[], string]>([
  [
    'all nodes are down',
    ['a down active InService', 'b down active InService'],
    ['a healthy', 'b healthy'],
    'keep a keep b',
  ],
  [
    'the others are not healthy yet',
    ['a ready active Terminating:Wait', 'b ready active InService'],
    ['a healthy', 'b initial'],
    'keep a',
  ],
  [
    'the others are only to be registered',
    ['a ready drain InService', 'b ready active InService'],
    ['a healthy'],
    '+b keep a',
  ],
  [
    'the healthy one is drained, and the unhealthy one is down',
    ['a ready drain InService', 'b down active InService'],
    ['a healthy', 'b unhealthy'],
    'keep a',
  ],
])('never takes the last healthy target away: %s', (_, rows, present, expected) => {
  expect(changes(cluster(...rows), targets(...present))).toBe(expected);
});

test(
  'while nobody is known to be healthy, none of the cluster’s goes: the answer may be older than the last ' +
    'health check',
  () => {
    const rows = ['a ready active Terminating:Wait', 'b ready active InService', 'c down active InService'];
    for (const state of ['initial', 'unhealthy', 'unused']) {
      expect(changes(cluster(...rows), targets(`a ${state}`, 'b initial', `c ${state}`))).toBe('');
      expect(changes(cluster(...rows), targets(`a ${state}`, 'b healthy', `c ${state}`))).toBe('-a -c');
    }
    // Its instance has ended.
    expect(changes(PAIR, targets('a initial', 'b initial', 'x unhealthy'))).toBe('-x strange x');
  },
);

test('while no quorum is visible nobody is added, and only who leaves or is gone is taken away', () => {
  const rows = cluster(
    'a down active InService',
    'b ready active InService',
    'c ready active Terminating:Wait',
    'd ready active -',
  );
  expect(changes(rows, targets('a healthy', 'c unhealthy', 'd unhealthy'), { quorumVisible: false })).toBe(
    '-c -d strange d',
  );
});

test.each<[ServedBy, string]>([
  ['all', '+m +w +x'],
  ['managers', '+m'],
  ['workers', '+w +x'],
  [{ groups: ['Api'] }, '+x'],
  [{ groups: ['Seat0'] }, ''],
])('the nodes behind a target group are those of its tag: %j', (servedBy, expected) => {
  expect(
    changes(
      cluster('m:Seat0 ready active InService', 'w:Web ready active InService', 'x:Api ready active InService'),
      [],
      { servedBy },
    ),
  ).toBe(expected);
});

test('a group that CloudFormation did not make stands behind no target group that names its groups', () => {
  const { nodes, instances } = cluster('w:Web ready active InService');
  const foreign = instances.map((instance) => ({ ...instance, group: { name: 'Web', role: 'worker' as const } }));
  expect(changes({ nodes, instances: foreign }, [], { servedBy: { groups: ['Web'] } })).toBe('');
  expect(changes({ nodes, instances: foreign }, [], { servedBy: 'workers' })).toBe('+w');
});

test('a target of a group that does not stand behind the target group is taken away', () => {
  const rows = cluster('m:Seat0 ready active InService', 'w:Web ready active InService');
  expect(changes(rows, targets('m healthy', 'w healthy'), { servedBy: 'workers' })).toBe('-m');
});

test('what others registered is taken away and told: another port, or somebody else’s instance', () => {
  expect(changes(PAIR, targets('a healthy', 'b healthy', 'a:81 healthy', 'x healthy'))).toBe(
    '-a:81 -x strange a strange x',
  );
});

test('one that is registered at another port only is registered at the right one', () => {
  expect(changes(PAIR, targets('a:81 healthy', 'b healthy'))).toBe('+a -a:81 strange a');
});

test('a target that was deregistered and may serve again is registered again', () => {
  expect(changes(PAIR, targets('a draining', 'b healthy'))).toBe('+a');
});

test('one that is already on its way out is not deregistered again', () => {
  expect(
    changes(cluster('a ready drain InService', 'b ready active InService'), targets('a draining', 'b healthy')),
  ).toBe('');
});

test('a worker that claims to be another instance gets nothing by it', () => {
  const liar: Pick<Observed, 'nodes' | 'instances'> = {
    ...PAIR,
    nodes: [...PAIR.nodes, { ...PAIR.nodes[0]!, id: 'liar', state: 'down' }],
  };
  expect(changes(liar, targets('a healthy', 'b healthy'))).toBe('');
  expect(changes({ ...PAIR, nodes: [{ ...PAIR.nodes[0]!, instanceId: 'nobody' }] }, targets('b healthy'))).toBe(
    'keep b',
  );
});

test('each target group is judged by itself', () => {
  const group = {
    arn: 'one',
    servedBy: 'all' as const,
    port: 80,
    healthCheckPort: AGENT,
    targets: targets('a healthy'),
  };
  const found = plan({
    quorumVisible: true,
    ...PAIR,
    targetGroups: [group, { ...group, arn: 'two', targets: targets('a healthy', 'b healthy') }],
  });
  expect(found.map(({ arn }) => arn)).toEqual(['one']);
});

test.each<ServedBy>(['all', 'managers', 'workers', { groups: ['SwarmWebGroup1A', 'SwarmApiGroup2B'] }])(
  'the tag of a target group says which nodes stand behind it: %j',
  (servedBy) => {
    expect(decodeServedBy(encodeServedBy(servedBy))).toEqual(servedBy);
  },
);

test.each([undefined, '', 'nobody', 'groups', 'groups ', 'groups a-b', 'Web'])(
  'a tag that says nothing is none: %j',
  (value) => {
    expect(decodeServedBy(value)).toBeUndefined();
  },
);

/**
 * Who is sent connections, of those that wait at their hooks: `in a out b`, and `...` when it is worth looking again
 * soon.
 */
function traffic(rows: string[], present: TargetGroup['targets'], healthCheckPort = AGENT): string {
  const {
    traffic: { arrived, left },
    hasWaiting: someWait,
  } = planned({
    quorumVisible: true,
    ...cluster(...rows),
    targetGroups: [{ arn: 'tg', servedBy: 'all', port: 80, healthCheckPort, targets: present }],
  });
  return [
    ...arrived.map((instanceId) => `in ${instanceId}`),
    ...left.map((instanceId) => `out ${instanceId}`),
    ...(someWait ? ['...'] : []),
  ].join(' ');
}

const ARRIVES = ['a ready active Pending:Wait', 'b ready active InService'];
const LEAVES = ['a ready active Terminating:Wait', 'b ready active InService'];

test.each<[string, string[], string[], string]>([
  ['is not registered yet', ARRIVES, ['b healthy'], '...'],
  ['has not passed its health check', ARRIVES, ['a initial', 'b healthy'], '...'],
  ['is healthy', ARRIVES, ['a healthy', 'b healthy'], 'in a'],
  ['is in a zone in which the load balancer is not', ARRIVES, ['a unused', 'b healthy'], 'in a'],
  ['has nobody before it who would be sent connections', ARRIVES, ['a initial', 'b initial'], 'in a'],
  ['is not Ready', ['a down active Pending:Wait', 'b ready active InService'], ['b healthy'], ''],
])('a node that waits at its launch hook and %s', (_, rows, present, expected) => {
  expect(traffic(rows, targets(...present))).toBe(expected);
});

test.each<[string, string[], string]>([
  ['is healthy still', ['a healthy', 'b healthy'], '...'],
  [
    'has failed its health check, and keeps its connections for some time',
    ['a unhealthy.draining', 'b healthy'],
    '...',
  ],
  ['fails its health check', ['a unhealthy', 'b healthy'], 'out a'],
  ['has failed it, and is deregistered', ['a draining', 'b healthy'], 'out a'],
  ['is no target any more', ['b healthy'], 'out a'],
  ['has not become healthy yet', ['a initial', 'b healthy'], '...'],
  ['is in a zone in which the load balancer is not', ['a unused', 'b healthy'], 'out a'],
])('a node that waits at its terminate hook and %s', (_, present, expected) => {
  expect(traffic(LEAVES, targets(...present))).toBe(expected);
});

test('where the health check is not the agent’s, a node has left when its connections had their time', () => {
  expect(traffic(LEAVES, targets('a draining', 'b healthy'), 'traffic-port')).toBe('...');
  expect(traffic(LEAVES, targets('b healthy'), 'traffic-port')).toBe('out a');
});

test('a node has arrived, or left, when it has at all target groups that it stands behind', () => {
  const group = {
    arn: 'one',
    servedBy: 'all' as const,
    port: 80,
    healthCheckPort: AGENT,
    targets: targets('a healthy', 'b healthy'),
  };
  const two = (rows: string[], present: TargetGroup['targets'], servedBy: ServedBy = 'all') =>
    planned({
      quorumVisible: true,
      ...cluster(...rows),
      targetGroups: [group, { ...group, arn: 'two', servedBy, targets: present }],
    }).traffic;
  expect(two(ARRIVES, targets('a initial', 'b healthy')).arrived).toEqual([]);
  expect(two(ARRIVES, targets('b healthy'), 'managers').arrived).toEqual(['a']);
  expect(two(LEAVES, targets('b healthy')).left).toEqual([]);
});

test(
  'of a port in host mode that is followed, a node without a task has arrived when its health check has ' +
    'failed; of one that is declared it is waited for',
  () => {
    const group = {
      arn: 'one',
      servedBy: 'all' as const,
      port: 80,
      healthCheckPort: '80',
      targets: targets('a unhealthy', 'b healthy'),
    };
    const arrived = (followed?: { name: string; digest: string }) =>
      planned({
        quorumVisible: true,
        ...cluster(...ARRIVES),
        targetGroups: [{ ...group, ...(followed && { followed }) }],
      }).traffic.arrived;
    expect([arrived({ name: 'swarm-1', digest: '1' }), arrived()]).toEqual([['a'], []]);
  },
);

test('a target group is fresh while nobody is healthy there, and somebody is about to be', () => {
  const fresh = (...present: string[]) =>
    isFresh({ arn: 'one', servedBy: 'all', port: 80, healthCheckPort: AGENT, targets: targets(...present) }, undefined);
  expect([
    fresh('a initial'),
    fresh('a unused', 'b unused'),
    fresh('a initial', 'b healthy'),
    fresh('a unhealthy'),
    fresh(),
  ]).toEqual([true, true, false, false, false]);
  const group = { arn: 'one', servedBy: 'all' as const, port: 80, healthCheckPort: AGENT, targets: [] };
  expect(isFresh(group, plan({ quorumVisible: true, ...PAIR, targetGroups: [group] })[0])).toBe(true);
});

test.each<[string, string[], boolean]>([
  ['nobody is healthy', ['a unhealthy', 'b unhealthy'], true],
  ['one is healthy', ['a healthy', 'b unhealthy'], false],
  ['one is being checked', ['a initial', 'b unhealthy'], false],
  ['one is to be registered', ['a unhealthy'], false],
])('a followed port is unanswered: %s', (_, present, expected) => {
  const unanswered = (followed?: { name: string; digest: string }) =>
    planned({
      quorumVisible: true,
      ...PAIR,
      targetGroups: [
        {
          arn: 'tg',
          servedBy: 'all',
          port: 80,
          healthCheckPort: '80',
          targets: targets(...present),
          ...(followed && { followed }),
        },
      ],
    }).unanswered;
  expect(unanswered({ name: 'swarm-1', digest: '1' })).toEqual(expected ? [80] : []);
  expect(unanswered()).toEqual([]);
});

import type { Engine, NodeChange } from '../../agent/engine';
import { Removal, removalStep } from '../../agent/removal';
import { FENCE_COMMAND_LABEL, FENCE_COUNTER_LABEL } from '../../protocol/labels';
import type { SwarmNode } from '../../protocol/swarm';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';

type Reachability = 'reachable' | 'unreachable';
const node = (id: string, change: Partial<SwarmNode> = {}): SwarmNode => ({
  id,
  hostname: id,
  role: 'manager',
  availability: 'active',
  state: 'ready',
  ...change,
});
const member = (id: string, change: Partial<SwarmNode> = {}, reachability: Reachability = 'reachable') =>
  node(id, { manager: { leader: id === 'a', reachability, address: '10.0.0.1:2377' }, ...change });
const [a, b] = [member('a'), member('b')];

describe('the next step of a removal', () => {
  it.each<[string, SwarmNode[], ReturnType<typeof removalStep>['kind']]>([
    ['is over when it is not in the list', [a, b], 'gone'],
    ['demotes a member that is not reached', [a, b, member('c', { state: 'unknown' }, 'unreachable')], 'demote'],
    ['demotes a member that is deaf: reached, and down', [a, b, member('c', { state: 'down' })], 'demote'],
    ['demotes a member that was never heard of', [a, b, member('c', { hostname: '', state: 'unknown' })], 'demote'],
    ['waits until raft counts it no more', [a, b, member('c', { role: 'worker', state: 'down' })], 'wait'],
    ['removes it then, whatever its state', [a, b, node('c', { role: 'worker' })], 'remove'],
    ['removes a manager that is no member and down', [a, b, node('c', { state: 'down' })], 'remove'],
    ['refuses a working manager', [a, b, member('c')], 'refuse'],
    ['refuses a manager that is on its way', [a, b, node('c')], 'refuse'],
    ['refuses a manager of whom a new leader does not know yet', [a, b, member('c', { state: 'unknown' })], 'refuse'],
    [
      'refuses when those left would be no quorum',
      [a, member('b', {}, 'unreachable'), member('c', {}, 'unreachable')],
      'refuse',
    ],
    [
      'does not count a deaf member among those left',
      [a, member('b', { state: 'down' }), member('c', { state: 'down' })],
      'refuse',
    ],
  ])('%s', (_, nodes, kind) => {
    expect(removalStep(nodes, { kind: 'remove', nodeId: 'c' }).kind).toBe(kind);
  });

  it.each<[string, SwarmNode[], ReturnType<typeof removalStep>['kind']]>([
    ['demotes it', [a, b, member('c')], 'demote'],
    [
      'refuses when it leads',
      [a, b, member('c', { manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' } })],
      'refuse',
    ],
    ['refuses when it is no member', [a, b, node('c')], 'refuse'],
    ['refuses when a new leader does not know of it yet', [a, b, member('c', { state: 'unknown' })], 'refuse'],
    ['refuses when those left would be no quorum', [a, member('b', { state: 'down' }), member('c')], 'refuse'],
  ])('of one that is listed as working, and sees no leader: %s', (_, nodes, kind) => {
    expect(removalStep(nodes, { kind: 'remove', nodeId: 'c', inSession: true }).kind).toBe(kind);
  });
});

describe('the next step of a retirement', () => {
  const instanceId = 'i-c';
  it.each<[string, SwarmNode[], ReturnType<typeof removalStep>['kind']]>([
    ['is over when it is not in the list', [a, b], 'gone'],
    ['demotes a working manager', [a, b, member('c', { instanceId })], 'demote'],
    [
      'demotes the leader itself',
      [
        member('a', { manager: undefined }),
        b,
        member('c', { instanceId, manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' } }),
      ],
      'demote',
    ],
    ['waits until raft counts it no more', [a, b, member('c', { instanceId, role: 'worker' })], 'wait'],
    ['is over when it is a worker', [a, b, node('c', { instanceId, role: 'worker' })], 'gone'],
    ['refuses when the node is of another instance', [a, b, member('c', { instanceId: 'i-d' })], 'refuse'],
    [
      'refuses when those left would be no quorum',
      [a, member('b', {}, 'unreachable'), member('c', { instanceId })],
      'refuse',
    ],
  ])('%s', (_, nodes, kind) => {
    expect(removalStep(nodes, { kind: 'retire', nodeId: 'c', leavingInstanceId: instanceId }).kind).toBe(kind);
  });
});

/** The leader's engine, which demotes at once or, as Docker may, never. */
function leader(nodes: SwarmNode[], leavesRaft: () => boolean) {
  const done: string[] = [];
  const labels: Record<string, string> = {};
  let version = 7;
  const find = (id: string) => nodes.find((one) => one.id === id)!;
  const engine = {
    nodes: async () => structuredClone(nodes),
    swarm: async () => ({ swarmId: 's', version, labels, tokens: { manager: '', worker: '' } }),
    labelSwarm: async (at: number, change: Record<string, string>) => {
      if (at !== version) throw new Error('update out of sequence');
      version++;
      Object.assign(labels, change);
    },
    updateNode: async (id: string, { role }: NodeChange) => {
      done.push(`${role} behind fence ${labels[FENCE_COUNTER_LABEL]}`);
      find(id).role = role!;
      if (role === 'worker' && leavesRaft()) delete find(id).manager;
    },
    removeNode: async (id: string) => {
      done.push(`removed behind fence ${labels[FENCE_COUNTER_LABEL]}`);
      nodes.splice(nodes.indexOf(find(id)), 1);
    },
  } as unknown as Engine;
  return { engine, done, labels };
}

const command = {
  kind: 'remove' as const,
  id: 'command-1',
  instanceId: 'i-a',
  expiresAt: 0,
  reason: 'a test',
  nodeId: 'c',
};
const lost = () => [member('a'), member('b'), member('c', { state: 'down' }, 'unreachable')];

describe('a removal', () => {
  it('demotes and removes, each behind a fence of its own that names the command', async () => {
    const { engine, done, labels } = leader(lost(), () => true);
    const removal = new Removal(engine, new VirtualClock(), command);
    const kinds = [];
    for (let n = 0; n < 3; n++) kinds.push((await removal.next()).kind);
    expect(kinds).toEqual(['demote', 'remove', 'gone']);
    expect(done).toEqual(['worker behind fence 1', 'removed behind fence 2']);
    expect(labels[FENCE_COMMAND_LABEL]).toBe('command-1');
  });

  it('promotes and demotes a member again that does not leave raft within 20 s', async () => {
    let tries = 0;
    const { engine, done } = leader(lost(), () => ++tries > 1);
    const clock = new VirtualClock();
    const removal = new Removal(engine, clock, command);
    for (let n = 0; n < 30; n++) {
      await removal.next();
      await clock.advance(1_000);
    }
    expect(done.map((what) => what.split(' ')[0])).toEqual(['worker', 'manager', 'worker', 'removed']);
  });
});

import type { Engine, NodeChange } from '../../agent/engine';
import { Orders, orderStep } from '../../agent/orders';
import { FENCE_COMMAND_LABEL, ROTATION_LABEL } from '../../protocol/labels';
import type { Order } from '../../protocol/orders';
import type { SwarmNode } from '../../protocol/swarm';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';

const instanceOf = (id: string) => `i-${id.repeat(17)}`;
const worker = (id: string, change: Partial<SwarmNode> = {}): SwarmNode => ({
  id,
  hostname: id,
  role: 'worker',
  availability: 'active',
  state: 'ready',
  instanceId: instanceOf(id),
  ...change,
});
const order = (kind: Order['kind'], nodeId = 'a'): Order => ({ kind, nodeId, instanceId: instanceOf(nodeId) });

describe('the next step of an order', () => {
  it.each<[string, Order['kind'], SwarmNode | undefined, number, string]>([
    ['nothing about a node that is gone', 'release', undefined, 0, 'gone'],
    ['drain', 'release', worker('a'), 2, 'drain'],
    ['drain one that a new leader has not heard of yet', 'release', worker('a', { state: 'unknown' }), 0, 'drain'],
    ['wait for its tasks', 'release', worker('a', { availability: 'drain' }), 2, 'wait'],
    ['remove it then', 'release', worker('a', { availability: 'drain' }), 0, 'remove'],
    ['remove one that is down: its tasks never end', 'release', worker('a', { state: 'down' }), 2, 'remove'],
    ['remove a dead one', 'reap', worker('a', { state: 'down' }), 2, 'remove'],
    ['leave one alone that is heard', 'reap', worker('a'), 0, 'refuse'],
    ['leave a manager alone', 'release', worker('a', { role: 'manager' }), 0, 'refuse'],
    [
      'leave a member of raft alone',
      'reap',
      worker('a', { state: 'down', manager: { leader: false, reachability: 'unreachable', address: '10.0.0.1:2377' } }),
      0,
      'refuse',
    ],
    ['leave the node of another instance alone', 'release', worker('a', { instanceId: instanceOf('b') }), 0, 'refuse'],
    [
      'leave a node alone that is of no instance',
      'reap',
      worker('a', { state: 'down', instanceId: undefined }),
      0,
      'refuse',
    ],
    ['drain a manager that another instance follows', 'drain', worker('a', { role: 'manager' }), 2, 'drain'],
    ['wait for its tasks, too', 'drain', worker('a', { availability: 'drain' }), 2, 'wait'],
    ['say when they have ended', 'drain', worker('a', { availability: 'drain' }), 0, 'mark-idle'],
    [
      'say it of this instance, whatever was said of another',
      'drain',
      worker('a', { availability: 'drain', idleFor: instanceOf('b') }),
      0,
      'mark-idle',
    ],
    ['nothing once it is said', 'drain', worker('a', { availability: 'drain', idleFor: instanceOf('a') }), 0, 'gone'],
    ['nothing about one that is down', 'drain', worker('a', { state: 'down' }), 2, 'gone'],
    [
      'undo our drain for another instance',
      'restore',
      worker('a', { availability: 'drain', drainedFor: instanceOf('b') }),
      0,
      'restore',
    ],
    ['nothing where there is nothing of ours', 'restore', worker('a', { availability: 'drain' }), 0, 'gone'],
  ])('%s', (_, kind, node, tasks, step) => {
    expect(orderStep(order(kind), node, tasks).kind).toBe(step);
  });
});

function leader(nodes: SwarmNode[], tasks: Map<string, number>, fails?: string) {
  const done: string[] = [];
  let version = 1;
  let fences = 0;
  const engine = {
    nodes: async () => structuredClone(nodes),
    swarm: async () => ({ swarmId: 's', version, labels: {}, tokens: { manager: '', worker: '' } }),
    labelSwarm: async (_: number, labels: Record<string, string>) => {
      expect(labels[FENCE_COMMAND_LABEL]).toBe('orders');
      version++;
      fences++;
    },
    unfinishedTasks: async (ids: string[]) => new Map([...tasks].filter(([id]) => ids.includes(id))),
    updateNode: async (id: string, change: NodeChange) => {
      if (id === fails) throw new Error('rpc error: code = DeadlineExceeded');
      done.push(`${fences}: ${change.availability} ${id}`);
      Object.assign(
        nodes.find((node) => node.id === id)!,
        change,
      );
    },
    removeNode: async (id: string, { force }: { force: boolean }) => {
      done.push(`${fences}: remove ${id} ${force}`);
      nodes.splice(
        nodes.findIndex((node) => node.id === id),
        1,
      );
    },
  } as unknown as Engine;
  return { engine, done, fences: () => fences };
}

describe('a rotation', () => {
  it('is carried out once for each id, with the id in the same change', async () => {
    const labels: Record<string, string> = {};
    const rotated: number[] = [];
    const engine = {
      swarm: async () => ({ swarmId: 's', version: 7, labels, tokens: { manager: '', worker: '' } }),
      rotateTokens: async (version: number, change: Record<string, string>) => {
        rotated.push(version);
        Object.assign(labels, change);
      },
    } as unknown as Engine;
    const orders = new Orders(engine, new VirtualClock(), () => undefined);
    expect([
      await orders.rotate(undefined),
      await orders.rotate('one'),
      await orders.rotate('one'),
      await orders.rotate('two'),
    ]).toEqual([false, true, false, true]);
    expect(rotated).toEqual([7, 7]);
    expect(labels[ROTATION_LABEL]).toBe('two');
  });
});

describe('orders', () => {
  const release = (engine: Engine) => new Orders(engine, new VirtualClock(), () => undefined);

  it('drains, waits for the tasks, and removes, each behind a fence of its own', async () => {
    const tasks = new Map([['a', 1]]);
    const { engine, done } = leader([worker('a'), worker('b')], tasks);
    const orders = release(engine);
    expect(await orders.next([order('release')])).toBe(true);
    expect(await orders.next([order('release')])).toBe(true);
    expect(done).toEqual(['1: drain a']);
    tasks.clear();
    expect(await orders.next([order('release')])).toBe(true);
    expect(await orders.next([order('release')])).toBe(false);
    expect(done).toEqual(['1: drain a', '2: remove a true']);
  });

  it('takes many at a time behind one fence, and one that fails keeps no other waiting', async () => {
    const ids = [...'bcdefghijklmnopqrstuvwxyz'];
    const { engine, done, fences } = leader(
      ids.map((id) => worker(id)),
      new Map(),
      'm',
    );
    const all = ids.map((id) => order('release', id));
    await release(engine).next(all);
    expect(done).toHaveLength(ids.length - 1);
    expect(fences()).toBe(1);
    expect(await release(engine).next(all)).toBe(true);
  });

  it('touches nothing, and commits nothing, without orders or when all are done', async () => {
    const { engine, done, fences } = leader([worker('b')], new Map());
    expect(await release(engine).next([])).toBe(false);
    expect(await release(engine).next([order('release'), order('reap', 'b')])).toBe(false);
    expect([done, fences()]).toEqual([[], 0]);
  });
});

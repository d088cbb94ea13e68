import { Orders, orderStep } from '../../agent/orders';
import { DRAINED_FOR_LABEL, FENCE_COMMAND_LABEL, ROTATION_LABEL } from '../../protocol/labels';
import type { Order } from '../../protocol/orders';
import type { SwarmNode } from '../../protocol/swarm';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';
import { EngineStub, nodeOf } from './engine-stub';

const instanceOf = (id: string) => `i-${id.repeat(17)}`;
const worker = (id: string, change: Partial<SwarmNode> = {}) => nodeOf(id, { instanceId: instanceOf(id), ...change });
const order = (kind: Order['kind'], nodeId = 'a'): Order => ({ kind, nodeId, instanceId: instanceOf(nodeId) });

describe('the next step of an order', () => {
  it.each<[string, Order['kind'], SwarmNode | undefined, number, string]>([
    ['is nothing for a node that is gone', 'release', undefined, 0, 'gone'],
    ['drains', 'release', worker('a'), 2, 'drain'],
    ['drains a node that a new leader has not heard of yet', 'release', worker('a', { state: 'unknown' }), 0, 'drain'],
    ['waits for its tasks', 'release', worker('a', { availability: 'drain' }), 2, 'wait'],
    ['removes it when they have ended', 'release', worker('a', { availability: 'drain' }), 0, 'remove'],
    ['removes a node that is down, whose tasks never end', 'release', worker('a', { state: 'down' }), 2, 'remove'],
    ['removes a dead node', 'reap', worker('a', { state: 'down' }), 2, 'remove'],
    ['leaves a node alone that is heard from', 'reap', worker('a'), 0, 'refuse'],
    ['leaves a manager alone', 'release', worker('a', { role: 'manager' }), 0, 'refuse'],
    [
      'leaves a member of raft alone',
      'reap',
      worker('a', { state: 'down', manager: { leader: false, reachability: 'unreachable', address: '10.0.0.1:2377' } }),
      0,
      'refuse',
    ],
    ['leaves the node of another instance alone', 'release', worker('a', { instanceId: instanceOf('b') }), 0, 'refuse'],
    [
      'leaves a node without an instance alone',
      'reap',
      worker('a', { state: 'down', instanceId: undefined }),
      0,
      'refuse',
    ],
    ['drains a manager whose instance another one replaces', 'drain', worker('a', { role: 'manager' }), 2, 'drain'],
    ['waits for the tasks of a manager, too', 'drain', worker('a', { availability: 'drain' }), 2, 'wait'],
    ['marks it idle when they have ended', 'drain', worker('a', { availability: 'drain' }), 0, 'mark-idle'],
    [
      'marks it idle for this instance, whatever mark it has for another',
      'drain',
      worker('a', { availability: 'drain', idleFor: instanceOf('b') }),
      0,
      'mark-idle',
    ],
    [
      'is nothing once it is marked',
      'drain',
      worker('a', { availability: 'drain', idleFor: instanceOf('a') }),
      0,
      'gone',
    ],
    ['is nothing for a manager that is down', 'drain', worker('a', { state: 'down' }), 2, 'gone'],
    [
      'undoes our drain for another instance',
      'restore',
      worker('a', { availability: 'drain', drainedFor: instanceOf('b') }),
      0,
      'restore',
    ],
    ['is nothing where the drain is not ours', 'restore', worker('a', { availability: 'drain' }), 0, 'gone'],
  ])('%s', (_, kind, node, tasks, step) => {
    expect(orderStep(order(kind), node, tasks).kind).toBe(step);
  });
});

const leader = (nodes: SwarmNode[]) => Object.assign(new EngineStub(), { self: undefined, otherNodes: nodes });
const ordersOf = (engine: EngineStub) => new Orders(engine, new VirtualClock(), () => undefined);

describe('a rotation', () => {
  it('is carried out once for each id, and commits the id in the same change', async () => {
    const engine = leader([]);
    const orders = ordersOf(engine);
    const done = [];
    for (const id of [undefined, 'one', 'one', 'two']) done.push(await orders.rotate(id));
    expect(done).toEqual([false, true, false, true]);
    expect(engine.rotations).toBe(2);
    expect(engine.labels[ROTATION_LABEL]).toBe('two');
  });
});

describe('orders', () => {
  it('drain, wait for the tasks, and remove, each behind its own fence', async () => {
    const engine = leader([worker('a'), worker('b')]);
    engine.tasks.set('a', 1);
    const orders = ordersOf(engine);
    expect(await orders.next([order('release')])).toBe(true);
    expect(await orders.next([order('release')])).toBe(true);
    expect(engine.done).toEqual([`1: drain ${DRAINED_FOR_LABEL} a`]);
    engine.tasks.clear();
    expect(await orders.next([order('release')])).toBe(true);
    expect(await orders.next([order('release')])).toBe(false);
    expect(engine.done).toEqual([`1: drain ${DRAINED_FOR_LABEL} a`, '2: remove a by force']);
    expect(engine.labels[FENCE_COMMAND_LABEL]).toBe('orders');
  });

  it('mark a manager idle for its instance once its tasks have ended, and then have nothing left to do', async () => {
    const engine = leader([worker('a', { role: 'manager' })]);
    engine.tasks.set('a', 1);
    const orders = ordersOf(engine);
    await orders.next([order('drain')]);
    expect(await orders.next([order('drain')])).toBe(true);
    expect(engine.otherNodes[0]).not.toHaveProperty('idleFor');
    engine.tasks.clear();
    expect(await orders.next([order('drain')])).toBe(true);
    expect(engine.otherNodes[0]).toMatchObject({ availability: 'drain', idleFor: instanceOf('a') });
    expect(await orders.next([order('drain')])).toBe(false);
  });

  it('are waited for while the tasks of one node go on, whatever becomes of the others', async () => {
    const engine = leader([worker('a', { availability: 'drain' }), worker('b')]);
    engine.tasks.set('a', 1);
    expect(await ordersOf(engine).next([order('release'), order('reap', 'b')])).toBe(true);
    expect(engine.done).toEqual([]);
  });

  it('ask for the tasks of drained nodes only, and not of those that are down: nobody reports their end', async () => {
    const engine = leader([
      worker('a', { availability: 'drain' }),
      worker('b', { availability: 'drain', state: 'down' }),
      worker('c'),
    ]);
    const asked = jest.spyOn(engine, 'unfinishedTasks');
    await ordersOf(engine).next(['a', 'b', 'c'].map((id) => order('release', id)));
    expect(asked.mock.calls[0]).toEqual([['a']]);
  });

  it('are carried out many at a time behind one fence, and one that fails holds up no other', async () => {
    const ids = [...'bcdefghijklmnopqrstuvwxyz'];
    const engine = leader(ids.map((id) => worker(id)));
    engine.stuck.add('m');
    const all = ids.map((id) => order('release', id));
    await ordersOf(engine).next(all);
    expect(engine.done).toHaveLength(ids.length - 1);
    expect(engine.fences).toBe(1);
    expect(await ordersOf(engine).next(all)).toBe(true);
  });

  it('change nothing, and commit no fence, when there are none or all are done', async () => {
    const engine = leader([worker('b')]);
    expect(await ordersOf(engine).next([])).toBe(false);
    expect(await ordersOf(engine).next([order('release'), order('reap', 'b')])).toBe(false);
    expect([engine.done, engine.fences]).toEqual([[], 0]);
  });
});

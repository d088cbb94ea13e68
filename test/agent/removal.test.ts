import { Removal, removalStep } from '../../agent/removal';
import { FENCE_COMMAND_LABEL } from '../../protocol/labels';
import type { SwarmNode } from '../../protocol/swarm';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';
import { EngineStub, memberOf, nodeOf } from './engine-stub';

const member = memberOf;
const node = (id: string, change: Partial<SwarmNode> = {}) => nodeOf(id, { role: 'manager', ...change });
const [a, b] = [member('a'), member('b')];

describe('the next step of a removal', () => {
  it.each<[string, SwarmNode[], ReturnType<typeof removalStep>['kind']]>([
    ['is over when it is not on the list', [a, b], 'gone'],
    ['demotes a member that is unreachable', [a, b, member('c', { state: 'unknown' }, 'unreachable')], 'demote'],
    ['demotes a member that is deaf: reachable, but down', [a, b, member('c', { state: 'down' })], 'demote'],
    ['demotes a member that was never heard of', [a, b, member('c', { hostname: '', state: 'unknown' })], 'demote'],
    ['waits until raft no longer counts it', [a, b, member('c', { role: 'worker', state: 'down' })], 'wait'],
    ['removes it then, whatever its state', [a, b, node('c', { role: 'worker' })], 'remove'],
    ['removes a manager that is down and not a member', [a, b, node('c', { state: 'down' })], 'remove'],
    ['refuses a working manager', [a, b, member('c')], 'refuse'],
    ['refuses a manager that is on its way', [a, b, node('c')], 'refuse'],
    ['refuses a manager that a new leader has not heard of yet', [a, b, member('c', { state: 'unknown' })], 'refuse'],
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
    ['refuses when it is not a member', [a, b, node('c')], 'refuse'],
    ['refuses when a new leader has not heard of it yet', [a, b, member('c', { state: 'unknown' })], 'refuse'],
    ['refuses when those left would be no quorum', [a, member('b', { state: 'down' }), member('c')], 'refuse'],
  ])('of one that is listed as working, and sees no leader: %s', (_, nodes, kind) => {
    expect(removalStep(nodes, { kind: 'remove', nodeId: 'c', inSession: true }).kind).toBe(kind);
  });
});

describe('the next step of a retirement', () => {
  const instanceId = 'i-c';
  it.each<[string, SwarmNode[], ReturnType<typeof removalStep>['kind']]>([
    ['is over when it is not on the list', [a, b], 'gone'],
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
    ['waits until raft no longer counts it', [a, b, member('c', { instanceId, role: 'worker' })], 'wait'],
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

function leader(nodes: SwarmNode[], leavesRaft = () => true) {
  const engine = new EngineStub();
  return Object.assign(engine, { self: undefined, otherNodes: nodes, leavesRaft });
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
  it('demotes and removes, each behind its own fence that names the command', async () => {
    const engine = leader(lost());
    const removal = new Removal(engine, new VirtualClock(), command);
    const kinds = [];
    for (let n = 0; n < 3; n++) kinds.push((await removal.next()).kind);
    expect(kinds).toEqual(['demote', 'remove', 'gone']);
    expect(engine.done).toEqual(['1: worker c', '2: remove c by force']);
    expect(engine.labels[FENCE_COMMAND_LABEL]).toBe('command-1');
  });

  it('promotes and demotes a member again that does not leave raft within 20 s', async () => {
    let tries = 0;
    const engine = leader(lost(), () => ++tries > 1);
    const clock = new VirtualClock();
    const removal = new Removal(engine, clock, command);
    for (let n = 0; n < 30; n++) {
      await removal.next();
      await clock.advance(1_000);
    }
    expect(engine.done).toEqual(['1: worker c', '2: manager c', '3: worker c', '4: remove c by force']);
  });
});

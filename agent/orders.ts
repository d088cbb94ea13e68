/**
 * How the leader carries out its orders about nodes: drain a worker that leaves, wait until its tasks have ended,
 * remove its node; remove a worker that is no more; drain a node whose instance another one follows, and undo that
 * then. Each step is decided from the list as it is then and done behind the raft fence; whoever leads next goes on
 * from there.
 */
import type { Clock } from '../protocol/clock';
import { DRAINED_FOR_LABEL, IDLE_FOR_LABEL, ROTATION_LABEL } from '../protocol/labels';
import type { Log } from '../protocol/log';
import type { Order } from '../protocol/orders';
import type { SwarmNode } from '../protocol/swarm';
import type { Engine } from './engine';
import { commitFence } from './fence';

export type OrderStep =
  | { kind: 'gone' }
  | { kind: 'drain' }
  /** Its tasks are still to end. */
  | { kind: 'wait' }
  | { kind: 'remove' }
  /** Its tasks have ended: say so. */
  | { kind: 'mark-idle' }
  | { kind: 'restore' }
  | { kind: 'refuse'; reason: string };

/** Steps that are under way at a time: each is a write that all managers have to take. */
const PARALLEL = 10;
/** What the fence is committed for: orders have no ids of their own. */
const FENCE = 'orders';

/**
 * Pure.
 * @param tasks how many tasks on the node have not ended yet
 */
export function orderStep(order: Order, node: SwarmNode | undefined, tasks: number): OrderStep {
  if (!node) return { kind: 'gone' };
  if (node.instanceId !== order.instanceId) return { kind: 'refuse', reason: 'The node is of another instance.' };
  if (order.kind === 'restore') return isMarked(node) ? { kind: 'restore' } : { kind: 'gone' };
  if (order.kind === 'drain') return drainStep(node, tasks);
  if (node.role === 'manager' || node.manager)
    return { kind: 'refuse', reason: 'It is a manager, or still a member of raft.' };
  // Nobody is there any more who could say that its tasks have ended.
  if (node.state === 'down') return { kind: 'remove' };
  if (order.kind === 'reap') return { kind: 'refuse', reason: 'It is not down.' };
  if (node.availability !== 'drain') return { kind: 'drain' };
  return tasks > 0 ? { kind: 'wait' } : { kind: 'remove' };
}

/** One that is down has no tasks that anybody could wait for. */
function drainStep(node: SwarmNode, tasks: number): OrderStep {
  if (node.idleFor === node.instanceId || node.state === 'down') return { kind: 'gone' };
  if (node.availability !== 'drain') return { kind: 'drain' };
  return tasks > 0 ? { kind: 'wait' } : { kind: 'mark-idle' };
}

/** By us, for an instance that was this node before. */
const isMarked = ({ drainedFor, idleFor, instanceId }: SwarmNode) =>
  [drainedFor, idleFor].some((before) => before !== undefined && before !== instanceId);

/** What changes the swarm. */
const CHANGES: ReadonlySet<OrderStep['kind']> = new Set(['drain', 'remove', 'mark-idle', 'restore']);
const isChange = ({ step }: { step: OrderStep }) => CHANGES.has(step.kind);

export class Orders {
  constructor(
    private readonly engine: Engine,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Once for each id: the swarm itself keeps it, with the tokens. False when it is done. */
  async rotate(id: string | undefined): Promise<boolean> {
    if (id === undefined) return false;
    const { version, labels } = await this.engine.swarm();
    if (labels[ROTATION_LABEL] === id) return false;
    await this.engine.rotateTokens(version, { [ROTATION_LABEL]: id });
    this.log('info', 'Rotated the join tokens.', { rotation: id });
    return true;
  }

  /** Takes one step for each order. False when all of them are done, as far as they can be. */
  async next(orders: readonly Order[]): Promise<boolean> {
    if (orders.length === 0) return false;
    let steps = await this.steps(orders);
    if (steps.some(isChange)) {
      // Decided once more, behind the fence: the first list may be from before somebody else led.
      await commitFence(this.engine, this.clock, FENCE);
      steps = await this.steps(orders);
    }
    const changes = steps.filter(isChange);
    for (let n = 0; n < changes.length; n += PARALLEL)
      await Promise.all(changes.slice(n, n + PARALLEL).map(({ order, step, node }) => this.take(order, step, node!)));
    return changes.length > 0 || steps.some(({ step: { kind } }) => kind === 'wait');
  }

  private async steps(
    orders: readonly Order[],
  ): Promise<{ order: Order; step: OrderStep; node: SwarmNode | undefined }[]> {
    const nodes = new Map((await this.engine.nodes()).map((node) => [node.id, node]));
    const drained = orders
      .map(({ nodeId }) => nodes.get(nodeId))
      .filter((node) => node?.availability === 'drain' && node.state !== 'down');
    const tasks = await this.engine.unfinishedTasks(drained.map((node) => node!.id));
    return orders.map((order) => ({
      order,
      step: orderStep(order, nodes.get(order.nodeId), tasks.get(order.nodeId) ?? 0),
      node: nodes.get(order.nodeId),
    }));
  }

  /** One that fails keeps no other waiting, and is tried again at the next look. */
  private async take({ kind, nodeId, instanceId }: Order, step: OrderStep, { drainedFor }: SwarmNode): Promise<void> {
    try {
      if (step.kind === 'drain')
        await this.engine.updateNode(nodeId, { availability: 'drain', labels: { [DRAINED_FOR_LABEL]: instanceId } });
      else if (step.kind === 'mark-idle')
        await this.engine.updateNode(nodeId, { labels: { [IDLE_FOR_LABEL]: instanceId } });
      else if (step.kind === 'restore')
        await this.engine.updateNode(nodeId, {
          ...(drainedFor !== undefined && { availability: 'active' }),
          labels: { [DRAINED_FOR_LABEL]: null, [IDLE_FOR_LABEL]: null },
        });
      else await this.engine.removeNode(nodeId, { force: true });
      this.log('info', `Did: ${step.kind}.`, { order: kind, nodeId, instance: instanceId });
    } catch (error) {
      this.log('warn', `Failed to ${step.kind} a node; the next look tries again.`, {
        order: kind,
        nodeId,
        error: error instanceof Error ? error.message.slice(0, 500) : String(error),
      });
    }
  }
}

/**
 * Carries out the leader's orders: drains a leaving worker, waits until its tasks have ended and removes its node;
 * removes a worker whose instance is gone; drains a node before its successor takes it over, and undoes that
 * afterwards. Each step is decided from the current list and made behind the raft fence. The next leader continues from
 * there.
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
  /** Its tasks have not ended yet. */
  | { kind: 'wait' }
  | { kind: 'remove' }
  /** Its tasks have ended: set the label that says so. */
  | { kind: 'mark-idle' }
  | { kind: 'restore' }
  | { kind: 'refuse'; reason: string };

/** Concurrent steps: each is a write that all managers have to store. */
const PARALLEL = 10;
/** The id under which the fence is committed: orders have no ids of their own. */
const FENCE = 'orders';

/**
 * Pure.
 * @param tasks the number of tasks on the node that have not ended
 */
export function orderStep(order: Order, node: SwarmNode | undefined, tasks: number): OrderStep {
  if (!node) return { kind: 'gone' };
  if (node.instanceId !== order.instanceId) return { kind: 'refuse', reason: 'The node belongs to another instance.' };
  if (order.kind === 'restore') return isMarked(node) ? { kind: 'restore' } : { kind: 'gone' };
  if (order.kind === 'drain') return drainStep(node, tasks);
  if (node.role === 'manager' || node.manager)
    return { kind: 'refuse', reason: 'It is a manager, or still a member of raft.' };
  // On a node that is down, nobody can report that its tasks have ended.
  if (node.state === 'down') return { kind: 'remove' };
  if (order.kind === 'reap') return { kind: 'refuse', reason: 'It is not down.' };
  if (node.availability !== 'drain') return { kind: 'drain' };
  return tasks > 0 ? { kind: 'wait' } : { kind: 'remove' };
}

/** A node that is down has no tasks to wait for. */
function drainStep(node: SwarmNode, tasks: number): OrderStep {
  if (node.idleFor === node.instanceId || node.state === 'down') return { kind: 'gone' };
  if (node.availability !== 'drain') return { kind: 'drain' };
  return tasks > 0 ? { kind: 'wait' } : { kind: 'mark-idle' };
}

/** Drained by us, for an instance that was this node before. */
const isMarked = ({ drainedFor, idleFor, instanceId }: SwarmNode) =>
  [drainedFor, idleFor].some((before) => before !== undefined && before !== instanceId);

/** Steps that change the swarm. */
const CHANGES: ReadonlySet<OrderStep['kind']> = new Set(['drain', 'remove', 'mark-idle', 'restore']);
const isChange = ({ step }: { step: OrderStep }) => CHANGES.has(step.kind);

export class Orders {
  constructor(
    private readonly engine: Engine,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Rotates once per id, which the swarm's label keeps. False when it is done. */
  async rotate(id: string | undefined): Promise<boolean> {
    if (id === undefined) return false;
    const { version, labels } = await this.engine.swarm();
    if (labels[ROTATION_LABEL] === id) return false;
    await this.engine.rotateTokens(version, { [ROTATION_LABEL]: id });
    this.log('info', 'Rotated the join tokens.', { rotation: id });
    return true;
  }

  /** Takes one step for each order. False when nothing is left to do or to wait for. */
  async next(orders: readonly Order[]): Promise<boolean> {
    if (orders.length === 0) return false;
    let steps = await this.steps(orders);
    if (steps.some(isChange)) {
      // Decide again behind the fence: the first list may predate another leader.
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

  /** A failure delays no other order, and the next pass tries again. */
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
      this.log('warn', `Failed to ${step.kind} a node. The next pass tries again.`, {
        order: kind,
        nodeId,
        error: error instanceof Error ? error.message.slice(0, 500) : String(error),
      });
    }
  }
}

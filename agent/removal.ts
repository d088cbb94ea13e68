/**
 * Removes a manager, as the leader: demotes it, waits until it has left raft, and removes its node if it is lost. A
 * retiring manager stays in the list as a worker. One step per pass, each decided from the current list and made behind
 * the raft fence. Docker carries out a demotion later and may silently fail, so only the list counts.
 */
import type { Clock } from '../protocol/clock';
import type { CommandOf } from '../protocol/commands';
import { isWorkingManager, quorumOf, type SwarmNode } from '../protocol/swarm';
import type { Engine } from './engine';
import { commitFence } from './fence';

export type RemovalStep =
  | { kind: 'gone' }
  | { kind: 'demote' }
  /** It is leaving raft: Docker's role manager carries that out within 5 s. */
  | { kind: 'wait' }
  | { kind: 'remove' }
  | { kind: 'refuse'; reason: string };

/**
 * A demoted node that has rejoined raft unasked leaves it only when it is promoted and demoted again (seen on Docker
 * 20.10). This is how long to wait before that.
 */
const DEMOTED_MS = 20_000;

type Order =
  | Pick<CommandOf<'remove'>, 'kind' | 'nodeId' | 'inSession'>
  | Pick<CommandOf<'retire'>, 'kind' | 'nodeId' | 'leavingInstanceId'>;

/** Pure. */
export function removalStep(nodes: readonly SwarmNode[], order: Order): RemovalStep {
  const { nodeId } = order;
  const node = nodes.find(({ id }) => id === nodeId);
  if (!node) return { kind: 'gone' };
  const retires = order.kind === 'retire';
  const inSession = order.kind === 'remove' && order.inSession && isWorkingManager(node) && !node.manager!.leader;
  if (retires && node.instanceId !== order.leavingInstanceId)
    return { kind: 'refuse', reason: 'The node belongs to another instance.' };
  if (node.role === 'worker') return { kind: node.manager ? 'wait' : retires ? 'gone' : 'remove' };
  // A node without a host name never connected: its engine died while it joined.
  if (
    !retires &&
    !inSession &&
    node.state !== 'down' &&
    node.manager?.reachability !== 'unreachable' &&
    node.hostname !== ''
  )
    return { kind: 'refuse', reason: 'It is a working manager, or about to become one.' };
  if (!node.manager && !retires) return { kind: 'remove' };
  const others = nodes.filter(({ id, manager }) => manager && id !== nodeId);
  const working = others.filter(isWorkingManager);
  if (working.length < quorumOf(others.length))
    return {
      kind: 'refuse',
      reason: `Only ${working.length} of the other ${others.length} managers work: that is no quorum.`,
    };
  return { kind: 'demote' };
}

export class Removal {
  private waitingSince: number | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly clock: Clock,
    private readonly command: CommandOf<'remove' | 'retire'>,
  ) {}

  /** Takes the next step. After `gone` and `refuse` there is none. */
  async next(): Promise<RemovalStep> {
    const { nodeId } = this.command;
    let step = removalStep(await this.engine.nodes(), this.command);
    if (step.kind === 'demote' || step.kind === 'remove') {
      // Decide again behind the fence: the first list may predate another leader.
      await commitFence(this.engine, this.clock, this.command.id);
      step = removalStep(await this.engine.nodes(), this.command);
    }
    if (step.kind !== 'wait') this.waitingSince = undefined;
    switch (step.kind) {
      case 'demote':
        await this.engine.updateNode(nodeId, { role: 'worker' });
        break;
      case 'remove':
        await this.engine.removeNode(nodeId, { force: true });
        break;
      case 'wait':
        this.waitingSince ??= this.clock.now();
        if (this.clock.now() - this.waitingSince > DEMOTED_MS) {
          await commitFence(this.engine, this.clock, this.command.id);
          await this.engine.updateNode(nodeId, { role: 'manager' });
        }
        break;
    }
    return step;
  }
}

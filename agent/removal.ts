/**
 * How the leader takes a manager out: demote it, wait until raft counts it no more, and, if it is lost, remove its
 * node. One that retires stays in the list as a worker. One step a look, each decided from the list as it is then and
 * done behind the raft fence. A demotion is carried out later, and without a word when it cannot be, so that only the
 * list tells.
 */
import type { Clock } from '../protocol/clock';
import type { CommandOf } from '../protocol/commands';
import { isWorkingManager, quorumOf, type SwarmNode } from '../protocol/swarm';
import type { Engine } from './engine';
import { commitFence } from './fence';

export type RemovalStep =
  | { kind: 'gone' }
  | { kind: 'demote' }
  /** It is to leave raft, and does so when Docker's role manager looks the next time, every 5 s. */
  | { kind: 'wait' }
  | { kind: 'remove' }
  | { kind: 'refuse'; reason: string };

/**
 * A demoted node that came back into raft unasked leaves it only when it is promoted and demoted again (seen on Docker
 * 20.10): so long it is waited for.
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
    return { kind: 'refuse', reason: 'The node is of another instance.' };
  if (node.role === 'worker') return { kind: node.manager ? 'wait' : retires ? 'gone' : 'remove' };
  // Who has no host name was never heard of: an engine that died while it joined.
  if (
    !retires &&
    !inSession &&
    node.state !== 'down' &&
    node.manager?.reachability !== 'unreachable' &&
    node.hostname !== ''
  )
    return { kind: 'refuse', reason: 'It is a working manager, or on the way to be one.' };
  if (!node.manager && !retires) return { kind: 'remove' };
  const others = nodes.filter(({ id, manager }) => manager && id !== nodeId);
  const working = others.filter(isWorkingManager);
  if (working.length < quorumOf(others.length))
    return {
      kind: 'refuse',
      reason: `Without it, ${working.length} of ${others.length} managers would work: that is no quorum.`,
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

  /** Takes the next step. Nothing more is to be done after `gone` and `refuse`. */
  async next(): Promise<RemovalStep> {
    const { nodeId } = this.command;
    let step = removalStep(await this.engine.nodes(), this.command);
    if (step.kind === 'demote' || step.kind === 'remove') {
      // Decided once more, behind the fence: the first list may be from before somebody else led.
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

/**
 * The leader's view of the swarm, behind the raft fence: a report with the version index that the fence has made cannot come from a leader that was deposed.
 */
import { isRecent, type Clock } from '../protocol/clock';
import { ROTATION_LABEL } from '../protocol/labels';
import { tokensDigest, type JoinTokens } from '../protocol/report';
import { encodeSwarmReport, type SwarmReport } from '../protocol/swarm';
import { EngineError, type Engine } from './engine';
import { commitFence } from './fence';
import type { Mailbox } from './mailbox';

/** An unchanged list is reported this often all the same: the functions take silence for a lost quorum. */
export const REFRESH_MS = 30_000;
/** How often tasks are counted that have no node. */
const TASKS_MS = 60_000;
/** The same while the join tokens are not published: whoever refused or missed them may take them now. */
const UNPUBLISHED_MS = 5_000;
/**
 * What a leader answers whose swarm has no key to its own certificates: its engine was killed in the middle of making the swarm, and made the rest up when it was started again (seen on Docker 20.10, 130 ms
 * after the request). Nobody can ever join it, and no change of it is ever accepted.
 */
const STILLBORN = 'there must be at least one valid, reachable external CA corresponding to the current CA certificate';

export class SwarmReporter {
  private tasks: { pending: number | undefined; at: number } | undefined;
  private written: { nodes: string; tokens: string | undefined; at: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly mailbox: Mailbox,
    private readonly clock: Clock,
  ) {}

  /**
   * Reports the node list if it changed or if its last report grew old.
   * @param tokens join tokens that the node's own report carries to be published: their publisher is woken by the swarm report alone
   */
  async report(tokens: JoinTokens | undefined): Promise<void> {
    const nodes = JSON.stringify(await this.engine.nodes());
    const now = this.clock.now();
    const digest = tokens && tokensDigest(tokens);
    const changed = this.written?.nodes !== nodes || (digest !== undefined && this.written.tokens !== digest);
    if (!changed && this.written && isRecent(this.written.at, now, tokens ? UNPUBLISHED_MS : REFRESH_MS)) return;
    const report = await this.fenced();
    await this.mailbox.writeSwarmReport(encodeSwarmReport(report));
    this.written = { nodes: JSON.stringify(report.nodes), tokens: digest, at: now };
  }

  /** Whether this error says that the swarm was never finished, and nobody but this node is in it: then nothing is lost with it. */
  async isStillborn(error: unknown): Promise<boolean> {
    return error instanceof EngineError && error.message.includes(STILLBORN) && (await this.engine.nodes()).length === 1;
  }

  /** Commits the fence, then reads the list: what it shows is at least as new as the epoch says. */
  private async fenced(): Promise<SwarmReport> {
    await commitFence(this.engine, this.clock, 'report');
    const [{ swarmId, version: epoch, labels }, nodes] = await Promise.all([this.engine.swarm(), this.engine.nodes()]);
    const tasksPending = await this.tasksPending();
    return { swarmId, epoch, ...(labels[ROTATION_LABEL] !== undefined && { rotation: labels[ROTATION_LABEL] }), ...(tasksPending !== undefined && { tasksPending }), nodes };
  }

  /** Undefined where the engine does not say: a report that lacks them is better than none, and it is not asked again at once. */
  private async tasksPending(): Promise<number | undefined> {
    const now = this.clock.now();
    if (!this.tasks || !isRecent(this.tasks.at, now, TASKS_MS)) {
      this.tasks = { pending: await this.engine.pendingTasks().catch(() => undefined), at: now };
    }
    return this.tasks.pending;
  }
}

/**
 * The leader's view of the swarm, behind the raft fence: a report with the version index that the fence has made cannot
 * come from a leader that was deposed.
 */
import { isRecent, type Clock } from '../protocol/clock';
import { ROTATION_LABEL } from '../protocol/labels';
import { tokensDigest, type JoinTokens } from '../protocol/report';
import { encodeSwarmReport, type PublishedPort, type SwarmReport } from '../protocol/swarm';
import { EngineError, type Engine } from './engine';
import { commitFence } from './fence';
import type { Mailbox } from './mailbox';

/** An unchanged list is reported this often all the same: the functions take silence for a lost quorum. */
export const REFRESH_MS = 30_000;
/** How often tasks are counted that have no node. */
const TASKS_MS = 60_000;
/** How often services are asked for their ports where no event tells of a change. */
const PORTS_MS = 30_000;
/** What was heard of ports longer ago is not known any more: a manager may lead again after hours. */
const PORTS_KNOWN_MS = 120_000;
/** The same while the join tokens are not published: whoever refused or missed them may take them now. */
const UNPUBLISHED_MS = 5_000;
/**
 * What a leader answers whose swarm has no key to its own certificates: its engine was killed in the middle of making
 * the swarm, and made the rest up when it was started again (seen on Docker 20.10, 130 ms after the request). Nobody
 * can ever join it, and no change of it is ever accepted.
 */
const STILLBORN = 'there must be at least one valid, reachable external CA corresponding to the current CA certificate';

export class SwarmReporter {
  private tasks: { pending: number | undefined; at: number } | undefined;
  private ports: { published: PublishedPort[] | undefined; askedAt: number; heardAt: number } | undefined;
  private written: { seen: string; tokens: string | undefined; at: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly mailbox: Mailbox,
    private readonly clock: Clock,
  ) {}

  /** The next report asks for their ports. */
  servicesChanged(): void {
    if (this.ports) this.ports.askedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * Reports the node list and the published ports if they changed or if its last report grew old.
   * @param tokens join tokens that the node's own report carries to be published: their publisher is woken by the swarm
   * report alone
   */
  async report(tokens: JoinTokens | undefined): Promise<void> {
    const seen = JSON.stringify([await this.engine.nodes(), await this.publishedPorts()]);
    const now = this.clock.now();
    const digest = tokens && tokensDigest(tokens);
    const changed = this.written?.seen !== seen || (digest !== undefined && this.written.tokens !== digest);
    if (!changed && this.written && isRecent(this.written.at, now, tokens ? UNPUBLISHED_MS : REFRESH_MS)) return;
    const report = await this.fenced();
    await this.mailbox.writeSwarmReport(encodeSwarmReport(report));
    this.written = { seen: JSON.stringify([report.nodes, report.ports]), tokens: digest, at: now };
  }

  /**
   * Whether this error says that the swarm was never finished, and nobody but this node is in it: then nothing is lost
   * with it.
   */
  async isStillborn(error: unknown): Promise<boolean> {
    return (
      error instanceof EngineError && error.message.includes(STILLBORN) && (await this.engine.nodes()).length === 1
    );
  }

  /** Commits the fence, then reads the list: what it shows is at least as new as the epoch says. */
  private async fenced(): Promise<SwarmReport> {
    await commitFence(this.engine, this.clock, 'report');
    const [{ swarmId, version: epoch, labels }, nodes] = await Promise.all([this.engine.swarm(), this.engine.nodes()]);
    const [tasksPending, ports] = [await this.tasksPending(), await this.publishedPorts()];
    return {
      swarmId,
      epoch,
      ...(labels[ROTATION_LABEL] !== undefined && { rotation: labels[ROTATION_LABEL] }),
      ...(tasksPending !== undefined && { tasksPending }),
      ...(ports && { ports }),
      nodes,
    };
  }

  /** As they were, where the engine does not say, for a while. */
  private async publishedPorts(): Promise<PublishedPort[] | undefined> {
    const now = this.clock.now();
    if (!this.ports || !isRecent(this.ports.askedAt, now, PORTS_MS)) {
      // Whatever changes while it answers is asked for again.
      const asked = (this.ports = { ...(this.ports ?? { published: undefined, heardAt: now }), askedAt: now });
      const published = await this.engine.publishedPorts().catch(() => undefined);
      if (published) Object.assign(asked, { published, heardAt: now });
    }
    return isRecent(this.ports.heardAt, now, PORTS_KNOWN_MS) ? this.ports.published : undefined;
  }

  /**
   * Undefined where the engine does not say: a report that lacks them is better than none, and it is not asked again at
   * once.
   */
  private async tasksPending(): Promise<number | undefined> {
    const now = this.clock.now();
    if (!this.tasks || !isRecent(this.tasks.at, now, TASKS_MS)) {
      this.tasks = { pending: await this.engine.pendingTasks().catch(() => undefined), at: now };
    }
    return this.tasks.pending;
  }
}

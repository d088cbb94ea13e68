/**
 * Reports the swarm as the leader sees it, behind the raft fence: a report with the fence's version index cannot come
 * from a deposed leader.
 */
import { isRecent, type Clock } from '../protocol/clock';
import { ROTATION_LABEL } from '../protocol/labels';
import { tokensDigest, type JoinTokens } from '../protocol/report';
import { encodeSwarmReport, type PublishedPort, type SwarmReport } from '../protocol/swarm';
import { EngineError, type Engine } from './engine';
import { commitFence } from './fence';
import type { Mailbox } from './mailbox';

/** How often an unchanged list is reported: the functions take silence for a lost quorum. */
export const REFRESH_MS = 30_000;
/** How often tasks without a node are counted. */
const TASKS_MS = 60_000;
/** How often services are asked for their ports when no event announces a change. */
const PORTS_MS = 30_000;
/** How long the last answer about ports is valid. A manager may lead again after hours. */
const PORTS_KNOWN_MS = 120_000;
/**
 * How often an unchanged list is reported while the join tokens are not published: whoever refused or missed them may
 * accept them now.
 */
const UNPUBLISHED_MS = 5_000;
/**
 * A leader's error when its swarm has no key to its own certificates: the engine was killed while it created the swarm,
 * and invented the rest when it was restarted (seen on Docker 20.10, 130 ms after the request). No node can ever join
 * such a swarm, and it accepts no change.
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

  /** Makes the next report ask for the ports again. */
  servicesChanged(): void {
    if (this.ports) this.ports.askedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * Reports the node list and the published ports if they changed, or if the last report is old.
   * @param tokens join tokens in this node's own report that are to be published: only a swarm report wakes their
   * publisher
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
   * Whether this error means that the swarm was never finished and has only this node, so that nothing is lost with it.
   */
  async isStillborn(error: unknown): Promise<boolean> {
    return (
      error instanceof EngineError && error.message.includes(STILLBORN) && (await this.engine.nodes()).length === 1
    );
  }

  /** Commits the fence first: the list is then at least as new as the epoch. */
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

  /** The last known ports, for a while, if the engine does not answer. */
  private async publishedPorts(): Promise<PublishedPort[] | undefined> {
    const now = this.clock.now();
    if (!this.ports || !isRecent(this.ports.askedAt, now, PORTS_MS)) {
      // A change during the request triggers another one.
      const asked = (this.ports = { ...(this.ports ?? { published: undefined, heardAt: now }), askedAt: now });
      const published = await this.engine.publishedPorts().catch(() => undefined);
      if (published) Object.assign(asked, { published, heardAt: now });
    }
    return isRecent(this.ports.heardAt, now, PORTS_KNOWN_MS) ? this.ports.published : undefined;
  }

  /**
   * Undefined if the engine does not answer: a report without the count is better than none. The engine is not asked
   * again at once.
   */
  private async tasksPending(): Promise<number | undefined> {
    const now = this.clock.now();
    if (!this.tasks || !isRecent(this.tasks.at, now, TASKS_MS)) {
      this.tasks = { pending: await this.engine.pendingTasks().catch(() => undefined), at: now };
    }
    return this.tasks.pending;
  }
}

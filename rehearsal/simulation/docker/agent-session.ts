/**
 * The agent inside every engine in a swarm. It keeps a session with the leader, directly or through any manager that it
 * reaches, and starts a new one when the session breaks.
 */
import type { Clock } from '../../../protocol/clock';
import type { Agenda } from './agenda';
import type { Dispatcher, Session } from './dispatcher';
import { changeNode, type SwarmState } from './swarm-state';

/**
 * The delay before a started engine's first session, and the longest pause between two attempts.
 * https://github.com/moby/swarmkit/blob/master/agent/agent.go (maxSessionFailureBackoff)
 */
const FIRST_MS = 100;
const MOST_MS = 8_000;

/** The leader's side of a session. */
export interface Leader {
  readonly state: SwarmState;
  readonly dispatcher: Dispatcher;
}

export interface AgentHost {
  readonly address: string;
  readonly hostname: string;
  readonly instanceId: string | undefined;
  /** The leader, if this node reaches it now. */
  leadership(): Leader | undefined;
  onSession(state: SwarmState): void;
  onManagers(state: SwarmState): void;
  onRoleChanged(): void;
}

export class Agent implements Session {
  private session: Leader | undefined;
  private cancelRetry: (() => void) | undefined;
  private lostAt: number | undefined;
  private ended = false;

  constructor(
    private readonly clock: Clock,
    private readonly agenda: Agenda,
    private readonly host: AgentHost,
    readonly nodeId: string,
  ) {}

  get inSession(): boolean {
    return this.session !== undefined;
  }

  /** Checks whether the leader is reachable. */
  settle(): void {
    if (this.ended) return;
    const leadership = this.host.leadership();
    if (this.session !== undefined && this.session !== leadership) this.breakSession();
    if (leadership === undefined) {
      this.cancelRetry?.();
      this.cancelRetry = undefined;
    } else if (this.session === undefined) this.cancelRetry ??= this.agenda.after(this.pause(), () => this.begin());
  }

  /** The leader's side has ended the session. */
  sessionEnded(): void {
    this.session = undefined;
    this.lostAt = this.clock.now();
    this.settle();
  }

  /** The engine ends. */
  end(): void {
    this.ended = true;
    this.cancelRetry?.();
    const { session } = this;
    this.session = undefined;
    session?.dispatcher.lose(this);
  }

  managersChanged(state: SwarmState): void {
    if (!this.ended) this.host.onManagers(state);
  }

  roleChanged(): void {
    this.host.onRoleChanged();
  }

  /** What the node reports at the start of a session. */
  register(state: SwarmState): SwarmState | undefined {
    if (!state.nodes.has(this.nodeId)) throw new Error('node not found');
    const { hostname, address, instanceId } = this.host;
    return changeNode(state, this.nodeId, {
      state: 'ready',
      hostname,
      address,
      ...(instanceId !== undefined && { instanceId }),
    });
  }

  private begin(): void {
    this.cancelRetry = undefined;
    const leadership = this.host.leadership();
    if (leadership === undefined) return;
    // A removed node is refused and retries for ever, silently. Measured.
    if (!leadership.state.nodes.has(this.nodeId)) return;
    leadership.dispatcher.register(this).then(
      () => {
        if (this.ended || this.host.leadership() !== leadership) return leadership.dispatcher.lose(this);
        this.session = leadership;
        this.host.onSession(leadership.state);
      },
      () => this.settle(),
    );
  }

  private breakSession(): void {
    const { session } = this;
    this.session = undefined;
    this.lostAt = this.clock.now();
    session?.dispatcher.lose(this);
  }

  /** The longer the leader was away, the longer the pause between attempts. */
  private pause(): number {
    if (this.lostAt === undefined) return FIRST_MS;
    return FIRST_MS + this.clock.random() * Math.min(MOST_MS, this.clock.now() - this.lostAt);
  }
}

/**
 * The leader's dispatcher: nodes that are in session, and when it declares one Down. A beat is not simulated; a node
 * that cannot be heard any more has sent its last one at a time that chance gives.
 * Source: https://github.com/moby/swarmkit/blob/master/manager/dispatcher/dispatcher.go, nodes.go, period.go
 */
import type { Clock } from '../../../protocol/clock';
import type { Agenda } from './agenda';
import { changeNode, type Change, type SwarmState } from './swarm-state';

/**
 * A beat every 5 s +- 0.5 s; the node is Down after three of them, after six when its state was unknown (right after a
 * change of leader).
 */
const BEAT_MS = 5_000;
const EPSILON_MS = 500;
const GRACE = 3;
const UNKNOWN_GRACE = 6;

/** The leader's term, as its dispatcher sees it. */
export interface Term {
  readonly state: SwarmState;
  commit(change: Change): SwarmState;
  propose(change: Change): Promise<SwarmState>;
  reconcileRole(nodeId: string): void;
}

/** The node's side of a session. */
export interface Session {
  readonly nodeId: string;
  /** What the node says of itself when the session begins. */
  register: Change;
  sessionEnded(): void;
  roleChanged(): void;
  managersChanged(state: SwarmState): void;
}

export class Dispatcher {
  private readonly sessions = new Map<string, Session>();
  private readonly cancelDown = new Map<string, () => void>();

  constructor(
    private readonly clock: Clock,
    private readonly agenda: Agenda,
    private readonly term: Term,
  ) {}

  /** No node has come to this leader yet. */
  begin(): void {
    this.term.commit(unknown);
    for (const { id, state } of this.term.state.nodes.values())
      if (state === 'unknown') this.expectBeat(id, this.period() * UNKNOWN_GRACE);
  }

  end(): void {
    for (const cancel of this.cancelDown.values()) cancel();
    this.cancelDown.clear();
    for (const agent of [...this.sessions.values()]) agent.sessionEnded();
    this.sessions.clear();
  }

  /** A node begins a session. Rejects when there is no such node. */
  async register(agent: Session): Promise<void> {
    await this.term.propose((state) => agent.register(state));
    this.cancelDown.get(agent.nodeId)?.();
    this.cancelDown.delete(agent.nodeId);
    this.sessions.set(agent.nodeId, agent);
    this.term.reconcileRole(agent.nodeId);
  }

  /** The node cannot be heard any more: its last beat was up to one period ago. */
  lose(agent: Session): void {
    if (this.sessions.get(agent.nodeId) !== agent) return;
    this.sessions.delete(agent.nodeId);
    this.expectBeat(agent.nodeId, this.period() * GRACE - this.clock.random() * BEAT_MS);
  }

  /** The node is told that its role has changed. */
  tellRole(nodeId: string): void {
    this.sessions.get(nodeId)?.roleChanged();
  }

  /** Every node in session is told who the managers are now. */
  tellManagers(): void {
    for (const agent of this.sessions.values()) agent.managersChanged(this.term.state);
  }

  /** The node has been removed: its session ends. */
  remove(nodeId: string): void {
    this.cancelDown.get(nodeId)?.();
    this.cancelDown.delete(nodeId);
    const agent = this.sessions.get(nodeId);
    this.sessions.delete(nodeId);
    agent?.sessionEnded();
  }

  private expectBeat(nodeId: string, ms: number): void {
    this.cancelDown.get(nodeId)?.();
    this.cancelDown.set(
      nodeId,
      this.agenda.after(ms, () => {
        this.cancelDown.delete(nodeId);
        // Without a quorum the leader steps down before this is committed, and its successor begins anew.
        this.term.propose((state) => changeNode(state, nodeId, { state: 'down' })).catch(() => undefined);
      }),
    );
  }

  private period(): number {
    return BEAT_MS + EPSILON_MS * (2 * this.clock.random() - 1);
  }
}

/** All at once; swarmkit writes one entry for each. */
function unknown(state: SwarmState): SwarmState | undefined {
  const stale = [...state.nodes.values()].filter((node) => node.state !== 'down' && node.state !== 'unknown');
  if (stale.length === 0) return undefined;
  const nodes = new Map(state.nodes);
  for (const node of stale) nodes.set(node.id, { ...node, state: 'unknown', version: state.index + 1 });
  return { ...state, index: state.index + 1, nodes };
}

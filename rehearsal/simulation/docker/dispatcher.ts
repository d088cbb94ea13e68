/**
 * The leader's dispatcher: which nodes have a session, and when it declares one Down. Heartbeats are not simulated:
 * when a node becomes unreachable, a random number decides when it sent its last one.
 * Source: https://github.com/moby/swarmkit/blob/master/manager/dispatcher/dispatcher.go, nodes.go, period.go
 */
import type { Clock } from '../../../protocol/clock';
import type { Agenda } from './agenda';
import { changeNode, type Change, type SwarmState } from './swarm-state';

/**
 * A heartbeat every 5 s +- 0.5 s. A node is Down after three missed ones, or after six if its state was unknown (just
 * after a change of leader).
 */
const BEAT_MS = 5_000;
const EPSILON_MS = 500;
const GRACE = 3;
const UNKNOWN_GRACE = 6;

/** The leader's term as its dispatcher sees it. */
export interface Term {
  readonly state: SwarmState;
  commit(change: Change): SwarmState;
  propose(change: Change): Promise<SwarmState>;
  reconcileRole(nodeId: string): void;
}

/** The node's side of a session. */
export interface Session {
  readonly nodeId: string;
  /** What the node reports when the session begins. */
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

  /** Starts without any session. */
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

  /** The node has become unreachable: its last heartbeat was up to one period ago. */
  lose(agent: Session): void {
    if (this.sessions.get(agent.nodeId) !== agent) return;
    this.sessions.delete(agent.nodeId);
    this.expectBeat(agent.nodeId, this.period() * GRACE - this.clock.random() * BEAT_MS);
  }

  /** Notifies the node that its role has changed. */
  tellRole(nodeId: string): void {
    this.sessions.get(nodeId)?.roleChanged();
  }

  /** Tells every node with a session the current managers. */
  tellManagers(): void {
    for (const agent of this.sessions.values()) agent.managersChanged(this.term.state);
  }

  /** Ends the session of a removed node. */
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
        // Without a quorum the leader steps down before this is committed, and its successor starts over.
        this.term.propose((state) => changeNode(state, nodeId, { state: 'down' })).catch(() => undefined);
      }),
    );
  }

  private period(): number {
    return BEAT_MS + EPSILON_MS * (2 * this.clock.random() - 1);
  }
}

/** Changes all nodes in one entry; swarmkit writes one for each. */
function unknown(state: SwarmState): SwarmState | undefined {
  const stale = [...state.nodes.values()].filter((node) => node.state !== 'down' && node.state !== 'unknown');
  if (stale.length === 0) return undefined;
  const nodes = new Map(state.nodes);
  for (const node of stale) nodes.set(node.id, { ...node, state: 'unknown', version: state.index + 1 });
  return { ...state, index: state.index + 1, nodes };
}

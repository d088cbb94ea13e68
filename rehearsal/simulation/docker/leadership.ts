/**
 * What runs on a swarm's leader and ends with its term: proposals that wait for a majority, and the role manager. The
 * dispatcher is in dispatcher.ts.
 */
import type { Clock } from '../../../protocol/clock';
import type { SwarmNode } from '../../../protocol/swarm';
import { Dispatcher } from './dispatcher';
import type { Agenda } from './agenda';
import { deadline, lostLeadership } from './sentences';
import {
  canRemoveMember,
  changeNode,
  memberOf,
  removeMember,
  type Change,
  type Member,
  type SwarmState,
} from './swarm-state';

/** Source: https://github.com/moby/swarmkit/blob/master/manager/role_manager.go (roleReconcileInterval) */
const RECONCILE_MS = 5_000;
/** How long a caller waits for its change to be committed. */
const REQUEST_MS = 20_000;

interface Proposal {
  change: Change;
  resolve(state: SwarmState): void;
  reject(error: Error): void;
}

/** The raft member that leads. */
export interface LeadingMember {
  readonly nodeId: string;
  readonly host: { readonly address: string; onAppended(log: SwarmState): void };
  state: SwarmState;
  log: SwarmState | undefined;
  readonly term: number;
}

/** What a leader needs from raft. */
export interface Followers<Leader> {
  readonly agenda: Agenda;
  hasQuorum(leader: Leader): boolean;
  callsReachable(leader: Leader, member: Member): boolean;
  replicate(leader: Leader): void;
  /** Called when a node has got its desired role. */
  onRole(nodeId: string, role: SwarmNode['role']): void;
}

export class Leadership<Leader extends LeadingMember> {
  readonly dispatcher: Dispatcher;
  private readonly pending: Proposal[] = [];
  private cancelReconcile: (() => void) | undefined;
  private over = false;

  constructor(
    private readonly clock: Clock,
    private readonly followers: Followers<Leader>,
    readonly peer: Leader,
  ) {
    this.dispatcher = new Dispatcher(clock, followers.agenda, this);
  }

  get state(): SwarmState {
    return this.peer.state;
  }

  /** Starts the new leader's work. */
  begin(): void {
    this.dispatcher.begin();
    this.reconcileRoles();
  }

  end(): void {
    this.over = true;
    this.cancelReconcile?.();
    this.dispatcher.end();
    for (const { reject } of this.pending.splice(0)) reject(lostLeadership());
  }

  /**
   * Commits a change as soon as there is a majority.
   *
   * @returns the state with the change in it
   * @throws the change's own error when it refuses; EngineError when this leader steps down first or the caller's time
   * is over. In the latter case the change may still be committed.
   */
  async propose(change: Change): Promise<SwarmState> {
    if (this.over) throw lostLeadership();
    if (this.followers.hasQuorum(this.peer)) return this.commit(change);
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(REQUEST_MS, () => reject(deadline()));
      // One entry at a time: the store is locked until it is committed.
      if (this.pending.length === 0) this.append(change);
      this.pending.push({
        change,
        resolve: (state) => (cancel(), resolve(state)),
        reject: (error) => (cancel(), reject(error)),
      });
    });
  }

  /** A majority is reachable: commits the waiting changes. */
  resume(): void {
    for (const { change, resolve, reject } of this.pending.splice(0)) {
      try {
        resolve(this.commit(change));
      } catch (error) {
        reject(error as Error);
      }
    }
  }

  commit(change: Change): SwarmState {
    const { members } = this.peer.state;
    const state = change(this.peer.state);
    this.peer.log = undefined;
    if (state !== undefined) {
      this.peer.state = { ...state, term: this.peer.term };
      this.followers.replicate(this.peer);
      if (state.members !== members) this.dispatcher.tellManagers();
    }
    return this.peer.state;
  }

  private append(change: Change): void {
    const log = change(this.state);
    if (!log) return;
    this.peer.log = { ...log, term: this.peer.term };
    this.peer.host.onAppended(this.peer.log);
  }

  canRemove(raftId: number): boolean {
    return canRemoveMember(this.state, raftId, (member) => this.followers.callsReachable(this.peer, member));
  }

  /**
   * Gives a node its desired role. A demoted manager leaves raft at once, but becomes a worker only at the next
   * reconciliation (measured). A demotion that would cost the quorum is silently retried later.
   */
  reconcileRole(id: string): void {
    const node = this.state.nodes.get(id);
    if (this.over || !node || node.role === node.desiredRole) return;
    if (!this.followers.hasQuorum(this.peer)) return this.reconcileLater();
    const member = memberOf(this.state, id);
    if (node.desiredRole === 'worker' && member) {
      if (this.canRemove(member.raftId)) this.commit((state) => removeMember(state, member.raftId));
      return this.reconcileLater();
    }
    this.commit((state) => changeNode(state, id, { role: node.desiredRole }));
    this.followers.onRole(id, node.desiredRole);
    this.dispatcher.tellRole(id);
  }

  private reconcileRoles(): void {
    for (const id of [...this.state.nodes.keys()]) this.reconcileRole(id);
  }

  private reconcileLater(): void {
    if (!this.over)
      this.cancelReconcile ??= this.clock.after(
        RECONCILE_MS,
        () => ((this.cancelReconcile = undefined), this.reconcileRoles()),
      );
  }
}

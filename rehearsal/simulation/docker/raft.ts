/**
 * Raft among the managers of one swarm, without messages: which members run and which paths are cut determine who hears
 * whom. Timers are set only when that changes, so a swarm at rest costs nothing. The model keeps terms, the leader's
 * lease, votes only for members that have all entries of the voter, one committed value that every member in reach of
 * the leader adopts at once, and raft's timing.
 * Source: https://github.com/moby/swarmkit/blob/master/manager/state/raft/raft.go,
 * https://github.com/etcd-io/etcd/blob/v3.3.25/raft/raft.go (CheckQuorum)
 */
import type { Clock } from '../../../protocol/clock';
import type { SwarmNode } from '../../../protocol/swarm';
import type { Agenda } from './agenda';
import { Leadership } from './leadership';
import { deadline, noLeader } from './sentences';
import { isUpToDate, nothing, quorumOf, type Member, type SwarmState } from './swarm-state';

/** 10 ticks of 1 s. A member campaigns 10 to 20 ticks after it last heard its leader. */
const ELECTION_MS = 10_000;
/**
 * How long the engine waits for an answer of its swarm component.
 * https://github.com/moby/moby/blob/master/daemon/cluster/cluster.go (swarmRequestTimeout)
 */
const REQUEST_MS = 20_000;

const MOST_REDIAL_MS = 7_000;

/** What raft needs from a member's engine. */
export interface PeerHost {
  readonly address: string;
  /** The member has adopted a state, which must be on disk before anything else happens. */
  onState(state: SwarmState): void;
  /** As leader the member has appended an entry that no majority has yet. */
  onAppended(log: SwarmState): void;
  /** The others have removed this member. */
  onRemoved(): void;
}

/** A running raft member. */
export class Peer {
  /** The member it takes for the leader, rightly or not. */
  lead: Peer | undefined;
  leadership: Leadership<Peer> | undefined;
  /** When it last heard a leader. */
  heardAt = Number.NEGATIVE_INFINITY;
  leaderlessSince: number;
  cancelElection: (() => void) | undefined;
  cancelStepDown: (() => void) | undefined;
  /** Calls that wait for a leader. */
  readonly waiting = new Set<() => void>();

  constructor(
    readonly host: PeerHost,
    readonly nodeId: string,
    readonly raftId: number,
    public state: SwarmState,
    /**
     * The log with an entry that it appended as leader and that no majority has. The next election decides whether that
     * is ever committed.
     */
    public log: SwarmState | undefined,
    public term: number,
    now: number,
    /** It came back without knowing the other members: it hears them but cannot answer. Measured. */
    readonly deaf = false,
  ) {
    this.leaderlessSince = now;
  }

  /**
   * Whether it has the address that raft knows. With another one it hears nothing, because all answers go to the old
   * address. Measured.
   */
  get isWhereItSays(): boolean {
    const member = this.state.members.get(this.raftId);
    return member === undefined || member.address === this.host.address;
  }
}

/** What a raft group needs from the universe. */
export interface Surroundings {
  clock: Clock;
  agenda: Agenda;
  /** Whether the open connection between two members carries data. */
  carries(a: string, b: string): boolean;
  /** Called when a member becomes the leader or stops leading. */
  onElected(peer: Peer): void;
  onLeaderLost(peer: Peer): void;
  /** Told when a node's role has become what was wanted. */
  onRole(nodeId: string, role: SwarmNode['role']): void;
  onCommitted(before: SwarmState, after: SwarmState): void;
  /** Called after every change that may affect who reaches the leader. */
  onSettled(): void;
}

export class RaftGroup {
  /** Running members, by node id. */
  readonly peers = new Map<string, Peer>();
  readonly agenda: Agenda;
  /** When each member's engine ended, by node id. The longer ago, the more rarely the others dial it. */
  private readonly endedAt = new Map<string, number>();
  private readonly known = new Set<number>();
  private settling = false;

  constructor(
    readonly around: Surroundings,
    /** The latest state that a majority has. */
    public committed: SwarmState,
  ) {
    this.agenda = around.agenda;
  }

  /** A member's engine has started. A single member leads at once; others wait for a leader first. */
  add(peer: Peer): void {
    this.known.add(peer.raftId);
    this.peers.set(peer.nodeId, peer);
    if (peer.state.members.size === 1 && peer.state.members.has(peer.raftId)) this.lead(peer);
    else this.settle();
  }

  /** A member's engine has ended. */
  remove(peer: Peer): void {
    if (this.peers.get(peer.nodeId) !== peer) return;
    this.peers.delete(peer.nodeId);
    this.endedAt.set(peer.nodeId, this.around.clock.now());
    peer.cancelElection?.();
    if (peer.leadership) this.endLeadership(peer);
    this.settle();
  }

  /** Whether the member with this raft id has ever run and taken entries. */
  hasRun(raftId: number): boolean {
    return this.known.has(raftId);
  }

  /**
   * The time from an engine's start until the others find the member again. Measured: 1 to 8 s, longest after long
   * absences.
   */
  redialAfter(nodeId: string): number {
    if (this.committed.members.size === 1) return 0;
    const away = this.around.clock.now() - (this.endedAt.get(nodeId) ?? this.around.clock.now());
    return this.around.clock.random() * Math.min(MOST_REDIAL_MS, away / 4);
  }

  reaches(from: Peer, to: Peer): boolean {
    return from === to || (!from.deaf && !to.deaf && this.takes(from, to));
  }

  /** Whether a member accepts messages. The leader then calls it reachable, even if it is deaf. Measured. */
  private takes(from: Peer, to: Peer): boolean {
    return (
      from === to ||
      (this.peers.get(to.nodeId) === to &&
        from.isWhereItSays &&
        to.isWhereItSays &&
        this.around.carries(from.host.address, to.host.address))
    );
  }

  onRole(nodeId: string, role: SwarmNode['role']): void {
    this.around.onRole(nodeId, role);
  }

  /** Reachability as the node list and the guard of demotions see it. */
  callsReachable(from: Peer, member: Member): boolean {
    const to = this.peers.get(member.nodeId);
    return to !== undefined && this.takes(from, to);
  }

  /** Whether a member that the peer knows runs and answers it. */
  reachesMember(from: Peer, member: Member): boolean {
    const to = this.peers.get(member.nodeId);
    return to !== undefined && this.reaches(from, to);
  }

  hasQuorum(peer: Peer): boolean {
    const { members } = peer.state;
    let reached = 0;
    for (const member of members.values()) if (this.reachesMember(peer, member)) reached++;
    return reached >= quorumOf(members.size);
  }

  /** The leadership that a member's calls reach; undefined while it knows no leader that answers. */
  leadershipSeenBy(peer: Peer): Leadership<Peer> | undefined {
    if (peer.leadership) return peer.leadership;
    return peer.lead?.leadership && this.reaches(peer, peer.lead) ? peer.lead.leadership : undefined;
  }

  /** @throws EngineError when there is no leader within a request's time; at once when there has been none for long */
  async findLeadership(peer: Peer): Promise<Leadership<Peer>> {
    const end = this.around.clock.now() + REQUEST_MS;
    if (!peer.lead && this.around.clock.now() - peer.leaderlessSince > ELECTION_MS) throw noLeader();
    for (;;) {
      const leadership = this.leadershipSeenBy(peer);
      if (leadership) return leadership;
      const left = end - this.around.clock.now();
      if (left <= 0) throw deadline();
      await this.changeOf(peer, left);
    }
  }

  /** Updates every member after a change of reachability. */
  settle(): void {
    if (this.settling) return;
    this.settling = true;
    for (let again = true; again;) again = this.disruptStaleLeaders();
    for (const peer of this.peers.values()) if (peer.leadership) this.checkQuorum(peer);
    for (const peer of [...this.peers.values()]) if (!peer.leadership) this.follow(peer);
    this.settling = false;
    this.around.onSettled();
  }

  /** Members in the leader's reach adopt its new state. */
  replicate(leader: Peer): void {
    if (leader.state.index <= this.committed.index && leader.state !== this.committed)
      throw new Error('A committed state of the simulated swarm would be lost.');
    const before = this.committed;
    this.committed = leader.state;
    this.around.onCommitted(before, leader.state);
    leader.host.onState(leader.state);
    for (const peer of [...this.peers.values()]) {
      if (peer !== leader && peer.lead === leader && this.reaches(leader, peer)) this.adopt(peer, leader.state);
      else if (peer.deaf && !leader.state.members.has(peer.raftId)) peer.host.onRemoved();
    }
  }

  private adopt(peer: Peer, state: SwarmState): void {
    if (peer.state === state && !peer.log) return;
    peer.state = state;
    peer.log = undefined;
    peer.host.onState(state);
    if (!state.members.has(peer.raftId)) peer.host.onRemoved();
  }

  /** A member that campaigned while cut off answers its old leader from a later term, so the leader steps down. */
  private disruptStaleLeaders(): boolean {
    for (const leader of this.peers.values()) {
      if (!leader.leadership) continue;
      for (const peer of this.peers.values()) {
        if (peer.term <= leader.term || !leader.state.members.has(peer.raftId) || !this.reaches(leader, peer)) continue;
        leader.term = peer.term;
        this.stepDown(leader);
        return true;
      }
    }
    return false;
  }

  /** A leader without a majority notices at its second check. */
  private checkQuorum(leader: Peer): void {
    if (this.hasQuorum(leader)) {
      leader.cancelStepDown?.();
      leader.cancelStepDown = undefined;
      leader.leadership!.resume();
    } else {
      leader.cancelStepDown ??= this.around.clock.after(ELECTION_MS * (1 + this.around.clock.random()), () => {
        this.stepDown(leader);
        this.settle();
      });
    }
  }

  private follow(peer: Peer): void {
    const leader = this.leaderHeardBy(peer);
    if (!leader) return this.awaitLeader(peer);
    peer.cancelElection?.();
    peer.cancelElection = undefined;
    peer.lead = leader;
    peer.term = leader.term;
    peer.heardAt = Number.POSITIVE_INFINITY;
    if (leader.state.members.has(peer.raftId)) this.adopt(peer, leader.state);
    else peer.host.onRemoved();
    wake(peer);
  }

  private leaderHeardBy(peer: Peer): Peer | undefined {
    let heard: Peer | undefined;
    for (const leader of this.peers.values())
      if (leader.leadership && this.reaches(leader, peer) && leader.term >= (heard?.term ?? peer.term)) heard = leader;
    return heard;
  }

  /**
   * Sets the only timer of a member without a leader. There is none while a campaign could not be won; then the member
   * only has to notice that its leader is lost.
   */
  private awaitLeader(peer: Peer): void {
    const now = this.around.clock.now();
    if (peer.heardAt === Number.POSITIVE_INFINITY) peer.heardAt = now;
    if (peer.cancelElection) return;
    const timeout = ELECTION_MS * (1 + this.around.clock.random());
    if (peer.lead) this.campaignAfter(peer, timeout);
    else if (this.hasQuorum(peer)) this.campaignAfter(peer, timeout * this.around.clock.random());
  }

  private campaignAfter(peer: Peer, ms: number): void {
    peer.cancelElection?.();
    peer.cancelElection = this.around.clock.after(ms, () => {
      peer.cancelElection = undefined;
      this.campaign(peer);
    });
  }

  private campaign(peer: Peer): void {
    this.loseSightOfLeader(peer);
    peer.term++;
    if (!this.hasQuorum(peer)) return;
    let votes = 1;
    for (const voter of this.peers.values())
      if (voter !== peer && peer.state.members.has(voter.raftId) && this.reaches(peer, voter) && this.vote(voter, peer))
        votes++;
    if (votes >= quorumOf(peer.state.members.size)) this.lead(peer);
    else this.campaignAfter(peer, ELECTION_MS * (1 + this.around.clock.random()));
  }

  /** A member that has heard a leader within the shortest election timeout does not answer. */
  private vote(voter: Peer, candidate: Peer): boolean {
    const now = this.around.clock.now();
    if (voter.leadership || voter.heardAt === Number.POSITIVE_INFINITY || now - voter.heardAt < ELECTION_MS)
      return false;
    if (voter.term > candidate.term) {
      candidate.term = voter.term;
      return false;
    }
    voter.term = candidate.term;
    this.loseSightOfLeader(voter);
    this.campaignAfter(voter, ELECTION_MS * (1 + this.around.clock.random()));
    return isUpToDate(candidate.log ?? candidate.state, voter.log ?? voter.state);
  }

  private lead(peer: Peer): void {
    peer.cancelElection?.();
    peer.cancelElection = undefined;
    peer.term++;
    peer.lead = peer;
    peer.leadership = new Leadership(this.around.clock, this, peer);
    this.settle();
    const { log } = peer;
    if (log) peer.leadership.commit(() => log);
    peer.leadership.commit(nothing);
    this.around.onElected(peer);
    peer.leadership.begin();
    wake(peer);
    this.around.onSettled();
  }

  private stepDown(leader: Peer): void {
    this.endLeadership(leader);
    this.loseSightOfLeader(leader);
    leader.heardAt = this.around.clock.now() - ELECTION_MS;
    if (this.hasQuorum(leader)) this.campaignAfter(leader, ELECTION_MS * (1 + this.around.clock.random()));
  }

  private endLeadership(leader: Peer): void {
    leader.cancelStepDown?.();
    leader.cancelStepDown = undefined;
    leader.leadership!.end();
    leader.leadership = undefined;
    this.around.onLeaderLost(leader);
  }

  private loseSightOfLeader(peer: Peer): void {
    if (peer.lead) peer.leaderlessSince = this.around.clock.now();
    peer.lead = undefined;
  }

  /** Resolves when the member has found a leader, or after `ms` milliseconds. */
  private changeOf(peer: Peer, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        peer.waiting.delete(done);
        resolve();
      };
      const cancel = this.around.clock.after(ms, done);
      peer.waiting.add(done);
    });
  }
}

function wake(peer: Peer): void {
  for (const done of [...peer.waiting]) done();
}

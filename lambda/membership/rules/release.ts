/**
 * Rule `release`: an instance that waits at its terminate hook leaves the swarm first, then it is let go.
 *
 * - A worker is drained by the leader: its tasks end and start elsewhere, its node is removed. Many at a time.
 * - Where there is a load balancer, that comes when it sends the node no new connections any more, or three minutes
 *   later at the latest; of spot instances, one minute.
 * - A worker that is no node of the swarm, or has not left it by the deadline, is let go: its node is found and removed
 *   afterwards (rule `reap`).
 * - A worker that a person has promoted waits as a manager does for a quorum of the others.
 * - A manager whose seat is configured no more leaves as a worker does, once it is one (rule `retire-seat`).
 * - Another manager's node stays: its successor goes on with what is on its volume. It is drained, too, which is undone
 *   when its successor is there (`restore`), and let go once the others are a quorum without it and no manager is taken
 *   in or out, so one after the other; while no quorum reports it may be part of one that nobody hears, and nothing is
 *   done. Only one of exactly two goes after some minutes, if its volume stays: neither could ever go otherwise, and
 *   its successor brings the quorum back.
 * - Where no swarm was ever made, or its whole stack goes, or the instance itself has gone, there is nothing to wait
 *   for.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import { LEADER_STALE_MS } from '../../../protocol/cluster';
import { TERMINATE_HOOK } from '../../../protocol/hooks';
import { isWorkingManager, quorumOf, type SwarmNode } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { memberAddress, seesLeader, type Facts } from '../facts';
import type { Instance } from '../observation';
import { managerOf } from './retire-seat';

/** How long a node's tasks may take to end. */
export const DRAIN_DEADLINE_MS = 10 * 60_000;
/**
 * How long a manager waits for a quorum to be heard, of which it may be a part by a join that the list does not show;
 * or that was let go already, though its hook was not completed: should it lead, nobody hears of the swarm.
 */
export const NO_QUORUM_DEADLINE_MS = 5 * 60_000;
/** Raft reaches a manager again at the latest so long after its engine has started: 1.4 to 3.3 s were measured. */
export const RAFT_RETURN_MS = 15_000;
/**
 * What EC2 says of volumes may be from before the last attachment, and the report of who has just got one may be on its
 * way. Nobody attaches one to an instance that leaves. AWS names no bound: EC2 speaks of minutes at most.
 * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
 */
export const VOLUMES_STALE_MS = 60_000;
/**
 * How long it is waited until load balancers send a node nothing more. The agent's health check fails within half a
 * minute; a deregistration may take two, and the deregistration delay comes on top. A spot instance has two minutes in
 * all.
 */
export const CONNECTIONS_DEADLINE_MS = { spot: 60_000, otherwise: 3 * 60_000 };
/** Of workers that wait so, and whose time runs: the record has its bound. */
const MAX_WAITING = 500;
/** How often a hook is prolonged. Shorter than any heartbeat timeout of the groups. */
export const PROLONG_EVERY_MS = 5 * 60_000;

export function release(draft: Draft, facts: Facts): void {
  new Release(draft, facts).run();
}

class Release {
  /** A manager is drained. */
  private draining = false;
  /** Those whose time is over. */
  private readonly late = new Set<string>();

  constructor(
    private readonly draft: Draft,
    private readonly facts: Facts,
  ) {}

  run(): void {
    const { leaving } = this.facts;
    this.forget(new Set(leaving.map(({ instanceId }) => instanceId)));
    // Who came first: only so many orders may be open at a time. Who is being drained stays so.
    const isDrained = ({ instanceId }: Instance) => Number(this.departures[instanceId]?.drainingSince !== undefined);
    const inTurn = [...leaving].sort(
      (a, b) =>
        isDrained(b) - isDrained(a) ||
        this.since(a.instanceId) - this.since(b.instanceId) ||
        (a.instanceId < b.instanceId ? -1 : 1),
    );
    for (const instance of inTurn) {
      const reason = this.reasonToLetGo(instance);
      if (reason && !this.drain(instance)) this.letGo(instance, reason);
      else this.keep(instance);
    }
    this.restore();
  }

  /** Our own drain of a node that another instance is by now. */
  private restore(): void {
    for (const { id: nodeId, instanceId, state, drainedFor, idleFor } of this.draft.observed.nodes) {
      const marks = [drainedFor, idleFor].filter((mark) => mark !== undefined);
      if (
        instanceId !== undefined &&
        state === 'ready' &&
        this.facts.present.has(instanceId) &&
        marks.some((mark) => mark !== instanceId)
      )
        this.draft.order({ kind: 'restore', nodeId, instanceId });
    }
  }

  /**
   * A manager with tasks that may end elsewhere, one at a time, when load balancers send it nothing more. Not one that
   * nobody can drain, or that does not work; nor past its deadline.
   * @returns whether it is waited for
   */
  private drain(instance: Instance): boolean {
    const { instanceId, group } = instance;
    if (!this.facts.quorumVisible || this.draft.observed.gone.has(instanceId) || this.goesWithItsStack(instance))
      return false;
    const node = this.draft.observed.nodes.find(
      (one) => one.instanceId === instanceId && (isWorkingManager(one) || this.isDemoted(instance, one)),
    );
    if (!node || node.idleFor === instanceId || this.departures[instanceId]?.letGoAt !== undefined) return false;
    const departure = (this.departures[instanceId] ??= { since: this.now });
    if (this.isSentConnections(instanceId, group.spot)) return true;
    if (this.isLate(departure)) {
      this.late.add(instanceId);
      this.draft.alarms.push({
        instanceId,
        reason:
          `Its tasks have not ended ${DRAIN_DEADLINE_MS / 60_000} minutes after it was to be drained. They ` +
          'may be cut off.',
      });
      return false;
    }
    if (!this.draining && this.draft.order({ kind: 'drain', nodeId: node.id, instanceId }))
      departure.drainingSince ??= this.now;
    this.draining = true;
    return true;
  }

  /** A person has made a worker of it. Its node is its successor's, so it is not removed. */
  private isDemoted({ group }: Instance, { role, manager, state }: SwarmNode): boolean {
    return (
      group.role === 'manager' &&
      this.facts.isConfigured(group.seat!) &&
      role === 'worker' &&
      !manager &&
      state === 'ready'
    );
  }

  /** Managers go one after the other: only the time since one's turn counts. */
  private isLate({ drainingSince }: { drainingSince?: number | undefined }): boolean {
    return drainingSince !== undefined && this.now >= drainingSince + DRAIN_DEADLINE_MS;
  }

  /** Its tasks are needed still. */
  private isSentConnections(instanceId: string, spot: true | undefined): boolean {
    const { traffic, membership } = this.draft.observed;
    const begun = membership.orders?.orders.some((order) => order.instanceId === instanceId);
    return (
      traffic !== undefined &&
      !begun &&
      !traffic.left.has(instanceId) &&
      this.now < this.since(instanceId) + CONNECTIONS_DEADLINE_MS[spot ? 'spot' : 'otherwise']
    );
  }

  private get now(): number {
    return this.draft.observed.now;
  }

  private get departures() {
    return this.draft.membership.departures;
  }

  private since(instanceId: string): number {
    return this.departures[instanceId]?.since ?? this.now;
  }

  /**
   * Auto Scaling may for a while still show a manager that was let go as one that waits: it must not count as one that
   * stays.
   */
  private forget(waiting: ReadonlySet<string>): void {
    for (const [instanceId, { letGoAt }] of Object.entries(this.departures)) {
      if (!waiting.has(instanceId) && this.now >= (letGoAt ?? 0) + LEADER_STALE_MS) delete this.departures[instanceId];
    }
  }

  private goesWithItsStack({ group: { stack } }: Instance): boolean {
    return stack !== undefined && this.draft.observed.stacksLeaving.has(stack.stackId);
  }

  private reasonToLetGo(instance: Instance): string | undefined {
    const { instanceId, group } = instance;
    if (this.goesWithItsStack(instance)) return 'Its whole stack goes.';
    if (!this.draft.observed.leader) return 'No swarm was ever made.';
    if (this.draft.observed.gone.has(instanceId)) return 'EC2 has ended it already.';
    if (group.role === 'worker') return this.reasonToLetWorkerGo(instance);
    return this.facts.isConfigured(group.seat!)
      ? this.reasonToLetManagerGo(instance)
      : this.reasonToLetRetiredGo(instance);
  }

  private reasonToLetWorkerGo(instance: Instance): string | undefined {
    const { instanceId, group } = instance;
    const promoted = this.promoted(instance);
    if (promoted) return this.reasonManagerMayGo(instance, promoted, 'What is left of it in raft is taken out.');
    if (this.facts.workersOf(instanceId).length === 0) return 'It is no node of the swarm.';
    const isLate =
      group.role === 'manager'
        ? this.isLate(this.departures[instanceId] ?? {})
        : this.now >= this.since(instanceId) + DRAIN_DEADLINE_MS;
    if (!isLate) return undefined;
    const late =
      `It has not left the swarm ${DRAIN_DEADLINE_MS / 60_000} minutes after it was to. Tasks on it may be ` +
      'cut off.';
    this.late.add(instanceId);
    this.draft.alarms.push({ instanceId, reason: late });
    return late;
  }

  /** As a manager it is waited for without an end: rule `retire-seat` makes a worker of it. */
  private reasonToLetRetiredGo(instance: Instance): string | undefined {
    return managerOf(instance, this.draft.observed.nodes) ? undefined : this.reasonToLetWorkerGo(instance);
  }

  private reasonToLetManagerGo(instance: Instance): string | undefined {
    const { instanceId, group } = instance;
    if (this.facts.isAbandoned(instance, this.draft.membership))
      return 'The volume of its seat is given up, so it is nobody any more.';
    if (this.facts.neverHadItsVolume(instance) && this.now >= this.since(instanceId) + VOLUMES_STALE_MS)
      return 'The volume of its seat is attached to no instance, so it is nobody.';
    const { members } = this.facts;
    const { managerChange } = this.draft.membership;
    // By its seat's address: the list may be from before it came, and name its predecessor.
    const ownMember = members.find(({ manager }) => memberAddress(manager!) === this.facts.addressOf(group.seat));
    // Raft may count its seat already, before the leader has said so, or can say so: what its predecessor began lies on
    // the volume.
    const joins =
      managerChange !== null &&
      managerChange.seat === group.seat &&
      (!this.facts.quorumVisible || this.now < managerChange.expiresAt + LEADER_STALE_MS);
    // Where no quorum reports, its own engine may be what is missing, and only its successor can bring it back.
    const unheard = !this.facts.quorumVisible && this.now >= this.since(instanceId) + NO_QUORUM_DEADLINE_MS;
    if (!ownMember) return joins && !unheard ? undefined : 'It is no member of raft.';
    if (members.length === 1 && !managerChange)
      return 'It is the only manager. Its successor goes on with what is on its volume.';
    return this.reasonManagerMayGo(instance, ownMember, 'Its successor goes on with what is on its volume.');
  }

  /** While a quorum of the others is there without it. */
  private reasonManagerMayGo(instance: Instance, ownMember: SwarmNode, afterwards: string): string | undefined {
    const { instanceId } = instance;
    const { members } = this.facts;
    // Whoever let it go died before the hook was completed. It may lead, and then no quorum is heard before it has
    // gone. Others may have been lost since: then they, or their successors, are waited for, though not for ever.
    if (instance.hasTombstone && !this.facts.quorumVisible) {
      const goes =
        this.othersSeeingLeader(instance) >= quorumOf(members.length) ||
        this.now >= (this.departures[instanceId]?.letGoAt ?? this.since(instanceId)) + NO_QUORUM_DEADLINE_MS;
      return goes ? 'It was let go already: its tombstone stands, and nobody hears it any more.' : undefined;
    }
    const joining = this.mayBeJoining(instance);
    if (!this.facts.quorumVisible || joining === undefined) return undefined;
    // Right after a change of leader nobody is known to work; whoever does not is down some time later. A quorum may
    // need one that raft reaches, though it has no session with the leader yet.
    if (ownMember.state === 'down' && ownMember.manager?.reachability !== 'reachable' && this.isListedSince(instanceId))
      return 'It is down.';
    const staying = members.filter((member) => member !== ownMember && isWorkingManager(member) && this.stays(member));
    if (staying.length >= quorumOf(members.length + joining))
      return `The other managers are a quorum: ${staying.length} of ${members.length} work. ${afterwards}`;
    // Of two neither could ever go: the third may be what a deployment could not make, and it takes this one to be
    // replaced to go on or back.
    const returns =
      members.length === 2 &&
      staying.length === 1 &&
      joining === 0 &&
      this.facts.hasItsVolume(instance) &&
      this.now >= this.since(instanceId) + NO_QUORUM_DEADLINE_MS;
    return returns ? `There are two managers, which are no quorum without either of them. ${afterwards}` : undefined;
  }

  /**
   * How many members raft may have more than the list shows, by a change of managers that nobody can end now: this very
   * seat's goes on with its successor, and of a seat without an instance nobody knows.
   * @returns undefined while the change is under way
   */
  private mayBeJoining({ group }: Instance): number | undefined {
    const { managerChange } = this.draft.membership;
    if (!managerChange) return 0;
    if (this.now < managerChange.expiresAt + LEADER_STALE_MS) return undefined;
    if (managerChange.seat === group.seat) return 0;
    const nobodyHas =
      this.facts.isConfigured(managerChange.seat) && this.facts.holders(managerChange.seat).length === 0;
    return nobodyHas && managerChange.kind === 'join' ? 1 : undefined;
  }

  /**
   * An older list may show its predecessor, or itself before its engine was back: a quorum that was lost since may need
   * it.
   */
  private isListedSince(instanceId: string): boolean {
    return this.draft.observed.leader!.updatedAt >= this.since(instanceId) + RAFT_RETURN_MS;
  }

  /**
   * Its instance is in service, or waits at its terminate hook as this one does, and says itself that it sees a leader.
   * The list alone would do, but for the first moments of a new leader: what it says of the others then is what they
   * were before.
   */
  private stays({ instanceId }: SwarmNode): boolean {
    const instance = this.facts.alive.get(instanceId ?? '');
    return (
      instance !== undefined && seesLeader(instance) && this.departures[instance.instanceId]?.letGoAt === undefined
    );
  }

  /** By their own word. */
  private othersSeeingLeader({ instanceId }: Instance): number {
    return [...this.facts.alive.values()].filter(
      (other) =>
        other.group.role === 'manager' &&
        other.instanceId !== instanceId &&
        seesLeader(other) &&
        this.departures[other.instanceId]?.letGoAt === undefined,
    ).length;
  }

  private letGo(instance: Instance, reason: string): void {
    const {
      instanceId,
      group: { name: group, role },
    } = instance;
    const event =
      this.goesWithItsStack(instance) || !this.draft.observed.leader
        ? undefined
        : this.draft.observed.gone.has(instanceId)
          ? 'nodeLost'
          : 'nodeLeft';
    if (this.isManager(instance)) (this.departures[instanceId] ??= { since: this.now }).letGoAt ??= this.now;
    this.draft.effects.push({
      kind: 'let-go',
      instanceId,
      group,
      role,
      ...(event && { event }),
      ...(this.late.has(instanceId) && { late: true as const }),
      reason,
    });
  }

  /** A seat's, or one that was promoted by hand. */
  private isManager(instance: Instance): boolean {
    return instance.group.role === 'manager' || this.promoted(instance) !== undefined;
  }

  /**
   * The member of raft that a worker was made by a person. Before raft counts it, it takes no quorum with it. Where its
   * own worker is in the list, a manager that claims its id is somebody else.
   */
  private promoted({ instanceId }: Instance): SwarmNode | undefined {
    return this.facts.workersOf(instanceId).length > 0
      ? undefined
      : this.facts.members.find((member) => member.instanceId === instanceId);
  }

  private keep(instance: Instance): void {
    const {
      instanceId,
      group: { name: group, role, spot },
    } = instance;
    const isManager = this.isManager(instance);
    const isSent = this.isSentConnections(instanceId, spot);
    if (!isManager && isSent) {
      if (Object.keys(this.departures).length < MAX_WAITING) this.departures[instanceId] ??= { since: this.now };
      return;
    }
    const comesBack = role === 'manager' && this.facts.isConfigured(instance.group.seat!);
    const ordered =
      isSent || comesBack
        ? []
        : this.facts
            .workersOf(instanceId)
            .filter(({ id: nodeId }) => this.draft.order({ kind: 'release', nodeId, instanceId }));
    // Whose turn has not come is not written down: very many may leave at once, and the record has its bound.
    if (!isManager && ordered.length === 0) return;
    const departure = (this.departures[instanceId] ??= { since: this.now });
    if (role === 'manager' && ordered.length > 0) departure.drainingSince ??= this.now;
    if (!this.facts.quorumVisible || this.now < (departure.prolongedAt ?? departure.since) + PROLONG_EVERY_MS) return;
    departure.prolongedAt = this.now;
    const reason = isManager
      ? 'Without it the other managers would be no quorum, or its tasks are still to end.'
      : 'Its tasks are still to end.';
    this.draft.effects.push({ kind: 'extend-hook', instanceId, group, hook: TERMINATE_HOOK, reason });
  }
}

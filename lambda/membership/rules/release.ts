/**
 * Rule `release`: an instance at its terminate hook first leaves the swarm; then its hook is completed ("let go").
 *
 * - A worker is drained by the leader: its tasks move elsewhere, then its node is removed. Many workers at a time.
 * - If there is a load balancer, the drain starts when it no longer sends the node new connections, or after three
 *   minutes at the latest; one minute for spot instances.
 * - A worker that is not a node of the swarm, or has not left it by the deadline, is let go. Rule `reap` removes its
 *   node afterwards.
 * - A worker that a person has promoted waits for a quorum of the others, like a manager.
 * - A manager whose seat is no longer configured leaves like a worker, after rule `retire-seat` has made it one.
 * - Any other manager's node stays, because its successor takes it over with the volume. The node is drained, and
 *   `restore` undoes that when the successor is there. The manager is let go once the others are a quorum without it
 *   and no change of managers is in flight: one after the other. While no quorum reports, the manager may be part of
 *   one that cannot be heard, and nothing happens.
 * - One of exactly two managers is let go after some minutes, if its volume stays. Otherwise neither could ever leave;
 *   its successor restores the quorum.
 * - If no swarm was ever created, the whole stack is being deleted, or the instance has already ended, there is nothing
 *   to wait for.
 *
 * Pure: reads the observation, adds to the draft what to write and what to do.
 */
import { LEADER_STALE_MS } from '../../../protocol/cluster';
import { TERMINATE_HOOK } from '../../../protocol/hooks';
import { isWorkingManager, quorumOf, type SwarmNode } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { memberAddress, seesLeader, type Facts } from '../facts';
import type { Instance } from '../observation';
import { managerOf } from './retire-seat';

/**
 * The drain timeout: of a manager from its own turn to drain, of a worker from its terminate hook on, including the
 * wait for load balancers.
 */
export const DRAIN_DEADLINE_MS = 10 * 60_000;
/**
 * How long a manager waits while no quorum reports. It may be part of a quorum by a join that the list does not show
 * yet. Also the limit for a manager that was let go but whose hook is not completed: if it leads, its reports no longer
 * count.
 */
export const NO_QUORUM_DEADLINE_MS = 5 * 60_000;
/** How soon raft reaches a manager after its engine has started. Measured: 1.4 to 3.3 s. */
export const RAFT_RETURN_MS = 15_000;
/**
 * How old EC2's answer about volumes may be: it may predate the last attachment, and the report of the instance that
 * got the volume may be on its way. No volume is attached to an instance that leaves. AWS states no limit; EC2 speaks
 * of minutes at most.
 * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
 */
export const VOLUMES_STALE_MS = 60_000;
/**
 * How long to wait until load balancers send a node no new connections. The agent's health check fails within half a
 * minute; a deregistration may take two minutes, plus the deregistration delay. A spot instance has two minutes in all.
 */
export const CONNECTIONS_DEADLINE_MS = { spot: 60_000, otherwise: 3 * 60_000 };
/** Workers recorded as waiting for that: the membership record has a size limit. */
const MAX_WAITING = 500;
/** How often a hook's heartbeat is recorded. Shorter than any heartbeat timeout of the groups. */
export const PROLONG_EVERY_MS = 5 * 60_000;

export function release(draft: Draft, facts: Facts): void {
  new Release(draft, facts).run();
}

class Release {
  /** A manager is already being drained in this plan. */
  private draining = false;
  /** Instances past their drain deadline. */
  private readonly late = new Set<string>();

  constructor(
    private readonly draft: Draft,
    private readonly facts: Facts,
  ) {}

  run(): void {
    const { leaving } = this.facts;
    this.forget(new Set(leaving.map(({ instanceId }) => instanceId)));
    // First come, first served, because the number of orders is limited. Nodes already being drained keep their turn.
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

  /** Undoes our own drain of a node that another instance has taken over. */
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
   * Drains a manager so that its tasks can move elsewhere: one at a time, once load balancers send it nothing more.
   * Skipped if nobody can drain it, if it does not work, or past its deadline.
   * @returns whether the drain is to be waited for
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
        reason: `Its tasks have not ended within ${DRAIN_DEADLINE_MS / 60_000} minutes of its drain. They may be killed.`,
      });
      return false;
    }
    if (!this.draining && this.draft.order({ kind: 'drain', nodeId: node.id, instanceId }))
      departure.drainingSince ??= this.now;
    this.draining = true;
    return true;
  }

  /** A seat's node that a person has demoted. The successor takes it over, so it is not removed. */
  private isDemoted({ group }: Instance, { role, manager, state }: SwarmNode): boolean {
    return (
      group.role === 'manager' &&
      this.facts.isConfigured(group.seat!) &&
      role === 'worker' &&
      !manager &&
      state === 'ready'
    );
  }

  /** Managers drain one after the other, so only the time since its own turn counts. */
  private isLate({ drainingSince }: { drainingSince?: number | undefined }): boolean {
    return drainingSince !== undefined && this.now >= drainingSince + DRAIN_DEADLINE_MS;
  }

  /** Its tasks still serve connections. */
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
   * Auto Scaling may still show a manager at its hook for a while after it was let go. It must not count as one that
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
    if (this.goesWithItsStack(instance)) return 'Its whole stack is being deleted.';
    if (!this.draft.observed.leader) return 'No swarm was ever created.';
    if (this.draft.observed.gone.has(instanceId)) return 'EC2 reports that it has already ended.';
    if (group.role === 'worker') return this.reasonToLetWorkerGo(instance);
    return this.facts.isConfigured(group.seat!)
      ? this.reasonToLetManagerGo(instance)
      : this.reasonToLetRetiredGo(instance);
  }

  private reasonToLetWorkerGo(instance: Instance): string | undefined {
    const { instanceId, group } = instance;
    const promoted = this.promoted(instance);
    if (promoted) return this.reasonManagerMayGo(instance, promoted, 'Its member of raft is removed afterwards.');
    if (this.facts.workersOf(instanceId).length === 0) return 'It is not a node of the swarm.';
    const isLate =
      group.role === 'manager'
        ? this.isLate(this.departures[instanceId] ?? {})
        : this.now >= this.since(instanceId) + DRAIN_DEADLINE_MS;
    if (!isLate) return undefined;
    const late = `It has not left the swarm within ${DRAIN_DEADLINE_MS / 60_000} minutes. Its tasks may be killed.`;
    this.late.add(instanceId);
    this.draft.alarms.push({ instanceId, reason: late });
    return late;
  }

  /** As a manager it waits without a limit, until rule `retire-seat` has made it a worker. */
  private reasonToLetRetiredGo(instance: Instance): string | undefined {
    return managerOf(instance, this.draft.observed.nodes) ? undefined : this.reasonToLetWorkerGo(instance);
  }

  private reasonToLetManagerGo(instance: Instance): string | undefined {
    const { instanceId, group } = instance;
    if (this.facts.isAbandoned(instance, this.draft.membership))
      return 'The volume of its seat is given up, so its node can never return.';
    if (this.facts.neverHadItsVolume(instance) && this.now >= this.since(instanceId) + VOLUMES_STALE_MS)
      return 'It never had the volume of its seat, so it is not a node of the swarm.';
    const { members } = this.facts;
    const { managerChange } = this.draft.membership;
    // By the seat's address: the list may predate this instance and name its predecessor.
    const ownMember = members.find(({ manager }) => memberAddress(manager!) === this.facts.addressOf(group.seat));
    // Raft may count the seat before the leader has reported it, or can: what its predecessor started is on the volume.
    const joins =
      managerChange !== null &&
      managerChange.seat === group.seat &&
      (!this.facts.quorumVisible || this.now < managerChange.expiresAt + LEADER_STALE_MS);
    // If no quorum reports, this engine may be the one that is missing, and only its successor can bring it back.
    const unheard = !this.facts.quorumVisible && this.now >= this.since(instanceId) + NO_QUORUM_DEADLINE_MS;
    if (!ownMember) return joins && !unheard ? undefined : 'It is not a member of raft.';
    if (members.length === 1 && !managerChange)
      return 'It is the only manager. Its successor takes over with its volume.';
    return this.reasonManagerMayGo(instance, ownMember, 'Its successor takes over with its volume.');
  }

  /** Allowed while the others are a quorum without it. */
  private reasonManagerMayGo(instance: Instance, ownMember: SwarmNode, afterwards: string): string | undefined {
    const { instanceId } = instance;
    const { members } = this.facts;
    // A function wrote its tombstone, then died before it completed the hook. If this manager leads, no quorum can
    // report until it is gone. Others may have been lost since: they, or their successors, are waited for, but not
    // without a limit.
    if (instance.hasTombstone && !this.facts.quorumVisible) {
      const goes =
        this.managersSeeingLeader() >= quorumOf(members.length) ||
        this.now >= (this.departures[instanceId]?.letGoAt ?? this.since(instanceId)) + NO_QUORUM_DEADLINE_MS;
      return goes ? 'It was already let go: it has a tombstone and can no longer report.' : undefined;
    }
    const joining = this.mayBeJoining(instance);
    if (!this.facts.quorumVisible || joining === undefined) return undefined;
    // Right after a change of leader, no node is known to work; one that does not is listed as down some time later. A
    // member that raft reaches but that has no session yet may be needed for a quorum.
    if (ownMember.state === 'down' && ownMember.manager!.reachability !== 'reachable' && this.isListedSince(instanceId))
      return 'It is down.';
    const staying = members.filter((member) => member !== ownMember && isWorkingManager(member) && this.stays(member));
    if (staying.length >= quorumOf(members.length + joining))
      return `The others are a quorum: ${staying.length} of ${members.length} managers work without it. ${afterwards}`;
    // Of two managers neither could ever leave. A third may be what a deployment failed to create, and CloudFormation
    // may have to replace this one to continue or to roll back.
    const returns =
      members.length === 2 &&
      staying.length === 1 &&
      joining === 0 &&
      this.facts.hasItsVolume(instance) &&
      this.now >= this.since(instanceId) + NO_QUORUM_DEADLINE_MS;
    return returns ? `It is one of two managers, which are no quorum without either. ${afterwards}` : undefined;
  }

  /**
   * How many members raft may have beyond the list, because of a change of managers that nobody can end now. A change
   * of this seat continues with the successor; for a seat without an instance nobody knows.
   * @returns undefined while the change may still be running
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
   * An older list may show the predecessor, or this node before its engine was back. A quorum that was lost since may
   * need it.
   */
  private isListedSince(instanceId: string): boolean {
    return this.draft.observed.leader!.updatedAt >= this.since(instanceId) + RAFT_RETURN_MS;
  }

  /**
   * Its instance is in service or at its terminate hook, and reports that it sees a leader. The list alone is not
   * enough: a new leader first repeats what was known of the others before.
   */
  private stays({ instanceId }: SwarmNode): boolean {
    const instance = this.facts.alive.get(instanceId ?? '');
    return (
      instance !== undefined && seesLeader(instance) && this.departures[instance.instanceId]?.letGoAt === undefined
    );
  }

  /** By their own reports: one with a tombstone has none. */
  private managersSeeingLeader(): number {
    return [...this.facts.alive.values()].filter(
      (instance) =>
        instance.group.role === 'manager' &&
        seesLeader(instance) &&
        this.departures[instance.instanceId]?.letGoAt === undefined,
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

  /** A seat's instance, or a worker promoted by hand. */
  private isManager(instance: Instance): boolean {
    return instance.group.role === 'manager' || this.promoted(instance) !== undefined;
  }

  /**
   * The member of raft that a person made of this worker. Before raft counts it, no quorum depends on it. If the list
   * has a worker of this instance, a manager with the same label is a forgery.
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
    // Instances that have to wait for their turn are not recorded: very many may leave at once, and the record has a
    // size limit.
    if (!isManager && ordered.length === 0) return;
    const departure = (this.departures[instanceId] ??= { since: this.now });
    if (role === 'manager' && ordered.length > 0) departure.drainingSince ??= this.now;
    if (!this.facts.quorumVisible || this.now < (departure.prolongedAt ?? departure.since) + PROLONG_EVERY_MS) return;
    departure.prolongedAt = this.now;
    const reason = isManager
      ? 'The other managers would be no quorum without it, or its tasks have not ended yet.'
      : 'Its tasks have not ended yet.';
    this.draft.effects.push({ kind: 'extend-hook', instanceId, group, hook: TERMINATE_HOOK, reason });
  }
}

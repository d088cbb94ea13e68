/**
 * Rule `return-seat`: takes out a manager that raft counts but that never becomes a working member; its engine then
 * leaves the swarm and joins afresh.
 *
 * Seen on Docker 20.10: an engine that dies after raft has counted it, but before it has stored the leader's first
 * entries, comes back deaf. It hears the leader and can never answer.
 *
 * - If the others are a quorum, the leader first removes the member (`remove`), so that no dead member is left when the
 *   next manager joins. Then the engine leaves.
 * - A deaf manager may keep a session with the leader from before its own raft member started. The list then shows it
 *   at work, so it is admitted, and only its own report reveals the problem.
 * - The second of two managers takes the quorum with it. It never voted and has no entry that the first has not,
 *   because with two members nothing is committed without the first. So it leaves first; once its engine is in no
 *   swarm, the first manager goes on alone (`recover`), with the same swarm id and all its state. No engine is left
 *   that could form a second swarm. Both engines must report that they see no leader. With more than two members this
 *   would be a guess, and is left to people.
 * - A node may be removed because the functions took it for dead when it had come back. It can never return, so its
 *   engine leaves.
 *
 * Pure: reads the observation, adds to the draft what to write.
 */
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import { isWorkingManager, quorumOf, type SwarmNode } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { formerManagers, isLost, memberAddress, seesLeader, type Facts } from '../facts';
import type { Instance } from '../observation';

/**
 * How long a manager in service must look lost, in every round: a new leader needs some time to hear from everybody.
 */
export const SUSPECT_MS = 150_000;
/**
 * How much the deaf manager's own count (seconds) must have grown since it was first suspected: a stale report does not
 * grow.
 */
export const SUSPECT_GROWTH_S = 120;

type Change = NonNullable<Membership['managerChange']>;

interface Suspect {
  seat: number;
  holder: Instance;
  /** The raft member at the seat's address. */
  member: SwarmNode | undefined;
  nodeId: string;
  /** Milliseconds since 1970. */
  since: number;
  /** How long its engine had reported no leader at that time, in seconds. */
  leaderless: number;
}

interface Suspects {
  deaf?: Suspect & { member: SwarmNode };
  forgotten?: Suspect;
}

export function returnSeat(draft: Draft, facts: Facts): void {
  new ReturnOfSeat(draft, facts).run();
}

class ReturnOfSeat {
  constructor(
    private readonly draft: Draft,
    private readonly facts: Facts,
  ) {}

  run(): void {
    const change = this.draft.membership.managerChange;
    const suspects = this.lookForSuspects();
    // During a recovery no engine is told to leave: a person decides which one survives.
    if (!this.draft.observed.leader || (this.draft.membership.recovery && !this.facts.quorumVisible)) return;
    if (!change) return this.lookForLost(suspects);
    if (change.kind === 'init' || change.kind === 'retire') return;
    // A member of a seat that is no longer configured is removed all the same.
    if (change.kind !== 'remove' && !this.facts.isConfigured(change.seat))
      return this.draft.endManagerChange('Its seat is no longer configured.');
    switch (change.kind) {
      case 'join':
        // Docker's own attempts, and a report on its way, take no longer than this.
        if (this.now >= change.expiresAt + LEADER_STALE_MS) this.takeOut(change);
        return;
      case 'remove':
        return this.goOnRemoving(change);
      case 'leave':
        return this.goOnLeaving(change);
      case 'recover':
        return this.goOnRecovering(change);
    }
  }

  private get now(): number {
    return this.draft.observed.now;
  }

  /** A number that no seat has: nobody knows which one it had. */
  private get formerSeat(): number {
    return Math.max(...this.draft.observed.seats.map(({ seat }) => seat)) + 1;
  }

  /** The seat's instance, once it reports that its engine keeps its state on the seat's volume. */
  private holder(seat: number): Instance | undefined {
    return this.facts
      .holders(seat)
      .find((instance) => instance.report?.swarm !== undefined && this.facts.hasItsVolume(instance));
  }

  /** Starts with the leader, or with the engine itself if it took the quorum with it. */
  private takeOut({ seat }: Change): void {
    const holder = this.holder(seat);
    // If the last list shows it Ready, it was a working member when the list was committed, and it is admitted.
    if (!holder || isInactive(holder) || seesLeader(holder) || this.facts.readyNode(holder)) return;
    const member = this.memberAt(seat);
    if (!this.facts.quorumVisible) {
      if (this.loneManager(seat))
        this.leave(seat, holder, 'It was to become the second manager, but the first one has never heard from it.');
    } else if (member && isLost(member))
      this.remove(seat, member.id, 'Raft counts it, but it sees no leader, although its engine runs on its volume.');
  }

  private lookForLost({ deaf, forgotten }: Suspects): void {
    if (!this.facts.quorumVisible) return;
    const { nodes, instances, seats, gone } = this.draft.observed;
    const former = formerManagers(nodes, instances, seats).find(
      ({ node, instanceId }) => isLost(node) && gone.has(instanceId),
    )?.node;
    if (deaf)
      this.remove(
        deaf.seat,
        deaf.member.id,
        'The leader lists it as reachable, but it has seen no leader for long, although its engine runs on its volume.',
        isWorkingManager(deaf.member),
      );
    else if (former)
      this.remove(this.formerSeat, former.id, 'It has the address of no seat, and its instance is gone.');
    else if (forgotten)
      this.leave(forgotten.seat, forgotten.holder, 'Its node is no longer in the swarm and can never return.');
    else this.removeMemberWithoutEngine();
  }

  /**
   * Managers that have looked lost for long enough. Without a quorum nobody sees a leader, so the time starts again.
   */
  private lookForSuspects(): Suspects {
    const before = this.draft.membership.suspects;
    this.draft.membership.suspects = {};
    if (!this.facts.quorumVisible) return {};
    const found = this.draft.observed.seats.flatMap(({ seat }): Suspect[] => {
      const [holder, member] = [this.holder(seat), this.memberAt(seat)];
      const nodeId = holder?.report!.swarm!.nodeId;
      if (!holder || nodeId === undefined || seesLeader(holder)) return [];
      const suspect = this.isDeaf(nodeId, member) || (!member && this.isForgotten(holder, nodeId));
      if (!suspect) return [];
      const leaderless = holder.report!.leaderless ?? 0;
      const { since = this.now, leaderless: first = leaderless } = before[nodeId] ?? {};
      return [{ seat, holder, member, nodeId, since, leaderless: Math.min(first, leaderless) }];
    });
    this.draft.membership.suspects = Object.fromEntries(
      found.map(({ nodeId, since, leaderless }) => [nodeId, { since, leaderless }]),
    );
    const due = found.filter(({ since }) => this.now - since >= SUSPECT_MS);
    return {
      deaf: due.find(
        (one): one is Suspect & { member: SwarmNode } =>
          one.member !== undefined && this.mayBeTakenOut(one, one.member),
      ),
      forgotten: due.find(({ member }) => !member),
    };
  }

  /**
   * A manager that was admitted just before its engine died. The leader cannot reach a member that is merely cut off;
   * that one is left alone and comes back. So is one that a person has demoted.
   */
  private isDeaf(nodeId: string, member: SwarmNode | undefined): boolean {
    return (
      member?.id === nodeId &&
      member.role === 'manager' &&
      member.manager!.reachability === 'reachable' &&
      !member.manager!.leader
    );
  }

  /**
   * Right after a change of leader it is unknown whether the node is down or at work. The others must be a quorum, by
   * the list and by their own reports.
   */
  private mayBeTakenOut({ holder, leaderless }: Suspect, member: SwarmNode): boolean {
    const { members } = this.facts;
    const isKnown = member.state === 'down' || member.state === 'ready';
    return (
      isKnown &&
      (holder.report!.leaderless ?? 0) - leaderless >= SUSPECT_GROWTH_S &&
      members.filter((other) => other !== member && this.facts.confirmsItWorks(other)).length >=
        quorumOf(members.length)
    );
  }

  /**
   * The leader's list is what raft has committed. A node that is not in it is not in the swarm, whatever its engine
   * tries.
   */
  private isForgotten(holder: Instance, nodeId: string): boolean {
    return (
      !isInactive(holder) &&
      !this.draft.observed.nodes.some(({ id }) => id === nodeId) &&
      !this.facts.isAbandoned(holder, this.draft.membership)
    );
  }

  /** Removes a manager that no engine stands for any more: the seat's engine is in no swarm, or is another node. */
  private removeMemberWithoutEngine(): void {
    for (const { seat } of this.draft.observed.seats) {
      const [holder, member] = [
        this.holder(seat),
        this.facts.members.find((one) => isLost(one) && this.isAt(one, seat)),
      ];
      if (holder && member && (isInactive(holder) || this.isAnotherMember(holder, member)))
        return this.remove(
          seat,
          member.id,
          'It is a member of raft, but the engine at its address is in no swarm or is another member.',
        );
    }
    if (!this.facts.everySeatIsKnown()) return;
    for (const node of this.facts.managersWithoutMembership) {
      const seat = this.draft.observed.seats.find(({ address }) => address === node.address);
      if (seat && node.state === 'down')
        return this.remove(
          seat.seat,
          node.id,
          "It is not a member of raft, and every seat's engine is another node or in no swarm.",
        );
    }
  }

  private goOnRemoving(change: Change): void {
    const { seat, nodeId, expiresAt, instanceId } = change;
    const node = this.draft.observed.nodes.find(({ id }) => id === nodeId);
    if (!node) {
      const holder = this.holder(seat);
      // An engine that died or has another identity by now need not leave.
      if (holder && !isInactive(holder) && !seesLeader(holder) && (holder.report!.swarm!.nodeId ?? nodeId) === nodeId)
        return this.leave(seat, holder, 'Its node was removed from the swarm and can never return.');
      return this.draft.endManagerChange('It was removed from the swarm.');
    }
    if (this.now < expiresAt && instanceId === this.draft.observed.leader!.instanceId) return;
    if (!this.facts.quorumVisible) {
      if (this.now >= expiresAt + LEADER_STALE_MS) this.takeOut(change);
    } else if (isWorkingManager(node)) this.draft.endManagerChange('It has come back.');
    else this.remove(seat, nodeId!, 'It is not removed from the swarm yet.');
  }

  private goOnLeaving(change: Change): void {
    const { seat, instanceId, expiresAt } = change;
    const holder = this.holder(seat);
    if (!holder) return;
    if (isInactive(holder)) {
      const lone = this.loneManager(seat);
      if (this.facts.quorumVisible) this.draft.endManagerChange('Its engine has left the swarm.');
      else if (lone) this.recover(seat, lone);
    } else if (this.now >= expiresAt || holder.instanceId !== instanceId) {
      if (seesLeader(holder)) this.draft.endManagerChange('It sees a leader now.');
      else this.leave(seat, holder, 'Its engine has not left the swarm yet.');
    }
  }

  private goOnRecovering({ seat, expiresAt }: Change): void {
    const holder = this.holder(seat);
    if (this.facts.quorumVisible) return this.draft.endManagerChange('The swarm has a leader again.');
    const lone = this.loneManager(seat);
    if (this.now >= expiresAt && lone && holder && isInactive(holder)) this.recover(seat, lone);
  }

  private memberAt(seat: number): SwarmNode | undefined {
    return this.facts.members.find((member) => this.isAt(member, seat));
  }

  private isAt({ manager }: SwarmNode, seat: number): boolean {
    return memberAddress(manager!) === this.facts.addressOf(seat);
  }

  private isAnotherMember({ report }: Instance, member: SwarmNode): boolean {
    const { state, nodeId } = report!.swarm!;
    return state === 'active' && nodeId !== member.id && this.facts.members.some(({ id }) => id === nodeId);
  }

  /** The only other member of raft, with its instance, if that instance reports that it sees no leader. */
  private loneManager(seat: number): { instance: Instance; node: SwarmNode } | undefined {
    const [node, ...others] = this.facts.members.filter((member) => member !== this.memberAt(seat));
    if (!node || others.length > 0) return undefined;
    const instance = [...this.facts.present.values()].find(({ report }) => report?.swarm?.nodeId === node.id);
    const able =
      instance?.group.seat !== undefined &&
      instance.group.seat !== seat &&
      this.facts.hasItsVolume(instance) &&
      instance.report!.swarm!.controlAvailable &&
      !seesLeader(instance);
    return able ? { instance, node } : undefined;
  }

  private remove(seat: number, nodeId: string, reason: string, inSession = false): void {
    const { instanceId } = this.draft.observed.leader!;
    if (!this.facts.isAlive(instanceId)) return;
    this.alarm(instanceId, `Node ${nodeId} of seat ${seat} is removed from the swarm. ${reason}`);
    this.draft.changeManagers(seat, {
      kind: 'remove',
      ...this.draft.commandFor(instanceId, reason),
      nodeId,
      ...(inSession && { inSession: true as const }),
    });
  }

  private leave(seat: number, { instanceId }: Instance, reason: string): void {
    this.alarm(instanceId, `The engine of seat ${seat} leaves the swarm and joins it afresh. ${reason}`);
    this.draft.changeManagers(seat, { kind: 'leave', ...this.draft.commandFor(instanceId, reason) });
  }

  private recover(
    seat: number,
    { instance: { instanceId, group }, node }: { instance: Instance; node: SwarmNode },
  ): void {
    const reason = `It is the only manager that ever worked, and the engine of seat ${seat} has left the swarm.`;
    this.alarm(instanceId, `The swarm goes on with one manager. ${reason}`);
    this.draft.changeManagers(seat, {
      kind: 'recover',
      ...this.draft.commandFor(instanceId, reason),
      nodeId: node.id,
      advertiseAddress: this.facts.addressOf(group.seat)!,
    });
  }

  private alarm(instanceId: string, reason: string): void {
    this.draft.alarms.push({ instanceId, reason });
  }
}

const isInactive = ({ report }: Instance) => report?.swarm?.state === 'inactive';

/**
 * Rule `return-seat`: a manager that raft counts, and that never becomes a working part of it, is taken out, forgets
 * whom it was, and joins afresh.
 *
 * Seen on Docker 20.10: an engine that dies after raft has counted it and before it has written down the first entries
 * of the leader comes back deaf. It hears the leader and can answer nobody, for ever.
 *
 * - Where the others are a quorum, the leader takes the member out first (`remove`), so that no dead member stays
 *   behind when the next one joins; then its engine leaves.
 * - Its node may have found a session with the leader before its own manager was there, and keeps it. Then the list
 *   shows it at work, so that it is admitted, and only its own word tells.
 * - As the second of two it takes the quorum with it. It never voted and never had an entry that the first has not,
 *   since with two members nothing is committed without the first. So it leaves first, and once its engine has nothing
 *   any more, the first goes on alone (`recover`), with the same swarm id and all that it has. Nobody is left who could
 *   make a second swarm of it. Both engines have to say that they see no leader. With more than two members that would
 *   be a guess, and is left to people.
 * - One whose node was taken out while the functions took it for one that had come back has nobody any more, and never
 *   returns: its engine leaves.
 *
 * Pure: reads what was observed, adds to the plan what to write.
 */
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import { isWorkingManager, quorumOf, type SwarmNode } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { formerManagers, isLost, memberAddress, seesLeader, type Facts } from '../facts';
import type { Instance } from '../observation';

/**
 * How long a manager that is admitted must seem to be lost, at every look: a new leader needs some time to hear
 * everybody.
 */
export const SUSPECT_MS = 150_000;
/**
 * By how much a deaf one's own count, in seconds, must have grown since it was suspected first: an old report does not
 * grow.
 */
export const SUSPECT_GROWTH_S = 120;

type Change = NonNullable<Membership['managerChange']>;

interface Suspect {
  seat: number;
  holder: Instance;
  /** Of raft, at the seat's address. */
  member: SwarmNode | undefined;
  nodeId: string;
  /** Milliseconds since 1970. */
  since: number;
  /** How long its engine had named no leader by then, in seconds. */
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
    // While a quorum is recovered nobody is asked to forget anything: who goes on is a person's choice.
    if (!this.draft.observed.leader || (this.draft.membership.recovery && !this.facts.quorumVisible)) return;
    if (!change) return this.lookForLost(suspects);
    if (change.kind === 'init' || change.kind === 'retire') return;
    // Whoever is left of a seat that is no more is taken out all the same.
    if (change.kind !== 'remove' && !this.facts.isConfigured(change.seat))
      return this.draft.endManagerChange('Its seat is no longer configured.');
    switch (change.kind) {
      case 'join':
        // Docker's own tries, and a report that is on its way, take no longer than that.
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

  /** Which number it had nobody knows any more: one that no seat has. */
  private get formerSeat(): number {
    return Math.max(...this.draft.observed.seats.map(({ seat }) => seat)) + 1;
  }

  /** The instance whose engine keeps its state on the seat's volume, and says so. */
  private holder(seat: number): Instance | undefined {
    return this.facts
      .holders(seat)
      .find((instance) => instance.report?.swarm !== undefined && this.facts.hasItsVolume(instance));
  }

  /** The first step: of the leader, or of the engine itself where it has taken the quorum with it. */
  private takeOut({ seat }: Change): void {
    const holder = this.holder(seat);
    // What the last list says of it was true once, and only a working member had a part in writing it: it is admitted.
    if (!holder || isInactive(holder) || seesLeader(holder) || this.facts.readyNode(holder)) return;
    const member = this.memberAt(seat);
    if (!this.facts.quorumVisible) {
      if (this.loneManager(seat))
        this.leave(
          seat,
          holder,
          'It was to become the second manager, and never got so far that the first could hear it.',
        );
    } else if (member && isLost(member))
      this.remove(seat, member.id, 'Raft counts it, and it sees no leader, though its engine runs and has its volume.');
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
        'The leader takes it for reachable, but it has seen no leader for long, though its engine runs and ' +
          'has its volume.',
        isWorkingManager(deaf.member),
      );
    else if (former) this.remove(this.formerSeat, former.id, 'No seat has its address, and its instance is gone.');
    else if (forgotten)
      this.leave(forgotten.seat, forgotten.holder, 'Its node is not in the swarm any more, and never returns.');
    else this.removeAbandonedMember();
  }

  /**
   * Who has seemed to be lost for so long that it is. Without a quorum nobody sees a leader, and everybody gets its
   * time again.
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
   * One that was admitted in the moment before it died. The leader does not reach a member that is cut off: that one is
   * left alone, and comes back. So is one that a person has demoted.
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
   * Whether it is down or at work is not known right after a change of leader. The others are a quorum by the list, and
   * by what each says itself.
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

  /** The leader's list is what raft has committed: whoever is not in it is nobody, however its engine tries. */
  private isForgotten(holder: Instance, nodeId: string): boolean {
    return (
      !isInactive(holder) &&
      !this.draft.observed.nodes.some(({ id }) => id === nodeId) &&
      !this.facts.isAbandoned(holder, this.draft.membership)
    );
  }

  /**
   * Takes a manager out that nobody is any more: an engine was it, or was to become it, and the seat's engine has
   * nothing or is somebody else.
   */
  private removeAbandonedMember(): void {
    for (const { seat } of this.draft.observed.seats) {
      const [holder, member] = [
        this.holder(seat),
        this.facts.members.find((one) => isLost(one) && this.isAt(one, seat)),
      ];
      if (holder && member && (isInactive(holder) || this.isAnotherMember(holder, member)))
        return this.remove(
          seat,
          member.id,
          'It is a member of raft, and the engine behind its address has nothing, or is another member.',
        );
    }
    if (!this.facts.everySeatIsKnown()) return;
    for (const node of this.facts.managersWithoutMembership) {
      const seat = this.draft.observed.seats.find(({ address }) => address === node.address);
      if (seat && node.state === 'down')
        return this.remove(
          seat.seat,
          node.id,
          'It is no member of raft, and the engine of every seat is somebody else or has nothing.',
        );
    }
  }

  private goOnRemoving(change: Change): void {
    const { seat, nodeId, expiresAt, instanceId } = change;
    const node = this.draft.observed.nodes.find(({ id }) => id === nodeId);
    if (!node) {
      const holder = this.holder(seat);
      // Whoever died or has another identity by now has nothing to forget.
      if (holder && !isInactive(holder) && !seesLeader(holder) && (holder.report!.swarm!.nodeId ?? nodeId) === nodeId)
        return this.leave(seat, holder, 'Its node was taken out of the swarm, and never returns.');
      return this.draft.endManagerChange('It was taken out of the swarm.');
    }
    if (this.now < expiresAt && instanceId === this.draft.observed.leader!.instanceId) return;
    if (!this.facts.quorumVisible) {
      if (this.now >= expiresAt + LEADER_STALE_MS) this.takeOut(change);
    } else if (isWorkingManager(node)) this.draft.endManagerChange('It came back meanwhile.');
    else this.remove(seat, nodeId!, 'It is still to be taken out of the swarm.');
  }

  private goOnLeaving(change: Change): void {
    const { seat, instanceId, expiresAt } = change;
    const holder = this.holder(seat);
    if (!holder) return;
    if (isInactive(holder)) {
      const lone = this.loneManager(seat);
      if (this.facts.quorumVisible) this.draft.endManagerChange('It has forgotten whom it was.');
      else if (lone) this.recover(seat, lone);
    } else if (this.now >= expiresAt || holder.instanceId !== instanceId) {
      if (seesLeader(holder)) this.draft.endManagerChange('It sees a leader by now.');
      else this.leave(seat, holder, 'It is still to forget whom it was.');
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

  /** The only member of raft beside the seat's own, with the instance that is it and says that it sees no leader. */
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
    this.alarm(instanceId, `Node ${nodeId} of seat ${seat} is taken out of the swarm. ${reason}`);
    this.draft.changeManagers(seat, {
      kind: 'remove',
      ...this.draft.commandFor(instanceId, reason),
      nodeId,
      ...(inSession && { inSession: true as const }),
    });
  }

  private leave(seat: number, { instanceId }: Instance, reason: string): void {
    this.alarm(instanceId, `The engine of seat ${seat} leaves the swarm, to join it afresh. ${reason}`);
    this.draft.changeManagers(seat, { kind: 'leave', ...this.draft.commandFor(instanceId, reason) });
  }

  private recover(
    seat: number,
    { instance: { instanceId, group }, node }: { instance: Instance; node: SwarmNode },
  ): void {
    const reason = `It is the only manager that there ever was: seat ${seat} has nothing of the swarm any more.`;
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

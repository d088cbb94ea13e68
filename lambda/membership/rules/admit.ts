/**
 * Rule `admit`: takes an instance from its launch hook to a Ready node of the swarm.
 *
 * - A seat's volume is attached as soon as its instance reports.
 * - Seat 0 creates the swarm, once in the cluster's life. The claim names the volume, and only an instance with the
 *   same volume may repeat the command.
 * - Managers join one at a time, and only while every member works and every node's role equals its membership in raft.
 *   Workers join in parallel, up to a limit.
 * - A node is admitted when the leader's list shows it Ready, in its role, under the node id that its own mailbox
 *   reports, and labelled with its own instance id.
 * - If there is a load balancer, a worker is admitted only once it receives connections, or a few minutes later at the
 *   latest. A deployment then never replaces nodes faster than load balancers take in new ones.
 * - Past its deadline an instance is abandoned. The exception: while a swarm exists but no quorum reports, an instance
 *   that has ever reported may be part of that quorum. It is kept, and gets more time once a quorum reports.
 *
 * Pure: reads the observation, adds to the draft what to write and what to do.
 */
import type { CommandOf } from '../../../protocol/commands';
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import { LAUNCH_HOOK } from '../../../protocol/hooks';
import { isWorkingManager, quorumOf } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { memberAddress, neverSeen, type Facts } from '../facts';
import type { Instance, Observation } from '../observation';

/**
 * From an instance's launch until it is abandoned if it is not a Ready node. Shorter than the hook's heartbeat timeout.
 */
export const ADMISSION_DEADLINE_MS = 10 * 60_000;
/**
 * How long an instance is kept after a round that found it late but no quorum. Once a quorum reports again, the rest of
 * this time is left to become Ready.
 */
export const EXTENSION_MS = 5 * 60_000;
/**
 * How often that time is extended while the cause lasts. The hook itself would end five minutes after the deadline,
 * which leaves room for several attempts.
 */
export const EXTEND_EVERY_MS = 45_000;
/**
 * From a worker's launch until it is admitted even without connections: a load balancer takes minutes to send any.
 * Shorter than {@link ADMISSION_DEADLINE_MS}.
 */
export const TRAFFIC_DEADLINE_MS = 8 * 60_000;
/**
 * Workers joining at a time. All of them may end in the same round, and must fit into one transaction together with the
 * lease, the membership record and a manager.
 */
export const WORKER_JOINS = 90;
/**
 * Open admissions beyond which no further worker joins. If CloudFormation is slow to take signals, the record must stay
 * within its size limit.
 */
const OPEN_ADMISSIONS = 200;
/**
 * Commands in one plan. A transaction takes 100 items; four are needed for the lease, the membership record, and the
 * orders of the former and the current leader.
 */
export const MAX_COMMANDS = 96;
/** Device name of the volume. Nitro instances ignore it, and the agent finds the volume by its id. */
export const VOLUME_DEVICE = '/dev/sdf';

export function admit(draft: Draft, facts: Facts): void {
  new Admission(draft, facts).run();
}

class Admission {
  /** Instances that this plan abandons. */
  private readonly givenUp = new Set<string>();
  private readonly observed: Observation;
  private readonly membership: Membership;

  constructor(
    private readonly draft: Draft,
    private readonly facts: Facts,
  ) {
    this.observed = draft.observed;
    this.membership = draft.membership;
  }

  run(): void {
    this.settleJoins();
    this.settleAdmissions();
    this.handOverBootstrap();
    for (const instance of this.facts.waiting) this.consider(instance);
    this.admitManager();
    this.admitWorkers();
    for (const [instanceId, { group }] of Object.entries(this.membership.admissions)) {
      const { stack } = this.facts.present.get(instanceId)!.group;
      this.draft.effects.push({
        kind: 'admit',
        instanceId,
        group,
        ...stack,
        reason: 'The leader lists it as Ready, in its role and with its own instance id.',
      });
    }
  }

  /**
   * Ends joins whose node is Ready, whose instance left, or whose time is over, and erases the token from the mailbox.
   */
  private settleJoins(): void {
    const { managerChange, workerJoins } = this.membership;
    const managerEnd =
      managerChange && /^(init|join)$/.test(managerChange.kind) && this.endOfManagerChange(managerChange);
    if (managerEnd) this.draft.endManagerChange(managerEnd);
    for (const [instanceId, { expiresAt }] of Object.entries(workerJoins)) {
      const end = this.endOfWorkerJoin(instanceId, expiresAt);
      if (!end) continue;
      delete workerJoins[instanceId];
      this.draft.setCommand(instanceId, 'worker', null, end);
    }
  }

  private endOfWorkerJoin(instanceId: string, expiresAt: number): string | undefined {
    const instance = this.facts.present.get(instanceId);
    if (!instance) return 'Its instance is leaving or gone.';
    if (this.facts.readyNode(instance)) return 'It has joined.';
    return this.observed.now >= expiresAt ? 'Its command expired.' : undefined;
  }

  /**
   * A change of managers belongs to the seat, not to the instance: a successor continues it from what is on the volume.
   * It does not end by the clock either: Docker continues a join in the background, and if the agent is dead nobody
   * aborts it, however long ago the command expired. So it ends only when the engine reports that it is in no swarm,
   * under that command or on that volume.
   */
  private endOfManagerChange({
    kind,
    seat,
    instanceId,
    commandId,
    expiresAt,
  }: NonNullable<Membership['managerChange']>): string | undefined {
    // No agent is left to end it. If it did become a member, it blocks other changes like any unreachable member.
    if (!this.facts.isConfigured(seat)) return 'Its seat is no longer configured.';
    for (const holder of this.facts.holders(seat)) {
      const { report } = holder;
      if (this.facts.readyNode(holder)) return 'It has joined.';
      if (report?.swarm?.state !== 'inactive') continue;
      if (holder.instanceId !== instanceId)
        return this.onceListIsNewer('Its instance is gone, and its volume holds no swarm state.');
      const { lastCommand } = report;
      // A join is attempted once; creating the swarm is retried until the command expires.
      const over =
        lastCommand?.id === commandId &&
        lastCommand.outcome !== 'done' &&
        (kind === 'join' || this.observed.now >= expiresAt);
      if (over) return this.onceListIsNewer('It failed.');
    }
    return undefined;
  }

  /**
   * A failed join may still be in the log of a leader that lost its quorum meanwhile. It is committed once there is a
   * quorum again, and leaves a member without an engine. The next list, read behind a new fence, settles it: it
   * contains whatever was committed.
   */
  private onceListIsNewer(end: string): string | undefined {
    const { leader } = this.observed;
    const change = this.membership.managerChange!;
    if (!leader || leader.epoch > (change.overAtEpoch ?? Number.POSITIVE_INFINITY)) return end;
    change.overAtEpoch ??= leader.epoch;
    return undefined;
  }

  /** An instance that left before its hook was completed is neither admitted nor waited for. */
  private settleAdmissions(): void {
    for (const record of [this.membership.admissions, this.membership.extensions]) {
      for (const instanceId of Object.keys(record)) if (!this.facts.present.has(instanceId)) delete record[instanceId];
    }
  }

  /**
   * The instance that created the swarm may die before anybody heard of it. Its successor on the same volume is a
   * member of that swarm and may report for it. It gets no command: there is nothing to create.
   */
  private handOverBootstrap(): void {
    const { bootstrap } = this.membership;
    if (this.observed.leader || !bootstrap) return;
    const successor = this.facts.waiting.find(
      (instance) =>
        instance.group.seat === bootstrap.seat &&
        this.facts.hasItsVolume(instance) &&
        instance.report?.swarm?.state === 'active' &&
        instance.report.swarm.controlAvailable,
    );
    if (successor && successor.report?.volume?.id === bootstrap.volumeId) bootstrap.instanceId = successor.instanceId;
  }

  private consider(instance: Instance): void {
    const { instanceId, group, report } = instance;
    if (this.membership.admissions[instanceId]) return;
    if (report?.swarm?.swarmId && this.observed.leader && report.swarm.swarmId !== this.observed.leader.swarmId) {
      this.draft.alarms.push({
        instanceId,
        reason:
          `It is a member of another swarm, ${report.swarm.swarmId}; this cluster's is ` +
          `${this.observed.leader.swarmId}. It is not admitted.`,
      });
    } else if (
      this.facts.readyNode(instance) &&
      !this.isBeingTakenOut(instance) &&
      !this.facts.isAbandoned(instance, this.membership)
    ) {
      if (this.waitsForConnections(instance)) return;
      this.membership.admissions[instanceId] = { group: group.name };
      delete this.membership.extensions[instanceId];
      return;
    }
    if (this.isLate(instance)) {
      const late = `Not Ready ${ADMISSION_DEADLINE_MS / 60_000} minutes after its launch`;
      const why = this.reasonToKeep(instance);
      const until = this.membership.extensions[instanceId] ?? 0;
      if (why === undefined && this.observed.now >= until) {
        this.givenUp.add(instanceId);
        this.draft.effects.push({ kind: 'abandon', instanceId, group: group.name, reason: `${late}.` });
        return;
      }
      if (why !== undefined && this.observed.now >= until - EXTENSION_MS + EXTEND_EVERY_MS) {
        this.membership.extensions[instanceId] = this.observed.now + EXTENSION_MS;
        this.draft.effects.push({
          kind: 'extend-hook',
          instanceId,
          group: group.name,
          hook: LAUNCH_HOOK,
          reason: `${late}, but ${why}`,
        });
      }
    }
    if (report && group.role === 'manager') this.attachVolume(instance);
  }

  /** A manager never waits: the next one is replaced only when this one is back, which should be soon. */
  private waitsForConnections({ instanceId, group, ec2 }: Instance): boolean {
    const { traffic, now } = this.observed;
    return (
      traffic !== undefined &&
      group.role === 'worker' &&
      !traffic.arrived.has(instanceId) &&
      ec2 !== undefined &&
      now < ec2.launchedAt + TRAFFIC_DEADLINE_MS
    );
  }

  private isBeingTakenOut({ group }: Instance): boolean {
    const { managerChange } = this.membership;
    return managerChange?.seat === group.seat && managerChange !== null && !/^(init|join)$/.test(managerChange.kind);
  }

  /** Why a late instance is not abandoned yet. */
  private reasonToKeep(instance: Instance): string | undefined {
    const { managerChange } = this.membership;
    if (this.facts.isAbandoned(instance, this.membership))
      return 'its seat waits for a deployment that gives it another volume.';
    if (
      managerChange &&
      managerChange.seat === instance.group.seat &&
      this.observed.now < managerChange.expiresAt + LEADER_STALE_MS
    )
      return 'it was told to join so recently that raft may count it before the leader reports it.';
    const { leader, gone } = this.observed;
    if (!leader) return undefined;
    // The last report of a leader that has ended may have arrived late: others may have formed a quorum since, which it
    // does not show.
    const unheard = !this.facts.quorumVisible || gone.has(leader.instanceId);
    if (unheard)
      return this.mayCarryQuorum(instance) ? 'no quorum reports, and this instance may be part of one.' : undefined;
    return this.holdsQuorum(instance)
      ? 'the leader reaches it in raft, and the others would be no quorum without it. Its agent does not report.'
      : undefined;
  }

  /** Matched by its seat's address, since its own report may be missing. */
  private holdsQuorum({ group }: Instance): boolean {
    const address = this.facts.addressOf(group.seat);
    const members = this.observed.nodes.flatMap(({ manager }) => manager ?? []);
    const reachable = members.filter(({ reachability }) => reachability === 'reachable');
    return (
      reachable.some((member) => memberAddress(member) === address) && reachable.length - 1 < quorumOf(members.length)
    );
  }

  /**
   * An instance that never reported and holds no volume is part of no quorum. Its user data failed, and it might never
   * become Ready.
   */
  private mayCarryQuorum({ instanceId, report }: Instance): boolean {
    return report !== undefined || this.observed.volumes.some(({ attachedTo }) => attachedTo === instanceId);
  }

  private isLate({ ec2 }: Instance): boolean {
    return ec2 !== undefined && this.observed.now >= ec2.launchedAt + ADMISSION_DEADLINE_MS;
  }

  private attachVolume(instance: Instance): void {
    const { instanceId, group, ec2 } = instance;
    const seat = this.observed.seats.find((one) => one.seat === group.seat);
    const volume = this.observed.volumes.find((one) => one.volumeId === seat?.volumeId);
    if (this.facts.isAbandoned(instance, this.membership)) {
      this.draft.alarms.push({
        instanceId,
        reason:
          `The volume of seat ${group.seat} was given up in a recovery of the quorum. Deploy a new one with ` +
          `managers: { volumeGenerations: { '${group.seat}': 2 } }, or one more than the present number.`,
      });
      return;
    }
    if (!volume)
      this.draft.alarms.push({
        instanceId,
        reason: `EC2 does not list ${seat?.volumeId}, the volume of seat ${group.seat}.`,
      });
    if (volume?.state === 'available' && ec2?.state === 'running') {
      this.draft.effects.push({
        kind: 'attach-volume',
        instanceId,
        volumeId: volume.volumeId,
        device: VOLUME_DEVICE,
        reason: `It is the instance of seat ${group.seat}, and its agent reports.`,
      });
    }
  }

  private admitManager(): void {
    // Includes managers that were admitted before and had to leave the swarm.
    const candidates = [...this.facts.present.values()]
      .filter(({ group }) => group.role === 'manager')
      .sort((a, b) => Number(hadCommand(a)) - Number(hadCommand(b)) || a.group.seat! - b.group.seat!)
      .filter((instance) => this.mayBeCommanded(instance) && this.facts.hasItsVolume(instance));
    const first = candidates[0];
    if (!first) return;
    if (!this.observed.leader) return this.bootstrap(candidates);
    if (
      this.membership.managerChange ||
      this.tokensRotate ||
      !this.facts.quorumVisible ||
      this.managerIsLeaving() ||
      !this.managersSettled() ||
      this.managerAddresses().length === 0
    )
      return;
    if (!this.hasOneToSpare() || candidates.some((instance) => this.isMember(instance))) return;
    this.draft.changeManagers(first.group.seat!, this.joinCommand(first, this.observed.leader.tokens.manager));
  }

  /**
   * Raft with one member more must have a quorum without the new one, even though some members that the list shows at
   * work may be deaf. With two managers neither can be deaf: they would be no quorum.
   */
  private hasOneToSpare(): boolean {
    const { members } = this.facts;
    return (
      members.length < 3 ||
      members.filter((member) => this.facts.confirmsItWorks(member)).length >= quorumOf(members.length + 1)
    );
  }

  /** Raft still counts the seat's former node, which the list may show at work. That node is removed first. */
  private isMember({ group }: Instance): boolean {
    return this.facts.members.some(({ manager }) => memberAddress(manager!) === this.facts.addressOf(group.seat));
  }

  /** The published tokens may be invalid by now. */
  private get tokensRotate(): boolean {
    return this.membership.rotation?.asked !== undefined;
  }

  /** The list still shows the leaving manager at work, so the quorum for one more manager would count it. */
  private managerIsLeaving(): boolean {
    return Object.values(this.membership.departures).some(({ letGoAt }) => letGoAt !== undefined);
  }

  private bootstrap(candidates: Instance[]): void {
    const instance = candidates.find(({ group }) => group.seat === 0);
    const seat = this.observed.seats.find((one) => one.seat === 0);
    if (!instance || !seat) return;
    const claim = this.membership.bootstrap;
    if (claim && claim.volumeId !== seat.volumeId) {
      this.draft.alarms.push({
        instanceId: instance.instanceId,
        reason:
          `The swarm was to be created on ${claim.volumeId}, but seat 0 now has ${seat.volumeId}. No second swarm is ` +
          'created.',
      });
      return;
    }
    if (this.membership.managerChange?.instanceId === instance.instanceId) return;
    const command: CommandOf<'init'> = {
      kind: 'init',
      ...this.draft.commandFor(
        instance.instanceId,
        claim
          ? 'The swarm was never created, and this instance has the volume for it.'
          : 'No swarm was ever created, and this is seat 0.',
      ),
      volumeId: seat.volumeId,
      advertiseAddress: seat.address,
      ...this.observed.settings,
    };
    this.membership.bootstrap = {
      seat: 0,
      instanceId: instance.instanceId,
      volumeId: seat.volumeId,
      commandId: command.id,
    };
    this.draft.changeManagers(0, command);
  }

  private admitWorkers(): void {
    const { leader } = this.observed;
    if (
      !leader ||
      this.tokensRotate ||
      !this.facts.quorumVisible ||
      this.managerAddresses().length === 0 ||
      Object.keys(this.membership.admissions).length > OPEN_ADMISSIONS
    )
      return;
    // Those that failed before come after those that never had a command.
    const candidates = [...this.facts.waiting].sort((a, b) => Number(hadCommand(a)) - Number(hadCommand(b)));
    for (const instance of candidates) {
      if (Object.keys(this.membership.workerJoins).length >= WORKER_JOINS || this.draft.commandCount >= MAX_COMMANDS)
        return;
      if (
        instance.group.role !== 'worker' ||
        this.membership.workerJoins[instance.instanceId] ||
        !this.mayBeCommanded(instance)
      )
        continue;
      const command = this.joinCommand(instance, leader.tokens.worker);
      this.membership.workerJoins[instance.instanceId] = { commandId: command.id, expiresAt: command.expiresAt };
      this.draft.setCommand(instance.instanceId, 'worker', command, command.reason);
    }
  }

  /** Its engine answers and is in no swarm, and this plan does not abandon it. */
  private mayBeCommanded({ instanceId, report }: Instance): boolean {
    return (
      report?.swarm?.state === 'inactive' && !this.membership.admissions[instanceId] && !this.givenUp.has(instanceId)
    );
  }

  private joinCommand({ instanceId, group }: Instance, token: string): CommandOf<'join'> {
    return {
      kind: 'join',
      ...this.draft.commandFor(instanceId, `A ${group.role} of ${group.name} whose engine answers and is in no swarm.`),
      role: group.role,
      token,
      swarmId: this.observed.leader!.swarmId,
      managers: this.managerAddresses(),
    };
  }

  /**
   * Whether every member of raft is a working manager and none is about to become one. A manager in the list that is
   * not in raft and never connected has received its certificate, no more. Either its engine continues, now or after
   * its next start, or the engine died before it had stored the certificate (seen on Docker 20.10). Then the node never
   * comes to life.
   */
  private managersSettled(): boolean {
    const { members, managersWithoutMembership: onTheWay } = this.facts;
    const settled = members.length > 0 && members.every(isWorkingManager);
    return settled && (onTheWay.length === 0 || (onTheWay.every(neverSeen) && this.facts.everySeatIsKnown()));
  }

  private managerAddresses(): string[] {
    const members = this.observed.nodes
      .flatMap(({ manager }) => manager ?? [])
      .filter(({ reachability }) => reachability === 'reachable');
    members.sort((a, b) => Number(b.leader) - Number(a.leader));
    // Only addresses that are constants of the deployment: what a manager reports is unproven.
    return members.map(memberAddress).filter((address) => this.observed.seats.some((seat) => seat.address === address));
  }
}

const hadCommand = ({ report }: Instance) => report?.lastCommand !== undefined;

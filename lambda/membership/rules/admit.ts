/**
 * Rule `admit`: from an instance that waits at its launch hook to a node of the swarm that is Ready.
 *
 * - A seat's volume is attached as soon as its instance speaks.
 * - Seat 0 makes the swarm, once in the cluster's life: the claim names the volume, and only an instance with that very
 *   volume may repeat it.
 * - Managers join one at a time, and only while every member works and every node's role equals its membership. Workers
 *   join in bounded parallel.
 * - A node is admitted when the leader's list shows it Ready, in its role, under the node id that its own mailbox
 *   reports, with its own instance id as label.
 * - Where there is a load balancer, a worker is admitted when it is sent connections, so that a deployment replaces no
 *   more nodes than are served; a few minutes later at the latest.
 * - Past its deadline an instance is abandoned, unless a swarm exists whose quorum does not report: if it ever spoke it
 *   may carry that quorum, and gets time again once one does.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import type { CommandOf } from '../../../protocol/commands';
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import { LAUNCH_HOOK } from '../../../protocol/hooks';
import { isWorkingManager, quorumOf } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import { memberAddress, neverSeen, type Facts } from '../facts';
import type { Instance, Observation } from '../observation';

/**
 * From the launch of an instance until it is given up, if it has not become a Ready node by then. Shorter than the
 * hook's heartbeat timeout.
 */
export const ADMISSION_DEADLINE_MS = 10 * 60_000;
/**
 * Until when an instance is not given up after a look that found it late, but no quorum: once the quorum reports again,
 * it has some of this time left to become Ready.
 */
export const EXTENSION_MS = 5 * 60_000;
/**
 * How often that is prolonged while it is so. The hook would end five minutes after the deadline: a request that fails
 * has others behind it.
 */
export const EXTEND_EVERY_MS = 45_000;
/**
 * From the launch of a worker until it is admitted without connections: a load balancer takes minutes to send any.
 * Shorter than the deadline of an admission.
 */
export const TRAFFIC_DEADLINE_MS = 8 * 60_000;
/**
 * Workers that may be joining at a time. At most that many commands end at once, and with them, the lease, the
 * membership record and a manager fit one transaction.
 */
export const WORKER_JOINS = 90;
/**
 * Admissions that may be open before further workers join: should CloudFormation be slow to be told, their record must
 * not outgrow its bound.
 */
const OPEN_ADMISSIONS = 200;
/**
 * Commands of one plan: a transaction holds 100 items, two of which are the lease and the membership record, and two
 * the orders of the former leader and of the present one.
 */
export const MAX_COMMANDS = 96;
/** What the volume is attached as. Nitro instances ignore the name and the agent finds the volume by its id. */
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
        reason: 'The leader reports it Ready, in its role and under its own instance id.',
      });
    }
  }

  /**
   * Joins in flight that came to an end: the node is Ready, or its instance left, or its time is over. The token goes
   * from its mailbox.
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
    if (!instance) return 'Its instance left.';
    if (this.facts.readyNode(instance)) return 'It has joined.';
    return this.observed.now >= expiresAt ? 'Its command expired.' : undefined;
  }

  /**
   * The change of a manager belongs to its seat: what an instance began, its successor goes on with, by what lies on
   * the volume. Nor does it end by the clock: Docker goes on with a join in the background, and with its agent dead
   * nobody ends it, however long ago the command expired. So the engine itself has to say, under that very command or
   * behind that very volume, that it has nothing.
   */
  private endOfManagerChange({
    kind,
    seat,
    instanceId,
    commandId,
    expiresAt,
  }: NonNullable<Membership['managerChange']>): string | undefined {
    // Nobody is left to end it: who became a member before that keeps the others waiting as any member does that is not
    // reachable.
    if (!this.facts.isConfigured(seat)) return 'Its seat is no longer configured.';
    for (const holder of this.facts.holders(seat)) {
      const { report } = holder;
      if (this.facts.readyNode(holder)) return 'It has joined.';
      if (report?.swarm?.state !== 'inactive') continue;
      if (holder.instanceId !== instanceId)
        return this.onceListIsNewer('Its instance left, and its volume holds no membership.');
      const { lastCommand } = report;
      // A join is tried once, a swarm is made until the command expires.
      const over =
        lastCommand?.id === commandId &&
        lastCommand.outcome !== 'done' &&
        (kind === 'join' || this.observed.now >= expiresAt);
      if (over) return this.onceListIsNewer('It failed.');
    }
    return undefined;
  }

  /**
   * A join that failed may be in the log of a leader that lost its quorum in the middle of it, and be committed when
   * there is one again: a member with nobody behind it. The next list, behind a new fence, tells: what was to be
   * committed before is in it.
   */
  private onceListIsNewer(end: string): string | undefined {
    const { leader } = this.observed;
    const change = this.membership.managerChange!;
    if (!leader || leader.epoch > (change.overAtEpoch ?? Number.POSITIVE_INFINITY)) return end;
    change.overAtEpoch ??= leader.epoch;
    return undefined;
  }

  /** An instance that left before its hook was continued is not admitted any more, nor waited for. */
  private settleAdmissions(): void {
    for (const record of [this.membership.admissions, this.membership.extensions]) {
      for (const instanceId of Object.keys(record)) if (!this.facts.present.has(instanceId)) delete record[instanceId];
    }
  }

  /**
   * The instance that made the swarm may die before anybody heard of it. Its successor on the very volume is a member
   * of that swarm already, and may speak for it: nothing is to be made, so it gets no command.
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
        reason: 'It is a member of another swarm than this cluster. It is not admitted.',
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

  /** A manager does not: the next one goes only when this one is back, and for as short as can be. */
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

  /** Why a late instance is not given up yet. */
  private reasonToKeep(instance: Instance): string | undefined {
    const { managerChange } = this.membership;
    if (this.facts.isAbandoned(instance, this.membership)) return 'its seat waits for another volume, by a deployment.';
    if (
      managerChange &&
      managerChange.seat === instance.group.seat &&
      this.observed.now < managerChange.expiresAt + LEADER_STALE_MS
    )
      return 'it was told so late that raft may count it already, before the leader has said so.';
    const { leader, gone } = this.observed;
    if (!leader) return undefined;
    // What one that has ended told last may have come late: it does not know of those that are a quorum since.
    const unheard = !this.facts.quorumVisible || gone.has(leader.instanceId);
    if (unheard) return this.mayCarryQuorum(instance) ? 'no quorum reports, so nothing is thrown away.' : undefined;
    return this.holdsQuorum(instance)
      ? 'the leader reaches it as a member of raft, and without it the others would be no quorum. Its agent is silent.'
      : undefined;
  }

  /** By its address, which is its seat's: its own word may not get through. */
  private holdsQuorum({ group }: Instance): boolean {
    const address = this.facts.addressOf(group.seat);
    const members = this.observed.nodes.flatMap(({ manager }) => manager ?? []);
    const reachable = members.filter(({ reachability }) => reachability === 'reachable');
    return (
      reachable.some((member) => memberAddress(member) === address) && reachable.length - 1 < quorumOf(members.length)
    );
  }

  /**
   * Who has never spoken and holds no volume has no part in any quorum: its user data failed, and waiting for it could
   * last for ever.
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
          `The volume of seat ${group.seat} was given up when the quorum was recovered. Deploy with another ` +
          `one: managers: { volumeGenerations: { '${group.seat}': 2 } }, or one more than there is.`,
      });
      return;
    }
    if (!volume)
      this.draft.alarms.push({
        instanceId,
        reason: `The volume of seat ${group.seat}, ${seat?.volumeId}, is not there.`,
      });
    if (volume?.state === 'available' && ec2?.state === 'running') {
      this.draft.effects.push({
        kind: 'attach-volume',
        instanceId,
        volumeId: volume.volumeId,
        device: VOLUME_DEVICE,
        reason: `It holds seat ${group.seat} and reports.`,
      });
    }
  }

  private admitManager(): void {
    // Also one that was admitted before, and had to forget whom it was.
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
   * The quorum of one member more is there without the new one, though some whom the list shows at work are deaf. Of
   * two managers neither can be: they would be no quorum.
   */
  private hasOneToSpare(): boolean {
    const { members } = this.facts;
    return (
      members.length < 3 ||
      members.filter((member) => this.facts.confirmsItWorks(member)).length >= quorumOf(members.length + 1)
    );
  }

  /** Whoever was this seat is still counted, at work as far as the list knows: it is taken out first. */
  private isMember({ group }: Instance): boolean {
    return this.facts.members.some(({ manager }) => memberAddress(manager!) === this.facts.addressOf(group.seat));
  }

  /** The tokens that are published may be no good any more. */
  private get tokensRotate(): boolean {
    return this.membership.rotation?.asked !== undefined;
  }

  /** The list still shows it at work, and the quorum of one more manager would be counted with it. */
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
        reason: 'The swarm was to be made on another volume than this seat has now. No second swarm is made.',
      });
      return;
    }
    if (this.membership.managerChange?.instanceId === instance.instanceId) return;
    const command: CommandOf<'init'> = {
      kind: 'init',
      ...this.draft.commandFor(
        instance.instanceId,
        claim
          ? 'The swarm was never made, and this is the volume it was to be made on.'
          : 'No swarm was ever made, and this is seat 0.',
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
    // Whoever failed before is told again after those that were never told.
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

  /** Its engine answers and belongs to no swarm, and it is not given up in this very plan. */
  private mayBeCommanded({ instanceId, report }: Instance): boolean {
    return (
      report?.swarm?.state === 'inactive' && !this.membership.admissions[instanceId] && !this.givenUp.has(instanceId)
    );
  }

  private joinCommand({ instanceId, group }: Instance, token: string): CommandOf<'join'> {
    return {
      kind: 'join',
      ...this.draft.commandFor(
        instanceId,
        `A ${group.role} of ${group.name} whose engine answers and belongs to no swarm.`,
      ),
      role: group.role,
      token,
      swarmId: this.observed.leader!.swarmId,
      managers: this.managerAddresses(),
    };
  }

  /**
   * Every member of raft is a working manager, and nobody is on the way to become one. A manager in the list that is no
   * member of raft and was never seen got its certificate, and no further. Either its engine goes on with it, now or
   * when it is started again, or its engine died before the certificate was on its disk (seen on Docker 20.10): then it
   * is nobody for ever.
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
    // What a manager reports is not proven: only constants of the deployment are handed on.
    return members.map(memberAddress).filter((address) => this.observed.seats.some((seat) => seat.address === address));
  }
}

const hadCommand = ({ report }: Instance) => report?.lastCommand !== undefined;

/**
 * Rule `admit`: from an instance that waits at its launch hook to a node of the swarm that is Ready.
 *
 * - A seat's volume is attached as soon as its instance speaks.
 * - Seat 0 makes the swarm, once in the cluster's life: the claim names the volume, and only an instance with that very volume may repeat it.
 * - Managers join one at a time, and only while every member is reachable and every node's role equals its membership. Workers join in bounded parallel.
 * - A node is admitted when the leader's list shows it Ready, in its role, under the node id that its own mailbox reports, with its own instance id as label.
 * - Past its deadline an instance is abandoned, unless a swarm exists whose quorum does not report: if it ever spoke it may carry that quorum, and gets time again once one does.
 *
 * Pure: reads an observation, returns what to write and what to do.
 */
import type { NodeRole } from '../../protocol/body';
import type { Command, CommandOf } from '../../protocol/commands';
import type { Membership } from '../../protocol/cluster';
import type { Report } from '../../protocol/report';
import type { SwarmNode } from '../../protocol/swarm';
import type { Instance, Observation } from './observation';

/** From the launch of an instance until it is given up, if it has not become a Ready node by then. Shorter than the hook's heartbeat timeout. */
export const ADMISSION_DEADLINE_MS = 10 * 60_000;
/** Until when an instance is not given up after a look that found it late, but no quorum: once the quorum reports again, it has some of this time left to become Ready. */
export const EXTENSION_MS = 5 * 60_000;
/** How long a command is valid. An agent refuses it afterwards, so a later one may replace it. */
export const COMMAND_MS = 60_000;
/** Workers that may be joining at a time. At most that many commands end at once, and with them, the lease, the membership record and a manager fit one transaction. */
export const WORKER_JOINS = 90;
/** Admissions that may be open before further workers join: should CloudFormation be slow to be told, their record must not outgrow its bound. */
const OPEN_ADMISSIONS = 200;
/** Commands of one plan: a transaction holds 100 items, two of which are the lease and the membership record. */
export const MAX_COMMANDS = 98;
/** The leader's agent reports every 30 s, changed or not; three missed reports mean that no quorum is visible. */
export const LEADER_STALE_MS = 90_000;
/** What the volume is attached as. Nitro instances ignore the name and the agent finds the volume by its id. */
export const VOLUME_DEVICE = '/dev/sdf';

export type Effect = { instanceId: string; reason: string } & (
  | { kind: 'attach-volume'; volumeId: string; device: string }
  /** Continue the launch hook, then tell the stack. */
  | { kind: 'admit'; group: string; stackId?: string; logicalId?: string }
  | { kind: 'abandon'; group: string }
  | { kind: 'extend-hook'; group: string }
);

export interface Plan {
  /** The membership record as it is to be; the very object observed when nothing changes. */
  membership: Membership;
  /** What to write into mailboxes: a command, or null to erase one. */
  commands: { instanceId: string; role: NodeRole; command: Command | null; reason: string }[];
  effects: Effect[];
  /** Nothing to do about it here, but somebody should know. */
  alarms: { instanceId: string; reason: string }[];
}

export function admit(observed: Observation, newId: () => string): Plan {
  return new Admission(observed, newId).plan();
}

class Admission {
  /** One for each mailbox: a later one takes the place of an earlier one. */
  private readonly commands = new Map<string, Plan['commands'][number]>();
  private readonly effects: Effect[] = [];
  /** Instances that this plan abandons. */
  private readonly givenUp = new Set<string>();
  private readonly alarms: Plan['alarms'] = [];
  private readonly membership: Membership;
  private readonly waiting: Instance[];
  /** Instances that are not on their way out, by id. */
  private readonly present: Map<string, Instance>;
  private readonly nodes: Map<string, SwarmNode>;
  private readonly quorumVisible: boolean;

  constructor(
    private readonly observed: Observation,
    private readonly newId: () => string,
  ) {
    this.membership = structuredClone(observed.membership);
    this.waiting = observed.instances.filter(({ lifecycleState }) => lifecycleState === 'Pending:Wait');
    this.present = new Map(observed.instances.filter(({ lifecycleState }) => /^(Pending|InService)/.test(lifecycleState)).map((instance) => [instance.instanceId, instance]));
    this.nodes = new Map(observed.nodes.map((node) => [node.id, node]));
    this.quorumVisible = observed.leader !== undefined && observed.now - observed.leader.updatedAt < LEADER_STALE_MS;
  }

  plan(): Plan {
    this.settleJoins();
    this.settleAdmissions();
    this.handOverBootstrap();
    for (const instance of this.waiting) this.consider(instance);
    this.admitManager();
    this.admitWorkers();
    for (const [instanceId, { group }] of Object.entries(this.membership.admissions)) {
      const { stack } = this.present.get(instanceId)!.group;
      this.effects.push({ kind: 'admit', instanceId, group, ...stack, reason: 'The leader reports it Ready, in its role and under its own instance id.' });
    }
    const changed = JSON.stringify(this.membership) !== JSON.stringify(this.observed.membership);
    return { membership: changed ? this.membership : this.observed.membership, commands: [...this.commands.values()], effects: this.effects, alarms: this.alarms };
  }

  /** Joins in flight that came to an end: the node is Ready, or its instance left, or its time is over. The token goes from its mailbox. */
  private settleJoins(): void {
    const { managerChange, workerJoins } = this.membership;
    const managerEnd = managerChange && this.endOfManagerChange(managerChange);
    if (managerEnd) {
      this.membership.managerChange = null;
      this.tell(managerChange.instanceId, 'manager', null, managerEnd);
    }
    for (const [instanceId, { expiresAt }] of Object.entries(workerJoins)) {
      const end = this.endOfWorkerJoin(instanceId, expiresAt);
      if (!end) continue;
      delete workerJoins[instanceId];
      this.tell(instanceId, 'worker', null, end);
    }
  }

  private tell(instanceId: string, role: NodeRole, command: Command | null, reason: string): void {
    this.commands.set(instanceId, { instanceId, role, command, reason });
  }

  private endOfWorkerJoin(instanceId: string, expiresAt: number): string | undefined {
    const instance = this.present.get(instanceId);
    if (!instance) return 'Its instance left.';
    if (this.readyNode(instance)) return 'It has joined.';
    return this.observed.now >= expiresAt ? 'Its command expired.' : undefined;
  }

  /**
   * The change of a manager belongs to its seat: what an instance began, its successor goes on with, by what lies on the volume. Nor does it end by the clock: Docker goes on with a join in the
   * background, and with its agent dead nobody ends it, however long ago the command expired. So the engine itself has to say, under that very command or behind that very volume, that it has nothing.
   */
  private endOfManagerChange({ seat, instanceId, commandId, expiresAt }: NonNullable<Membership['managerChange']>): string | undefined {
    // Nobody is left to end it: who became a member before that keeps the others waiting as any member does that is not reachable.
    if (!this.observed.seats.some((one) => one.seat === seat)) return 'Its seat is no longer configured.';
    for (const holder of this.present.values()) {
      const { report } = holder;
      if (holder.group.seat !== seat) continue;
      if (this.readyNode(holder)) return 'It has joined.';
      if (report?.swarm?.state !== 'inactive') continue;
      if (holder.instanceId !== instanceId) return 'Its instance left, and its volume holds no membership.';
      const { lastCommand } = report;
      if (this.observed.now >= expiresAt && lastCommand?.id === commandId && lastCommand.outcome !== 'done') return 'Its command expired.';
    }
    return undefined;
  }

  /** An instance that left before its hook was continued is not admitted any more, nor waited for. */
  private settleAdmissions(): void {
    for (const record of [this.membership.admissions, this.membership.extensions]) {
      for (const instanceId of Object.keys(record)) if (!this.present.has(instanceId)) delete record[instanceId];
    }
  }

  /**
   * The instance that made the swarm may die before anybody heard of it. Its successor on the very volume is a member of that swarm already, and may speak for it: nothing is to be made,
   * so it gets no command.
   */
  private handOverBootstrap(): void {
    const { bootstrap } = this.membership;
    if (this.observed.leader || !bootstrap) return;
    const heir = this.waiting.find((instance) => instance.group.seat === bootstrap.seat && this.hasItsVolume(instance) && instance.report?.swarm?.state === 'active' && instance.report.swarm.controlAvailable);
    if (heir && heir.report?.volume?.id === bootstrap.volumeId) bootstrap.instanceId = heir.instanceId;
  }

  private consider(instance: Instance): void {
    const { instanceId, group, report } = instance;
    if (this.membership.admissions[instanceId]) return;
    if (report?.swarm?.swarmId && this.observed.leader && report.swarm.swarmId !== this.observed.leader.swarmId) {
      this.alarms.push({ instanceId, reason: 'It is a member of another swarm than this cluster. It is not admitted.' });
    } else if (this.readyNode(instance)) {
      this.membership.admissions[instanceId] = { group: group.name };
      delete this.membership.extensions[instanceId];
      return;
    }
    if (this.isLate(instance)) {
      const late = `Not Ready ${ADMISSION_DEADLINE_MS / 60_000} minutes after its launch`;
      const why = this.whyToKeep(instance);
      if (why === undefined) {
        this.givenUp.add(instanceId);
        this.effects.push({ kind: 'abandon', instanceId, group: group.name, reason: `${late}.` });
        return;
      }
      this.membership.extensions[instanceId] = this.observed.now + EXTENSION_MS;
      this.effects.push({ kind: 'extend-hook', instanceId, group: group.name, reason: `${late}, but ${why}` });
    }
    if (report && group.role === 'manager') this.attachVolume(instance);
  }

  /** Why a late instance is not given up yet. */
  private whyToKeep(instance: Instance): string | undefined {
    const { managerChange } = this.membership;
    if (managerChange && managerChange.seat === instance.group.seat && this.observed.now < managerChange.expiresAt + LEADER_STALE_MS) return 'it was told so late that raft may count it already, before the leader has said so.';
    if (!this.observed.leader) return undefined;
    if (!this.quorumVisible) return this.mayCarryQuorum(instance) ? 'no quorum reports, so nothing is thrown away.' : undefined;
    return this.holdsQuorum(instance) ? 'the leader reaches it as a member of raft, and without it the others would be no quorum. Its agent is silent.' : undefined;
  }

  /** By its address, which is its seat's: its own word may not get through. */
  private holdsQuorum({ group }: Instance): boolean {
    const address = this.observed.seats.find(({ seat }) => seat === group.seat)?.address;
    const members = this.observed.nodes.flatMap(({ manager }) => manager ?? []);
    const reachable = members.filter(({ reachability }) => reachability === 'reachable');
    return reachable.some((member) => addressOf(member) === address) && reachable.length - 1 < Math.floor(members.length / 2) + 1;
  }

  /** Who has never spoken and holds no volume has no part in any quorum: its user data failed, and waiting for it could last for ever. */
  private mayCarryQuorum({ instanceId, report }: Instance): boolean {
    return report !== undefined || this.observed.volumes.some(({ attachedTo }) => attachedTo === instanceId);
  }

  private isLate({ instanceId, ec2 }: Instance): boolean {
    return ec2 !== undefined && this.observed.now >= Math.max(ec2.launchedAt + ADMISSION_DEADLINE_MS, this.membership.extensions[instanceId] ?? 0);
  }

  private attachVolume({ instanceId, group, ec2 }: Instance): void {
    const seat = this.observed.seats.find((one) => one.seat === group.seat);
    const volume = this.observed.volumes.find((one) => one.volumeId === seat?.volumeId);
    if (!volume) this.alarms.push({ instanceId, reason: `The volume of seat ${group.seat}, ${seat?.volumeId}, is not there.` });
    if (volume?.state === 'available' && ec2?.state === 'running') {
      this.effects.push({ kind: 'attach-volume', instanceId, volumeId: volume.volumeId, device: VOLUME_DEVICE, reason: `It holds seat ${group.seat} and reports.` });
    }
  }

  private admitManager(): void {
    const candidates = this.waiting
      .filter(({ group }) => group.role === 'manager')
      .sort((a, b) => a.group.seat! - b.group.seat!)
      .filter((instance) => this.mayBeCommanded(instance) && this.hasItsVolume(instance));
    const first = candidates[0];
    if (!first) return;
    if (!this.observed.leader) return this.bootstrap(candidates);
    if (this.membership.managerChange || !this.quorumVisible || !this.managersSettled() || this.managerAddresses().length === 0) return;
    this.command(first, this.joinCommand(first, this.observed.leader.tokens.manager));
  }

  private bootstrap(candidates: Instance[]): void {
    const instance = candidates.find(({ group }) => group.seat === 0);
    const seat = this.observed.seats.find((one) => one.seat === 0);
    if (!instance || !seat) return;
    const claim = this.membership.bootstrap;
    if (claim && claim.volumeId !== seat.volumeId) {
      this.alarms.push({ instanceId: instance.instanceId, reason: 'The swarm was to be made on another volume than this seat has now. No second swarm is made.' });
      return;
    }
    if (this.membership.managerChange?.instanceId === instance.instanceId) return;
    const command: CommandOf<'init'> = {
      kind: 'init',
      id: this.newId(),
      instanceId: instance.instanceId,
      expiresAt: this.observed.now + COMMAND_MS,
      reason: claim ? 'The swarm was never made, and this is the volume it was to be made on.' : 'No swarm was ever made, and this is seat 0.',
      volumeId: seat.volumeId,
      advertiseAddress: seat.address,
      ...this.observed.settings,
    };
    this.membership.bootstrap = { seat: 0, instanceId: instance.instanceId, volumeId: seat.volumeId, commandId: command.id };
    this.command(instance, command);
  }

  /** The one change of managers in flight from now on. */
  private command({ instanceId, group }: Instance, command: CommandOf<'init' | 'join'>): void {
    this.membership.managerChange = { kind: command.kind, seat: group.seat!, instanceId, commandId: command.id, expiresAt: command.expiresAt };
    this.tell(instanceId, 'manager', command, command.reason);
  }

  private admitWorkers(): void {
    const { leader } = this.observed;
    if (!leader || !this.quorumVisible || this.managerAddresses().length === 0 || Object.keys(this.membership.admissions).length > OPEN_ADMISSIONS) return;
    for (const instance of this.waiting) {
      if (Object.keys(this.membership.workerJoins).length >= WORKER_JOINS || this.commands.size >= MAX_COMMANDS) return;
      if (instance.group.role !== 'worker' || this.membership.workerJoins[instance.instanceId] || !this.mayBeCommanded(instance)) continue;
      const command = this.joinCommand(instance, leader.tokens.worker);
      this.membership.workerJoins[instance.instanceId] = { commandId: command.id, expiresAt: command.expiresAt };
      this.tell(instance.instanceId, 'worker', command, command.reason);
    }
  }

  /** Its engine answers and belongs to no swarm, and it is not given up in this very plan. */
  private mayBeCommanded({ instanceId, report }: Instance): boolean {
    return report?.swarm?.state === 'inactive' && !this.membership.admissions[instanceId] && !this.givenUp.has(instanceId);
  }

  /** Both EC2 and the agent say that the seat's own volume is where the engine keeps its state. */
  private hasItsVolume({ instanceId, group, report }: Instance): boolean {
    const seat = this.observed.seats.find((one) => one.seat === group.seat);
    if (!seat || report?.volume?.state !== 'mounted' || report.volume.id !== seat.volumeId) return false;
    return this.observed.volumes.some((volume) => volume.volumeId === seat.volumeId && volume.attachedTo === instanceId);
  }

  private joinCommand({ instanceId, group }: Instance, token: string): CommandOf<'join'> {
    return {
      kind: 'join',
      id: this.newId(),
      instanceId,
      expiresAt: this.observed.now + COMMAND_MS,
      reason: `A ${group.role} of ${group.name} whose engine answers and belongs to no swarm.`,
      role: group.role,
      token,
      swarmId: this.observed.leader!.swarmId,
      managers: this.managerAddresses(),
    };
  }

  /** Every member of raft is reachable and a manager, and nobody is on the way to become one. */
  private managersSettled(): boolean {
    const { nodes } = this.observed;
    const members = nodes.filter(({ manager }) => manager);
    const settled = members.length > 0 && members.every(({ role, manager }) => role === 'manager' && manager!.reachability === 'reachable');
    const onTheWay = nodes.filter(({ role, manager }) => role === 'manager' && !manager);
    return settled && (onTheWay.length === 0 || (onTheWay.every(neverSeen) && this.everySeatIsKnown()));
  }

  /**
   * A manager in the list that is no member of raft and was never seen got its certificate, and no further. Either its engine goes on with it, now or when it is started again, or its engine died before the certificate was on
   * its disk (seen on Docker 20.10): then it is nobody for ever. It is nobody when every seat's engine speaks and is either a member or has nothing.
   * A seat without an instance hides nobody: its last change is over, so that its volume holds nothing, or a member that is not reachable now, which keeps the others waiting anyway. And its group may depend on the seat that waits here.
   */
  private everySeatIsKnown(): boolean {
    return this.observed.seats.every(({ seat, volumeId }) => {
      const holders = this.observed.instances.filter(({ group }) => group.seat === seat);
      return holders.every(({ report }) => report?.volume?.state === 'mounted' && report.volume.id === volumeId && (report.swarm?.state === 'inactive' || this.isMember(report)));
    });
  }

  private isMember({ swarm }: Report): boolean {
    return swarm?.state === 'active' && swarm.nodeId !== undefined && this.nodes.get(swarm.nodeId)?.manager !== undefined;
  }

  private managerAddresses(): string[] {
    const members = this.observed.nodes.flatMap(({ manager }) => manager ?? []).filter(({ reachability }) => reachability === 'reachable');
    members.sort((a, b) => Number(b.leader) - Number(a.leader));
    // What a manager reports is not proven: only constants of the deployment are handed on.
    return members.map(addressOf).filter((address) => this.observed.seats.some((seat) => seat.address === address));
  }

  /** The node that the leader's list shows Ready for this instance, if the instance itself says the same. */
  private readyNode({ instanceId, group, report }: Instance): SwarmNode | undefined {
    const swarm = report?.swarm;
    // The engine calls itself pending for half a second after the leader has found it Ready; its identity does not change any more.
    const nodeId = swarm?.state === 'active' || swarm?.state === 'pending' ? swarm.nodeId : undefined;
    if (nodeId === undefined) return undefined;
    const node = this.nodes.get(nodeId);
    const ready = node?.instanceId === instanceId && node.role === group.role && node.state === 'ready' && (group.role === 'worker' || node.manager?.reachability === 'reachable');
    return ready ? node : undefined;
  }
}

function addressOf({ address }: NonNullable<SwarmNode['manager']>): string {
  return address.replace(/:\d+$/, '');
}

/** No engine has ever spoken to the swarm as this node: the first word of each is its host's name. A later leader lists such a node as down. */
function neverSeen({ hostname, state }: SwarmNode): boolean {
  return hostname === '' && state !== 'ready';
}

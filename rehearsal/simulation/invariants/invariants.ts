/**
 * What must never happen (DESIGN.md, "What never changes"), judged by what the emulated AWS and the engines know, never
 * by our own records. Each breach is one sentence, after the number of the invariant.
 */
import type { AwsEvent } from '../../aws/core/types';
import { commandsCodec, TOMBSTONE_ATTRIBUTE } from '../../../protocol/commands';
import { leaderCodec } from '../../../protocol/cluster';
import { environmentVariables, type Seats } from '../../../protocol/environment';
import { LAUNCH_HOOK, TERMINATE_HOOK } from '../../../protocol/hooks';
import { plainAttributes } from '../../../protocol/items';
import { ROLE_TAG } from '../../../protocol/tags';
import {
  CLUSTER_PARTITION,
  COMMANDS_KEY,
  LEADER_KEY,
  LEASE_KEY,
  parseMailbox,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
} from '../../../protocol/keys';
import type { Call } from '../cluster/aws-link';
import type { SimulatedCluster } from '../cluster/cluster';
import type { SwarmTruth } from '../docker/simulated-docker';
import { quorumOf } from '../docker/swarm-state';
import type { SimulatedNode } from '../cluster/node';
import { TargetInvariants } from './targets';

type Item = Record<string, { S?: string; N?: string }>;

/** A join token, complete or truncated. */
const TOKEN = /SWMTKN-\d/;
/**
 * How long the swarm may have no visible leader before the quorum counts as lost: an election takes 20 s, a report 30
 * s.
 */
const QUORUM_UNHEARD_MS = 90_000;
/**
 * If a manager whose terminate hook was completed still leads, this is how long the functions wait for it; the same for
 * one of two managers.
 */
const UNHEARD_MS = 5 * 60_000;
/** The node list that decisions use may be 90 s old, and a pass takes some time. */
const KNOWN_MS = 150_000;
/** The share of a role that may be down before the breaker trips; it needs more than one node down, too. */
const MOST_DOWN = 0.2;

export class Invariants {
  readonly breaches: string[] = [];
  private readonly epochs = new Map<string, number>();
  /** When the terminate hook of each instance was completed. */
  private readonly leavingSince = new Map<string, number>();
  /** When each instance began to wait at its terminate hook. */
  private readonly endsSince = new Map<string, number>();
  /** Managers whose terminate hooks were completed, by address. */
  private readonly letGo = new Map<string, string>();
  private wholeStackGoes = false;
  private goesOnWith: number | undefined;
  /** Volumes with the swarm's state that a recovery has given up. */
  private readonly givenUp = new Set<string>();
  private readonly readyAt = new Map<string, number>();
  /** Whether each instance is a Ready node, and since when. */
  private readonly condition = new Map<string, { ready: boolean; since: number }>();
  private lastQuorum: number | undefined;
  /** When each raft member last ran. */
  private readonly aliveAt = new Map<number, number>();
  private readonly completed = new Set<string>();
  /** Former managers, which are removed so that they can join afresh. */
  private readonly retired = new Set<string | undefined>();
  /** Managers that are joining: from the start of the join until they are members or have given up. */
  private readonly joining = new Set<SimulatedNode>();
  private readonly targets: TargetInvariants;

  constructor(private readonly truth: SimulatedCluster) {
    truth.docker.onEvent(({ what, swarmId, nodeId }) => {
      if (what === 'raft-member-added') this.afterMemberAdded(nodeId);
      if (what === 'raft-member-removed') this.afterMemberRemoved(nodeId);
      if (what === 'bootstrapped' && truth.docker.swarms().length > 1)
        this.breach(1, `A second swarm, ${swarmId}, was created.`);
      this.watchQuorum();
    });
    truth.region.onEvent((event) => this.onAwsEvent(event));
    this.targets = new TargetInvariants(truth, (sentence) => this.breach(9, sentence));
  }

  /**
   * An operator declares the quorum lost for good; the swarm goes on with this seat, and the other seats' volumes are
   * given up.
   */
  personRecovers(seat: number): void {
    this.goesOnWith = seat;
  }

  /** After every step. */
  check(): void {
    this.watchQuorum();
    this.checkManagers();
    this.checkVolumes();
    this.targets.check();
  }

  /** After each request that AWS carried out. */
  onCall(call: Call): void {
    const { service, action, input } = call;
    this.targets.onCall(call);
    if (service === 'sqs' && action === 'SendMessage' && TOKEN.test(String(input.MessageBody)))
      this.breach(7, 'A join token was sent through a queue.');
    if (action === 'SetInstanceHealth') this.beforeReplacement(String(input.InstanceId));
    if (action === 'TerminateInstanceInAutoScalingGroup') this.beforeTermination(String(input.InstanceId));
    if (service !== 'dynamodb' || !/^(Put|Update|Delete|TransactWrite)/.test(action)) return;
    const operator = this.truth.region.operator.accessKeyId;
    for (const { table, key } of writtenKeys(action, input)) {
      void this.truth.region
        .call({
          service: 'dynamodb',
          action: 'GetItem',
          input: { TableName: table, Key: key, ConsistentRead: true },
          accessKeyId: operator,
        })
        .then(({ Item }) => Item && this.onItem(Item as Item));
    }
  }

  /** Before each effect of an agent. */
  onEffect(node: SimulatedNode, effect: string, argument?: unknown): void {
    const { instanceId } = node.identity;
    if (effect === 'removeNode') this.beforeRemoval(String(argument));
    if (effect === 'leaveSwarm') this.beforeLeave(node);
    if (effect === 'recoverSwarm') this.beforeRecovery(node);
    if (effect !== 'joinSwarm' && effect !== 'initSwarm') return;
    // Its agent may have looked before that: a look takes several calls, and each may be slow.
    const since = this.truth.clock.now() - (this.leavingSince.get(instanceId) ?? Number.POSITIVE_INFINITY);
    if (since > 30_000)
      this.breach(
        5,
        `${instanceId} begins ${effect} ${Math.round(since / 1000)} s after its terminate hook was completed.`,
      );
    if (effect === 'joinSwarm' && node.role === 'manager') this.joining.add(node);
  }

  /** An event that a function receives, from a queue or a stream. */
  onEvent(functionName: string, event: unknown): void {
    if (TOKEN.test(JSON.stringify(event))) this.breach(7, `A join token is in an event of ${functionName}.`);
  }

  /** A line that goes to CloudWatch Logs. */
  onLog(origin: string, line: string): void {
    if (TOKEN.test(line)) this.breach(7, `A join token is in the log of ${origin}.`);
  }

  private breach(invariant: number, sentence: string): void {
    this.breaches.push(`${invariant}: ${sentence}`);
  }

  private onAwsEvent({ source, what, subject, detail }: AwsEvent): void {
    if (source === 'iam' && what === 'denied' && !this.cameTooLate(detail))
      this.breach(0, `${detail.principal} was denied ${detail.action} on ${detail.resource}.`);
    if (source === 'cloudformation' && detail.type === 'AWS::CloudFormation::Stack' && /^(rollback|delete)/.test(what))
      this.wholeStackGoes = true;
    if (source === 'autoscaling' && what === 'terminating-wait') this.endsSince.set(subject, this.truth.clock.now());
    if (source !== 'autoscaling' || what !== 'hook-completed') return;
    const { hook, result } = detail as { hook: string; result: string };
    const once = `${subject} ${hook}`;
    if (this.completed.has(once)) this.breach(8, `The ${hook} hook of ${subject} was completed twice.`);
    this.completed.add(once);
    if (hook === TERMINATE_HOOK) this.afterLetGo(subject);
    if (hook === LAUNCH_HOOK && result === 'CONTINUE') this.afterContinue(subject);
    if (hook === LAUNCH_HOOK && result === 'ABANDON') this.afterAbandon(subject);
  }

  /**
   * Whether a denied request is harmless: its sender was terminated, or its target was deleted or removed from the
   * template, while it was under way. Policies and tags go with them.
   */
  private cameTooLate(denied: Record<string, unknown>): boolean {
    const session = String(denied.principalArn).split('/').at(-1)!;
    const [, group] = /:autoScalingGroupName\/(.+)$/.exec(String(denied.resource)) ?? [];
    const { machines, region } = this.truth;
    const resource = String(denied.resource);
    const [, targetGroup] = /:targetgroup\/([^/*]+)\/[^*]+$/.exec(resource) ?? [];
    const [, volume] = /:volume\/(vol-[^/*]+)$/.exec(resource) ?? [];
    const isListener = /:listener\/net\/[^*]+$/.test(resource);
    return (
      (session.startsWith('i-') && !machines.nodes.has(session)) ||
      (group !== undefined && !region.groups().some(({ name }) => name === group)) ||
      // A deployment removed its seat, or was rolled back, and the request followed from a stale answer.
      (volume !== undefined && !this.seats().some(({ volumeId }) => volumeId === volume)) ||
      // What is gone has no tags, but a stale answer may still show it.
      (targetGroup !== undefined && !region.remains().includes(targetGroup)) ||
      (isListener && !region.loadBalancers().some(({ listeners }) => listeners.some(({ arn }) => arn === resource)))
    );
  }

  private afterContinue(instanceId: string): void {
    this.watchQuorum();
    const seen = this.readyAt.get(instanceId);
    if (seen === undefined || this.truth.clock.now() - seen > KNOWN_MS)
      this.breach(8, `The launch hook of ${instanceId} was continued, but it was not a Ready node of the swarm.`);
  }

  private afterAbandon(instanceId: string): void {
    const node = this.truth.machines.nodes.get(instanceId);
    const swarm = this.truth.docker.swarms()[0];
    if (swarm === undefined || node?.role !== 'manager') return;
    this.checkQuorumWithout(node, swarm, 'abandoned');
    const lost = this.lastQuorum !== undefined && this.truth.clock.now() - this.lastQuorum > QUORUM_UNHEARD_MS;
    const identity =
      node.attachedVolume === undefined
        ? undefined
        : this.truth.machines.volumes.get(node.attachedVolume)?.docker?.certificate?.nodeId;
    // Its volume decides which member it is: a successor without the volume only has the address.
    if (lost && !this.isGivenUp(node) && swarm.members.some(({ nodeId }) => nodeId === identity))
      this.breach(8, `${instanceId}, a raft member, was abandoned while the swarm had no quorum.`);
  }

  private afterLetGo(instanceId: string): void {
    const node = this.truth.machines.nodes.get(instanceId);
    const swarm = this.truth.docker.swarms()[0];
    // It leads but is cut off: as long as it leads, nothing reports the swarm.
    const unheard =
      swarm !== undefined &&
      swarm.leader !== undefined &&
      swarm.leader === node?.daemon.runner?.nodeId &&
      this.truth.clock.now() - this.endsSince.get(instanceId)! >= UNHEARD_MS &&
      this.isBuried(instanceId);
    // With two managers neither could ever go. Its volume stays, and its successor restores the quorum.
    const returns =
      swarm?.members.length === 2 &&
      this.truth.clock.now() - this.endsSince.get(instanceId)! >= UNHEARD_MS &&
      this.seats().some(({ volumeId }) => volumeId === node?.attachedVolume);
    // When the whole stack or the only manager goes, there is no quorum to keep.
    if (node?.role === 'manager' && swarm && swarm.members.length > 1 && !this.wholeStackGoes && !unheard && !returns)
      this.checkQuorumWithout(node, swarm, 'let go');
    if (node?.role === 'manager') this.letGo.set(node.identity.address, instanceId);
    this.leavingSince.set(instanceId, this.truth.clock.now());
  }

  private isBuried(instanceId: string): boolean {
    return this.truth.region
      .tableItems()
      .some(
        ({ item }) => item[TOMBSTONE_ATTRIBUTE] !== undefined && item[PARTITION_KEY]?.S?.endsWith(`:${instanceId}`),
      );
  }

  /**
   * The decision used a list that may be old: a member that was lost since then counts as present. One whose terminate
   * hook was completed before does not.
   */
  private checkQuorumWithout({ identity }: SimulatedNode, { members }: SwarmTruth, how: string): void {
    const now = this.truth.clock.now();
    // Until the swarm is published it has one manager, whose volume goes to the successor.
    if (!this.epochs.has(LEADER_KEY) || !members.some(({ address, alive }) => alive && address === identity.address))
      return;
    const reachable = members.filter(
      ({ raftId, address, alive }) =>
        (alive || now - (this.aliveAt.get(raftId) ?? 0) < QUORUM_UNHEARD_MS) && !this.wasLetGo(address),
    ).length;
    const quorum = quorumOf(members.length);
    if (reachable >= quorum && reachable - 1 < quorum)
      this.breach(
        2,
        `${identity.instanceId}, one of ${reachable} reachable of ${members.length} managers, was ${how}.`,
      );
  }

  /** The configured number: their groups may be created one after another. */
  private seats(): Seats {
    const variables = Object.assign(
      {},
      ...this.truth.region.functions().map(({ environment }) => environment),
    ) as Record<string, string>;
    return JSON.parse(variables[environmentVariables.seats] ?? '[]') as Seats;
  }

  /** Whether the manager at this address was let go, and has no successor yet. */
  private wasLetGo(address: string): boolean {
    const holder = [...this.truth.machines.nodes.values()].find(({ identity }) => identity.address === address)
      ?.identity.instanceId;
    const last = this.letGo.get(address);
    return last !== undefined && (holder === undefined || holder === last);
  }

  /** A member whose identity is on no volume is dead for good. */
  private afterMemberAdded(added: string | undefined): void {
    const identities = this.identities();
    for (const { nodeId } of this.truth.docker.swarms()[0]?.members ?? []) {
      if (nodeId !== added && !identities.has(nodeId))
        this.breach(3, `A manager was added while ${nodeId}, which is dead for good, was still a raft member.`);
    }
  }

  /** The decision used a list of the others that may be old. */
  private afterMemberRemoved(removed: string | undefined): void {
    this.retired.add(removed);
    const members = this.truth.docker.swarms()[0]?.members ?? [];
    const reachable = members.filter(
      ({ raftId, alive }) => alive || this.truth.clock.now() - (this.aliveAt.get(raftId) ?? 0) < QUORUM_UNHEARD_MS,
    ).length;
    if (reachable < quorumOf(members.length))
      this.breach(
        2,
        `${removed} was removed from raft, but only ${reachable} of the other ${members.length} are reachable.`,
      );
  }

  private beforeLeave(node: SimulatedNode): void {
    const swarm = this.truth.docker.swarms()[0];
    const member = swarm?.members.find(({ address }) => address === node.identity.address);
    if (swarm === undefined || member === undefined || !node.daemon.running) return;
    // Without a leader the second of two may leave: the first has the whole state.
    if (swarm.members.length === 2 && swarm.leader === undefined) return;
    const reachable = swarm.members.filter((one) => one.alive).length;
    const quorum = quorumOf(swarm.members.length);
    if (member.alive && reachable >= quorum && reachable - 1 < quorum)
      this.breach(
        2,
        `${node.identity.instanceId}, one of ${reachable} reachable of ${swarm.members.length} managers, ` +
          'leaves the swarm.',
      );
  }

  /** An agent may only remove a worker that is leaving or gone. */
  private beforeRemoval(nodeId: string): void {
    const node = this.truth.docker.swarms()[0]?.nodes.find(({ id }) => id === nodeId);
    const { instanceId } = node ?? {};
    if (
      node?.role !== 'worker' ||
      node.manager ||
      instanceId === undefined ||
      !this.truth.machines.nodes.get(instanceId)?.on
    )
      return;
    if (!this.endsSince.has(instanceId) && !this.retired.has(nodeId))
      this.breach(4, `${nodeId} was removed, but its instance ${instanceId} runs and is not leaving.`);
  }

  private beforeTermination(instanceId: string): void {
    const node = this.truth.machines.nodes.get(instanceId);
    if (!this.truth.region.hasSpotNotice(instanceId) && !(node && this.isGivenUp(node)))
      this.breach(10, `${instanceId} was terminated, but EC2 is not reclaiming it.`);
  }

  private isGivenUp({ seat }: SimulatedNode): boolean {
    return this.goesOnWith !== undefined && seat !== undefined && seat !== this.goesOnWith;
  }

  /**
   * An engine that still has the swarm's state could make a second swarm of it. After a recovery, the state may only be
   * on volumes that are given up and attached to no instance.
   */
  private beforeRecovery(node: SimulatedNode): void {
    const { docker, machines } = this.truth;
    const members = new Set(docker.swarms()[0]?.members.map(({ nodeId }) => nodeId));
    const attached = new Set([...machines.nodes.values()].map(({ attachedVolume }) => attachedVolume));
    for (const [volumeId, { docker: state }] of machines.volumes) {
      const nodeId = state?.certificate?.nodeId;
      if (volumeId === node.attachedVolume || !members.has(nodeId!)) continue;
      if (node.seat !== this.goesOnWith || attached.has(volumeId))
        this.breach(1, `${node.identity.instanceId} goes on alone, but ${nodeId} still has the swarm's state.`);
      this.givenUp.add(volumeId);
    }
  }

  /** The node ids whose identity is on some volume. */
  private identities(): Set<string | undefined> {
    return new Set([...this.truth.machines.volumes.values()].map(({ docker }) => docker?.certificate?.nodeId));
  }

  /** The decision used a node list that may be old, so only conditions that have lasted count. */
  private beforeReplacement(instanceId: string): void {
    const now = this.truth.clock.now();
    const role = this.truth.machines.nodes.get(instanceId)?.role;
    const lasts = (id: string, ready: boolean) =>
      this.condition.get(id)?.ready === ready && now - this.condition.get(id)!.since > KNOWN_MS;
    if (lasts(instanceId, true)) this.breach(10, `${instanceId} is Ready, but was set to Unhealthy.`);
    if (this.lastQuorum !== undefined && now - this.lastQuorum > KNOWN_MS)
      this.breach(10, `${instanceId} was set to Unhealthy while no quorum could report it.`);
    const serving = this.truth.region
      .groups()
      .filter(({ tags }) => tags[ROLE_TAG] === role)
      .flatMap(({ instances }) =>
        instances.filter((one) => one.state === 'InService' || one.instanceId === instanceId),
      );
    const down = serving.filter((one) => lasts(one.instanceId, false)).length;
    if (down > 1 && down > serving.length * MOST_DOWN)
      this.breach(10, `${instanceId} was set to Unhealthy while ${down} of ${serving.length} ${role}s were down.`);
  }

  private watchConditions(ready: ReadonlySet<string | undefined>): void {
    for (const instanceId of this.truth.machines.nodes.keys()) {
      const isReady = ready.has(instanceId);
      if (this.condition.get(instanceId)?.ready !== isReady)
        this.condition.set(instanceId, { ready: isReady, since: this.truth.clock.now() });
    }
  }

  private watchQuorum(): void {
    const swarm = this.truth.docker.swarms()[0];
    if (swarm === undefined) return;
    this.watchConditions(
      new Set(swarm.nodes.flatMap(({ state, instanceId }) => (state === 'ready' ? [instanceId] : []))),
    );
    if (swarm.hasQuorum) this.lastQuorum = this.truth.clock.now();
    for (const { raftId, alive } of swarm.members) if (alive) this.aliveAt.set(raftId, this.truth.clock.now());
    for (const { state, instanceId } of swarm.nodes)
      if (state === 'ready' && instanceId !== undefined) this.readyAt.set(instanceId, this.truth.clock.now());
  }

  /** At most one manager joins at a time. */
  private checkManagers(): void {
    const members = new Set(this.truth.docker.swarms().flatMap((swarm) => swarm.members.map(({ address }) => address)));
    for (const node of this.joining) {
      if (
        !node.on ||
        !node.daemon.running ||
        members.has(node.identity.address) ||
        node.daemon.runner?.status !== 'pending'
      )
        this.joining.delete(node);
    }
    if (this.joining.size > 1)
      this.breach(
        3,
        `Managers at ${[...this.joining].map(({ identity }) => identity.address).join(' and ')} are joining at the same time.`,
      );
    const addresses = this.truth.docker.swarms()[0]?.members.map(({ address }) => address) ?? [];
    if (new Set(addresses).size < addresses.length)
      this.breach(3, `Raft has two members at one address: ${addresses.join(', ')}.`);
  }

  private checkVolumes(): void {
    const holders = new Map<string, string>();
    for (const [instanceId, { attachedVolume }] of this.truth.machines.nodes) {
      if (attachedVolume === undefined) continue;
      const other = holders.get(attachedVolume);
      if (other !== undefined) this.breach(12, `${attachedVolume} is attached to ${other} and ${instanceId}.`);
      holders.set(attachedVolume, instanceId);
      if (this.givenUp.has(attachedVolume))
        this.breach(1, `${instanceId} got ${attachedVolume}, which the recovery had given up.`);
    }
  }

  /** Checks an item after a write. */
  private onItem(item: Item): void {
    const plain = plainAttributes(item);
    const [partition, sort] = [String(plain[PARTITION_KEY]), String(plain[SORT_KEY])];
    if (partition === CLUSTER_PARTITION && (sort === LEADER_KEY || sort === LEASE_KEY))
      this.checkEpoch(sort, Number(plain.epoch));
    if (sort === LEADER_KEY) this.checkLeader(plain);
    if (sort === COMMANDS_KEY) this.checkCommand(plain, partition);
    const mayHoldTokens =
      (partition === CLUSTER_PARTITION && sort === LEADER_KEY) || sort === COMMANDS_KEY || sort === REPORT_KEY;
    if (!mayHoldTokens && TOKEN.test(JSON.stringify(item)))
      this.breach(7, `A join token is in ${partition} / ${sort}.`);
  }

  private checkEpoch(record: string, epoch: number): void {
    const before = this.epochs.get(record);
    if (before !== undefined && epoch < before)
      this.breach(6, `The epoch of ${record} went from ${before} to ${epoch}.`);
    this.epochs.set(record, epoch);
  }

  private checkLeader(plain: Record<string, unknown>): void {
    const leader = leaderCodec.decode(plain);
    if (!leader.ok) return this.breach(6, `The leader record cannot be read (${leader.refusal}).`);
    const swarm = this.truth.docker.swarms().find(({ swarmId }) => swarmId === leader.value.swarmId);
    if (swarm === undefined)
      return this.breach(1, `The leader record names the swarm ${leader.value.swarmId}, which was never created.`);
    if (leader.value.epoch > swarm.version)
      this.breach(6, `The leader record has epoch ${leader.value.epoch}, but raft committed only ${swarm.version}.`);
  }

  private checkCommand(plain: Record<string, unknown>, box: string): void {
    const commands = commandsCodec.decode(plain);
    if (!commands.ok || commands.value.command === null) return;
    const { instanceId, kind } = commands.value.command;
    if (parseMailbox(box)?.instanceId !== instanceId) this.breach(5, `A command for ${instanceId} is in ${box}.`);
    if (kind !== 'leave' && this.leavingSince.has(instanceId))
      this.breach(5, `${instanceId} was told to ${kind} after its terminate hook was completed.`);
    const worker = this.truth.machines.nodes.get(instanceId)?.role === 'worker';
    const { command } = commands.value;
    if (
      worker &&
      command.kind === 'join' &&
      this.truth.docker.swarms().some(({ managerToken }) => command.token === managerToken)
    )
      this.breach(7, `A worker, ${instanceId}, was given the managers' token.`);
  }
}

/** The items that a write changed. */
function writtenKeys(action: string, input: Record<string, any>): { table: string; key: Item }[] {
  const keyOf = (item: Item): Item => ({ [PARTITION_KEY]: item[PARTITION_KEY]!, [SORT_KEY]: item[SORT_KEY]! });
  if (action === 'PutItem') return [{ table: input.TableName, key: keyOf(input.Item) }];
  if (action !== 'TransactWriteItems') return [{ table: input.TableName, key: input.Key }];
  return (input.TransactItems as Record<string, any>[]).flatMap(({ Put, Update, Delete }) => {
    if (Put) return [{ table: Put.TableName, key: keyOf(Put.Item) }];
    const other = Update ?? Delete;
    return other ? [{ table: other.TableName, key: other.Key }] : [];
  });
}

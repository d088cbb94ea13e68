/**
 * What must never happen (DESIGN.md, "What never changes"), judged by what the emulated AWS and the engines know, never
 * by our own records. Each breach is one sentence that begins with the number of the invariant.
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

/** A join token, whole or cut. */
const TOKEN = /SWMTKN-\d/;
/**
 * How long the swarm may be without a leader that anybody could hear of before it counts as lost: an election takes 20
 * s, a report 30 s.
 */
const QUORUM_UNHEARD_MS = 90_000;
/** A manager that was let go already is not waited for longer than this, should it lead; nor is one of two. */
const UNHEARD_MS = 5 * 60_000;
/** The list that decisions are made from may be 90 s old, and a look takes some time. */
const KNOWN_MS = 150_000;
/** Of a role; and more than one node. */
const MOST_DOWN = 0.2;

export class Invariants {
  readonly breaches: string[] = [];
  private readonly epochs = new Map<string, number>();
  /** When the terminate hooks of instances were completed. */
  private readonly leavingSince = new Map<string, number>();
  /** When instances began to wait at their terminate hooks. */
  private readonly endsSince = new Map<string, number>();
  /** Managers that were let go, by address. */
  private readonly letGo = new Map<string, string>();
  private wholeStackGoes = false;
  private goesOnWith: number | undefined;
  /** Volumes with the swarm's state, without which it went on. */
  private readonly givenUp = new Set<string>();
  private readonly readyAt = new Map<string, number>();
  /** Whether an instance is a Ready node, and since when it has been so. */
  private readonly condition = new Map<string, { ready: boolean; since: number }>();
  private lastQuorum: number | undefined;
  /** When members of raft ran last. */
  private readonly aliveAt = new Map<number, number>();
  private readonly completed = new Set<string>();
  /** Nodes that were managers: they are removed to join afresh. */
  private readonly retired = new Set<string | undefined>();
  /** Managers that are being taken in: from the join of their engine until it is a member or has given up. */
  private readonly joining = new Set<SimulatedNode>();
  private readonly targets: TargetInvariants;

  constructor(private readonly truth: SimulatedCluster) {
    truth.docker.onEvent(({ what, swarmId, nodeId }) => {
      if (what === 'raft-member-added') this.afterMemberAdded(nodeId);
      if (what === 'raft-member-removed') this.afterMemberRemoved(nodeId);
      if (what === 'bootstrapped' && truth.docker.swarms().length > 1)
        this.breach(1, `A second swarm, ${swarmId}, was made.`);
      this.watchQuorum();
    });
    truth.region.onEvent((event) => this.onAwsEvent(event));
    this.targets = new TargetInvariants(truth, (sentence) => this.breach(9, sentence));
  }

  /**
   * A person says that the quorum is lost for good, and that the swarm goes on with this seat. What the others have on
   * their volumes is given up.
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
    // Its agent's last look was before: one look takes some calls, each of which may be slow.
    const since = this.truth.clock.now() - (this.leavingSince.get(instanceId) ?? Number.POSITIVE_INFINITY);
    if (since > 30_000)
      this.breach(
        5,
        `${instanceId} begins ${effect} ${Math.round(since / 1000)} s after its terminate hook was completed.`,
      );
    if (effect === 'joinSwarm' && node.role === 'manager') this.joining.add(node);
  }

  /** An event that a function is given: from a queue or a stream. */
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
   * A request that was under way when its sender was terminated, or what it is about was deleted or taken out of the
   * template: their policies and tags went with them.
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
      // A deployment has taken its seat away, or was rolled back, before an answer that is old was.
      (volume !== undefined && !this.seats().some(({ volumeId }) => volumeId === volume)) ||
      // Of what is gone nobody knows the tags any more: an answer that is old may show it still.
      (targetGroup !== undefined && !region.remains().includes(targetGroup)) ||
      (isListener && !region.loadBalancers().some(({ listeners }) => listeners.some(({ arn }) => arn === resource)))
    );
  }

  private afterContinue(instanceId: string): void {
    this.watchQuorum();
    const seen = this.readyAt.get(instanceId);
    if (seen === undefined || this.truth.clock.now() - seen > KNOWN_MS)
      this.breach(8, `The launch of ${instanceId} was continued, but it was no Ready node of the swarm.`);
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
    // What counts is who it is, by its volume: a successor that never got that far has the address, and nothing else.
    if (lost && !this.isGivenUp(node) && swarm.members.some(({ nodeId }) => nodeId === identity))
      this.breach(8, `${instanceId}, a member of raft, was abandoned while the swarm had no quorum.`);
  }

  private afterLetGo(instanceId: string): void {
    const node = this.truth.machines.nodes.get(instanceId);
    const swarm = this.truth.docker.swarms()[0];
    // When all of it goes, there is no quorum to keep; nor is there one without the only manager.
    // It leads, but nobody hears it any more: as long as it does, nobody hears of the swarm.
    const unheard =
      swarm !== undefined &&
      swarm.leader !== undefined &&
      swarm.leader === node?.daemon.runner?.nodeId &&
      this.truth.clock.now() - this.endsSince.get(instanceId)! >= UNHEARD_MS &&
      this.isBuried(instanceId);
    // Of two neither could ever go; its volume stays, and its successor brings the quorum back.
    const returns =
      swarm?.members.length === 2 &&
      this.truth.clock.now() - this.endsSince.get(instanceId)! >= UNHEARD_MS &&
      this.seats().some(({ volumeId }) => volumeId === node?.attachedVolume);
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
   * Who decided knew the swarm as it was some time ago: a member that was lost since counts as there. One that was let
   * go before does not.
   */
  private checkQuorumWithout({ identity }: SimulatedNode, { members }: SwarmTruth, how: string): void {
    const now = this.truth.clock.now();
    // Before anybody was told of a swarm, it has one manager, and its volume goes to the successor.
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

  /** As they are configured: their groups may be made one after the other. */
  private seats(): Seats {
    const variables = Object.assign(
      {},
      ...this.truth.region.functions().map(({ environment }) => environment),
    ) as Record<string, string>;
    return JSON.parse(variables[environmentVariables.seats] ?? '[]') as Seats;
  }

  /** And its successor is not there yet. */
  private wasLetGo(address: string): boolean {
    const holder = [...this.truth.machines.nodes.values()].find(({ identity }) => identity.address === address)
      ?.identity.instanceId;
    const last = this.letGo.get(address);
    return last !== undefined && (holder === undefined || holder === last);
  }

  /** A member whose identity is on no volume any more is dead for good. */
  private afterMemberAdded(added: string | undefined): void {
    const identities = this.identities();
    for (const { nodeId } of this.truth.docker.swarms()[0]?.members ?? []) {
      if (nodeId !== added && !identities.has(nodeId))
        this.breach(3, `A manager was added while ${nodeId}, which is dead for good, is still a member of raft.`);
    }
  }

  /** Who decided knew the others as they were some time ago. */
  private afterMemberRemoved(removed: string | undefined): void {
    this.retired.add(removed);
    const members = this.truth.docker.swarms()[0]?.members ?? [];
    const reachable = members.filter(
      ({ raftId, alive }) => alive || this.truth.clock.now() - (this.aliveAt.get(raftId) ?? 0) < QUORUM_UNHEARD_MS,
    ).length;
    if (reachable < quorumOf(members.length))
      this.breach(
        2,
        `${removed} was taken out of raft, and of the other ${members.length} only ${reachable} are reachable.`,
      );
  }

  private beforeLeave(node: SimulatedNode): void {
    const swarm = this.truth.docker.swarms()[0];
    const member = swarm?.members.find(({ address }) => address === node.identity.address);
    if (swarm === undefined || member === undefined || !node.daemon.running) return;
    // Of two without a leader the second may leave: the first has all that there is.
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

  /** An agent removes a worker that leaves, or one that is no more. */
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
      this.breach(4, `${nodeId} is removed, but its instance ${instanceId} is there, and does not leave.`);
  }

  private beforeTermination(instanceId: string): void {
    const node = this.truth.machines.nodes.get(instanceId);
    if (!this.truth.region.hasSpotNotice(instanceId) && !(node && this.isGivenUp(node)))
      this.breach(10, `${instanceId} was terminated, though EC2 does not take it back.`);
  }

  private isGivenUp({ seat }: SimulatedNode): boolean {
    return this.goesOnWith !== undefined && seat !== undefined && seat !== this.goesOnWith;
  }

  /**
   * Whoever still has the swarm's state could make a second swarm of it: where a person gives it up, it may lie on
   * volumes that nobody has, or ever will have.
   */
  private beforeRecovery(node: SimulatedNode): void {
    const { docker, machines } = this.truth;
    const members = new Set(docker.swarms()[0]?.members.map(({ nodeId }) => nodeId));
    const attached = new Set([...machines.nodes.values()].map(({ attachedVolume }) => attachedVolume));
    for (const [volumeId, { docker: state }] of machines.volumes) {
      const nodeId = state?.certificate?.nodeId;
      if (volumeId === node.attachedVolume || !members.has(nodeId!)) continue;
      if (node.seat !== this.goesOnWith || attached.has(volumeId))
        this.breach(1, `${node.identity.instanceId} is to go on alone, but ${nodeId} still has the swarm's state.`);
      this.givenUp.add(volumeId);
    }
  }

  /** Who is still there on some volume. */
  private identities(): Set<string | undefined> {
    return new Set([...this.truth.machines.volumes.values()].map(({ docker }) => docker?.certificate?.nodeId));
  }

  /** Who decided knew the nodes as they were some time ago: what counts is what has been so for long. */
  private beforeReplacement(instanceId: string): void {
    const now = this.truth.clock.now();
    const role = this.truth.machines.nodes.get(instanceId)?.role;
    const lasts = (id: string, ready: boolean) =>
      this.condition.get(id)?.ready === ready && now - this.condition.get(id)!.since > KNOWN_MS;
    if (lasts(instanceId, true)) this.breach(10, `${instanceId} is Ready, and was called unhealthy.`);
    if (this.lastQuorum !== undefined && now - this.lastQuorum > KNOWN_MS)
      this.breach(10, `${instanceId} was called unhealthy, but no quorum was there to say so.`);
    const serving = this.truth.region
      .groups()
      .filter(({ tags }) => tags[ROLE_TAG] === role)
      .flatMap(({ instances }) =>
        instances.filter((one) => one.state === 'InService' || one.instanceId === instanceId),
      );
    const down = serving.filter((one) => lasts(one.instanceId, false)).length;
    if (down > 1 && down > serving.length * MOST_DOWN)
      this.breach(10, `${instanceId} was called unhealthy while ${down} of ${serving.length} ${role}s were down.`);
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

  /** At most one manager is being taken in. */
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
        `Managers at ${[...this.joining].map(({ identity }) => identity.address).join(' and ')} join at the same time.`,
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
        this.breach(1, `${instanceId} got ${attachedVolume}, without which the swarm went on.`);
    }
  }

  /** An item as it lies in a table after a write. */
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
      this.breach(7, `A join token lies in ${partition} / ${sort}.`);
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
      return this.breach(1, `The leader record names the swarm ${leader.value.swarmId}, which was never made.`);
    if (leader.value.epoch > swarm.version)
      this.breach(6, `The leader record has epoch ${leader.value.epoch}, but raft committed only ${swarm.version}.`);
  }

  private checkCommand(plain: Record<string, unknown>, box: string): void {
    const commands = commandsCodec.decode(plain);
    if (!commands.ok || commands.value.command === null) return;
    const { instanceId, kind } = commands.value.command;
    if (parseMailbox(box)?.instanceId !== instanceId) this.breach(5, `A command for ${instanceId} lies in ${box}.`);
    if (kind !== 'leave' && this.leavingSince.has(instanceId))
      this.breach(5, `${instanceId} is told to ${kind} after its terminate hook was completed.`);
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

/** Where a write went. */
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

/**
 * Gathers an observation: one query of the token table, one paged describe of the groups, the reports of the managers,
 * and, only while instances wait or leave, or nodes do not work, of their instances, volumes, stacks and reports.
 */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { DescribeStacksCommand, type CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { BatchGetItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVolumesCommand,
  paginateDescribeInstances,
  paginateDescribeSpotInstanceRequests,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import { marshall } from '@aws-sdk/util-dynamodb';
import * as v from 'valibot';
import type { Clock } from '../../protocol/clock';
import { instanceIdSchema } from '../../protocol/body';
import { emptyMembership, LEADER_STALE_MS, leaderCodec, membershipCodec } from '../../protocol/cluster';
import { TOMBSTONE_ATTRIBUTE } from '../../protocol/commands';
import type { Seats, SwarmSettings } from '../../protocol/environment';
import {
  CLUSTER_PARTITION,
  LEADER_KEY,
  mailbox,
  MEMBERSHIP_KEY,
  NODES_KEY_PREFIX,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
  TRAFFIC_KEY,
} from '../../protocol/keys';
import { plainAttributes } from '../../protocol/items';
import { reportCodec, type Report } from '../../protocol/report';
import { decodeSwarmReport, isWorkingManager, type SwarmNode } from '../../protocol/swarm';
import { CLUSTER_TAG } from '../../protocol/tags';
import { trafficCodec } from '../../protocol/targets';
import { describeGroups, type Group } from '../shared/groups';
import { describeError, type Log } from '../../protocol/log';
import { decodeRecord, queryPartition } from '../shared/tables';
import { formerManagers, isLeaving, lostWorkers, seesLeader } from './facts';
import type { Instance, Observation, Volume } from './observation';

/**
 * Instances that EC2 is asked about in one look. A filter takes 200 values:
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
 */
const MAX_ASKED = 200;
/** And one by one: only those of which EC2 did not speak. */
const MAX_ASKED_ALONE = 10;

/** States of an instance in which it may be a working manager, or become one. */
const MAY_WORK = /^(Pending:Wait|Pending:Proceed|InService|Terminating:Wait)$/;

export interface Observer {
  clock: Clock;
  log: Log;
  dynamodb: DynamoDBClient;
  ec2: EC2Client;
  autoScaling: AutoScalingClient;
  cloudFormation: CloudFormationClient;
  cluster: string;
  tokenTable: string;
  reportTable: string;
  roleIds: Record<'manager' | 'worker', string>;
  seats: Seats;
  settings: SwarmSettings;
  /** There is a load balancer. */
  loadBalanced: boolean;
}

export async function observe(dependencies: Observer): Promise<Observation> {
  const [records, { groups, instances: members }] = await Promise.all([
    clusterRecords(dependencies),
    describeGroups(dependencies.autoScaling, dependencies.cluster),
  ]);
  const instances: Instance[] = members;
  const waiting = instances.filter(({ lifecycleState }) => lifecycleState === 'Pending:Wait');
  const leaving = instances.filter(isLeaving);
  const silent = records.leader !== undefined && dependencies.clock.now() - records.leader.updatedAt >= LEADER_STALE_MS;
  const mayWork = instances.filter(
    (instance) =>
      MAY_WORK.test(instance.lifecycleState) &&
      (instance.group.role === 'manager' || isPromoted(records.nodes, instance)),
  );
  // A manager is admitted by what all managers say, not by its own word alone; nor does the leader's list tell of each
  // that works whether it does.
  const heard = [...new Set([...waiting, ...mayWork])];
  // While all of them work, and say so, nothing more is asked of them.
  const managersLookedAt =
    silent ||
    records.membership.managerChange !== null ||
    mayWork.some((instance) => !worksAs(records.nodes, instance));
  const askForVolumes = () => describeVolumes(dependencies, records.membership.recovery?.volumes ?? []);
  const [ec2, reports, volumesOfLost, stacksLeaving, gone, interrupted, interfaces] = await Promise.all([
    waiting.length > 0 ? describeInstances(dependencies) : new Map<string, Instance['ec2']>(),
    readReports(dependencies, heard),
    managersLookedAt ? askForVolumes() : undefined,
    leavingStacks(dependencies, leaving, groups),
    goneInstances(
      dependencies,
      [
        ...(records.leader && waiting.length > 0 ? [records.leader] : []),
        ...leaving,
        ...lostWorkers(records.nodes, instances),
        ...formerManagers(records.nodes, instances, dependencies.seats),
      ].map(({ instanceId }) => instanceId),
    ),
    instances.some(({ group, lifecycleState }) => group.spot && lifecycleState === 'InService')
      ? interruptedInstances(dependencies)
      : new Set<string>(),
    groups.some(({ seat, launchSuspended }) => seat !== undefined && launchSuspended) ||
    instances.some(({ group, lifecycleState }) => group.seat !== undefined && lifecycleState.startsWith('Terminating'))
      ? describeInterfaces(dependencies)
      : [],
  ]);
  for (const instance of heard) {
    instance.ec2 = ec2.get(instance.instanceId);
    const item = reports.get(instance.instanceId);
    if (item?.[TOMBSTONE_ATTRIBUTE] !== undefined) instance.hasTombstone = true;
    else instance.report = trustedReport(dependencies, instance, item);
  }
  const volumes =
    volumesOfLost ??
    (mayWork.some((instance) => instance.report?.swarm !== undefined && !seesLeader(instance))
      ? await askForVolumes()
      : []);
  return {
    now: dependencies.clock.now(),
    seats: dependencies.seats,
    settings: dependencies.settings,
    ...records,
    groups,
    instances,
    interfaces,
    volumes,
    stacksLeaving,
    gone,
    interrupted,
  };
}

/** By hand: it is no seat, and raft counts it. */
function isPromoted(nodes: SwarmNode[], { instanceId, group }: Instance): boolean {
  return group.role === 'worker' && nodes.some((node) => node.instanceId === instanceId && node.manager);
}

/** Whether the leader's list shows a working manager for an instance that is admitted. */
function worksAs(nodes: SwarmNode[], { instanceId, lifecycleState }: Instance): boolean {
  return (
    lifecycleState === 'InService' && nodes.some((node) => node.instanceId === instanceId && isWorkingManager(node))
  );
}

/** Everything in the cluster's own partition. */
async function clusterRecords(
  dependencies: Observer,
): Promise<Pick<Observation, 'leader' | 'nodes' | 'tasksPending' | 'membership' | 'traffic'>> {
  const items = await queryPartition(dependencies.dynamodb, dependencies.tokenTable, CLUSTER_PARTITION);
  const find = (key: string) => items.find((item) => item[SORT_KEY] === key);
  const membership = decodeRecord(dependencies, membershipCodec, find(MEMBERSHIP_KEY)) ?? emptyMembership;
  const leader = decodeRecord(dependencies, leaderCodec, find(LEADER_KEY));
  const chunks = items.filter((item) => String(item[SORT_KEY]).startsWith(NODES_KEY_PREFIX));
  const report = decodeSwarmReport(chunks);
  // Written with the leader's record, in one transaction; a query may see a part of one. Whoever is not in a list that
  // cannot be read is not therefore nobody.
  if (!report.ok && (leader || chunks.length > 0))
    throw new Error(
      `The list of nodes in ${dependencies.tokenTable} cannot be read (${report.refusal}). Nothing is changed until ` +
        'it can; the next look tries again.',
    );
  const traffic = dependencies.loadBalanced
    ? (decodeRecord(dependencies, trafficCodec, find(TRAFFIC_KEY)) ?? { arrived: [], left: [] })
    : undefined;
  return {
    leader,
    membership,
    ...(traffic && { traffic: { arrived: new Set(traffic.arrived), left: new Set(traffic.left) } }),
    nodes: report.ok ? report.value.nodes : [],
    tasksPending: report.ok ? report.value.tasksPending : undefined,
  };
}

async function describeInstances(dependencies: Observer): Promise<Map<string, Instance['ec2']>> {
  const found = new Map<string, Instance['ec2']>();
  const pages = paginateDescribeInstances(
    { client: dependencies.ec2, pageSize: 1000 },
    {
      Filters: [
        { Name: `tag:${CLUSTER_TAG}`, Values: [dependencies.cluster] },
        { Name: 'instance-state-name', Values: ['pending', 'running'] },
      ],
    },
  );
  for await (const { Reservations = [] } of pages) {
    for (const { InstanceId, State, PrivateIpAddress, LaunchTime } of Reservations.flatMap(
      ({ Instances }) => Instances ?? [],
    )) {
      found.set(InstanceId!, { state: State!.Name!, address: PrivateIpAddress, launchedAt: LaunchTime!.getTime() });
    }
  }
  return found;
}

/**
 * Stacks that go as a whole, of those of these instances; also where the stack stays, and the cluster is taken out of
 * it.
 */
async function leavingStacks(dependencies: Observer, instances: Instance[], groups: Group[]): Promise<Set<string>> {
  const stackIds = new Set(instances.flatMap(({ group }) => group.stack?.stackId ?? []));
  const seats = groups.filter((group) => dependencies.seats.some(({ seat }) => seat === group.seat));
  // Some may be gone already. An answer without any says nothing.
  if (seats.length > 0 && seats.every(({ closed }) => closed)) return stackIds;
  const leaving = new Set<string>();
  for (const stackId of stackIds) {
    const { Stacks = [] } = await dependencies.cloudFormation.send(new DescribeStacksCommand({ StackName: stackId }));
    // A creation that is rolled back goes as a whole; an update's is `UPDATE_ROLLBACK_...`.
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html#cfn-console-view-stack-data-resources-status-codes
    if (Stacks.some(({ StackStatus }) => /^(DELETE|ROLLBACK)_/.test(StackStatus ?? ''))) leaving.add(stackId);
  }
  return leaving;
}

/**
 * Those of which EC2 says that they have ended, or that it does not know them. An answer that merely lacks one, or an
 * error of another kind, says nothing: each is asked for by its own id then. What could not be asked now is asked by a
 * later look.
 */
async function goneInstances(dependencies: Observer, instanceIds: string[]): Promise<Set<string>> {
  const gone = new Set<string>();
  const unknown = new Set(instanceIds.filter((id) => v.is(instanceIdSchema, id)).slice(0, MAX_ASKED));
  if (unknown.size === 0) return gone;
  const { Reservations = [] } = await dependencies.ec2.send(
    new DescribeInstancesCommand({ Filters: [{ Name: 'instance-id', Values: [...unknown] }] }),
  );
  for (const { InstanceId, State } of Reservations.flatMap(({ Instances }) => Instances ?? [])) {
    unknown.delete(InstanceId!);
    if (State?.Name === 'terminated' || State?.Name === 'shutting-down') gone.add(InstanceId!);
  }
  for (const instanceId of [...unknown].slice(0, MAX_ASKED_ALONE)) {
    const ask = () => dependencies.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
    if (await isNotFound(dependencies, instanceId, 'InvalidInstanceID.NotFound', ask)) gone.add(instanceId);
  }
  return gone;
}

/** Whether EC2 does not know something by its own id. The id may be a node's own label, which nobody has checked. */
async function isNotFound(
  dependencies: Observer,
  id: string,
  notFound: string,
  ask: () => Promise<unknown>,
): Promise<boolean> {
  try {
    await ask();
    return false;
  } catch (error) {
    if (error instanceof Error && error.name === notFound) return true;
    dependencies.log('warn', 'EC2 did not say whether it knows this.', { id, error: describeError(error) });
    return false;
  }
}

/**
 * Of the whole account, where few are at a time. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html (marked-for-termination)
 */
async function interruptedInstances(dependencies: Observer): Promise<Set<string>> {
  const interrupted = new Set<string>();
  const pages = paginateDescribeSpotInstanceRequests(
    { client: dependencies.ec2, pageSize: 1000 },
    { Filters: [{ Name: 'status-code', Values: ['marked-for-termination'] }] },
  );
  for await (const { SpotInstanceRequests = [] } of pages)
    for (const { InstanceId } of SpotInstanceRequests) if (InstanceId) interrupted.add(InstanceId);
  return interrupted;
}

/** Of the seats, and those that are given up in a recovery. */
async function describeVolumes(dependencies: Observer, givenUp: string[]): Promise<Volume[]> {
  const volumeIds = [...dependencies.seats.map(({ volumeId }) => volumeId), ...givenUp];
  // By filter: asked by id, EC2 answers with an error if a single one is gone.
  const { Volumes = [] } = await dependencies.ec2.send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'volume-id', Values: [...new Set(volumeIds)] }] }),
  );
  const found: Volume[] = Volumes.map(({ VolumeId, State, Attachments }) => ({
    volumeId: VolumeId!,
    state: State!,
    attachedTo: Attachments?.find((attachment) => attachment.State === 'attached')?.InstanceId,
  }));
  // An answer that merely lacks one says nothing: of what is given up, each is asked for by its own id then.
  for (const volumeId of givenUp.filter((id) => !found.some((volume) => volume.volumeId === id))) {
    const ask = () => dependencies.ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] }));
    if (await isNotFound(dependencies, volumeId, 'InvalidVolume.NotFound', ask))
      found.push({ volumeId, state: 'deleted' });
  }
  return found;
}

async function describeInterfaces(dependencies: Observer): Promise<Observation['interfaces']> {
  const { NetworkInterfaces = [] } = await dependencies.ec2.send(
    new DescribeNetworkInterfacesCommand({
      Filters: [
        {
          Name: 'network-interface-id',
          Values: dependencies.seats.map(({ networkInterfaceId }) => networkInterfaceId),
        },
      ],
    }),
  );
  return NetworkInterfaces.map(({ NetworkInterfaceId, Status }) => ({
    networkInterfaceId: NetworkInterfaceId!,
    status: Status!,
  }));
}

/** Batches of 100 keys, which is the most that DynamoDB takes; what it leaves unprocessed is asked again. */
async function readReports(
  dependencies: Observer,
  instances: Instance[],
): Promise<Map<string, Record<string, unknown>>> {
  const found = new Map<string, Record<string, unknown>>();
  let keys = instances.map(({ instanceId, group }) =>
    marshall({ [PARTITION_KEY]: mailbox(dependencies.roleIds[group.role], instanceId), [SORT_KEY]: REPORT_KEY }),
  );
  while (keys.length > 0) {
    const { Responses, UnprocessedKeys } = await dependencies.dynamodb.send(
      new BatchGetItemCommand({
        RequestItems: { [dependencies.reportTable]: { Keys: keys.slice(0, 100), ConsistentRead: true } },
      }),
    );
    for (const item of Responses?.[dependencies.reportTable] ?? []) {
      const plain = plainAttributes(item);
      found.set(String(plain[PARTITION_KEY]).split(':')[1]!, plain);
    }
    const unprocessed = UnprocessedKeys?.[dependencies.reportTable]?.Keys ?? [];
    if (unprocessed.length > 0) await dependencies.clock.sleep(100);
    keys = [...keys.slice(100), ...unprocessed];
  }
  return found;
}

/**
 * A report counts when it is well-formed and agrees with what AWS says of its instance. Otherwise it is logged, without
 * its contents, and ignored.
 */
function trustedReport(
  dependencies: Observer,
  { instanceId, group, ec2 }: Instance,
  item: Record<string, unknown> | undefined,
): Report | undefined {
  const decoded = reportCodec.decode(item);
  if (!decoded.ok) {
    if (decoded.refusal !== 'missing')
      dependencies.log('warn', 'A report was ignored.', {
        metric: 'ReportsIgnored',
        instanceId,
        refusal: decoded.refusal,
      });
    return undefined;
  }
  const report = decoded.value;
  const consistent =
    report.instanceId === instanceId &&
    report.role === group.role &&
    report.seat === group.seat &&
    (!ec2?.address || report.address === ec2.address);
  if (!consistent)
    dependencies.log('warn', 'A report was ignored.', {
      metric: 'ReportsIgnored',
      instanceId,
      refusal: 'it contradicts what AWS says of its instance',
    });
  return consistent ? report : undefined;
}

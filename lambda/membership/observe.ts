/**
 * Gathers an observation: one query of the token table, one paged describe of the groups, and the reports of the
 * managers. Instances, volumes, stacks and further reports are requested only while instances wait or leave, or nodes
 * do not work.
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
 * Instances that EC2 is asked about in one round. A filter takes 200 values:
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
 */
const MAX_ASKED = 200;
/** Instances asked about one by one: only those missing from the first answer. */
const MAX_ASKED_ALONE = 10;

/** Lifecycle states of an instance that may be a working manager, or become one. */
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
  /** Whether there is a load balancer. */
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
  // Admitting a manager takes the reports of all managers, not just its own; and the leader's list alone does not prove
  // that each manager works.
  const heard = [...new Set([...waiting, ...mayWork])];
  // While all managers work and confirm it, their volumes are not requested.
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

/** A worker promoted by hand: it has no seat, and raft counts it. */
function isPromoted(nodes: SwarmNode[], { instanceId, group }: Instance): boolean {
  return group.role === 'worker' && nodes.some((node) => node.instanceId === instanceId && node.manager);
}

/** Whether the leader's list shows an instance in service as a working manager. */
function worksAs(nodes: SwarmNode[], { instanceId, lifecycleState }: Instance): boolean {
  return (
    lifecycleState === 'InService' && nodes.some((node) => node.instanceId === instanceId && isWorkingManager(node))
  );
}

/** Reads the cluster's own partition. */
async function clusterRecords(
  dependencies: Observer,
): Promise<Pick<Observation, 'leader' | 'nodes' | 'tasksPending' | 'membership' | 'traffic'>> {
  const items = await queryPartition(dependencies.dynamodb, dependencies.tokenTable, CLUSTER_PARTITION);
  const find = (key: string) => items.find((item) => item[SORT_KEY] === key);
  const membership = decodeRecord(dependencies, membershipCodec, find(MEMBERSHIP_KEY)) ?? emptyMembership;
  const leader = decodeRecord(dependencies, leaderCodec, find(LEADER_KEY));
  const chunks = items.filter((item) => String(item[SORT_KEY]).startsWith(NODES_KEY_PREFIX));
  const report = decodeSwarmReport(chunks);
  // leader-token writes the list and the leader record in one transaction, but a query may see half of it. An
  // unreadable list must not look like an empty one.
  if (!report.ok && (leader || chunks.length > 0))
    throw new Error(
      `The list of nodes in table ${dependencies.tokenTable} cannot be read (${report.refusal}). The functions change ` +
        'nothing until it can. The next round tries again.',
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
 * The stacks of these instances that are being deleted as a whole. Also those that stay while the cluster is removed
 * from them.
 */
async function leavingStacks(dependencies: Observer, instances: Instance[], groups: Group[]): Promise<Set<string>> {
  const stackIds = new Set(instances.flatMap(({ group }) => group.stack?.stackId ?? []));
  const seats = groups.filter((group) => dependencies.seats.some(({ seat }) => seat === group.seat));
  // Some groups may be gone already. No seat's group at all proves nothing.
  if (seats.length > 0 && seats.every(({ closed }) => closed)) return stackIds;
  const leaving = new Set<string>();
  for (const stackId of stackIds) {
    const { Stacks = [] } = await dependencies.cloudFormation.send(new DescribeStacksCommand({ StackName: stackId }));
    // A creation that is rolled back deletes everything; an update's rollback is `UPDATE_ROLLBACK_...`.
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html#cfn-console-view-stack-data-resources-status-codes
    if (Stacks.some(({ StackStatus }) => /^(DELETE|ROLLBACK)_/.test(StackStatus ?? ''))) leaving.add(stackId);
  }
  return leaving;
}

/**
 * Instances that have ended according to EC2, or that EC2 does not know. An instance that is merely missing from an
 * answer proves nothing, nor does any other error: such instances are asked for by id, one by one. A later round asks
 * for the rest.
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

/** Whether EC2 answers that an id does not exist. The id may come from a node's own label, unchecked. */
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
    dependencies.log('warn', 'EC2 did not answer whether this exists.', { id, error: describeError(error) });
    return false;
  }
}

/**
 * Covers the whole account, where few are interrupted at a time. Source:
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

/** Volumes of the seats, and those given up in a recovery. */
async function describeVolumes(dependencies: Observer, givenUp: string[]): Promise<Volume[]> {
  const volumeIds = [...dependencies.seats.map(({ volumeId }) => volumeId), ...givenUp];
  // By filter: a request by id fails if a single volume does not exist.
  const { Volumes = [] } = await dependencies.ec2.send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'volume-id', Values: [...new Set(volumeIds)] }] }),
  );
  const found: Volume[] = Volumes.map(({ VolumeId, State, Attachments }) => ({
    volumeId: VolumeId!,
    state: State!,
    attachedTo: Attachments?.find((attachment) => attachment.State === 'attached')?.InstanceId,
  }));
  // A volume missing from the answer proves nothing, so each given-up volume is asked for by its own id.
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

/** Reads in batches of 100 keys, DynamoDB's limit, and repeats what DynamoDB leaves unprocessed. */
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
 * Accepts a report if it is well-formed and agrees with what AWS says about its instance. Otherwise it is ignored, and
 * logged without its contents.
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
      refusal: 'it contradicts what AWS says about its instance',
    });
  return consistent ? report : undefined;
}

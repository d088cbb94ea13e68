/** Reads the cluster's Auto Scaling groups and their members. */
import {
  paginateDescribeAutoScalingGroups,
  type AutoScalingClient,
  type AutoScalingGroup,
} from '@aws-sdk/client-auto-scaling';
import type { NodeRole } from '../../protocol/body';
import { CLUSTER_TAG, LOGICAL_ID_TAG, ROLE_TAG, SEAT_TAG, STACK_ID_TAG } from '../../protocol/tags';

export interface Group {
  name: string;
  role: NodeRole;
  /** Managers only. */
  seat?: number;
  /** Some or all of its instances are spot instances. */
  spot?: true;
  /** The group is to be empty: it is being deleted, or its maximum is 0. */
  closed?: true;
  /** The group's `Launch` process is suspended. */
  launchSuspended?: true;
  /** Where CloudFormation waits for signals. Absent on groups that CloudFormation did not create. */
  stack?: { stackId: string; logicalId: string };
}

export interface GroupMember {
  instanceId: string;
  group: Group;
  /** As Auto Scaling names it: `Pending:Wait`, `InService`, ... */
  lifecycleState: string;
}

/** All groups that have the cluster's tag, and their members. */
export async function describeGroups(
  client: AutoScalingClient,
  cluster: string,
): Promise<{ groups: Group[]; instances: GroupMember[] }> {
  const groups: Group[] = [];
  const instances: GroupMember[] = [];
  const pages = paginateDescribeAutoScalingGroups(
    { client, pageSize: 100 },
    { Filters: [{ Name: `tag:${CLUSTER_TAG}`, Values: [cluster] }] },
  );
  for await (const { AutoScalingGroups = [] } of pages) {
    for (const described of AutoScalingGroups) {
      const group = toGroup(described);
      groups.push(group);
      for (const { InstanceId, LifecycleState } of described.Instances ?? []) {
        instances.push({ instanceId: InstanceId!, lifecycleState: LifecycleState!, group });
      }
    }
  }
  return { groups, instances };
}

function toGroup({
  AutoScalingGroupName,
  Tags,
  MixedInstancesPolicy,
  SuspendedProcesses,
  Status,
  MaxSize,
}: AutoScalingGroup): Group {
  const tag = (key: string) => Tags?.find(({ Key }) => Key === key)?.Value;
  const stackId = tag(STACK_ID_TAG);
  const logicalId = tag(LOGICAL_ID_TAG);
  const manager = tag(ROLE_TAG) === 'manager';
  return {
    name: AutoScalingGroupName!,
    role: manager ? 'manager' : 'worker',
    ...(manager && { seat: Number(tag(SEAT_TAG)) }),
    ...((MixedInstancesPolicy?.InstancesDistribution?.OnDemandPercentageAboveBaseCapacity ?? 100) < 100 && {
      spot: true as const,
    }),
    ...((Status === 'Delete in progress' || MaxSize === 0) && { closed: true as const }),
    ...(SuspendedProcesses?.some(({ ProcessName }) => ProcessName === 'Launch') && { launchSuspended: true as const }),
    ...(stackId && logicalId && { stack: { stackId, logicalId } }),
  };
}

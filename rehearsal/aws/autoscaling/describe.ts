/** The Describe actions of Auto Scaling. */
import { isoTime } from '../../../protocol/clock';
import { matchesFilters, page } from '../core/describe';
import { AwsError } from '../core/types';
import type { Ec2 } from '../ec2/ec2';
import type { LaunchTemplateReference } from '../ec2/launch-templates';
import { hardEndMs, tagsOf, type Group, type Member } from './model';

const DEFAULT_PAGE = 50;

export function describeGroups(
  groups: Iterable<Group>,
  ec2: Ec2,
  accountId: string,
  input: Record<string, any>,
): Record<string, any> {
  const names: string[] | undefined = input.AutoScalingGroupNames?.length ? input.AutoScalingGroupNames : undefined;
  const found = [...groups]
    .filter((group) => names?.includes(group.name) ?? true)
    .filter((group) => matchesFilters(input.Filters, tagsOf(group), {}));
  const { items, next } = paged(found, input, 100);
  return { AutoScalingGroups: items.map((group) => groupOutput(group, ec2, accountId)), NextToken: next };
}

function groupOutput(group: Group, ec2: Ec2, accountId: string): Record<string, any> {
  const zones =
    group.subnetIds.length > 0
      ? group.subnetIds.map((id) => ec2.networks.subnet(id).availabilityZone)
      : group.availabilityZones;
  return {
    AutoScalingGroupName: group.name,
    AutoScalingGroupARN: group.arn,
    LaunchTemplate: group.launchTemplate && templateOutput(group.launchTemplate, ec2),
    MixedInstancesPolicy: group.mixedInstancesPolicy,
    MinSize: group.min,
    MaxSize: group.max,
    DesiredCapacity: group.desired,
    DefaultCooldown: 300,
    AvailabilityZones: [...new Set(zones)],
    LoadBalancerNames: [],
    TargetGroupARNs: [],
    HealthCheckType: group.healthCheckType,
    HealthCheckGracePeriod: group.healthCheckGraceSeconds,
    Instances: [...group.members.values()].map(memberOutput),
    CreatedTime: isoTime(group.createdAt),
    SuspendedProcesses: [...group.suspended].map(([ProcessName, SuspensionReason]) => ({
      ProcessName,
      SuspensionReason,
    })),
    VPCZoneIdentifier: group.subnetIds.join(','),
    EnabledMetrics: [],
    Tags: group.tags.map((tag) => ({
      ResourceId: group.name,
      ResourceType: 'auto-scaling-group',
      Key: tag.key,
      Value: tag.value,
      PropagateAtLaunch: tag.propagate,
    })),
    TerminationPolicies: ['Default'],
    NewInstancesProtectedFromScaleIn: false,
    ServiceLinkedRoleARN: `arn:aws:iam::${accountId}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`,
    InstanceMaintenancePolicy: group.maintenance,
    Status: group.deleting ? 'Delete in progress' : undefined,
  };
}

function templateOutput(reference: LaunchTemplateReference, ec2: Ec2): Record<string, any> {
  const template = ec2.launchTemplates.get(reference);
  return {
    LaunchTemplateId: template.id,
    LaunchTemplateName: template.name,
    Version: reference.Version ?? '$Default',
  };
}

export function describeInstances(groups: Iterable<Group>, input: Record<string, any>): Record<string, any> {
  const ids: string[] | undefined = input.InstanceIds?.length ? input.InstanceIds : undefined;
  const found = [...groups].flatMap((group) =>
    [...group.members.values()]
      .filter((member) => ids?.includes(member.instanceId) ?? true)
      .map((member) => ({
        ...memberOutput(member),
        HealthStatus: member.health.toUpperCase(),
        AutoScalingGroupName: group.name,
      })),
  );
  const { items, next } = paged(found, input, 50);
  return { AutoScalingInstances: items, NextToken: next };
}

export function describeActivities(groups: Iterable<Group>, input: Record<string, any>): Record<string, any> {
  const found = [...groups]
    .filter((group) => input.AutoScalingGroupName === undefined || group.name === input.AutoScalingGroupName)
    .flatMap((group) =>
      group.activities.toReversed().map((activity) => ({
        ActivityId: activity.id,
        AutoScalingGroupName: group.name,
        AutoScalingGroupARN: group.arn,
        Description: activity.description,
        Cause: activity.cause,
        StatusCode: activity.status,
        StatusMessage: activity.message,
        StartTime: isoTime(activity.at),
        EndTime: isoTime(activity.at),
        Progress: 100,
        Details: '{}',
      })),
    );
  const { items, next } = paged(found, input, 100);
  return { Activities: items, NextToken: next };
}

export function describeHooks(group: Group, input: Record<string, any>): Record<string, any> {
  const names: string[] | undefined = input.LifecycleHookNames?.length ? input.LifecycleHookNames : undefined;
  return {
    LifecycleHooks: group.hooks
      .filter((hook) => names?.includes(hook.name) ?? true)
      .map((hook) => ({
        LifecycleHookName: hook.name,
        AutoScalingGroupName: group.name,
        LifecycleTransition: hook.transition,
        NotificationTargetARN: hook.notificationTargetArn,
        NotificationMetadata: hook.notificationMetadata,
        HeartbeatTimeout: hook.heartbeatSeconds ?? 3600,
        GlobalTimeout: hardEndMs(hook) / 1000,
        DefaultResult: hook.defaultResult ?? 'ABANDON',
      })),
  };
}

function paged<T>(items: T[], input: Record<string, any>, most: number): { items: T[]; next: string | undefined } {
  const size = input.MaxRecords ?? DEFAULT_PAGE;
  if (size < 1 || size > most)
    throw new AwsError(
      'ValidationError',
      `1 validation error detected: Value '${size}' at 'maxRecords' failed to satisfy constraint: Member ` +
        `must have value less than or equal to ${most}`,
    );
  return page(items, size, input.NextToken);
}

function memberOutput(member: Member): Record<string, any> {
  return {
    InstanceId: member.instanceId,
    InstanceType: member.instanceType,
    AvailabilityZone: member.availabilityZone,
    LifecycleState: member.state,
    HealthStatus: member.health,
    LaunchTemplate: {
      LaunchTemplateId: member.template.id,
      LaunchTemplateName: member.template.name,
      Version: String(member.template.version),
    },
    ProtectedFromScaleIn: false,
  };
}

/** Resource types of Auto Scaling. */
import type { AutoScaling } from './autoscaling';
import type { GroupOptions, HookOptions } from './model';
import { onlyThese, type ResourceRequest, type ResourceTypes } from '../core/resource';
import { roll, ROLLED } from './rolling-update';

export function autoScalingTypes({ autoscaling }: { autoscaling: AutoScaling }): ResourceTypes {
  return {
    'AWS::AutoScaling::AutoScalingGroup': {
      properties: [
        'AutoScalingGroupName',
        'AvailabilityZones',
        'CapacityRebalance',
        'Cooldown',
        'DefaultInstanceWarmup',
        'DesiredCapacity',
        'HealthCheckGracePeriod',
        'HealthCheckType',
        'InstanceMaintenancePolicy',
        'LaunchTemplate',
        'LifecycleHookSpecificationList',
        'MaxInstanceLifetime',
        'MaxSize',
        'MetricsCollection',
        'MinSize',
        'MixedInstancesPolicy',
        'NewInstancesProtectedFromScaleIn',
        'Tags',
        'TerminationPolicies',
        'VPCZoneIdentifier',
      ],
      create(request) {
        const { properties, physicalName } = request;
        const name: string = properties.AutoScalingGroupName ?? physicalName(255);
        autoscaling.createGroup({
          ...groupOptions(name, request),
          desired: Number(properties.DesiredCapacity ?? properties.MinSize),
          hooks: (properties.LifecycleHookSpecificationList ?? []).map(hook),
        });
        return group(name);
      },
      async update(request) {
        const { id: name, properties, changed } = request;
        onlyThese('AWS::AutoScaling::AutoScalingGroup', changed, [
          'CapacityRebalance',
          'DesiredCapacity',
          'HealthCheckGracePeriod',
          'HealthCheckType',
          'InstanceMaintenancePolicy',
          'LaunchTemplate',
          'MaxSize',
          'MinSize',
          'MixedInstancesPolicy',
          'Tags',
          'VPCZoneIdentifier',
        ]);
        autoscaling.updateGroup({
          ...groupOptions(name, request),
          ...(properties.DesiredCapacity !== undefined && { desired: Number(properties.DesiredCapacity) }),
        });
        if (changed.some((property) => ROLLED.includes(property))) await roll(autoscaling, request);
        return group(name);
      },
      delete: (name) => autoscaling.deleteGroup(name),
    },
  };
}

const group = (name: string) => ({ id: name, attributes: { AutoScalingGroupName: name } });

/** All options except the desired capacity, and the hooks, which do not change with the group. */
function groupOptions(
  name: string,
  { logicalId, properties, tags, stackName, stackId }: ResourceRequest,
): Omit<GroupOptions, 'desired' | 'hooks'> {
  const stackTags = {
    'aws:cloudformation:stack-name': stackName,
    'aws:cloudformation:stack-id': stackId,
    'aws:cloudformation:logical-id': logicalId,
  };
  const notPropagated = new Set(
    (properties.Tags ?? [])
      .filter((tag: Record<string, any>) => String(tag.PropagateAtLaunch) !== 'true')
      .map((tag: Record<string, any>) => tag.Key),
  );
  return {
    name,
    logicalId,
    min: Number(properties.MinSize),
    max: Number(properties.MaxSize),
    availabilityZones: properties.AvailabilityZones ?? [],
    subnetIds: properties.VPCZoneIdentifier ?? [],
    launchTemplate: properties.LaunchTemplate,
    mixedInstancesPolicy: properties.MixedInstancesPolicy,
    // CloudFormation's own tags propagate to the instances, too.
    tags: Object.entries({ ...tags, ...stackTags }).map(([key, value]) => ({
      key,
      value,
      propagate: !notPropagated.has(key),
    })),
    capacityRebalance: String(properties.CapacityRebalance) === 'true',
    healthCheckType: properties.HealthCheckType ?? 'EC2',
    healthCheckGraceSeconds: Number(properties.HealthCheckGracePeriod ?? 0),
    maintenance: properties.InstanceMaintenancePolicy && {
      MinHealthyPercentage: Number(properties.InstanceMaintenancePolicy.MinHealthyPercentage),
      MaxHealthyPercentage: Number(properties.InstanceMaintenancePolicy.MaxHealthyPercentage),
    },
  };
}

const HOOK_PROPERTIES = [
  'LifecycleHookName',
  'LifecycleTransition',
  'HeartbeatTimeout',
  'DefaultResult',
  'NotificationTargetARN',
  'NotificationMetadata',
  'RoleARN',
];

function hook(specification: Record<string, any>): HookOptions {
  const unknown = Object.keys(specification).filter((key) => !HOOK_PROPERTIES.includes(key));
  if (unknown.length > 0)
    throw new Error(
      `The emulation does not know ${unknown.join(', ')} of a lifecycle hook. It knows ${HOOK_PROPERTIES.join(', ')}.`,
    );
  return {
    name: specification.LifecycleHookName,
    transition: specification.LifecycleTransition,
    heartbeatSeconds: specification.HeartbeatTimeout === undefined ? undefined : Number(specification.HeartbeatTimeout),
    defaultResult: specification.DefaultResult,
    notificationTargetArn: specification.NotificationTargetARN,
    notificationMetadata: specification.NotificationMetadata,
    roleArn: specification.RoleARN,
  };
}

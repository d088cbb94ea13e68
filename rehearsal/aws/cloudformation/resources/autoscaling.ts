/** Resource types of Auto Scaling. */
import type { HookOptions } from '../../autoscaling';
import type { ResourceTypes, Services } from '../resource';

export function autoScalingTypes({ autoscaling }: Services): ResourceTypes {
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
      create({ logicalId, properties, physicalName, tags, stackName, stackId }) {
        const name: string = properties.AutoScalingGroupName ?? physicalName(255);
        const own = { 'aws:cloudformation:stack-name': stackName, 'aws:cloudformation:stack-id': stackId, 'aws:cloudformation:logical-id': logicalId };
        const notPropagated = new Set((properties.Tags ?? []).filter((tag: Record<string, any>) => String(tag.PropagateAtLaunch) !== 'true').map((tag: Record<string, any>) => tag.Key));
        autoscaling.createGroup({
          name,
          logicalId,
          min: Number(properties.MinSize),
          max: Number(properties.MaxSize),
          desired: Number(properties.DesiredCapacity ?? properties.MinSize),
          availabilityZones: properties.AvailabilityZones ?? [],
          subnetIds: properties.VPCZoneIdentifier ?? [],
          launchTemplate: properties.LaunchTemplate,
          mixedInstancesPolicy: properties.MixedInstancesPolicy,
          hooks: (properties.LifecycleHookSpecificationList ?? []).map(hook),
          // CloudFormation's own tags go on to the instances too.
          tags: Object.entries({ ...tags, ...own }).map(([key, value]) => ({ key, value, propagate: !notPropagated.has(key) })),
          healthCheckType: properties.HealthCheckType ?? 'EC2',
          healthCheckGraceSeconds: Number(properties.HealthCheckGracePeriod ?? 0),
          maintenance: properties.InstanceMaintenancePolicy && {
            MinHealthyPercentage: Number(properties.InstanceMaintenancePolicy.MinHealthyPercentage),
            MaxHealthyPercentage: Number(properties.InstanceMaintenancePolicy.MaxHealthyPercentage),
          },
        });
        return { id: name, attributes: { AutoScalingGroupName: name } };
      },
      delete: (name) => autoscaling.deleteGroup(name),
    },
  };
}

const HOOK_PROPERTIES = ['LifecycleHookName', 'LifecycleTransition', 'HeartbeatTimeout', 'DefaultResult', 'NotificationTargetARN', 'NotificationMetadata', 'RoleARN'];

function hook(specification: Record<string, any>): HookOptions {
  const unknown = Object.keys(specification).filter((key) => !HOOK_PROPERTIES.includes(key));
  if (unknown.length > 0) throw new Error(`The emulation does not know ${unknown.join(', ')} of a lifecycle hook. It knows ${HOOK_PROPERTIES.join(', ')}.`);
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

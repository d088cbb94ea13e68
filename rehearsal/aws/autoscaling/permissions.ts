/**
 * The permissions that Auto Scaling's actions need.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
 */
import type { Context } from '../core/context';
import type { Tags } from '../core/describe';
import { tagValue, type Permission, type Permissions } from '../iam/permission';
import type { AutoScaling } from './autoscaling';

export function autoScalingPermissions({
  autoscaling,
  context,
}: {
  autoscaling: Pick<AutoScaling, 'taggedGroup' | 'taggedGroupOf'>;
  context: Pick<Context, 'arn'>;
}): Permissions {
  return (action, input) => {
    const on = (found: { arn: string; tags: Tags } | undefined, name = '*'): Permission[] => [
      {
        action: `autoscaling:${action}`,
        resource: found?.arn ?? context.arn('autoscaling', `autoScalingGroup:*:autoScalingGroupName/${name}`),
        key: (key) => tagValue(found?.tags, key),
      },
    ];
    switch (action) {
      case 'DescribeAutoScalingGroups':
      case 'DescribeAutoScalingInstances':
      case 'DescribeScalingActivities':
      case 'DescribeLifecycleHooks':
        return [{ action: `autoscaling:${action}`, resource: '*' }];
      case 'CompleteLifecycleAction':
      case 'RecordLifecycleActionHeartbeat':
      case 'SuspendProcesses':
      case 'ResumeProcesses':
      case 'SetDesiredCapacity':
        return on(autoscaling.taggedGroup(input.AutoScalingGroupName), input.AutoScalingGroupName);
      case 'SetInstanceHealth':
      case 'TerminateInstanceInAutoScalingGroup':
        return on(autoscaling.taggedGroupOf(input.InstanceId));
      default:
        return undefined;
    }
  };
}

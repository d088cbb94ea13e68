import type { Context } from '../core/context';
import type { Events } from '../events/events';
import type { Ec2 } from './ec2';
import type { InstanceView } from './instance';

/**
 * Sends EventBridge the events of instances.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html, and
 * spot-instance-termination-notices.html and rebalance-recommendations.html there
 */
export function announceInstances(ec2: Ec2, events: Events, context: Context): void {
  const resources = (instance: InstanceView) => [context.arn('ec2', `instance/${instance.instanceId}`)];
  ec2.onState((instance) =>
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Instance State-change Notification',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId, state: instance.state },
    }),
  );
  ec2.onSpotNotice((instance) => {
    context.emit('ec2', 'spot-notice', instance.instanceId);
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Spot Instance Interruption Warning',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId, 'instance-action': 'terminate' },
    });
  });
  ec2.onRebalanceRecommendation((instance) =>
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Instance Rebalance Recommendation',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId },
    }),
  );
}

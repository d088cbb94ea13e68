import { autoScalingPermissions } from '../../../../rehearsal/aws/autoscaling/permissions';
import { context, needed, type Needs } from '../permissions';

const GROUP = {
  arn: 'arn:aws:autoscaling:us-east-1:1:autoScalingGroup:uuid:autoScalingGroupName/g',
  tags: { Team: 'a' },
};
const permissions = autoScalingPermissions({
  context,
  autoscaling: {
    taggedGroup: (name) => (name === 'g' ? GROUP : undefined),
    taggedGroupOf: (id) => (id === 'i-1' ? GROUP : undefined),
  },
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
test.each<Needs>([
  ['DescribeLifecycleHooks', { AutoScalingGroupName: 'g' }, ['autoscaling:DescribeLifecycleHooks *']],
  [
    'CompleteLifecycleAction',
    { AutoScalingGroupName: 'g' },
    [`autoscaling:CompleteLifecycleAction ${GROUP.arn.replace('us-east-1:1:', '')} a`],
  ],
  [
    'SuspendProcesses',
    { AutoScalingGroupName: 'none' },
    ['autoscaling:SuspendProcesses arn:aws:autoscaling:autoScalingGroup:*:autoScalingGroupName/none'],
  ],
  [
    'SetInstanceHealth',
    { InstanceId: 'i-1' },
    [`autoscaling:SetInstanceHealth ${GROUP.arn.replace('us-east-1:1:', '')} a`],
  ],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});

import { loadBalancingPermissions } from '../../../../rehearsal/aws/elb/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = loadBalancingPermissions({
  context,
  elb: { tagsOf: (arn) => (arn === 'arn:group' ? { Team: 'c' } : undefined) },
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
test.each<Needs>([
  ['DescribeTargetHealth', { TargetGroupArn: 'arn:group' }, ['elasticloadbalancing:DescribeTargetHealth *']],
  ['DescribeLoadBalancers', { Names: ['n'] }, ['elasticloadbalancing:DescribeLoadBalancers *']],
  ['RegisterTargets', { TargetGroupArn: 'arn:group' }, ['elasticloadbalancing:RegisterTargets arn:group c']],
  ['ModifyTargetGroup', { TargetGroupArn: 'arn:other' }, ['elasticloadbalancing:ModifyTargetGroup arn:other']],
  [
    'CreateTargetGroup',
    { Name: 'n' },
    ['elasticloadbalancing:CreateTargetGroup arn:aws:elasticloadbalancing:targetgroup/n/*'],
  ],
  [
    'CreateTargetGroup',
    { Name: 'n', Tags: [{ Key: 'Team', Value: 'd' }] },
    [
      'elasticloadbalancing:CreateTargetGroup arn:aws:elasticloadbalancing:targetgroup/n/*',
      'elasticloadbalancing:AddTags arn:aws:elasticloadbalancing:targetgroup/n/*',
    ],
  ],
  [
    'CreateListener',
    { LoadBalancerArn: 'x:loadbalancer/net/n/1' },
    ['elasticloadbalancing:CreateListener x:loadbalancer/net/n/1'],
  ],
  [
    'CreateListener',
    { LoadBalancerArn: 'x:loadbalancer/net/n/1', Tags: [{ Key: 'Team', Value: 'd' }] },
    ['elasticloadbalancing:CreateListener x:loadbalancer/net/n/1', 'elasticloadbalancing:AddTags x:listener/net/n/1/*'],
  ],
  ['DeleteListener', { ListenerArn: 'arn:listener' }, ['elasticloadbalancing:DeleteListener arn:listener']],
  [
    'AddTags',
    { ResourceArns: ['arn:group', 'arn:other'], Tags: [] },
    ['elasticloadbalancing:AddTags arn:group c', 'elasticloadbalancing:AddTags arn:other'],
  ],
  ['CreateRule', {}, undefined],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});

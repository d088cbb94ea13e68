import { permissionsFor, type Inventory } from '../../../../rehearsal/aws/iam/permissions';

const GROUP = {
  arn: 'arn:aws:autoscaling:us-east-1:1:autoScalingGroup:uuid:autoScalingGroupName/g',
  tags: { Team: 'a' },
};
const inventory: Inventory = {
  arn: (service, resource) => `arn:aws:${service}:us-east-1:1:${resource}`,
  region: 'us-east-1',
  keyOfTable: (table) => (table === 'secret' ? 'KEY' : undefined),
  keyOfVolume: () => undefined,
  partitionKey: () => 'pk',
  queriedPartition: () => ({ S: 'queried' }),
  instanceTags: (id) => (id === 'i-1' ? { Team: 'a' } : undefined),
  volume: (id) => (id === 'vol-1' ? { tags: { Team: 'b' }, instanceId: 'i-1' } : undefined),
  securityGroupTags: (id) => (id === 'sg-1' ? { Team: 'e' } : undefined),
  group: (name) => (name === 'g' ? GROUP : undefined),
  groupOfInstance: (id) => (id === 'i-1' ? GROUP : undefined),
  loadBalancingTags: (arn) => (arn === 'arn:group' ? { Team: 'c' } : undefined),
  stackArn: (name) => (['s', 'arn:s'].includes(name) ? 'arn:s' : undefined),
};

/** `<action> <resource>[ <leading keys, or the tag Team>]`; the account is left out. */
function needed(service: string, action: string, input: Record<string, any>): string[] | undefined {
  return permissionsFor(service, action, input, inventory)?.map(({ action: name, resource, key }) => {
    const values = key?.('dynamodb:leadingkeys') ?? key?.('aws:resourcetag/team') ?? [];
    return [name, resource.replace('us-east-1:1:', ''), ...values].join(' ');
  });
}

const Key = { pk: { S: 'a' }, sk: { S: 'b' } };
const Item = { pk: { N: '1' }, sk: { S: 'b' } };

// Source:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
test.each<[string, string, Record<string, any>, string[] | undefined]>([
  ['dynamodb', 'GetItem', { TableName: 't', Key }, ['dynamodb:GetItem arn:aws:dynamodb:table/t a']],
  ['dynamodb', 'PutItem', { TableName: 't', Item }, ['dynamodb:PutItem arn:aws:dynamodb:table/t 1']],
  [
    'dynamodb',
    'GetItem',
    { TableName: 'secret', Key },
    ['dynamodb:GetItem arn:aws:dynamodb:table/secret a', 'kms:Decrypt KEY'],
  ],
  ['dynamodb', 'GetItem', {}, []],
  ['dynamodb', 'Query', { TableName: 't' }, ['dynamodb:Query arn:aws:dynamodb:table/t queried']],
  ['dynamodb', 'Scan', { TableName: 't' }, ['dynamodb:Scan arn:aws:dynamodb:table/t']],
  [
    'dynamodb',
    'BatchGetItem',
    { RequestItems: { t: { Keys: [Key, Item] }, u: { Keys: [Key] } } },
    ['dynamodb:BatchGetItem arn:aws:dynamodb:table/t a 1', 'dynamodb:BatchGetItem arn:aws:dynamodb:table/u a'],
  ],
  [
    'dynamodb',
    'BatchWriteItem',
    { RequestItems: { t: [{ PutRequest: { Item } }, { DeleteRequest: { Key } }] } },
    ['dynamodb:BatchWriteItem arn:aws:dynamodb:table/t 1 a'],
  ],
  [
    'dynamodb',
    'TransactGetItems',
    { TransactItems: [{ Get: { TableName: 't', Key } }] },
    ['dynamodb:GetItem arn:aws:dynamodb:table/t a'],
  ],
  [
    'dynamodb',
    'TransactWriteItems',
    {
      TransactItems: [
        { Put: { TableName: 't', Item } },
        { Update: { TableName: 'u', Key } },
        { Delete: { TableName: 't', Key } },
        { ConditionCheck: { TableName: 't', Key } },
      ],
    },
    [
      'dynamodb:PutItem arn:aws:dynamodb:table/t 1',
      'dynamodb:UpdateItem arn:aws:dynamodb:table/u a',
      'dynamodb:DeleteItem arn:aws:dynamodb:table/t a',
      'dynamodb:ConditionCheckItem arn:aws:dynamodb:table/t a',
    ],
  ],
  ['dynamodb', 'ListTables', {}, undefined],
  ['ec2', 'DescribeVolumes', {}, ['ec2:DescribeVolumes *']],
  ['ec2', 'DescribeSpotInstanceRequests', {}, ['ec2:DescribeSpotInstanceRequests *']],
  [
    'ec2',
    'AttachVolume',
    { InstanceId: 'i-1', VolumeId: 'vol-1' },
    ['ec2:AttachVolume arn:aws:ec2:instance/i-1 a', 'ec2:AttachVolume arn:aws:ec2:volume/vol-1 b'],
  ],
  [
    'ec2',
    'DetachVolume',
    { VolumeId: 'vol-1' },
    ['ec2:DetachVolume arn:aws:ec2:instance/i-1 a', 'ec2:DetachVolume arn:aws:ec2:volume/vol-1 b'],
  ],
  [
    'ec2',
    'TerminateInstances',
    { InstanceIds: ['i-1', 'i-2'] },
    ['ec2:TerminateInstances arn:aws:ec2:instance/i-1 a', 'ec2:TerminateInstances arn:aws:ec2:instance/i-2'],
  ],
  ['ec2', 'DescribeSecurityGroupRules', {}, ['ec2:DescribeSecurityGroupRules *']],
  [
    'ec2',
    'RevokeSecurityGroupIngress',
    { GroupId: 'sg-1' },
    ['ec2:RevokeSecurityGroupIngress arn:aws:ec2:security-group/sg-1 e'],
  ],
  [
    'ec2',
    'AuthorizeSecurityGroupIngress',
    { GroupId: 'sg-2' },
    ['ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group/sg-2'],
  ],
  [
    'ec2',
    'AuthorizeSecurityGroupIngress',
    { GroupId: 'sg-1', TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [] }] },
    [
      'ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group/sg-1 e',
      'ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group-rule/*',
      'ec2:CreateTags arn:aws:ec2:security-group-rule/*',
    ],
  ],
  ['autoscaling', 'DescribeLifecycleHooks', { AutoScalingGroupName: 'g' }, ['autoscaling:DescribeLifecycleHooks *']],
  [
    'autoscaling',
    'CompleteLifecycleAction',
    { AutoScalingGroupName: 'g' },
    [`autoscaling:CompleteLifecycleAction ${GROUP.arn.replace('us-east-1:1:', '')} a`],
  ],
  [
    'autoscaling',
    'SuspendProcesses',
    { AutoScalingGroupName: 'none' },
    ['autoscaling:SuspendProcesses arn:aws:autoscaling:autoScalingGroup:*:autoScalingGroupName/none'],
  ],
  [
    'autoscaling',
    'SetInstanceHealth',
    { InstanceId: 'i-1' },
    [`autoscaling:SetInstanceHealth ${GROUP.arn.replace('us-east-1:1:', '')} a`],
  ],
  [
    'elasticloadbalancing',
    'DescribeTargetHealth',
    { TargetGroupArn: 'arn:group' },
    ['elasticloadbalancing:DescribeTargetHealth *'],
  ],
  ['elasticloadbalancing', 'DescribeLoadBalancers', { Names: ['n'] }, ['elasticloadbalancing:DescribeLoadBalancers *']],
  [
    'elasticloadbalancing',
    'RegisterTargets',
    { TargetGroupArn: 'arn:group' },
    ['elasticloadbalancing:RegisterTargets arn:group c'],
  ],
  [
    'elasticloadbalancing',
    'ModifyTargetGroup',
    { TargetGroupArn: 'arn:other' },
    ['elasticloadbalancing:ModifyTargetGroup arn:other'],
  ],
  [
    'elasticloadbalancing',
    'CreateTargetGroup',
    { Name: 'n' },
    ['elasticloadbalancing:CreateTargetGroup arn:aws:elasticloadbalancing:targetgroup/n/*'],
  ],
  [
    'elasticloadbalancing',
    'CreateTargetGroup',
    { Name: 'n', Tags: [{ Key: 'Team', Value: 'd' }] },
    [
      'elasticloadbalancing:CreateTargetGroup arn:aws:elasticloadbalancing:targetgroup/n/*',
      'elasticloadbalancing:AddTags arn:aws:elasticloadbalancing:targetgroup/n/*',
    ],
  ],
  [
    'elasticloadbalancing',
    'CreateListener',
    { LoadBalancerArn: 'x:loadbalancer/net/n/1' },
    ['elasticloadbalancing:CreateListener x:loadbalancer/net/n/1'],
  ],
  [
    'elasticloadbalancing',
    'CreateListener',
    { LoadBalancerArn: 'x:loadbalancer/net/n/1', Tags: [{ Key: 'Team', Value: 'd' }] },
    ['elasticloadbalancing:CreateListener x:loadbalancer/net/n/1', 'elasticloadbalancing:AddTags x:listener/net/n/1/*'],
  ],
  [
    'elasticloadbalancing',
    'DeleteListener',
    { ListenerArn: 'arn:listener' },
    ['elasticloadbalancing:DeleteListener arn:listener'],
  ],
  [
    'elasticloadbalancing',
    'AddTags',
    { ResourceArns: ['arn:group', 'arn:other'], Tags: [] },
    ['elasticloadbalancing:AddTags arn:group c', 'elasticloadbalancing:AddTags arn:other'],
  ],
  ['elasticloadbalancing', 'CreateRule', {}, undefined],
  ['cloudformation', 'SignalResource', { StackName: 's' }, ['cloudformation:SignalResource arn:s']],
  ['cloudformation', 'SignalResource', { StackName: 'arn:s' }, ['cloudformation:SignalResource arn:s']],
  [
    'cloudformation',
    'DescribeStacks',
    { StackName: 'none' },
    ['cloudformation:DescribeStacks arn:aws:cloudformation:stack/none/*'],
  ],
  ['cloudformation', 'DescribeStacks', {}, ['cloudformation:DescribeStacks *']],
  ['sqs', 'SendMessage', { QueueUrl: 'http://127.0.0.1:4566/123456789012/q' }, ['sqs:SendMessage arn:aws:sqs:q']],
  ['sqs', 'GetQueueUrl', { QueueName: 'q' }, ['sqs:GetQueueUrl arn:aws:sqs:q']],
  ['sqs', 'ListQueues', {}, undefined],
  [
    'events',
    'PutEvents',
    { Entries: [{ Source: 's' }, { Source: 't', EventBusName: 'b' }] },
    ['events:PutEvents arn:aws:events:event-bus/default', 'events:PutEvents arn:aws:events:event-bus/b'],
  ],
  ['events', 'PutRule', {}, undefined],
  [
    'logs',
    'PutLogEvents',
    { logGroupName: '/g', logStreamName: 'a/b' },
    ['logs:PutLogEvents arn:aws:logs:log-group:/g:log-stream:a/b'],
  ],
  ['s3', 'HeadObject', { Bucket: 'b', Key: 'k/l' }, ['s3:GetObject arn:aws:s3:::b/k/l']],
  ['sts', 'GetCallerIdentity', {}, []],
  ['sts', 'AssumeRole', {}, undefined],
  ['none', 'Any', {}, undefined],
])('%s %s of %j needs %j', (service, action, input, expected) => {
  expect(needed(service, action, input)).toEqual(expected);
});

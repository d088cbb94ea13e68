/** Every IAM permission of functions, hooks and nodes, as data. None is anywhere else. */
import { EVENT_SOURCE } from '../../protocol/events';
import { FOLLOWED_PREFIX, FOLLOWED_TAG } from '../../protocol/following';
import { CLUSTER_PARTITION } from '../../protocol/keys';
import { CLUSTER_TAG } from '../../protocol/tags';

/** An IAM statement with the effect Allow. */
export interface Statement {
  sid: string;
  actions: string[];
  resources: string[];
  conditions?: Record<string, Record<string, string | string[]>>;
}

/** Where a stack is deployed, and its id. */
export interface Place {
  partition: string;
  region: string;
  account: string;
  stackId: string;
}

export function writeLogs(logGroupArn: string): Statement {
  return { sid: 'WriteLogs', actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroupArn] };
}

/**
 * What an event source mapping of a queue needs. Source:
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
 */
export function receiveMessages(queueArn: string): Statement {
  return {
    sid: 'ReceiveMessages',
    actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ChangeMessageVisibility'],
    resources: [queueArn],
  };
}

/**
 * What an event source mapping of a table's stream needs. Source:
 * https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#services-dynamodb-eventsourcemapping
 */
export function readStream(streamArn: string): Statement {
  return {
    sid: 'ReadStream',
    actions: ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
    resources: [streamArn],
  };
}

export function sendMessages(queueArns: string[]): Statement {
  return { sid: 'SendMessages', actions: ['sqs:SendMessage'], resources: queueArns };
}

export function leaderTokenStatements(arns: {
  tokenTable: string;
  reportTable: string;
  joinQueue: string;
}): Statement[] {
  return [
    { sid: 'ReadReports', actions: ['dynamodb:GetItem', 'dynamodb:Query'], resources: [arns.reportTable] },
    {
      sid: 'PublishTokens',
      actions: ['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'],
      resources: [arns.tokenTable],
    },
    sendMessages([arns.joinQueue]),
  ];
}

/** For node-join and node-leave, which run the same rules. */
export function membershipStatements(
  arns: { tokenTable: string; reportTable: string },
  cluster: string,
  place: Place,
): Statement[] {
  return [
    {
      sid: 'ReadReports',
      actions: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query'],
      resources: [arns.reportTable],
    },
    { sid: 'CloseReports', actions: ['dynamodb:PutItem'], resources: [arns.reportTable] },
    {
      sid: 'WriteCommands',
      actions: [
        'dynamodb:GetItem',
        'dynamodb:Query',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
        'dynamodb:ConditionCheckItem',
      ],
      resources: [arns.tokenTable],
    },
    // These actions do not support resource-level permissions:
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    {
      sid: 'SeeInstances',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DescribeSpotInstanceRequests',
        'ec2:DescribeVolumes',
      ],
      resources: ['*'],
    },
    {
      sid: 'AttachToInstances',
      actions: ['ec2:AttachVolume'],
      resources: [`arn:${place.partition}:ec2:${place.region}:${place.account}:instance/*`],
      conditions: ofCluster(cluster),
    },
    ...completeHooks(cluster, place),
    {
      sid: 'HoldLaunches',
      actions: ['autoscaling:SuspendProcesses', 'autoscaling:ResumeProcesses'],
      resources: [groups(place)],
      conditions: ofCluster(cluster),
    },
    {
      sid: 'ReplaceInstances',
      actions: ['autoscaling:SetInstanceHealth', 'autoscaling:TerminateInstanceInAutoScalingGroup'],
      resources: [groups(place)],
      conditions: ofCluster(cluster),
    },
    { sid: 'SignalSuccess', actions: ['cloudformation:SignalResource'], resources: [place.stackId] },
    tellEvents('TellOfNodes', place),
    { sid: 'SeeStack', actions: ['cloudformation:DescribeStacks'], resources: [place.stackId] },
  ];
}

/**
 * For target-update. In the token table it reads what leader-token published, and writes its lease and observations.
 */
export function targetUpdateStatements(tokenTable: string, cluster: string, place: Place): Statement[] {
  const clusterPartition = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': [CLUSTER_PARTITION] } };
  return [
    { sid: 'ReadSwarm', actions: ['dynamodb:Query'], resources: [tokenTable], conditions: clusterPartition },
    {
      sid: 'HoldLeaseAndTell',
      actions: ['dynamodb:UpdateItem'],
      resources: [tokenTable],
      conditions: clusterPartition,
    },
    { sid: 'SeeGroups', actions: ['autoscaling:DescribeAutoScalingGroups'], resources: ['*'] },
    // Describe actions do not support resource-level permissions:
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
    {
      sid: 'SeeTargets',
      actions: [
        'elasticloadbalancing:DescribeTags',
        'elasticloadbalancing:DescribeTargetGroups',
        'elasticloadbalancing:DescribeTargetHealth',
      ],
      resources: ['*'],
    },
    {
      sid: 'ChangeTargets',
      actions: ['elasticloadbalancing:DeregisterTargets', 'elasticloadbalancing:RegisterTargets'],
      resources: [loadBalancing(place, 'targetgroup/*/*')],
      conditions: ofCluster(cluster),
    },
  ];
}

/** For target-update: removing what it created for published ports. */
export function unfollowStatements(cluster: string, place: Place, securityGroups: string[]): Statement[] {
  return [
    // Describe actions do not support resource-level permissions:
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    {
      sid: 'SeeListeners',
      actions: ['elasticloadbalancing:DescribeListeners', 'ec2:DescribeSecurityGroupRules'],
      resources: ['*'],
    },
    {
      sid: 'RemoveListeners',
      actions: ['elasticloadbalancing:DeleteListener'],
      resources: [listeners(place)],
      conditions: ofFollowed(cluster),
    },
    {
      sid: 'RemoveTargetGroups',
      actions: ['elasticloadbalancing:DeleteTargetGroup'],
      resources: [followedGroups(place)],
      conditions: ofFollowed(cluster),
    },
    { sid: 'ClosePorts', actions: ['ec2:RevokeSecurityGroupIngress'], resources: securityGroups },
  ];
}

/**
 * For target-update, when a load balancer follows published ports: creating listeners and target groups that carry the
 * cluster's tag, and changing those that it created.
 * Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html,
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html
 */
export function followStatements(
  cluster: string,
  place: Place,
  { loadBalancers, securityGroups }: { loadBalancers: string[]; securityGroups: string[] },
): Statement[] {
  const tagged = { [`aws:RequestTag/${CLUSTER_TAG}`]: cluster };
  return [
    {
      sid: 'MakeTargetGroups',
      actions: ['elasticloadbalancing:CreateTargetGroup'],
      resources: [followedGroups(place)],
      conditions: { StringEquals: tagged },
    },
    {
      sid: 'MakeListeners',
      actions: ['elasticloadbalancing:CreateListener'],
      resources: loadBalancers,
      conditions: { StringEquals: tagged },
    },
    {
      sid: 'TagWhatIsMade',
      actions: ['elasticloadbalancing:AddTags'],
      resources: [followedGroups(place), listeners(place)],
      conditions: {
        StringEquals: { ...tagged, 'elasticloadbalancing:CreateAction': ['CreateTargetGroup', 'CreateListener'] },
      },
    },
    {
      sid: 'ChangeTargetGroups',
      actions: [
        'elasticloadbalancing:AddTags',
        'elasticloadbalancing:ModifyTargetGroup',
        'elasticloadbalancing:ModifyTargetGroupAttributes',
      ],
      resources: [followedGroups(place)],
      conditions: ofFollowed(cluster),
    },
    {
      sid: 'ChangeListeners',
      actions: ['elasticloadbalancing:ModifyListener'],
      resources: [listeners(place)],
      conditions: ofFollowed(cluster),
    },
    { sid: 'OpenPorts', actions: ['ec2:AuthorizeSecurityGroupIngress'], resources: securityGroups },
    tellEvents('TellOfPorts', place),
  ];
}

const loadBalancing = ({ partition, region, account }: Place, resource: string) =>
  `arn:${partition}:elasticloadbalancing:${region}:${account}:${resource}`;
const followedGroups = (place: Place) => loadBalancing(place, `targetgroup/${FOLLOWED_PREFIX}*/*`);
/** Listeners have no names. */
const listeners = (place: Place) => loadBalancing(place, 'listener/net/*/*/*');

const ofFollowed = (cluster: string) => ({
  ...ofCluster(cluster),
  StringLike: { [`aws:ResourceTag/${FOLLOWED_TAG}`]: '*' },
});

function tellEvents(sid: string, place: Place): Statement {
  return {
    sid,
    actions: ['events:PutEvents'],
    resources: [`arn:${place.partition}:events:${place.region}:${place.account}:event-bus/default`],
    // Each entry of a request has a source, so the key has several values:
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
    conditions: { 'ForAnyValue:StringEquals': { 'events:source': EVENT_SOURCE } },
  };
}

/** AttachVolume needs permission for the volume as well as for the instance. */
export function attachVolume(seat: number, volumeId: string, place: Place): Statement {
  return {
    sid: `AttachVolumeOfSeat${seat}`,
    actions: ['ec2:AttachVolume'],
    resources: [`arn:${place.partition}:ec2:${place.region}:${place.account}:volume/${volumeId}`],
  };
}

/**
 * For nodes: their own mailbox (`dynamodb:LeadingKeys`), the agent's bundle, their logs.
 * @param arns `agentObjects` covers every bundle of the agent, not only the newest. A deployment changes this policy
 * before it rolls the groups: a group that is not rolled yet launches instances whose user data fetches the previous
 * bundle.
 */
export function nodeStatements(arns: {
  tokenTable: string;
  reportTable: string;
  agentObjects: string;
  logGroup: string;
}): Statement[] {
  // Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
  const ownMailbox = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['${aws:userid}'] } };
  return [
    { sid: 'ReadOwnCommands', actions: ['dynamodb:GetItem'], resources: [arns.tokenTable], conditions: ownMailbox },
    { sid: 'WriteOwnReports', actions: ['dynamodb:UpdateItem'], resources: [arns.reportTable], conditions: ownMailbox },
    { sid: 'ReadAgent', actions: ['s3:GetObject'], resources: [arns.agentObjects] },
    writeLogs(arns.logGroup),
  ];
}

/**
 * What Session Manager needs on a node. The managed policy AmazonSSMManagedInstanceCore would also let nodes read all
 * of Parameter Store. These actions do not support resource-level permissions. Source:
 * https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
 */
export const openSessions: Statement = {
  sid: 'OpenSessions',
  actions: [
    'ssm:UpdateInstanceInformation',
    'ssmmessages:CreateControlChannel',
    'ssmmessages:CreateDataChannel',
    'ssmmessages:OpenControlChannel',
    'ssmmessages:OpenDataChannel',
  ],
  resources: ['*'],
};

/**
 * A caller of DynamoDB also needs the table's key. Source:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
 */
export function useKeyOfTables(keyArn: string, place: Place): Statement {
  return {
    sid: 'UseKeyOfTables',
    actions: [
      'kms:Decrypt',
      'kms:DescribeKey',
      'kms:Encrypt',
      'kms:GenerateDataKey*',
      'kms:ReEncrypt*',
      'kms:CreateGrant',
    ],
    resources: [keyArn],
    conditions: { StringEquals: { 'kms:ViaService': `dynamodb.${place.region}.amazonaws.com` } },
  };
}

/**
 * For attaching a volume that is encrypted with a customer managed key. Source:
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html#ebs-encryption-permissions
 */
export function useKeyOfVolumes(keyArn: string, place: Place): Statement[] {
  const viaService = { StringEquals: { 'kms:ViaService': `ec2.${place.region}.amazonaws.com` } };
  return [
    {
      sid: 'UseKeyOfVolumes',
      actions: ['kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncrypt*'],
      resources: [keyArn],
      conditions: viaService,
    },
    {
      sid: 'GrantKeyToInstances',
      actions: ['kms:CreateGrant'],
      resources: [keyArn],
      conditions: { ...viaService, Bool: { 'kms:GrantIsForAWSResource': 'true' } },
    },
  ];
}

/**
 * For the key policy. Source:
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
 */
export const autoScalingUsesKey: Statement[] = [
  {
    sid: 'AutoScalingUsesKey',
    actions: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
    resources: ['*'],
  },
  {
    sid: 'AutoScalingGrantsKey',
    actions: ['kms:CreateGrant'],
    resources: ['*'],
    conditions: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
  },
];

/** Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html */
export const autoScalingRoleArn = ({ partition, account }: Place) =>
  `arn:${partition}:iam::${account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;

function completeHooks(cluster: string, place: Place): Statement[] {
  return [
    { sid: 'SeeGroups', actions: ['autoscaling:DescribeAutoScalingGroups'], resources: ['*'] },
    {
      sid: 'CompleteHooks',
      actions: ['autoscaling:CompleteLifecycleAction', 'autoscaling:RecordLifecycleActionHeartbeat'],
      resources: [groups(place)],
      conditions: ofCluster(cluster),
    },
  ];
}

const groups = (place: Place) =>
  `arn:${place.partition}:autoscaling:${place.region}:${place.account}:autoScalingGroup:*:autoScalingGroupName/*`;

const ofCluster = (cluster: string) => ({ StringEquals: { [`aws:ResourceTag/${CLUSTER_TAG}`]: cluster } });

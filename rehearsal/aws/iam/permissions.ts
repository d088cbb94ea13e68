/**
 * What a call needs to be allowed: actions, the resources they are checked on, and the condition keys that the service
 * adds. Pure, over what the inventory knows.
 * Source of actions, resources and keys:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
 */
import { tagMap, type Tags } from '../core/describe';

export interface Permission {
  action: string;
  resource: string;
  /**
   * The value of one of the request's own condition keys, named in lower case. Called only for keys that a policy asks
   * for.
   */
  key?: (name: string) => readonly string[] | undefined;
}

/** What exists in the account, as far as permissions depend on it. */
export interface Inventory {
  arn(service: string, resource: string): string;
  region: string;
  partitionKey(tableName: string): string | undefined;
  /** ARN of the customer's key under which a table, or a volume, is encrypted. */
  keyOfTable(tableName: string): string | undefined;
  keyOfVolume(volumeId: string): string | undefined;
  /** What a Query's key condition says of the partition, when it can be read. */
  queriedPartition(input: Input): AttributeValue | undefined;
  instanceTags(instanceId: string): Tags | undefined;
  volume(volumeId: string): { tags: Tags; instanceId: string | undefined } | undefined;
  securityGroupTags(groupId: string): Tags | undefined;
  group(name: string): { arn: string; tags: Tags } | undefined;
  groupOfInstance(instanceId: string): { arn: string; tags: Tags } | undefined;
  /** Of a load balancer, a listener or a target group. */
  loadBalancingTags(arn: string): Tags | undefined;
  stackArn(nameOrId: string): string | undefined;
}

type Input = Record<string, any>;
/** `{ S: 'text' }`, as requests have it. */
type AttributeValue = object;
type Mapping = (action: string, input: Input, inventory: Inventory) => Permission[] | undefined;

/**
 * @param action of the API, e.g. `TransactWriteItems`
 * @returns undefined for a call that the emulation does not know. Where the input lacks the name of a resource there is
 * nothing to check: the service refuses it.
 */
export function permissionsFor(
  service: string,
  action: string,
  input: Input,
  inventory: Inventory,
): Permission[] | undefined {
  return MAPPINGS[service]?.(action, input, inventory);
}

/**
 * On a customer's key, which the service uses in the caller's name. Source:
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 */
function onKey(action: string, keyArn: string, service: string, region: string): Permission {
  const values: Record<string, string[]> = {
    'kms:viaservice': [`${service}.${region}.amazonaws.com`],
    'kms:grantisforawsresource': ['true'],
  };
  return { action: `kms:${action}`, resource: keyArn, key: (key) => values[key] };
}

/**
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html : what describes knows no
 * resources.
 */
function ec2(
  action: string,
  input: Input,
  { arn, region, instanceTags, volume, keyOfVolume, securityGroupTags }: Inventory,
): Permission[] | undefined {
  const onInstance = (id: string): Permission => ({
    action: `ec2:${action}`,
    resource: arn('ec2', `instance/${id}`),
    key: (key) => tagValue(instanceTags(id), key),
  });
  const onVolume = (id: string): Permission => ({
    action: `ec2:${action}`,
    resource: arn('ec2', `volume/${id}`),
    key: (key) => tagValue(volume(id)?.tags, key),
  });
  const onGroup = (id: string): Permission => ({
    action: `ec2:${action}`,
    resource: arn('ec2', `security-group/${id}`),
    key: (key) => tagValue(securityGroupTags(id), key) ?? tagValue(securityGroupTags(id), key, 'ec2:resourcetag/'),
  });
  switch (action) {
    case 'DescribeSecurityGroupRules':
    case 'DescribeInstances':
    case 'DescribeSpotInstanceRequests':
    case 'DescribeVolumes':
    case 'DescribeNetworkInterfaces':
      return [{ action: `ec2:${action}`, resource: '*' }];
    case 'AttachVolume':
      return [
        ...given(input.InstanceId).map(onInstance),
        ...given(input.VolumeId).map(onVolume),
        // The grant lets the instance's host decrypt the volume's data key:
        // https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
        ...given(keyOfVolume(input.VolumeId)).flatMap((key) => [
          onKey('CreateGrant', key, 'ec2', region),
          onKey('Decrypt', key, 'ec2', region),
        ]),
      ];
    case 'DetachVolume':
      return [
        ...given(input.InstanceId ?? volume(input.VolumeId)?.instanceId).map(onInstance),
        ...given(input.VolumeId).map(onVolume),
      ];
    case 'RevokeSecurityGroupIngress':
      return given(input.GroupId).map(onGroup);
    case 'AuthorizeSecurityGroupIngress':
      return [...given(input.GroupId).map(onGroup), ...taggedRule(action, input, arn)];
    case 'TerminateInstances':
      return given(input.InstanceIds).map(onInstance);
    default:
      return undefined;
  }
}

/**
 * Rules that are made with tags need the permission on what they will be, and CreateTags there.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
 */
function taggedRule(action: string, { TagSpecifications: specifications }: Input, arn: Inventory['arn']): Permission[] {
  if (!specifications?.length) return [];
  const resource = arn('ec2', 'security-group-rule/*');
  const request = { Tags: (specifications as Input[]).flatMap(({ Tags = [] }) => Tags) };
  return [
    { action: `ec2:${action}`, resource, key: (key) => requestTag(request, key) },
    {
      action: 'ec2:CreateTags',
      resource,
      key: (key) => (key === 'ec2:createaction' ? [action] : requestTag(request, key)),
    },
  ];
}

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html */
function autoscaling(
  action: string,
  input: Input,
  { arn, group, groupOfInstance }: Inventory,
): Permission[] | undefined {
  const on = (found: { arn: string; tags: Tags } | undefined, name = '*'): Permission[] => [
    {
      action: `autoscaling:${action}`,
      resource: found?.arn ?? arn('autoscaling', `autoScalingGroup:*:autoScalingGroupName/${name}`),
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
      return on(group(input.AutoScalingGroupName), input.AutoScalingGroupName);
    case 'SetInstanceHealth':
    case 'TerminateInstanceInAutoScalingGroup':
      return on(groupOfInstance(input.InstanceId));
    default:
      return undefined;
  }
}

/**
 * What is made with tags needs AddTags as well, on what it will be: its own id is any. What describes knows no
 * resources.
 * Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html,
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html
 */
function elasticloadbalancing(
  action: string,
  input: Input,
  { arn, loadBalancingTags }: Inventory,
): Permission[] | undefined {
  const on = (permission: string, resource: string, own: Record<string, string[]> = {}): Permission => ({
    action: `elasticloadbalancing:${permission}`,
    resource,
    key: (key) =>
      own[key] ??
      tagValue(loadBalancingTags(resource), key, 'aws:resourcetag/') ??
      tagValue(loadBalancingTags(resource), key, 'elasticloadbalancing:resourcetag/') ??
      requestTag(input, key),
  });
  const withTags = (resource: string): Permission[] =>
    input.Tags?.length ? [on('AddTags', resource, { 'elasticloadbalancing:createaction': [action] })] : [];
  switch (action) {
    case 'DescribeLoadBalancers':
    case 'DescribeListeners':
    case 'DescribeTargetGroups':
    case 'DescribeTargetGroupAttributes':
    case 'DescribeTargetHealth':
    case 'DescribeTags':
      return [on(action, '*')];
    case 'RegisterTargets':
    case 'DeregisterTargets':
    case 'ModifyTargetGroup':
    case 'ModifyTargetGroupAttributes':
    case 'DeleteTargetGroup':
      return given(input.TargetGroupArn).map((group) => on(action, group));
    case 'CreateTargetGroup':
      return given(input.Name).flatMap((name) => {
        const group = arn('elasticloadbalancing', `targetgroup/${name}/*`);
        return [on(action, group), ...withTags(group)];
      });
    case 'CreateListener':
      return given(input.LoadBalancerArn).flatMap((loadBalancer) => [
        on(action, loadBalancer),
        ...withTags(`${loadBalancer.replace(':loadbalancer/', ':listener/')}/*`),
      ]);
    case 'ModifyListener':
    case 'DeleteListener':
      return given(input.ListenerArn).map((listener) => on(action, listener));
    case 'AddTags':
    case 'RemoveTags':
      return given(input.ResourceArns).map((resource) => on(action, resource));
    default:
      return undefined;
  }
}

/**
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html : a name that no stack
 * has is checked as `stack/<name>/*`.
 */
function cloudformation(action: string, input: Input, { arn, stackArn }: Inventory): Permission[] | undefined {
  if (!['DescribeStacks', 'DescribeStackResource', 'DescribeStackResources', 'SignalResource'].includes(action))
    return undefined;
  const name: string | undefined = input.StackName;
  const resource =
    name === undefined
      ? '*'
      : (stackArn(name) ?? (name.startsWith('arn:') ? name : arn('cloudformation', `stack/${name}/*`)));
  return [{ action: `cloudformation:${action}`, resource }];
}

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html */
function sqs(action: string, input: Input, { arn }: Inventory): Permission[] | undefined {
  if (
    ![
      'SendMessage',
      'ReceiveMessage',
      'DeleteMessage',
      'ChangeMessageVisibility',
      'GetQueueUrl',
      'GetQueueAttributes',
    ].includes(action)
  )
    return undefined;
  const name: string | undefined = input.QueueName ?? /\/([\w-]+)$/.exec(input.QueueUrl ?? '')?.[1];
  return given(name).map((queue) => ({ action: `sqs:${action}`, resource: arn('sqs', queue) }));
}

/**
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html : each entry is
 * checked by itself.
 */
function events(action: string, input: Input, { arn }: Inventory): Permission[] | undefined {
  if (action !== 'PutEvents') return undefined;
  return (input.Entries ?? []).map(({ EventBusName = 'default', Source, DetailType }: Input) => ({
    action: 'events:PutEvents',
    resource: arn('events', `event-bus/${EventBusName}`),
    key: (key: string) => ({ 'events:source': [Source], 'events:detail-type': [DetailType] })[key],
  }));
}

/**
 * On the stream, not on the group: what is granted on a group's ARN ending in `:*` covers its streams.
 * Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html#CWL_ARN_Format
 */
function logs(action: string, input: Input, { arn }: Inventory): Permission[] | undefined {
  if (!['CreateLogStream', 'PutLogEvents', 'GetLogEvents'].includes(action)) return undefined;
  return given(input.logGroupName).map((group) => ({
    action: `logs:${action}`,
    resource: arn('logs', `log-group:${group}:log-stream:${input.logStreamName ?? ''}`),
  }));
}

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html : its permission is that of GetObject. Buckets
 * have neither region nor account in their ARN.
 */
function s3(action: string, input: Input): Permission[] | undefined {
  if (action !== 'GetObject' && action !== 'HeadObject') return undefined;
  return [{ action: 's3:GetObject', resource: `arn:aws:s3:::${input.Bucket}/${input.Key}` }];
}

/**
 * A table under a customer's key needs that key as well:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
 */
function dynamodb(action: string, input: Input, inventory: Inventory): Permission[] | undefined {
  const permissions = onTables(action, input, inventory);
  const keys = (permissions ?? []).flatMap(({ resource }) => inventory.keyOfTable(resource.split('/')[1]!) ?? []);
  return (
    permissions && [
      ...permissions,
      ...[...new Set(keys)].map((key) => onKey('Decrypt', key, 'dynamodb', inventory.region)),
    ]
  );
}

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html */
function onTables(action: string, input: Input, inventory: Inventory): Permission[] | undefined {
  const on = (permission: string, table: string, partitions: () => (AttributeValue | undefined)[]): Permission => ({
    action: `dynamodb:${permission}`,
    resource: table.startsWith('arn:') ? table : inventory.arn('dynamodb', `table/${table}`),
    key: (key) => (key === 'dynamodb:leadingkeys' ? leadingKeys(partitions()) : undefined),
  });
  const partition = (table: string, item: Input | undefined): AttributeValue | undefined =>
    item?.[inventory.partitionKey(table) ?? ''];
  const onItem = (permission: string, { TableName: table, Key, Item }: Input): Permission[] =>
    given(table).map((name) => on(permission, name, () => [partition(name, Key ?? Item)]));
  switch (action) {
    case 'GetItem':
    case 'PutItem':
    case 'UpdateItem':
    case 'DeleteItem':
      return onItem(action, input);
    case 'Query':
      return given(input.TableName).map((table) => on(action, table, () => [inventory.queriedPartition(input)]));
    case 'Scan':
      return given(input.TableName).map((table) => on(action, table, () => []));
    case 'BatchGetItem':
      return Object.entries<Input>(input.RequestItems ?? {}).map(([table, { Keys = [] }]) =>
        on(action, table, () => Keys.map((key: Input) => partition(table, key))),
      );
    case 'BatchWriteItem':
      return Object.entries<Input[]>(input.RequestItems ?? {}).map(([table, requests]) =>
        on(action, table, () =>
          requests.map((request) => partition(table, request.PutRequest?.Item ?? request.DeleteRequest?.Key)),
        ),
      );
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    case 'TransactGetItems':
      return (input.TransactItems ?? []).flatMap((operation: Input) => onItem('GetItem', operation.Get ?? {}));
    case 'TransactWriteItems':
      return (input.TransactItems ?? []).flatMap((operation: Input) =>
        Object.entries<Input | undefined>(operation).flatMap(([kind, write]) =>
          onItem(kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`, write ?? {}),
        ),
      );
    default:
      return undefined;
  }
}

/**
 * Values of partition keys as text: of `{ S: 'a' }`, `a`. A request that names no partition (a Scan) has no leading
 * keys.
 */
function leadingKeys(partitions: (AttributeValue | undefined)[]): string[] {
  return partitions.flatMap((value) => (value === undefined ? [] : Object.values(value).map(String)));
}

/**
 * Keys of tags are compared without case:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourcetag
 */
function tagValue(tags: Tags | undefined, key: string, prefix = 'aws:resourcetag/'): string[] | undefined {
  if (!key.startsWith(prefix)) return undefined;
  for (const name in tags)
    if (name.length === key.length - prefix.length && key.endsWith(name.toLowerCase())) return [tags[name]!];
  return undefined;
}

/**
 * Tags that a request brings, and keys of those that it takes away.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requesttag ,
 * and #condition-keys-tagkeys there
 */
function requestTag({ Tags: list, TagKeys: keys }: Input, key: string): string[] | undefined {
  if (key === 'aws:tagkeys')
    return (keys as string[] | undefined) ?? (list as { Key: string }[] | undefined)?.map(({ Key }) => Key);
  return tagValue(tagMap(list), key, 'aws:requesttag/');
}

function given(names: string | string[] | undefined): string[] {
  return names === undefined ? [] : [names].flat();
}

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html : "No permissions are required". */
const sts: Mapping = (action) => (action === 'GetCallerIdentity' ? [] : undefined);

const MAPPINGS: Record<string, Mapping> = {
  autoscaling,
  cloudformation,
  dynamodb,
  ec2,
  elasticloadbalancing,
  events,
  logs,
  s3,
  sqs,
  sts,
};

/**
 * What the credentials of one worker are good for, against both tables of the reference stack: its own commands and its
 * own report, and nothing else.
 */
import {
  CLUSTER_PARTITION,
  COMMANDS_KEY,
  LEADER_KEY,
  LEASE_KEY,
  mailbox,
  MEMBERSHIP_KEY,
  REPORT_KEY,
} from '../../../../protocol/keys';
import { deployReference, type Reference } from '../reference';
import { closeWorlds } from '../world';

let reference: Reference;
let boxes: Record<'own' | 'other worker' | 'manager', string>;
beforeAll(async () => {
  reference = await deployReference();
  reference.world.denying = true;
  const [own, other] = reference.instancesOf('Worker');
  const [manager] = reference.instancesOf('Manager');
  const roleId = (role: string) =>
    reference.world.region.roles().find(({ logicalId }) => logicalId.includes(`${role}Role`))!.roleId;
  boxes = {
    own: mailbox(roleId('Worker'), own!),
    'other worker': mailbox(roleId('Worker'), other!),
    manager: mailbox(roleId('Manager'), manager!),
  };
});
afterAll(closeWorlds);

type Row = keyof typeof boxes | 'leader' | 'lease' | 'membership';
const ROWS: Row[] = ['own', 'other worker', 'manager', 'leader', 'lease', 'membership'];
const ACTIONS = [
  'GetItem',
  'BatchGetItem',
  'Query',
  'Scan',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'BatchWriteItem',
  'TransactWriteItems',
  'TransactGetItems',
  'DescribeTable',
] as const;
type Action = (typeof ACTIONS)[number];

function key(row: Row, table: 'tokens' | 'reports') {
  const cluster: Partial<Record<Row, string>> = { leader: LEADER_KEY, lease: LEASE_KEY, membership: MEMBERSHIP_KEY };
  const sk = cluster[row] ?? (table === 'tokens' ? COMMANDS_KEY : REPORT_KEY);
  return { pk: { S: cluster[row] ? CLUSTER_PARTITION : boxes[row as keyof typeof boxes] }, sk: { S: sk } };
}

function input(action: Action, TableName: string, Key: ReturnType<typeof key>): Record<string, any> {
  const update = { TableName, Key, UpdateExpression: 'SET x = :x', ExpressionAttributeValues: { ':x': { S: 'x' } } };
  const inputs: Record<Action, Record<string, any>> = {
    GetItem: { TableName, Key },
    BatchGetItem: { RequestItems: { [TableName]: { Keys: [Key] } } },
    Query: { TableName, KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': Key.pk } },
    Scan: { TableName },
    PutItem: { TableName, Item: Key },
    UpdateItem: update,
    DeleteItem: { TableName, Key },
    BatchWriteItem: { RequestItems: { [TableName]: [{ PutRequest: { Item: Key } }] } },
    TransactWriteItems: {
      TransactItems: [
        { Put: { TableName, Item: Key } },
        { ConditionCheck: { TableName, Key, ConditionExpression: 'attribute_exists(pk)' } },
      ],
    },
    TransactGetItems: { TransactItems: [{ Get: { TableName, Key } }] },
    DescribeTable: { TableName },
  };
  return inputs[action];
}

const attempts = ACTIONS.flatMap((action) =>
  (['tokens', 'reports'] as const).flatMap((table) => ROWS.map((row) => ({ action, table, row }))),
);
/**
 * A transaction of updates and gets needs the permissions of its parts: reading one's own commands so is the same as
 * GetItem. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
 */
const allowed = (action: string, table: string, row: Row) =>
  row === 'own' &&
  ((table === 'tokens' && ['GetItem', 'TransactGetItems'].includes(action)) ||
    (table === 'reports' && action === 'UpdateItem'));

test.each(attempts)(
  'a worker\'s $action in the table of $table on the row "$row" is allowed only on its own commands and report',
  async ({ action, table, row }) => {
    const [own] = reference.instancesOf('Worker');
    const attempt = reference.callAs(own!, 'dynamodb', action, input(action, reference[table], key(row, table))).then(
      () => 'allowed',
      (error) => error.code ?? error.message,
    );
    expect(await attempt).toBe(allowed(action, table, row) ? 'allowed' : 'AccessDeniedException');
  },
);

test('an update in a transaction is allowed on the own report, and on no other', async () => {
  const [own] = reference.instancesOf('Worker');
  const write = (row: Row) => {
    const { TableName, Key, ...rest } = input('UpdateItem', reference.reports, key(row, 'reports'));
    return reference.callAs(own!, 'dynamodb', 'TransactWriteItems', {
      TransactItems: [{ Update: { TableName, Key, ...rest } }],
    });
  };
  await expect(write('own')).resolves.toEqual({});
  await expect(write('manager')).rejects.toMatchObject({ code: 'AccessDeniedException' });
});

test('the denial names the session, the action and the table', async () => {
  const [own] = reference.instancesOf('Worker');
  const { name } = reference.world.region.roles().find(({ logicalId }) => logicalId.includes('WorkerRole'))!;
  await expect(reference.callAs(own!, 'dynamodb', 'Scan', { TableName: reference.tokens })).rejects.toThrow(
    `User: arn:aws:sts::123456789012:assumed-role/${name}/${own} is not authorized to perform: ` +
      `dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:123456789012:table/${reference.tokens} ` +
      'because no identity-based policy allows the dynamodb:Scan action',
  );
});

test('outside of the tables a worker may not look at, attach or end anything, nor read logs', async () => {
  const [own, other] = reference.instancesOf('Worker');
  const { world } = reference;
  const [volume] = world.region.volumes();
  const group = world.region.groups()[0]!.name;
  const queueUrl = (await world.call('sqs', 'GetQueueUrl', { QueueName: world.region.queues()[0]!.name })).QueueUrl;
  const refusals: [string, string, Record<string, any>][] = [
    ['ec2', 'DescribeInstances', {}],
    ['ec2', 'AttachVolume', { InstanceId: own, VolumeId: volume!.volumeId, Device: '/dev/xvdf' }],
    ['ec2', 'TerminateInstances', { InstanceIds: [other] }],
    [
      'autoscaling',
      'CompleteLifecycleAction',
      { AutoScalingGroupName: group, LifecycleHookName: 'launch', InstanceId: own, LifecycleActionResult: 'CONTINUE' },
    ],
    ['autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: group, DesiredCapacity: 0 }],
    [
      'cloudformation',
      'SignalResource',
      { StackName: 'Test', LogicalResourceId: 'X', UniqueId: 'x', Status: 'FAILURE' },
    ],
    ['sqs', 'SendMessage', { QueueUrl: queueUrl, MessageBody: '{}' }],
    ['s3', 'GetObject', { Bucket: 'another', Key: 'file' }],
    [
      'logs',
      'GetLogEvents',
      { logGroupName: world.region.remains().find((name) => name.includes('NodeLogs')), logStreamName: 's' },
    ],
  ];
  for (const [service, action, given] of refusals) {
    await expect(reference.callAs(own!, service, action, given)).rejects.toMatchObject({
      code: expect.stringMatching(/^(AccessDenied|AccessDeniedException|UnauthorizedOperation)$/),
    });
  }
});

/**
 * The same requests, by the SDK's own clients, to the emulated AWS and to moto (https://docs.getmoto.org/), where
 * `moto_server` is installed: the answers must be the same for what both implement. Where moto is known to answer
 * otherwise, the AWS page that says ours is right stands beside the request. The list is printed.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import * as autoscaling from '@aws-sdk/client-auto-scaling';
import * as logs from '@aws-sdk/client-cloudwatch-logs';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as ec2 from '@aws-sdk/client-ec2';
import * as sqs from '@aws-sdk/client-sqs';
import { systemClock } from '../../../protocol/clock';
import { AutoScaling } from '../../../rehearsal/aws/autoscaling/autoscaling';
import { Context } from '../../../rehearsal/aws/core/context';
import { DynamoDb } from '../../../rehearsal/aws/dynamodb/dynamodb';
import { Ec2 } from '../../../rehearsal/aws/ec2/ec2';
import { Events } from '../../../rehearsal/aws/events/events';
import { serveAws } from '../../../rehearsal/aws/wire/http';
import { Iam } from '../../../rehearsal/aws/iam/iam';
import { Authorization } from '../../../rehearsal/aws/iam/authorization';
import { Logs } from '../../../rehearsal/aws/logs/logs';
import { Sqs } from '../../../rehearsal/aws/sqs/sqs';
import { Ssm } from '../../../rehearsal/aws/ssm/ssm';
import type { Machines, Service } from '../../../rehearsal/aws/core/types';

const REGION = 'eu-central-1';
const ZONE = 'eu-central-1a';
/** An image that moto knows from the start. */
const IMAGE = 'ami-12c6146b';
const DYNAMODB = 'https://docs.aws.amazon.com/amazondynamodb/latest';
const EC2_ERRORS = 'https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html';
const AUTO_SCALING_ERRORS = 'https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html';
const NO_VOLUME = 'vol-0123456789abcdef0';
const NO_INSTANCE = 'i-0123456789abcdef0';

/** One of the two, with the same things made in it. */
interface Side {
  dynamodb: dynamodb.DynamoDBClient;
  sqs: sqs.SQSClient;
  logs: logs.CloudWatchLogsClient;
  ec2: ec2.EC2Client;
  autoscaling: autoscaling.AutoScalingClient;
  /** What has another name or id on either side. */
  ids: {
    queueUrl: string;
    volume: string;
    otherVolume: string;
    farVolume: string;
    instance: string;
    receiptHandle?: string;
  };
}

interface Request {
  title: string;
  send(side: Side): Promise<any>;
  /** What of the answer is compared. @default all of it */
  compared?: (output: any, side: Side) => unknown;
  /** moto answers otherwise: the page that says what is right. */
  deviation?: string;
}

const sides: { ours?: Side; moto?: Side } = {};
const cleanUp: (() => Promise<unknown>)[] = [];
const outcomes: { request: Request; ours: string; moto: string }[] = [];

const installed = (() => {
  try {
    return execFileSync('sh', ['-c', 'command -v moto_server'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
})();

function clients(endpoint: string, accessKeyId: string): Omit<Side, 'ids'> {
  const options = { endpoint, region: REGION, credentials: { accessKeyId, secretAccessKey: 'secret' }, maxAttempts: 1 };
  const made = {
    dynamodb: new dynamodb.DynamoDBClient(options),
    sqs: new sqs.SQSClient(options),
    logs: new logs.CloudWatchLogsClient(options),
    ec2: new ec2.EC2Client(options),
    autoscaling: new autoscaling.AutoScalingClient(options),
  };
  cleanUp.push(async () => Object.values(made).forEach((client) => client.destroy()));
  return made;
}

async function until(what: string, holds: () => Promise<boolean>, seconds: number): Promise<void> {
  const deadline = systemClock.now() + seconds * 1000;
  while (!(await holds())) {
    if (systemClock.now() > deadline) throw new Error(`After ${seconds} seconds: ${what} still does not hold.`);
    await systemClock.sleep(50);
  }
}

const table: dynamodb.CreateTableCommandInput = {
  TableName: 't',
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
};

async function startOurs(): Promise<Side> {
  const nothing = {
    launch: 0,
    terminate: 0,
    attachVolume: 0,
    detachVolume: 0,
    queue: 0,
    stream: 0,
    registerTarget: 0,
    deregisterTarget: 0,
  };
  const context = new Context(systemClock, REGION, '123456789012', nothing);
  const done = async () => undefined;
  const machines: Machines = {
    launch: done,
    terminate: done,
    createVolume: done,
    attachVolume: done,
    detachVolume: done,
    deleteVolume: done,
    answers: async () => true,
  };
  const iam = new Iam(context);
  const authorization = new Authorization(context, iam);
  const computers = new Ec2(context, machines, iam, authorization, new Ssm());
  const queues = new Sqs(context);
  const groups = new AutoScaling(
    context,
    computers,
    queues,
    new Events(context, queues, authorization),
    iam,
    authorization,
  );
  const tables = new DynamoDb(systemClock);
  const logGroups = new Logs(context);
  const services: Record<string, Service> = {
    dynamodb: tables,
    sqs: queues,
    logs: logGroups,
    ec2: computers,
    autoscaling: groups,
  };
  const principal = {
    accessKeyId: 'AKIDOURS',
    role: 'operator',
    arn: 'arn:aws:iam::123456789012:user/operator',
    userId: 'AIDA',
  };
  const server = await serveAws(
    { call: ({ service, action, input }) => services[service]!.call(action, input, principal) },
    { host: '127.0.0.1', port: 0 },
  );
  cleanUp.push(
    () => server.close(),
    () => context.stop(),
  );

  queues.origin = server.url;
  tables.createTable({
    tableName: 't',
    tableArn: context.arn('dynamodb', 'table/t'),
    partitionKey: 'pk',
    sortKey: 'sk',
  });
  logGroups.createGroup('g');
  const subnet = computers.networks.createSubnet(computers.networks.createVpc('10.0.0.0/16').id, '10.0.0.0/24', ZONE);
  const volume = async (availabilityZone: string) =>
    (
      await computers.volumes.create({
        sizeGiB: 20,
        availabilityZone,
        type: 'gp3',
        encrypted: false,
        tags: { name: 'x' },
      })
    ).volumeId;
  const template = computers.launchTemplates.create('template', { ImageId: IMAGE, InstanceType: 't3.micro' });
  const instance = computers.run({ template, lifecycle: 'on-demand', subnetId: subnet.id, tags: {} }).instanceId;
  groups.createGroup({
    name: 'asg',
    logicalId: 'Asg',
    min: 0,
    max: 3,
    desired: 1,
    availabilityZones: [],
    subnetIds: [subnet.id],
    launchTemplate: { LaunchTemplateName: 'template', Version: '1' },
    hooks: [],
    tags: [{ key: 'k', value: 'v', propagate: true }],
    healthCheckType: 'EC2',
    healthCheckGraceSeconds: 0,
  });
  return {
    ...clients(server.url, principal.accessKeyId),
    ids: {
      queueUrl: queues.url(queues.createQueue('q', { visibilityTimeout: 40 })),
      volume: await volume(ZONE),
      otherVolume: await volume(ZONE),
      farVolume: await volume('eu-central-1b'),
      instance,
    },
  };
}

async function startMoto(): Promise<Side> {
  const port = await new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const found = (probe.address() as AddressInfo).port;
      probe.close(() => resolve(found));
    });
  });
  const server: ChildProcess = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  cleanUp.push(async () => {
    server.kill('SIGKILL');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  const answers = () =>
    fetch(`${url}/moto-api/data.json`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(`moto_server answers at ${url}`, answers, 60);

  const side = clients(url, 'AKIDMOTO');
  await side.dynamodb.send(new dynamodb.CreateTableCommand(table));
  await side.logs.send(new logs.CreateLogGroupCommand({ logGroupName: 'g' }));
  const { QueueUrl } = await side.sqs.send(
    new sqs.CreateQueueCommand({ QueueName: 'q', Attributes: { VisibilityTimeout: '40' } }),
  );
  const { Vpc } = await side.ec2.send(new ec2.CreateVpcCommand({ CidrBlock: '10.0.0.0/16' }));
  const { Subnet } = await side.ec2.send(
    new ec2.CreateSubnetCommand({ VpcId: Vpc!.VpcId, CidrBlock: '10.0.0.0/24', AvailabilityZone: ZONE }),
  );
  const volume = async (AvailabilityZone: string) =>
    (
      await side.ec2.send(
        new ec2.CreateVolumeCommand({
          AvailabilityZone,
          Size: 20,
          VolumeType: 'gp3',
          TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'name', Value: 'x' }] }],
        }),
      )
    ).VolumeId!;
  const launched = await side.ec2.send(
    new ec2.RunInstancesCommand({
      ImageId: IMAGE,
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      SubnetId: Subnet!.SubnetId,
    }),
  );
  await side.ec2.send(
    new ec2.CreateLaunchTemplateCommand({
      LaunchTemplateName: 'template',
      LaunchTemplateData: { ImageId: IMAGE, InstanceType: 't3.micro' },
    }),
  );
  await side.autoscaling.send(
    new autoscaling.CreateAutoScalingGroupCommand({
      AutoScalingGroupName: 'asg',
      MinSize: 0,
      MaxSize: 3,
      DesiredCapacity: 1,
      VPCZoneIdentifier: Subnet!.SubnetId,
      LaunchTemplate: { LaunchTemplateName: 'template', Version: '1' },
      HealthCheckGracePeriod: 0,
      Tags: [{ Key: 'k', Value: 'v', PropagateAtLaunch: true, ResourceId: 'asg', ResourceType: 'auto-scaling-group' }],
    }),
  );
  return {
    ...side,
    ids: {
      queueUrl: QueueUrl!,
      volume: await volume(ZONE),
      otherVolume: await volume(ZONE),
      farVolume: await volume('eu-central-1b'),
      instance: launched.Instances![0]!.InstanceId!,
    },
  };
}

// What is asked. Requests follow each other: each finds what those before it have left.

const key = (pk: string, sk = '0') => ({ pk: { S: pk }, sk: { S: sk } });
const S = (text: string) => ({ S: text });
const N = (number: string) => ({ N: number });

function dynamo(
  title: string,
  command: new (input: any) => any,
  input: Record<string, unknown>,
  deviation?: string,
): Request {
  return {
    title: `DynamoDB ${command.name.replace('Command', '')}: ${title}`,
    send: ({ dynamodb: client }) => client.send(new command(input)),
    deviation,
  };
}
const put = (title: string, item: Record<string, unknown>, more: Record<string, unknown> = {}, deviation?: string) =>
  dynamo(title, dynamodb.PutItemCommand, { TableName: 't', Item: item, ...more }, deviation);
const get = (title: string, pk: string, more: Record<string, unknown> = {}, deviation?: string) =>
  dynamo(title, dynamodb.GetItemCommand, { TableName: 't', Key: key(pk), ...more }, deviation);
const update = (
  UpdateExpression: string,
  values: Record<string, unknown> | undefined,
  more: Record<string, unknown> = {},
  deviation?: string,
) =>
  dynamo(
    UpdateExpression,
    dynamodb.UpdateItemCommand,
    {
      TableName: 't',
      Key: key('u'),
      UpdateExpression,
      ExpressionAttributeValues: values,
      ReturnValues: 'ALL_NEW',
      ...more,
    },
    deviation,
  );
const condition = (ConditionExpression: string, values?: Record<string, unknown>, deviation?: string) =>
  dynamo(
    `if ${ConditionExpression}`,
    dynamodb.UpdateItemCommand,
    {
      TableName: 't',
      Key: key('c'),
      UpdateExpression: 'ADD touched :one',
      ConditionExpression,
      ExpressionAttributeValues: { ':one': N('1'), ...values },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    },
    deviation,
  );
const query = (
  KeyConditionExpression: string,
  values: Record<string, unknown>,
  more: Record<string, unknown> = {},
  deviation?: string,
) =>
  dynamo(
    `${KeyConditionExpression} ${JSON.stringify(more)}`,
    dynamodb.QueryCommand,
    { TableName: 't', KeyConditionExpression, ExpressionAttributeValues: { ':p': S('q'), ...values }, ...more },
    deviation,
  );
const transact = (title: string, TransactItems: unknown[], deviation?: string) =>
  dynamo(title, dynamodb.TransactWriteItemsCommand, { TransactItems }, deviation);

const everything = {
  s: S('hello'),
  n: N('10'),
  b: { B: Uint8Array.of(1, 2, 3) },
  t: { BOOL: true },
  nil: { NULL: true },
  ss: { SS: ['x', 'y'] },
  ns: { NS: ['1', '2'] },
  l: { L: [S('first'), { M: { deep: N('5') } }] },
  m: { M: { inside: S('v'), xs: { L: [N('1')] } } },
};

const dynamoRequests: Request[] = [
  put('a new item', { ...key('a'), ...everything }),
  get('it', 'a'),
  get('none', 'none'),
  get('some of it', 'a', {
    ProjectionExpression: 's, #n, m.inside, l[1].deep',
    ExpressionAttributeNames: { '#n': 'n' },
  }),
  put('over another, answering the old one', { ...key('a'), x: N('1') }, { ReturnValues: 'ALL_OLD' }),
  put('if there is none, where there is one', key('a'), {
    ConditionExpression: 'attribute_not_exists(pk)',
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  }),
  put('without its sort key', { pk: S('a') }),
  put('with a sort key of another type', { pk: S('a'), sk: N('1') }),
  put('with an empty key', key('')),
  put('into an unknown table', key('a'), { TableName: 'unknown' }),
  put('with new values asked for', key('a'), { ReturnValues: 'ALL_NEW' }),
  put(
    'with an unused value',
    key('none'),
    { ConditionExpression: 'attribute_exists(pk)', ExpressionAttributeValues: { ':unused': S('x') } },
    `${DYNAMODB}/developerguide/Expressions.ExpressionAttributeValues.html (moto refuses it in UpdateItem only)`,
  ),
  put('with an unused name', key('a'), {
    ConditionExpression: 'attribute_exists(pk)',
    ExpressionAttributeNames: { '#unused': 'x' },
  }),
  put(
    'with values and no expression',
    key('decimal'),
    { ExpressionAttributeValues: { ':x': S('x') } },
    `${DYNAMODB}/APIReference/API_PutItem.html#DDB-PutItem-request-ExpressionAttributeValues`,
  ),
  put('larger than 400 KB', { ...key('a'), data: S('x'.repeat(410_000)) }),
  put('with an empty set', { ...key('a'), ss: { SS: [] } }),
  put('with a number that is none', { ...key('a'), n: N('one') }),
  get('with the sort key missing', 'a', { Key: { pk: S('a') } }),
  dynamo('it, answering it', dynamodb.DeleteItemCommand, { TableName: 't', Key: key('a'), ReturnValues: 'ALL_OLD' }),
  dynamo('it again', dynamodb.DeleteItemCommand, { TableName: 't', Key: key('a'), ReturnValues: 'ALL_OLD' }),
  dynamo('if it exists, where it does not', dynamodb.DeleteItemCommand, {
    TableName: 't',
    Key: key('a'),
    ConditionExpression: 'attribute_exists(pk)',
  }),

  put('for conditions', { ...key('c'), ...everything }),
  condition('s = :v', { ':v': S('hello') }),
  condition('s = :v', { ':v': S('other') }),
  condition('s <> :v', { ':v': S('other') }),
  condition('absent = :v', { ':v': S('x') }),
  condition('absent <> :v', { ':v': S('x') }),
  condition('n = :v', { ':v': N('10.0') }),
  condition('n > :v', { ':v': N('9') }),
  condition('n < :v', { ':v': N('9') }),
  condition('n BETWEEN :v AND :w', { ':v': N('9'), ':w': N('11') }),
  condition('s IN (:v, :w)', { ':v': S('x'), ':w': S('hello') }),
  condition('attribute_exists(m.inside) AND attribute_not_exists(m.absent)'),
  condition('attribute_exists(l[1].deep)'),
  condition('attribute_exists(l[7])'),
  condition('attribute_type(s, :v)', { ':v': S('S') }),
  condition('attribute_type(s, :v)', { ':v': S('N') }),
  condition('begins_with(s, :v)', { ':v': S('hel') }),
  condition('begins_with(s, :v)', { ':v': S('ell') }),
  condition('contains(s, :v)', { ':v': S('ell') }),
  condition('contains(ss, :v)', { ':v': S('x') }),
  condition('contains(ss, :v)', { ':v': S('z') }),
  condition('contains(l, :v)', { ':v': S('first') }),
  condition('size(s) = :v AND size(ss) = :w AND size(b) = :u', { ':v': N('5'), ':w': N('2'), ':u': N('3') }),
  condition('s = :v OR n = :w AND t = :u', { ':v': S('hello'), ':w': N('9'), ':u': { BOOL: false } }),
  condition('(s = :v OR n = :w) AND t = :u', { ':v': S('hello'), ':w': N('9'), ':u': { BOOL: false } }),
  condition('NOT s = :v', { ':v': S('hello') }),
  condition('m.xs[0] = :v', { ':v': N('1') }),
  condition('ss = :v', { ':v': { SS: ['y', 'x'] } }),
  condition('s = ', undefined, `${DYNAMODB}/developerguide/Programming.Errors.html`),
  condition('explode(s)'),
  condition('s = :undefined', undefined, `${DYNAMODB}/developerguide/Programming.Errors.html`),
  condition('#undefined = :v', { ':v': S('x') }, `${DYNAMODB}/developerguide/Programming.Errors.html`),
  condition('status = :v', { ':v': S('x') }),

  update('SET n = :v', { ':v': N('1') }),
  update('SET n = n + :v', { ':v': N('25') }),
  update('SET n = n - :v', { ':v': N('5') }),
  update('ADD n :v', { ':v': N('2.5') }, { Key: key('decimal') }),
  update(
    'ADD n :v',
    { ':v': N('0.50') },
    { Key: key('decimal') },
    `${DYNAMODB}/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number (no trailing zeroes)`,
  ),
  update('SET n = if_not_exists(n, :v), z = if_not_exists(z, :v)', { ':v': N('7') }),
  update('SET l = :v', { ':v': { L: [N('1'), N('2'), N('3')] } }),
  update('SET l = list_append(l, :v)', { ':v': { L: [N('4')] } }),
  update('SET l[1] = :v', { ':v': S('two') }),
  update('SET l[9] = :v', { ':v': S('last') }),
  update('REMOVE l[0], l[2]', undefined),
  update('SET m = :v', { ':v': { M: { a: { M: {} }, b: N('1') } } }),
  update('SET m.a.x = :v REMOVE m.b', { ':v': N('1') }),
  update('SET m.absent.x = :v', { ':v': N('1') }),
  update('ADD ss :v', { ':v': { SS: ['a', 'b'] } }),
  update('DELETE ss :v', { ':v': { SS: ['a'] } }),
  update('DELETE ss :v', { ':v': { SS: ['b'] } }),
  update('ADD n :v', { ':v': N('-10') }),
  update('ADD s :v', { ':v': S('x') }),
  update('SET x = absent', undefined),
  update('SET pk = :v', { ':v': S('x') }),
  update('SET n = :v SET z = :v', { ':v': N('1') }),
  update('SET n = :v, n = :v', { ':v': N('1') }),
  update('SET name = :v', { ':v': S('x') }),
  update('CHANGE n = :v', { ':v': N('1') }),
  update('SET n = :v', { ':v': N('2') }, { ReturnValues: 'UPDATED_OLD' }),
  update('SET n = :v', { ':v': N('3') }, { ReturnValues: 'UPDATED_NEW' }),
  update('SET n = :v', { ':v': N('4') }, { ReturnValues: 'ALL_OLD' }),
  update('SET n = :v', { ':v': N('5') }, { ReturnValues: undefined }),
  update('SET n = :v', { ':v': N('6'), ':w': N('4') }, { ConditionExpression: 'n = :w' }),

  ...['b#2', 'a', 'b#10', 'c'].map((sk) => put(`for queries: ${sk}`, { ...key('q', sk), v: S(sk) })),
  query('pk = :p', {}),
  query('pk = :p AND sk = :s', { ':s': S('c') }),
  query('pk = :p AND begins_with(sk, :s)', { ':s': S('b#') }),
  query('pk = :p AND sk BETWEEN :s AND :t', { ':s': S('b'), ':t': S('c') }),
  query('pk = :p AND sk > :s', { ':s': S('b#10') }),
  query('pk = :p', {}, { Limit: 2 }),
  query('pk = :p', {}, { Limit: 2, ScanIndexForward: false }),
  query('pk = :p', {}, { ExclusiveStartKey: key('q', 'b#10') }),
  query('pk = :p', { ':v': S('b#2') }, { FilterExpression: 'v = :v' }),
  query('pk = :p', {}, { ProjectionExpression: 'v' }),
  query('pk = :p', {}, { Select: 'COUNT' }),
  query('sk = :p', {}),
  query('pk > :p', {}),
  query('pk = :p AND sk = :undefined', {}),
  query('pk = :p', {}, { FilterExpression: 'sk = :p' }, `${DYNAMODB}/developerguide/Query.FilterExpression.html`),

  dynamo('two of three', dynamodb.BatchGetItemCommand, {
    RequestItems: { t: { Keys: [key('q', 'a'), key('none'), key('q', 'c')], ProjectionExpression: 'v' } },
  }),
  dynamo('a double', dynamodb.BatchGetItemCommand, { RequestItems: { t: { Keys: [key('q', 'a'), key('q', 'a')] } } }),
  dynamo('101 keys', dynamodb.BatchGetItemCommand, {
    RequestItems: { t: { Keys: Array.from({ length: 101 }, (_, n) => key(String(n))) } },
  }),

  transact('all kinds', [
    { ConditionCheck: { TableName: 't', Key: key('q', 'a'), ConditionExpression: 'attribute_exists(pk)' } },
    { Put: { TableName: 't', Item: { ...key('x'), n: N('1') } } },
    {
      Update: {
        TableName: 't',
        Key: key('y'),
        UpdateExpression: 'ADD n :n',
        ExpressionAttributeValues: { ':n': N('1') },
      },
    },
    { Delete: { TableName: 't', Key: key('q', 'c') } },
  ]),
  get('what it put', 'x'),
  get('what it updated', 'y'),
  transact('one failed condition among three', [
    { Put: { TableName: 't', Item: key('x') } },
    {
      ConditionCheck: {
        TableName: 't',
        Key: key('y'),
        ConditionExpression: 'n = :n',
        ExpressionAttributeValues: { ':n': N('9') },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
    },
    { Delete: { TableName: 't', Key: key('q', 'a') } },
  ]),
  transact('two failed conditions', [
    { Put: { TableName: 't', Item: key('x'), ConditionExpression: 'attribute_not_exists(pk)' } },
    { Delete: { TableName: 't', Key: key('none'), ConditionExpression: 'attribute_exists(pk)' } },
  ]),
  get('what was not changed', 'x'),
  transact('two operations on one item', [
    { Put: { TableName: 't', Item: key('x') } },
    { Delete: { TableName: 't', Key: key('x') } },
  ]),
  transact(
    '101 operations',
    Array.from({ length: 101 }, (_, n) => ({ Put: { TableName: 't', Item: key(`many${n}`) } })),
  ),
  transact('an unknown table', [{ Put: { TableName: 'unknown', Item: key('x') } }]),
  transact(
    'a key that does not fit',
    [{ Delete: { TableName: 't', Key: { pk: S('x') } } }],
    `${DYNAMODB}/APIReference/API_TransactWriteItems.html#API_TransactWriteItems_Errors`,
  ),
  transact(
    'an update that cannot be computed',
    [{ Update: { TableName: 't', Key: key('x'), UpdateExpression: 'SET n = absent' } }],
    `${DYNAMODB}/APIReference/API_TransactWriteItems.html#API_TransactWriteItems_Errors`,
  ),
  dynamo('two of three', dynamodb.TransactGetItemsCommand, {
    TransactItems: ['x', 'none', 'y'].map((pk) => ({ Get: { TableName: 't', Key: key(pk) } })),
  }),
];

const otherRequests: Request[] = [
  {
    title: 'SQS SendMessage',
    send: ({ sqs: client, ids }) =>
      client.send(new sqs.SendMessageCommand({ QueueUrl: ids.queueUrl, MessageBody: 'hällo' })),
    compared: ({ MD5OfMessageBody }) => MD5OfMessageBody,
  },
  {
    title: 'SQS ReceiveMessage: it',
    send: ({ sqs: client, ids }) =>
      client.send(
        new sqs.ReceiveMessageCommand({
          QueueUrl: ids.queueUrl,
          MaxNumberOfMessages: 10,
          MessageSystemAttributeNames: ['ApproximateReceiveCount'],
        }),
      ),
    compared: ({ Messages }, { ids }) => {
      ids.receiptHandle = Messages[0].ReceiptHandle;
      return Messages.map(({ Body, MD5OfBody, Attributes }: Record<string, any>) => [
        Body,
        MD5OfBody,
        Attributes.ApproximateReceiveCount,
      ]);
    },
  },
  {
    title: 'SQS ReceiveMessage: hidden now',
    send: ({ sqs: client, ids }) => client.send(new sqs.ReceiveMessageCommand({ QueueUrl: ids.queueUrl })),
  },
  {
    title: 'SQS GetQueueAttributes',
    send: ({ sqs: client, ids }) =>
      client.send(
        new sqs.GetQueueAttributesCommand({
          QueueUrl: ids.queueUrl,
          AttributeNames: [
            'ApproximateNumberOfMessages',
            'ApproximateNumberOfMessagesNotVisible',
            'VisibilityTimeout',
            'QueueArn',
          ],
        }),
      ),
  },
  {
    title: 'SQS DeleteMessage',
    send: ({ sqs: client, ids }) =>
      client.send(new sqs.DeleteMessageCommand({ QueueUrl: ids.queueUrl, ReceiptHandle: ids.receiptHandle })),
  },
  {
    title: 'SQS GetQueueAttributes: empty again',
    send: ({ sqs: client, ids }) =>
      client.send(
        new sqs.GetQueueAttributesCommand({
          QueueUrl: ids.queueUrl,
          AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
        }),
      ),
  },
  {
    title: 'SQS ReceiveMessage: 11 messages',
    send: ({ sqs: client, ids }) =>
      client.send(new sqs.ReceiveMessageCommand({ QueueUrl: ids.queueUrl, MaxNumberOfMessages: 11 })),
  },
  {
    title: 'SQS SendMessage: an unknown queue',
    send: ({ sqs: client, ids }) =>
      client.send(new sqs.SendMessageCommand({ QueueUrl: ids.queueUrl.replace(/q$/, 'unknown'), MessageBody: 'x' })),
  },

  {
    title: 'Logs CreateLogStream',
    send: ({ logs: client }) =>
      client.send(new logs.CreateLogStreamCommand({ logGroupName: 'g', logStreamName: 'i-1/boot' })),
  },
  {
    title: 'Logs CreateLogStream: again',
    send: ({ logs: client }) =>
      client.send(new logs.CreateLogStreamCommand({ logGroupName: 'g', logStreamName: 'i-1/boot' })),
  },
  {
    title: 'Logs CreateLogStream: an unknown group',
    send: ({ logs: client }) =>
      client.send(new logs.CreateLogStreamCommand({ logGroupName: 'unknown', logStreamName: 's' })),
  },
  {
    title: 'Logs PutLogEvents',
    send: ({ logs: client }) =>
      client.send(
        new logs.PutLogEventsCommand({
          logGroupName: 'g',
          logStreamName: 'i-1/boot',
          logEvents: [{ timestamp: systemClock.now(), message: 'a' }],
        }),
      ),
    compared: () => 'taken',
  },
  {
    title: 'Logs PutLogEvents: an unknown stream',
    send: ({ logs: client }) =>
      client.send(
        new logs.PutLogEventsCommand({
          logGroupName: 'g',
          logStreamName: 'unknown',
          logEvents: [{ timestamp: systemClock.now(), message: 'a' }],
        }),
      ),
  },

  {
    title: 'EC2 DescribeInstances',
    send: async ({ ec2: client, ids }) => {
      const ask = () => client.send(new ec2.DescribeInstancesCommand({ InstanceIds: [ids.instance] }));
      await until(
        'the instance runs',
        async () => (await ask()).Reservations?.[0]?.Instances?.[0]?.State?.Name === 'running',
        10,
      );
      return ask();
    },
    compared: ({
      Reservations: [
        {
          Instances: [instance],
        },
      ],
    }) => [
      instance.State,
      instance.InstanceType,
      instance.ImageId,
      instance.Placement.AvailabilityZone,
      instance.Architecture,
    ],
  },
  {
    title: 'EC2 DescribeInstances: unknown',
    send: ({ ec2: client }) => client.send(new ec2.DescribeInstancesCommand({ InstanceIds: [NO_INSTANCE] })),
  },
  {
    title: 'EC2 DescribeInstances: by a filter that fits none',
    send: ({ ec2: client }) =>
      client.send(new ec2.DescribeInstancesCommand({ Filters: [{ Name: 'tag:name', Values: ['none'] }] })),
    compared: ({ Reservations }) => Reservations,
  },
  {
    title: 'EC2 DescribeVolumes: by tag',
    send: ({ ec2: client }) =>
      client.send(
        new ec2.DescribeVolumesCommand({
          Filters: [
            { Name: 'tag:name', Values: ['x'] },
            { Name: 'status', Values: ['available'] },
          ],
        }),
      ),
    compared: ({ Volumes }) =>
      Volumes.map((volume: ec2.Volume) => [
        volume.State,
        volume.Size,
        volume.VolumeType,
        volume.AvailabilityZone,
        volume.Tags,
      ]).sort(),
  },
  {
    title: 'EC2 DescribeVolumes: unknown',
    send: ({ ec2: client }) => client.send(new ec2.DescribeVolumesCommand({ VolumeIds: [NO_VOLUME] })),
  },
  {
    title: 'EC2 AttachVolume: an unknown volume',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.AttachVolumeCommand({ VolumeId: NO_VOLUME, InstanceId: ids.instance, Device: '/dev/sdf' })),
  },
  {
    title: 'EC2 AttachVolume: an unknown instance',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.AttachVolumeCommand({ VolumeId: ids.volume, InstanceId: NO_INSTANCE, Device: '/dev/sdf' })),
  },
  {
    title: 'EC2 AttachVolume: a volume of another zone',
    deviation: EC2_ERRORS,
    send: ({ ec2: client, ids }) =>
      client.send(
        new ec2.AttachVolumeCommand({ VolumeId: ids.farVolume, InstanceId: ids.instance, Device: '/dev/sdf' }),
      ),
  },
  {
    title: 'EC2 AttachVolume',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.AttachVolumeCommand({ VolumeId: ids.volume, InstanceId: ids.instance, Device: '/dev/sdg' })),
    compared: ({ Device, InstanceId, VolumeId }, { ids }) => [
      Device,
      InstanceId === ids.instance,
      VolumeId === ids.volume,
    ],
  },
  {
    title: 'EC2 DescribeVolumes: attached',
    send: async ({ ec2: client, ids }) => {
      const ask = () => client.send(new ec2.DescribeVolumesCommand({ VolumeIds: [ids.volume] }));
      await until(
        'the volume is attached',
        async () => (await ask()).Volumes?.[0]?.Attachments?.[0]?.State === 'attached',
        10,
      );
      return ask();
    },
    compared: ({ Volumes: [volume] }, { ids }) => [
      volume.State,
      volume.Attachments.map((each: ec2.VolumeAttachment) => [
        each.Device,
        each.State,
        each.InstanceId === ids.instance,
      ]),
    ],
  },
  {
    title: 'EC2 AttachVolume: one that is attached',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.AttachVolumeCommand({ VolumeId: ids.volume, InstanceId: ids.instance, Device: '/dev/sdh' })),
    deviation: EC2_ERRORS,
  },
  {
    title: 'EC2 DetachVolume',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.DetachVolumeCommand({ VolumeId: ids.volume, InstanceId: ids.instance })),
    compared: ({ VolumeId }, { ids }) => VolumeId === ids.volume,
  },
  {
    title: 'EC2 DescribeVolumes: detached',
    send: async ({ ec2: client, ids }) => {
      const ask = () => client.send(new ec2.DescribeVolumesCommand({ VolumeIds: [ids.volume] }));
      await until('the volume is available', async () => (await ask()).Volumes?.[0]?.State === 'available', 10);
      return ask();
    },
    compared: ({ Volumes: [volume] }) => [volume.State, volume.Attachments],
  },
  {
    title: 'EC2 DetachVolume: one that is not attached',
    send: ({ ec2: client, ids }) =>
      client.send(new ec2.DetachVolumeCommand({ VolumeId: ids.otherVolume, InstanceId: ids.instance })),
    deviation: EC2_ERRORS,
  },
  {
    title: 'EC2 DescribeNetworkInterfaces: unknown',
    send: ({ ec2: client }) =>
      client.send(new ec2.DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: ['eni-0123456789abcdef0'] })),
  },

  {
    title: 'Auto Scaling DescribeAutoScalingGroups',
    send: async ({ autoscaling: client }) => {
      const ask = () =>
        client.send(new autoscaling.DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: ['asg'] }));
      await until(
        'the instance is in service',
        async () => (await ask()).AutoScalingGroups?.[0]?.Instances?.[0]?.LifecycleState === 'InService',
        10,
      );
      return ask();
    },
    compared: ({ AutoScalingGroups: [group] }) => [
      group.MinSize,
      group.MaxSize,
      group.DesiredCapacity,
      group.HealthCheckType,
      group.SuspendedProcesses,
      group.Tags,
      group.Instances.map((each: autoscaling.Instance) => [
        each.LifecycleState,
        each.HealthStatus,
        each.AvailabilityZone,
      ]),
    ],
  },
  {
    title: 'Auto Scaling DescribeAutoScalingGroups: unknown',
    send: ({ autoscaling: client }) =>
      client.send(new autoscaling.DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: ['unknown'] })),
  },
  {
    title: 'Auto Scaling DescribeAutoScalingInstances',
    deviation:
      'https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html#API_DescribeAutoScalingInstances_Examples',
    send: ({ autoscaling: client }) => client.send(new autoscaling.DescribeAutoScalingInstancesCommand({})),
    compared: ({ AutoScalingInstances }) =>
      AutoScalingInstances.map((each: autoscaling.AutoScalingInstanceDetails) => [
        each.AutoScalingGroupName,
        each.LifecycleState,
        each.HealthStatus,
        each.AvailabilityZone,
      ]),
  },
  {
    title: 'Auto Scaling SuspendProcesses',
    send: ({ autoscaling: client }) =>
      client.send(
        new autoscaling.SuspendProcessesCommand({ AutoScalingGroupName: 'asg', ScalingProcesses: ['Launch'] }),
      ),
  },
  {
    title: 'Auto Scaling DescribeAutoScalingGroups: suspended',
    send: ({ autoscaling: client }) =>
      client.send(new autoscaling.DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: ['asg'] })),
    compared: ({ AutoScalingGroups: [group] }) =>
      group.SuspendedProcesses.map((each: autoscaling.SuspendedProcess) => each.ProcessName),
  },
  {
    title: 'Auto Scaling ResumeProcesses',
    send: ({ autoscaling: client }) =>
      client.send(
        new autoscaling.ResumeProcessesCommand({ AutoScalingGroupName: 'asg', ScalingProcesses: ['Launch'] }),
      ),
  },
  {
    title: 'Auto Scaling SuspendProcesses: an unknown group',
    send: ({ autoscaling: client }) =>
      client.send(new autoscaling.SuspendProcessesCommand({ AutoScalingGroupName: 'unknown' })),
    deviation: AUTO_SCALING_ERRORS,
  },
  {
    title: 'Auto Scaling SetInstanceHealth: an unknown instance',
    send: ({ autoscaling: client }) =>
      client.send(new autoscaling.SetInstanceHealthCommand({ InstanceId: NO_INSTANCE, HealthStatus: 'Unhealthy' })),
    deviation: AUTO_SCALING_ERRORS,
  },
  {
    title: 'Auto Scaling TerminateInstanceInAutoScalingGroup: an unknown instance',
    deviation: AUTO_SCALING_ERRORS,
    send: ({ autoscaling: client }) =>
      client.send(
        new autoscaling.TerminateInstanceInAutoScalingGroupCommand({
          InstanceId: NO_INSTANCE,
          ShouldDecrementDesiredCapacity: false,
        }),
      ),
  },
];

const requests = [...dynamoRequests, ...otherRequests];

/**
 * Members that moto answers unasked, and that are left out of every comparison: AWS answers them only on request.
 * https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html#DDB-UpdateItem-request-ReturnConsumedCapacity
 */
const unasked = ['ConsumedCapacity', 'ItemCollectionMetrics'];

/** The answer, or the name of the error and what it carries, with an order of its own. */
async function outcome(request: Request, side: Side): Promise<unknown> {
  try {
    const { $metadata: _, ...output } = await request.send(side);
    for (const name of unasked) delete output[name];
    return canonical(request.compared ? request.compared(output, side) : output);
  } catch (error) {
    if (!(error instanceof Error) || !('$metadata' in error)) throw error;
    const { name, Item, CancellationReasons } = error as Error & Record<string, any>;
    return canonical({
      error: name,
      Item,
      reasons: CancellationReasons?.map((reason: dynamodb.CancellationReason) => ({
        Code: reason.Code,
        Item: reason.Item,
      })),
    });
  }
}

/** Names in order, sets in order, bytes as lists, absent and undefined alike. */
function canonical(value: any): any {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [
        name,
        ['SS', 'NS'].includes(name) ? [...(member as string[])].sort() : canonical(member),
      ]),
  );
}

beforeAll(async () => {
  sides.ours = await startOurs();
  if (installed === undefined) return;
  sides.moto = await startMoto();
  for (const request of requests) {
    const [ours, moto] = [await outcome(request, sides.ours), await outcome(request, sides.moto)];
    outcomes.push({ request, ours: JSON.stringify(ours), moto: JSON.stringify(moto) });
  }
}, 120_000);

afterAll(async () => {
  for (const step of cleanUp.reverse()) await step();
});

// test/global-teardown.js says loudly where it is not installed.
const testWithMoto = installed === undefined ? test.skip : test;

testWithMoto('both give the same answers, but for the deviations of moto that are listed', () => {
  const mark = ({ request, ours, moto }: (typeof outcomes)[number]) =>
    ours === moto ? 'same' : request.deviation ? `moto deviates, see ${request.deviation}` : 'DIFFERENT';
  expect(outcomes).toHaveLength(requests.length);
  console.log(['Compared with moto:', ...outcomes.map((each) => `  ${each.request.title}: ${mark(each)}`)].join('\n'));
  const different = outcomes.filter(({ request, ours, moto }) => !request.deviation && ours !== moto);
  expect(different.map(({ request, ours, moto }) => ({ request: request.title, ours, moto }))).toEqual([]);
});

testWithMoto('every listed deviation of moto is still there', () => {
  expect(
    outcomes
      .filter(({ request, ours, moto }) => request.deviation && ours === moto)
      .map(({ request }) => request.title),
  ).toEqual([]);
});

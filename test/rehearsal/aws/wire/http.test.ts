/**
 * The emulated AWS on a socket, against the SDK's own clients: what the handler sees, and what the client gives back.
 */
import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import * as autoscaling from '@aws-sdk/client-auto-scaling';
import * as cloudformation from '@aws-sdk/client-cloudformation';
import * as logs from '@aws-sdk/client-cloudwatch-logs';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as ec2 from '@aws-sdk/client-ec2';
import * as elb from '@aws-sdk/client-elastic-load-balancing-v2';
import * as s3 from '@aws-sdk/client-s3';
import * as sqs from '@aws-sdk/client-sqs';
import { serveAws, type AwsCall } from '../../../../rehearsal/aws/wire/http';
import { AwsError } from '../../../../rehearsal/aws/core/types';

let server: Awaited<ReturnType<typeof serveAws>>;
let calls: AwsCall[] = [];
let answer: (call: AwsCall) => Record<string, any> = () => ({});

const clients: { destroy(): void }[] = [];
function client<T extends { destroy(): void }>(
  constructor: new (config: any) => T,
  more: Record<string, unknown> = {},
): T {
  const made = new constructor({
    endpoint: server.url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret', sessionToken: 'token' },
    maxAttempts: 1,
    ...more,
  });
  clients.push(made);
  return made;
}

beforeAll(async () => {
  server = await serveAws(
    {
      call: async (call) => {
        calls.push(call);
        return answer(call);
      },
    },
    { host: '127.0.0.1', port: 0 },
  );
});

beforeEach(() => {
  calls = [];
  answer = () => ({});
});

afterAll(async () => {
  for (const made of clients) made.destroy();
  await server.close();
});

const at = '2026-01-02T03:04:05.678Z';
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

/**
 * One request to the real client, what the handler is to see, what it answers, and what the client is to give (its
 * answer, unless said).
 */
interface Case {
  service: string;
  /** https://docs.aws.amazon.com/... of the action */
  source: string;
  client: () => { send(command: any): Promise<any> };
  command: new (input: any) => unknown;
  input: Record<string, unknown>;
  seen?: Record<string, unknown>;
  output?: Record<string, unknown>;
  given?: Record<string, unknown>;
}

const cases: Case[] = [
  // DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
  ...(
    [
      [
        dynamodb.GetItemCommand,
        { TableName: 't', Key: { pk: { S: 'ä"<&' }, b: { B: Uint8Array.of(0, 255) } }, ConsistentRead: true },
        {
          Item: {
            pk: { S: 'ä"<&' },
            n: { N: '1' },
            bs: { BS: [Uint8Array.of(1)] },
            l: { L: [{ NULL: true }, { M: { x: { BOOL: false } } }] },
          },
        },
      ],
      [
        dynamodb.PutItemCommand,
        {
          TableName: 't',
          Item: { pk: { S: 'a' }, m: { M: { l: { L: [{ B: Uint8Array.of(7) }] } } } },
          ReturnValues: 'ALL_OLD',
        },
        { Attributes: { pk: { S: 'a' } } },
      ],
      [
        dynamodb.UpdateItemCommand,
        {
          TableName: 't',
          Key: { pk: { S: 'a' } },
          UpdateExpression: 'SET #a = :b',
          ExpressionAttributeNames: { '#a': 'a' },
          ExpressionAttributeValues: { ':b': { NS: ['1', '2'] } },
        },
        {},
      ],
      [dynamodb.DeleteItemCommand, { TableName: 't', Key: { pk: { S: 'a' } } }, {}],
      [
        dynamodb.QueryCommand,
        {
          TableName: 't',
          KeyConditionExpression: 'pk = :p',
          ExpressionAttributeValues: { ':p': { S: 'a' } },
          Limit: 2,
          ScanIndexForward: false,
        },
        { Items: [{ pk: { S: 'a' } }], Count: 1, ScannedCount: 1, LastEvaluatedKey: { pk: { S: 'a' } } },
      ],
      [
        dynamodb.BatchGetItemCommand,
        { RequestItems: { t: { Keys: [{ pk: { S: 'a' } }], ProjectionExpression: 'x' } } },
        { Responses: { t: [{ pk: { S: 'a' } }] }, UnprocessedKeys: {} },
      ],
      [
        dynamodb.TransactWriteItemsCommand,
        {
          TransactItems: [
            { ConditionCheck: { TableName: 't', Key: { pk: { S: 'a' } }, ConditionExpression: 'x' } },
            { Put: { TableName: 't', Item: { pk: { B: Uint8Array.of(1) } } } },
          ],
          ClientRequestToken: 'token',
        },
        {},
      ],
      [
        dynamodb.TransactGetItemsCommand,
        { TransactItems: [{ Get: { TableName: 't', Key: { pk: { S: 'a' } } } }] },
        { Responses: [{ Item: { pk: { S: 'a' } } }, {}] },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'dynamodb',
    source: 'Programming.LowLevelAPI',
    client: () => client(dynamodb.DynamoDBClient),
    command,
    input,
    output,
  })),

  // SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
  ...(
    [
      [
        sqs.SendMessageCommand,
        {
          QueueUrl: 'http://queue/1',
          MessageBody: 'hällo',
          DelaySeconds: 3,
          MessageAttributes: { a: { DataType: 'String', StringValue: 'x' } },
        },
        { MessageId: 'm', MD5OfMessageBody: md5('hällo') },
      ],
      [
        sqs.ReceiveMessageCommand,
        { QueueUrl: 'http://queue/1', MaxNumberOfMessages: 10, WaitTimeSeconds: 0, AttributeNames: ['All'] },
        {
          Messages: [
            {
              MessageId: 'm',
              ReceiptHandle: 'r',
              Body: 'hällo',
              MD5OfBody: md5('hällo'),
              Attributes: { SentTimestamp: '1' },
            },
          ],
        },
      ],
      [sqs.DeleteMessageCommand, { QueueUrl: 'http://queue/1', ReceiptHandle: 'r' }, {}],
      [
        sqs.GetQueueAttributesCommand,
        { QueueUrl: 'http://queue/1', AttributeNames: ['ApproximateNumberOfMessages'] },
        { Attributes: { ApproximateNumberOfMessages: '2' } },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'sqs',
    source: 'sqs-making-api-requests-json',
    client: () => client(sqs.SQSClient),
    command,
    input,
    output,
  })),

  // CloudWatch Logs: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
  ...(
    [
      [logs.CreateLogStreamCommand, { logGroupName: 'g', logStreamName: 'i-1/boot' }, {}],
      [
        logs.PutLogEventsCommand,
        { logGroupName: 'g', logStreamName: 's', logEvents: [{ timestamp: 1767323045678, message: 'a\nb' }] },
        { nextSequenceToken: 'n' },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'logs',
    source: 'API_PutLogEvents',
    client: () => client(logs.CloudWatchLogsClient),
    command,
    input,
    output,
  })),

  // EC2: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
  ...(
    [
      [
        ec2.DescribeInstancesCommand,
        {
          InstanceIds: ['i-1', 'i-2'],
          Filters: [
            { Name: 'tag:a', Values: ['x', 'y&z'] },
            { Name: 'vpc-id', Values: ['v'] },
          ],
          MaxResults: 100,
          NextToken: 'n',
          DryRun: false,
        },
        {
          NextToken: 'next',
          Reservations: [
            {
              ReservationId: 'r-1',
              Instances: [
                {
                  InstanceId: 'i-1',
                  PrivateIpAddress: '10.0.0.1',
                  InstanceType: 't4g.small',
                  InstanceLifecycle: 'spot',
                  LaunchTime: at,
                  State: { Code: 16, Name: 'running' },
                  Placement: { AvailabilityZone: 'eu-central-1a' },
                  Tags: [{ Key: 'name', Value: 'a<b>&"c"' }],
                  BlockDeviceMappings: [
                    {
                      DeviceName: '/dev/xvda',
                      Ebs: { VolumeId: 'vol-1', Status: 'attached', DeleteOnTermination: true },
                    },
                  ],
                  NetworkInterfaces: [
                    {
                      NetworkInterfaceId: 'eni-1',
                      PrivateIpAddress: '10.0.0.1',
                      Attachment: { DeviceIndex: 0, Status: 'attached' },
                    },
                  ],
                },
              ],
            },
          ],
        },
      ],
      [
        ec2.DescribeVolumesCommand,
        { VolumeIds: ['vol-1'] },
        {
          Volumes: [
            {
              VolumeId: 'vol-1',
              State: 'in-use',
              Size: 20,
              CreateTime: at,
              Attachments: [
                { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/sdf', State: 'attached', AttachTime: at },
              ],
            },
          ],
        },
      ],
      [
        ec2.DescribeNetworkInterfacesCommand,
        { NetworkInterfaceIds: ['eni-1'], Filters: [{ Name: 'status', Values: ['in-use'] }] },
        {
          NetworkInterfaces: [
            {
              NetworkInterfaceId: 'eni-1',
              Status: 'in-use',
              PrivateIpAddress: '10.0.0.1',
              TagSet: [{ Key: 'k', Value: 'v' }],
              Attachment: { InstanceId: 'i-1', DeleteOnTermination: false },
            },
          ],
        },
      ],
      [
        ec2.AttachVolumeCommand,
        { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/sdf' },
        { VolumeId: 'vol-1', InstanceId: 'i-1', Device: '/dev/sdf', State: 'attaching', AttachTime: at },
      ],
      [ec2.DetachVolumeCommand, { VolumeId: 'vol-1', Force: true }, { VolumeId: 'vol-1', State: 'detaching' }],
      [
        ec2.AuthorizeSecurityGroupIngressCommand,
        {
          GroupId: 'sg-1',
          IpPermissions: [
            {
              IpProtocol: 'tcp',
              FromPort: 80,
              ToPort: 80,
              IpRanges: [{ CidrIp: '10.0.0.0/8', Description: 'x' }],
              UserIdGroupPairs: [{ GroupId: 'sg-2' }],
            },
          ],
          TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [{ Key: 'k', Value: 'v' }] }],
        },
        {
          Return: true,
          SecurityGroupRules: [
            {
              SecurityGroupRuleId: 'sgr-1',
              IsEgress: false,
              FromPort: 80,
              ReferencedGroupInfo: { GroupId: 'sg-2' },
              Tags: [{ Key: 'k', Value: 'v' }],
            },
          ],
        },
      ],
      [
        ec2.RevokeSecurityGroupIngressCommand,
        { GroupId: 'sg-1', SecurityGroupRuleIds: ['sgr-1', 'sgr-2'] },
        { Return: true, RevokedSecurityGroupRules: [{ SecurityGroupRuleId: 'sgr-1', CidrIpv4: '10.0.0.0/8' }] },
      ],
      [
        ec2.DescribeSecurityGroupRulesCommand,
        { Filters: [{ Name: 'group-id', Values: ['sg-1'] }], MaxResults: 5 },
        { SecurityGroupRules: [{ SecurityGroupRuleId: 'sgr-1', ToPort: -1 }], NextToken: 'n' },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'ec2',
    source: 'Query-Requests',
    client: () => client(ec2.EC2Client),
    command,
    input,
    output,
  })),

  // Auto Scaling: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/Welcome.html
  ...(
    [
      [
        autoscaling.DescribeAutoScalingGroupsCommand,
        { AutoScalingGroupNames: ['a', 'b'], Filters: [{ Name: 'tag:x', Values: ['1', '2'] }], MaxRecords: 5 },
        {
          NextToken: 'n',
          AutoScalingGroups: [
            {
              AutoScalingGroupName: 'a',
              MinSize: 1,
              MaxSize: 1,
              DesiredCapacity: 1,
              DefaultCooldown: 300,
              AvailabilityZones: ['eu-central-1a'],
              HealthCheckType: 'EC2',
              CreatedTime: at,
              Instances: [
                {
                  InstanceId: 'i-1',
                  AvailabilityZone: 'eu-central-1a',
                  LifecycleState: 'Pending:Wait',
                  HealthStatus: 'Healthy',
                  ProtectedFromScaleIn: false,
                },
              ],
              SuspendedProcesses: [{ ProcessName: 'Launch', SuspensionReason: 'User suspended at 2026' }],
              Tags: [
                { Key: 'k', Value: 'v', PropagateAtLaunch: true, ResourceId: 'a', ResourceType: 'auto-scaling-group' },
              ],
              LoadBalancerNames: [],
              InstanceMaintenancePolicy: { MinHealthyPercentage: 0, MaxHealthyPercentage: 100 },
            },
          ],
        },
      ],
      [
        autoscaling.DescribeAutoScalingInstancesCommand,
        { InstanceIds: ['i-1'] },
        {
          AutoScalingInstances: [
            {
              InstanceId: 'i-1',
              AutoScalingGroupName: 'a',
              AvailabilityZone: 'z',
              LifecycleState: 'InService',
              HealthStatus: 'HEALTHY',
              ProtectedFromScaleIn: false,
            },
          ],
        },
      ],
      [
        autoscaling.CompleteLifecycleActionCommand,
        { AutoScalingGroupName: 'a', LifecycleHookName: 'h', LifecycleActionResult: 'CONTINUE', InstanceId: 'i-1' },
        {},
      ],
      [
        autoscaling.RecordLifecycleActionHeartbeatCommand,
        { AutoScalingGroupName: 'a', LifecycleHookName: 'h', InstanceId: 'i-1' },
        {},
      ],
      [autoscaling.SuspendProcessesCommand, { AutoScalingGroupName: 'a', ScalingProcesses: ['Launch'] }, {}],
      [autoscaling.ResumeProcessesCommand, { AutoScalingGroupName: 'a', ScalingProcesses: [] }, {}],
      [
        autoscaling.SetInstanceHealthCommand,
        { InstanceId: 'i-1', HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: false },
        {},
      ],
      [
        autoscaling.TerminateInstanceInAutoScalingGroupCommand,
        { InstanceId: 'i-1', ShouldDecrementDesiredCapacity: false },
        {
          Activity: {
            ActivityId: 'x',
            AutoScalingGroupName: 'a',
            Cause: 'because',
            StartTime: at,
            StatusCode: 'InProgress',
          },
        },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'autoscaling',
    source: 'Welcome',
    client: () => client(autoscaling.AutoScalingClient),
    command,
    input,
    output,
  })),

  // Elastic Load Balancing: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html
  ...(
    [
      [elb.RegisterTargetsCommand, { TargetGroupArn: 'g', Targets: [{ Id: 'i-1' }, { Id: 'i-2', Port: 81 }] }, {}],
      [
        elb.DescribeTargetHealthCommand,
        { TargetGroupArn: 'g' },
        {
          TargetHealthDescriptions: [
            {
              Target: { Id: 'i-1', Port: 80 },
              HealthCheckPort: '2378',
              TargetHealth: {
                State: 'initial',
                Reason: 'Elb.InitialHealthChecking',
                Description: 'Initial health checks in progress',
              },
            },
          ],
        },
      ],
      [
        elb.CreateTargetGroupCommand,
        {
          Name: 'g',
          Protocol: 'TCP',
          Port: 80,
          VpcId: 'vpc-1',
          HealthCheckPath: '/health',
          Matcher: { HttpCode: '200-399' },
          Tags: [{ Key: 'a', Value: 'b' }],
        },
        {
          TargetGroups: [
            {
              TargetGroupArn: 'arn',
              TargetGroupName: 'g',
              Port: 80,
              HealthCheckEnabled: true,
              LoadBalancerArns: ['lb'],
              Matcher: { HttpCode: '200-399' },
            },
          ],
        },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'elasticloadbalancing',
    source: 'Welcome',
    client: () => client(elb.ElasticLoadBalancingV2Client),
    command,
    input,
    output,
  })),

  // CloudFormation: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html
  ...(
    [
      [
        cloudformation.SignalResourceCommand,
        { StackName: 's', LogicalResourceId: 'l', UniqueId: 'i-1', Status: 'SUCCESS' },
        {},
      ],
      [
        cloudformation.DescribeStacksCommand,
        { StackName: 's' },
        {
          Stacks: [
            {
              StackName: 's',
              StackStatus: 'DELETE_IN_PROGRESS',
              CreationTime: at,
              Outputs: [{ OutputKey: 'o', OutputValue: 'v' }],
            },
          ],
        },
      ],
      [
        cloudformation.DescribeStackResourcesCommand,
        { StackName: 's' },
        {
          StackResources: [
            {
              LogicalResourceId: 'l',
              PhysicalResourceId: 'p',
              ResourceType: 'AWS::EC2::Volume',
              ResourceStatus: 'CREATE_COMPLETE',
              Timestamp: at,
            },
          ],
        },
      ],
    ] as const
  ).map(([command, input, output]) => ({
    service: 'cloudformation',
    source: 'Welcome',
    client: () => client(cloudformation.CloudFormationClient),
    command,
    input,
    output,
  })),
];

/** Timestamps arrive at the client as `Date`s. */
const asGiven = (output: unknown): unknown =>
  JSON.parse(JSON.stringify(output), (_, value) =>
    Array.isArray(value?.data) && value.type === 'Buffer' ? value.data : value,
  );

describe('Every action that functions and nodes call makes the round trip through the SDK', () => {
  test.each(cases.map((each) => [each.service, each.command.name.replace(/Command$/, ''), each] as const))(
    '%s %s',
    async (service, action, each) => {
      answer = () => each.output ?? {};
      const { $metadata, ...given } = await each.client().send(new each.command(each.input));
      expect(calls).toEqual([{ service, action, input: each.input, accessKeyId: 'AKIDTEST' }]);
      expect($metadata.httpStatusCode).toBe(200);
      expect(asGiven(given)).toEqual(asGiven(each.output ?? {}));
    },
  );
});

describe('S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html)', () => {
  test.each([
    ['in the path', true],
    ['in the host name', false],
  ])('GetObject names its bucket %s', async (_, forcePathStyle) => {
    answer = () => ({
      Body: Buffer.from([0, 1, 254, 255]),
      ContentType: 'application/zip',
      ETag: '"e"',
      ContentLength: 4,
    });
    // Whatever the host name, the server is on the loopback interface.
    const httpAgent = new Agent({
      lookup: (_host, options, found) =>
        options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
    });
    const given = await client(s3.S3Client, {
      endpoint: server.url.replace('127.0.0.1', 'localhost'),
      forcePathStyle,
      requestHandler: { httpAgent },
    }).send(new s3.GetObjectCommand({ Bucket: 'my-bucket', Key: 'a folder/ä.zip', IfMatch: '"e"' }));
    expect(calls).toMatchObject([
      { service: 's3', action: 'GetObject', input: { Bucket: 'my-bucket', Key: 'a folder/ä.zip', IfMatch: '"e"' } },
    ]);
    expect([...(await given.Body!.transformToByteArray())]).toEqual([0, 1, 254, 255]);
    expect(given).toMatchObject({ ContentType: 'application/zip', ETag: '"e"', ContentLength: 4 });
  });

  test('HeadObject answers the size and no body', async () => {
    answer = () => ({ ContentLength: 4, ETag: '"e"' });
    const given = await client(s3.S3Client).send(new s3.HeadObjectCommand({ Bucket: 'b', Key: 'k' }));
    expect(calls).toMatchObject([{ action: 'HeadObject', input: { Bucket: 'b', Key: 'k' } }]);
    expect(given).toMatchObject({ ContentLength: 4, ETag: '"e"' });
  });

  test('a missing object is NoSuchKey (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html)', async () => {
    answer = () => {
      throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404);
    };
    await expect(client(s3.S3Client).send(new s3.GetObjectCommand({ Bucket: 'b', Key: 'k' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
      message: 'The specified key does not exist.',
      $metadata: { httpStatusCode: 404 },
    });
  });

  test('what is not the reading of an object is refused by name', async () => {
    const error = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    await expect(
      client(s3.S3Client).send(new s3.PutObjectCommand({ Bucket: 'b', Key: 'k', Body: 'x' })),
    ).rejects.toThrow('only knows GetObject and HeadObject, and was asked to PUT /b/k');
    expect(error).toHaveBeenCalledTimes(1);
    error.mockRestore();
  });
});

const signed = (service: string, more: Record<string, string>) => ({
  authorization:
    `AWS4-HMAC-SHA256 Credential=AKIDTEST/20260102/eu-central-1/${service}/aws4_request, SignedHeaders=host, ` +
    'Signature=0',
  ...more,
});
const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };

describe('Errors', () => {
  const failing = (error: Error) => () => {
    throw error;
  };

  // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
  test('DynamoDB: a failed condition carries the item', async () => {
    answer = failing(
      new AwsError('ConditionalCheckFailedException', 'The conditional request failed', 400, {
        Item: { pk: { S: 'a' }, b: { B: Uint8Array.of(9) } },
      }),
    );
    await expect(
      client(dynamodb.DynamoDBClient).send(new dynamodb.DeleteItemCommand({ TableName: 't', Key: { pk: { S: 'a' } } })),
    ).rejects.toMatchObject({
      name: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
      Item: { pk: { S: 'a' }, b: { B: Uint8Array.of(9) } },
      $metadata: { httpStatusCode: 400 },
    });
  });

  // https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
  test('DynamoDB: a cancelled transaction carries its reasons in order', async () => {
    const reasons = [
      { Code: 'None' },
      { Code: 'ConditionalCheckFailed', Message: 'The conditional request failed', Item: { pk: { S: 'a' } } },
    ];
    answer = failing(
      new AwsError('TransactionCanceledException', 'Transaction cancelled', 400, { CancellationReasons: reasons }),
    );
    const sent = client(dynamodb.DynamoDBClient).send(new dynamodb.TransactWriteItemsCommand({ TransactItems: [] }));
    await expect(sent).rejects.toMatchObject({ name: 'TransactionCanceledException', CancellationReasons: reasons });
    await expect(sent).rejects.toBeInstanceOf(dynamodb.TransactionCanceledException);
  });

  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueUrl.html#API_GetQueueUrl_Errors
  test('SQS: an error of the service has its name', async () => {
    answer = failing(new AwsError('QueueDoesNotExist', 'The specified queue does not exist.'));
    const sent = client(sqs.SQSClient).send(new sqs.DeleteMessageCommand({ QueueUrl: 'q', ReceiptHandle: 'r' }));
    await expect(sent).rejects.toMatchObject({
      name: 'QueueDoesNotExist',
      message: 'The specified queue does not exist.',
    });
    await expect(sent).rejects.toBeInstanceOf(sqs.QueueDoesNotExist);
  });

  // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
  test('Auto Scaling: an error that no shape describes has its code as its name', async () => {
    answer = failing(
      new AwsError('ValidationError', 'No active Lifecycle Action found with instance ID i-1 & <token>'),
    );
    await expect(
      client(autoscaling.AutoScalingClient).send(
        new autoscaling.CompleteLifecycleActionCommand({
          AutoScalingGroupName: 'a',
          LifecycleHookName: 'h',
          LifecycleActionResult: 'CONTINUE',
        }),
      ),
    ).rejects.toMatchObject({
      name: 'ValidationError',
      message: 'No active Lifecycle Action found with instance ID i-1 & <token>',
      $fault: 'client',
    });
  });

  // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SuspendProcesses.html#API_SuspendProcesses_Errors :
  // code ResourceContention, shape ResourceContentionFault
  test('Auto Scaling: an error with a shape has the name of its shape', async () => {
    answer = failing(new AwsError('ResourceContentionFault', 'a pending update', 500));
    await expect(
      client(autoscaling.AutoScalingClient).send(new autoscaling.ResumeProcessesCommand({ AutoScalingGroupName: 'a' })),
    ).rejects.toMatchObject({ name: 'ResourceContentionFault', message: 'a pending update' });
  });

  // https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html#API_RegisterTargets_Errors
  test('Elastic Load Balancing: an error with a shape has the name of its shape, which is not its code', async () => {
    answer = failing(new AwsError('InvalidTarget', 'not in a running state'));
    const sent = client(elb.ElasticLoadBalancingV2Client).send(
      new elb.RegisterTargetsCommand({ TargetGroupArn: 'g', Targets: [] }),
    );
    await expect(sent).rejects.toMatchObject({ name: 'InvalidTargetException', message: 'not in a running state' });
    await expect(sent).rejects.toBeInstanceOf(elb.InvalidTargetException);
  });

  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
  test('EC2: an error has its code as its name', async () => {
    answer = failing(new AwsError('IncorrectState', "Instance 'i-1' is not 'running'."));
    await expect(
      client(ec2.EC2Client).send(new ec2.AttachVolumeCommand({ VolumeId: 'v', InstanceId: 'i-1', Device: 'd' })),
    ).rejects.toMatchObject({
      name: 'IncorrectState',
      message: "Instance 'i-1' is not 'running'.",
    });
  });

  test.each([
    [
      'DynamoDB',
      () => client(dynamodb.DynamoDBClient).send(new dynamodb.DeleteItemCommand({ TableName: 't', Key: {} })),
    ],
    [
      'CloudFormation',
      () => client(cloudformation.CloudFormationClient).send(new cloudformation.DescribeStacksCommand({})),
    ],
    ['EC2', () => client(ec2.EC2Client).send(new ec2.DescribeVolumesCommand({}))],
    [
      'CloudWatch Logs',
      () =>
        client(logs.CloudWatchLogsClient).send(
          new logs.CreateLogStreamCommand({ logGroupName: 'g', logStreamName: 's' }),
        ),
    ],
  ])('%s: a fault of the emulation itself is InternalFailure, and is printed', async (_, send) => {
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    answer = failing(new TypeError('a bug of ours'));
    await expect(send()).rejects.toMatchObject({
      name: 'InternalFailure',
      message: 'a bug of ours',
      $metadata: { httpStatusCode: 500 },
    });
    expect(printed).toHaveBeenCalledTimes(1);
    printed.mockRestore();
  });

  test('an answer that does not fit the shape of the action is a fault that names the member', async () => {
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    answer = () => ({ Volumes: [{ VolumeId: 'vol-1', Sise: 20 }] });
    await expect(client(ec2.EC2Client).send(new ec2.DescribeVolumesCommand({}))).rejects.toThrow(
      'DescribeVolumes.Volumes has no member "Sise"',
    );
    answer = () => ({ Attributes: { ApproximateNumberOfMessages: 2 } });
    await expect(client(sqs.SQSClient).send(new sqs.GetQueueAttributesCommand({ QueueUrl: 'q' }))).rejects.toThrow(
      'GetQueueAttributes.Attributes.ApproximateNumberOfMessages should be a text, and is a number',
    );
    answer = failing(new AwsError('ConditionalCheckFailedException', 'failed', 400, { Colour: 'red' }));
    await expect(
      client(dynamodb.DynamoDBClient).send(new dynamodb.DeleteItemCommand({ TableName: 't', Key: {} })),
    ).rejects.toThrow('ConditionalCheckFailedException has no member "Colour"');
    printed.mockRestore();
  });

  test.each([
    ['an unknown service', 'kms', form, 'Action=Sign', 'does not know the service "kms"'],
    ['an unknown action', 'ec2', form, 'Action=Explode', 'does not know the action "Explode" of ec2'],
    ['a shape that is no action', 'ec2', form, 'Action=Volume', 'does not know the action "Volume" of ec2'],
    ['an unknown parameter', 'ec2', form, 'Action=AttachVolume&Colour=red', 'AttachVolume has no member "Colour"'],
    [
      'another protocol',
      'dynamodb',
      { 'content-type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor' },
      '',
      'was asked in "rpc-v2-cbor"',
    ],
    ['a compressed body', 'ec2', { ...form, 'content-encoding': 'gzip' }, '', 'content encoding "gzip"'],
  ])('%s is named', async (_, service, headers, body, message) => {
    const printed = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    const response = await fetch(server.url, {
      method: 'POST',
      headers: signed(service, headers as Record<string, string>),
      body,
    });
    expect(response.status).toBe(500);
    expect((await response.text()).replaceAll('&quot;', '"').replaceAll('\\"', '"')).toContain(message);
    expect(calls).toEqual([]);
    printed.mockRestore();
  });

  test(
    'a request without a signature is MissingAuthenticationToken ' +
      '(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html)',
    async () => {
      const response = await fetch(server.url, { method: 'POST', headers: form, body: 'Action=DescribeVolumes' });
      expect(response.status).toBe(403);
      expect(await response.text()).toContain('MissingAuthenticationToken');
    },
  );

  test('a body of more than 16 MB is refused', async () => {
    const response = await fetch(server.url, {
      method: 'POST',
      headers: signed('dynamodb', {}),
      body: Buffer.alloc(16 * 1024 * 1024 + 1),
    });
    expect(response.status).toBe(413);
    expect(calls).toEqual([]);
  });

  test(
    'text that is no JSON is SerializationException ' +
      '(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html)',
    async () => {
      const response = await fetch(server.url, {
        method: 'POST',
        headers: signed('dynamodb', {
          'content-type': 'application/x-amz-json-1.0',
          'x-amz-target': 'DynamoDB_20120810.GetItem',
        }),
        body: '{',
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ __type: 'SerializationException' });
    },
  );
});

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
test('sts GetCallerIdentity, as a form', async () => {
  answer = () => ({ UserId: 'AROA:i-1', Account: '123456789012', Arn: 'arn:aws:sts::123456789012:assumed-role/r/i-1' });
  const response = await fetch(server.url, {
    method: 'POST',
    headers: signed('sts', form),
    body: 'Action=GetCallerIdentity&Version=2011-06-15',
  });
  expect(calls).toEqual([{ service: 'sts', action: 'GetCallerIdentity', input: {}, accessKeyId: 'AKIDTEST' }]);
  expect(await response.text()).toContain(
    '<GetCallerIdentityResult><UserId>AROA:i-1</UserId><Account>123456789012</Account>' +
      '<Arn>arn:aws:sts::123456789012:assumed-role/r/i-1</Arn></GetCallerIdentityResult>',
  );
});

test('many requests share a few connections, and are answered at once', async () => {
  const shared = client(dynamodb.DynamoDBClient);
  answer = ({ input }) => ({ Item: input.Key });
  const given = await Promise.all(
    Array.from({ length: 300 }, (_, n) =>
      shared.send(new dynamodb.GetItemCommand({ TableName: 't', Key: { pk: { S: String(n) } } })),
    ),
  );
  expect(given.map(({ Item }) => Item!.pk!.S)).toEqual(Array.from({ length: 300 }, (_, n) => String(n)));
});

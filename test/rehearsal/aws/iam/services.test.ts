/**
 * What AWS's own services do under the roles and policies of a template, and what becomes of it when these do not allow
 * it.
 */
import {
  closeWorlds,
  group,
  hook,
  lambdaFunction,
  MINUTE,
  policy,
  queue,
  trust,
  World,
  type Resources,
} from '../world';

afterEach(closeWorlds);

const LOGS = ['logs:CreateLogStream', 'logs:PutLogEvents'];
const QUEUE = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];
const STREAM = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'];

/** A function whose role allows these actions, in a policy that can be taken away alone. */
function withRole(actions: string[], services = ['lambda']): Resources {
  return {
    Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: trust(...services) } },
    Allows: {
      Type: 'AWS::IAM::Policy',
      Properties: { PolicyName: 'allows', PolicyDocument: policy({ Action: actions }), Roles: [{ Ref: 'Role' }] },
    },
    Fn: { ...lambdaFunction(), DependsOn: ['Allows'] },
  };
}

const mapping = (source: unknown, properties: Record<string, any> = {}): Resources => ({
  Mapping: {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: { FunctionName: { Ref: 'Fn' }, EventSourceArn: source, ...properties },
  },
});
const fromQueue = (actions: string[]): Resources => ({
  ...queue,
  ...withRole(actions),
  ...mapping({ 'Fn::GetAtt': ['Queue', 'Arn'] }),
});
const fromStream = (actions: string[]): Resources => ({
  ...withRole(actions),
  ...mapping({ 'Fn::GetAtt': ['Table', 'StreamArn'] }, { StartingPosition: 'TRIM_HORIZON' }),
  Table: {
    Type: 'AWS::DynamoDB::Table',
    Properties: {
      TableName: 'table',
      AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
      StreamSpecification: { StreamViewType: 'KEYS_ONLY' },
    },
  },
});

function denying(): World {
  const world = new World();
  world.denying = true;
  return world;
}

/** Takes policies away, or puts others in their place, behind CloudFormation's back. */
async function replacePolicy(world: World, actions: string[]): Promise<void> {
  const resources = {
    Other: {
      Type: 'AWS::IAM::Policy',
      Properties: {
        PolicyName: 'allows',
        PolicyDocument: policy({ Action: actions }),
        Roles: [world.physicalId('Role')],
      },
    },
  };
  const name = `Other${world.events.length}`;
  await world.clock.finish(world.region.createStack(world.assembly({ Resources: resources }, name), name), 1_000);
}

const send = (world: World, body = '{}') =>
  world.call('sqs', 'SendMessage', { QueueUrl: world.physicalId('Queue'), MessageBody: body });
const waiting = (world: World) => world.region.queues()[0]!.peek().length;

describe('Lambda', () => {
  // Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
  test('a function is not made with a role that does not trust Lambda', async () => {
    await expect(denying().create(withRole(LOGS, ['ec2']))).rejects.toThrow(
      'The role defined for the function cannot be assumed by Lambda.',
    );
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
  test.each(QUEUE)('a mapping of a queue is not made when the role does not allow %s', async (missing) => {
    const world = denying();
    await expect(world.create(fromQueue(QUEUE.filter((action) => action !== missing)))).rejects.toThrow(
      `The provided execution role does not have permissions to call ${missing.slice('sqs:'.length)} on SQS`,
    );
    expect(world.denials()).toEqual([`Role ${missing}`]);
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
  test.each(STREAM)('a mapping of a stream is not made when the role does not allow %s', async (missing) => {
    const world = denying();
    await expect(world.create(fromStream(STREAM.filter((action) => action !== missing)))).rejects.toThrow(
      'Please ensure the role can perform the GetRecords',
    );
    expect(world.denials()).toEqual([`Role ${missing}`]);
  });

  test('a mapping whose role may not receive leaves messages where they are, and goes on once it may', async () => {
    const world = denying();
    await world.create(fromQueue([...QUEUE, ...LOGS]));
    await replacePolicy(world, LOGS);
    await send(world);
    await world.clock.advance(5 * MINUTE);
    expect(world.functions.of('Fn')).toHaveLength(0);
    expect(world.denials()).toContain('Role sqs:ReceiveMessage');
    await replacePolicy(world, [...QUEUE, ...LOGS]);
    await world.clock.advance(MINUTE);
    expect(world.functions.of('Fn')).toHaveLength(1);
    expect(waiting(world)).toBe(0);
  });

  test('a message that may not be deleted comes again', async () => {
    const world = denying();
    await world.create(fromQueue([...QUEUE, ...LOGS]));
    await replacePolicy(world, ['sqs:ReceiveMessage', ...LOGS]);
    await send(world);
    await world.clock.advance(61_000);
    expect(world.functions.of('Fn')).toHaveLength(2);
    expect(world.denials()).toContain('Role sqs:DeleteMessage');
  });

  test('a mapping whose role may not read the stream any more misses nothing once it may', async () => {
    const world = denying();
    await world.create(fromStream([...STREAM, ...LOGS]));
    await replacePolicy(world, LOGS);
    await world.call('dynamodb', 'PutItem', { TableName: 'table', Item: { pk: { S: 'a' } } });
    await world.clock.advance(5 * MINUTE);
    expect(world.functions.of('Fn')).toHaveLength(0);
    await replacePolicy(world, [...STREAM, ...LOGS]);
    await world.clock.advance(MINUTE);
    expect(world.functions.of('Fn').map(({ event }) => event.Records.length)).toEqual([1]);
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
  test.each(LOGS)('a function that may not %s runs on, and the denial is told', async (missing) => {
    const world = denying();
    await world.create(fromQueue([...QUEUE, ...LOGS.filter((action) => action !== missing)]));
    await send(world);
    await world.clock.settle();
    expect(world.functions.of('Fn')).toHaveLength(1);
    expect(world.denials()).toEqual([`Role ${missing}`]);
  });
});

describe('Auto Scaling', () => {
  const hooked = (role: Record<string, any>, hookOptions: Record<string, any> = {}): Resources => ({
    ...queue,
    ...group({ LifecycleHookSpecificationList: [hook('launch', 'LAUNCHING', hookOptions)] }),
    HookRole: { Type: 'AWS::IAM::Role', Properties: role },
  });
  const sends = {
    AssumeRolePolicyDocument: trust('autoscaling'),
    Policies: [{ PolicyName: 'hooks', PolicyDocument: policy({ Action: 'sqs:SendMessage' }) }],
  };

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html
  test.each([
    ['may not send', { ...sends, Policies: [] }, 'HookRole sqs:SendMessage'],
    [
      'does not trust Auto Scaling',
      { ...sends, AssumeRolePolicyDocument: trust('ec2') },
      'autoscaling.amazonaws.com sts:AssumeRole',
    ],
  ])('a group is not made when its hook has a role that %s', async (_, role, denial) => {
    const world = denying();
    await expect(world.create(hooked(role))).rejects.toThrow(
      /Unable to publish test message to notification target arn:aws:sqs:\S+ using IAM role arn:aws:iam::\S+\. Please check/,
    );
    expect(world.denials()).toEqual([denial]);
    expect(world.region.groups()).toEqual([]);
  });

  test('a hook with a target has a role', async () => {
    await expect(new World().create(hooked(sends, { RoleARN: undefined }))).rejects.toThrow('no RoleARN');
  });

  test(
    'a hook whose role may not send any more tells nobody of the instance, which waits until its heartbeat ' + 'ends',
    async () => {
      const world = denying();
      await world.create(hooked({ AssumeRolePolicyDocument: trust('autoscaling'), Policies: sends.Policies }));
      expect(waiting(world)).toBe(2);
      const deny = { Effect: 'Deny', Action: 'sqs:*' };
      const resources = {
        Deny: {
          Type: 'AWS::IAM::Policy',
          Properties: { PolicyName: 'deny', PolicyDocument: policy(deny), Roles: [world.physicalId('HookRole')] },
        },
      };
      await world.clock.finish(
        world.region.createStack(world.assembly({ Resources: resources }, 'Deny'), 'Deny'),
        1_000,
      );
      await world.call('autoscaling', 'SetDesiredCapacity', {
        AutoScalingGroupName: world.group().name,
        DesiredCapacity: 2,
      });
      expect(waiting(world)).toBe(2);
      expect(world.group().instances.map(({ state }) => state)).toEqual(['Pending:Wait', 'Pending:Wait']);
      expect(world.denials()).toEqual(['HookRole sqs:SendMessage']);
    },
  );
});

describe('EventBridge', () => {
  const rule = (name = 'Rule'): Resources => ({
    [name]: {
      Type: 'AWS::Events::Rule',
      Properties: {
        ScheduleExpression: 'rate(1 minute)',
        Targets: [{ Id: 'T', Arn: { 'Fn::GetAtt': ['Queue', 'Arn'] } }],
      },
    },
  });
  const allowing = (Condition: Record<string, any>): Resources => ({
    QueuePolicy: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: 'Queue' }],
        PolicyDocument: policy({
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] },
          Condition,
        }),
      },
    },
  });

  // Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions
  test("a rule sends to a queue only by the queue's own policy, which may name the rule", async () => {
    const world = denying();
    await world.create({
      ...queue,
      ...allowing({ ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': ['Rule', 'Arn'] } } }),
      ...rule('Rule'),
      ...rule('Another'),
    });
    await world.clock.advance(MINUTE);
    expect(waiting(world)).toBe(1);
    expect(world.events.filter(({ what }) => what === 'fired')).toHaveLength(2);
    expect(world.denials()).toEqual(['events.amazonaws.com sqs:SendMessage']);
    expect(world.region.statements().find(({ policy: name }) => name === 'QueuePolicy')).toMatchObject({
      resource: expect.stringMatching(/^arn:aws:sqs:/),
      exercised: true,
    });
  });

  test.each([
    ['the account', { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } }, 1],
    ['another account', { StringEquals: { 'aws:SourceAccount': '210987654321' } }, 0],
  ])('a policy may name %s that the rule is in', async (_, Condition, sent) => {
    const world = denying();
    await world.create({ ...queue, ...allowing(Condition), ...rule() });
    await world.clock.advance(MINUTE);
    expect(waiting(world)).toBe(sent);
  });

  test('without a policy of the queue nothing is sent', async () => {
    const world = denying();
    await world.create({ Queue: queue.Queue!, ...rule() });
    await world.clock.advance(MINUTE);
    expect(waiting(world)).toBe(0);
  });
});

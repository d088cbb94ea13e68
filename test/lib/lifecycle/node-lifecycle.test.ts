/** Queues, functions, wake-ups, permissions, and the roles of nodes. */
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { seatsSchema, swarmSettingsSchema } from '../../../protocol/environment';
import * as v from 'valibot';
import { problems, synthesise, textOf, type Resource, type Synthesised } from '../synthesise';

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise({}, (cluster) => cluster.addWorkers('Workers'));
});

const named = (resources: Record<string, Resource>, part: string) =>
  Object.entries(resources).find(([id]) => id.includes(part))!;
const fn = (name: string) => named(synthesised.of('AWS::Lambda::Function'), name)[1].Properties;
/** What a function's role allows: actions, their resources as text, and the condition. */
function permissions(name: string, from = synthesised): { action: string; on: string; condition?: unknown }[] {
  const role = named(from.of('AWS::IAM::Role'), name)[1];
  return role.Properties.Policies.flatMap(({ PolicyDocument }: any) => statements(PolicyDocument));
}
function statements(document: any): { action: string; on: string; condition?: unknown }[] {
  return document.Statement.flatMap(({ Effect, Action, Resource, Condition }: any) => {
    expect(Effect).toBe('Allow');
    return [Action]
      .flat()
      .flatMap((action: string) =>
        [Resource].flat().map((on) => ({ action, on: textOf(on), ...(Condition && { condition: Condition }) })),
      );
  });
}
const ofCluster = { StringEquals: { 'aws:ResourceTag/cdk-docker-swarm:cluster': 'Test/Swarm' } };

test('every function is small, runs Node.js 22 on arm64, has its own log group, and reserves no concurrency', () => {
  const functions = Object.values(synthesised.of('AWS::Lambda::Function'));
  expect(functions).toHaveLength(3);
  for (const { Properties } of functions) {
    expect(Properties).toMatchObject({
      Runtime: 'nodejs22.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      LoggingConfig: { LogGroup: { Ref: expect.any(String) } },
    });
    expect(Properties.ReservedConcurrentExecutions).toBeUndefined();
  }
  expect([fn('NodeJoin').Timeout, fn('NodeLeave').Timeout, fn('LeaderToken').Timeout]).toEqual([60, 60, 30]);
});

test('every function has the environment that the protocol names for it', () => {
  const names = (name: string) => Object.keys(fn(name).Environment.Variables).sort();
  for (const name of ['NodeJoin', 'NodeLeave'])
    expect(names(name)).toEqual([
      'CLUSTER',
      'MANAGER_ROLE_ID',
      'REPORT_TABLE',
      'SEATS',
      'SWARM_SETTINGS',
      'TOKEN_TABLE',
      'WORKER_ROLE_ID',
    ]);
  expect(names('LeaderToken')).toEqual([
    'CLUSTER',
    'JOIN_QUEUE_URL',
    'MANAGER_ROLE_ID',
    'REPORT_TABLE',
    'TOKEN_TABLE',
    'WORKER_ROLE_ID',
  ]);
  expect(fn('NodeJoin').Environment.Variables.CLUSTER).toBe('Test/Swarm');
});

test('node-join gets the constants of every seat and the settings of the swarm, in the form that it parses', () => {
  const { SEATS, SWARM_SETTINGS } = fn('NodeJoin').Environment.Variables;
  const seats = JSON.parse(textOf(SEATS));
  expect(seats).toHaveLength(3);
  seats.forEach((seat: Record<string, string>, n: number) => {
    expect(seat.volumeId).toMatch(new RegExp(`^<SwarmManagersSeat${n}Volume`));
    expect(seat.networkInterfaceId).toMatch(new RegExp(`^<SwarmManagersSeat${n}NetworkInterface`));
    expect(seat.address).toMatch(new RegExp(`^<SwarmManagersSeat${n}NetworkInterface.*\\.PrimaryPrivateIpAddress>$`));
  });
  v.parse(
    seatsSchema,
    seats.map((seat: object) => ({ ...seat, address: '10.0.0.1' })),
  );
  expect(v.parse(swarmSettingsSchema, JSON.parse(textOf(SWARM_SETTINGS)))).toEqual({
    addressPools: ['100.64.0.0/10'],
    addressPoolPrefixLength: 24,
  });
});

test('queues keep failed messages, refuse plain HTTP, and hide a message for six timeouts of its function', () => {
  const queues = synthesised.of('AWS::SQS::Queue');
  expect(Object.keys(queues)).toHaveLength(4);
  for (const name of ['JoinQueue', 'LeaveQueue']) {
    expect(named(queues, name)[1].Properties).toMatchObject({
      VisibilityTimeout: 360,
      SqsManagedSseEnabled: true,
      RedrivePolicy: { maxReceiveCount: 3 },
    });
  }
  const policies = Object.values(synthesised.of('AWS::SQS::QueuePolicy'));
  expect(policies).toHaveLength(4);
  for (const { Properties } of policies)
    expect(Properties.PolicyDocument.Statement[0]).toMatchObject({
      Effect: 'Deny',
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    });
});

test('a function gets ten messages at a time, in at most two invocations at once', () => {
  const mappings = Object.values(synthesised.of('AWS::Lambda::EventSourceMapping')).filter(({ Properties }) =>
    textOf(Properties.EventSourceArn).includes('Queue'),
  );
  expect(mappings).toHaveLength(2);
  for (const { Properties } of mappings) {
    expect(Properties).toMatchObject({ BatchSize: 10, ScalingConfig: { MaximumConcurrency: 2 } });
    expect(Properties.FunctionResponseTypes).toBeUndefined();
  }
});

test('a report wakes node-join, a swarm report wakes leader-token, a heartbeat wakes no function', () => {
  const filters = Object.fromEntries(
    Object.values(synthesised.of('AWS::Lambda::EventSourceMapping'))
      .filter(({ Properties }) => Properties.FilterCriteria)
      .map(({ Properties }) => {
        expect(Properties).toMatchObject({
          StartingPosition: 'TRIM_HORIZON',
          BatchSize: 100,
          MaximumRetryAttempts: 2,
          MaximumRecordAgeInSeconds: 60,
        });
        expect(textOf(Properties.EventSourceArn)).toMatch(/Reports.*\.StreamArn>/);
        return [
          textOf(Properties.FunctionName).includes('NodeJoin') ? 'node-join' : 'leader-token',
          Properties.FilterCriteria.Filters.map(({ Pattern }: any) => JSON.parse(Pattern)),
        ];
      }),
  );
  expect(filters).toEqual({
    'node-join': [{ eventName: ['INSERT', 'MODIFY'], dynamodb: { Keys: { sk: { S: ['report'] } } } }],
    'leader-token': [{ eventName: ['INSERT', 'MODIFY'], dynamodb: { Keys: { sk: { S: [{ prefix: 'swarm#' }] } } } }],
  });
});

test('the sweep sends to both queues each minute, spot notices to the leave queue, and no other rule may send', () => {
  const rules = synthesised.of('AWS::Events::Rule');
  const targets = ({ Properties }: Resource) =>
    Properties.Targets.map(({ Arn }: any) => textOf(Arn).replace(/^<SwarmLifecycle(Join|Leave)Queue.*$/, '$1'));
  const [sweepId, sweep] = named(rules, 'Sweep');
  const [noticesId, notices] = named(rules, 'SpotNotices');
  expect(sweep.Properties.ScheduleExpression).toBe('rate(1 minute)');
  expect(targets(sweep)).toEqual(['Join', 'Leave']);
  expect(notices.Properties.EventPattern).toEqual({
    source: ['aws.ec2'],
    'detail-type': ['EC2 Spot Instance Interruption Warning', 'EC2 Instance Rebalance Recommendation'],
  });
  expect(targets(notices)).toEqual(['Leave']);
  const senders = (queue: string) =>
    named(synthesised.of('AWS::SQS::QueuePolicy'), `${queue}Policy`)[1]
      .Properties.PolicyDocument.Statement.filter(({ Effect }: any) => Effect === 'Allow')
      .map(({ Principal, Condition }: any) => [
        Principal.Service,
        Condition.ArnEquals['aws:SourceArn']['Fn::GetAtt'][0],
      ]);
  expect(senders('JoinQueue')).toEqual([['events.amazonaws.com', sweepId]]);
  expect(senders('LeaveQueue')).toEqual([
    ['events.amazonaws.com', sweepId],
    ['events.amazonaws.com', noticesId],
  ]);
});

test.each<[string, string, string[]]>([
  [
    'NodeJoin',
    'JoinQueue',
    ['DescribeStream', 'GetRecords', 'GetShardIterator', 'ListStreams'].map(
      (action) => `dynamodb:${action} <SwarmTablesReports.StreamArn>`,
    ),
  ],
  ['NodeLeave', 'LeaveQueue', []],
])('%s may do exactly this: the same as the other, except for what wakes it', (name, queue, stream) => {
  const arn = 'arn:<AWS::Partition>';
  const here = '<AWS::Region>:<AWS::AccountId>';
  const found = permissions(name).map(
    ({ action, on, condition }) =>
      `${action} ` +
      `${on.replace(/(Tokens|Reports|Queue|Logs|Volume)[0-9A-F]{8}/g, '$1')}${condition ? ` if ${JSON.stringify(condition)}` : ''}`,
  );
  expect(found.sort()).toEqual(
    [
      ...['CreateLogStream', 'PutLogEvents'].map((action) => `logs:${action} <SwarmLifecycle${name}Logs.Arn>`),
      ...['GetItem', 'BatchGetItem', 'Query', 'PutItem'].map((action) => `dynamodb:${action} <SwarmTablesReports.Arn>`),
      ...['GetItem', 'Query', 'PutItem', 'UpdateItem', 'DeleteItem', 'ConditionCheckItem'].map(
        (action) => `dynamodb:${action} <SwarmTablesTokens.Arn>`,
      ),
      ...stream,
      ...['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes', 'ChangeMessageVisibility'].map(
        (action) => `sqs:${action} <SwarmLifecycle${queue}.Arn>`,
      ),
      'ec2:DescribeInstances *',
      'ec2:DescribeNetworkInterfaces *',
      'ec2:DescribeSpotInstanceRequests *',
      'ec2:DescribeVolumes *',
      `ec2:AttachVolume ${arn}:ec2:${here}:instance/* if ${JSON.stringify(ofCluster)}`,
      ...[0, 1, 2].map((seat) => `ec2:AttachVolume ${arn}:ec2:${here}:volume/<SwarmManagersSeat${seat}Volume>`),
      'autoscaling:DescribeAutoScalingGroups *',
      ...[
        'CompleteLifecycleAction',
        'RecordLifecycleActionHeartbeat',
        'SuspendProcesses',
        'ResumeProcesses',
        'SetInstanceHealth',
        'TerminateInstanceInAutoScalingGroup',
      ].map(
        (action) =>
          `autoscaling:${action} ${arn}:autoscaling:${here}:autoScalingGroup:*:autoScalingGroupName/* if ` +
          `${JSON.stringify(ofCluster)}`,
      ),
      `events:PutEvents ${arn}:events:${here}:event-bus/default if ` +
        '{"ForAnyValue:StringEquals":{"events:source":"cdk-docker-swarm"}}',
      'cloudformation:SignalResource <AWS::StackId>',
      'cloudformation:DescribeStacks <AWS::StackId>',
    ].sort(),
  );
});

test('leader-token may read reports, write the token table, and wake node-join', () => {
  const found = permissions('LeaderToken').filter(
    ({ action, on }) => !action.startsWith('logs:') && !on.includes('StreamArn'),
  );
  expect(found.map(({ action, on }) => `${action} ${on.replace(/[0-9A-F]{8}/, '')}`)).toEqual([
    'dynamodb:GetItem <SwarmTablesReports.Arn>',
    'dynamodb:Query <SwarmTablesReports.Arn>',
    ...['GetItem', 'Query', 'PutItem', 'UpdateItem', 'DeleteItem'].map(
      (action) => `dynamodb:${action} <SwarmTablesTokens.Arn>`,
    ),
    'sqs:SendMessage <SwarmLifecycleJoinQueue.Arn>',
  ]);
});

test('the hooks may send to the two queues and nothing else', () => {
  expect(permissions('HookRole').map(({ action, on }) => `${action} ${on.replace(/[0-9A-F]{8}/, '')}`)).toEqual([
    'sqs:SendMessage <SwarmLifecycleJoinQueue.Arn>',
    'sqs:SendMessage <SwarmLifecycleLeaveQueue.Arn>',
  ]);
});

test.each(['Manager', 'Worker'])(
  'a %s may use its own mailbox, the agent’s bundle, its logs and Session Manager, and nothing else',
  (role) => {
    const policy = named(synthesised.of('AWS::IAM::Policy'), `Lifecycle${role}Policy`)[1];
    const ownMailbox = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['${aws:userid}'] } };
    expect(statements(policy.Properties.PolicyDocument)).toEqual([
      { action: 'dynamodb:GetItem', on: expect.stringContaining('Tokens'), condition: ownMailbox },
      { action: 'dynamodb:UpdateItem', on: expect.stringContaining('Reports'), condition: ownMailbox },
      // Not only the newest bundle: a group that is not rolled yet launches instances that fetch the previous one.
      {
        action: 's3:GetObject',
        on: expect.stringMatching(/^arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-[^/]*\/\*\.cjs$/),
      },
      { action: 'logs:CreateLogStream', on: expect.stringContaining('NodeLogs') },
      { action: 'logs:PutLogEvents', on: expect.stringContaining('NodeLogs') },
      { action: 'ssm:UpdateInstanceInformation', on: '*' },
      ...['CreateControlChannel', 'CreateDataChannel', 'OpenControlChannel', 'OpenDataChannel'].map((action) => ({
        action: `ssmmessages:${action}`,
        on: '*',
      })),
    ]);
    // AmazonSSMManagedInstanceCore would let nodes read all of Parameter Store.
    expect(
      named(synthesised.of('AWS::IAM::Role'), `Lifecycle${role}Role`)[1].Properties.ManagedPolicyArns,
    ).toBeUndefined();
  },
);

test('an existing role keeps its permissions, and gets those that nodes need', () => {
  const { of } = synthesise((stack) => ({
    workerRole: new iam.Role(stack, 'Mine', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') }),
  }));
  const [id] = named(of('AWS::IAM::Role'), 'Mine');
  expect(named(of('AWS::IAM::Policy'), 'WorkerPolicy')[1].Properties.Roles).toEqual([{ Ref: id }]);
  expect(named(of('AWS::IAM::InstanceProfile'), 'Worker')[1].Properties.Roles).toEqual([{ Ref: id }]);
  expect(
    JSON.stringify(named(of('AWS::Lambda::Function'), 'NodeJoin')[1].Properties.Environment.Variables.WORKER_ROLE_ID),
  ).toContain(id);
});

test('one role for managers and workers is refused', () => {
  const both = (role: iam.Role) => ({ managerRole: role, workerRole: role });
  expect(
    problems((stack) =>
      both(new iam.Role(stack, 'Mine', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') })),
    ),
  ).toEqual([expect.stringContaining('Managers and workers have the same role, Test/Mine')]);
});

test(
  'with a customer managed key, functions and nodes use it for the tables; node-join, node-leave and Auto Scaling ' +
    'for the volumes',
  () => {
    const withKey = synthesise((stack) => ({ encryptionKey: new kms.Key(stack, 'Key') }));
    const conditions = (found: { action: string; condition?: any }[], action: string) =>
      found.filter((statement) => statement.action === action).map(({ condition }) => condition);
    const viaTables = { StringEquals: { 'kms:ViaService': 'dynamodb.<region>.amazonaws.com' } };
    const plain = (condition: any) =>
      JSON.parse(
        JSON.stringify(condition).replace(
          /\{"Fn::Join":\["",\["(dynamodb|ec2)\.",\{"Ref":"AWS::Region"\},"\.amazonaws\.com"\]\]\}/g,
          '"$1.<region>.amazonaws.com"',
        ),
      );
    expect(conditions(permissions('LeaderToken', withKey), 'kms:Decrypt').map(plain)).toEqual([viaTables]);
    for (const name of ['NodeJoin', 'NodeLeave'])
      expect(conditions(permissions(name, withKey), 'kms:CreateGrant').map(plain)).toEqual([
        viaTables,
        {
          StringEquals: { 'kms:ViaService': 'ec2.<region>.amazonaws.com' },
          Bool: { 'kms:GrantIsForAWSResource': 'true' },
        },
      ]);
    const worker = statements(named(withKey.of('AWS::IAM::Policy'), 'WorkerPolicy')[1].Properties.PolicyDocument);
    expect(conditions(worker, 'kms:Decrypt').map(plain)).toEqual([viaTables]);
    const keyPolicy = Object.values(withKey.of('AWS::KMS::Key'))[0]!.Properties.KeyPolicy.Statement.filter(
      ({ Sid }: any) => Sid,
    );
    expect(keyPolicy.map(({ Sid, Principal }: any) => [Sid, textOf(Principal.AWS)])).toEqual(
      ['AutoScalingUsesKey', 'AutoScalingGrantsKey'].map((sid) => [
        sid,
        'arn:<AWS::Partition>:iam::<AWS::AccountId>:role/aws-service-role/' +
          'autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
      ]),
    );
  },
);

test('the address pools of the swarm can be chosen', () => {
  const { of } = synthesise({ addressPools: ['172.20.0.0/14'], addressPoolPrefixLength: 26 });
  const settings = JSON.parse(
    textOf(named(of('AWS::Lambda::Function'), 'NodeJoin')[1].Properties.Environment.Variables.SWARM_SETTINGS),
  );
  expect(settings).toEqual({ addressPools: ['172.20.0.0/14'], addressPoolPrefixLength: 26 });
});

test('a rule for events of a cluster matches this cluster only, and only the chosen events', () => {
  const { of } = synthesise({}, (cluster, stack) => {
    cluster.onSwarmEvent('Everything');
    cluster.onSwarmEvent('Lost', {
      events: ['nodeLost', 'quorumAtRisk'],
      target: new SnsTopic(new Topic(stack, 'People')),
      eventPattern: { detail: { reason: [{ prefix: 'EC2' }] } },
    });
  });
  const rules = of('AWS::Events::Rule');
  expect(named(rules, 'Everything')[1].Properties.EventPattern).toEqual({
    source: ['cdk-docker-swarm'],
    'detail-type': [
      'Swarm Node Ready',
      'Swarm Node Left',
      'Swarm Node Lost',
      'Swarm Node Replaced',
      'Swarm Quorum At Risk',
      'Swarm Quorum Safe',
      'Swarm Port Not Followed',
    ],
    detail: { cluster: ['Test/Swarm'] },
  });
  expect(named(rules, 'Lost')[1].Properties).toMatchObject({
    EventPattern: {
      'detail-type': ['Swarm Node Lost', 'Swarm Quorum At Risk'],
      detail: { cluster: ['Test/Swarm'], reason: [{ prefix: 'EC2' }] },
    },
    Targets: [{ Arn: { Ref: expect.stringContaining('People') } }],
  });
});

test('an unknown event is refused with the list of events, and a rule may have any id', () => {
  const events = 'Choose from nodeReady, nodeLeft, nodeLost, nodeReplaced, quorumAtRisk, quorumSafe, portNotFollowed.';
  const found = problems({}, (cluster) => {
    cluster.onSwarmEvent('Sweep', { events: ['nodeLost', 'nodeDied' as never] });
    cluster.onSwarmEvent('Odd', { events: ['toString' as never] });
    cluster.onSwarmEvent('None', { events: [] });
  });
  expect(found).toEqual([
    expect.stringContaining(`events of Sweep: 'nodeDied' is unknown. ${events}`),
    expect.stringContaining(`events of Odd: 'toString' is unknown. ${events}`),
    expect.stringContaining('events of None: the list is empty. Choose from nodeReady'),
  ]);
});

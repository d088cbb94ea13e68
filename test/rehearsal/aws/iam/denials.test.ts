/**
 * Calls through the API under the policies of a template: what each service answers when they do not allow it, and what
 * is kept of allowing and denying.
 */
import { closeWorlds, group, network, policy, template, trust, World, type Resources } from '../world';

afterEach(closeWorlds);

const TAG = { Key: 'team', Value: 'a', PropagateAtLaunch: true };
const arn = (logicalId: string) => ({ 'Fn::GetAtt': [logicalId, 'Arn'] });

/** A group of one instance under `Role`, which has just these statements, beside one thing of each service. */
function stack(statements: Record<string, any>[], more: Record<string, any> = {}): Resources {
  return {
    ...group({ Tags: [TAG] }),
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('ec2'),
        Policies: [{ PolicyName: 'own', PolicyDocument: policy(...statements) }],
        ...more,
      },
    },
    Table: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        TableName: 'table',
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
      },
    },
    Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'queue' } },
    Logs: { Type: 'AWS::Logs::LogGroup', Properties: { LogGroupName: 'lines' } },
    Mine: {
      Type: 'AWS::EC2::Volume',
      Properties: {
        AvailabilityZone: { 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] },
        Size: 1,
        VolumeType: 'gp3',
        Tags: [{ Key: 'team', Value: 'a' }],
      },
    },
    Theirs: {
      Type: 'AWS::EC2::Volume',
      Properties: {
        AvailabilityZone: { 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] },
        Size: 1,
        VolumeType: 'gp3',
        Tags: [{ Key: 'team', Value: 'b' }],
      },
    },
  };
}

async function deploy(statements: Record<string, any>[], more: Record<string, any> = {}) {
  const world = new World();
  world.denying = true;
  await world.create(stack(statements, more));
  const { instanceId } = world.region.instances()[0]!;
  const call = (service: string, action: string, input: Record<string, any> = {}) =>
    world.region.call({ service, action, input, accessKeyId: world.region.credentialsFor(instanceId)!.accessKeyId });
  return {
    world,
    instanceId,
    call,
    groupName: world.group().name,
    volume: (logicalId: string) => world.physicalId(logicalId),
  };
}

const GET = { TableName: 'table', Key: { pk: { S: 'a' } } };
const PUT = { TableName: 'table', Item: { pk: { S: 'a' } } };

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
test('each service denies in its own words, with who, what, on what and why', async () => {
  const { world, instanceId, call, groupName } = await deploy([]);
  const who = `arn:aws:sts::123456789012:assumed-role/${world.physicalId('Role')}/${instanceId}`;
  const message = (action: string, resource: string) =>
    `User: ${who} is not authorized to perform: ${action} on resource: ${resource} because no ` +
    `identity-based policy allows the ${action} action`;
  const here = (service: string) => `arn:aws:${service}:us-east-1:123456789012`;
  const groupArn = world.region
    .call({
      service: 'autoscaling',
      action: 'DescribeAutoScalingGroups',
      input: {},
      accessKeyId: world.region.operator.accessKeyId,
    })
    .then((all) => all.AutoScalingGroups[0].AutoScalingGroupARN);
  const stackId = (await world.call('cloudformation', 'DescribeStacks', { StackName: 'Stack' })).Stacks[0].StackId;
  const url = world.physicalId('Queue');
  const cases: [string, string, Record<string, any>, string, number, string][] = [
    [
      'dynamodb',
      'GetItem',
      GET,
      'AccessDeniedException',
      400,
      message('dynamodb:GetItem', `${here('dynamodb')}:table/table`),
    ],
    [
      'logs',
      'PutLogEvents',
      { logGroupName: 'lines', logStreamName: 's', logEvents: [] },
      'AccessDeniedException',
      400,
      message('logs:PutLogEvents', `${here('logs')}:log-group:lines:log-stream:s`),
    ],
    [
      'ec2',
      'TerminateInstances',
      { InstanceIds: [instanceId] },
      'UnauthorizedOperation',
      403,
      'You are not authorized to perform this operation. ' +
        `${message('ec2:TerminateInstances', `${here('ec2')}:instance/${instanceId}`)}`,
    ],
    [
      'autoscaling',
      'SetDesiredCapacity',
      { AutoScalingGroupName: groupName, DesiredCapacity: 2 },
      'AccessDenied',
      403,
      message('autoscaling:SetDesiredCapacity', await groupArn),
    ],
    [
      'cloudformation',
      'SignalResource',
      { StackName: 'Stack' },
      'AccessDenied',
      403,
      message('cloudformation:SignalResource', stackId),
    ],
    [
      'sqs',
      'SendMessage',
      { QueueUrl: url, MessageBody: 'x' },
      'AccessDenied',
      403,
      message('sqs:SendMessage', `${here('sqs')}:queue`),
    ],
    [
      's3',
      'HeadObject',
      { Bucket: 'b', Key: 'k/l' },
      'AccessDenied',
      403,
      message('s3:GetObject', 'arn:aws:s3:::b/k/l'),
    ],
  ];
  for (const [service, action, input, code, status, text] of cases) {
    await expect(call(service, action, input)).rejects.toMatchObject({ code, status, message: text });
  }
  expect(world.events.filter(({ source }) => source === 'iam')).toHaveLength(cases.length);
  expect(world.events.find(({ source }) => source === 'iam')).toMatchObject({
    what: 'denied',
    subject: 'Role',
    detail: {
      principal: 'Role',
      principalArn: who,
      action: 'dynamodb:GetItem',
      resource: `${here('dynamodb')}:table/table`,
    },
  });
});

test('who one is may be asked without any permission, and the operator may do everything', async () => {
  const { world, call } = await deploy([]);
  await expect(call('sts', 'GetCallerIdentity')).resolves.toMatchObject({ Account: '123456789012' });
  await expect(world.call('dynamodb', 'PutItem', PUT)).resolves.toEqual({});
  expect(world.denials()).toEqual([]);
});

test('an action that the emulation does not know is denied first, and named as unknown to those who may', async () => {
  const refused = await deploy([{ Action: 'dynamodb:GetItem' }]);
  await expect(refused.call('dynamodb', 'Scan', { TableName: 'table' })).rejects.toMatchObject({
    code: 'AccessDeniedException',
  });
  await expect(refused.call('dynamodb', 'ListTables')).rejects.toMatchObject({ code: 'AccessDeniedException' });
  const granted = await deploy([{ Action: 'dynamodb:*' }]);
  await expect(granted.call('dynamodb', 'Scan', { TableName: 'table' })).rejects.toThrow(
    'does not know the action Scan',
  );
  await expect(granted.call('dynamodb', 'ListTables')).rejects.toThrow(
    'on which resources dynamodb:ListTables is checked',
  );
});

// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
test('a transaction needs the permission of each of its parts', async () => {
  const { world, call } = await deploy([
    { Action: ['dynamodb:PutItem', 'dynamodb:DeleteItem'], Resource: arn('Table') },
  ]);
  await expect(
    call('dynamodb', 'TransactWriteItems', {
      TransactItems: [{ Put: PUT }, { Delete: { ...GET, Key: { pk: { S: 'b' } } } }],
    }),
  ).resolves.toEqual({});
  await expect(
    call('dynamodb', 'TransactWriteItems', {
      TransactItems: [{ Put: PUT }, { ConditionCheck: { ...GET, ConditionExpression: 'attribute_exists(pk)' } }],
    }),
  ).rejects.toThrow('dynamodb:ConditionCheckItem');
  expect(world.denials()).toEqual(['Role dynamodb:ConditionCheckItem']);
});

// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
test('all keys of a batch, and the key condition of a query, count as leading keys', async () => {
  const Condition = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['${aws:userid}'] } };
  const { world, instanceId, call } = await deploy([
    { Action: ['dynamodb:BatchGetItem', 'dynamodb:Query'], Resource: arn('Table'), Condition },
  ]);
  const own = `${world.region.roles()[0]!.roleId}:${instanceId}`;
  const batch = (...keys: string[]) =>
    call('dynamodb', 'BatchGetItem', { RequestItems: { table: { Keys: keys.map((key) => ({ pk: { S: key } })) } } });
  const query = (key: string) =>
    call('dynamodb', 'Query', {
      TableName: 'table',
      KeyConditionExpression: '#k = :k',
      ExpressionAttributeNames: { '#k': 'pk' },
      ExpressionAttributeValues: { ':k': { S: key } },
    });
  await expect(batch(own)).resolves.toBeDefined();
  await expect(batch(own, 'other')).rejects.toMatchObject({ code: 'AccessDeniedException' });
  await expect(query(own)).resolves.toBeDefined();
  await expect(query('other')).rejects.toMatchObject({ code: 'AccessDeniedException' });
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
test('attaching needs a permission on the instance and one on the volume, each by its own tags', async () => {
  const Condition = { StringEquals: { 'aws:ResourceTag/team': 'a' } };
  const { world, instanceId, call, volume } = await deploy([
    {
      Action: 'ec2:AttachVolume',
      Resource: { 'Fn::Sub': 'arn:aws:ec2:${AWS::Region}:${AWS::AccountId}:instance/*' },
      Condition,
    },
    {
      Action: 'ec2:AttachVolume',
      Resource: { 'Fn::Sub': 'arn:aws:ec2:${AWS::Region}:${AWS::AccountId}:volume/*' },
      Condition,
    },
  ]);
  const attach = (logicalId: string, device: string) =>
    call('ec2', 'AttachVolume', { InstanceId: instanceId, VolumeId: volume(logicalId), Device: device });
  await expect(attach('Theirs', '/dev/xvdf')).rejects.toThrow(
    `ec2:AttachVolume on resource: arn:aws:ec2:us-east-1:123456789012:volume/${volume('Theirs')}`,
  );
  await expect(attach('Mine', '/dev/xvdf')).resolves.toMatchObject({ State: 'attaching' });
  await world.clock.settle();
});

test('a permission on the volume alone does not attach it', async () => {
  const { instanceId, call, volume } = await deploy([
    { Action: 'ec2:AttachVolume', Resource: { 'Fn::Sub': 'arn:aws:ec2:*:*:volume/${Mine}' } },
  ]);
  await expect(
    call('ec2', 'AttachVolume', { InstanceId: instanceId, VolumeId: volume('Mine'), Device: '/dev/xvdf' }),
  ).rejects.toThrow(`instance/${instanceId}`);
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
test('a group is acted upon by its tags', async () => {
  const Resource = 'arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*';
  const set = (team: string) =>
    deploy([
      {
        Action: 'autoscaling:SetDesiredCapacity',
        Resource,
        Condition: { StringEquals: { 'aws:ResourceTag/team': team } },
      },
    ]).then(({ call, groupName }) =>
      call('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: groupName, DesiredCapacity: 1 }),
    );
  await expect(set('a')).resolves.toEqual({});
  await expect(set('b')).rejects.toMatchObject({ code: 'AccessDenied' });
});

// Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html#CWL_ARN_Format
test('the ARN of a log group ends in :* for a policy that covers its streams', async () => {
  const create = (Resource: unknown) =>
    deploy([{ Action: 'logs:CreateLogStream', Resource }]).then(({ call }) =>
      call('logs', 'CreateLogStream', { logGroupName: 'lines', logStreamName: 'i/boot' }),
    );
  await expect(create(arn('Logs'))).resolves.toEqual({});
  await expect(create('arn:aws:logs:us-east-1:123456789012:log-group:lines')).rejects.toMatchObject({
    code: 'AccessDeniedException',
  });
});

// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
test("a permissions boundary limits what the role's own policies allow", async () => {
  const world = new World();
  world.denying = true;
  await world.create({
    ...stack([{ Action: 'dynamodb:*', Resource: arn('Table') }], { PermissionsBoundary: { Ref: 'Boundary' } }),
    Boundary: {
      Type: 'AWS::IAM::ManagedPolicy',
      Properties: { PolicyDocument: policy({ Action: ['dynamodb:GetItem', 's3:*'] }) },
    },
  });
  const { accessKeyId } = world.region.credentialsFor(world.region.instances()[0]!.instanceId)!;
  await expect(world.region.call({ service: 'dynamodb', action: 'GetItem', input: GET, accessKeyId })).resolves.toEqual(
    {},
  );
  await expect(world.region.call({ service: 'dynamodb', action: 'PutItem', input: PUT, accessKeyId })).rejects.toThrow(
    'because no permissions boundary allows the dynamodb:PutItem action',
  );
  await expect(
    world.region.call({ service: 's3', action: 'GetObject', input: { Bucket: 'b', Key: 'k' }, accessKeyId }),
  ).rejects.toThrow('because no identity-based policy');
});

test('policies that are no policies of the template are errors that name them', async () => {
  const managed = 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore';
  await expect(new World().create(stack([], { ManagedPolicyArns: [managed] }))).rejects.toThrow(`not '${managed}'`);
  await expect(new World().create(stack([], { PermissionsBoundary: managed }))).rejects.toThrow(`not '${managed}'`);
  await expect(
    new World().create(stack([{ Action: 's3:*', Condition: { DateLessThan: { 'aws:CurrentTime': 'x' } } }])),
  ).rejects.toThrow("'DateLessThan'");
});

test('a policy that comes later is in force at once, and no more when it is gone', async () => {
  const world = new World();
  world.denying = true;
  await world.create(stack([]));
  const { accessKeyId } = world.region.credentialsFor(world.region.instances()[0]!.instanceId)!;
  const get = () =>
    world.region.call({ service: 'dynamodb', action: 'GetItem', input: GET, accessKeyId }).then(
      () => 'allowed',
      (error) => error.code,
    );
  expect(await get()).toBe('AccessDeniedException');
  const PolicyDocument = policy({ Action: 'dynamodb:GetItem' });
  const later = world.region.createStack(
    world.assembly(
      {
        Resources: {
          Later: {
            Type: 'AWS::IAM::Policy',
            Properties: { PolicyName: 'later', PolicyDocument, Roles: [world.physicalId('Role')] },
          },
        },
      },
      'Later',
    ),
    'Later',
  );
  await world.clock.finish(later, 1_000);
  expect(await get()).toBe('allowed');
  await world.clock.finish(world.region.deleteStack('Later'), 1_000);
  expect(await get()).toBe('AccessDeniedException');
});

test('statements that never decided anything can be told from those that did', async () => {
  const { world, call } = await deploy([
    { Sid: 'Used', Action: 'dynamodb:GetItem' },
    { Action: 's3:*' },
    { Sid: 'Denies', Effect: 'Deny', Action: 'dynamodb:PutItem' },
  ]);
  const view = () =>
    world.region
      .statements()
      .map(({ role, policy: name, sid, index, exercised }) => `${role} ${name} ${sid ?? index} ${exercised}`);
  expect(view()).toEqual([
    'Role AssumeRolePolicyDocument 0 false',
    'Role own Used false',
    'Role own 1 false',
    'Role own Denies false',
  ]);
  await call('dynamodb', 'GetItem', GET);
  await call('dynamodb', 'PutItem', PUT).catch(() => undefined);
  expect(view()).toEqual([
    'Role AssumeRolePolicyDocument 0 true',
    'Role own Used true',
    'Role own 1 false',
    'Role own Denies true',
  ]);
  await world.delete();
  expect(view()).toHaveLength(4);
});

test('an instance whose role does not trust EC2 runs without credentials', async () => {
  const world = new World();
  world.denying = true;
  await world.create({
    ...network,
    ...group(),
    ...template(),
    Role: { Type: 'AWS::IAM::Role', Properties: { AssumeRolePolicyDocument: trust('lambda') } },
  });
  const { instanceId, state } = world.region.instances()[0]!;
  expect(state).toBe('running');
  expect(world.region.credentialsFor(instanceId)).toBeUndefined();
  expect(world.denials()).toEqual(['ec2.amazonaws.com sts:AssumeRole']);
});

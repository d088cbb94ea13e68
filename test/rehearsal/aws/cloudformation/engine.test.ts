import { duration } from '../../../../rehearsal/aws/cloudformation/signals';
import { closeWorlds, group, HOUR, MINUTE, network, queue, role, World, type Resources } from '../world';

afterEach(closeWorlds);

const statuses = (world: World) =>
  Object.fromEntries(world.region.stackResources('Stack').map((resource) => [resource.logicalId, resource.status]));
const stackStatus = async (world: World) =>
  (await world.call('cloudformation', 'DescribeStacks', { StackName: 'Stack' })).Stacks[0].StackStatus;
const logGroup = (name: string, rest = {}) => ({
  Type: 'AWS::Logs::LogGroup',
  Properties: { LogGroupName: name },
  ...rest,
});

/** The order in which resources reached a status. */
const reached = (world: World, what: string) =>
  world.events
    .filter((event) => event.what === what && event.detail.type !== 'AWS::CloudFormation::Stack')
    .map((event) => event.subject);

describe('creation', () => {
  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-dependson.html
  test('a resource is created when what it depends on is complete, and outputs are resolved', async () => {
    const world = new World();
    const outputs = await world.create(
      {
        Last: logGroup('/last', { DependsOn: 'Middle' }),
        Middle: logGroup('/middle', { DependsOn: ['First'] }),
        First: logGroup('/first'),
      },
      { Outputs: { Name: { Value: { 'Fn::Sub': 'group ${Last}' } } } },
    );
    expect(outputs).toEqual({ Name: 'group /last' });
    expect(reached(world, 'create-complete')).toEqual(['First', 'Middle', 'Last']);
    expect(await stackStatus(world)).toBe('CREATE_COMPLETE');
  });

  test('independent resources are created at the same time', async () => {
    const world = new World({ delays: {} });
    world.machines.createVolume = () => world.clock.sleep(1_000);
    const volume = { Type: 'AWS::EC2::Volume', Properties: { AvailabilityZone: 'us-east-1a', Size: 1 } };
    const start = world.clock.now();
    await world.create({ A: volume, B: volume, C: volume });
    expect(world.clock.now() - start).toBe(1_000);
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
  test('parameters take their defaults, and those of an SSM type the value of that parameter', async () => {
    const world = new World();
    const outputs = await world.create(
      {
        Parameter: {
          Type: 'AWS::SSM::Parameter',
          Properties: { Name: '/mine', Type: 'String', Value: { Ref: 'Plain' } },
        },
      },
      {
        Parameters: {
          Plain: { Type: 'String', Default: 'text' },
          List: { Type: 'CommaDelimitedList', Default: 'a, b' },
          Image: {
            Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>',
            Default: '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64',
          },
        },
        Outputs: {
          Plain: { Value: { Ref: 'Plain' } },
          Second: { Value: { 'Fn::Select': [1, { Ref: 'List' }] } },
          Image: { Value: { Ref: 'Image' } },
          Parameter: { Value: { 'Fn::GetAtt': ['Parameter', 'Value'] } },
        },
      },
    );
    expect(outputs).toEqual({ Plain: 'text', Second: 'b', Image: expect.stringMatching(/^ami-/), Parameter: 'text' });
  });

  test('a parameter without a default, or of an SSM parameter that does not exist, is refused', async () => {
    const resources = { Group: logGroup('/x') };
    await expect(new World().create(resources, { Parameters: { Name: { Type: 'String' } } })).rejects.toThrow(
      'Parameter Name has no default',
    );
    await expect(
      new World().create(resources, {
        Parameters: { Name: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/none' } },
      }),
    ).rejects.toThrow('Parameter /none not found.');
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
  test('a rule of the template that does not hold is refused with its description', async () => {
    const rule = (value: string) => ({
      Parameters: {
        Version: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/cdk-bootstrap/hnb659fds/version' },
      },
      Rules: {
        Check: {
          Assertions: [
            {
              Assert: { 'Fn::Not': [{ 'Fn::Contains': [['1', value], { Ref: 'Version' }] }] },
              AssertDescription: 'bootstrap again',
            },
          ],
        },
      },
    });
    await new World().create({ Group: logGroup('/x') }, rule('2'));
    await expect(new World().create({ Group: logGroup('/x') }, rule('30'))).rejects.toThrow('bootstrap again');
  });

  test('a resource whose condition does not hold is not made', async () => {
    const world = new World();
    await world.create(
      { Group: logGroup('/x'), Other: logGroup('/y', { Condition: 'Never' }) },
      { Conditions: { Never: { 'Fn::Equals': [1, 2] } } },
    );
    expect(statuses(world)).toEqual({ Group: 'CREATE_COMPLETE' });
  });

  test('an unknown resource type, property and attribute are errors that name them', async () => {
    await expect(new World().create({ Thing: { Type: 'AWS::Braket::Computer' } })).rejects.toThrow(
      "'AWS::Braket::Computer' (Thing)",
    );
    await expect(
      new World().create({ Queue: { Type: 'AWS::SQS::Queue', Properties: { FifoQueue: true } } }),
    ).rejects.toThrow("'FifoQueue' of AWS::SQS::Queue");
    await expect(
      new World().create({
        ...queue,
        Group: logGroup('', { Properties: { LogGroupName: { 'Fn::GetAtt': ['Queue', 'Colour'] } } }),
      }),
    ).rejects.toThrow("'Colour' of AWS::SQS::Queue (Queue)");
  });

  test(
    'a second stack of the same name is refused while the first exists, and a stack that the assembly lacks ' +
      'is named',
    async () => {
      const world = new World();
      await world.create({ Group: logGroup('/x') });
      await expect(world.create({ Group: logGroup('/y') })).rejects.toThrow('Stack [Stack] already exists');
      await expect(world.region.createStack(world.assembly({ Resources: {} }), 'Nowhere')).rejects.toThrow(
        "has no stack 'Nowhere'. It has Stack.",
      );
    },
  );

  test('names are the stack, the logical id and something random, within the limit of the service', async () => {
    const world = new World();
    const long = 'L'.repeat(70);
    await world.create({ ...queue, [long]: role.Role! });
    expect(world.physicalId('Queue')).toMatch(/\/Stack-Queue-[A-Z0-9]{12}$/);
    expect(world.physicalId(long)).toMatch(/^Stack-L+-[A-Z0-9]{12}$/);
    expect(world.physicalId(long).length).toBeLessThanOrEqual(64);
  });

  // Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
  test('user data over 16 KB is refused', async () => {
    const resources = {
      ...role,
      Template: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: { LaunchTemplateData: { UserData: { 'Fn::Base64': 'x'.repeat(16_385) } } },
      },
    };
    await expect(new World().create(resources)).rejects.toThrow(
      'User data is limited to 16384 bytes; this one has 16385.',
    );
  });
});

describe('a creation that fails', () => {
  const failing: Resources = {
    First: logGroup('/first'),
    Kept: logGroup('/kept', { DeletionPolicy: 'Retain' }),
    KeptOnceMade: logGroup('/kept-once-made', { DeletionPolicy: 'RetainExceptOnCreate' }),
    Bad: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: { PolicyDocument: {}, Queues: ['https://sqs/123456789012/none'] },
      DependsOn: ['First', 'Kept', 'KeptOnceMade'],
    },
    Never: logGroup('/never', { DependsOn: 'Bad' }),
  };

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html
  test('is rolled back, and says which resource failed and why', async () => {
    const world = new World();
    await expect(world.create(failing)).rejects.toThrow(
      'Stack Stack could not be created: Bad (AWS::SQS::QueuePolicy): The specified queue does not exist.',
    );
    expect(await stackStatus(world)).toBe('ROLLBACK_COMPLETE');
    expect(statuses(world)).toMatchObject({ First: 'DELETE_COMPLETE', Bad: 'CREATE_FAILED', Never: undefined });
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
  test('keeps what is to be retained, but not what is to be retained except on creation', async () => {
    const world = new World();
    await expect(world.create(failing)).rejects.toThrow();
    expect(statuses(world)).toMatchObject({ Kept: 'DELETE_SKIPPED', KeptOnceMade: 'DELETE_COMPLETE' });
  });

  test('cancels what still waits for signals', async () => {
    const world = new World();
    const creation = world.begin({
      ...signalled({ Count: 1, Timeout: 'PT1H' }),
      ...queue,
      Bad: { Type: 'AWS::EC2::Volume', Properties: { AvailabilityZone: 'us-east-1a', Size: 1 } },
    });
    world.machines.createVolume = async () => {
      await world.clock.sleep(1_000);
      throw new Error('no space');
    };
    await expect(world.clock.finish(creation, MINUTE)).rejects.toThrow(
      /^Stack Stack could not be created: Bad \(AWS::EC2::Volume\): no space\.$/,
    );
    expect(
      world.events.find((event) => event.subject === 'Group' && event.what === 'create-failed')!.detail.reason,
    ).toBe('Resource creation cancelled');
    expect(world.region.instances().map((instance) => instance.state)).toEqual(['terminated']);
  });
});

function signalled(ResourceSignal: Record<string, unknown>): Resources {
  return group({ DesiredCapacity: '1' }, { CreationPolicy: { ResourceSignal } });
}

describe('signals', () => {
  async function waiting(ResourceSignal: Record<string, unknown>) {
    const world = new World();
    const creation = world.begin(signalled(ResourceSignal));
    await world.clock.settle();
    const signal = (UniqueId: string, Status = 'SUCCESS') =>
      world.call('cloudformation', 'SignalResource', {
        StackName: 'Stack',
        LogicalResourceId: 'Group',
        UniqueId,
        Status,
      });
    return { world, creation, signal };
  }

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-creationpolicy.html
  test('a group is complete when it has its count of signals, and a signal that comes twice counts once', async () => {
    const { world, creation, signal } = await waiting({ Count: 2, Timeout: 'PT10M' });
    await signal('i-1');
    await signal('i-1');
    await world.clock.settle();
    expect(statuses(world).Group).toBe('CREATE_IN_PROGRESS');
    await signal('i-2');
    await world.clock.finish(creation, 1);
    expect(statuses(world).Group).toBe('CREATE_COMPLETE');
    expect(world.events.filter((event) => event.what === 'signal').map((event) => event.detail.uniqueId)).toEqual([
      'i-1',
      'i-1',
      'i-2',
    ]);
  });

  test('without enough signals in time the creation fails and is rolled back', async () => {
    const { world, creation, signal } = await waiting({ Count: 2, Timeout: 'PT10M' });
    await signal('i-1');
    const start = world.clock.now();
    await expect(world.clock.finish(creation, HOUR)).rejects.toThrow(
      'Group (AWS::AutoScaling::AutoScalingGroup): Failed to receive 1 resource signal(s) within the ' +
        'specified duration',
    );
    expect(world.events.find((event) => event.what === 'create-failed')!.at - start).toBe(600_000);
    expect(world.region.groups()).toEqual([]);
  });

  test('the count is one and the time five minutes by default', async () => {
    const { world, creation } = await waiting({});
    const start = world.clock.now();
    await expect(world.clock.finish(creation, HOUR)).rejects.toThrow('Failed to receive 1 resource signal(s)');
    expect(world.events.find((event) => event.what === 'create-failed')!.at - start).toBe(300_000);
  });

  test('a FAILURE signal fails the creation at once', async () => {
    const { world, creation, signal } = await waiting({ Count: 3, Timeout: 'PT1H' });
    await signal('i-9', 'FAILURE');
    await expect(world.clock.finish(creation, 1)).rejects.toThrow('Received FAILURE signal with UniqueId i-9');
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html ; the words as in
  // https://github.com/aws-cloudformation/aws-cloudformation-templates/issues/34
  test('what is complete cannot be signaled any more', async () => {
    const { world, creation, signal } = await waiting({ Count: 1 });
    await signal('i-1');
    await world.clock.finish(creation, 1);
    const id = (await world.call('cloudformation', 'DescribeStacks', { StackName: 'Stack' })).Stacks[0].StackId;
    const input = { StackName: id, LogicalResourceId: 'Group', UniqueId: 'i-1', Status: 'SUCCESS' };
    expect(await world.refusal('cloudformation', 'SignalResource', input)).toBe(
      `ValidationError: Stack ${id} is in CREATE_COMPLETE state and cannot be signaled`,
    );
  });

  test('a resource that is complete while its stack is still being created cannot be signaled either', async () => {
    const { world, creation, signal } = await waiting({ Count: 1 });
    const input = { StackName: 'Stack', LogicalResourceId: 'Vpc', UniqueId: 'i-1', Status: 'SUCCESS' };
    expect(await world.refusal('cloudformation', 'SignalResource', input)).toBe(
      'ValidationError: Resource Vpc is in CREATE_COMPLETE state and cannot be signaled',
    );
    expect(await world.refusal('cloudformation', 'SignalResource', { ...input, LogicalResourceId: 'Ghost' })).toBe(
      'ValidationError: Resource Ghost does not exist for stack Stack',
    );
    expect(
      await world.refusal('cloudformation', 'SignalResource', {
        ...input,
        LogicalResourceId: 'Group',
        Status: 'MAYBE',
      }),
    ).toMatch("Value 'MAYBE' at 'status'");
    await signal('i-1');
    await world.clock.finish(creation, 1);
  });

  test('a creation policy that the emulation does not know, and one longer than 12 hours, are refused', async () => {
    await expect(
      new World().create(
        group({}, { CreationPolicy: { AutoScalingCreationPolicy: { MinSuccessfulInstancesPercent: 50 } } }),
      ),
    ).rejects.toThrow("'AutoScalingCreationPolicy'");
    await expect(new World().create(signalled({ Timeout: 'PT13H' }))).rejects.toThrow('longer than the 12 hours');
  });

  test.each([
    ['PT5M', 300_000],
    ['PT1H30M', 5_400_000],
    ['PT45S', 45_000],
  ])('the duration %s is %d milliseconds', (text, ms) => {
    expect(duration(text)).toBe(ms);
  });

  test.each(['5M', 'PT', 'P1D'])('%s is no duration of a creation policy', (text) => {
    expect(() => duration(text)).toThrow(`'${text}' is not a duration`);
  });
});

describe('deletion', () => {
  test('goes in reverse order, and leaves nothing', async () => {
    const world = new World();
    await world.create({
      First: logGroup('/first'),
      Second: logGroup('/second', { DependsOn: 'First' }),
      Third: logGroup('/third', { DependsOn: 'Second' }),
    });
    await world.delete();
    expect(reached(world, 'delete-complete')).toEqual(['Third', 'Second', 'First']);
    expect(world.region.remains()).toEqual([]);
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
  test('keeps what is to be retained', async () => {
    const world = new World();
    await world.create({ Group: logGroup('/kept', { DeletionPolicy: 'Retain' }) });
    await world.delete();
    expect(world.region.remains()).toEqual(['/kept']);
    expect(statuses(world)).toEqual({ Group: 'DELETE_SKIPPED' });
  });

  test('that fails says what and why, keeps what it stands on, and can be tried again', async () => {
    const world = new World();
    await world.create({
      Table: {
        Type: 'AWS::DynamoDB::Table',
        Properties: {
          KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
          AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
          DeletionProtectionEnabled: true,
        },
        DependsOn: 'First',
      },
      First: logGroup('/first'),
    });
    await expect(world.delete()).rejects.toThrow(
      'Table (AWS::DynamoDB::Table): Resource cannot be deleted as it is currently protected against deletion.',
    );
    expect(await stackStatus(world)).toBe('DELETE_FAILED');
    expect(statuses(world)).toEqual({ Table: 'DELETE_FAILED', First: 'CREATE_COMPLETE' });
    await expect(world.delete()).rejects.toThrow('protected against deletion');
  });

  // Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
  test('a deleted stack is found by its id only, and its name is free', async () => {
    const world = new World();
    await world.create({ Group: logGroup('/x') });
    const { StackId } = (await world.call('cloudformation', 'DescribeStacks', {})).Stacks[0];
    await world.delete();
    expect(await world.refusal('cloudformation', 'DescribeStacks', { StackName: 'Stack' })).toBe(
      'ValidationError: Stack with id Stack does not exist',
    );
    expect((await world.call('cloudformation', 'DescribeStacks', { StackName: StackId })).Stacks[0].StackStatus).toBe(
      'DELETE_COMPLETE',
    );
    await world.create({ Group: logGroup('/x') });
  });

  test('the stack is in DELETE_IN_PROGRESS while its instances go through their hooks', async () => {
    const world = new World();
    await world.create({
      ...queue,
      ...group({
        LifecycleHookSpecificationList: [
          {
            LifecycleHookName: 'terminate',
            LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
            HeartbeatTimeout: 300,
          },
        ],
      }),
    });
    const deletion = world.region.deleteStack('Stack');
    await world.clock.settle();
    expect(await stackStatus(world)).toBe('DELETE_IN_PROGRESS');
    await expect(world.region.deleteStack('Stack')).rejects.toThrow('wait for it to end');
    await world.clock.finish(deletion, 301_000);
  });
});

test('resources are described with their status', async () => {
  const world = new World();
  await world.create(network);
  const { StackResourceDetail } = await world.call('cloudformation', 'DescribeStackResource', {
    StackName: 'Stack',
    LogicalResourceId: 'Vpc',
  });
  expect(StackResourceDetail).toMatchObject({
    LogicalResourceId: 'Vpc',
    PhysicalResourceId: world.physicalId('Vpc'),
    ResourceType: 'AWS::EC2::VPC',
    ResourceStatus: 'CREATE_COMPLETE',
  });
  const { StackResources } = await world.call('cloudformation', 'DescribeStackResources', { StackName: 'Stack' });
  expect(StackResources).toHaveLength(3);
});

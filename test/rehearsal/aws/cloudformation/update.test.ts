import {
  closeWorlds,
  group,
  hook,
  lambdaFunction,
  MINUTE,
  queue,
  role,
  template,
  World,
  type Resources,
} from '../world';

afterEach(closeWorlds);

const logGroup = (name: string, rest = {}) => ({
  Type: 'AWS::Logs::LogGroup',
  Properties: { LogGroupName: name },
  ...rest,
});
const stackStatus = async (world: World) =>
  (await world.call('cloudformation', 'DescribeStacks', { StackName: 'Stack' })).Stacks[0].StackStatus;
const names = (world: World) =>
  world.region
    .stackResources('Stack')
    .map(({ logicalId }) => logicalId)
    .sort();
const happened = (world: World, ...what: string[]) =>
  world.events
    .filter((event) => event.source === 'cloudformation' && what.includes(event.what))
    .map((event) => `${event.what} ${event.subject}`);
const SIZE = { InstanceType: 't4g.large' };

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html
describe('an update', () => {
  test('makes what is new first, and deletes what is no more last', async () => {
    const world = new World();
    await world.create({ Old: logGroup('/old'), Same: logGroup('/same') });
    world.events.length = 0;
    await world.update(
      { New: logGroup('/new'), Same: logGroup('/same') },
      { Outputs: { Name: { Value: { Ref: 'New' } } } },
    );
    expect(happened(world, 'create-complete', 'delete-complete', 'update-complete')).toEqual([
      'create-complete New',
      'delete-complete Old',
      'update-complete Stack',
    ]);
    expect(names(world)).toEqual(['New', 'Same']);
    expect(await stackStatus(world)).toBe('UPDATE_COMPLETE');
    expect((await world.call('cloudformation', 'DescribeStacks', {})).Stacks[0].Outputs).toEqual([
      { OutputKey: 'Name', OutputValue: '/new' },
    ]);
  });

  test('changes what differs, and leaves the rest alone', async () => {
    const world = new World();
    const resources = (text: string): Resources => ({
      ...role,
      Fn: lambdaFunction({ Environment: { Variables: { TEXT: text, OF: { Ref: 'Other' } } } }),
      Other: lambdaFunction({ MemorySize: text.length * 128 }),
    });
    await world.create(resources('a'));
    world.events.length = 0;
    await world.update(resources('bc'));
    expect(happened(world, 'update-complete')).toEqual(
      expect.arrayContaining(['update-complete Fn', 'update-complete Other', 'update-complete Stack']),
    );
    const fn = (logicalId: string) => world.region.functions().find((one) => one.logicalId === logicalId)!;
    expect(fn('Fn').environment.TEXT).toBe('bc');
    expect(fn('Other').memoryMiB).toBe(256);
    world.events.length = 0;
    await world.update(resources('bc'));
    expect(happened(world, 'update-complete')).toEqual(['update-complete Stack']);
  });

  test('keeps what is to be retained', async () => {
    const world = new World();
    await world.create({ Old: logGroup('/old', { DeletionPolicy: 'Retain' }), Same: logGroup('/same') });
    await world.update({ Same: logGroup('/same') });
    expect(happened(world, 'delete-skipped', 'delete-complete')).toEqual(['delete-skipped Old']);
    expect(world.region.remains()).toEqual(['/old', '/same']);
  });

  test('that fails is taken back: what was changed is as it was, what was made goes', async () => {
    const world = new World();
    const resources = (text: string, more: Resources = {}): Resources => ({
      ...role,
      Fn: lambdaFunction({ Environment: { Variables: { TEXT: text } } }),
      ...more,
    });
    await world.create(resources('a'));
    const broken = {
      New: { ...logGroup('/new'), DependsOn: 'Fn' },
      Bad: { ...lambdaFunction({ ReservedConcurrentExecutions: 1 }), DependsOn: 'New' },
    };
    await expect(world.update(resources('b', broken))).rejects.toThrow(
      /could not be updated: Bad \(AWS::Lambda::Function\): Specified ReservedConcurrentExecutions/,
    );
    expect(await stackStatus(world)).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(world.region.functions().map(({ environment }) => environment.TEXT)).toEqual(['a']);
    expect(names(world)).toEqual(['Fn', 'Profile', 'Role']);
    await world.update(resources('c'));
    expect(world.region.functions()[0]!.environment.TEXT).toBe('c');
  });

  test('of what the emulation cannot change says so, and is taken back', async () => {
    const world = new World();
    await world.create({ Group: logGroup('/a') });
    await expect(world.update({ Group: logGroup('/b') })).rejects.toThrow(
      'The emulation does not know how to change AWS::Logs::LogGroup: LogGroupName',
    );
    expect(world.region.remains()).toEqual(['/a']);
  });

  test('of a stack that is being changed, or is not there, is refused', async () => {
    const world = new World();
    await expect(world.update({ Group: logGroup('/a') })).rejects.toThrow('Stack with id Stack does not exist');
    await world.create({ Group: logGroup('/a') });
    const first = world.update({ Group: logGroup('/a'), More: logGroup('/more') });
    await expect(world.update({ Group: logGroup('/a') })).rejects.toThrow(
      'is in UPDATE_IN_PROGRESS state and can not be updated',
    );
    await first;
  });
});

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
describe('a rolling update', () => {
  const policy = (more: Record<string, unknown> = {}) => ({
    UpdatePolicy: {
      AutoScalingRollingUpdate: {
        WaitOnResourceSignals: true,
        PauseTime: 'PT10M',
        SuspendProcesses: ['HealthCheck', 'AZRebalance'],
        ...more,
      },
    },
  });
  const rolling = (
    data: Record<string, unknown>,
    properties: Record<string, unknown> = {},
    more: Record<string, unknown> = {},
  ): Resources => ({
    ...group({ DesiredCapacity: '3', MinSize: '3', ...properties }, policy(more)),
    ...template(data),
  });
  const versions = (world: World) => world.group().instances.map(({ templateVersion }) => templateVersion);
  const signals = (world: World, from: number) =>
    world.region.onEvent(({ source, what, subject }) => {
      if (source !== 'autoscaling' || what !== 'in-service' || world.clock.now() < from) return;
      const stackId = world.region.groups()[0]!.tags['aws:cloudformation:stack-id'];
      void world.clock.sleep(1_000).then(() =>
        world
          .call('cloudformation', 'SignalResource', {
            StackName: stackId,
            LogicalResourceId: 'Group',
            UniqueId: subject,
            Status: 'SUCCESS',
          })
          .catch(() => undefined),
      );
    });

  test('replaces every instance, so many at a time, and keeps so many in service', async () => {
    const world = new World();
    await world.create(rolling({}));
    const before = world.group().instances.map(({ instanceId }) => instanceId);
    signals(world, world.clock.now());
    const counts: number[] = [];
    world.region.onEvent(
      () =>
        void counts.push(world.region.groups()[0]?.instances.filter(({ state }) => state === 'InService').length ?? 0),
    );
    await world.update(rolling(SIZE, {}, { MaxBatchSize: 2, MinInstancesInService: 2 }));
    await world.clock.finish(world.clock.sleep(MINUTE), 2 * MINUTE);
    expect(versions(world)).toEqual([2, 2, 2]);
    expect(world.group().instances.some(({ instanceId }) => before.includes(instanceId))).toBe(false);
    expect(Math.min(...counts)).toBe(2);
    expect(world.group().desired).toBe(3);
    expect(world.group().suspended).toEqual([]);
  });

  test('without a minimum in service terminates first', async () => {
    const world = new World();
    await world.create(rolling({}, { DesiredCapacity: '1', MinSize: '1', MaxSize: '1' }));
    signals(world, world.clock.now());
    await world.update(rolling(SIZE, { DesiredCapacity: '1', MinSize: '1', MaxSize: '1' }));
    expect(versions(world)).toEqual([2]);
    expect(world.what('autoscaling').filter((what) => what === 'launching' || what === 'terminating')).toEqual([
      'launching',
      'terminating',
      'launching',
    ]);
  });

  test('whose instances do not come up in time stops, and is rolled back to instances as they were', async () => {
    const world = new World();
    await world.create(rolling({}));
    const start = world.clock.now();
    let heard = 0;
    world.region.onEvent(({ source, what }) => {
      // The first batch is silent.
      if (source === 'cloudformation' && what === 'update-rollback-in-progress') heard = world.clock.now();
    });
    signals(world, start + 10 * MINUTE);
    await expect(world.update(rolling(SIZE))).rejects.toThrow(
      'Group (AWS::AutoScaling::AutoScalingGroup): Failed to receive 1 resource signal(s) within the ' +
        'specified duration',
    );
    expect(heard - start).toBe(10 * MINUTE);
    expect(await stackStatus(world)).toBe('UPDATE_ROLLBACK_COMPLETE');
    // The template as it was is a third version of it.
    expect(new Set(versions(world))).toEqual(new Set([3]));
    expect(world.group().suspended).toEqual([]);
  });

  test('a change of the capacity alone replaces nobody', async () => {
    const world = new World();
    await world.create(rolling({}));
    const before = world.group().instances.map(({ instanceId }) => instanceId);
    await world.update(rolling({}, { MinSize: '4', DesiredCapacity: '4' }));
    expect(world.group().instances.map(({ instanceId }) => instanceId)).toEqual(expect.arrayContaining(before));
    expect(world.group().instances).toHaveLength(4);
  });

  test('a group that is no more goes through the hooks of its instances', async () => {
    const world = new World();
    const { Group, ...rest } = group({ LifecycleHookSpecificationList: [hook('leave', 'TERMINATING')] });
    await world.create({ ...queue, ...rest, Group: { ...Group!, DependsOn: ['QueuePolicy'] } });
    const change = world.update({ ...queue, ...rest });
    await world.clock.finish(world.clock.sleep(MINUTE), 2 * MINUTE);
    expect(await stackStatus(world)).toBe('UPDATE_COMPLETE_CLEANUP_IN_PROGRESS');
    const { instanceId } = world.group().instances[0]!;
    await world.call('autoscaling', 'CompleteLifecycleAction', {
      AutoScalingGroupName: world.group().name,
      LifecycleHookName: 'leave',
      InstanceId: instanceId,
      LifecycleActionResult: 'CONTINUE',
    });
    await change;
    expect(world.region.groups()).toEqual([]);
  });
});

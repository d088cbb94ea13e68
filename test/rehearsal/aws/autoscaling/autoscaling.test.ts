import {
  closeWorlds,
  group,
  hook,
  HOUR,
  MINUTE,
  network,
  queue,
  role,
  template,
  templateReference,
  World,
  type Resources,
} from '../world';

afterEach(closeWorlds);

const launchHook = (options = {}) => hook('launch', 'LAUNCHING', options);
const terminateHook = (options = {}) => hook('terminate', 'TERMINATING', options);

const messages = (world: World) =>
  world.region
    .queues()[0]!
    .peek()
    .map((message) => JSON.parse(message.body));
const states = (world: World) => world.group().instances.map((instance) => instance.state);
const ids = (world: World) => world.group().instances.map((instance) => instance.instanceId);
const running = (world: World) => world.region.instances().filter((instance) => instance.state === 'running');

async function withGroup(properties: Record<string, any> = {}, options = {}) {
  const world = new World(options);
  await world.create({ ...queue, ...group(properties) });
  const name = world.physicalId('Group');
  const complete = (input: Record<string, any>) =>
    world.call('autoscaling', 'CompleteLifecycleAction', {
      AutoScalingGroupName: name,
      LifecycleHookName: 'launch',
      LifecycleActionResult: 'CONTINUE',
      ...input,
    });
  return { world, name, complete };
}

/**
 * A group of one whose instance takes an existing network interface: a second one cannot launch while the first holds
 * it.
 */
function seat(properties: Record<string, any> = {}): Resources {
  return {
    ...network,
    ...role,
    ...queue,
    Eni: { Type: 'AWS::EC2::NetworkInterface', Properties: { SubnetId: { Ref: 'SubnetA' } } },
    ...template({ NetworkInterfaces: [{ DeviceIndex: 0, NetworkInterfaceId: { Ref: 'Eni' } }] }),
    Group: {
      Type: 'AWS::AutoScaling::AutoScalingGroup',
      Properties: {
        MinSize: '0',
        MaxSize: '1',
        DesiredCapacity: '1',
        AvailabilityZones: [{ 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] }],
        LaunchTemplate: templateReference,
        InstanceMaintenancePolicy: { MinHealthyPercentage: 0, MaxHealthyPercentage: 100 },
        ...properties,
      },
    },
  };
}

describe('lifecycle hooks', () => {
  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html
  test('a test notification is sent for each hook when the group is made', async () => {
    const { world, name } = await withGroup({
      DesiredCapacity: '0',
      LifecycleHookSpecificationList: [launchHook(), terminateHook()],
    });
    expect(messages(world)).toEqual(
      Array(2).fill({
        AccountId: '123456789012',
        RequestId: expect.any(String),
        AutoScalingGroupARN: expect.stringMatching(/^arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:/),
        AutoScalingGroupName: name,
        Service: 'AWS Auto Scaling',
        Event: 'autoscaling:TEST_NOTIFICATION',
        Time: '2026-01-01T00:00:00.000Z',
      }),
    );
  });

  // Source:
  // https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html#notification-message-example
  test('a launching instance waits, and its message names the hook, the token and the instance', async () => {
    const { world, name } = await withGroup({
      LifecycleHookSpecificationList: [launchHook({ NotificationMetadata: 'seat=0' })],
    });
    expect(states(world)).toEqual(['Pending:Wait']);
    expect(messages(world)[1]).toEqual({
      Origin: 'EC2',
      Destination: 'AutoScalingGroup',
      LifecycleHookName: 'launch',
      LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
      AutoScalingGroupName: name,
      EC2InstanceId: ids(world)[0],
      LifecycleActionToken: expect.stringMatching(/^[0-9a-f-]{36}$/),
      NotificationMetadata: 'seat=0',
      AccountId: '123456789012',
      RequestId: expect.any(String),
      Service: 'AWS Auto Scaling',
      Time: '2026-01-01T00:00:00.000Z',
    });
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/completing-lifecycle-hooks.html
  test('CONTINUE by instance id or by token puts the instance in service, once it runs', async () => {
    const { world, complete } = await withGroup(
      { DesiredCapacity: '2', LifecycleHookSpecificationList: [launchHook()] },
      { delays: { launch: 10_000 } },
    );
    await complete({ InstanceId: ids(world)[0] });
    await complete({ LifecycleActionToken: messages(world)[2].LifecycleActionToken });
    expect(states(world)).toEqual(['Pending:Proceed', 'Pending:Proceed']);
    await world.clock.advance(10_000);
    expect(states(world)).toEqual(['InService', 'InService']);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html ; the words as
  // users have quoted them
  test('an action that is completed, unknown or of no hook is refused in the words of AWS', async () => {
    const { world, name, complete } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    const [instanceId] = ids(world);
    await complete({ InstanceId: instanceId });
    const refusal = (input: Record<string, any>) =>
      world.refusal('autoscaling', 'CompleteLifecycleAction', {
        AutoScalingGroupName: name,
        LifecycleHookName: 'launch',
        LifecycleActionResult: 'CONTINUE',
        ...input,
      });
    expect(await refusal({ InstanceId: instanceId })).toBe(
      `ValidationError: No active Lifecycle Action found with instance ID ${instanceId}`,
    );
    expect(await refusal({ LifecycleActionToken: 'nothing' })).toBe(
      'ValidationError: No active Lifecycle Action found with token nothing',
    );
    expect(await refusal({ LifecycleHookName: 'other', InstanceId: instanceId })).toBe(
      'ValidationError: No Lifecycle Hook found with name other',
    );
    expect(await refusal({ AutoScalingGroupName: 'none', InstanceId: instanceId })).toMatch(
      "AutoScalingGroup 'none' not found",
    );
    expect(await refusal({})).toMatch('Either LifecycleActionToken or InstanceId is required.');
  });

  test('a result that is neither CONTINUE nor ABANDON is refused and leaves the action open', async () => {
    const { world, complete } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    await expect(complete({ InstanceId: ids(world)[0], LifecycleActionResult: 'MAYBE' })).rejects.toThrow(
      'must be CONTINUE or ABANDON, not MAYBE',
    );
    expect(world.group().instances[0]!.openHooks).toEqual(['launch']);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
  test('ABANDON at launch terminates the instance and the group launches another', async () => {
    const { world, complete } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    const [abandoned] = ids(world);
    await complete({ InstanceId: abandoned, LifecycleActionResult: 'ABANDON' });
    await world.clock.advance(1);
    expect(ids(world)).toHaveLength(1);
    expect(ids(world)).not.toContain(abandoned);
    expect(world.region.instances().find((instance) => instance.instanceId === abandoned)!.state).toBe('terminated');
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html#lifecycle-hook-considerations
  test('at the heartbeat timeout the default result counts: ABANDON where none is given', async () => {
    const { world } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    const [first] = ids(world);
    await world.clock.advance(299_999);
    expect(ids(world)).toEqual([first]);
    await world.clock.advance(2);
    expect(ids(world)).not.toContain(first);
    expect(world.events.find((event) => event.what === 'hook-expired')!.detail).toMatchObject({
      hook: 'launch',
      result: 'ABANDON',
    });
  });

  test('at the heartbeat timeout a default result of CONTINUE puts the instance in service', async () => {
    const { world } = await withGroup({ LifecycleHookSpecificationList: [launchHook({ DefaultResult: 'CONTINUE' })] });
    await world.clock.advance(300_000);
    expect(states(world)).toEqual(['Pending:Proceed']);
    await world.clock.advance(2_000);
    expect(states(world)).toEqual(['InService']);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html
  test('a heartbeat starts the timeout anew, but not beyond 100 times the timeout', async () => {
    const { world, name } = await withGroup({ LifecycleHookSpecificationList: [launchHook({ HeartbeatTimeout: 30 })] });
    const [first] = ids(world);
    const start = world.clock.now();
    for (let n = 0; n < 149; n += 1) {
      await world.clock.advance(20_000);
      await world.call('autoscaling', 'RecordLifecycleActionHeartbeat', {
        AutoScalingGroupName: name,
        LifecycleHookName: 'launch',
        InstanceId: first,
      });
    }
    expect(ids(world)).toEqual([first]);
    await world.clock.run(() => !ids(world).includes(first!), MINUTE);
    expect(world.clock.now() - start).toBe(3_000_000);
  });

  test('a hook ends after 48 hours at the latest', async () => {
    const { world, name } = await withGroup({
      LifecycleHookSpecificationList: [launchHook({ HeartbeatTimeout: 7200 })],
    });
    const [first] = ids(world);
    const start = world.clock.now();
    for (let n = 0; n < 47; n += 1) {
      await world.clock.advance(HOUR);
      await world.call('autoscaling', 'RecordLifecycleActionHeartbeat', {
        AutoScalingGroupName: name,
        LifecycleHookName: 'launch',
        InstanceId: first,
      });
    }
    await world.clock.run(() => !ids(world).includes(first!), 3 * HOUR);
    expect(world.clock.now() - start).toBe(48 * HOUR);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
  test('a terminating instance waits with its machine still running, and goes when its hook is completed', async () => {
    const { world, name, complete } = await withGroup({ LifecycleHookSpecificationList: [terminateHook()] });
    const [instanceId] = ids(world);
    await world.call('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: 0 });
    await world.clock.settle();
    expect(states(world)).toEqual(['Terminating:Wait']);
    expect(running(world)).toHaveLength(1);
    expect(messages(world)[1]).toMatchObject({
      Origin: 'AutoScalingGroup',
      Destination: 'EC2',
      LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
      EC2InstanceId: instanceId,
    });
    await complete({ LifecycleHookName: 'terminate', InstanceId: instanceId });
    await world.clock.settle();
    expect(states(world)).toEqual([]);
    expect(world.what('autoscaling')).toEqual([
      'launching',
      'in-service',
      'terminating',
      'terminating-wait',
      'hook-completed',
      'terminated',
    ]);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
  test('of several terminate hooks CONTINUE lets the others complete, and ABANDON ends them all', async () => {
    const hooks = [terminateHook(), hook('second', 'TERMINATING'), hook('third', 'TERMINATING')];
    const { world, name, complete } = await withGroup({ LifecycleHookSpecificationList: hooks });
    const [instanceId] = ids(world);
    await world.call('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: 0 });
    await complete({ LifecycleHookName: 'terminate', InstanceId: instanceId });
    expect(world.group().instances[0]!.openHooks).toEqual(['second', 'third']);
    await complete({ LifecycleHookName: 'second', InstanceId: instanceId, LifecycleActionResult: 'ABANDON' });
    await world.clock.settle();
    expect(states(world)).toEqual([]);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
  test('a heartbeat timeout outside 30 to 7200 seconds is refused, and so is an unknown target', async () => {
    await expect(
      new World().create({
        ...queue,
        ...group({ LifecycleHookSpecificationList: [launchHook({ HeartbeatTimeout: 29 })] }),
      }),
    ).rejects.toThrow('between 30 and 7200 seconds');
    await expect(
      new World().create({
        ...queue,
        ...group({
          LifecycleHookSpecificationList: [
            launchHook({ NotificationTargetARN: 'arn:aws:sqs:us-east-1:123456789012:none' }),
          ],
        }),
      }),
    ).rejects.toThrow('Unable to publish test message to notification target');
  });

  test('hooks are described with their timeouts', async () => {
    const { world, name } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    const { LifecycleHooks } = await world.call('autoscaling', 'DescribeLifecycleHooks', {
      AutoScalingGroupName: name,
    });
    expect(LifecycleHooks).toMatchObject([
      { LifecycleHookName: 'launch', HeartbeatTimeout: 300, GlobalTimeout: 30_000, DefaultResult: 'ABANDON' },
    ]);
  });
});

describe('keeping the number', () => {
  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html#arch-AutoScalingMultiAZ
  test('instances are spread over the zones', async () => {
    const { world } = await withGroup({ DesiredCapacity: '4' });
    expect(world.region.instances().map((instance) => instance.availabilityZone)).toEqual([
      'us-east-1a',
      'us-east-1b',
      'us-east-1a',
      'us-east-1b',
    ]);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
  test('scaling in takes from the fullest zone, the oldest first', async () => {
    const { world, name } = await withGroup({ DesiredCapacity: '3' });
    const [oldest] = ids(world);
    await world.call('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: 2 });
    await world.clock.settle();
    expect(ids(world)).toHaveLength(2);
    expect(ids(world)).not.toContain(oldest);
    expect(
      running(world)
        .map((instance) => instance.availabilityZone)
        .sort(),
    ).toEqual(['us-east-1a', 'us-east-1b']);
  });

  test('a desired capacity outside the bounds is refused', async () => {
    const { world, name } = await withGroup({ MinSize: '1', MaxSize: '2' });
    expect(
      await world.refusal('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: 3 }),
    ).toMatch('above max value 2');
    expect(
      await world.refusal('autoscaling', 'SetDesiredCapacity', { AutoScalingGroupName: name, DesiredCapacity: 0 }),
    ).toMatch('below min value 1');
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
  test(
    'an instance that dies outside the doing of the group is found by the health check, goes through its ' +
      'terminate hook, and is replaced',
    async () => {
      const { world } = await withGroup({ LifecycleHookSpecificationList: [terminateHook()] });
      const [dead] = ids(world);
      await world.region.killInstance(dead!);
      expect(states(world)).toEqual(['InService']);
      await world.clock.advance(MINUTE);
      expect(
        world.group().instances.map((instance) => [instance.instanceId === dead, instance.state, instance.health]),
      ).toEqual([
        [true, 'Terminating:Wait', 'Unhealthy'],
        [false, 'InService', 'Healthy'],
      ]);
      await world.clock.advance(300_000);
      expect(ids(world)).not.toContain(dead);
      expect(world.machines.log.filter((line) => line === `terminate ${dead}`)).toHaveLength(1);
    },
  );

  test('an instance that dies while it waits at launch is replaced too', async () => {
    const { world } = await withGroup({ LifecycleHookSpecificationList: [launchHook({ HeartbeatTimeout: 7200 })] });
    const [dead] = ids(world);
    await world.region.killInstance(dead!);
    await world.clock.advance(MINUTE);
    expect(ids(world)).toHaveLength(1);
    expect(ids(world)).not.toContain(dead);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-maintenance-policy.html
  test(
    'with a policy of 100 % healthy and more than 100 % at most, a successor serves before the unhealthy ' +
      'instance goes',
    async () => {
      const { world } = await withGroup(
        { DesiredCapacity: '2', InstanceMaintenancePolicy: { MinHealthyPercentage: 100, MaxHealthyPercentage: 150 } },
        { delays: { launch: 20_000 } },
      );
      await world.clock.advance(20_000);
      for (const InstanceId of ids(world))
        await world.call('autoscaling', 'SetInstanceHealth', {
          InstanceId,
          HealthStatus: 'Unhealthy',
          ShouldRespectGracePeriod: false,
        });
      await world.clock.settle();
      expect(states(world)).toEqual(['InService', 'InService', 'Pending:Proceed']);
      await world.clock.advance(20_000);
      expect(states(world)).toEqual(['InService', 'InService', 'Pending:Proceed']);
      await world.clock.advance(20_000);
      expect(world.group().instances.map((instance) => [instance.state, instance.health])).toEqual([
        ['InService', 'Healthy'],
        ['InService', 'Healthy'],
      ]);
    },
  );

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html
  test('terminating an instance through the group replaces it, or lowers the capacity when told to', async () => {
    const { world } = await withGroup({ DesiredCapacity: '2' });
    const [first, second] = ids(world);
    await world.call('autoscaling', 'TerminateInstanceInAutoScalingGroup', {
      InstanceId: first,
      ShouldDecrementDesiredCapacity: false,
    });
    await world.clock.settle();
    expect(ids(world)).toHaveLength(2);
    await world.call('autoscaling', 'TerminateInstanceInAutoScalingGroup', {
      InstanceId: second,
      ShouldDecrementDesiredCapacity: true,
    });
    await world.clock.settle();
    expect(ids(world)).toHaveLength(1);
    expect(world.group().desired).toBe(1);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups.html
  test('a mixed group launches its on-demand base first, then the share of spot', async () => {
    const { world } = await withGroup({
      DesiredCapacity: '6',
      LaunchTemplate: undefined,
      MixedInstancesPolicy: {
        LaunchTemplate: {
          LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'Template' }, Version: '1' },
          Overrides: [{ InstanceType: 'm7g.large' }, { InstanceType: 'm6g.large' }],
        },
        InstancesDistribution: {
          OnDemandBaseCapacity: 2,
          OnDemandPercentageAboveBaseCapacity: 50,
          SpotAllocationStrategy: 'price-capacity-optimized',
        },
      },
    });
    const launched = world.region.instances();
    expect(launched.map((instance) => instance.lifecycle)).toEqual([
      'on-demand',
      'on-demand',
      'on-demand',
      'spot',
      'on-demand',
      'spot',
    ]);
    expect(new Set(launched.map((instance) => instance.instanceType))).toEqual(new Set(['m7g.large']));
  });
});

describe('launches that fail', () => {
  // Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html ,
  // https://github.com/terraform-aws-modules/terraform-aws-autoscaling/issues/226
  test('a replacement cannot launch while its network interface is held, says so, and is tried again', async () => {
    const world = new World({ delays: { terminate: 100_000 } });
    await world.create(seat());
    const [first] = ids(world);
    await world.call('autoscaling', 'SetInstanceHealth', { InstanceId: first, HealthStatus: 'Unhealthy' });
    await world.clock.settle();
    const reason = `Interface: [${world.physicalId('Eni')}] in use. Launching EC2 instance failed.`;
    expect(world.events.filter((event) => event.what === 'launch-failed').map((event) => event.detail.reason)).toEqual([
      reason,
    ]);
    const { Activities } = await world.call('autoscaling', 'DescribeScalingActivities', {
      AutoScalingGroupName: world.physicalId('Group'),
    });
    expect(Activities[0]).toMatchObject({ StatusCode: 'Failed', StatusMessage: reason });
    const start = world.clock.now();
    await world.clock.run(() => running(world).length === 1 && ids(world)[0] !== first, HOUR);
    const waits = world.events.filter((event) => event.what === 'launch-failed').map((event) => event.at - start);
    expect(waits).toEqual([0, 30_000, 90_000]);
    expect(world.clock.now() - start).toBe(210_000);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
  test(
    'suspending Launch while the interface is held and resuming it when it is free replaces the instance at ' + 'once',
    async () => {
      const world = new World({ delays: { terminate: 100_000 } });
      await world.create(seat({ LifecycleHookSpecificationList: [terminateHook()] }));
      const [first] = ids(world);
      const AutoScalingGroupName = world.physicalId('Group');
      await world.call('autoscaling', 'SuspendProcesses', { AutoScalingGroupName, ScalingProcesses: ['Launch'] });
      await world.call('autoscaling', 'SetInstanceHealth', { InstanceId: first, HealthStatus: 'Unhealthy' });
      await world.call('autoscaling', 'CompleteLifecycleAction', {
        AutoScalingGroupName,
        LifecycleHookName: 'terminate',
        InstanceId: first,
        LifecycleActionResult: 'CONTINUE',
      });
      await world.clock.advance(10 * MINUTE);
      expect(ids(world)).toEqual([]);
      expect(world.group().suspended).toEqual(['Launch']);
      await world.call('autoscaling', 'ResumeProcesses', { AutoScalingGroupName, ScalingProcesses: ['Launch'] });
      await world.clock.settle();
      expect(running(world)).toHaveLength(1);
      expect(world.what('autoscaling')).not.toContain('launch-failed');
    },
  );

  test('resuming Launch does not wait for the back-off of launches that failed before', async () => {
    const world = new World({ delays: { terminate: 150_000 } });
    await world.create(seat());
    const AutoScalingGroupName = world.physicalId('Group');
    await world.call('autoscaling', 'SetInstanceHealth', { InstanceId: ids(world)[0], HealthStatus: 'Unhealthy' });
    await world.clock.advance(100_000);
    await world.call('autoscaling', 'SuspendProcesses', { AutoScalingGroupName, ScalingProcesses: ['Launch'] });
    await world.clock.advance(60_000);
    await world.call('autoscaling', 'ResumeProcesses', { AutoScalingGroupName, ScalingProcesses: ['Launch'] });
    await world.clock.settle();
    expect(running(world)).toHaveLength(1);
    expect(world.events.filter((event) => event.what === 'launch-failed')).toHaveLength(3);
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html (administrative
  // suspension)
  test('after 24 hours without a launch the group is suspended', async () => {
    const world = new World();
    await world.create({ ...seat(), Holder: { ...seat().Group!, DependsOn: 'Group' } });
    await world.clock.advance(25 * HOUR);
    const [held] = world.region.groups().filter((candidate) => candidate.instances.length === 0);
    expect(held!.suspended).toEqual(['Launch']);
    const { AutoScalingGroups } = await world.call('autoscaling', 'DescribeAutoScalingGroups', {
      AutoScalingGroupNames: [held!.name],
    });
    expect(AutoScalingGroups[0].SuspendedProcesses[0].SuspensionReason).toMatch('Administratively suspended');
    expect(world.events.filter((event) => event.what === 'launch-failed').length).toBeGreaterThan(90);
  });

  test('an interface in another zone than the group is a failed launch', async () => {
    const world = new World();
    await world.create(seat({ AvailabilityZones: ['us-east-1b'] }));
    expect(world.events.find((event) => event.what === 'launch-failed')!.detail.reason).toMatch(
      'is in us-east-1a, not in us-east-1b',
    );
  });

  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html#change-network-interface
  test('a template with an existing interface takes zones instead of subnets, and no security groups', async () => {
    await expect(new World().create(seat({ VPCZoneIdentifier: [{ Ref: 'SubnetA' }] }))).rejects.toThrow(
      'specify AvailabilityZones instead',
    );
    const withGroups = {
      ...seat(),
      ...template({
        NetworkInterfaces: [{ DeviceIndex: 0, NetworkInterfaceId: { Ref: 'Eni' } }],
        SecurityGroupIds: ['sg-1'],
      }),
    };
    await expect(new World().create(withGroups)).rejects.toThrow(
      'Network interfaces and an instance-level security groups may not be specified on the same request',
    );
  });
});

describe('suspended processes', () => {
  // Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
  test.each([['ReplaceUnhealthy'], ['HealthCheck'], ['Terminate']])(
    'while %s is suspended a dead instance is kept; resuming replaces it',
    async (process) => {
      const { world, name } = await withGroup();
      await world.call('autoscaling', 'SuspendProcesses', { AutoScalingGroupName: name, ScalingProcesses: [process] });
      const [dead] = ids(world);
      await world.region.killInstance(dead!);
      await world.clock.advance(10 * MINUTE);
      expect(ids(world)).toEqual([dead]);
      await world.call('autoscaling', 'ResumeProcesses', { AutoScalingGroupName: name, ScalingProcesses: [process] });
      await world.clock.settle();
      expect(ids(world)).not.toContain(dead);
      expect(running(world)).toHaveLength(1);
    },
  );

  test('all processes are meant when none is named, and an unknown one is refused', async () => {
    const { world, name } = await withGroup();
    await world.call('autoscaling', 'SuspendProcesses', { AutoScalingGroupName: name });
    expect(world.group().suspended).toHaveLength(9);
    await world.call('autoscaling', 'ResumeProcesses', { AutoScalingGroupName: name });
    expect(world.group().suspended).toEqual([]);
    expect(
      await world.refusal('autoscaling', 'SuspendProcesses', {
        AutoScalingGroupName: name,
        ScalingProcesses: ['Sleep'],
      }),
    ).toMatch('Sleep is not a valid scaling process');
  });
});

describe('SetInstanceHealth', () => {
  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceHealth.html
  test('respects the grace period unless told not to', async () => {
    const { world } = await withGroup({ HealthCheckGracePeriod: 300 });
    const [InstanceId] = ids(world);
    await world.call('autoscaling', 'SetInstanceHealth', { InstanceId, HealthStatus: 'Unhealthy' });
    expect(ids(world)).toEqual([InstanceId]);
    await world.call('autoscaling', 'SetInstanceHealth', {
      InstanceId,
      HealthStatus: 'Unhealthy',
      ShouldRespectGracePeriod: false,
    });
    await world.clock.settle();
    expect(ids(world)).not.toContain(InstanceId);
  });

  test('replaces the instance when the grace period is over', async () => {
    const { world } = await withGroup({ HealthCheckGracePeriod: 300 });
    const [InstanceId] = ids(world);
    await world.clock.advance(300_000);
    await world.call('autoscaling', 'SetInstanceHealth', { InstanceId, HealthStatus: 'Unhealthy' });
    await world.clock.settle();
    expect(ids(world)).not.toContain(InstanceId);
  });

  test('of an instance that no group has is refused', async () => {
    const { world } = await withGroup();
    expect(
      await world.refusal('autoscaling', 'SetInstanceHealth', {
        InstanceId: 'i-00000000000000000',
        HealthStatus: 'Unhealthy',
      }),
    ).toBe('ValidationError: Instance Id not found - No managed instance found for instance ID i-00000000000000000');
  });
});

describe('describing', () => {
  // Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
  test('groups are found by tag filters and come in pages', async () => {
    const world = new World();
    const resources = group({ DesiredCapacity: '0' });
    const tagged = (role: string) => ({
      ...resources.Group!,
      Properties: { ...resources.Group!.Properties, Tags: [{ Key: 'role', Value: role, PropagateAtLaunch: true }] },
    });
    await world.create({ ...resources, Group: tagged('manager'), Workers: tagged('worker'), More: tagged('worker') });
    const find = async (input: Record<string, any>) => {
      const { AutoScalingGroups, NextToken } = await world.call('autoscaling', 'DescribeAutoScalingGroups', input);
      return { names: AutoScalingGroups.map((found: any) => found.AutoScalingGroupName), NextToken };
    };
    expect((await find({ Filters: [{ Name: 'tag:role', Values: ['manager'] }] })).names).toEqual([
      world.physicalId('Group'),
    ]);
    expect((await find({ Filters: [{ Name: 'tag-value', Values: ['worker'] }] })).names).toHaveLength(2);
    expect((await find({ Filters: [{ Name: 'tag-key', Values: ['role'] }] })).names).toHaveLength(3);
    const first = await find({ MaxRecords: 2 });
    expect(first.names).toHaveLength(2);
    const second = await find({ MaxRecords: 2, NextToken: first.NextToken });
    expect(second).toEqual({ names: [expect.any(String)], NextToken: undefined });
    expect((await find({ AutoScalingGroupNames: ['none'] })).names).toEqual([]);
  });

  test('a group tells its instances, tags and zones; an instance tells its group', async () => {
    const { world, name } = await withGroup({ LifecycleHookSpecificationList: [launchHook()] });
    const [instanceId] = ids(world);
    const { AutoScalingGroups } = await world.call('autoscaling', 'DescribeAutoScalingGroups', {});
    expect(AutoScalingGroups[0]).toMatchObject({
      AutoScalingGroupName: name,
      DesiredCapacity: 1,
      AvailabilityZones: ['us-east-1a', 'us-east-1b'],
      Instances: [
        { InstanceId: instanceId, LifecycleState: 'Pending:Wait', HealthStatus: 'Healthy', InstanceType: 't4g.small' },
      ],
    });
    const { AutoScalingInstances } = await world.call('autoscaling', 'DescribeAutoScalingInstances', {
      InstanceIds: [instanceId],
    });
    expect(AutoScalingInstances).toMatchObject([
      { InstanceId: instanceId, AutoScalingGroupName: name, LifecycleState: 'Pending:Wait', HealthStatus: 'HEALTHY' },
    ]);
  });

  // Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html ,
  // https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
  test("instances get the group's propagated tags and those of CloudFormation, and not the others", async () => {
    const { world, name } = await withGroup({
      Tags: [
        { Key: 'mine', Value: '1', PropagateAtLaunch: true },
        { Key: 'private', Value: '2', PropagateAtLaunch: false },
      ],
    });
    const { tags } = world.region.instances()[0]!;
    expect(tags).toMatchObject({
      mine: '1',
      'aws:autoscaling:groupName': name,
      'aws:cloudformation:stack-name': 'Stack',
      'aws:cloudformation:logical-id': 'Group',
      'aws:cloudformation:stack-id': expect.stringMatching(
        /^arn:aws:cloudformation:us-east-1:123456789012:stack\/Stack\//,
      ),
    });
    expect(tags).not.toHaveProperty('private');
    expect(world.group().tags).toHaveProperty('private', '2');
  });
});

// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-process-shutdown.html
test('a deleted group lets its instances go through their hooks first', async () => {
  const { world, complete } = await withGroup({
    DesiredCapacity: '2',
    LifecycleHookSpecificationList: [terminateHook()],
  });
  const deletion = world.region.deleteStack('Stack');
  await world.clock.settle();
  expect(states(world)).toEqual(['Terminating:Wait', 'Terminating:Wait']);
  for (const InstanceId of ids(world)) await complete({ LifecycleHookName: 'terminate', InstanceId });
  await world.clock.finish(deletion, 1);
  expect(world.region.remains()).toEqual([]);
});

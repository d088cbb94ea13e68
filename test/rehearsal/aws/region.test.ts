import { closeWorlds, group, hook, lambdaFunction, MINUTE, queue, role, World, type Resources } from './world';

afterEach(closeWorlds);

/** A group whose launch and terminate hooks are completed by a function that also signals the stack. */
const whole: Resources = {
  ...queue,
  Fn: lambdaFunction(),
  Mapping: {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: { FunctionName: { Ref: 'Fn' }, EventSourceArn: { 'Fn::GetAtt': ['Queue', 'Arn'] } },
  },
  ...group(
    {
      DesiredCapacity: '3',
      LifecycleHookSpecificationList: [hook('launch', 'LAUNCHING'), hook('terminate', 'TERMINATING')],
    },
    { CreationPolicy: { ResourceSignal: { Count: 3, Timeout: 'PT10M' } }, DependsOn: ['Mapping'] },
  ),
};

function obedient(world: World): World {
  world.functions.handlers.Fn = async (event, fn) => {
    for (const record of event.Records) {
      const message = JSON.parse(record.body);
      if (message.LifecycleHookName === undefined) continue;
      const call = (service: string, action: string, input: Record<string, any>) =>
        world.region.call({ service, action, input, accessKeyId: fn.credentials.accessKeyId });
      await call('autoscaling', 'CompleteLifecycleAction', {
        ...message,
        InstanceId: message.EC2InstanceId,
        LifecycleActionResult: 'CONTINUE',
      });
      if (message.LifecycleTransition === 'autoscaling:EC2_INSTANCE_LAUNCHING') {
        await call('cloudformation', 'SignalResource', {
          StackName: 'Stack',
          LogicalResourceId: 'Group',
          UniqueId: message.EC2InstanceId,
          Status: 'SUCCESS',
        });
      }
    }
  };
  return world;
}

const delays = { launch: 5_000, terminate: 2_000, queue: 100 };

test(
  'a stack forms through its own queue, function, hooks and signals, and is deleted without waiting a hook ' + 'out',
  async () => {
    const world = obedient(new World({ delays }));
    const start = world.clock.now();
    await world.create(whole);
    await world.clock.advance(10_000);
    expect(world.group().instances.map((instance) => instance.state)).toEqual(['InService', 'InService', 'InService']);
    await world.delete();
    expect(world.region.remains()).toEqual([]);
    expect(world.clock.now() - start).toBeLessThan(20_000);
    expect(world.machines.log.filter((line) => line.startsWith('terminate'))).toHaveLength(3);
  },
);

test(
  'the same seed gives the same events, to the millisecond and the identifier; another seed gives other ' +
    'identifiers',
  async () => {
    const history = async (seed: number) => {
      const world = obedient(new World({ delays, seed }));
      await world.create(whole);
      await world.clock.advance(MINUTE);
      await world.delete();
      return world.events;
    };
    const first = await history(1);
    expect(await history(1)).toEqual(first);
    expect(await history(2)).not.toEqual(first);
  },
);

test('delays add up over everything that waited, and nothing is counted without them', async () => {
  const slow = obedient(new World({ delays }));
  await slow.create(whole);
  await slow.clock.advance(10_000);
  expect(slow.region.delayed()).toBeGreaterThanOrEqual(3 * 5_000 + 100);
  const fast = obedient(new World());
  await fast.create(whole);
  expect(fast.region.delayed()).toBe(0);
});

test('stopping cancels every schedule and waits for running functions', async () => {
  const world = new World();
  await world.create({ ...whole, Group: { ...whole.Group!, CreationPolicy: undefined } });
  let ended = false;
  world.functions.handlers.Fn = async () => {
    await world.clock.sleep(1_000);
    ended = true;
  };
  await world.call('sqs', 'SendMessage', { QueueUrl: world.physicalId('Queue'), MessageBody: '{}' });
  await world.clock.settle();
  await world.clock.finish(world.region.stop(), 2_000);
  expect(ended).toBe(true);
  expect(world.clock.pending()).toBe(0);
});

test('a creation under way is rejected when the region is stopped', async () => {
  const world = new World();
  const creation = world.begin(whole);
  await world.clock.settle();
  await world.clock.finish(world.region.stop(), MINUTE);
  await expect(creation).rejects.toThrow('The emulated region was stopped.');
});

test('a machine that cannot be ended is a fault that fails the deletion and the stop', async () => {
  const world = new World();
  world.faulty = true;
  await world.create(group());
  world.machines.terminate = async () => {
    throw new Error('a process is left');
  };
  await expect(world.delete()).rejects.toThrow('a process is left');
  await expect(world.region.stop()).rejects.toThrow('a process is left');
});

test('a function is invoked by its logical id, and an unknown one is named', async () => {
  const world = new World();
  await world.create({ ...role, Fn: lambdaFunction() });
  world.functions.handlers.Fn = async (event) => event.question + 1;
  expect(await world.region.invoke('Fn', { question: 41 })).toBe(42);
  await expect(world.region.invoke('Other', {})).rejects.toThrow("'Other'. There are Fn.");
});

test.each(['dynamodb', 'ec2', 'autoscaling', 'sqs', 'cloudformation', 'logs', 's3', 'sts'])(
  '%s answers an action that it does not know with an error that names it',
  async (service) => {
    await expect(new World().call(service, 'MakeCoffee')).rejects.toThrow('MakeCoffee');
  },
);

test('a service that the emulation does not have is an error that names it', async () => {
  await expect(new World().call('route53', 'ListHostedZones')).rejects.toThrow("'route53'");
});

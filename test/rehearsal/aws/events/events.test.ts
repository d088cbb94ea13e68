import { closeWorlds, group, hook, MINUTE, queue, World } from '../world';

afterEach(closeWorlds);

const bodies = (world: World, logicalId = 'Queue') =>
  world.region
    .queues()
    .find((candidate) => world.physicalId(logicalId).endsWith(`/${candidate.name}`))!
    .peek()
    .map((message) => JSON.parse(message.body));

const rule = (properties: Record<string, any>) => ({
  Rule: {
    Type: 'AWS::Events::Rule',
    Properties: { Targets: [{ Id: 'Target0', Arn: { 'Fn::GetAtt': ['Queue', 'Arn'] } }], ...properties },
  },
});

// Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
test('a rate rule sends a scheduled event at each interval, the first after one interval', async () => {
  const world = new World();
  await world.create({ ...queue, ...rule({ ScheduleExpression: 'rate(1 minute)' }) });
  await world.clock.advance(MINUTE - 1);
  expect(bodies(world)).toEqual([]);
  await world.clock.advance(2 * MINUTE);
  expect(bodies(world)).toHaveLength(2);
  expect(bodies(world)[0]).toMatchObject({
    version: '0',
    source: 'aws.events',
    'detail-type': 'Scheduled Event',
    account: '123456789012',
    region: 'us-east-1',
    time: '2026-01-01T00:01:00Z',
    detail: {},
  });
});

test("a target's own input is sent in place of the event", async () => {
  const world = new World();
  await world.create({
    ...queue,
    ...rule({
      ScheduleExpression: 'rate(5 minutes)',
      Targets: [{ Id: 'T', Arn: { 'Fn::GetAtt': ['Queue', 'Arn'] }, Input: '{"kind":"sweep"}' }],
    }),
  });
  await world.clock.advance(5 * MINUTE);
  expect(bodies(world)).toEqual([{ kind: 'sweep' }]);
});

test('a disabled rule and a deleted rule send nothing', async () => {
  const world = new World();
  await world.create({ ...queue, ...rule({ ScheduleExpression: 'rate(1 minute)', State: 'DISABLED' }) });
  await world.clock.advance(5 * MINUTE);
  expect(bodies(world)).toEqual([]);
  await world.delete();
  expect(world.clock.pending()).toBe(0);
});

test.each(['rate(1 minutes)', 'rate(2 minute)', 'rate(0 minutes)', 'rate(1 week)'])(
  'the schedule %s is refused',
  async (ScheduleExpression) => {
    const world = new World();
    await expect(world.create({ ...queue, ...rule({ ScheduleExpression }) })).rejects.toThrow(
      'Parameter ScheduleExpression is not valid.',
    );
  },
);

test('a cron schedule and an unknown part of a target are errors that name them', async () => {
  await expect(new World().create({ ...queue, ...rule({ ScheduleExpression: 'cron(0 * * * ? *)' }) })).rejects.toThrow(
    "not 'cron(0 * * * ? *)'",
  );
  await expect(
    new World().create({
      ...queue,
      ...rule({ ScheduleExpression: 'rate(1 minute)', Targets: [{ Id: 'T', Arn: 'x', InputPath: '$.detail' }] }),
    }),
  ).rejects.toThrow('InputPath');
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
test('a spot instance gets its notice two minutes before it is taken back, and rules see it', async () => {
  const world = new World();
  await world.create({
    ...queue,
    ...rule({ EventPattern: { source: ['aws.ec2'], 'detail-type': ['EC2 Spot Instance Interruption Warning'] } }),
    ...group({
      LaunchTemplate: undefined,
      MixedInstancesPolicy: {
        LaunchTemplate: { LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'Template' }, Version: '1' } },
        InstancesDistribution: { OnDemandPercentageAboveBaseCapacity: 0 },
      },
    }),
  });
  const { instanceId } = world.group().instances[0]!;
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
  const request = async (Filters?: object[]) =>
    (await world.call('ec2', 'DescribeSpotInstanceRequests', { Filters })).SpotInstanceRequests;
  const marked = () => request([{ Name: 'status-code', Values: ['marked-for-termination'] }]);
  expect(await request()).toMatchObject([{ InstanceId: instanceId, State: 'active', Status: { Code: 'fulfilled' } }]);
  expect(await marked()).toEqual([]);
  world.region.interruptSpot(instanceId);
  expect(await marked()).toMatchObject([{ InstanceId: instanceId, State: 'active' }]);
  expect(bodies(world)).toMatchObject([
    { source: 'aws.ec2', detail: { 'instance-id': instanceId, 'instance-action': 'terminate' } },
  ]);
  await world.clock.advance(119_000);
  expect(world.region.instances().find((instance) => instance.instanceId === instanceId)!.state).toBe('running');
  await world.clock.advance(1_000);
  expect(world.region.instances().find((instance) => instance.instanceId === instanceId)!.state).toBe('terminated');
  expect(await request()).toMatchObject([{ State: 'closed', Status: { Code: 'instance-terminated-no-capacity' } }]);
  const successor = world.region.instances().find((instance) => instance.state === 'running');
  expect(successor).toBeUndefined();
  await world.clock.advance(MINUTE);
  expect(
    world.region.instances().some((instance) => instance.state === 'running' && instance.lifecycle === 'spot'),
  ).toBe(true);
});

test('an on-demand instance is never interrupted', async () => {
  const world = new World();
  await world.create(group());
  expect(() => world.region.interruptSpot(world.group().instances[0]!.instanceId)).toThrow(
    'only spot instances are interrupted',
  );
});

// Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html ,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
test('state changes of instances and lifecycle actions reach rules by pattern', async () => {
  const world = new World();
  const pattern = { 'detail-type': ['EC2 Instance State-change Notification', 'EC2 Instance-launch Lifecycle Action'] };
  await world.create({ ...queue, ...rule({ EventPattern: pattern }), Other: { Type: 'AWS::SQS::Queue' } });
  const second = world.region.createStack(
    world.assembly(
      {
        Resources: group({
          LifecycleHookSpecificationList: [
            hook('launch', 'LAUNCHING', {
              NotificationTargetARN: undefined,
              RoleARN: undefined,
              DefaultResult: 'CONTINUE',
            }),
          ],
        }),
      },
      'Second',
    ),
    'Second',
  );
  await world.clock.finish(second, MINUTE);
  const kinds = bodies(world).map((event) => [
    event['detail-type'],
    event.detail.state ?? event.detail.LifecycleTransition,
  ]);
  expect(kinds).toEqual([
    ['EC2 Instance State-change Notification', 'pending'],
    ['EC2 Instance-launch Lifecycle Action', 'autoscaling:EC2_INSTANCE_LAUNCHING'],
    ['EC2 Instance State-change Notification', 'running'],
  ]);
});

// Sources: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html ,
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
describe('events of the account itself', () => {
  const entry = { Source: 'shop', DetailType: 'Order', Detail: '{"id":1}' };
  const put = (world: World, ...Entries: object[]) =>
    world.region.call({
      service: 'events',
      action: 'PutEvents',
      input: { Entries },
      accessKeyId: world.region.operator.accessKeyId,
    });
  const listening = async () => {
    const world = new World();
    await world.create({ ...queue, ...rule({ EventPattern: { source: ['shop'] } }) });
    return world;
  };

  it('reach the rules that match them', async () => {
    const world = await listening();
    expect(await put(world, entry, { ...entry, Source: 'other' })).toMatchObject({ FailedEntryCount: 0 });
    expect(bodies(world)).toEqual([
      expect.objectContaining({ source: 'shop', 'detail-type': 'Order', detail: { id: 1 } }),
    ]);
  });

  it.each([
    ['InvalidArgument', { ...entry, Source: undefined }],
    ['MalformedDetail', { ...entry, Detail: '[1]' }],
    ['MalformedDetail', { ...entry, Detail: 'no JSON' }],
    ['NotAuthorizedForSourceException', { ...entry, Source: 'aws.ec2' }],
  ])('%s: one that is refused keeps no other from being taken', async (ErrorCode, bad) => {
    const world = await listening();
    expect(await put(world, bad, entry)).toMatchObject({
      FailedEntryCount: 1,
      Entries: [{ ErrorCode }, { EventId: expect.any(String) }],
    });
    expect(bodies(world)).toHaveLength(1);
  });

  it('are ten at most, and 256 KB', async () => {
    const world = await listening();
    await expect(put(world, ...Array(11).fill(entry))).rejects.toThrow('less than or equal to 10');
    await expect(put(world)).rejects.toThrow('less than or equal to 10');
    await expect(put(world, { ...entry, Detail: JSON.stringify({ text: 'x'.repeat(256 * 1024) }) })).rejects.toThrow(
      'over the limit',
    );
    expect(bodies(world)).toEqual([]);
  });
});

// Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html ,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html
describe('a rebalance recommendation', () => {
  const spotGroup = (CapacityRebalance: boolean) =>
    group({
      CapacityRebalance,
      MinSize: '2',
      MaxSize: '2',
      DesiredCapacity: '2',
      LaunchTemplate: undefined,
      MixedInstancesPolicy: {
        LaunchTemplate: { LaunchTemplateSpecification: { LaunchTemplateId: { Ref: 'Template' }, Version: '1' } },
        InstancesDistribution: { OnDemandPercentageAboveBaseCapacity: 0 },
      },
    });

  it('has the instance replaced, by one that serves first, where the group rebalances; rules see it', async () => {
    const world = new World();
    await world.create({
      ...queue,
      ...rule({ EventPattern: { 'detail-type': ['EC2 Instance Rebalance Recommendation'] } }),
      ...spotGroup(true),
    });
    const [first, second] = world.group().instances.map(({ instanceId }) => instanceId);
    world.region.recommendRebalance(first!);
    expect(bodies(world)).toMatchObject([{ source: 'aws.ec2', detail: { 'instance-id': first } }]);
    const serving: number[] = [];
    for (let second = 0; second < 60; second++) {
      await world.clock.advance(1_000);
      serving.push(world.group().instances.filter(({ state }) => state === 'InService').length);
    }
    expect(Math.min(...serving)).toBe(2);
    const after = world.group().instances.map(({ instanceId }) => instanceId);
    expect(after).toHaveLength(2);
    expect(after).toContain(second);
    expect(after).not.toContain(first);
  });

  it('changes nothing where it does not, and is never of an on-demand instance', async () => {
    const world = new World();
    await world.create(spotGroup(false));
    const before = world.group().instances.map(({ instanceId }) => instanceId);
    world.region.recommendRebalance(before[0]!);
    await world.clock.advance(MINUTE);
    expect(world.group().instances.map(({ instanceId }) => instanceId)).toEqual(before);
    const other = new World();
    await other.create(group());
    expect(() => other.region.recommendRebalance(other.group().instances[0]!.instanceId)).toThrow(
      'for spot instances only',
    );
  });
});

import { architectureOf } from '../../../../rehearsal/aws/ec2/instance';
import { closeWorlds, group, HOUR, MINUTE, network, template, World, type Resources } from '../world';
import { withSeat } from './seat';

afterEach(closeWorlds);

const eni = (world: World) =>
  world.region.networkInterfaces().find((candidate) => candidate.networkInterfaceId === world.physicalId('Eni'))!;

// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html
test('an instance takes the interface its template names, with its address, and frees it when gone', async () => {
  const { world, instanceId } = await withSeat();
  expect(world.region.instances()[0]).toMatchObject({
    state: 'running',
    privateIpAddress: eni(world).privateIpAddress,
    availabilityZone: 'us-east-1a',
    networkInterfaceId: world.physicalId('Eni'),
  });
  expect(eni(world)).toMatchObject({ status: 'in-use', instanceId: instanceId() });
  await world.region.killInstance(instanceId());
  expect(eni(world)).toMatchObject({ status: 'available', instanceId: undefined });
});

// Source: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
test('addresses come from the subnet, without its first four and its last, and are used again', async () => {
  const world = new World();
  await world.create(group({ DesiredCapacity: '2', VPCZoneIdentifier: [{ Ref: 'SubnetA' }] }));
  const [first, second] = world.region.instances();
  expect([first!.privateIpAddress, second!.privateIpAddress]).toEqual(['10.0.0.4', '10.0.0.5']);
  await world.region.killInstance(first!.instanceId);
  await world.clock.advance(MINUTE);
  expect(world.region.instanceByAddress('10.0.0.4')!.instanceId).not.toBe(first!.instanceId);
});

test('a subnet that is full, a fixed address outside of it, and one that is taken are refused', async () => {
  const subnet: Resources = {
    Vpc: network.Vpc!,
    SubnetA: {
      Type: 'AWS::EC2::Subnet',
      Properties: { VpcId: { Ref: 'Vpc' }, CidrBlock: '10.0.0.0/28', AvailabilityZone: 'us-east-1a' },
    },
  };
  const interfaces = (addresses: (string | undefined)[]) =>
    Object.fromEntries(
      addresses.map((PrivateIpAddress, n) => [
        `Eni${n}`,
        { Type: 'AWS::EC2::NetworkInterface', Properties: { SubnetId: { Ref: 'SubnetA' }, PrivateIpAddress } },
      ]),
    );
  await new World().create({ ...subnet, ...interfaces(Array<undefined>(11).fill(undefined)) });
  await expect(new World().create({ ...subnet, ...interfaces(Array<undefined>(12).fill(undefined)) })).rejects.toThrow(
    'There are not enough free addresses in subnet',
  );
  await expect(new World().create({ ...subnet, ...interfaces(['10.0.0.3']) })).rejects.toThrow(
    "does not fall within the subnet's address range",
  );
  await expect(new World().create({ ...subnet, ...interfaces(['10.0.0.9', '10.0.0.9']) })).rejects.toThrow(
    'Address 10.0.0.9 is in use.',
  );
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
test('an instance goes from pending to running, and by shutting-down to terminated', async () => {
  const world = new World({ delays: { launch: 1_000, terminate: 1_000 } });
  await world.create(group());
  await world.clock.advance(1_000);
  await world.delete();
  expect(world.what('ec2')).toEqual(['pending', 'running', 'shutting-down', 'terminated']);
  expect(world.machines.log.map((line) => line.split(' ')[0])).toEqual(['launch', 'terminate']);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html
test('a terminated instance stays visible for a while, without address or interfaces, then is not found', async () => {
  const { world, instanceId } = await withSeat();
  const id = instanceId();
  await world.region.killInstance(id);
  const { Reservations } = await world.call('ec2', 'DescribeInstances', { InstanceIds: [id] });
  expect(Reservations[0].Instances[0]).toMatchObject({
    State: { Code: 48, Name: 'terminated' },
    PrivateIpAddress: undefined,
    NetworkInterfaces: [],
  });
  await world.clock.advance(HOUR);
  expect(await world.refusal('ec2', 'DescribeInstances', { InstanceIds: [id] })).toBe(
    `InvalidInstanceID.NotFound: The instance ID '${id}' does not exist`,
  );
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
test('instances are described with what EC2 knows of them', async () => {
  const { world, instanceId } = await withSeat();
  const { Reservations } = await world.call('ec2', 'DescribeInstances', {
    Filters: [{ Name: 'instance-state-name', Values: ['running'] }],
  });
  expect(Reservations).toHaveLength(1);
  expect(Reservations[0].Instances[0]).toMatchObject({
    InstanceId: instanceId(),
    ImageId: expect.stringMatching(/^ami-[0-9a-f]{17}$/),
    InstanceType: 't4g.small',
    Architecture: 'arm64',
    State: { Code: 16, Name: 'running' },
    LaunchTime: '2026-01-01T00:00:00.000Z',
    Placement: { AvailabilityZone: 'us-east-1a' },
    PrivateIpAddress: '10.0.0.4',
    PrivateDnsName: 'ip-10-0-0-4.ec2.internal',
    SubnetId: world.physicalId('SubnetA'),
    VpcId: world.physicalId('Vpc'),
    NetworkInterfaces: [{ NetworkInterfaceId: world.physicalId('Eni') }],
  });
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
test('describing pages through many, and refuses pages together with ids', async () => {
  const world = new World();
  await world.create(group({ DesiredCapacity: '7' }));
  const first = await world.call('ec2', 'DescribeInstances', { MaxResults: 5 });
  expect(first.Reservations).toHaveLength(5);
  const second = await world.call('ec2', 'DescribeInstances', { MaxResults: 5, NextToken: first.NextToken });
  expect(second.Reservations).toHaveLength(2);
  expect(second.NextToken).toBeUndefined();
  const ids = world.region.instances().map((instance) => instance.instanceId);
  expect(await world.refusal('ec2', 'DescribeInstances', { MaxResults: 5, InstanceIds: ids })).toBe(
    'InvalidParameterCombination: The parameter instancesSet cannot be used with the parameter maxResults',
  );
  expect(await world.refusal('ec2', 'DescribeInstances', { MaxResults: 4 })).toMatch(
    'InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid.',
  );
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html
test('volumes and network interfaces are described with tags, state and attachment, and found by filter', async () => {
  const { world, instanceId, attach } = await withSeat();
  await world.call('ec2', 'AttachVolume', attach());
  await world.clock.settle();
  const { Volumes } = await world.call('ec2', 'DescribeVolumes', {
    Filters: [{ Name: 'attachment.instance-id', Values: [instanceId()] }],
  });
  expect(Volumes).toMatchObject([
    {
      VolumeId: world.physicalId('Volume'),
      Size: 20,
      State: 'in-use',
      Encrypted: true,
      AvailabilityZone: 'us-east-1a',
      Attachments: [{ State: 'attached', Device: '/dev/sdf', InstanceId: instanceId() }],
    },
  ]);
  const { NetworkInterfaces } = await world.call('ec2', 'DescribeNetworkInterfaces', {
    Filters: [{ Name: 'tag:seat', Values: ['0'] }],
  });
  expect(NetworkInterfaces).toMatchObject([
    {
      NetworkInterfaceId: world.physicalId('Eni'),
      Status: 'in-use',
      PrivateIpAddress: '10.0.0.4',
      Attachment: { InstanceId: instanceId(), DeviceIndex: 0 },
    },
  ]);
  expect(NetworkInterfaces[0].TagSet).toContainEqual({ Key: 'seat', Value: '0' });
  expect(await world.refusal('ec2', 'DescribeNetworkInterfaces', { NetworkInterfaceIds: ['eni-0'] })).toBe(
    "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-0' does not exist",
  );
});

// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
test('user data is decoded and the image is looked up when the instance is launched', async () => {
  const world = new World();
  await world.create(group());
  const [spec] = world.machines.specs.values();
  expect(spec).toMatchObject({
    userData: 'region=us-east-1',
    architecture: 'arm64',
    instanceType: 't4g.small',
    subnetCidr: '10.0.0.0/24',
    lifecycle: 'on-demand',
  });
});

// Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
test.each([
  ['t4g.small', 'arm64'],
  ['c7gn.16xlarge', 'arm64'],
  ['im4gn.large', 'arm64'],
  ['a1.medium', 'arm64'],
  ['g5.xlarge', 'x86_64'],
  ['g5g.xlarge', 'arm64'],
  ['t3.micro', 'x86_64'],
  ['m7i-flex.large', 'x86_64'],
])('the architecture of %s is %s', (type, architecture) => {
  expect(architectureOf(type)).toBe(architecture);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
test('an image of another architecture than the instance type is a failed launch', async () => {
  const world = new World();
  await world.create({ ...group(), ...template({ InstanceType: 't3.small' }) });
  expect(world.region.instances()).toEqual([]);
  expect(world.events.find((event) => event.what === 'launch-failed')!.detail.reason).toMatch(
    "The architecture 'x86_64' of the specified instance type does not match the architecture 'arm64' of " +
      'the specified AMI',
  );
});

test('a machine that cannot be started becomes a terminated instance, and another is launched', async () => {
  const world = new World();
  let refusals = 1;
  world.machines.beforeLaunch = async () => {
    if (refusals-- > 0) throw new Error('no kernel');
  };
  await world.create(group());
  expect(world.events.find((event) => event.what === 'launch-failed')!.detail.reason).toBe('no kernel');
  await world.clock.advance(MINUTE);
  expect(world.region.instances().map((instance) => instance.state)).toEqual(['terminated', 'running']);
});

test('nothing is done to a machine while something else is being done to it', async () => {
  const world = new World();
  let release!: () => void;
  world.machines.beforeLaunch = () => new Promise((resolve) => (release = resolve));
  await world.create(group());
  const kill = world.region.killInstance(world.region.instances()[0]!.instanceId);
  await world.clock.settle();
  expect(world.machines.log).toEqual([]);
  release();
  await kill;
  expect(world.machines.log.map((line) => line.split(' ')[0])).toEqual(['launch', 'terminate']);
});

// Source: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-deleting.html
test('subnets and security groups that are still used cannot be deleted, nor a volume that is attached', async () => {
  const world = new World();
  const retained = {
    ...network,
    Security: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'x', VpcId: { Ref: 'Vpc' } } },
    Eni: {
      Type: 'AWS::EC2::NetworkInterface',
      DeletionPolicy: 'Retain',
      Properties: { SubnetId: { Ref: 'SubnetA' }, GroupSet: [{ Ref: 'Security' }] },
    },
  };
  await world.create(retained);
  await expect(world.delete()).rejects.toThrow(/has a dependent object/);
  const status = Object.fromEntries(
    world.region.stackResources('Stack').map((resource) => [resource.logicalId, resource.status]),
  );
  expect(status).toEqual({
    Vpc: 'CREATE_COMPLETE',
    SubnetA: 'DELETE_FAILED',
    SubnetB: 'DELETE_COMPLETE',
    Security: 'DELETE_FAILED',
    Eni: 'DELETE_SKIPPED',
  });
});

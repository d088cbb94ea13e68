/** Managers and their seats. */
import { App, NestedStack, Size, Stack, Token } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as v from 'valibot';
import { ManagerGroup, NodeLifecycle, SwarmNetwork, TokenTable, WorkerGroup } from '../../../lib';
import { agentConfigSchema } from '../../../protocol/environment';
import { problems, synthesise, textOf, type Resource, type Synthesised } from '../synthesise';

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise();
});
const seatOf = (type: string, seat: number, from = synthesised): [string, Resource] =>
  Object.entries(from.of(type)).find(([id]) => id.includes(`Seat${seat}`))!;
const ref = (type: string, seat: number) => ({ Ref: seatOf(type, seat)[0] });
const tags = (seat: number) => [
  { Key: 'cdk-docker-swarm:cluster', Value: 'Test/Swarm' },
  { Key: 'cdk-docker-swarm:role', Value: 'manager' },
  { Key: 'cdk-docker-swarm:seat', Value: String(seat) },
];

test.each([1, 3, 5, 7])(
  '%i managers have as many seats, each with a network interface, volume, launch template and group',
  (count) => {
    const { of, cluster } = synthesise({ managers: { count } });
    expect(cluster.managers.seats).toHaveLength(count);
    for (const type of [
      'AWS::EC2::NetworkInterface',
      'AWS::EC2::Volume',
      'AWS::EC2::LaunchTemplate',
      'AWS::AutoScaling::AutoScalingGroup',
    ])
      expect(Object.keys(of(type))).toHaveLength(count);
  },
);

test('seats are spread over three zones, and each seat has its interface, volume and group in one zone', () => {
  const { cluster, stack, of } = synthesise({ managers: { count: 5 } });
  const subnets = Object.keys(of('AWS::EC2::Subnet')).filter((id) => id.includes('Nodes'));
  cluster.managers.seats.forEach((seat, n) => {
    const subnet = subnets[n % 3];
    const zone = { 'Fn::GetAtt': [subnet, 'AvailabilityZone'] };
    expect(stack.resolve(seat.networkInterface.subnetId)).toEqual({ Ref: subnet });
    expect(stack.resolve(seat.volume.availabilityZone)).toEqual(zone);
    expect(stack.resolve(seat.autoScalingGroup.availabilityZones)).toEqual([zone]);
  });
});

test('a seat’s group has one instance at a time, and no subnets, because its interface has one', () => {
  const [, { Properties }] = seatOf('AWS::AutoScaling::AutoScalingGroup', 1);
  expect(Properties).toMatchObject({
    MinSize: '1',
    MaxSize: '1',
    DesiredCapacity: '1',
    HealthCheckType: 'EC2',
    InstanceMaintenancePolicy: { MinHealthyPercentage: 0, MaxHealthyPercentage: 100 },
    Tags: tags(1).map((tag) => ({ ...tag, PropagateAtLaunch: true })),
  });
  expect(Properties.VPCZoneIdentifier).toBeUndefined();
});

test('the hooks are part of the group, so that they apply to its first instance', () => {
  const hooks = seatOf('AWS::AutoScaling::AutoScalingGroup', 0)[1].Properties.LifecycleHookSpecificationList;
  expect(hooks).toEqual([
    {
      LifecycleHookName: 'launch',
      LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING',
      DefaultResult: 'ABANDON',
      HeartbeatTimeout: 900,
      NotificationTargetARN: { 'Fn::GetAtt': [expect.stringContaining('JoinQueue'), 'Arn'] },
      RoleARN: { 'Fn::GetAtt': [expect.stringContaining('HookRole'), 'Arn'] },
    },
    {
      LifecycleHookName: 'terminate',
      LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING',
      DefaultResult: 'CONTINUE',
      HeartbeatTimeout: 7200,
      NotificationTargetARN: { 'Fn::GetAtt': [expect.stringContaining('LeaveQueue'), 'Arn'] },
      RoleARN: { 'Fn::GetAtt': [expect.stringContaining('HookRole'), 'Arn'] },
    },
  ]);
});

test('CloudFormation waits until the manager is in the swarm, and never suspends Launch', () => {
  const [, group] = seatOf('AWS::AutoScaling::AutoScalingGroup', 2);
  expect(group.CreationPolicy).toEqual({ ResourceSignal: { Count: 1, Timeout: 'PT15M' } });
  expect(group.UpdatePolicy).toEqual({
    AutoScalingRollingUpdate: {
      MaxBatchSize: 1,
      MinInstancesInService: 0,
      WaitOnResourceSignals: true,
      PauseTime: 'PT1H',
      SuspendProcesses: ['HealthCheck', 'ReplaceUnhealthy', 'AZRebalance', 'AlarmNotification', 'ScheduledActions'],
    },
  });
});

test('no group depends on another seat’s: a failed one must not block the rollback of the others', () => {
  const groups = [0, 1, 2].map((seat) => seatOf('AWS::AutoScaling::AutoScalingGroup', seat));
  const before = groups.map(([, { DependsOn }]) => DependsOn!.filter((id) => groups.some(([other]) => other === id)));
  expect(before).toEqual([[], [], []]);
});

test('interface and volume are deleted with the stack, but retained on replacement; the volume is encrypted', () => {
  for (const type of ['AWS::EC2::NetworkInterface', 'AWS::EC2::Volume']) {
    const [, resource] = seatOf(type, 0);
    expect([resource.DeletionPolicy, resource.UpdateReplacePolicy]).toEqual(['Delete', 'Retain']);
    expect(resource.Properties.Tags).toEqual(tags(0));
  }
  expect(seatOf('AWS::EC2::Volume', 0)[1].Properties).toMatchObject({ Size: 20, VolumeType: 'gp3', Encrypted: true });
  expect(seatOf('AWS::EC2::NetworkInterface', 0)[1].Properties.GroupSet.map(textOf)).toEqual([
    expect.stringContaining('NodeSecurityGroup'),
    expect.stringContaining('ManagerSecurityGroup'),
  ]);
});

test('the launch template has the seat’s interface, IMDSv2 with one hop, and an encrypted root volume', () => {
  const data = seatOf('AWS::EC2::LaunchTemplate', 1)[1].Properties.LaunchTemplateData;
  expect(data).toMatchObject({
    NetworkInterfaces: [{ DeviceIndex: 0, NetworkInterfaceId: ref('AWS::EC2::NetworkInterface', 1) }],
    MetadataOptions: { HttpEndpoint: 'enabled', HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
    BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeType: 'gp3', VolumeSize: 10, Encrypted: true } }],
    ImageId: 'resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64',
    InstanceType: 't4g.small',
    TagSpecifications: [
      { ResourceType: 'instance', Tags: tags(1) },
      { ResourceType: 'volume', Tags: tags(1).slice(0, 2) },
    ],
  });
  expect(data.SecurityGroupIds).toBeUndefined();
});

test('the user data contains the configuration that the agent parses, with its seat', () => {
  const script = textOf(seatOf('AWS::EC2::LaunchTemplate', 2)[1].Properties.LaunchTemplateData.UserData);
  const config = v.parse(
    agentConfigSchema,
    JSON.parse(/agent\.json <<'END_OF_FILE'\n([^]*?)\nEND_OF_FILE/.exec(script)![1]!),
  );
  expect(config).toMatchObject({
    cluster: 'Test/Swarm',
    role: 'manager',
    region: '<AWS::Region>',
    seat: { number: 2, volumeId: expect.stringMatching(/^<SwarmManagersSeat2Volume/) },
    labels: {},
    daemon: {},
  });
  expect(config.roleId).toMatch(/^<SwarmLifecycleManagerRole.*\.RoleId>$/);
  expect(script).toContain('ConditionPathIsMountPoint=/var/lib/docker');
});

test('the props of managers are used, over those of all nodes', () => {
  const { of } = synthesise((stack) => ({
    encryptionKey: kms.Key.fromKeyArn(stack, 'Key', 'arn:aws:kms:eu-west-1:123456789012:key/k'),
    managers: {
      instanceType: new ec2.InstanceType('m7i.large'),
      volumeSize: Size.tebibytes(1),
      rootVolumeSize: Size.gibibytes(12),
      labels: { disk: 'fast' },
      daemon: { debug: true },
      extraUserData: ['echo managers'],
    },
    daemon: { debug: false, mtu: 1400 },
    extraUserData: ['echo all'],
  }));
  const data = Object.values(of('AWS::EC2::LaunchTemplate'))[0]!.Properties.LaunchTemplateData;
  expect(data).toMatchObject({
    InstanceType: 'm7i.large',
    ImageId: expect.stringMatching(/x86_64$/),
    BlockDeviceMappings: [{ Ebs: { VolumeSize: 12, KmsKeyId: expect.stringContaining('key/k') } }],
  });
  expect(Object.values(of('AWS::EC2::Volume'))[0]!.Properties).toMatchObject({
    Size: 1024,
    KmsKeyId: expect.stringContaining('key/k'),
  });
  const script = textOf(data.UserData);
  expect(script).toContain('"disk": "fast"');
  expect(script).toContain('"debug": true,\n  "mtu": 1400');
  expect(script).toContain('\necho all\necho managers\nEND_OF_EXTRA_USER_DATA\n');
});

test('a single manager is warned about, with a stable id', () => {
  const { stack } = synthesise({ managers: { count: 1 } });
  Annotations.fromStack(stack).hasWarning(
    '/Test/Swarm/Managers',
    Match.stringLikeRegexp('^There is only one manager: .*\\[ack: cdk-docker-swarm:singleManager\\]$'),
  );
  expect(Annotations.fromStack(synthesised.stack).findWarning('*', Match.anyValue())).toEqual([]);
});

test('values that are known only at deployment pass all checks, but the number of managers must be known', () => {
  const token = (name: string) => Token.asString({ Ref: name });
  expect(
    problems(
      {
        managers: {
          instanceType: new ec2.InstanceType(token('Type')),
          volumeSize: Size.gibibytes(Token.asNumber({ Ref: 'Size' })),
          machineImage: ec2.MachineImage.genericLinux({ 'eu-west-1': token('Image') }),
          labels: { tier: token('Tier') },
          extraUserData: [token('Lines')],
        },
        addressPools: [token('Pool')],
        addressPoolPrefixLength: Token.asNumber({ Ref: 'Length' }),
      },
      undefined,
      { stack: { env: { region: 'eu-west-1' } } },
    ),
  ).toEqual([]);
  expect(problems({ managers: { count: Token.asNumber({ Ref: 'Count' }) } })).toEqual([
    expect.stringContaining('The number of managers must be known at synth'),
  ]);
});

test('an image for another architecture is refused if its name reveals the architecture', () => {
  const withImage = (machineImage: ec2.IMachineImage, type = 't4g.small') =>
    problems({ managers: { machineImage, instanceType: new ec2.InstanceType(type) } });
  const mismatch = [expect.stringContaining('Instance type t4g.small is arm64, but the machine image is for x86_64.')];
  expect(withImage(ec2.MachineImage.latestAmazonLinux2023())).toEqual(mismatch);
  expect(withImage(ec2.MachineImage.latestAmazonLinux2023({ cpuType: ec2.AmazonLinuxCpuType.ARM_64 }))).toEqual([]);
  expect(withImage(ec2.MachineImage.latestAmazonLinux2023(), 't3.small')).toEqual([]);
  expect(withImage(ec2.MachineImage.fromSsmParameter('/my/image-x86_64'))).toEqual(mismatch);
  expect(withImage(ec2.MachineImage.resolveSsmParameterAtLaunch('/my/amd64/image'))).toEqual(mismatch);
  expect(withImage(ec2.MachineImage.resolveSsmParameterAtLaunch('/my/image'))).toEqual([]);
  expect(withImage(ec2.MachineImage.latestWindows(ec2.WindowsVersion.WINDOWS_SERVER_2022_ENGLISH_FULL_BASE))).toEqual([
    expect.stringContaining('The machine image is for Windows.'),
  ]);
});

test('an instance type that is known only at deployment requires an image', () => {
  const instanceType = new ec2.InstanceType(Token.asString({ Ref: 'Type' }));
  expect(problems({ managers: { instanceType } })).toEqual([
    expect.stringMatching(
      /^\[Test\/Swarm\/Managers\] The instance type is known only at deployment.*Set `machineImage`/,
    ),
  ]);
});

test('an invalid number of managers is reported once, without a problem about zones', () => {
  const oneZone = (stack: Stack) => ({
    vpc: new ec2.Vpc(stack, 'Mine', { availabilityZones: ['eu-west-1a'], restrictDefaultSecurityGroup: false }),
  });
  for (const count of [NaN, 4])
    expect(problems((stack) => ({ ...oneZone(stack), managers: { count } }))).toEqual([
      expect.stringContaining(`count (${count}) must be 1, 3, 5 or 7`),
    ]);
});

test('the engine’s bridges must not overlap the VPC or the address pools', () => {
  const daemon = { bip: '10.0.3.1/24', 'default-address-pools': [{ base: '100.80.0.0/16', size: 24 }] };
  expect(problems({ managers: { daemon } })).toEqual([
    expect.stringContaining(
      "[Test/Swarm/Managers] daemon['default-address-pools'] (100.80.0.0/16) must not overlap 100.64.0.0/10",
    ),
    expect.stringContaining("[Test/Swarm/Managers] daemon['bip'] (10.0.3.1/24) overlaps the VPC's network 10.0.0.0/16"),
  ]);
});

test.each([
  ['another', (other: Stack) => other],
  ['a different, nested', (_: Stack, parent: Stack) => new NestedStack(parent, 'Nested')],
])(
  'managers and workers in %s stack than that of their lifecycle are refused: node-join could not signal for them',
  (_, choose) => {
    const app = new App();
    const lifecycleStack = new Stack(app, 'Own');
    const network = new SwarmNetwork(lifecycleStack, 'Network');
    const lifecycle = new NodeLifecycle(lifecycleStack, 'Lifecycle', {
      network,
      tables: new TokenTable(lifecycleStack, 'Tables'),
    });
    const elsewhere = choose(new Stack(app, 'Other'), lifecycleStack);
    new WorkerGroup(elsewhere, 'Workers', { managers: new ManagerGroup(elsewhere, 'Managers', { lifecycle }) });
    const sentence = `The group is in the stack ${elsewhere.node.path}, but its NodeLifecycle is in Own. `;
    expect(() => app.synth()).toThrow(
      new RegExp(
        `\\[${elsewhere.node.path}/Managers\\] ${sentence}[^]*\\[${elsewhere.node.path}/Workers\\] ${sentence}`,
      ),
    );
  },
);

test('user data that is too large for EC2 is refused', () => {
  expect(problems({ managers: { extraUserData: [`# ${'x'.repeat(16_000)}`] } })).toEqual([
    expect.stringMatching(/^\[Test\/Swarm\/Managers\] The user data has 1\d{4} bytes, but EC2 accepts at most 16384\./),
  ]);
});

test('a greater volume generation gives the seat another volume, and changes nothing else', () => {
  const resources = (volumeGenerations?: Record<string, number>) =>
    synthesise({ managers: { volumeGenerations } }).template.toJSON().Resources as Record<string, Resource>;
  const [before, after] = [resources(), resources({ 1: 2 })];
  const ids = (all: Record<string, Resource>) =>
    Object.keys(all)
      .filter((id) => all[id]!.Type === 'AWS::EC2::Volume')
      .sort();
  expect(ids(after).filter((id) => !ids(before).includes(id))).toEqual([expect.stringContaining('Seat1Volume2')]);
  expect(ids(before).filter((id) => !ids(after).includes(id))).toEqual([expect.stringContaining('Seat1Volume')]);
  expect(Object.keys(after).length).toBe(Object.keys(before).length);
});

test.each([
  [{ 3: 2 }, "volumeGenerations names seat '3', but the seats are '0' to '2'."],
  [{ one: 2 }, "volumeGenerations names seat 'one', but the seats are '0' to '2'."],
  [{ '01': 2 }, "volumeGenerations names seat '01', but the seats are '0' to '2'."],
  [
    { 1: 0 },
    'volumeGenerations for seat 1 (0) must be a whole number of at least 1 that is known at synth. To replace the ' +
      'volume, use a greater number than before.',
  ],
  [{ 1: 1.5 }, 'volumeGenerations for seat 1 (1.5) must be'],
  [{ 1: '2' }, 'volumeGenerations for seat 1 ("2") must be'],
  [2, 'volumeGenerations (2) must be an object that maps seats to whole numbers'],
  [null, 'volumeGenerations (null) must be an object that maps seats to whole numbers'],
])('volume generations %j are refused', (volumeGenerations, sentence) => {
  expect(problems({ managers: { volumeGenerations: volumeGenerations as never } })).toEqual([
    expect.stringContaining(sentence),
  ]);
});

test('an invalid number of managers does not make volume generations a second problem', () => {
  expect(problems({ managers: { count: 4, volumeGenerations: { 3: 2 } } })).toEqual([
    expect.stringContaining('count (4) must be 1, 3, 5 or 7'),
  ]);
});

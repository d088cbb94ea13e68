/** VPC, subnets, rules. */
import { App, Fn, Stack, Token } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { SwarmCluster, SwarmNetwork } from '../../../lib';
import { problems, synthesise } from '../synthesise';

test('without an environment, nodes are in private subnets of three zones that the deployment resolves', () => {
  const { of, cluster } = synthesise();
  const subnets = Object.entries(of('AWS::EC2::Subnet')).filter(([id]) => id.includes('Nodes'));
  expect(subnets.map(([, { Properties }]) => Properties.AvailabilityZone)).toEqual(
    [0, 1, 2].map((n) => ({ 'Fn::Select': [n, { 'Fn::GetAZs': '' }] })),
  );
  expect(cluster.network.nodeSubnets).toHaveLength(3);
  expect(Object.keys(of('AWS::EC2::NatGateway'))).toHaveLength(1);
});

test('with an environment, the zones are looked up at synth', () => {
  const { of } = synthesise({}, undefined, {
    stack: { env: { account: '123456789012', region: 'eu-west-1' } },
    context: {
      'availability-zones:account=123456789012:region=eu-west-1': [
        'eu-west-1a',
        'eu-west-1b',
        'eu-west-1c',
        'eu-west-1d',
      ],
    },
  });
  const zones = Object.values(of('AWS::EC2::Subnet')).map(({ Properties }) => Properties.AvailabilityZone);
  expect([...new Set(zones)]).toEqual(['eu-west-1a', 'eu-west-1b', 'eu-west-1c']);
});

test('a region with only two zones is refused', () => {
  const stack = { env: { account: '123456789012', region: 'us-west-1' } };
  const two = { 'availability-zones:account=123456789012:region=us-west-1': ['us-west-1a', 'us-west-1c'] };
  expect(() => synthesise({}, undefined, { stack, context: two })).toThrow(
    '3 managers need subnets in 3 zones, so that the loss of one zone leaves a quorum, but there are only 2: ' +
      'us-west-1a, us-west-1c.',
  );
  expect(() => synthesise({ managers: { count: 1 } }, undefined, { stack, context: two })).not.toThrow();
});

test('the subnets of the nodes have gateway endpoints for DynamoDB and S3', () => {
  const endpoints = Object.values(synthesise().of('AWS::EC2::VPCEndpoint')).map(({ Properties }) => Properties);
  expect(
    endpoints
      .map(({ ServiceName }) => JSON.stringify(ServiceName))
      .map((name) => /dynamodb|s3/.exec(name)?.[0])
      .sort(),
  ).toEqual(['dynamodb', 's3']);
  for (const { VpcEndpointType, RouteTableIds } of endpoints) {
    expect(VpcEndpointType).toBe('Gateway');
    expect(RouteTableIds).toHaveLength(3);
  }
});

test('only nodes reach nodes: 2377 on managers, 7946 and 4789 and ESP on all', () => {
  const { of } = synthesise();
  const groups = Object.keys(of('AWS::EC2::SecurityGroup'));
  const [node, manager] = ['NodeSecurityGroup', 'ManagerSecurityGroup'].map((name) =>
    groups.find((id) => id.includes(name))!,
  );
  const rules = Object.values(of('AWS::EC2::SecurityGroupIngress')).map(({ Properties }) => {
    expect(Properties.SourceSecurityGroupId).toEqual({ 'Fn::GetAtt': [node, 'GroupId'] });
    expect(Properties.CidrIp).toBeUndefined();
    return [Properties.GroupId['Fn::GetAtt'][0], Properties.IpProtocol, Properties.FromPort, Properties.ToPort];
  });
  expect(rules).toEqual([
    [node, 'tcp', 7946, 7946],
    [node, 'udp', 7946, 7946],
    [node, 'udp', 4789, 4789],
    [node, '50', undefined, undefined],
    [manager, 'tcp', 2377, 2377],
  ]);
  for (const { Properties } of Object.values(of('AWS::EC2::SecurityGroup')))
    expect(Properties.SecurityGroupIngress).toBeUndefined();
});

test('an existing VPC, its chosen subnets and an existing security group are used, and get nothing but rules', () => {
  let vpc!: ec2.Vpc;
  const { of, cluster } = synthesise((stack) => {
    vpc = new ec2.Vpc(stack, 'Mine', {
      availabilityZones: ['a', 'b', 'c'].map((zone) => `eu-west-1${zone}`),
      restrictDefaultSecurityGroup: false,
    });
    return {
      vpc,
      vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
      nodeSecurityGroup: ec2.SecurityGroup.fromSecurityGroupId(stack, 'Given', 'sg-0123', { mutable: false }),
    };
  });
  expect(cluster.network.nodeSubnets).toEqual(vpc.publicSubnets);
  expect(Object.keys(of('AWS::EC2::VPC'))).toHaveLength(1);
  expect(of('AWS::EC2::VPCEndpoint')).toEqual({});
  expect(
    Object.values(of('AWS::EC2::SecurityGroupIngress')).filter(({ Properties }) => Properties.GroupId === 'sg-0123'),
  ).toHaveLength(4);
});

test('without NAT gateways the nodes are in isolated subnets with gateway endpoints', () => {
  const { of, cluster } = synthesise({ natGateways: 0 });
  expect(of('AWS::EC2::NatGateway')).toEqual({});
  expect(cluster.network.nodeSubnets).toEqual(cluster.network.vpc.isolatedSubnets);
  expect(Object.keys(of('AWS::EC2::VPCEndpoint'))).toHaveLength(2);
});

test('a VPC without usable subnets is refused with the subnets that it has', () => {
  const onlyPublic = (stack: Stack) => ({
    vpc: new ec2.Vpc(stack, 'Mine', {
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'P', subnetType: ec2.SubnetType.PUBLIC }],
    }),
  });
  expect(problems(onlyPublic)).toEqual([
    '[Test/Swarm/Network] The VPC Test/Mine has no subnets for nodes (private, with egress): it has 2 public, 0 ' +
      'private and 0 isolated subnets. Set `vpcSubnets` to subnets with a route out, each with its availability zone.',
  ]);
  const noZones = (stack: Stack) => ({
    vpc: ec2.Vpc.fromVpcAttributes(stack, 'Mine', { vpcId: 'vpc-0123', availabilityZones: ['eu-west-1a'] }),
    vpcSubnets: { subnets: [ec2.Subnet.fromSubnetId(stack, 'Unknown', 'subnet-0123')] },
  });
  expect(problems(noZones)).toEqual([
    expect.stringContaining('The VPC vpc-0123 has no subnets for nodes that `vpcSubnets` selects'),
  ]);
});

test('while a VPC is being looked up, its placeholder passes all checks', () => {
  const env = { account: '123456789012', region: 'eu-west-1' };
  expect(
    problems(
      (stack) => ({ vpc: ec2.Vpc.fromLookup(stack, 'Mine', { vpcName: 'mine' }), addressPools: ['1.2.0.0/16'] }),
      undefined,
      { stack: { env } },
    ),
  ).toEqual([]);
});

test('a VPC that is known only at deployment passes all checks', () => {
  const vpc = (stack: Stack) =>
    ec2.Vpc.fromVpcAttributes(stack, 'Mine', {
      vpcId: 'vpc-0123',
      vpcCidrBlock: Fn.importValue('VpcCidr'),
      availabilityZones: ['a', 'b', 'c'].map((zone) => `${stack.region}${zone}`),
      privateSubnetIds: ['subnet-1', 'subnet-2', 'subnet-3'],
    });
  expect(problems((stack) => ({ vpc: vpc(stack) }))).toEqual([]);
});

test('the pools must not overlap an existing VPC either', () => {
  const overlapping = [expect.stringContaining("Address pool 100.64.0.0/10 overlaps the VPC's network 100.64.0.0/16")];
  const created = (stack: Stack) => ({
    vpc: new ec2.Vpc(stack, 'Mine', {
      ipAddresses: ec2.IpAddresses.cidr('100.64.0.0/16'),
      maxAzs: 3,
      restrictDefaultSecurityGroup: false,
    }),
    managers: { count: 1 },
  });
  expect(problems(created)).toEqual(overlapping);
  const imported = (stack: Stack) => ({
    vpc: ec2.Vpc.fromVpcAttributes(stack, 'Mine', {
      vpcId: 'vpc-0123',
      vpcCidrBlock: '100.64.0.0/16',
      availabilityZones: ['x', 'y', 'z'],
      privateSubnetIds: ['subnet-1', 'subnet-2', 'subnet-3'],
    }),
  });
  expect(problems(imported)).toEqual(overlapping);
});

test('more NAT gateways than zones are refused', () => {
  expect(problems({ natGateways: 4 })).toEqual([
    '[Test/Swarm/Network] natGateways (4) must be a whole number from 0 to 3.',
  ]);
});

test('a number of NAT gateways that is known only at deployment is refused, since subnets depend on it', () => {
  expect(problems({ natGateways: Token.asNumber({ Ref: 'Gateways' }) })).toEqual([
    expect.stringMatching(/^\[Test\/Swarm\/Network\] The number of NAT gateways must be known at synth/),
  ]);
});

test.each([
  ['10.0.0.0', "cidr ('10.0.0.0') must be an IPv4 network"],
  ['nonsense', "cidr ('nonsense') must be an IPv4 network"],
  ['10.0.0.0/28', "cidr ('10.0.0.0/28') must be an IPv4 network in CIDR notation, from /16 to /25"],
  [Token.asString({ Ref: 'Cidr' }), 'The network of the VPC must be known at synth'],
])('the network %s of a VPC is refused', (cidr, sentence) => {
  const app = new App();
  new SwarmNetwork(new Stack(app, 'Test'), 'Network', { cidr });
  expect(() => app.synth()).toThrow(`[Test/Network] ${sentence}`);
});

test.each(['10.8.0.0/16', '10.8.0.0/25'])('the network %s of a VPC is accepted', (cidr) => {
  const stack = new Stack(new App(), 'Test');
  new SwarmNetwork(stack, 'Network', { cidr });
  Template.fromStack(stack).hasResourceProperties('AWS::EC2::VPC', { CidrBlock: cidr });
});

test.each([
  [
    'zones and subnets',
    {
      availabilityZones: Fn.split(',', Fn.importValue('Zones')),
      privateSubnetIds: Fn.split(',', Fn.importValue('Subnets')),
    },
  ],
  [
    'subnets',
    {
      availabilityZones: ['eu-west-1a'],
      privateSubnetIds: Token.asList({ 'Fn::Split': [',', { 'Fn::ImportValue': 'Subnets' }] }),
    },
  ],
])('a VPC whose %s are a list that is known only at deployment is refused', (_, attributes) => {
  expect(
    problems((stack) => ({ vpc: ec2.Vpc.fromVpcAttributes(stack, 'Mine', { vpcId: 'vpc-0123', ...attributes }) })),
  ).toEqual([
    expect.stringMatching(
      /^\[Test\/Swarm\/Network\] The VPC vpc-0123 was imported with its subnets or zones as a list .* Name the subnets one by one/,
    ),
  ]);
});

test('subnets that are named one by one may be elements of a list that is known only at deployment', () => {
  const list = (name: string) => [0, 1, 2].map((n) => Fn.select(n, Fn.split(',', Fn.importValue(name))));
  const attributes = { vpcId: 'vpc-0123', availabilityZones: list('Zones'), privateSubnetIds: list('Subnets') };
  expect(problems((stack) => ({ vpc: ec2.Vpc.fromVpcAttributes(stack, 'Mine', attributes) }))).toEqual([]);
});

test('the VPC of another stack of the app can be used: seats stay in the zones of its subnets', () => {
  const app = new App();
  const vpc = new ec2.Vpc(new Stack(app, 'Base'), 'Vpc', {
    availabilityZones: ['a', 'b', 'c'],
    restrictDefaultSecurityGroup: false,
  });
  const stack = new Stack(app, 'Swarms');
  new SwarmCluster(stack, 'Swarm', { vpc });
  const volumes = Object.values(Template.fromStack(stack).findResources('AWS::EC2::Volume'));
  expect(new Set(volumes.map(({ Properties }) => JSON.stringify(Properties.AvailabilityZone))).size).toBe(3);
  expect(stack.dependencies.map(({ stackName }) => stackName)).toEqual(['Base']);
});

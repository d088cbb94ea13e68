import { closeWorlds, group, network, policy, trust, World, type Resources } from '../world';

afterEach(closeWorlds);

const securityGroup = (properties: Record<string, any> = {}) => ({
  Type: 'AWS::EC2::SecurityGroup',
  Properties: { GroupDescription: 'x', VpcId: { Ref: 'Vpc' }, ...properties },
});
const ALL_OUT = { CidrIpv4: '0.0.0.0/0', IpProtocol: '-1', FromPort: -1, ToPort: -1, IsEgress: true };

async function grouped(more: Resources = {}) {
  const world = new World();
  await world.create({ ...network, Nodes: securityGroup(), Balancers: securityGroup(), ...more });
  const GroupId = world.physicalId('Nodes');
  const call = (action: string, input: Record<string, any> = {}) => world.call('ec2', action, input);
  const refusal = (action: string, input: Record<string, any> = {}) =>
    world.refusal('ec2', action, { GroupId, ...input });
  return {
    world,
    GroupId,
    call,
    refusal,
    authorize: (...IpPermissions: Record<string, any>[]) =>
      call('AuthorizeSecurityGroupIngress', { GroupId, IpPermissions }),
    rules: async (logicalId = 'Nodes') =>
      (
        await call('DescribeSecurityGroupRules', {
          Filters: [{ Name: 'group-id', Values: [world.physicalId(logicalId)] }],
        })
      ).SecurityGroupRules as Record<string, any>[],
    ingress: async () =>
      (
        await call('DescribeSecurityGroupRules', { Filters: [{ Name: 'group-id', Values: [GroupId] }] })
      ).SecurityGroupRules.filter(({ IsEgress }: any) => !IsEgress) as Record<string, any>[],
  };
}

const tcp = (port: number, peers: Record<string, any> = { IpRanges: [{ CidrIp: '10.0.0.0/8' }] }) => ({
  IpProtocol: 'tcp',
  FromPort: port,
  ToPort: port,
  ...peers,
});

// Source: https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
test('a new group lets everything out, and nothing in', async () => {
  const { rules } = await grouped();
  expect(await rules()).toMatchObject([ALL_OUT]);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
test('each peer of each permission becomes a rule, with the tags of the request', async () => {
  const { world, GroupId, call, ingress } = await grouped();
  const balancers = world.physicalId('Balancers');
  const { SecurityGroupRules: made, Return } = await call('AuthorizeSecurityGroupIngress', {
    GroupId,
    IpPermissions: [
      tcp(80, {
        IpRanges: [{ CidrIp: '10.0.0.0/8', Description: 'mine' }],
        Ipv6Ranges: [{ CidrIpv6: '::/0' }],
        UserIdGroupPairs: [{ GroupId: balancers }],
      }),
      { IpProtocol: '-1', IpRanges: [{ CidrIp: '10.1.0.0/16' }], FromPort: 5, ToPort: 6 },
    ],
    TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [{ Key: 'owner', Value: 'ingress' }] }],
  });
  const common = {
    GroupId,
    IsEgress: false,
    GroupOwnerId: '123456789012',
    Tags: [{ Key: 'owner', Value: 'ingress' }],
    SecurityGroupRuleId: expect.stringMatching(/^sgr-[0-9a-f]{17}$/),
  };
  const web = { ...common, IpProtocol: 'tcp', FromPort: 80, ToPort: 80 };
  expect(Return).toBe(true);
  expect(made).toMatchObject([
    { ...web, CidrIpv4: '10.0.0.0/8', Description: 'mine' },
    { ...web, CidrIpv6: '::/0' },
    { ...web, ReferencedGroupInfo: { GroupId: balancers, UserId: '123456789012' } },
    { ...common, IpProtocol: '-1', FromPort: -1, ToPort: -1, CidrIpv4: '10.1.0.0/16' },
  ]);
  expect(made[0].SecurityGroupRuleArn).toBe(
    `arn:aws:ec2:us-east-1:123456789012:security-group-rule/${made[0].SecurityGroupRuleId}`,
  );
  expect(await ingress()).toEqual(made);
  expect(world.region.securityGroupRules().filter(({ tags }) => tags.owner === 'ingress')).toHaveLength(4);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
test(
  'a rule that there is already is InvalidPermission.Duplicate, whatever its description, and nothing is ' + 'added',
  async () => {
    const { authorize, refusal, ingress } = await grouped();
    await authorize(tcp(80));
    const again = { IpPermissions: [tcp(81), tcp(80, { IpRanges: [{ CidrIp: '10.0.0.0/8', Description: 'other' }] })] };
    expect(await refusal('AuthorizeSecurityGroupIngress', again)).toBe(
      'InvalidPermission.Duplicate: the specified rule "peer: 10.0.0.0/8, TCP, from port: 80, to port: 80, ' +
        'ALLOW" already exists',
    );
    expect(await refusal('AuthorizeSecurityGroupIngress', { IpPermissions: [tcp(82), tcp(82)] })).toBe(
      'InvalidParameterValue: The same permission must not appear multiple times',
    );
    expect(await ingress()).toHaveLength(1);
  },
);

// Source: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
test('60 rules of one direction fit for IPv4, and 60 for IPv6; one that names a group counts for both', async () => {
  const { world, authorize, refusal, ingress } = await grouped();
  await authorize(...Array.from({ length: 59 }, (_, n) => tcp(1000 + n)));
  await authorize(tcp(80, { UserIdGroupPairs: [{ GroupId: world.physicalId('Balancers') }] }));
  const full = 'RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached.';
  expect(await refusal('AuthorizeSecurityGroupIngress', { IpPermissions: [tcp(81)] })).toBe(full);
  await authorize(...Array.from({ length: 59 }, (_, n) => tcp(1000 + n, { Ipv6Ranges: [{ CidrIpv6: '::/0' }] })));
  expect(
    await refusal('AuthorizeSecurityGroupIngress', {
      IpPermissions: [tcp(81, { Ipv6Ranges: [{ CidrIpv6: '::/0' }] })],
    }),
  ).toBe(full);
  expect(await ingress()).toHaveLength(119);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
test.each([
  [
    { GroupId: undefined, IpPermissions: [tcp(80)] },
    'MissingParameter: The request must contain the parameter groupName or groupId',
  ],
  [{ GroupId: 'sg-0', IpPermissions: [tcp(80)] }, "InvalidGroup.NotFound: The security group 'sg-0' does not exist"],
  [
    { IpPermissions: [tcp(80, { UserIdGroupPairs: [{ GroupId: 'sg-0' }] })] },
    "InvalidGroup.NotFound: The security group 'sg-0' does not exist",
  ],
  [
    { IpPermissions: [{ IpProtocol: 'tcp', IpRanges: [{ CidrIp: '10.0.0.0/8' }] }] },
    'InvalidParameterValue: Invalid value for portRange. Must specify both from and to ports with TCP/UDP.',
  ],
  [
    { IpPermissions: [tcp(80, { IpRanges: [{ CidrIp: '10.0.0.0' }] })] },
    'InvalidParameterValue: CIDR block 10.0.0.0 is malformed',
  ],
  [
    { IpPermissions: [{ ...tcp(80), IpProtocol: 'foo' }] },
    "InvalidParameterValue: Invalid value 'foo' for IP protocol. Unknown protocol.",
  ],
  [
    { IpPermissions: [tcp(80)], TagSpecifications: [{ ResourceType: 'instance', Tags: [] }] },
    "InvalidParameterValue: 'instance' is not a valid taggable resource type for this operation.",
  ],
])('with %j nothing is added', async (input, message) => {
  const { refusal, ingress } = await grouped();
  expect(await refusal('AuthorizeSecurityGroupIngress', input)).toBe(message);
  expect(await ingress()).toEqual([]);
});

test('a member that is not known is an error that names it', async () => {
  const { refusal } = await grouped();
  expect(await refusal('AuthorizeSecurityGroupIngress', { SourceSecurityGroupName: 'x' })).toContain(
    'does not know SourceSecurityGroupName of AuthorizeSecurityGroupIngress',
  );
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
test(
  'rules are revoked by what they let in, and by their ids; one that is not there is an error, and nothing ' +
    'is revoked',
  async () => {
    const { GroupId, call, authorize, refusal, ingress, rules } = await grouped();
    const {
      SecurityGroupRules: [first],
    } = await authorize(tcp(80), tcp(81), tcp(82));
    await call('AuthorizeSecurityGroupIngress', {
      GroupId,
      IpProtocol: '6',
      FromPort: 83,
      ToPort: 83,
      CidrIp: '10.0.0.0/8',
    });
    expect(await refusal('RevokeSecurityGroupIngress', { IpPermissions: [tcp(80), tcp(90)] })).toBe(
      'InvalidPermission.NotFound: The specified rule does not exist in this security group.',
    );
    const [out] = await rules();
    expect(await refusal('RevokeSecurityGroupIngress', { SecurityGroupRuleIds: [out!.SecurityGroupRuleId] })).toMatch(
      /^InvalidSecurityGroupRuleId\.NotFound/,
    );
    expect(await refusal('RevokeSecurityGroupIngress', { SecurityGroupRuleIds: ['mine'] })).toMatch(
      /^InvalidSecurityGroupRuleId\.Malformed/,
    );
    expect(await ingress()).toHaveLength(4);
    expect(
      await call('RevokeSecurityGroupIngress', { GroupId, SecurityGroupRuleIds: [first.SecurityGroupRuleId] }),
    ).toEqual({
      Return: true,
      RevokedSecurityGroupRules: [
        {
          SecurityGroupRuleId: first.SecurityGroupRuleId,
          GroupId,
          IsEgress: false,
          IpProtocol: 'tcp',
          FromPort: 80,
          ToPort: 80,
          CidrIpv4: '10.0.0.0/8',
          Description: undefined,
        },
      ],
    });
    await call('RevokeSecurityGroupIngress', { GroupId, IpPermissions: [tcp(81), tcp(83)] });
    expect((await ingress()).map(({ FromPort }) => FromPort)).toEqual([82]);
  },
);

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
test('rules are described by group, by tag, by id, and page by page', async () => {
  const { GroupId, call, refusal } = await grouped();
  const tagged = {
    GroupId,
    IpPermissions: [tcp(80)],
    TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [{ Key: 'owner', Value: 'a' }] }],
  };
  const {
    SecurityGroupRules: [own],
  } = await call('AuthorizeSecurityGroupIngress', tagged);
  await call('AuthorizeSecurityGroupIngress', {
    GroupId,
    IpPermissions: Array.from({ length: 6 }, (_, n) => tcp(1000 + n)),
  });
  const described = async (input: Record<string, any>) => call('DescribeSecurityGroupRules', input);
  expect((await described({ Filters: [{ Name: 'tag:owner', Values: ['a'] }] })).SecurityGroupRules).toEqual([own]);
  expect((await described({ SecurityGroupRuleIds: [own.SecurityGroupRuleId] })).SecurityGroupRules).toEqual([own]);
  const Filters = [{ Name: 'group-id', Values: [GroupId] }];
  const { SecurityGroupRules: first, NextToken } = await described({ Filters, MaxResults: 5 });
  const { SecurityGroupRules: second, NextToken: end } = await described({ Filters, MaxResults: 5, NextToken });
  expect([first.length, second.length, end]).toEqual([5, 3, undefined]);
  expect(await refusal('DescribeSecurityGroupRules', { SecurityGroupRuleIds: ['sgr-0'] })).toMatch(
    /^InvalidSecurityGroupRuleId\.NotFound/,
  );
});

// Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-securitygroup.html ,
// aws-resource-ec2-securitygroupingress.html and aws-resource-ec2-securitygroupegress.html there
describe('templates', () => {
  const inbound = (properties: Record<string, any> = {}) => ({
    Type: 'AWS::EC2::SecurityGroupIngress',
    Properties: {
      GroupId: { Ref: 'Nodes' },
      IpProtocol: 'tcp',
      FromPort: 80,
      ToPort: 80,
      CidrIp: '10.0.0.0/8',
      ...properties,
    },
  });

  test(
    'rules of a group, and rules of their own, are there; rules outwards take the place of the one that lets ' +
      'everything out',
    async () => {
      const { world, rules } = await grouped({
        Nodes: securityGroup({
          SecurityGroupIngress: [{ IpProtocol: 'udp', FromPort: '4789', ToPort: '4789', CidrIp: '10.0.0.0/8' }],
          SecurityGroupEgress: [{ IpProtocol: 'icmp', FromPort: 252, ToPort: 86, CidrIp: '255.255.255.255/32' }],
        }),
        In: inbound({ CidrIp: undefined, SourceSecurityGroupId: { Ref: 'Balancers' } }),
        Out: {
          Type: 'AWS::EC2::SecurityGroupEgress',
          Properties: {
            GroupId: { Ref: 'Balancers' },
            IpProtocol: 'tcp',
            FromPort: 80,
            ToPort: 80,
            DestinationSecurityGroupId: { Ref: 'Nodes' },
          },
        },
      });
      expect(await rules()).toMatchObject([
        { IsEgress: false, IpProtocol: 'udp', FromPort: 4789, CidrIpv4: '10.0.0.0/8' },
        { IsEgress: true, IpProtocol: 'icmp', FromPort: 252, ToPort: 86 },
        {
          IsEgress: false,
          IpProtocol: 'tcp',
          SecurityGroupRuleId: world.physicalId('In'),
          ReferencedGroupInfo: { GroupId: world.physicalId('Balancers') },
        },
      ]);
      expect(await rules('Balancers')).toMatchObject([
        { IsEgress: true, SecurityGroupRuleId: world.physicalId('Out') },
      ]);
      await world.delete();
      expect(world.region.securityGroupRules()).toEqual([]);
      expect(world.region.remains()).toEqual([]);
    },
  );

  test('a rule that goes with an update is not there any more', async () => {
    const resources = { ...network, Nodes: securityGroup(), Balancers: securityGroup() };
    const { world, ingress } = await grouped({ In: inbound() });
    expect(await ingress()).toHaveLength(1);
    await world.update(resources);
    expect(await ingress()).toEqual([]);
  });

  test('two equal rules fail the stack, and a rule needs one peer', async () => {
    await expect(grouped({ In: inbound(), Again: inbound() })).rejects.toThrow('already exists');
    await expect(grouped({ In: inbound({ CidrIp: undefined }) })).rejects.toThrow(
      'needs exactly one of CidrIp, CidrIpv6, SourceSecurityGroupId, SourcePrefixListId',
    );
    await expect(
      grouped({
        Nodes: securityGroup({ SecurityGroupIngress: [{ IpProtocol: 'tcp', SourceSecurityGroupName: 'x' }] }),
      }),
    ).rejects.toThrow('does not know SourceSecurityGroupName');
  });

  // Source: https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html
  test('a group that a rule of another names is not deleted', async () => {
    const { world, authorize } = await grouped();
    await authorize(tcp(80, { UserIdGroupPairs: [{ GroupId: world.physicalId('Balancers') }] }));
    await expect(world.update({ ...network, Nodes: securityGroup() })).resolves.toBeDefined();
    expect(
      world.events.find(({ what, subject }) => what === 'delete-failed' && subject === 'Balancers')!.detail.reason,
    ).toMatch(/has a dependent object$/);
  });
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
describe('permissions', () => {
  const RULES = 'arn:aws:ec2:us-east-1:123456789012:security-group-rule/*';

  async function as(...statements: Record<string, any>[]) {
    const role = {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('ec2'),
        Policies: [{ PolicyName: 'own', PolicyDocument: policy(...statements) }],
      },
    };
    const world = new World();
    world.denying = true;
    await world.create({
      ...group(),
      Role: role,
      Nodes: securityGroup({ Tags: [{ Key: 'team', Value: 'a' }] }),
      Other: securityGroup(),
    });
    const { accessKeyId } = world.region.credentialsFor(world.region.instances()[0]!.instanceId)!;
    return (action: string, logicalId: string, more: Record<string, any> = {}) =>
      world.region
        .call({
          service: 'ec2',
          action,
          input: { GroupId: world.physicalId(logicalId), IpPermissions: [tcp(80)], ...more },
          accessKeyId,
        })
        .then(
          () => 'allowed',
          (error) => `${error.code} ${/ec2:\w+ on resource: [^/]+/.exec(error.message)?.[0]}`,
        );
  }
  const here = 'arn:aws:ec2:us-east-1:123456789012';

  test.each(['aws', 'ec2'])('a group is changed by its tags, as %s:ResourceTag', async (prefix) => {
    const call = await as({
      Action: ['ec2:AuthorizeSecurityGroupIngress', 'ec2:RevokeSecurityGroupIngress'],
      Resource: `${here}:security-group/*`,
      Condition: { StringEquals: { [`${prefix}:ResourceTag/team`]: 'a' } },
    });
    expect(await call('AuthorizeSecurityGroupIngress', 'Nodes')).toBe('allowed');
    expect(await call('RevokeSecurityGroupIngress', 'Nodes')).toBe('allowed');
    expect(await call('AuthorizeSecurityGroupIngress', 'Other')).toBe(
      `UnauthorizedOperation ec2:AuthorizeSecurityGroupIngress on resource: ${here}:security-group`,
    );
  });

  test('a rule with tags needs the permission on rules, and CreateTags for that action', async () => {
    const tags = { TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [{ Key: 'owner', Value: 'x' }] }] };
    const onGroup = { Action: 'ec2:AuthorizeSecurityGroupIngress', Resource: `${here}:security-group/*` };
    const onRule = {
      Action: 'ec2:AuthorizeSecurityGroupIngress',
      Resource: RULES,
      Condition: { StringEquals: { 'aws:RequestTag/owner': 'x' } },
    };
    const createTags = {
      Action: 'ec2:CreateTags',
      Resource: RULES,
      Condition: { StringEquals: { 'ec2:CreateAction': 'AuthorizeSecurityGroupIngress' } },
    };
    expect(await (await as(onGroup))('AuthorizeSecurityGroupIngress', 'Nodes', tags)).toBe(
      `UnauthorizedOperation ec2:AuthorizeSecurityGroupIngress on resource: ${here}:security-group-rule`,
    );
    expect(await (await as(onGroup, onRule))('AuthorizeSecurityGroupIngress', 'Nodes', tags)).toBe(
      `UnauthorizedOperation ec2:CreateTags on resource: ${here}:security-group-rule`,
    );
    expect(await (await as(onGroup, onRule, createTags))('AuthorizeSecurityGroupIngress', 'Nodes', tags)).toBe(
      'allowed',
    );
  });
});

import type { Delays } from '../../../../rehearsal/aws/core/types';
import { closeWorlds, group, MINUTE, network, policy, trust, World, type Resources } from '../world';

afterEach(closeWorlds);

const CERTIFICATE = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';

/** With a node in each of the two zones unless said otherwise. */
function balancer(properties: Record<string, any> = {}): Resources {
  return {
    Balancer: {
      Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
      Properties: {
        Type: 'network',
        Scheme: 'internal',
        Subnets: [{ Ref: 'SubnetA' }, { Ref: 'SubnetB' }],
        ...properties,
      },
    },
  };
}

function targetGroup(properties: Record<string, any> = {}): Resources {
  const health = {
    HealthCheckProtocol: 'HTTP',
    HealthCheckPort: '2378',
    HealthCheckPath: '/health',
    HealthCheckIntervalSeconds: 10,
    HealthyThresholdCount: 3,
    UnhealthyThresholdCount: 2,
  };
  return {
    Targets: {
      Type: 'AWS::ElasticLoadBalancingV2::TargetGroup',
      Properties: {
        Protocol: 'TCP',
        Port: 80,
        VpcId: { Ref: 'Vpc' },
        TargetType: 'instance',
        ...health,
        ...properties,
      },
    },
  };
}

function listener(properties: Record<string, any> = {}): Resources {
  return {
    Listener: {
      Type: 'AWS::ElasticLoadBalancingV2::Listener',
      Properties: {
        LoadBalancerArn: { Ref: 'Balancer' },
        Port: 80,
        Protocol: 'TCP',
        DefaultActions: [{ Type: 'forward', TargetGroupArn: { Ref: 'Targets' } }],
        ...properties,
      },
    },
  };
}

/** Two instances behind a load balancer, of which nothing is registered yet. */
async function balanced(
  options: { delays?: Partial<Delays>; more?: Resources; capacity?: number; subnets?: string[] } = {},
) {
  const { delays, more, capacity = 2, subnets = ['SubnetA', 'SubnetB'] } = options;
  const world = new World({ delays });
  const vpcZones = subnets.map((Ref) => ({ Ref }));
  await world.create({
    ...group({ MaxSize: '2000', DesiredCapacity: String(capacity), VPCZoneIdentifier: vpcZones }),
    ...balancer(),
    ...targetGroup(),
    ...listener(),
    ...more,
  });
  const ids = world.region.instances().map(({ instanceId }) => instanceId);
  const TargetGroupArn = world.physicalId('Targets');
  const call = (action: string, input: Record<string, any> = {}) => world.call('elasticloadbalancing', action, input);
  const refusal = (action: string, input: Record<string, any> = {}) =>
    world.refusal('elasticloadbalancing', action, input);
  const named = (some: string[]) => some.map((Id) => ({ Id }));
  return {
    world,
    ids,
    arn: {
      group: TargetGroupArn,
      balancer: world.physicalId('Balancer'),
      listener:
        world.region.stackResources('Stack').find(({ logicalId }) => logicalId === 'Listener')?.physicalId ?? '',
    },
    call,
    refusal,
    register: (some = ids) => call('RegisterTargets', { TargetGroupArn, Targets: named(some) }),
    deregister: (some = ids) => call('DeregisterTargets', { TargetGroupArn, Targets: named(some) }),
    health: async (): Promise<string[]> =>
      (await call('DescribeTargetHealth', { TargetGroupArn })).TargetHealthDescriptions.map(
        ({ TargetHealth: { State, Reason } }: any) => [State, Reason].filter(Boolean).join(' '),
      ),
    targets: () => world.region.loadBalancers()[0]!.listeners[0]?.targets ?? [],
    /** Of the first listener: the instances to which new connections go. */
    routed: () =>
      (world.region.loadBalancers()[0]!.listeners[0]?.targets ?? [])
        .filter((target) => target.routed)
        .map(({ instanceId }) => instanceId),
    /** What load balancers have told of one instance. */
    told: (instanceId: string) =>
      world.events.filter(({ source, subject }) => source === 'elb' && subject === instanceId).map(({ what }) => what),
  };
}

/** Answers of instances that a test changes as it goes. */
function answering(world: World, ill: Set<string>): void {
  world.machines.onCheck = async (instanceId) => !ill.has(instanceId);
}

describe('load balancers', () => {
  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancer.html
  test('one of a template is described with its zones and its ARN, by ARN, by name, and among all', async () => {
    const { world, arn, call, refusal } = await balanced({ more: balancer({ Name: 'front' }) });
    expect(arn.balancer).toMatch(
      /^arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer\/net\/front\/[0-9a-f]{16}$/,
    );
    const expected = {
      LoadBalancerArn: arn.balancer,
      LoadBalancerName: 'front',
      DNSName: `front-${arn.balancer.split('/').at(-1)}.elb.us-east-1.amazonaws.com`,
      Scheme: 'internal',
      Type: 'network',
      State: { Code: 'active' },
      VpcId: world.physicalId('Vpc'),
      AvailabilityZones: [
        { ZoneName: 'us-east-1a', SubnetId: world.physicalId('SubnetA') },
        { ZoneName: 'us-east-1b', SubnetId: world.physicalId('SubnetB') },
      ],
    };
    for (const input of [{ LoadBalancerArns: [arn.balancer] }, { Names: ['front'] }, {}])
      expect(await call('DescribeLoadBalancers', input)).toMatchObject({ LoadBalancers: [expected] });
    expect(await refusal('DescribeLoadBalancers', { Names: ['none'] })).toBe(
      "LoadBalancerNotFound: Load balancers '[none]' not found",
    );
    expect(world.region.loadBalancers()).toMatchObject([
      {
        arn: arn.balancer,
        name: 'front',
        scheme: 'internal',
        zones: ['us-east-1a', 'us-east-1b'],
        listeners: [{ arn: arn.listener, port: 80, protocol: 'TCP', targetGroupArn: arn.group, targets: [] }],
      },
    ]);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
  test.each([
    ['another type', { Type: 'application' }, "does not know load balancers of the type 'application'"],
    ['a name that is too long', { Name: 'a'.repeat(33) }, "cannot be longer than '32' characters"],
    [
      'two subnets of one zone',
      { Subnets: [{ Ref: 'SubnetA' }, { Ref: 'SubnetA' }] },
      'multiple subnets in the same Availability Zone',
    ],
    [
      'a security group that there is not',
      { SecurityGroups: ['sg-0'] },
      'One or more security groups are invalid: sg-0',
    ],
    [
      'an attribute that is not known',
      { LoadBalancerAttributes: [{ Key: 'idle', Value: '1' }] },
      'does not know idle of the attributes of a load balancer',
    ],
  ])('with %s it is not made', async (_, properties, message) => {
    await expect(new World().create({ ...network, ...balancer(properties) })).rejects.toThrow(message);
  });

  // Source:
  // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#deletion-protection
  test('one that is protected is not deleted', async () => {
    const world = new World();
    await world.create({
      ...network,
      ...balancer({ LoadBalancerAttributes: [{ Key: 'deletion_protection.enabled', Value: 'true' }] }),
    });
    await expect(world.delete()).rejects.toThrow('cannot be deleted because deletion protection is enabled');
    expect(world.region.remains()).toContain(world.region.loadBalancers()[0]!.name);
  });

  test('nothing of a deleted stack with load balancers is left, and nothing is checked any more', async () => {
    const { world, register } = await balanced();
    await register();
    await world.clock.advance(MINUTE);
    await world.delete();
    expect(world.region.remains()).toEqual([]);
    await world.clock.advance(61 * MINUTE);
    expect(world.clock.pending()).toBe(0);
  });
});

describe('target groups', () => {
  const settings = (world: World, more = {}) => ({
    Name: 'web',
    Protocol: 'TCP',
    Port: 8080,
    VpcId: world.physicalId('Vpc'),
    ...more,
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
  test('making one again with the same settings gives the same one, else DuplicateTargetGroupName', async () => {
    const { world, call, refusal } = await balanced();
    const {
      TargetGroups: [made],
    } = await call('CreateTargetGroup', settings(world));
    expect(made).toMatchObject({
      TargetGroupArn: expect.stringMatching(
        /^arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup\/web\/[0-9a-f]{16}$/,
      ),
      HealthCheckProtocol: 'TCP',
      HealthCheckPort: 'traffic-port',
      HealthCheckIntervalSeconds: 30,
      HealthCheckTimeoutSeconds: 10,
      HealthyThresholdCount: 5,
      UnhealthyThresholdCount: 2,
      LoadBalancerArns: [],
      TargetType: 'instance',
    });
    expect((await call('CreateTargetGroup', settings(world))).TargetGroups).toEqual([made]);
    expect(await refusal('CreateTargetGroup', settings(world, { Port: 81 }))).toBe(
      "DuplicateTargetGroupName: A target group with the same name 'web' exists, but with different settings",
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
  test.each([
    [{ Name: 'a'.repeat(33) }, /^ValidationError: Target group name 'a{33}' cannot be longer than '32' characters$/],
    [{ Name: 'a_b' }, /^ValidationError: .* can only contain characters that are alphanumeric/],
    [{ Name: '-a' }, /^ValidationError: .* cannot begin or end with '-'/],
    [
      { Port: 0 },
      /^ValidationError: .*Value '0' at 'port' failed to satisfy constraint: Member must have value greater than or equal to 1$/,
    ],
    [{ Port: undefined }, /^ValidationError: A port must be specified$/],
    [{ VpcId: 'vpc-0' }, /^ValidationError: The VPC ID 'vpc-0' is not found$/],
    [
      { HealthCheckIntervalSeconds: 301 },
      /^ValidationError: .*'healthCheckIntervalSeconds' .*less than or equal to 300$/,
    ],
    [
      { HealthCheckIntervalSeconds: 5, HealthCheckTimeoutSeconds: 6 },
      /^ValidationError: Health check interval must be greater than the timeout\.$/,
    ],
    [{ HealthyThresholdCount: 1 }, /^ValidationError: .*'healthyThresholdCount' .*greater than or equal to 2$/],
    [
      { HealthCheckProtocol: 'TCP', Matcher: { HttpCode: '200' } },
      /^InvalidConfigurationRequest: Custom health check matchers are not supported/,
    ],
    [{ HealthCheckProtocol: 'HTTP', Matcher: { HttpCode: '200' } }, /does not know the matcher '200'/],
    [{ TargetType: 'ip' }, /does not know target groups of ips/],
    [{ Protocol: 'HTTP' }, /does not know target groups of the protocol HTTP/],
    [{ TargetControlPort: 3 }, /does not know TargetControlPort of CreateTargetGroup/],
  ])('with %j it is not made', async (more, message) => {
    const { world, refusal } = await balanced({ capacity: 0 });
    expect(await refusal('CreateTargetGroup', settings(world, more))).toMatch(message);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html
  test('they are described by load balancer, ARN, name, and page by page', async () => {
    const { world, arn, call, refusal } = await balanced();
    for (const Name of ['a', 'b', 'c']) await call('CreateTargetGroup', settings(world, { Name }));
    const names = async (input = {}) => {
      const { TargetGroups, NextMarker } = await call('DescribeTargetGroups', input);
      return [TargetGroups.map(({ TargetGroupName }: any) => TargetGroupName), NextMarker];
    };
    const own = arn.group.split('/')[1];
    expect(await names({ LoadBalancerArn: arn.balancer })).toEqual([[own], undefined]);
    expect(await names({ TargetGroupArns: [arn.group] })).toEqual([[own], undefined]);
    expect(await names({ Names: ['c', 'a'] })).toEqual([['c', 'a'], undefined]);
    const [first, marker] = await names({ PageSize: 3 });
    expect(first).toEqual([own, 'a', 'b']);
    expect(await names({ PageSize: 3, Marker: marker })).toEqual([['c'], undefined]);
    expect(await refusal('DescribeTargetGroups', { Names: ['none'] })).toBe(
      'TargetGroupNotFound: One or more target groups not found',
    );
    expect(await refusal('DescribeTargetGroups', { PageSize: 401 })).toMatch(
      /^ValidationError: .*less than or equal to 400/,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyTargetGroup.html
  test('a change leaves what it does not name, and holds from the next check on', async () => {
    const { world, arn, call, register, targets } = await balanced({ capacity: 1 });
    await register();
    expect(
      (await call('ModifyTargetGroup', { TargetGroupArn: arn.group, HealthyThresholdCount: 2 })).TargetGroups,
    ).toMatchObject([{ HealthyThresholdCount: 2, HealthCheckPath: '/health', HealthCheckIntervalSeconds: 10 }]);
    await world.clock.advance(10_000);
    expect(targets()).toMatchObject([{ state: 'healthy' }]);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html
  test('one that a listener uses is ResourceInUse, and one that is gone is deleted without an error', async () => {
    const { arn, call, refusal } = await balanced();
    expect(await refusal('DeleteTargetGroup', { TargetGroupArn: arn.group })).toBe(
      `ResourceInUse: Target group '${arn.group}' is currently in use by a listener or a rule`,
    );
    await call('DeleteListener', { ListenerArn: arn.listener });
    await call('DeleteTargetGroup', { TargetGroupArn: arn.group });
    await call('DeleteTargetGroup', { TargetGroupArn: arn.group });
    expect(await refusal('DescribeTargetHealth', { TargetGroupArn: arn.group })).toBe(
      `TargetGroupNotFound: Target group '${arn.group}' not found`,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
  test('attributes have their defaults until they are changed, within their range', async () => {
    const { arn, call, refusal } = await balanced();
    const delay = async () =>
      (await call('DescribeTargetGroupAttributes', { TargetGroupArn: arn.group })).Attributes.find(
        ({ Key }: any) => Key === 'deregistration_delay.timeout_seconds',
      ).Value;
    const set = (Value: string) => ({
      TargetGroupArn: arn.group,
      Attributes: [{ Key: 'deregistration_delay.timeout_seconds', Value }],
    });
    expect(await delay()).toBe('300');
    await call('ModifyTargetGroupAttributes', set('20'));
    expect(await delay()).toBe('20');
    expect(await refusal('ModifyTargetGroupAttributes', set('3601'))).toMatch(/^ValidationError/);
    expect(
      await refusal('ModifyTargetGroupAttributes', {
        TargetGroupArn: arn.group,
        Attributes: [{ Key: 'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count', Value: '2' }],
      }),
    ).toMatch(/does not know target_group_health/);
  });
});

describe('listeners', () => {
  async function withSecond() {
    const all = await balanced({ capacity: 0 });
    const make = async (Name: string, more = {}) =>
      (
        await all.call('CreateTargetGroup', {
          Name,
          Protocol: 'TCP',
          Port: 443,
          VpcId: all.world.physicalId('Vpc'),
          ...more,
        })
      ).TargetGroups[0].TargetGroupArn as string;
    const input = (TargetGroupArn: string, more = {}) => ({
      LoadBalancerArn: all.arn.balancer,
      Protocol: 'TCP',
      Port: 443,
      DefaultActions: [{ Type: 'forward', TargetGroupArn }],
      ...more,
    });
    return { ...all, make, input };
  }

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
  test('making one again with the same settings gives the same one, else DuplicateListener', async () => {
    const { arn, call, refusal, make, input } = await withSecond();
    const second = await make('second');
    const {
      Listeners: [made],
    } = await call('CreateListener', input(second));
    expect(made).toEqual({
      ListenerArn: expect.stringMatching(
        new RegExp(`^${arn.balancer.replace(':loadbalancer/', ':listener/')}/[0-9a-f]{16}$`),
      ),
      LoadBalancerArn: arn.balancer,
      Port: 443,
      Protocol: 'TCP',
      DefaultActions: [{ Type: 'forward', TargetGroupArn: second }],
    });
    expect((await call('CreateListener', input(second))).Listeners).toEqual([made]);
    expect(await refusal('CreateListener', input(await make('udp', { Protocol: 'UDP' }), { Protocol: 'UDP' }))).toBe(
      `DuplicateListener: A listener already exists on this port for this load balancer '${arn.balancer}'`,
    );
    expect((await call('DescribeListeners', { LoadBalancerArn: arn.balancer, PageSize: 1 })).Listeners).toMatchObject([
      { ListenerArn: arn.listener },
    ]);
    expect((await call('DescribeListeners', { ListenerArns: [made.ListenerArn] })).Listeners).toEqual([made]);
  });

  // Sources:
  // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#listener-configuration
  // , load-balancer-target-groups.html there
  test.each([
    ['TCP', 'TCP', true],
    ['TCP', 'TCP_UDP', true],
    ['TCP', 'UDP', false],
    ['UDP', 'UDP', true],
    ['UDP', 'TCP_UDP', true],
    ['UDP', 'TCP', false],
    ['TCP_UDP', 'TCP_UDP', true],
    ['TCP_UDP', 'TCP', false],
    ['TLS', 'TCP', true],
    ['TLS', 'TLS', true],
    ['TLS', 'TCP_UDP', false],
  ])('a %s listener forwards to a %s target group: %s', async (Protocol, groupProtocol, fits) => {
    const { refusal, make, input } = await withSecond();
    const second = await make('second', { Protocol: groupProtocol });
    const outcome = await refusal(
      'CreateListener',
      input(second, { Protocol, ...(Protocol === 'TLS' && { Certificates: [{ CertificateArn: CERTIFICATE }] }) }),
    );
    expect(outcome).toBe(
      fits
        ? 'no refusal'
        : `IncompatibleProtocols: The listener and the following target groups have incompatible protocols: ${second}`,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
  test.each([
    [{ Protocol: 'TLS' }, 'ValidationError: A certificate must be specified for TLS listeners'],
    [
      { Certificates: [{ CertificateArn: CERTIFICATE }] },
      'ValidationError: A certificate cannot be specified for TCP listeners',
    ],
    [
      { SslPolicy: 'ELBSecurityPolicy-2016-08' },
      'ValidationError: An SSL policy cannot be specified for TCP listeners',
    ],
    [
      { Protocol: 'TLS', Certificates: [{ CertificateArn: CERTIFICATE }], SslPolicy: 'mine' },
      "SSLPolicyNotFound: SSL policy 'mine' not found",
    ],
    [
      { Protocol: 'TLS', Certificates: [{ CertificateArn: 'mine' }] },
      "CertificateNotFound: Certificate 'mine' not found",
    ],
    [{ Protocol: 'HTTP' }, "ValidationError: Listener protocol 'HTTP' must be one of 'TLS, TCP, TCP_UDP, UDP'"],
    [
      { Port: 65_536 },
      "ValidationError: 1 validation error detected: Value '65536' at 'port' failed to satisfy constraint: " +
        'Member must have value less than or equal to 65535',
    ],
    [{ DefaultActions: [] }, 'ValidationError: A default action must be specified'],
    [
      { DefaultActions: [{ Type: 'redirect' }] },
      "InvalidLoadBalancerAction: Actions of type 'redirect' are not supported for listeners of Network Load Balancers",
    ],
    [
      { DefaultActions: [{ Type: 'forward', TargetGroupArn: 'none' }] },
      "TargetGroupNotFound: Target group 'none' not found",
    ],
    [{ LoadBalancerArn: 'none' }, "LoadBalancerNotFound: Load balancer 'none' not found"],
  ])('with %j it is not made', async (more, message) => {
    const { refusal, make, input } = await withSecond();
    expect(await refusal('CreateListener', input(await make('second'), more))).toBe(message);
  });

  test('a TLS listener has the default policy, and a change replaces its certificate', async () => {
    const { call, make, input } = await withSecond();
    const {
      Listeners: [made],
    } = await call(
      'CreateListener',
      input(await make('second'), { Protocol: 'TLS', Certificates: [{ CertificateArn: CERTIFICATE }] }),
    );
    expect(made).toMatchObject({
      SslPolicy: 'ELBSecurityPolicy-2016-08',
      Certificates: [{ CertificateArn: CERTIFICATE }],
    });
    const {
      Listeners: [changed],
    } = await call('ModifyListener', {
      ListenerArn: made.ListenerArn,
      Certificates: [{ CertificateArn: `${CERTIFICATE}0` }],
    });
    expect(changed).toMatchObject({
      SslPolicy: 'ELBSecurityPolicy-2016-08',
      Certificates: [{ CertificateArn: `${CERTIFICATE}0` }],
      Port: 443,
    });
    const {
      Listeners: [plain],
    } = await call('ModifyListener', { ListenerArn: made.ListenerArn, Protocol: 'TCP' });
    expect(plain).toMatchObject({ Protocol: 'TCP', Certificates: undefined, SslPolicy: undefined });
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html : "You can
  // use each target group with only one load balancer."
  test('a target group of another load balancer is TargetGroupAssociationLimit', async () => {
    const { world, arn, refusal } = await balanced({ capacity: 0, more: { Other: balancer().Balancer! } });
    const input = { LoadBalancerArn: world.physicalId('Other'), Protocol: 'TCP', Port: 80 };
    expect(
      await refusal('CreateListener', { ...input, DefaultActions: [{ Type: 'forward', TargetGroupArn: arn.group }] }),
    ).toBe(
      'TargetGroupAssociationLimit: The following target groups cannot be associated with more than one ' +
        `load balancer: ${arn.group}`,
    );
    expect(world.region.loadBalancers()).toHaveLength(2);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
  test('there are at most 50 on one load balancer', async () => {
    const { arn, call, refusal, input } = await withSecond();
    for (let Port = 1000; Port < 1049; Port += 1) await call('CreateListener', input(arn.group, { Port }));
    expect(await refusal('CreateListener', input(arn.group, { Port: 1049 }))).toBe(
      `TooManyListeners: The maximum number of listeners per load balancer '50' has been reached on load ` +
        `balancer '${arn.balancer}'`,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteListener.html
  test('one that is gone is ListenerNotFound', async () => {
    const { arn, call, refusal } = await balanced();
    await call('DeleteListener', { ListenerArn: arn.listener });
    expect(await refusal('DeleteListener', { ListenerArn: arn.listener })).toBe(
      `ListenerNotFound: Listener '${arn.listener}' not found`,
    );
    expect(await refusal('DescribeListeners')).toBe(
      'ValidationError: You must specify either listener ARNs or a load balancer ARN',
    );
  });

  test('one moves to a free port, and not to a port that another has', async () => {
    const { arn, call, refusal, make, input } = await withSecond();
    const {
      Listeners: [made],
    } = await call('CreateListener', input(await make('second')));
    expect(await refusal('ModifyListener', { ListenerArn: made.ListenerArn, Port: 80 })).toBe(
      "DuplicateListener: Listener port '80' is already in use",
    );
    expect((await call('ModifyListener', { ListenerArn: arn.listener, Port: 81 })).Listeners).toMatchObject([
      { Port: 81 },
    ]);
  });
});

describe('registration', () => {
  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
  test('only running instances are registered, or none', async () => {
    const { world, ids, arn, refusal, register, targets } = await balanced({ delays: { terminate: 5_000 } });
    await world.call('ec2', 'TerminateInstances', { InstanceIds: [ids[1]] });
    await expect(register()).rejects.toMatchObject({
      code: 'InvalidTarget',
      message: `The following targets are not in a running state and cannot be registered: '${ids[1]}'`,
    });
    expect(targets()).toEqual([]);
    const one = (target: Record<string, any>) =>
      refusal('RegisterTargets', { TargetGroupArn: arn.group, Targets: [target] });
    expect(await one({ Id: 'i-00000000000000000' })).toMatch(/^InvalidTarget: The specified target does not exist/);
    expect(await one({ Id: '10.0.0.4' })).toBe("ValidationError: Instance ID '10.0.0.4' is not valid");
    expect(await one({ Id: ids[0], AvailabilityZone: 'all' })).toMatch(/^ValidationError/);
    expect(await one({ Id: ids[0], QuicServerId: '0x0' })).toMatch(/does not know QuicServerId of a target/);
    expect(await refusal('RegisterTargets', { TargetGroupArn: arn.group, Targets: [] })).toMatch(/^ValidationError/);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
  test('an instance of another network is InvalidTarget', async () => {
    const other = { Vpc2: network.Vpc!, Targets2: { ...targetGroup({ VpcId: { Ref: 'Vpc2' } }).Targets } };
    const { world, ids, refusal } = await balanced({ more: other });
    expect(
      await refusal('RegisterTargets', { TargetGroupArn: world.physicalId('Targets2'), Targets: [{ Id: ids[0] }] }),
    ).toBe(
      `InvalidTarget: The following targets are not in the target group VPC '${world.physicalId('Vpc2')}': '${ids[0]}'`,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
  test('an instance may be registered on several ports, and again on the same one', async () => {
    const { ids, arn, call, register, targets } = await balanced({ capacity: 1 });
    await register();
    await register();
    await call('RegisterTargets', { TargetGroupArn: arn.group, Targets: [{ Id: ids[0], Port: 81 }] });
    expect(targets().map(({ port }) => port)).toEqual([80, 81]);
    await call('DeregisterTargets', { TargetGroupArn: arn.group, Targets: [{ Id: ids[0], Port: 81 }] });
    expect(targets().map(({ state }) => state)).toEqual(['initial', 'draining']);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
  test(
    'without cross-zone load balancing 500 targets of a zone fit behind one load balancer, however many ' +
      'groups have them',
    async () => {
      const { world, ids, arn, register, call, refusal } = await balanced({
        capacity: 300,
        subnets: ['SubnetA'],
        more: { SubnetA: wide('10.0.0.0/20', 0), SubnetB: wide('10.0.16.0/20', 1) },
      });
      await call('DeleteListener', { ListenerArn: arn.listener });
      await register();
      const input = { Name: 'second', Protocol: 'TCP', Port: 81, VpcId: world.physicalId('Vpc') };
      const {
        TargetGroups: [{ TargetGroupArn: second }],
      } = await call('CreateTargetGroup', input);
      const listen = (TargetGroupArn: string, Port: number) => ({
        LoadBalancerArn: arn.balancer,
        Protocol: 'TCP',
        Port,
        DefaultActions: [{ Type: 'forward', TargetGroupArn }],
      });
      await call('CreateListener', listen(arn.group, 80));
      await call('CreateListener', listen(second, 81));
      await call('RegisterTargets', { TargetGroupArn: second, Targets: ids.slice(0, 200).map((Id) => ({ Id })) });
      const full =
        `TooManyTargets: The maximum number of targets per Availability Zone '500' has been reached on load ` +
        `balancer '${arn.balancer}'`;
      expect(await refusal('RegisterTargets', { TargetGroupArn: second, Targets: [{ Id: ids[200] }] })).toBe(full);
      const {
        TargetGroups: [{ TargetGroupArn: third }],
      } = await call('CreateTargetGroup', { ...input, Name: 'third' });
      await call('RegisterTargets', { TargetGroupArn: third, Targets: [{ Id: ids[0] }] });
      expect(await refusal('CreateListener', listen(third, 82))).toBe(full);
    },
  );

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
  test('with cross-zone load balancing 500 targets of all zones fit behind one load balancer', async () => {
    const crossZone = balancer({
      LoadBalancerAttributes: [{ Key: 'load_balancing.cross_zone.enabled', Value: 'true' }],
    });
    const { ids, arn, register, refusal } = await balanced({
      capacity: 501,
      more: { ...crossZone, SubnetA: wide('10.0.0.0/20', 0), SubnetB: wide('10.0.16.0/20', 1) },
    });
    await register(ids.slice(0, 500));
    expect(await refusal('RegisterTargets', { TargetGroupArn: arn.group, Targets: [{ Id: ids[500] }] })).toBe(
      `TooManyTargets: The maximum number of targets per load balancer '500' has been reached on load ` +
        `balancer '${arn.balancer}'`,
    );
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
  test('a target group has at most 1,000 targets', async () => {
    const { ids, arn, call, refusal } = await balanced({ capacity: 1 });
    await call('DeleteListener', { ListenerArn: arn.listener });
    const ports = (first: number, count: number) =>
      Array.from({ length: count }, (_, n) => ({ Id: ids[0], Port: first + n }));
    await call('RegisterTargets', { TargetGroupArn: arn.group, Targets: ports(1, 1000) });
    expect(await refusal('RegisterTargets', { TargetGroupArn: arn.group, Targets: ports(1001, 1) })).toBe(
      `TooManyTargets: The maximum number of targets per target group '1000' has been reached on target ` +
        `group '${arn.group}'`,
    );
  });
});

function wide(CidrBlock: string, zone: number): Record<string, any> {
  return {
    Type: 'AWS::EC2::Subnet',
    Properties: { VpcId: { Ref: 'Vpc' }, CidrBlock, AvailabilityZone: { 'Fn::Select': [zone, { 'Fn::GetAZs': '' }] } },
  };
}

// Source of all: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
describe('health', () => {
  test(
    'a target is registered for some time, is then checked as often as the threshold says, and is routed to ' +
      'once it is healthy',
    async () => {
      const { world, ids, register, health, routed, told } = await balanced({
        delays: { registerTarget: 90_000 },
        capacity: 1,
      });
      const checks: unknown[] = [];
      world.machines.onCheck = async (...asked) => checks.push(asked) > 0;
      await register();
      await world.clock.advance(89_999);
      expect(await health()).toEqual(['initial Elb.RegistrationInProgress']);
      expect(checks).toEqual([]);
      await world.clock.advance(1);
      expect(await health()).toEqual(['initial Elb.InitialHealthChecking']);
      await world.clock.advance(19_999);
      expect(routed()).toEqual([]);
      await world.clock.advance(1);
      expect(await health()).toEqual(['healthy']);
      expect(routed()).toEqual(ids);
      expect(checks).toEqual(Array(3).fill([ids[0], { protocol: 'HTTP', port: 2378, path: '/health' }]));
      expect(told(ids[0]!)).toEqual(['initial', 'initial', 'healthy', 'routed']);
    },
  );

  test('a TCP check on traffic-port goes to the port of each target', async () => {
    const tcp = { HealthCheckProtocol: 'TCP', HealthCheckPort: 'traffic-port', HealthCheckPath: undefined };
    const { world, ids, arn, call } = await balanced({ capacity: 1, more: targetGroup(tcp) });
    const checks: unknown[] = [];
    world.machines.onCheck = async (_, check) => checks.push(check) > 0;
    await call('RegisterTargets', { TargetGroupArn: arn.group, Targets: [{ Id: ids[0] }, { Id: ids[0], Port: 81 }] });
    await world.clock.settle();
    expect(checks).toEqual([
      { protocol: 'TCP', port: 80 },
      { protocol: 'TCP', port: 81 },
    ]);
    expect(
      (await call('DescribeTargetHealth', { TargetGroupArn: arn.group })).TargetHealthDescriptions.map(
        (each: any) => each.HealthCheckPort,
      ),
    ).toEqual(['80', '81']);
  });

  test('failures in a row make a target unhealthy, successes in a row healthy again', async () => {
    const { world, ids, register, health, routed, told } = await balanced();
    const ill = new Set<string>();
    answering(world, ill);
    await register();
    await world.clock.advance(25_000);
    expect(await health()).toEqual(['healthy', 'healthy']);
    ill.add(ids[0]!);
    await world.clock.advance(10_000);
    ill.clear();
    await world.clock.advance(10_000);
    ill.add(ids[0]!);
    await world.clock.advance(10_000);
    expect(await health()).toEqual(['healthy', 'healthy']);
    await world.clock.advance(10_000);
    expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'healthy']);
    expect(routed()).toEqual([ids[1]]);
    ill.clear();
    await world.clock.advance(20_000);
    expect(routed()).toEqual([ids[1]]);
    await world.clock.advance(10_000);
    expect(routed()).toEqual(ids);
    expect(told(ids[0]!).slice(-4)).toEqual(['unhealthy', 'not-routed', 'healthy', 'routed']);
  });

  // Source:
  // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html#unhealthy-target-connection-termination
  test(
    'connections of an unhealthy target go on for as long as its group says, and it may become healthy ' + 'meanwhile',
    async () => {
      const { world, arn, ids, call, refusal, register, health, routed } = await balanced();
      const attributes = (enabled: string, seconds: string) => ({
        TargetGroupArn: arn.group,
        Attributes: [
          { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: enabled },
          { Key: 'target_health_state.unhealthy.draining_interval_seconds', Value: seconds },
        ],
      });
      expect(await refusal('ModifyTargetGroupAttributes', attributes('true', '30'))).toMatch(
        /^InvalidConfigurationRequest/,
      );
      await call('ModifyTargetGroupAttributes', attributes('false', '30'));
      const ill = new Set<string>();
      answering(world, ill);
      await register();
      await world.clock.advance(25_000);
      ill.add(ids[0]!);
      await world.clock.advance(20_000);
      expect(await health()).toEqual(['unhealthy.draining Target.FailedHealthChecks', 'healthy']);
      expect(routed()).toEqual([ids[1]]);
      await world.clock.advance(20_000);
      expect(await health()).toEqual(['unhealthy.draining Target.FailedHealthChecks', 'healthy']);
      await world.clock.advance(10_000);
      expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'healthy']);
      ill.clear();
      await world.clock.advance(30_000);
      ill.add(ids[0]!);
      await world.clock.advance(25_000);
      expect(await health()).toEqual(['unhealthy.draining Target.FailedHealthChecks', 'healthy']);
      ill.clear();
      await world.clock.advance(40_000);
      expect(await health()).toEqual(['healthy', 'healthy']);
      const udp = (
        await call('CreateTargetGroup', { Name: 'udp', Protocol: 'UDP', Port: 53, VpcId: world.physicalId('Vpc') })
      ).TargetGroups[0].TargetGroupArn;
      expect(
        await refusal('ModifyTargetGroupAttributes', { ...attributes('false', '30'), TargetGroupArn: udp }),
      ).toMatch(/^InvalidConfigurationRequest/);
    },
  );

  test('a check that fails with an error, and one that takes too long, are failed checks', async () => {
    const { world, ids, register, health } = await balanced();
    world.machines.onCheck = (instanceId) =>
      instanceId === ids[0] ? Promise.reject(new Error('refused')) : new Promise(() => undefined);
    await register();
    await world.clock.advance(10_000);
    expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'initial Elb.InitialHealthChecking']);
    // 6 seconds for HTTP.
    await world.clock.advance(6_000);
    expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'unhealthy Target.FailedHealthChecks']);
  });

  test('where no target is healthy, the load balancer fails open: all are routed to', async () => {
    const { world, ids, register, routed } = await balanced();
    const ill = new Set<string>();
    answering(world, ill);
    await register();
    await world.clock.advance(25_000);
    ids.forEach((id) => ill.add(id));
    await world.clock.advance(MINUTE);
    expect(routed()).toEqual(ids);
    ill.delete(ids[1]!);
    await world.clock.advance(30_000);
    expect(routed()).toEqual([ids[1]]);
  });

  test(
    'while the load balancer is open for unhealthy targets, those whose initial checks go on are routed to ' +
      'as well',
    async () => {
      const { world, ids, register, health, routed } = await balanced({
        more: targetGroup({ UnhealthyThresholdCount: 3 }),
      });
      answering(world, new Set(ids));
      await register([ids[0]!]);
      await world.clock.advance(20_000);
      await register([ids[1]!]);
      await world.clock.settle();
      expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'initial Elb.InitialHealthChecking']);
      expect(routed()).toEqual(ids);
    },
  );

  test('targets whose initial checks go on open nothing', async () => {
    const { world, register, routed } = await balanced();
    await register();
    await world.clock.advance(15_000);
    expect(routed()).toEqual([]);
  });

  test('nobody checks the targets of a group that no listener uses', async () => {
    const { world, arn, call, register, health } = await balanced({ capacity: 1 });
    let checks = 0;
    world.machines.onCheck = async () => ++checks > 0;
    await register();
    await world.clock.advance(25_000);
    await call('DeleteListener', { ListenerArn: arn.listener });
    expect(await health()).toEqual(['unused Target.NotInUse']);
    const before = checks;
    await world.clock.advance(MINUTE);
    expect(checks).toBe(before);
    await call('CreateListener', {
      LoadBalancerArn: arn.balancer,
      Protocol: 'TCP',
      Port: 81,
      DefaultActions: [{ Type: 'forward', TargetGroupArn: arn.group }],
    });
    await world.clock.settle();
    expect(await health()).toEqual(['initial Elb.InitialHealthChecking']);
    await world.clock.advance(20_000);
    expect(await health()).toEqual(['healthy']);
  });

  test('a target in a zone that the load balancer has no node in is not used', async () => {
    const { world, register, health, routed } = await balanced({ more: balancer({ Subnets: [{ Ref: 'SubnetA' }] }) });
    await register();
    await world.clock.advance(MINUTE);
    expect((await health()).sort()).toEqual(['healthy', 'unused Target.NotInUse']);
    expect(routed()).toHaveLength(1);
  });

  test(
    'an instance that ends is not routed to once its checks fail, and is in no valid state when it is ' + 'terminated',
    async () => {
      const { world, ids, register, health, routed } = await balanced({ delays: { terminate: 120_000 } });
      const ill = new Set<string>();
      answering(world, ill);
      await register();
      await world.clock.advance(25_000);
      await world.call('ec2', 'TerminateInstances', { InstanceIds: [ids[0]] });
      expect(routed()).toEqual(ids);
      ill.add(ids[0]!);
      await world.clock.advance(20_000);
      expect(await health()).toEqual(['unhealthy Target.FailedHealthChecks', 'healthy']);
      await world.clock.advance(100_000);
      expect(await health()).toEqual(['unused Target.InvalidState', 'healthy']);
      expect(routed()).toEqual([ids[1]]);
      // As long as EC2 knows it.
      await world.clock.advance(60 * MINUTE);
      expect(await health()).toEqual(['healthy']);
    },
  );

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
  test('a target that is asked for and not registered is unused', async () => {
    const { ids, arn, call } = await balanced();
    expect(
      await call('DescribeTargetHealth', { TargetGroupArn: arn.group, Targets: [{ Id: ids[0], Port: 81 }] }),
    ).toEqual({
      TargetHealthDescriptions: [
        {
          Target: { Id: ids[0], Port: 81 },
          HealthCheckPort: '2378',
          TargetHealth: {
            State: 'unused',
            Reason: 'Target.NotRegistered',
            Description: 'Target is not registered to the target group',
          },
        },
      ],
    });
  });
});

// Sources:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#deregistration-delay
// , target-group-register-targets.html there
describe('deregistration', () => {
  test(
    'a target drains for the delay of its group, and new connections go there until the nodes of the load ' +
      'balancer know',
    async () => {
      const { world, ids, register, deregister, health, routed, told } = await balanced({
        delays: { deregisterTarget: 60_000 },
      });
      await register();
      await world.clock.advance(25_000);
      await deregister([ids[0]!]);
      expect(await health()).toEqual(['draining Target.DeregistrationInProgress', 'healthy']);
      await world.clock.advance(59_999);
      expect(routed()).toEqual(ids);
      await world.clock.advance(1);
      expect(routed()).toEqual([ids[1]]);
      await world.clock.advance(239_999);
      expect(await health()).toHaveLength(2);
      await world.clock.advance(1);
      expect(await health()).toEqual(['healthy']);
      expect(told(ids[0]!).slice(-3)).toEqual(['draining', 'not-routed', 'deregistered']);
    },
  );

  test('one that was not routed to is not while it drains', async () => {
    const { ids, register, deregister, routed } = await balanced({
      delays: { registerTarget: 60_000, deregisterTarget: 60_000 },
    });
    await register();
    await deregister([ids[0]!]);
    expect(routed()).toEqual([]);
  });

  test('what is not registered, and what drains already, is deregistered without an error', async () => {
    const { world, ids, register, deregister, health } = await balanced();
    await register([ids[0]!]);
    await deregister(ids);
    await world.clock.advance(200_000);
    await deregister(ids);
    await world.clock.advance(100_000);
    expect(await health()).toEqual([]);
  });

  test('one that is registered again while it drains begins anew', async () => {
    const { world, ids, register, deregister, health } = await balanced({ capacity: 1 });
    await register();
    await world.clock.advance(25_000);
    await deregister();
    await register(ids);
    await world.clock.settle();
    expect(await health()).toEqual(['initial Elb.InitialHealthChecking']);
    await world.clock.advance(10 * MINUTE);
    expect(await health()).toEqual(['healthy']);
  });

  test('a group that is not in use lets its targets go at once', async () => {
    const { arn, call, register, deregister, health } = await balanced();
    await call('DeleteListener', { ListenerArn: arn.listener });
    await register();
    expect(await health()).toEqual(['unused Target.NotInUse', 'unused Target.NotInUse']);
    await deregister();
    expect(await health()).toEqual([]);
  });

  test('the region stops while targets are registered, checked and drained', async () => {
    const { world, ids, arn, call, register, deregister } = await balanced({
      delays: { registerTarget: 60_000, deregisterTarget: 60_000 },
    });
    world.machines.onCheck = () => new Promise(() => undefined);
    await register();
    await world.clock.advance(61_000);
    await deregister([ids[0]!]);
    await call('RegisterTargets', { TargetGroupArn: arn.group, Targets: [{ Id: ids[1], Port: 81 }] });
    await world.clock.finish(world.region.stop(), 1_000);
  });
});

// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html , API_RemoveTags.html
// and API_DescribeTags.html there
describe('tags', () => {
  test('they are added, replaced, removed and described, of up to 20 resources at once', async () => {
    const { arn, call, refusal } = await balanced();
    const ResourceArns = [arn.balancer, arn.group, arn.listener];
    await call('AddTags', {
      ResourceArns,
      Tags: [
        { Key: 'team', Value: 'a' },
        { Key: 'stage', Value: 'x' },
      ],
    });
    await call('AddTags', { ResourceArns: [arn.group], Tags: [{ Key: 'team', Value: 'b' }] });
    await call('RemoveTags', { ResourceArns, TagKeys: ['stage', 'none'] });
    const { TagDescriptions } = await call('DescribeTags', { ResourceArns });
    const own = (tags: { Key: string; Value: string }[]) => tags.filter(({ Key }) => !Key.startsWith('aws:'));
    expect(TagDescriptions.map(({ ResourceArn, Tags }: any) => [ResourceArn, own(Tags)])).toEqual(
      ResourceArns.map((each) => [each, [{ Key: 'team', Value: each === arn.group ? 'b' : 'a' }]]),
    );
    expect(await refusal('DescribeTags', { ResourceArns: Array(21).fill(arn.group) })).toMatch(
      /^ValidationError: Cannot have more than 20 resources described/,
    );
    expect(
      await refusal('DescribeTags', {
        ResourceArns: ['arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/net/a/b/c'],
      }),
    ).toMatch(/^ListenerNotFound/);
  });

  test('a key twice is DuplicateTagKeys, more than 50 are TooManyTags', async () => {
    const { arn, refusal } = await balanced();
    const add = (Tags: { Key: string; Value: string }[]) => refusal('AddTags', { ResourceArns: [arn.group], Tags });
    expect(
      await add([
        { Key: 'a', Value: '1' },
        { Key: 'a', Value: '2' },
      ]),
    ).toMatch(/^DuplicateTagKeys/);
    expect(await add(Array.from({ length: 51 }, (_, n) => ({ Key: `k${n}`, Value: '' })))).toMatch(/^TooManyTags/);
  });

  test('what a template makes has its tags and those of CloudFormation', async () => {
    const { world, arn, call } = await balanced({ more: targetGroup({ Tags: [{ Key: 'team', Value: 'a' }] }) });
    const {
      TagDescriptions: [{ Tags }],
    } = await call('DescribeTags', { ResourceArns: [arn.group] });
    expect(Tags).toEqual(
      expect.arrayContaining([
        { Key: 'team', Value: 'a' },
        { Key: 'aws:cloudformation:logical-id', Value: 'Targets' },
      ]),
    );
    expect(world.region.loadBalancers()[0]!.tags).toMatchObject({ 'aws:cloudformation:logical-id': 'Balancer' });
  });
});

// Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/AWS_ElasticLoadBalancingV2.html
describe('templates', () => {
  const all: Resources = { ...network, ...balancer({ Name: 'front' }), ...targetGroup({ Name: 'web' }), ...listener() };

  test('resources have their attributes', async () => {
    const world = new World();
    const get = (id: string, attribute: string) => ({ Value: { 'Fn::GetAtt': [id, attribute] } });
    const record = {
      Type: 'AWS::Route53::RecordSet',
      Properties: {
        Name: 'app.example.com',
        Type: 'A',
        HostedZoneId: 'Z1',
        AliasTarget: {
          DNSName: { 'Fn::GetAtt': ['Balancer', 'DNSName'] },
          HostedZoneId: { 'Fn::GetAtt': ['Balancer', 'CanonicalHostedZoneID'] },
        },
      },
    };
    const outputs = await world.create(
      { ...all, Record: record },
      {
        Outputs: {
          Full: get('Balancer', 'LoadBalancerFullName'),
          Name: get('Balancer', 'LoadBalancerName'),
          Dns: get('Balancer', 'DNSName'),
          Zone: get('Balancer', 'CanonicalHostedZoneID'),
          Group: get('Targets', 'TargetGroupFullName'),
          GroupName: get('Targets', 'TargetGroupName'),
          Used: { Value: { 'Fn::Join': [',', { 'Fn::GetAtt': ['Targets', 'LoadBalancerArns'] }] } },
          Listener: get('Listener', 'ListenerArn'),
          Record: { Value: { Ref: 'Record' } },
        },
      },
    );
    expect(outputs).toEqual({
      Full: expect.stringMatching(/^net\/front\/[0-9a-f]{16}$/),
      Name: 'front',
      Dns: expect.stringMatching(/^front-[0-9a-f]{16}\.elb\.us-east-1\.amazonaws\.com$/),
      Zone: 'Z26RNL4JYFTOTI',
      Group: expect.stringMatching(/^targetgroup\/web\/[0-9a-f]{16}$/),
      GroupName: 'web',
      Used: world.physicalId('Balancer'),
      Listener: world.physicalId('Listener'),
      Record: 'app.example.com',
    });
  });

  test('health checks, attributes, actions, certificates and security groups change in place', async () => {
    const world = new World();
    const groups = (name: string) => ({
      [name]: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: name, VpcId: { Ref: 'Vpc' } } },
    });
    const shared = { ...all, ...groups('One'), ...groups('Two'), Other: targetGroup().Targets! };
    await world.create({
      ...shared,
      ...balancer({ Name: 'front', SecurityGroups: [{ Ref: 'One' }] }),
      ...listener({ Protocol: 'TLS', Certificates: [{ CertificateArn: CERTIFICATE }] }),
    });
    const before = world.region.stackResources('Stack').map(({ physicalId }) => physicalId);
    await world.update({
      ...shared,
      ...balancer({
        Name: 'front',
        SecurityGroups: [{ Ref: 'Two' }],
        LoadBalancerAttributes: [{ Key: 'load_balancing.cross_zone.enabled', Value: 'true' }],
      }),
      ...targetGroup({
        Name: 'web',
        HealthCheckIntervalSeconds: 20,
        HealthyThresholdCount: undefined,
        TargetGroupAttributes: [{ Key: 'deregistration_delay.timeout_seconds', Value: '30' }],
      }),
      ...listener({
        Protocol: 'TLS',
        Certificates: [{ CertificateArn: `${CERTIFICATE}0` }],
        SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
        DefaultActions: [{ Type: 'forward', TargetGroupArn: { Ref: 'Other' } }],
      }),
    });
    expect(world.region.stackResources('Stack').map(({ physicalId }) => physicalId)).toEqual(before);
    expect(
      (await world.call('elasticloadbalancing', 'DescribeTargetGroups', { Names: ['web'] })).TargetGroups,
    ).toMatchObject([{ HealthCheckIntervalSeconds: 20, HealthyThresholdCount: 5, LoadBalancerArns: [] }]);
    expect(
      (await world.call('elasticloadbalancing', 'DescribeListeners', { ListenerArns: [world.physicalId('Listener')] }))
        .Listeners,
    ).toMatchObject([
      {
        Certificates: [{ CertificateArn: `${CERTIFICATE}0` }],
        SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
        DefaultActions: [{ TargetGroupArn: world.physicalId('Other') }],
      },
    ]);
    expect(world.region.loadBalancers()).toMatchObject([{ securityGroups: [world.physicalId('Two')] }]);
  });

  test('tags change in place, and those that others have added stay', async () => {
    const world = new World();
    const tagged = (...Tags: { Key: string; Value: string }[]) => ({
      ...all,
      ...balancer({ Name: 'front', Tags }),
      ...targetGroup({ Name: 'web', Tags }),
    });
    await world.create(tagged({ Key: 'a', Value: '1' }, { Key: 'b', Value: '1' }));
    const ResourceArns = [world.physicalId('Balancer'), world.physicalId('Targets')];
    await world.call('elasticloadbalancing', 'AddTags', { ResourceArns, Tags: [{ Key: 'c', Value: '1' }] });
    await world.update(tagged({ Key: 'a', Value: '2' }));
    const { TagDescriptions } = await world.call('elasticloadbalancing', 'DescribeTags', { ResourceArns });
    for (const { Tags } of TagDescriptions)
      expect(
        Tags.filter(({ Key }: any) => !Key.startsWith('aws:')).sort((a: any, b: any) => a.Key.localeCompare(b.Key)),
      ).toEqual([
        { Key: 'a', Value: '2' },
        { Key: 'c', Value: '1' },
      ]);
  });

  test.each([
    ['a load balancer', balancer({ Name: 'front', Scheme: 'internet-facing' }), 'does not know how to change Scheme'],
    ['a target group', targetGroup({ Name: 'web', Port: 81 }), 'does not know how to change Port'],
  ])('what would make another one of %s is refused', async (_, change, message) => {
    const world = new World();
    await world.create(all);
    await expect(world.update({ ...all, ...change })).rejects.toThrow(message);
  });

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
  test('one made without security groups gets none later', async () => {
    const world = new World();
    await world.create({
      ...all,
      Sg: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'x', VpcId: { Ref: 'Vpc' } } },
    });
    await expect(
      world.update({
        ...all,
        Sg: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'x', VpcId: { Ref: 'Vpc' } } },
        ...balancer({ Name: 'front', SecurityGroups: [{ Ref: 'Sg' }] }),
      }),
    ).rejects.toThrow(
      'You cannot set security groups on a Network Load Balancer that was created without a security group.',
    );
  });

  test('a listener takes more certificates only where its protocol is TLS', async () => {
    const more = {
      More: {
        Type: 'AWS::ElasticLoadBalancingV2::ListenerCertificate',
        Properties: { ListenerArn: { Ref: 'Listener' }, Certificates: [{ CertificateArn: `${CERTIFICATE}0` }] },
      },
    };
    await expect(new World().create({ ...all, ...more })).rejects.toThrow(
      'A certificate cannot be specified for TCP listeners',
    );
    const world = new World();
    await world.create({
      ...all,
      ...listener({ Protocol: 'TLS', Certificates: [{ CertificateArn: CERTIFICATE }] }),
      ...more,
    });
    await world.delete();
    expect(world.region.remains()).toEqual([]);
  });

  test('a name that there is already fails the stack', async () => {
    await expect(new World().create({ ...all, Again: targetGroup({ Name: 'web' }).Targets! })).rejects.toThrow(
      "A target group with the same name 'web' exists",
    );
  });
});

describe('permissions', () => {
  /** Calls as the role of an instance, which has just these statements. */
  async function as(...statements: Record<string, any>[]) {
    const role = {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: trust('ec2'),
        Policies: [{ PolicyName: 'own', PolicyDocument: policy(...statements) }],
      },
    };
    const { world, ids, arn } = await balanced({
      more: { Role: role, ...targetGroup({ Tags: [{ Key: 'team', Value: 'a' }] }) },
    });
    world.denying = true;
    const { accessKeyId } = world.region.credentialsFor(ids[0]!)!;
    const outcome = (action: string, input: Record<string, any>) =>
      world.region.call({ service: 'elasticloadbalancing', action, input, accessKeyId }).then(
        () => 'allowed',
        (error) => `${error.code} ${/elasticloadbalancing:\w+ on resource: \S+/.exec(error.message)?.[0]}`,
      );
    return { world, ids, arn, outcome };
  }

  // Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html
  test('making a target group with tags needs AddTags for that action', async () => {
    const create = {
      Action: 'elasticloadbalancing:CreateTargetGroup',
      Resource: 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/app-*/*',
      Condition: { StringEquals: { 'aws:RequestTag/team': 'a' } },
    };
    const tag = {
      Action: 'elasticloadbalancing:AddTags',
      Resource: 'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/app-*/*',
      Condition: { StringEquals: { 'elasticloadbalancing:CreateAction': 'CreateTargetGroup' } },
    };
    const input = (world: World, Name: string, Value = 'a') => ({
      Name,
      Protocol: 'TCP',
      Port: 80,
      VpcId: world.physicalId('Vpc'),
      Tags: [{ Key: 'team', Value }],
    });
    const without = await as(create);
    expect(await without.outcome('CreateTargetGroup', input(without.world, 'app-1'))).toBe(
      'AccessDenied elasticloadbalancing:AddTags on resource: ' +
        'arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/app-1/*',
    );
    const { world, arn, outcome } = await as(create, tag);
    expect(await outcome('CreateTargetGroup', input(world, 'app-1'))).toBe('allowed');
    expect(await outcome('CreateTargetGroup', input(world, 'app-2', 'b'))).toMatch(
      /^AccessDenied elasticloadbalancing:CreateTargetGroup/,
    );
    expect(await outcome('CreateTargetGroup', input(world, 'other'))).toMatch(
      /^AccessDenied elasticloadbalancing:CreateTargetGroup/,
    );
    expect(await outcome('AddTags', { ResourceArns: [arn.group], Tags: [{ Key: 'team', Value: 'b' }] })).toMatch(
      /^AccessDenied elasticloadbalancing:AddTags/,
    );
  });

  // Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
  test.each(['aws', 'elasticloadbalancing'])(
    'targets may be registered by the tags of their group, as %s:ResourceTag',
    async (prefix) => {
      const { ids, arn, outcome } = await as({
        Action: 'elasticloadbalancing:RegisterTargets',
        Condition: { StringEquals: { [`${prefix}:ResourceTag/team`]: 'a' } },
      });
      const input = { TargetGroupArn: arn.group, Targets: [{ Id: ids[0] }] };
      expect(await outcome('RegisterTargets', input)).toBe('allowed');
      expect(await outcome('DeregisterTargets', input)).toBe(
        `AccessDenied elasticloadbalancing:DeregisterTargets on resource: ${arn.group}`,
      );
      const { arn: other, outcome: denied } = await as({
        Action: 'elasticloadbalancing:RegisterTargets',
        Condition: { StringEquals: { [`${prefix}:ResourceTag/team`]: 'b' } },
      });
      expect(await denied('RegisterTargets', { ...input, TargetGroupArn: other.group })).toMatch(/^AccessDenied/);
    },
  );
});

test('an action, and a member of one, that is not known is an error that names it', async () => {
  const { refusal } = await balanced({ capacity: 0 });
  expect(await refusal('CreateRule')).toContain('elasticloadbalancing:CreateRule');
  expect(await refusal('DescribeTags', { ResourceArns: [], Other: 1 })).toContain(
    'does not know Other of DescribeTags',
  );
});

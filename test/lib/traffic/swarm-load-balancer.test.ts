/** Load balancers: listeners, target groups, security group rules, and the function that registers their targets. */
import { type App, Duration, Stack, Token } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { ListenerCertificate, Protocol, SslPolicy } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Topic } from 'aws-cdk-lib/aws-sns';
import * as v from 'valibot';
import {
  SwarmCluster,
  SwarmLoadBalancer,
  type LoadBalancerOptions,
  type SwarmClusterProps,
  type SwarmListener,
} from '../../../lib';
import { checkLoadBalancerZones } from '../../../lib/core/listeners';
import { loadBalancersSchema } from '../../../protocol/following';
import { decodeServedBy } from '../../../protocol/targets';
import { problems, synthesise, textOf, type Resource } from '../synthesise';

const CERTIFICATE = ListenerCertificate.fromArn(
  'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555',
);

const withLoadBalancer = (options: LoadBalancerOptions, props: SwarmClusterProps = {}) =>
  synthesise(props, (cluster) => void cluster.addLoadBalancer('Public', options));
const refused = (options: LoadBalancerOptions, props: SwarmClusterProps = {}) =>
  problems(props, (cluster) => void cluster.addLoadBalancer('Public', options));
const only = (resources: Record<string, Resource>, part = '') =>
  Object.entries(resources).find(([id]) => id.includes(part))![1].Properties;
const ingress = (of: (type: string) => Record<string, Resource>, from: RegExp) =>
  Object.values(of('AWS::EC2::SecurityGroupIngress'))
    .map(
      ({ Properties }) =>
        ({
          ...Properties,
          source: JSON.stringify(Properties.SourceSecurityGroupId ?? Properties.CidrIp),
          to: JSON.stringify(Properties.GroupId),
        }) as Record<string, any>,
    )
    .filter(({ source }) => from.test(source))
    .map(
      ({ IpProtocol, FromPort, ToPort, to }) =>
        `${IpProtocol} ${FromPort === ToPort ? FromPort : `${FromPort}-${ToPort}`} ` +
        `${/Public/.test(to) ? 'balancer' : 'nodes'}`,
    );

/** Attributes for connections to an unhealthy target: whether they end at once, or else how long they continue. */
const unhealthyConnections = (endAtOnce: string, seconds: string) => [
  { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: endAtOnce },
  { Key: 'target_health_state.unhealthy.draining_interval_seconds', Value: seconds },
];

test('it is in the public subnets of all zones, has a security group, and forwards across zones', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80 }] });
  expect(only(of('AWS::ElasticLoadBalancingV2::LoadBalancer'))).toMatchObject({
    Type: 'network',
    Scheme: 'internet-facing',
    Subnets: [1, 2, 3].map((n) => ({ Ref: expect.stringContaining(`PublicSubnet${n}`) })),
    SecurityGroups: [{ 'Fn::GetAtt': [expect.stringContaining('PublicSecurityGroup'), 'GroupId'] }],
    LoadBalancerAttributes: expect.arrayContaining([{ Key: 'load_balancing.cross_zone.enabled', Value: 'true' }]),
  });
});

test('a listener has a target group whose tags name cluster and nodes, and whose health check asks the agent', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80, targetPort: 8080 }] });
  const [groupId] = Object.keys(of('AWS::ElasticLoadBalancingV2::TargetGroup'));
  expect(only(of('AWS::ElasticLoadBalancingV2::Listener'))).toMatchObject({
    Port: 80,
    Protocol: 'TCP',
    DefaultActions: [{ Type: 'forward', TargetGroupArn: { Ref: groupId } }],
  });
  const group = only(of('AWS::ElasticLoadBalancingV2::TargetGroup'));
  expect(group).toMatchObject({
    Port: 8080,
    Protocol: 'TCP',
    TargetType: 'instance',
    HealthCheckProtocol: 'HTTP',
    HealthCheckPort: '2378',
    HealthCheckPath: '/health',
    HealthCheckIntervalSeconds: 10,
    HealthyThresholdCount: 2,
    UnhealthyThresholdCount: 2,
    TargetGroupAttributes: [
      { Key: 'deregistration_delay.timeout_seconds', Value: '30' },
      ...unhealthyConnections('false', '30'),
    ],
    Tags: [
      { Key: 'cdk-docker-swarm:cluster', Value: 'Test/Swarm' },
      { Key: 'cdk-docker-swarm:served-by', Value: 'all' },
    ],
  });
  // target-update registers the targets.
  expect(group.Targets).toBeUndefined();
});

test('anyone may connect to the listeners; the nodes admit the load balancer on target and health check ports', () => {
  const { of } = withLoadBalancer({
    listeners: [
      { port: 80, targetPort: 8080 },
      { port: 53, protocol: Protocol.TCP_UDP },
      { port: 81, targetPort: 8080 },
    ],
  });
  expect(ingress(of, /0\.0\.0\.0\/0/).sort()).toEqual([
    'tcp 53 balancer',
    'tcp 80 balancer',
    'tcp 81 balancer',
    'udp 53 balancer',
  ]);
  expect(ingress(of, /PublicSecurityGroup/).sort()).toEqual([
    'tcp 2378 nodes',
    'tcp 53 nodes',
    'tcp 8080 nodes',
    'udp 53 nodes',
  ]);
});

test('an internal load balancer is in the nodes’ subnets and admits the VPC; `clients` replaces the default', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80 }], internal: true });
  expect(only(of('AWS::ElasticLoadBalancingV2::LoadBalancer'))).toMatchObject({
    Scheme: 'internal',
    Subnets: [1, 2, 3].map((n) => ({ Ref: expect.stringContaining(`NodesSubnet${n}`) })),
  });
  expect(ingress(of, /CidrBlock/)).toEqual(['tcp 80 balancer']);
  expect(ingress(of, /0\.0\.0\.0\/0/)).toEqual([]);
  const named = withLoadBalancer({ listeners: [{ port: 80 }], clients: [ec2.Peer.ipv4('192.0.2.0/24')] });
  expect(ingress(named.of, /192\.0\.2\.0/)).toEqual(['tcp 80 balancer']);
  expect(ingress(named.of, /0\.0\.0\.0\/0/)).toEqual([]);
});

test('a listener with certificates is TLS, and forwards TCP to the nodes by default', () => {
  const { of } = withLoadBalancer({
    listeners: [
      { port: 443, targetPort: 80, certificates: [CERTIFICATE] },
      { port: 8443, certificates: [CERTIFICATE], targetProtocol: Protocol.TLS },
    ],
  });
  const [first, second] = Object.values(of('AWS::ElasticLoadBalancingV2::Listener')).map(
    ({ Properties }) => Properties,
  );
  expect(first).toMatchObject({
    Protocol: 'TLS',
    Certificates: [{ CertificateArn: CERTIFICATE.certificateArn }],
    SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
  });
  expect(second).toMatchObject({ Protocol: 'TLS' });
  expect(
    Object.values(of('AWS::ElasticLoadBalancingV2::TargetGroup')).map(({ Properties }) => Properties.Protocol),
  ).toEqual(['TCP', 'TLS']);
});

test('the nodes behind it can be chosen, for all listeners or for one', () => {
  const { of } = synthesise({}, (cluster) => {
    const [web, api] = ['Web', 'Api'].map((id) => cluster.addWorkers(id));
    cluster.addLoadBalancer('Public', {
      listeners: [{ port: 80 }, { port: 81, nodes: 'managers' }, { port: 82, nodes: 'workers' }],
      nodes: [web!, api!],
    });
  });
  const groups = Object.keys(of('AWS::AutoScaling::AutoScalingGroup')).filter((id) => /Web|Api/.test(id));
  const tags = Object.values(of('AWS::ElasticLoadBalancingV2::TargetGroup')).map(({ Properties }) =>
    decodeServedBy(Properties.Tags.find(({ Key }: { Key: string }) => Key === 'cdk-docker-swarm:served-by').Value),
  );
  expect(tags).toEqual([{ groups }, 'managers', 'workers']);
});

test('health checks, delays, zones and the client’s address can be chosen', () => {
  const { of } = withLoadBalancer({
    listeners: [{ port: 80 }, { port: 81, healthCheck: { port: 8081 } }],
    healthCheck: {
      port: 8080,
      path: '/ready',
      interval: Duration.seconds(5),
      healthyThreshold: 3,
      unhealthyThreshold: 4,
    },
    deregistrationDelay: Duration.minutes(2),
    crossZone: false,
    preserveClientAddress: false,
    proxyProtocol: true,
  });
  const [first, second] = Object.values(of('AWS::ElasticLoadBalancingV2::TargetGroup')).map(
    ({ Properties }) => Properties,
  );
  expect(first).toMatchObject({
    HealthCheckProtocol: 'HTTP',
    HealthCheckPort: '8080',
    HealthCheckPath: '/ready',
    HealthCheckIntervalSeconds: 5,
    HealthyThresholdCount: 3,
    UnhealthyThresholdCount: 4,
  });
  expect(second).toMatchObject({ HealthCheckProtocol: 'TCP', HealthCheckPort: '8081' });
  expect(second!.HealthCheckPath).toBeUndefined();
  expect(first!.TargetGroupAttributes).toEqual(
    expect.arrayContaining([
      { Key: 'deregistration_delay.timeout_seconds', Value: '120' },
      { Key: 'preserve_client_ip.enabled', Value: 'false' },
      { Key: 'proxy_protocol_v2.enabled', Value: 'true' },
    ]),
  );
  expect(only(of('AWS::ElasticLoadBalancingV2::LoadBalancer')).LoadBalancerAttributes).toContainEqual({
    Key: 'load_balancing.cross_zone.enabled',
    Value: 'false',
  });
  expect(ingress(of, /PublicSecurityGroup/).sort()).toEqual([
    'tcp 80 nodes',
    'tcp 8080 nodes',
    'tcp 8081 nodes',
    'tcp 81 nodes',
  ]);
});

test('what two load balancers cannot share has an id by scheme, so that the new one can be created first', () => {
  const ids = (internal: boolean) => {
    const { of } = withLoadBalancer({ listeners: [{ port: 80 }], followPublishedPorts: true, internal });
    return ['AWS::ElasticLoadBalancingV2::TargetGroup', 'AWS::EC2::SecurityGroup'].flatMap((type) =>
      Object.keys(of(type)).filter((id) => id.includes('Public')),
    );
  };
  expect(ids(false)).toHaveLength(2);
  expect(ids(true).filter((id) => ids(false).includes(id))).toEqual([]);
});

test('TCP connections to an unhealthy node continue unless the delay is 0; only TCP and TLS have that setting', () => {
  const { of } = withLoadBalancer({
    listeners: [{ port: 80 }, { port: 53, protocol: Protocol.TCP_UDP }],
    deregistrationDelay: Duration.seconds(0),
  });
  expect(
    Object.values(of('AWS::ElasticLoadBalancingV2::TargetGroup')).map(
      ({ Properties }) => Properties.TargetGroupAttributes,
    ),
  ).toEqual([
    [{ Key: 'deregistration_delay.timeout_seconds', Value: '0' }, ...unhealthyConnections('true', '0')],
    [{ Key: 'deregistration_delay.timeout_seconds', Value: '0' }],
  ]);
});

test('with a health check port, connections to a leaving node continue until the load balancer knows', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80, healthCheck: { port: 80 } }] });
  expect(only(of('AWS::ElasticLoadBalancingV2::TargetGroup')).TargetGroupAttributes).toEqual([
    { Key: 'deregistration_delay.timeout_seconds', Value: '120' },
    ...unhealthyConnections('true', '0'),
  ]);
});

test('it can have an alias record, and log TLS connections to a bucket', () => {
  const { of } = synthesise(
    {},
    (cluster, stack) =>
      void cluster.addLoadBalancer('Public', {
        listeners: [
          {
            port: 443,
            certificates: [Certificate.fromCertificateArn(stack, 'Certificate', CERTIFICATE.certificateArn)],
          },
        ],
        accessLogs: { bucket: new Bucket(stack, 'Logs'), prefix: 'swarm' },
        alias: {
          zone: HostedZone.fromHostedZoneAttributes(stack, 'Zone', { hostedZoneId: 'Z1', zoneName: 'example.com' }),
          recordName: 'www',
        },
      }),
    { stack: { env: { account: '123456789012', region: 'us-east-1' } } },
  );
  expect(only(of('AWS::ElasticLoadBalancingV2::LoadBalancer')).LoadBalancerAttributes).toEqual(
    expect.arrayContaining([{ Key: 'access_logs.s3.prefix', Value: 'swarm' }]),
  );
  expect(only(of('AWS::Route53::RecordSet'))).toMatchObject({
    Name: 'www.example.com.',
    Type: 'A',
    AliasTarget: { HostedZoneId: { 'Fn::GetAtt': [expect.any(String), 'CanonicalHostedZoneID'] } },
  });
});

test('one function serves all load balancers, woken by the sweep, the stack’s instances, and leader-token', () => {
  const { of, template } = synthesise({}, (cluster) => {
    cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }] });
    cluster.addLoadBalancer('Inner', { listeners: [{ port: 80 }], internal: true });
  });
  const functions = Object.values(of('AWS::Lambda::Function')).map(
    ({ Properties }) => Properties.Environment.Variables,
  );
  const [updater] = functions.filter((variables) => variables.LOAD_BALANCERS);
  expect(Object.keys(updater).sort()).toEqual(['CLUSTER', 'JOIN_QUEUE_URL', 'LOAD_BALANCERS', 'TOKEN_TABLE']);
  expect(functions.filter((variables) => variables.LOAD_BALANCED === 'true' && variables.SEATS)).toHaveLength(2);
  expect(JSON.parse(textOf(updater.LOAD_BALANCERS))).toEqual(
    ['Public', 'Inner'].map((id) => ({
      arn: expect.stringContaining(`${id}LoadBalancer`),
      securityGroupId: expect.stringMatching(`${id}(Internal)?SecurityGroup`),
    })),
  );
  const queue = { Ref: Object.keys(of('AWS::SQS::Queue')).find((id) => id.includes('TargetQueue')) };
  expect(functions.filter((variables) => variables.TARGETS_QUEUE_URL)).toEqual([
    expect.objectContaining({ TARGETS_QUEUE_URL: queue, MANAGER_ROLE_ID: expect.anything() }),
  ]);
  const rules = Object.values(of('AWS::Events::Rule')).filter(({ Properties }) =>
    Properties.Targets.some(({ Arn }: { Arn: any }) => Arn['Fn::GetAtt'][0] === queue.Ref),
  );
  expect(
    rules.map(({ Properties }) => Properties.ScheduleExpression ?? Properties.EventPattern['detail-type']),
  ).toEqual([
    'rate(1 minute)',
    ['EC2 Instance Launch Successful', 'EC2 Instance-terminate Lifecycle Action', 'EC2 Instance Terminate Successful'],
  ]);
  expect(JSON.stringify(rules[1]!.Properties.EventPattern.detail)).toBe(
    '{"AutoScalingGroupName":[{"prefix":{"Fn::Join":["",[{"Ref":"AWS::StackName"},"-"]]}}]}',
  );
  template.resourceCountIs('AWS::Lambda::Function', 4);
  // It deregisters nodes when the stack is deleted, so it must be deleted after them.
  const mapping = Object.entries(of('AWS::Lambda::EventSourceMapping')).find(([id]) =>
    id.includes('TargetMessages'),
  )![0];
  for (const { DependsOn } of Object.values(of('AWS::AutoScaling::AutoScalingGroup')))
    expect(DependsOn).toContain(mapping);
});

/** Sid, actions, resources and condition of each statement of target-update. */
function statementsOf(of: (type: string) => Record<string, Resource>) {
  const role = Object.entries(of('AWS::IAM::Role')).find(([id]) => id.includes('TargetUpdateRole'))![1];
  const statements = role.Properties.Policies[0].PolicyDocument.Statement as {
    Sid: string;
    Action: string | string[];
    Resource: any;
    Condition?: any;
  }[];
  return statements.map(({ Sid, Action, Resource, Condition }) => [
    Sid,
    [Action].flat().join(' '),
    textOf(Resource).replaceAll(/[0-9A-F]{8}/g, ''),
    ...(Condition ? [Condition] : []),
  ]);
}

const ELB = 'arn:<AWS::Partition>:elasticloadbalancing:<AWS::Region>:<AWS::AccountId>';
const SECURITY_GROUP =
  'arn:<AWS::Partition>:ec2:<AWS::Region>:<AWS::AccountId>:security-group/<SwarmPublicSecurityGroup.GroupId>';
const ofCluster = { StringEquals: { 'aws:ResourceTag/cdk-docker-swarm:cluster': 'Test/Swarm' } };
const ofFollowed = { ...ofCluster, StringLike: { 'aws:ResourceTag/cdk-docker-swarm:followed': '*' } };

test('target-update may do exactly this', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80 }] });
  const ofPartition = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['cluster'] } };
  expect(statementsOf(of)).toEqual([
    ['WriteLogs', 'logs:CreateLogStream logs:PutLogEvents', '<SwarmTargetUpdaterTargetUpdateLogs.Arn>'],
    ['ReadSwarm', 'dynamodb:Query', '<SwarmTablesTokens.Arn>', ofPartition],
    ['HoldLeaseAndTell', 'dynamodb:UpdateItem', '<SwarmTablesTokens.Arn>', ofPartition],
    ['SeeGroups', 'autoscaling:DescribeAutoScalingGroups', '*'],
    [
      'SeeTargets',
      'elasticloadbalancing:DescribeTags elasticloadbalancing:DescribeTargetGroups ' +
        'elasticloadbalancing:DescribeTargetHealth',
      '*',
    ],
    [
      'ChangeTargets',
      'elasticloadbalancing:DeregisterTargets elasticloadbalancing:RegisterTargets',
      `${ELB}:targetgroup/*/*`,
      ofCluster,
    ],
    ['SeeListeners', 'elasticloadbalancing:DescribeListeners ec2:DescribeSecurityGroupRules', '*'],
    ['RemoveListeners', 'elasticloadbalancing:DeleteListener', `${ELB}:listener/net/*/*/*`, ofFollowed],
    ['RemoveTargetGroups', 'elasticloadbalancing:DeleteTargetGroup', `${ELB}:targetgroup/swarm-*/*`, ofFollowed],
    ['ClosePorts', 'ec2:RevokeSecurityGroupIngress', SECURITY_GROUP],
    ['SendMessages', 'sqs:SendMessage', '<SwarmLifecycleJoinQueue.Arn>'],
    [
      'ReceiveMessages',
      'sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes sqs:ChangeMessageVisibility',
      '<SwarmTargetUpdaterTargetQueue.Arn>',
    ],
  ]);
});

describe('following published ports', () => {
  it('lets target-update create what has the cluster’s tag, change what it created, and open the load balancer', () => {
    const { of } = withLoadBalancer({ followPublishedPorts: true });
    const tagged = { 'aws:RequestTag/cdk-docker-swarm:cluster': 'Test/Swarm' };
    expect(statementsOf(of).slice(12)).toEqual([
      [
        'MakeTargetGroups',
        'elasticloadbalancing:CreateTargetGroup',
        `${ELB}:targetgroup/swarm-*/*`,
        { StringEquals: tagged },
      ],
      ['MakeListeners', 'elasticloadbalancing:CreateListener', '<SwarmPublicLoadBalancer>', { StringEquals: tagged }],
      [
        'TagWhatIsMade',
        'elasticloadbalancing:AddTags',
        `${ELB}:targetgroup/swarm-*/* ${ELB}:listener/net/*/*/*`,
        { StringEquals: { ...tagged, 'elasticloadbalancing:CreateAction': ['CreateTargetGroup', 'CreateListener'] } },
      ],
      [
        'ChangeTargetGroups',
        'elasticloadbalancing:AddTags elasticloadbalancing:ModifyTargetGroup ' +
          'elasticloadbalancing:ModifyTargetGroupAttributes',
        `${ELB}:targetgroup/swarm-*/*`,
        ofFollowed,
      ],
      ['ChangeListeners', 'elasticloadbalancing:ModifyListener', `${ELB}:listener/net/*/*/*`, ofFollowed],
      ['OpenPorts', 'ec2:AuthorizeSecurityGroupIngress', SECURITY_GROUP],
      [
        'TellOfPorts',
        'events:PutEvents',
        'arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>:event-bus/default',
        { 'ForAnyValue:StringEquals': { 'events:source': 'cdk-docker-swarm' } },
      ],
    ]);
  });

  const settingsOf = (of: (type: string) => Record<string, Resource>) => {
    const variables = Object.values(of('AWS::Lambda::Function'))
      .map(({ Properties }) => Properties.Environment.Variables)
      .find(({ LOAD_BALANCERS }) => LOAD_BALANCERS !== undefined);
    return v.parse(loadBalancersSchema, JSON.parse(textOf(variables.LOAD_BALANCERS)))[0]!.follows;
  };

  it('opens the range on the nodes to the load balancer, and admits no client before a port is published', () => {
    const { of } = withLoadBalancer({ followPublishedPorts: { from: 8000, to: 8999 } });
    expect(ingress(of, /Public/)).toEqual(['tcp 8000-8999 nodes', 'udp 8000-8999 nodes', 'tcp 2378 nodes']);
    expect(ingress(of, /0\.0\.0\.0/)).toEqual([]);
    expect(Object.keys(of('AWS::ElasticLoadBalancingV2::Listener'))).toEqual([]);
  });

  it('gives target-update all settings for listeners and target groups', () => {
    const { of } = withLoadBalancer({
      listeners: [{ port: 443, certificates: [CERTIFICATE] }],
      followPublishedPorts: { from: 8000, to: 8999, sslPolicy: SslPolicy.TLS13_13 },
      nodes: 'workers',
      clients: [ec2.Peer.ipv4('192.0.2.0/24'), ec2.Peer.ipv6('2001:db8::/32'), ec2.Peer.prefixList('pl-1')],
      healthCheck: { interval: Duration.seconds(20), unhealthyThreshold: 3 },
      deregistrationDelay: Duration.minutes(1),
      preserveClientAddress: false,
      proxyProtocol: true,
    });
    expect(settingsOf(of)).toEqual({
      from: 8000,
      to: 8999,
      declared: [443],
      served: [443],
      vpcId: expect.stringContaining('Vpc'),
      clients: [{ cidrIp: '192.0.2.0/24' }, { cidrIpv6: '2001:db8::/32' }, { sourcePrefixListId: 'pl-1' }],
      servedBy: 'workers',
      healthCheck: { interval: 20, timeout: 6, healthy: 2, unhealthy: 3 },
      deregistrationDelay: 60,
      preserveClientAddress: false,
      proxyProtocol: true,
      sslPolicy: 'ELBSecurityPolicy-TLS13-1-3-2021-06',
    });
    expect(settingsOf(withLoadBalancer({ followPublishedPorts: true }).of)).toMatchObject({
      from: 1,
      to: 65_535,
      declared: [],
      clients: [{ cidrIp: '0.0.0.0/0' }],
      servedBy: 'all',
      healthCheck: { interval: 5, timeout: 4, healthy: 2, unhealthy: 2 },
    });
  });

  it('frees the port of a declared listener before the listener and its rule are created', () => {
    const { of } = withLoadBalancer({ listeners: [{ port: 80 }], followPublishedPorts: true });
    const [[id, following]] = Object.entries(of('Custom::SwarmFollowedPorts')) as [[string, Resource]];
    expect(following.Properties).toMatchObject({
      DeclaredPorts: [80],
      LoadBalancerArn: { Ref: expect.any(String) },
      ServiceToken: expect.anything(),
    });
    expect(only(of('AWS::ElasticLoadBalancingV2::Listener') as never)).toBeDefined();
    expect(Object.values(of('AWS::ElasticLoadBalancingV2::Listener')).map(({ DependsOn }) => DependsOn)).toEqual([
      [id],
    ]);
    const rules = Object.values(of('AWS::EC2::SecurityGroupIngress')).filter(
      ({ Properties }) => Properties.CidrIp === '0.0.0.0/0',
    );
    expect(rules.map(({ DependsOn }) => DependsOn)).toEqual([[id]]);
  });

  it.each<[string, LoadBalancerOptions, string]>([
    [
      'neither a listener nor ports to follow',
      {},
      'The load balancer has no listener. Set `listeners` or `followPublishedPorts`.',
    ],
    [
      'an invalid port',
      { followPublishedPorts: { from: 0 } },
      'followPublishedPorts.from (0) must be a whole number from 1 to 65535.',
    ],
    [
      'a range the wrong way round',
      { followPublishedPorts: { from: 9000, to: 8000 } },
      'followPublishedPorts.from (9000) must not exceed followPublishedPorts.to (8000).',
    ],
    [
      'a range without a port to follow',
      { listeners: [{ port: 8081, targetPort: 8080 }], followPublishedPorts: { from: 8080, to: 8081 } },
      'followPublishedPorts from 8080 to 8081 leaves no port to follow: the swarm itself or declared listeners use ' +
        'them all. Use another range.',
    ],
    [
      'no listener left',
      { listeners: Array.from({ length: 50 }, (_, n) => ({ port: 8000 + n })), followPublishedPorts: true },
      '50 listeners are declared, and a load balancer has at most 50, so no published port could be followed. ' +
        'Declare fewer, or add another load balancer.',
    ],
  ])('is refused with %s', (_, options, expected) => {
    expect(refused(options)).toEqual([`[Test/Swarm/Public] ${expected}`]);
  });
});

test('a health check with a short interval has a timeout shorter than the interval', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80, healthCheck: { interval: Duration.seconds(5) } }] });
  expect(only(of('AWS::ElasticLoadBalancingV2::TargetGroup'))).toMatchObject({
    HealthCheckIntervalSeconds: 5,
    HealthCheckTimeoutSeconds: 4,
  });
});

test.each<[string, SwarmListener[], string[]]>([
  [
    'a port twice',
    [{ port: 80 }, { port: 80, protocol: Protocol.UDP }],
    [
      'Port 80 has more than one listener. Declare each port once; for TCP and UDP on the same port, use the ' +
        'protocol TCP_UDP.',
    ],
  ],
  ['no port', [{ port: 0 }], ['The listener on port 0: port (0) must be a whole number from 1 to 65535.']],
  [
    'a certificate on TCP',
    [{ port: 80, protocol: Protocol.TCP, certificates: [CERTIFICATE] }],
    [
      'The listener on port 80 has certificates but the protocol TCP. Only TLS uses certificates: change the ' +
        'protocol, or omit `certificates`.',
    ],
  ],
  [
    'TLS without a certificate',
    [{ port: 443, protocol: Protocol.TLS }],
    ['The listener on port 443 has the protocol TLS but no certificate. Set `certificates`.'],
  ],
  [
    'HTTP',
    [{ port: 80, protocol: Protocol.HTTP as never }],
    ['The listener on port 80 has the protocol HTTP. Use one of TCP, UDP, TCP_UDP, TLS.'],
  ],
  [
    'a port of the swarm',
    [{ port: 80, targetPort: 2377 }],
    [
      'The listener on port 80 would forward to port 2377, which the swarm itself uses. Set `targetPort` to a port ' +
        'that a service publishes.',
    ],
  ],
  [
    'a port of the swarm for both',
    [{ port: 7946, protocol: Protocol.TCP_UDP }],
    [
      'The listener on port 7946 would forward to port 7946, which the swarm itself uses. Set `targetPort` to a port ' +
        'that a service publishes.',
    ],
  ],
  [
    'an invalid certificate',
    [{ port: 443, certificates: [ListenerCertificate.fromArn('my-certificate')] }],
    [
      "The listener on port 443 has the certificate 'my-certificate', which is not the ARN of a certificate. Use a " +
        'certificate from ACM, or one uploaded to IAM.',
    ],
  ],
  [
    'a target protocol with TCP',
    [{ port: 80, targetProtocol: Protocol.TCP }],
    [
      'The listener on port 80 has a `targetProtocol` but the protocol TCP, which is forwarded unchanged. Only TLS ' +
        'listeners have a choice: omit it.',
    ],
  ],
  [
    'no nodes',
    [{ port: 80, nodes: [] }],
    ['nodes is empty, so no node would receive connections. Name worker groups, or omit it.'],
  ],
  [
    'a path without a port',
    [{ port: 80, healthCheck: { path: '/x' } }],
    ['healthCheck.path needs a healthCheck.port: the port of the service that answers at the path.'],
  ],
])('a listener with a problem is refused: %s', (_, listeners, expected) => {
  expect(refused({ listeners })).toEqual(expected.map((sentence) => `[Test/Swarm/Public] ${sentence}`));
});

test('a certificate from another region is refused; one that is known only at deployment passes', () => {
  const inRegion = (region: string) =>
    problems(
      {},
      (cluster) => void cluster.addLoadBalancer('Public', { listeners: [{ port: 443, certificates: [CERTIFICATE] }] }),
      { stack: { env: { account: '123456789012', region } } },
    );
  expect(inRegion('us-east-1')).toEqual([]);
  expect(inRegion('eu-west-1')).toEqual([
    '[Test/Swarm/Public] The listener on port 443 has a certificate from us-east-1, but the load balancer is in ' +
      'eu-west-1. Use a certificate from eu-west-1.',
  ]);
  expect(
    problems(
      {},
      (cluster, stack) =>
        void cluster.addLoadBalancer('Public', {
          listeners: [
            { port: 443, certificates: [new Certificate(stack, 'Certificate', { domainName: 'example.com' })] },
          ],
        }),
    ),
  ).toEqual([]);
});

test('an empty list of clients is refused', () => {
  expect(refused({ followPublishedPorts: true, clients: [] })).toEqual([
    '[Test/Swarm/Public] clients is empty, so nobody could connect. Name at least one peer, or omit it.',
  ]);
});

const NODES = "must be 'all', 'managers', 'workers', or a list of worker groups, as `addWorkers` returns them.";
test.each<[Record<string, unknown>, string]>([
  [
    { followPublishedPorts: '8081-8099' },
    'followPublishedPorts ("8081-8099") must be true, false, or an object with from, to, sslPolicy.',
  ],
  [
    { followPublishedPorts: { start: 9000 } },
    'followPublishedPorts.start is not an option. The options are from, to, sslPolicy.',
  ],
  [{ nodes: 'Web' }, `nodes ("Web") ${NODES}`],
  [{ nodes: [undefined] }, `nodes (Array) ${NODES}`],
  [{ listeners: { port: 80 } }, 'listeners (Object) must be a list of listeners, such as [{ port: 80 }].'],
  [
    { listeners: [80] },
    'listeners.0 (80) must be an object with port, protocol, certificates, sslPolicy, targetPort, targetProtocol, ' +
      'nodes, healthCheck.',
  ],
  [{ listeners: [{ protocol: 'TCP' }] }, 'listeners.0.port is required.'],
  [
    { listeners: [{ port: '80' }, { port: NaN }] },
    'listeners.0.port ("80") must be a number. listeners.1.port (NaN) must be a number.',
  ],
  [
    { listeners: [{ port: 80, targetport: 8080 }] },
    'listeners.0.targetport is not an option. The options are port, protocol, certificates, sslPolicy, targetPort, ' +
      'targetProtocol, nodes, healthCheck.',
  ],
  [
    { listeners: [{ port: 443, certificates: ['arn:aws:acm:...'] }] },
    `listeners.0.certificates.0 ("arn:aws:acm:...") must be a \`Certificate\` of aws-certificatemanager, or ` +
      `ListenerCertificate.fromArn('arn:...').`,
  ],
  [{ healthCheck: { interval: 10 } }, 'healthCheck.interval (10) must be a Duration, such as Duration.seconds(10).'],
  [
    { clients: ['203.0.113.0/24'] },
    `clients.0 ("203.0.113.0/24") must be a peer, such as ec2.Peer.ipv4('203.0.113.0/24').`,
  ],
  [{ alias: 'www.example.com' }, 'alias ("www.example.com") must be an object with zone, recordName.'],
  [{ internal: 'yes' }, 'internal ("yes") must be true or false.'],
])('callers that are not type-checked get an error for an option of a wrong type: %j', (options, expected) => {
  expect(() => withLoadBalancer(options as LoadBalancerOptions)).toThrow(`Test/Swarm/Public: ${expected}`);
});

test('too many listeners are refused', () => {
  expect(refused({ listeners: Array.from({ length: 51 }, (_, n) => ({ port: 8000 + n })) })).toEqual([
    '[Test/Swarm/Public] There are 51 listeners, but a load balancer has at most 50. Add another load balancer for ' +
      'the rest.',
  ]);
});

test('all problems of a load balancer are reported together', () => {
  const found = refused({
    listeners: [{ port: 53, protocol: Protocol.UDP }],
    preserveClientAddress: false,
    deregistrationDelay: Duration.hours(2),
    healthCheck: {
      port: 80,
      path: 'ready',
      interval: Duration.seconds(1),
      healthyThreshold: 1,
      unhealthyThreshold: 11,
    },
    accessLogs: { bucket: undefined as never },
  });
  expect(found.map((sentence) => sentence.replace('[Test/Swarm/Public] ', ''))).toEqual([
    "The listener on port 53: UDP always preserves the client's address. Omit preserveClientAddress.",
    'deregistrationDelay in seconds (7200) must be a whole number from 0 to 3600.',
    'healthCheck.interval in seconds (1) must be a whole number from 5 to 300.',
    'healthCheck.healthyThreshold (1) must be a whole number from 2 to 10.',
    'healthCheck.unhealthyThreshold (11) must be a whole number from 2 to 10.',
    "healthCheck.path ('ready') must begin with a slash and have at most 1024 characters, none of them a space.",
    'accessLogs requires a region that is known at synth, because the bucket policy must admit the load balancers of ' +
      'that region. Set the region in the `env` of the stack.',
  ]);
});

test('a group of another cluster is refused', () => {
  const found = problems({}, (cluster, stack) => {
    const foreignGroup = new SwarmCluster(stack, 'Other').addWorkers('Web');
    cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }], nodes: [foreignGroup] });
  });
  expect(found).toContain(
    '[Test/Swarm/Public] nodes lists Test/Other/Web, a group of another cluster. Use groups of Test/Swarm.',
  );
});

test('subnets in fewer zones than the nodes are refused, and so is none at all', () => {
  const inZones = (zones: number) =>
    problems(
      {},
      (cluster) =>
        void cluster.addLoadBalancer('Public', {
          listeners: [{ port: 80 }],
          vpcSubnets: { subnets: cluster.network.vpc.publicSubnets.slice(0, zones) },
        }),
    );
  expect(inZones(3)).toEqual([]);
  expect(inZones(2)).toEqual([
    expect.stringMatching(
      /The load balancer would have (subnets in 2 zones, but the nodes are in 3|no subnet in \S+, where nodes are)/,
    ),
  ]);
  expect(inZones(0)).toEqual([expect.stringContaining('The load balancer would have subnets in 0 zones')]);
});

test.each<[string, (string | undefined)[], (string | undefined)[], RegExp | undefined]>([
  ['one in each zone', ['a', 'b'], ['a', 'b'], undefined],
  ['another zone', ['a', 'c'], ['a', 'b'], /no subnet in b, where nodes are/],
  ['two in one zone', ['a', 'b', 'b'], ['a', 'b'], /more than one subnet in b/],
  ['too few', ['a'], [undefined, undefined], /subnets in 1 zones, but the nodes are in 2/],
  ['zones that are known only at deployment', [undefined, undefined], ['a', 'b'], undefined],
])('subnets: %s', (_, zones, ofNodes, expected) => {
  expect(checkLoadBalancerZones(zones, ofNodes)).toEqual(expected ? [expect.stringMatching(expected)] : []);
});

test('a load balancer outside the stack of its cluster is refused: each stack would depend on the other', () => {
  const { stack, cluster } = synthesise({});
  const { updater } = cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }] });
  expect(
    () =>
      new SwarmLoadBalancer(new Stack(stack.node.root as App, 'Second'), 'Inner', {
        updater,
        listeners: [{ port: 81 }],
      }),
  ).toThrow('Second/Inner is not in the stack of its cluster, Test');
});

test('settings of load balancers that exceed the function’s environment are refused', () => {
  const clients = (count: number) => Array.from({ length: count }, (_, n) => ec2.Peer.ipv4(`10.${n}.0.0/16`));
  const two = (count: number) =>
    problems({}, (cluster) =>
      ['Public', 'Inner'].forEach((id) =>
        cluster.addLoadBalancer(id, { followPublishedPorts: true, clients: clients(count) }),
      ),
    );
  expect(two(5)).toEqual([]);
  expect(two(70)).toContainEqual(expect.stringContaining("a function's environment holds 4096"));
});

test('more rules than AWS allows by default cause a warning', () => {
  const listeners = Array.from({ length: 31 }, (_, n): SwarmListener => ({
    port: 8000 + n,
    protocol: Protocol.TCP_UDP,
  }));
  const { stack } = withLoadBalancer({ listeners });
  Annotations.fromStack(stack).hasWarning('/Test/Swarm/Public', Match.stringLikeRegexp('62 inbound rules'));
  Annotations.fromStack(withLoadBalancer({ listeners: listeners.slice(1) }).stack).hasNoWarning(
    '/Test/Swarm/Public',
    Match.anyValue(),
  );
});

test('ports that are known only at deployment pass, and so do unknown options', () => {
  expect(refused({ listeners: [{ port: 80 }], monitored: true } as LoadBalancerOptions)).toEqual([]);
  expect(refused({ listeners: [{ port: 80, targetPort: Token.asNumber({ Ref: 'Port' }) }] })).toEqual([]);
});

const alarmsOf = (options: Partial<LoadBalancerOptions>, more: Parameters<SwarmLoadBalancer['addAlarms']>[0] = {}) => {
  const { of } = synthesise({}, (cluster, stack) => {
    const loadBalancer = cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }, { port: 81 }], ...options });
    loadBalancer.addAlarms({ actions: [new SnsAction(new Topic(stack, 'People'))], ...more });
  });
  return Object.fromEntries(
    Object.entries(of('AWS::CloudWatch::Alarm')).map(([id, { Properties }]) => [
      id.replace(/^SwarmPublicAlarms(.*)[0-9A-F]{8}$/, '$1'),
      Properties as Record<string, any>,
    ]),
  );
};

test('a threshold of resets that no alarm could have is refused', () => {
  expect(() => alarmsOf({}, { resets: 0 })).toThrow('resets (0) must be a whole number of at least 1.');
});

test('alarms report no healthy node, nodes that stay unhealthy, reset connections, and a failing function', () => {
  const alarms = alarmsOf({});
  expect(Object.keys(alarms).sort()).toEqual([
    'NobodyHealthy80',
    'NobodyHealthy81',
    'Resets',
    'Unhealthy80',
    'Unhealthy81',
    'UpdaterFails',
  ]);
  const dimensions = ({ Dimensions }: Record<string, any>) =>
    Dimensions.map(({ Name }: { Name: string }) => Name).sort();
  expect(alarms.NobodyHealthy80).toMatchObject({
    Namespace: 'AWS/NetworkELB',
    MetricName: 'HealthyHostCount',
    Statistic: 'Maximum',
    ComparisonOperator: 'LessThanThreshold',
    Threshold: 1,
    TreatMissingData: 'breaching',
    AlarmActions: [{ Ref: expect.stringContaining('People') }],
  });
  expect(dimensions(alarms.NobodyHealthy80!)).toEqual(['LoadBalancer', 'TargetGroup']);
  expect(alarms.Unhealthy81).toMatchObject({
    MetricName: 'UnHealthyHostCount',
    Threshold: 1,
    EvaluationPeriods: 15,
    TreatMissingData: 'notBreaching',
  });
  expect(alarms.Resets).toMatchObject({ MetricName: 'TCP_Target_Reset_Count', Statistic: 'Sum', Threshold: 1000 });
  expect(alarms.UpdaterFails).toMatchObject({ Namespace: 'AWS/Lambda', MetricName: 'Errors' });
});

test.each([
  ['PortsNotFollowed', 2],
  ['PortsUnanswered', 3],
])(
  'if ports are followed, an alarm reports those that cannot be, and those on which no node answers: %s',
  (MetricName, EvaluationPeriods) => {
    const { of } = synthesise(
      {},
      (cluster) => void cluster.addLoadBalancer('Public', { followPublishedPorts: true }).addAlarms(),
    );
    const alarm = Object.values(of('AWS::CloudWatch::Alarm')).find(
      ({ Properties }) => Properties.MetricName === MetricName,
    )!;
    const filter = Object.values(of('AWS::Logs::MetricFilter')).find(
      ({ Properties }) => Properties.MetricTransformations[0].MetricName === MetricName,
    )!;
    expect(alarm.Properties).toMatchObject({
      Namespace: 'DockerSwarm/Test/Swarm',
      Threshold: 1,
      Period: 300,
      EvaluationPeriods,
      Statistic: 'Maximum',
      TreatMissingData: 'notBreaching',
    });
    expect(filter.Properties).toMatchObject({
      FilterPattern: `{ $.metric = "${MetricName}" }`,
      LogGroupName: { Ref: expect.stringContaining('TargetUpdateLogs') },
      MetricTransformations: [{ MetricName, MetricValue: '$.ports', MetricNamespace: 'DockerSwarm/Test/Swarm' }],
    });
  },
);

test('without cross-zone load balancing, an alarm reports a zone without a healthy node', () => {
  const { ZoneEmpty80 } = alarmsOf({ crossZone: false });
  expect(ZoneEmpty80!.Metrics[0].Expression).toBe('MIN([FILL(z0, 0), FILL(z1, 0), FILL(z2, 0)])');
  expect(
    ZoneEmpty80!.Metrics.slice(1).map(({ MetricStat }: any) =>
      MetricStat.Metric.Dimensions.map(({ Name }: { Name: string }) => Name).sort(),
    ),
  ).toEqual(Array(3).fill(['AvailabilityZone', 'LoadBalancer', 'TargetGroup']));
  expect(Object.keys(alarmsOf({ crossZone: false }, { zones: false }))).not.toContain('ZoneEmpty80');
});

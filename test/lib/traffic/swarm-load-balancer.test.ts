/** Load balancers: listeners, target groups, who may connect, and the function that keeps their targets. */
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
import { mistakes, synthesise, textOf, type Resource } from '../synthesise';

const CERTIFICATE = ListenerCertificate.fromArn(
  'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555',
);

const withLoadBalancer = (options: LoadBalancerOptions, props: SwarmClusterProps = {}) =>
  synthesise(props, (cluster) => void cluster.addLoadBalancer('Public', options));
const refused = (options: LoadBalancerOptions, props: SwarmClusterProps = {}) =>
  mistakes(props, (cluster) => void cluster.addLoadBalancer('Public', options));
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

/** Whether they are ended as soon as a target fails its health check, and how long they go on otherwise. */
const connections = (ended: string, seconds: string) => [
  { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: ended },
  { Key: 'target_health_state.unhealthy.draining_interval_seconds', Value: seconds },
];

test('it stands in the public subnets of all zones, with a security group, and sends to all zones', () => {
  const { of } = withLoadBalancer({ listeners: [{ port: 80 }] });
  expect(only(of('AWS::ElasticLoadBalancingV2::LoadBalancer'))).toMatchObject({
    Type: 'network',
    Scheme: 'internet-facing',
    Subnets: [1, 2, 3].map((n) => ({ Ref: expect.stringContaining(`PublicSubnet${n}`) })),
    SecurityGroups: [{ 'Fn::GetAtt': [expect.stringContaining('PublicSecurityGroup'), 'GroupId'] }],
    LoadBalancerAttributes: expect.arrayContaining([{ Key: 'load_balancing.cross_zone.enabled', Value: 'true' }]),
  });
});

test(
  'a listener sends to a target group that says by its tags whose it is and which nodes stand behind it, and ' +
    'asks the agent whether they may be sent anything',
  () => {
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
        ...connections('false', '30'),
      ],
      Tags: [
        { Key: 'cdk-docker-swarm:cluster', Value: 'Test/Swarm' },
        { Key: 'cdk-docker-swarm:served-by', Value: 'all' },
      ],
    });
    // Targets are target-update's.
    expect(group.Targets).toBeUndefined();
  },
);

test(
  'anybody may connect to the listeners; nodes are open to the load balancer at their ports and the health ' +
    'check’s',
  () => {
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
  },
);

test(
  'an internal one stands in the subnets of the nodes, and lets the network of the VPC in; clients can be ' + 'named',
  () => {
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
  },
);

test('a listener with certificates is TLS, and sends TCP to the nodes', () => {
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

test('the nodes behind it are those that were named, for all listeners or for one', () => {
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

test(
  'what of it cannot be used by two at a time has another name with another scheme: the new one is made ' +
    'before the old one goes',
  () => {
    const ids = (internal: boolean) => {
      const { of } = withLoadBalancer({ listeners: [{ port: 80 }], followPublishedPorts: true, internal });
      return ['AWS::ElasticLoadBalancingV2::TargetGroup', 'AWS::EC2::SecurityGroup'].flatMap((type) =>
        Object.keys(of(type)).filter((id) => id.includes('Public')),
      );
    };
    expect(ids(false)).toHaveLength(2);
    expect(ids(true).filter((id) => ids(false).includes(id))).toEqual([]);
  },
);

test(
  'connections of TCP go on when a node leaves, unless they are to end at once; AWS knows that for TCP and ' +
    'TLS only',
  () => {
    const { of } = withLoadBalancer({
      listeners: [{ port: 80 }, { port: 53, protocol: Protocol.TCP_UDP }],
      deregistrationDelay: Duration.seconds(0),
    });
    expect(
      Object.values(of('AWS::ElasticLoadBalancingV2::TargetGroup')).map(
        ({ Properties }) => Properties.TargetGroupAttributes,
      ),
    ).toEqual([
      [{ Key: 'deregistration_delay.timeout_seconds', Value: '0' }, ...connections('true', '0')],
      [{ Key: 'deregistration_delay.timeout_seconds', Value: '0' }],
    ]);
  },
);

test(
  'with a health check of one’s own, connections and tasks of a node that leaves go on until the load ' +
    'balancer knows',
  () => {
    const { of } = withLoadBalancer({ listeners: [{ port: 80, healthCheck: { port: 80 } }] });
    expect(only(of('AWS::ElasticLoadBalancingV2::TargetGroup')).TargetGroupAttributes).toEqual([
      { Key: 'deregistration_delay.timeout_seconds', Value: '120' },
      ...connections('true', '0'),
    ]);
  },
);

test('it can have a name of its own, and write its log of TLS connections to a bucket', () => {
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

test(
  'one function keeps the targets of all load balancers, woken by the sweep, by instances of the stack’s ' +
    'groups, and by leader-token',
  () => {
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
      [
        'EC2 Instance Launch Successful',
        'EC2 Instance-terminate Lifecycle Action',
        'EC2 Instance Terminate Successful',
      ],
    ]);
    expect(JSON.stringify(rules[1]!.Properties.EventPattern.detail)).toBe(
      '{"AutoScalingGroupName":[{"prefix":{"Fn::Join":["",[{"Ref":"AWS::StackName"},"-"]]}}]}',
    );
    template.resourceCountIs('AWS::Lambda::Function', 4);
    // Nodes that leave with the stack are taken out by it, so it goes after them.
    const mapping = Object.entries(of('AWS::Lambda::EventSourceMapping')).find(([id]) =>
      id.includes('TargetMessages'),
    )![0];
    for (const { DependsOn } of Object.values(of('AWS::AutoScaling::AutoScalingGroup')))
      expect(DependsOn).toContain(mapping);
  },
);

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
  it(
    'lets target-update make what carries the tag of the cluster, change what it made itself, and open the ' +
      'load balancer alone',
    () => {
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
    },
  );

  const settingsOf = (of: (type: string) => Record<string, Resource>) => {
    const variables = Object.values(of('AWS::Lambda::Function'))
      .map(({ Properties }) => Properties.Environment.Variables)
      .find(({ LOAD_BALANCERS }) => LOAD_BALANCERS !== undefined);
    return v.parse(loadBalancersSchema, JSON.parse(textOf(variables.LOAD_BALANCERS)))[0]!.follows;
  };

  it(
    'opens the nodes to the load balancer at the ports that may be followed, and nobody may connect before ' +
      'something is published',
    () => {
      const { of } = withLoadBalancer({ followPublishedPorts: { from: 8000, to: 8999 } });
      expect(ingress(of, /Public/)).toEqual(['tcp 8000-8999 nodes', 'udp 8000-8999 nodes', 'tcp 2378 nodes']);
      expect(ingress(of, /0\.0\.0\.0/)).toEqual([]);
      expect(Object.keys(of('AWS::ElasticLoadBalancingV2::Listener'))).toEqual([]);
    },
  );

  it('tells target-update all that it makes listeners and target groups from', () => {
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

  it('frees the port of a listener that is declared before that is made, and of its rule', () => {
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
      'a port that is none',
      { followPublishedPorts: { from: 0 } },
      'followPublishedPorts.from (0) must be a whole number from 1 to 65535.',
    ],
    [
      'a range the wrong way round',
      { followPublishedPorts: { from: 9000, to: 8000 } },
      'followPublishedPorts.from (9000) must not exceed followPublishedPorts.to (8000).',
    ],
    [
      'a range of which nothing can be followed',
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

test('a health check that is asked often waits shorter for an answer than AWS does by default, as it must', () => {
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
    'a certificate that is none',
    [{ port: 443, certificates: [ListenerCertificate.fromArn('my-certificate')] }],
    [
      "The listener on port 443 has the certificate 'my-certificate', which is not the ARN of a certificate. Use a " +
        'certificate from ACM, or one uploaded to IAM.',
    ],
  ],
  [
    'another protocol behind TCP',
    [{ port: 80, targetProtocol: Protocol.TCP }],
    [
      'The listener on port 80 has a `targetProtocol` but the protocol TCP, which is forwarded unchanged. Only TLS ' +
        'listeners have a choice: omit it.',
    ],
  ],
  [
    'nobody behind a listener',
    [{ port: 80, nodes: [] }],
    ['nodes is empty, so no node would receive connections. Name worker groups, or omit it.'],
  ],
  [
    'a path without a port',
    [{ port: 80, healthCheck: { path: '/x' } }],
    ['healthCheck.path needs a healthCheck.port: the port of the service that answers at the path.'],
  ],
])('a listener with a mistake is refused: %s', (_, listeners, expected) => {
  expect(refused({ listeners })).toEqual(expected.map((sentence) => `[Test/Swarm/Public] ${sentence}`));
});

test('a certificate of another region is refused; one that is known only at deployment passes', () => {
  const inRegion = (region: string) =>
    mistakes(
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
    mistakes(
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

test('nobody who may connect is refused', () => {
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
])('in an app whose types nobody checks, what is of another kind is refused: %j', (options, expected) => {
  expect(() => withLoadBalancer(options as LoadBalancerOptions)).toThrow(`Test/Swarm/Public: ${expected}`);
});

test('too many listeners are refused', () => {
  expect(refused({ listeners: Array.from({ length: 51 }, (_, n) => ({ port: 8000 + n })) })).toEqual([
    '[Test/Swarm/Public] There are 51 listeners, but a load balancer has at most 50. Add another load balancer for ' +
      'the rest.',
  ]);
});

test('all mistakes of a load balancer are told together', () => {
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
  const found = mistakes({}, (cluster, stack) => {
    const stranger = new SwarmCluster(stack, 'Other').addWorkers('Web');
    cluster.addLoadBalancer('Public', { listeners: [{ port: 80 }], nodes: [stranger] });
  });
  expect(found).toContain(
    '[Test/Swarm/Public] nodes lists Test/Other/Web, a group of another cluster. Use groups of Test/Swarm.',
  );
});

test('subnets in fewer zones than the nodes have are refused, and none at all', () => {
  const inZones = (zones: number) =>
    mistakes(
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

test('in another stack than its cluster it is refused: each would need what the other has made', () => {
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

test('settings of load balancers that do not fit the function’s environment are refused', () => {
  const clients = (count: number) => Array.from({ length: count }, (_, n) => ec2.Peer.ipv4(`10.${n}.0.0/16`));
  const two = (count: number) =>
    mistakes({}, (cluster) =>
      ['Public', 'Inner'].forEach((id) =>
        cluster.addLoadBalancer(id, { followPublishedPorts: true, clients: clients(count) }),
      ),
    );
  expect(two(5)).toEqual([]);
  expect(two(70)).toContainEqual(expect.stringContaining("a function's environment holds 4096"));
});

test('more rules than AWS usually allows are warned of', () => {
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

test('ports that are known only at deployment pass, and options of others that are passed on with them', () => {
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

test(
  'alarms tell that nobody is healthy behind a listener, that nodes stay unhealthy, that connections are ' +
    'reset, and that the function fails',
  () => {
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
  },
);

test.each([
  ['PortsNotFollowed', 2],
  ['PortsUnanswered', 3],
])(
  'where ports are followed, an alarm tells of those that cannot be, and of those at which nobody answers: %s',
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

test('where each zone serves its own clients, a zone without a healthy node is told, too', () => {
  const { ZoneEmpty80 } = alarmsOf({ crossZone: false });
  expect(ZoneEmpty80!.Metrics[0].Expression).toBe('MIN([FILL(z0, 0), FILL(z1, 0), FILL(z2, 0)])');
  expect(
    ZoneEmpty80!.Metrics.slice(1).map(({ MetricStat }: any) =>
      MetricStat.Metric.Dimensions.map(({ Name }: { Name: string }) => Name).sort(),
    ),
  ).toEqual(Array(3).fill(['AvailabilityZone', 'LoadBalancer', 'TargetGroup']));
  expect(Object.keys(alarmsOf({ crossZone: false }, { zones: false }))).not.toContain('ZoneEmpty80');
});

/**
 * target-update in an emulated region: a cluster of two nodes behind a load balancer, whose followed ports are 8000 to
 * 8100, and another cluster's target group behind the same one. Real SDK clients over loopback; waiting lets the
 * region's time pass.
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SQSClient } from '@aws-sdk/client-sqs';
import { marshall } from '@aws-sdk/util-dynamodb';
import { targetUpdate } from '../../../lambda/target-update/handler';
import { queryPartition } from '../../../lambda/shared/tables';
import type { Clock } from '../../../protocol/clock';
import { leaderCodec } from '../../../protocol/cluster';
import { environmentVariables } from '../../../protocol/environment';
import { followingCodec, type Follows, type LoadBalancerSettings } from '../../../protocol/following';
import { encodeSwarmReport, type PublishedPort, type SwarmNode } from '../../../protocol/swarm';
import { CLUSTER_TAG, LOGICAL_ID_TAG, ROLE_TAG, STACK_ID_TAG } from '../../../protocol/tags';
import { SERVED_BY_TAG, trafficCodec } from '../../../protocol/targets';
import { group, World, type Resources } from '../../rehearsal/aws/world';
import { startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import { leader, nodeIdOf, SWARM_ID } from '../membership/world';

export const CLUSTER = 'Test/Swarm';
const JOIN_QUEUE = 'https://sqs.us-east-1.amazonaws.com/123456789012/join';
const health = {
  HealthCheckProtocol: 'HTTP',
  HealthCheckPort: '2378',
  HealthCheckPath: '/health',
  HealthCheckIntervalSeconds: 10,
  HealthyThresholdCount: 2,
  UnhealthyThresholdCount: 2,
};
const tags = (values: Record<string, string>) => Object.entries(values).map(([Key, Value]) => ({ Key, Value }));

const targets = (Port: number, Tags: Record<string, string>) => ({
  Type: 'AWS::ElasticLoadBalancingV2::TargetGroup',
  Properties: { Protocol: 'TCP', Port, VpcId: { Ref: 'Vpc' }, TargetType: 'instance', ...health, Tags: tags(Tags) },
});
const listener = (Port: number, TargetGroupArn: string) => ({
  Type: 'AWS::ElasticLoadBalancingV2::Listener',
  Properties: {
    LoadBalancerArn: { Ref: 'Balancer' },
    Port,
    Protocol: 'TCP',
    DefaultActions: [{ Type: 'forward', TargetGroupArn: { Ref: TargetGroupArn } }],
  },
});

const resources: Resources = {
  ...group({
    DesiredCapacity: '2',
    Tags: tags({
      [CLUSTER_TAG]: CLUSTER,
      [ROLE_TAG]: 'worker',
      [STACK_ID_TAG]: 'arn:stack',
      [LOGICAL_ID_TAG]: 'Group',
    }).map((tag) => ({ ...tag, PropagateAtLaunch: true })),
  }),
  Security: {
    Type: 'AWS::EC2::SecurityGroup',
    Properties: { GroupDescription: 'Load balancer', VpcId: { Ref: 'Vpc' } },
  },
  Balancer: {
    Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
    Properties: {
      Type: 'network',
      Scheme: 'internal',
      Subnets: [{ Ref: 'SubnetA' }, { Ref: 'SubnetB' }],
      SecurityGroups: [{ Ref: 'Security' }],
    },
  },
  Own: targets(80, { [CLUSTER_TAG]: CLUSTER, [SERVED_BY_TAG]: 'all' }),
  OwnListener: listener(80, 'Own'),
  AnothersCluster: targets(81, { [CLUSTER_TAG]: 'Another/Swarm', [SERVED_BY_TAG]: 'all' }),
  AnothersListener: listener(81, 'AnothersCluster'),
  ServedByNobody: targets(82, { [CLUSTER_TAG]: CLUSTER }),
  ServedByNobodyListener: listener(82, 'ServedByNobody'),
};

export const port = (number: number, change: Partial<PublishedPort> = {}): PublishedPort => ({
  service: 'web',
  port: number,
  protocol: 'tcp',
  mode: 'ingress',
  ...change,
});

export async function start() {
  const world = new World();
  await world.create(resources);
  const id = (logicalId: string) => world.physicalId(logicalId);
  const instanceIds = world.region.instances().map(({ instanceId }) => instanceId);
  const clock: Clock = Object.assign(Object.create(world.clock) as Clock, {
    sleep: (ms: number) => world.clock.advance(ms),
  });
  /** What AWS was asked for beyond descriptions, and DynamoDB. */
  const asked: { action: string; input: Record<string, any> }[] = [];
  /** Errors in place of what the region answers. */
  const failures: Record<string, (input: Record<string, any>) => void> = {};
  /** Answers in place of what the region answers. */
  const instead: Record<string, (input: Record<string, any>) => Record<string, any>> = {};
  const logged: string[] = [];
  const answered: { url: string; body: Record<string, any> }[] = [];
  const endpoint = await startDynamoDb(world.clock, (service, action, input) => {
    if (!action.startsWith('Describe')) asked.push({ action, input });
    failures[action]?.(input);
    if (instead[action]) return instead[action](input);
    if (service === 'sqs') return { MessageId: '1' };
    if (service === 'events') return { FailedEntryCount: 0, Entries: [] };
    return world.call(service, action, input);
  });
  const { clientOptions } = endpoint;
  const options = { ...clientOptions, maxAttempts: 1 };
  const follows: Follows = {
    from: 8000,
    to: 8100,
    declared: [80, 81, 82],
    served: [80, 81, 82],
    vpcId: id('Vpc'),
    clients: [{ cidrIp: '0.0.0.0/0' }, { cidrIp: '10.0.0.0/8' }],
    servedBy: 'all',
    healthCheck: { interval: 10, timeout: 6, healthy: 2, unhealthy: 2 },
    sslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
  };
  const settings: LoadBalancerSettings = { arn: id('Balancer'), securityGroupId: id('Security'), follows };
  const put = (sk: string, attributes: object) =>
    endpoint.client.send(
      new PutItemCommand({ TableName: TOKEN_TABLE, Item: marshall({ pk: 'cluster', sk, ...attributes }) }),
    );
  const records = async () => queryPartition(endpoint.client, TOKEN_TABLE, 'cluster');
  return {
    world,
    clock,
    endpoint,
    asked,
    failures,
    instead,
    logged,
    answered,
    id,
    instanceIds,
    settings,
    put,
    /** The actions asked for since the last time. */
    actions: () => asked.splice(0).map(({ action }) => action),
    /** What the leader has just reported: these nodes, by default both, and what services publish. */
    async report(
      ports: PublishedPort[] | undefined,
      change: (node: SwarmNode, n: number) => SwarmNode = (node) => node,
    ) {
      const nodes = instanceIds.map((instanceId, n) =>
        change(
          {
            id: nodeIdOf(n),
            hostname: `node-${n}`,
            role: 'worker',
            availability: 'active',
            state: 'ready',
            instanceId,
          },
          n,
        ),
      );
      await put('leader', { epoch: 1, ...leaderCodec.encode({ ...leader, updatedAt: clock.now() }) });
      const [chunk] = encodeSwarmReport({ swarmId: SWARM_ID, epoch: 1, nodes, ...(ports && { ports }) });
      await put('nodes#0', chunk!);
    },
    function: (loadBalancers: LoadBalancerSettings[] = [settings]) =>
      targetUpdate({
        clock,
        log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
        variables: {
          [environmentVariables.cluster]: CLUSTER,
          [environmentVariables.tokenTable]: TOKEN_TABLE,
          [environmentVariables.joinQueueUrl]: JOIN_QUEUE,
          [environmentVariables.loadBalancers]: JSON.stringify(loadBalancers),
        },
        dynamodb: endpoint.client,
        autoScaling: new AutoScalingClient(options),
        ec2: new EC2Client(options),
        elasticLoadBalancing: new ElasticLoadBalancingV2Client(options),
        sqs: new SQSClient({ ...options, md5: false }),
        eventBridge: new EventBridgeClient(options),
        respond: async (url, body) => void answered.push({ url, body: JSON.parse(body) }),
      }),
    /** Instances that are registered, and with what health. */
    targetsOf: async (TargetGroupArn: string) =>
      (
        await world.call('elasticloadbalancing', 'DescribeTargetHealth', { TargetGroupArn })
      ).TargetHealthDescriptions.map(
        ({ Target, TargetHealth }: any) => `${Target.Id}:${Target.Port} ${TargetHealth.State}`,
      ) as string[],
    listeners: async () =>
      (await world.call('elasticloadbalancing', 'DescribeListeners', { LoadBalancerArn: id('Balancer') }))
        .Listeners as Record<string, any>[],
    targetGroups: async () =>
      (await world.call('elasticloadbalancing', 'DescribeTargetGroups')).TargetGroups as Record<string, any>[],
    tagsOf: async (arn: string) => {
      const { TagDescriptions } = await world.call('elasticloadbalancing', 'DescribeTags', { ResourceArns: [arn] });
      return Object.fromEntries(TagDescriptions[0].Tags.map(({ Key, Value }: any) => [Key, Value]));
    },
    /** Of the load balancer's security group, what was opened. */
    rules: async () =>
      (
        await world.call('ec2', 'DescribeSecurityGroupRules', {
          Filters: [{ Name: 'group-id', Values: [id('Security')] }],
        })
      ).SecurityGroupRules.filter(({ IsEgress }: any) => !IsEgress) as Record<string, any>[],
    following: async () => {
      const decoded = followingCodec.decode((await records()).find(({ sk }) => sk === 'following'));
      return decoded.ok ? decoded.value : undefined;
    },
    traffic: async () => {
      const decoded = trafficCodec.decode((await records()).find(({ sk }) => sk === 'traffic'));
      return decoded.ok ? decoded.value : undefined;
    },
  };
}
export type Started = Awaited<ReturnType<typeof start>>;

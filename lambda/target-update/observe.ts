/**
 * Gathers the input of target-update: one query of the token table, one paged describe of the groups, one of the
 * region's target groups, their tags and targets, and the listeners and rules of load balancers that follow. No request
 * is made per node.
 */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { paginateDescribeSecurityGroupRules, type EC2Client } from '@aws-sdk/client-ec2';
import {
  DescribeTagsCommand,
  DescribeTargetHealthCommand,
  LoadBalancerNotFoundException,
  paginateDescribeListeners,
  paginateDescribeTargetGroups,
  TargetGroupNotFoundException,
  type ElasticLoadBalancingV2Client,
  type TagDescription,
  type TargetGroup as DescribedTargetGroup,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { Codec } from '../../protocol/body';
import type { Clock } from '../../protocol/clock';
import { LEADER_STALE_MS, leaderCodec } from '../../protocol/cluster';
import { FOLLOWED_TAG, followingCodec, type Following, type LoadBalancerSettings } from '../../protocol/following';
import {
  CLUSTER_PARTITION,
  FOLLOWING_KEY,
  LEADER_KEY,
  NODES_KEY_PREFIX,
  SORT_KEY,
  TRAFFIC_KEY,
} from '../../protocol/keys';
import { decodeSwarmReport, type PublishedPort } from '../../protocol/swarm';
import { CLUSTER_TAG } from '../../protocol/tags';
import { decodeServedBy, SERVED_BY_TAG, trafficCodec, type Traffic } from '../../protocol/targets';
import { describeGroups } from '../shared/groups';
import type { Log } from '../../protocol/log';
import { decodeRecord, queryPartition } from '../shared/tables';
import { isFollowedRule, prefixOf, type Followed, type Listener } from './follow';
import type { Observed, TargetGroup } from './plan';

/** Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html */
const MAX_TAGGED = 20;

export interface Observer {
  clock: Clock;
  log: Log;
  dynamodb: DynamoDBClient;
  autoScaling: AutoScalingClient;
  ec2: EC2Client;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
  cluster: string;
  tokenTable: string;
  loadBalancers: readonly LoadBalancerSettings[];
}

export interface Observation extends Observed {
  /** As last published. */
  lastTraffic: Traffic | undefined;
  following: Following;
  /** Load balancers that follow published ports, or must no longer follow any. */
  followed: Followed[];
  /** The ports that services publish; undefined while unknown. */
  ports: readonly PublishedPort[] | undefined;
}

/** @param closing a load balancer that must no longer follow anything */
export async function observe(dependencies: Observer, closing?: LoadBalancerSettings): Promise<Observation> {
  const [swarm, { instances }] = await Promise.all([
    readSwarm(dependencies),
    describeGroups(dependencies.autoScaling, dependencies.cluster),
  ]);
  const isClosed = ({ arn }: LoadBalancerSettings) => swarm.following.closed.includes(arn);
  // A closed load balancer may have leftovers as long as it exists itself.
  const followers = [
    ...dependencies.loadBalancers
      .filter(({ arn }) => arn !== closing?.arn)
      .flatMap((one) =>
        isClosed(one) ? [{ arn: one.arn, securityGroupId: one.securityGroupId }] : one.follows ? [one] : [],
      ),
    ...(closing ? [closing] : []),
  ];
  const targetGroups = await describeTargetGroups(dependencies, [
    ...dependencies.loadBalancers,
    ...(closing ? [closing] : []),
  ]);
  const declared = targetGroups.filter((group) => !group.followed).map(({ port }) => ({ from: port, to: port }));
  const elsewhere = (arn: string) => [
    ...declared,
    ...followers.flatMap((one) => (one.arn !== arn && one.follows ? [one.follows] : [])),
  ];
  const followed = await Promise.all(
    followers.map(async (one) => ({
      ...(await describeFollowed(dependencies, one, targetGroups)),
      elsewhere: elsewhere(one.arn),
    })),
  );
  return { ...swarm, instances, targetGroups, followed };
}

async function readSwarm(
  dependencies: Observer,
): Promise<Pick<Observation, 'quorumVisible' | 'nodes' | 'lastTraffic' | 'following' | 'ports'>> {
  const items = await queryPartition(dependencies.dynamodb, dependencies.tokenTable, CLUSTER_PARTITION);
  const record = <T>(codec: Codec<T>, key: string) =>
    decodeRecord(
      dependencies,
      codec,
      items.find((item) => item[SORT_KEY] === key),
    );
  const leader = record(leaderCodec, LEADER_KEY);
  const report = decodeSwarmReport(items.filter((item) => String(item[SORT_KEY]).startsWith(NODES_KEY_PREFIX)));
  // An unreadable list is as good as a stale one.
  const quorumVisible =
    report.ok && leader !== undefined && dependencies.clock.now() - leader.updatedAt < LEADER_STALE_MS;
  return {
    quorumVisible,
    nodes: report.ok ? report.value.nodes : [],
    ports: quorumVisible && report.ok ? report.value.ports : undefined,
    lastTraffic: record(trafficCodec, TRAFFIC_KEY),
    following: record(followingCodec, FOLLOWING_KEY) ?? { refused: [], closed: [] },
  };
}

/** Only groups with the cluster's tag: others are never touched, whatever load balancer uses them. */
async function describeTargetGroups(
  dependencies: Observer,
  loadBalancers: readonly LoadBalancerSettings[],
): Promise<TargetGroup[]> {
  const arns = new Set(loadBalancers.map(({ arn }) => arn));
  const prefixes = loadBalancers.map(({ arn }) => prefixOf(arn));
  // The whole region's: a target group of a followed port must be found even if no listener uses it.
  const all: DescribedTargetGroup[] = [];
  for await (const { TargetGroups = [] } of paginateDescribeTargetGroups(
    { client: dependencies.elasticLoadBalancing },
    {},
  ))
    all.push(...TargetGroups);
  const byArn = new Map(
    all.flatMap((group) =>
      group.LoadBalancerArns?.some((arn) => arns.has(arn)) ||
      prefixes.some((prefix) => group.TargetGroupName!.startsWith(prefix))
        ? [[group.TargetGroupArn!, group] as const]
        : [],
    ),
  );
  const pages = Array.from({ length: Math.ceil(byArn.size / MAX_TAGGED) }, (_, n) =>
    [...byArn.keys()].slice(n * MAX_TAGGED, (n + 1) * MAX_TAGGED),
  );
  const tagged = await Promise.all(pages.map((page) => describeTags(dependencies, page)));
  const ofCluster = tagged.flat().flatMap(({ ResourceArn, Tags = [] }) => {
    const tag = (key: string) => Tags.find(({ Key }) => Key === key)?.Value;
    const servedBy = decodeServedBy(tag(SERVED_BY_TAG));
    return tag(CLUSTER_TAG) === dependencies.cluster && servedBy
      ? [{ arn: ResourceArn!, servedBy, digest: tag(FOLLOWED_TAG) }]
      : [];
  });
  const found = await Promise.all(
    ofCluster.map(async ({ arn, servedBy, digest }) => {
      const { Port, HealthCheckPort, TargetGroupName } = byArn.get(arn)!;
      const targets = await unlessDeleted(() => describeTargets(dependencies, arn));
      return (
        targets && {
          arn,
          servedBy,
          port: Port!,
          healthCheckPort: HealthCheckPort!,
          ...(digest !== undefined && { followed: { name: TargetGroupName!, digest } }),
          targets,
        }
      );
    }),
  );
  return found.filter((group) => group !== undefined);
}

/** The list of target groups may contain a deleted one, for which the whole request fails. */
async function describeTags({ elasticLoadBalancing }: Observer, ResourceArns: string[]): Promise<TagDescription[]> {
  const ask = async (arns: string[]) =>
    (await elasticLoadBalancing.send(new DescribeTagsCommand({ ResourceArns: arns }))).TagDescriptions ?? [];
  const all = await unlessDeleted(() => ask(ResourceArns));
  return (
    all ?? (await Promise.all(ResourceArns.map((arn) => unlessDeleted(() => ask([arn]))))).flatMap((one) => one ?? [])
  );
}

async function unlessDeleted<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TargetGroupNotFoundException) return undefined;
    throw error;
  }
}

/**
 * What exists for a load balancer that follows, or must no longer follow. If it is gone itself, only its target groups
 * may be left.
 */
async function describeFollowed(
  dependencies: Observer,
  { arn, securityGroupId, follows }: LoadBalancerSettings,
  targetGroups: readonly TargetGroup[],
): Promise<Omit<Followed, 'elsewhere'>> {
  const [listeners, rules] = await Promise.all([
    describeListeners(dependencies, arn),
    describeRules(dependencies, securityGroupId),
  ]);
  const prefix = prefixOf(arn);
  const groups = targetGroups.flatMap(({ arn: groupArn, followed }) =>
    followed?.name.startsWith(prefix) ? [{ arn: groupArn, ...followed }] : [],
  );
  return { arn, securityGroupId, ...(follows && { follows }), listeners, groups, rules };
}

async function describeListeners(
  { elasticLoadBalancing, log }: Observer,
  LoadBalancerArn: string,
): Promise<Listener[]> {
  try {
    const found: Listener[] = [];
    for await (const { Listeners = [] } of paginateDescribeListeners(
      { client: elasticLoadBalancing },
      { LoadBalancerArn },
    ))
      for (const { ListenerArn, Port, Protocol, Certificates, SslPolicy, DefaultActions } of Listeners)
        found.push({
          arn: ListenerArn!,
          port: Port!,
          protocol: Protocol!,
          certificate: Certificates?.[0]?.CertificateArn,
          sslPolicy: SslPolicy,
          targetGroupArn: DefaultActions?.[0]?.TargetGroupArn,
        });
    return found;
  } catch (error) {
    // While its stack is deleted, nodes may still exist. The other load balancers are handled all the same.
    if (!(error instanceof LoadBalancerNotFoundException)) throw error;
    log('warn', 'A load balancer no longer exists.', { loadBalancer: LoadBalancerArn });
    return [];
  }
}

async function describeRules({ ec2 }: Observer, groupId: string): Promise<Followed['rules']> {
  const found: { ruleId: string; description: string }[] = [];
  const pages = paginateDescribeSecurityGroupRules(
    { client: ec2 },
    { Filters: [{ Name: 'group-id', Values: [groupId] }] },
  );
  for await (const { SecurityGroupRules = [] } of pages)
    for (const { SecurityGroupRuleId, Description, IsEgress } of SecurityGroupRules)
      if (!IsEgress && isFollowedRule(Description))
        found.push({ ruleId: SecurityGroupRuleId!, description: Description });
  return found;
}

/** One answer with all of them: this API has no pages. */
async function describeTargets({ elasticLoadBalancing }: Observer, arn: string): Promise<TargetGroup['targets']> {
  const { TargetHealthDescriptions = [] } = await elasticLoadBalancing.send(
    new DescribeTargetHealthCommand({ TargetGroupArn: arn }),
  );
  return TargetHealthDescriptions.map(({ Target, TargetHealth }) => ({
    instanceId: Target!.Id!,
    port: Target!.Port!,
    state: TargetHealth!.State!,
  }));
}

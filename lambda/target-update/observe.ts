/** Gathers what target-update decides from: one query of the token table, one paged describe of the groups, and, for each load balancer, its target groups with their tags and targets. Nothing is asked for each node. */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DescribeTagsCommand,
  DescribeTargetGroupsCommand,
  DescribeTargetHealthCommand,
  LoadBalancerNotFoundException,
  type ElasticLoadBalancingV2Client,
  type TargetGroup as Described,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import type { Clock } from '../../protocol/clock';
import { LEADER_STALE_MS, leaderCodec } from '../../protocol/cluster';
import { CLUSTER_PARTITION, LEADER_KEY, NODES_KEY_PREFIX, SORT_KEY, TRAFFIC_KEY } from '../../protocol/keys';
import { decodeSwarmReport } from '../../protocol/swarm';
import { CLUSTER_TAG } from '../../protocol/tags';
import { decodeServedBy, SERVED_BY_TAG, trafficCodec, type Traffic } from '../../protocol/targets';
import type { Log } from '../log';
import { describeGroups } from '../groups';
import { decodeOwn, queryPartition } from '../tables';
import type { Observed, TargetGroup } from './plan';

/** Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html */
const MOST_TAGGED = 20;

export interface Observer {
  clock: Clock;
  log: Log;
  dynamodb: DynamoDBClient;
  autoScaling: AutoScalingClient;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
  cluster: string;
  tokenTable: string;
  /** ARNs. */
  loadBalancers: readonly string[];
}

export interface Observation extends Observed {
  /** As it was told last. */
  told: Traffic | undefined;
}

export async function observe(by: Observer): Promise<Observation> {
  const [swarm, { instances }, targetGroups] = await Promise.all([readSwarm(by), describeGroups(by.autoScaling, by.cluster), describeTargetGroups(by)]);
  return { ...swarm, instances, targetGroups };
}

async function readSwarm(by: Observer): Promise<Pick<Observation, 'quorumVisible' | 'nodes' | 'told'>> {
  const items = await queryPartition(by.dynamodb, by.tokenTable, CLUSTER_PARTITION);
  const leader = decodeOwn(by, leaderCodec, items.find((item) => item[SORT_KEY] === LEADER_KEY));
  const report = decodeSwarmReport(items.filter((item) => String(item[SORT_KEY]).startsWith(NODES_KEY_PREFIX)));
  // A list that cannot be read says as little as one that is old.
  const quorumVisible = report.ok && leader !== undefined && by.clock.now() - leader.updatedAt < LEADER_STALE_MS;
  return { quorumVisible, nodes: report.ok ? report.value.nodes : [], told: decodeOwn(by, trafficCodec, items.find((item) => item[SORT_KEY] === TRAFFIC_KEY)) };
}

/** Those that carry the cluster's tag: nobody else's is touched, whatever load balancer uses it. */
async function describeTargetGroups(by: Observer): Promise<TargetGroup[]> {
  const described = (await Promise.all(by.loadBalancers.map((arn) => ofLoadBalancer(by, arn)))).flat();
  const byArn = new Map(described.map((group) => [group.TargetGroupArn!, group]));
  const arns = [...byArn.keys()];
  const pages = Array.from({ length: Math.ceil(arns.length / MOST_TAGGED) }, (_, n) => arns.slice(n * MOST_TAGGED, (n + 1) * MOST_TAGGED));
  const tagged = await Promise.all(pages.map((page) => by.elasticLoadBalancing.send(new DescribeTagsCommand({ ResourceArns: page }))));
  const own = tagged
    .flatMap(({ TagDescriptions }) => TagDescriptions ?? [])
    .flatMap(({ ResourceArn, Tags = [] }) => {
      const tag = (key: string) => Tags.find(({ Key }) => Key === key)?.Value;
      const servedBy = decodeServedBy(tag(SERVED_BY_TAG));
      return tag(CLUSTER_TAG) === by.cluster && servedBy ? [{ arn: ResourceArn!, servedBy }] : [];
    });
  return Promise.all(
    own.map(async ({ arn, servedBy }) => {
      const { Port, HealthCheckPort } = byArn.get(arn)!;
      return { arn, servedBy, port: Port!, healthCheckPort: HealthCheckPort!, targets: await describeTargets(by, arn) };
    }),
  );
}

async function ofLoadBalancer({ elasticLoadBalancing, log }: Observer, arn: string): Promise<Described[]> {
  const found: Described[] = [];
  let marker: string | undefined;
  try {
    do {
      const page = await elasticLoadBalancing.send(new DescribeTargetGroupsCommand({ LoadBalancerArn: arn, Marker: marker }));
      found.push(...(page.TargetGroups ?? []));
      marker = page.NextMarker;
    } while (marker);
    return found;
  } catch (error) {
    // While its stack is deleted nodes may still be there. Others are looked after all the same.
    if (!(error instanceof LoadBalancerNotFoundException)) throw error;
    log('warn', 'A load balancer is not there any more.', { loadBalancer: arn });
    return [];
  }
}

/** All of them in one answer: the API has no pages. */
async function describeTargets({ elasticLoadBalancing }: Observer, arn: string): Promise<TargetGroup['targets']> {
  const { TargetHealthDescriptions = [] } = await elasticLoadBalancing.send(new DescribeTargetHealthCommand({ TargetGroupArn: arn }));
  return TargetHealthDescriptions.map(({ Target, TargetHealth }) => ({ instanceId: Target!.Id!, port: Target!.Port!, state: TargetHealth!.State! }));
}

/**
 * What constructs and functions know of load balancers, and functions say to each other: which nodes stand behind a
 * target group, and which instances are sent connections.
 */
import * as v from 'valibot';
import { codec, instanceIdSchema } from './body';
import { HEALTH_PORT } from './environment';

/**
 * Of one load balancer. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
 */
export const MAX_LISTENERS = 50;
/**
 * Ports of the nodes that are the swarm's own. Source:
 * https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 */
export const SWARM_PORTS = [2377, 4789, 7946, HEALTH_PORT];
/**
 * Of ACM, or uploaded to IAM. Source:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscertificatemanager.html,
 * list_awsidentityandaccessmanagementiam.html there
 */
export const CERTIFICATE_ARN =
  /^arn:aws[a-z-]*:(acm:[a-z0-9-]+:\d{12}:certificate\/[\w-]+|iam::\d{12}:server-certificate\/[\w+=,.@/-]+)$/;
/**
 * Seconds. How long connections of a target that was deregistered may go on, and its tasks with them. Where nothing
 * fails its health check before, a load balancer may go on to send new ones for two minutes.
 */
export const DEREGISTRATION_DELAY = { afterFailedCheck: 30, otherwise: 120 };

/**
 * Attributes of a target group by which connections to a target that has failed its health check go on for so many
 * seconds, as they do after a deregistration; 0 ends them at once. AWS knows them for TCP and TLS only. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html#unhealthy-target-connection-termination
 */
export function unhealthyDraining(protocol: string, seconds: number): Record<string, string> {
  if (protocol !== 'TCP' && protocol !== 'TLS') return {};
  // Both, always: what is left out stays as it was, and AWS refuses an interval where connections are ended at once.
  return {
    'target_health_state.unhealthy.connection_termination.enabled': String(seconds === 0),
    'target_health_state.unhealthy.draining_interval_seconds': String(seconds),
  };
}

/**
 * A tag of the target group, so that whoever finds the group knows it. Value: `all`, `managers`, `workers`, or `groups`
 * and the logical ids of worker groups, separated by spaces.
 */
export const SERVED_BY_TAG = 'cdk-docker-swarm:served-by';

/** Nodes of both roles or of one, or of some groups of workers, by the logical ids of their Auto Scaling groups. */
export type ServedBy = 'all' | 'managers' | 'workers' | { groups: readonly string[] };

/**
 * Characters of a tag's value. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html
 */
export const MAX_SERVED_BY = 256;

export function encodeServedBy(servedBy: ServedBy): string {
  return typeof servedBy === 'string' ? servedBy : ['groups', ...servedBy.groups].join(' ');
}

/**
 * @returns undefined for what is none. Logical ids have letters and digits only:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
 */
export function decodeServedBy(value: string | undefined): ServedBy | undefined {
  if (value === 'all' || value === 'managers' || value === 'workers') return value;
  const [first, ...groups] = value?.split(' ') ?? [];
  return first === 'groups' && groups.length > 0 && groups.every((group) => /^[A-Za-z0-9]+$/.test(group))
    ? { groups }
    : undefined;
}

/** Those that matter: instances on their way in or out. */
const instanceIds = v.pipe(v.array(instanceIdSchema), v.maxLength(2_000));

/**
 * `traffic`: what target-update has seen of all load balancers, for those who let instances in and out. Written by
 * target-update alone, whole, when it changes.
 */
export const trafficSchema = v.object({
  /**
   * Instances that wait at their launch hook, and are sent connections by every listener that they stand behind; or
   * there is nobody yet who would be sent them instead.
   */
  arrived: instanceIds,
  /** Instances that wait at their terminate hook, and are sent no new connections any more. */
  left: instanceIds,
});
export type Traffic = v.InferOutput<typeof trafficSchema>;
export const trafficCodec = codec(trafficSchema, 128 * 1024);

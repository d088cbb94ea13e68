/**
 * What constructs and functions share about load balancers: which nodes belong to a target group, and which instances
 * receive connections.
 */
import * as v from 'valibot';
import { codec, instanceIdSchema } from './body';
import { HEALTH_PORT } from './environment';

/**
 * Listeners of one load balancer. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
 */
export const MAX_LISTENERS = 50;
/**
 * Node ports that the swarm itself uses. Source:
 * https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 */
export const SWARM_PORTS = [2377, 4789, 7946, HEALTH_PORT];
/**
 * A certificate in ACM, or one uploaded to IAM. Source:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscertificatemanager.html,
 * list_awsidentityandaccessmanagementiam.html there
 */
export const CERTIFICATE_ARN =
  /^arn:aws[a-z-]*:(acm:[a-z0-9-]+:\d{12}:certificate\/[\w-]+|iam::\d{12}:server-certificate\/[\w+=,.@/-]+)$/;
/**
 * Seconds for which connections to a deregistered target may continue, and its tasks with them. `otherwise`: without a
 * health check that fails first, a load balancer may send new connections for two more minutes.
 */
export const DEREGISTRATION_DELAY = { afterFailedCheck: 30, otherwise: 120 };

/**
 * Target group attributes that let connections to an unhealthy target continue for this many seconds, as after a
 * deregistration; 0 closes them at once. AWS supports them for TCP and TLS only. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html#unhealthy-target-connection-termination
 */
export function unhealthyDraining(protocol: string, seconds: number): Record<string, string> {
  if (protocol !== 'TCP' && protocol !== 'TLS') return {};
  // Always both: AWS keeps the old value of an attribute that is left out, and refuses an interval if termination is
  // enabled.
  return {
    'target_health_state.unhealthy.connection_termination.enabled': String(seconds === 0),
    'target_health_state.unhealthy.draining_interval_seconds': String(seconds),
  };
}

/**
 * Tag of a target group that says which nodes belong to it. Value: `all`, `managers`, `workers`, or `groups` followed
 * by logical ids of worker groups, separated by spaces.
 */
export const SERVED_BY_TAG = 'cdk-docker-swarm:served-by';

/** Nodes of both roles, of one role, or of some worker groups, by the logical ids of their Auto Scaling groups. */
export type ServedBy = 'all' | 'managers' | 'workers' | { groups: readonly string[] };

/**
 * Characters in a tag value. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html
 */
export const MAX_SERVED_BY = 256;

export function encodeServedBy(servedBy: ServedBy): string {
  return typeof servedBy === 'string' ? servedBy : ['groups', ...servedBy.groups].join(' ');
}

/**
 * @returns undefined if the value is malformed. Logical ids have letters and digits only:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
 */
export function decodeServedBy(value: string | undefined): ServedBy | undefined {
  if (value === 'all' || value === 'managers' || value === 'workers') return value;
  const [first, ...groups] = value?.split(' ') ?? [];
  return first === 'groups' && groups.length > 0 && groups.every((group) => /^[A-Za-z0-9]+$/.test(group))
    ? { groups }
    : undefined;
}

/** Only instances waiting at a lifecycle hook. */
const instanceIds = v.pipe(v.array(instanceIdSchema), v.maxLength(2_000));

/**
 * `traffic`: what target-update has observed of all load balancers, for the functions that complete lifecycle hooks.
 * Written by target-update alone, as a whole, when it changes.
 */
export const trafficSchema = v.object({
  /**
   * Instances at their launch hook that receive connections in every target group they belong to. A group without a
   * healthy target does not count: nobody receives connections there.
   */
  arrived: instanceIds,
  /** Instances at their terminate hook that no longer receive new connections. */
  left: instanceIds,
});
export type Traffic = v.InferOutput<typeof trafficSchema>;
export const trafficCodec = codec(trafficSchema, 128 * 1024);

/**
 * Load balancers that follow what services publish: what the constructs give target-update to make listeners from, and
 * what it remembers of that.
 */
import * as v from 'valibot';
import { codec, text, nonNegativeInteger } from './body';
import { MAX_SERVED_BY } from './targets';

const port = v.pipe(nonNegativeInteger, v.minValue(1), v.maxValue(65_535));

/**
 * Whose connections a load balancer takes: one peer of a rule of its security group, in the words of CloudFormation.
 */
const peerSchema = v.union([
  v.object({ cidrIp: text(64) }),
  v.object({ cidrIpv6: text(64) }),
  v.object({ sourcePrefixListId: text(64) }),
  /** The owner is another account. */
  v.object({ sourceSecurityGroupId: text(64), sourceSecurityGroupOwnerId: v.optional(text(12)) }),
]);
export type Peer = v.InferOutput<typeof peerSchema>;

export const followsSchema = v.object({
  /** Ports that may be followed, both included. */
  from: port,
  to: port,
  /** Ports of the listeners that are declared in code: they are never followed. */
  declared: v.array(port),
  /**
   * Ports of the nodes that these send to, in the same order: what is published there is reached by them, and not
   * beside them.
   */
  served: v.array(port),
  vpcId: text(64),
  clients: v.array(peerSchema),
  /** Value of the tag of the target groups that says which nodes stand behind them. */
  servedBy: text(MAX_SERVED_BY),
  /** Seconds, and checks in a row. */
  healthCheck: v.object({
    interval: nonNegativeInteger,
    timeout: nonNegativeInteger,
    healthy: nonNegativeInteger,
    unhealthy: nonNegativeInteger,
  }),
  /** Seconds; absent for the default of how the port is published. */
  deregistrationDelay: v.optional(nonNegativeInteger),
  /** Of TCP ports; absent for AWS's default. */
  preserveClientAddress: v.optional(v.boolean()),
  proxyProtocol: v.optional(v.boolean()),
  sslPolicy: text(128),
});
export type Follows = v.InferOutput<typeof followsSchema>;

export const loadBalancerSchema = v.object({
  arn: text(512),
  securityGroupId: text(64),
  follows: v.optional(followsSchema),
});
export type LoadBalancerSettings = v.InferOutput<typeof loadBalancerSchema>;

/** The cluster's load balancers. */
export const loadBalancersSchema = v.pipe(v.array(loadBalancerSchema), v.minLength(1));

/**
 * A tag of target groups and listeners that were made for a followed port. Value: a digest of the settings that a
 * target group was given; of one that is not finished, and of a listener, `made`.
 */
export const FOLLOWED_TAG = 'cdk-docker-swarm:followed';
export const MADE = 'made';

/** Names of the target groups begin with it. */
export const FOLLOWED_PREFIX = 'swarm-';

/** `following`: written by target-update alone, whole, when it changes. */
export const followingSchema = v.object({
  /** Ports that cannot be followed, as was told last. */
  refused: v.pipe(v.array(v.object({ loadBalancer: text(512), port, reason: text(500) })), v.maxLength(100)),
  /**
   * ARNs of load balancers that follow nothing any more, whatever the function's environment says: they are being
   * deleted, or their template says no more that they do.
   */
  closed: v.pipe(v.array(text(512)), v.maxLength(100)),
});
export type Following = v.InferOutput<typeof followingSchema>;
export const followingCodec = codec(followingSchema, 128 * 1024);

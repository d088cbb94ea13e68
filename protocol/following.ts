/**
 * Load balancers that follow published ports: the settings from which target-update makes listeners, and the state that
 * it keeps about them.
 */
import * as v from 'valibot';
import { codec, text, nonNegativeInteger } from './body';
import { MAX_SERVED_BY } from './targets';

const port = v.pipe(nonNegativeInteger, v.minValue(1), v.maxValue(65_535));

/** A source that the load balancer's security group admits, in the terms of CloudFormation. */
const peerSchema = v.union([
  v.object({ cidrIp: text(64) }),
  v.object({ cidrIpv6: text(64) }),
  v.object({ sourcePrefixListId: text(64) }),
  /** The owner is set if the group belongs to another account. */
  v.object({ sourceSecurityGroupId: text(64), sourceSecurityGroupOwnerId: v.optional(text(12)) }),
]);
export type Peer = v.InferOutput<typeof peerSchema>;

export const followsSchema = v.object({
  /** The range of ports to follow, both ends included. */
  from: port,
  to: port,
  /** Ports of the listeners declared in code. They are never followed. */
  declared: v.array(port),
  /**
   * The node ports that those listeners send to, in the same order. A service published on one of them is reached
   * through that listener and gets none of its own.
   */
  served: v.array(port),
  vpcId: text(64),
  clients: v.array(peerSchema),
  /** Value of the tag on each target group that says which nodes belong to it. */
  servedBy: text(MAX_SERVED_BY),
  /** Times in seconds; counts of consecutive checks. */
  healthCheck: v.object({
    interval: nonNegativeInteger,
    timeout: nonNegativeInteger,
    healthy: nonNegativeInteger,
    unhealthy: nonNegativeInteger,
  }),
  /** Seconds. If absent, the default for the port's publish mode. */
  deregistrationDelay: v.optional(nonNegativeInteger),
  /** For TCP ports. If absent, the AWS default. */
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
 * Tag of target groups and listeners made for a followed port. Its value is a digest of the target group's settings;
 * `made` on a listener, and on a target group that is not finished.
 */
export const FOLLOWED_TAG = 'cdk-docker-swarm:followed';
export const MADE = 'made';

/** Prefix of the names of these target groups. */
export const FOLLOWED_PREFIX = 'swarm-';

/** `following`: written by target-update alone, as a whole, when it changes. */
export const followingSchema = v.object({
  /** Ports that cannot be followed, as last announced. */
  refused: v.pipe(v.array(v.object({ loadBalancer: text(512), port, reason: text(500) })), v.maxLength(100)),
  /**
   * ARNs of load balancers that no longer follow anything, whatever the function's environment says: they are being
   * deleted, or their template no longer enables it.
   */
  closed: v.pipe(v.array(text(512)), v.maxLength(100)),
});
export type Following = v.InferOutput<typeof followingSchema>;
export const followingCodec = codec(followingSchema, 128 * 1024);

/**
 * The keys of the two tables.
 *
 * - Token table: written by functions. A node can read only its own mailbox.
 * - Report table: written by nodes, each under its own mailbox only. Its stream carries keys only.
 */

/** Partition key of both tables (string). */
export const PARTITION_KEY = 'pk';
/** Sort key of both tables (string). */
export const SORT_KEY = 'sk';

/** Token table: the partition of the cluster's own records. */
export const CLUSTER_PARTITION = 'cluster';

/** Token table, in {@link CLUSTER_PARTITION}. */
export const LEADER_KEY = 'leader';
export const LEASE_KEY = 'lease';
/** The lease of target-update, which never changes membership. */
export const TARGETS_LEASE_KEY = 'targets-lease';
/** What target-update last saw. Exists only if there is a load balancer. */
export const TRAFFIC_KEY = 'traffic';
/** Ports that target-update could not follow, and load balancers that no longer follow. Exists only if one follows. */
export const FOLLOWING_KEY = 'following';
export const MEMBERSHIP_KEY = 'membership';
export const NODES_KEY_PREFIX = 'nodes#';

/** Token table, in a mailbox. */
export const COMMANDS_KEY = 'commands';
/** In the leader's mailbox only. */
export const ORDERS_KEY = 'orders';

/** Report table, in a mailbox. */
export const HEARTBEAT_KEY = 'heartbeat';
export const REPORT_KEY = 'report';
export const SWARM_KEY_PREFIX = 'swarm#';

/**
 * The partition key of one node: `<roleId>:<instanceId>`. It equals the `aws:userid` of the instance's role session, so
 * that a policy can refer to it (`dynamodb:LeadingKeys`).
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
 */
export function mailbox(roleId: string, instanceId: string): string {
  return `${roleId}:${instanceId}`;
}

/** Splits a mailbox key, or returns undefined if the text is none. */
export function parseMailbox(key: string): { roleId: string; instanceId: string } | undefined {
  const match = /^([A-Za-z0-9]{4,64}):(i-[0-9a-f]{8,17})$/.exec(key);
  return match ? { roleId: match[1]!, instanceId: match[2]! } : undefined;
}

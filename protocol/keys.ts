/**
 * Where things lie in the two tables.
 *
 * Token table: written by functions. A node reads only its own `commands`. Report table: written by nodes, each only
 * below its own mailbox. Its stream carries keys only.
 */

/** Partition key of both tables (string). */
export const PARTITION_KEY = 'pk';
/** Sort key of both tables (string). */
export const SORT_KEY = 'sk';

/** Token table: partition of the cluster's own records. */
export const CLUSTER_PARTITION = 'cluster';

/** Token table, below {@link CLUSTER_PARTITION}. */
export const LEADER_KEY = 'leader';
export const LEASE_KEY = 'lease';
/** The lease of target-update, which changes no membership. */
export const TARGETS_LEASE_KEY = 'targets-lease';
/** What target-update has seen. Only where there is a load balancer. */
export const TRAFFIC_KEY = 'traffic';
/**
 * Which ports target-update could not follow, and which load balancers follow nothing any more. Only where one follows.
 */
export const FOLLOWING_KEY = 'following';
export const MEMBERSHIP_KEY = 'membership';
export const NODES_KEY_PREFIX = 'nodes#';

/** Token table, below a mailbox. */
export const COMMANDS_KEY = 'commands';
/** The leader's mailbox only. */
export const ORDERS_KEY = 'orders';

/** Report table, below a mailbox. */
export const HEARTBEAT_KEY = 'heartbeat';
export const REPORT_KEY = 'report';
export const SWARM_KEY_PREFIX = 'swarm#';

/**
 * The partition key of one node: `<roleId>:<instanceId>`, which is what AWS calls the `aws:userid` of an EC2 instance's
 * role session, so that a policy can name it (`dynamodb:LeadingKeys`). Source:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
 */
export function mailbox(roleId: string, instanceId: string): string {
  return `${roleId}:${instanceId}`;
}

/** The two halves of a mailbox, or undefined when the text is none. */
export function parseMailbox(key: string): { roleId: string; instanceId: string } | undefined {
  const match = /^([A-Za-z0-9]{4,64}):(i-[0-9a-f]{8,17})$/.exec(key);
  return match ? { roleId: match[1]!, instanceId: match[2]! } : undefined;
}

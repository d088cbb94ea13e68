/** Defaults of the props, and constants of every deployment. Both flavours of the constructs use them. */

/**
 * The smallest number of managers that tolerates the loss of one. Source:
 * https://docs.docker.com/engine/swarm/admin_guide/#add-manager-nodes-for-fault-tolerance
 */
export const MANAGER_COUNT = 3;
export const ALLOWED_MANAGER_COUNTS = [1, 3, 5, 7];
/** Managers are spread over up to this many zones: with three, the loss of one zone leaves a quorum. */
export const MANAGER_ZONES = 3;

export const MANAGER_INSTANCE_TYPE = 't4g.small';
export const WORKER_INSTANCE_TYPES = ['t4g.small'];
export const WORKER_MIN_CAPACITY = 1;

/** GiB. A manager's state: Raft, images and container layers. */
export const MANAGER_VOLUME_SIZE = 20;
/**
 * GiB. What EBS allows for gp3. Source:
 * https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html#gp3-ebs-volume-type
 */
export const VOLUME_SIZE_BOUNDS = { min: 1, max: 65_536 };
/** GiB. The system without `/var/lib/docker`. */
export const MANAGER_ROOT_VOLUME_SIZE = 10;
/** GiB. The system and `/var/lib/docker`. */
export const WORKER_ROOT_VOLUME_SIZE = 30;
/** Root device of Amazon Linux. */
export const ROOT_DEVICE = '/dev/xvda';
/** Maximum length of a key in `daemon.json`, as in the agent's configuration (`protocol/environment.ts`). */
export const DAEMON_KEY_LIMIT = 128;

export const VPC_CIDR = '10.0.0.0/16';
/**
 * A VPC is at most a /16, and each of its six subnets (an eighth of the VPC) at least a /28. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
 */
export const VPC_PREFIX_BOUNDS = { min: 16, max: 25 };
export const ZONES = 3;
export const NAT_GATEWAYS = 1;

/**
 * The shared address space, which neither VPCs nor Docker's bridges use by default. Source:
 * https://www.rfc-editor.org/rfc/rfc6598
 */
export const ADDRESS_POOLS = ['100.64.0.0/10'];
export const ADDRESS_POOL_PREFIX_LENGTH = 24;

export type Architecture = 'arm64' | 'x86_64';

/**
 * Public SSM parameter that holds the id of the newest Amazon Linux 2023 image. Source:
 * https://docs.aws.amazon.com/linux/al2023/ug/ec2.html#launch-via-aws-cli
 */
export const imageParameter = (architecture: Architecture) =>
  `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${architecture}`;

/** Timeout (seconds) and memory (MiB) of each function. */
export const FUNCTIONS = {
  'leader-token': { timeout: 30, memory: 256 },
  'node-join': { timeout: 60, memory: 512 },
  'node-leave': { timeout: 60, memory: 512 },
  'target-update': { timeout: 60, memory: 256 },
} as const;
export type FunctionName = keyof typeof FUNCTIONS;

/**
 * A queue's visibility timeout, in timeouts of its function. Source:
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-queueconfig
 */
export const VISIBILITY_TIMEOUT_FACTOR = 6;
/** Messages that a function cannot process go to a dead-letter queue, which keeps them this many days. */
export const WORK_QUEUE = { maxReceiveCount: 3, deadLetterDays: 14 };
/** Lambda's minimum is two concurrent invocations; the lease makes sure that only one of them works. */
export const MESSAGE_MAPPING = { batchSize: 10, maxConcurrency: 2 };
/**
 * Few retries and a short maximum age (seconds): the sweep catches what is late, and a bad record must not block the
 * good records behind it.
 */
export const REPORT_MAPPING = { batchSize: 100, retryAttempts: 2, maxRecordAge: 60 };

/**
 * ISO 8601. How long CloudFormation waits for a node's success signal: when it creates a group, and in a rolling update
 * of workers, which may first have to terminate one.
 */
export const CREATION_TIMEOUT = 'PT15M';
export const WORKER_UPDATE_PAUSE = 'PT30M';
/**
 * ISO 8601. CloudFormation terminates all seats at the same time, and node-leave releases one after the other, so the
 * last seat waits for all others. One hour is the maximum. Source:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html (PauseTime)
 */
export const MANAGER_UPDATE_PAUSE = 'PT1H';
/**
 * Processes that CloudFormation suspends while it rolls a group. Never `Launch`: nothing would replace what was rolled.
 * Source: https://repost.aws/knowledge-center/auto-scaling-group-rolling-updates
 */
export const SUSPENDED_IN_UPDATES = [
  'HealthCheck',
  'ReplaceUnhealthy',
  'AZRebalance',
  'AlarmNotification',
  'ScheduledActions',
];

/**
 * Maximum bytes of user data before encoding. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
 */
export const USER_DATA_LIMIT = 16_384;

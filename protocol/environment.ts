/** The contract of what the constructs hand to the functions (environment variables) and to the agent (a file). */
import * as v from 'valibot';
import { ipv4Schema, nodeRoleSchema, text, nonNegativeInteger } from './body';

/** Environment variables of the functions. All values are strings. */
export const environmentVariables = {
  /** The value of the cluster tag. All functions. */
  cluster: 'CLUSTER',
  /** Name of the token table. All functions. */
  tokenTable: 'TOKEN_TABLE',
  /** Name of the report table. All functions. */
  reportTable: 'REPORT_TABLE',
  /** Unique ids (`AROA...`) of the nodes' roles. All functions. */
  managerRoleId: 'MANAGER_ROLE_ID',
  workerRoleId: 'WORKER_ROLE_ID',
  /** JSON of {@link seatsSchema}. node-join and node-leave. */
  seats: 'SEATS',
  /** JSON of {@link swarmSettingsSchema}. node-join and node-leave. */
  swarmSettings: 'SWARM_SETTINGS',
  /** URL of node-join's queue, which takes "look again" messages. leader-token and target-update. */
  joinQueueUrl: 'JOIN_QUEUE_URL',
  /** URL of target-update's queue, if there is one. leader-token. */
  targetsQueueUrl: 'TARGETS_QUEUE_URL',
  /**
   * `true` if there is a load balancer: nodes then join and leave service together with its targets. node-join and
   * node-leave.
   */
  loadBalanced: 'LOAD_BALANCED',
  /** JSON of `loadBalancersSchema` (following.ts). target-update. */
  loadBalancers: 'LOAD_BALANCERS',
} as const;

/**
 * Attempts of each AWS request, in functions and agents. The SDK's default of three is too few when a thousand nodes
 * join and are throttled: a request that fails for good restarts the whole round, which costs more requests than
 * further attempts.
 */
export const AWS_ATTEMPTS = 6;

/** The configured seats, and the constants of each. */
export const seatsSchema = v.pipe(
  v.array(
    v.object({ seat: nonNegativeInteger, volumeId: text(64), networkInterfaceId: text(64), address: ipv4Schema }),
  ),
  v.minLength(1),
  v.maxLength(7),
);
export type Seats = v.InferOutput<typeof seatsSchema>;

export const swarmSettingsSchema = v.object({
  addressPools: v.array(text(32)),
  addressPoolPrefixLength: nonNegativeInteger,
});
export type SwarmSettings = v.InferOutput<typeof swarmSettingsSchema>;

/**
 * Every node answers health checks of load balancers on this port: `GET /health` returns 200 or 503. Next to Docker's
 * own ports 2375 to 2377.
 */
export const HEALTH_PORT = 2378;

/** Where user data writes the agent's configuration, bundle and log. */
export const AGENT_CONFIG_PATH = '/etc/cdk-docker-swarm/agent.json';
export const AGENT_BUNDLE_PATH = '/opt/cdk-docker-swarm/agent.cjs';
export const AGENT_SERVICE = 'cdk-docker-swarm-agent';
export const AGENT_LOG_PATH = '/var/log/cdk-docker-swarm-agent.log';
/** The complete output of user data, on Amazon Linux. */
export const BOOT_LOG_PATH = '/var/log/cloud-init-output.log';

/** The file at {@link AGENT_CONFIG_PATH}. No secrets. */
export const agentConfigSchema = v.object({
  cluster: text(512),
  role: nodeRoleSchema,
  /** Unique id of this node's IAM role. With the instance id it makes the mailbox key. */
  roleId: text(64),
  region: text(32),
  tokenTable: text(255),
  reportTable: text(255),
  /**
   * CloudWatch log group for the boot log and the agent's log; streams `<instance id>/boot` and `<instance id>/agent`.
   */
  logGroup: text(512),
  /** Managers only. */
  seat: v.optional(v.object({ number: nonNegativeInteger, volumeId: text(64) })),
  /** Engine labels of the group. */
  labels: v.record(text(128), text(256)),
  /** Keys for `/etc/docker/daemon.json`. They override the agent's defaults. */
  daemon: v.record(text(128), v.unknown()),
});
export type AgentConfig = v.InferOutput<typeof agentConfigSchema>;

/**
 * What the constructs give the functions, by environment variable, and the agent, by file. One definition for who
 * writes and who reads.
 */
import * as v from 'valibot';
import { ipv4Schema, nodeRoleSchema, text, nonNegativeInteger } from './body';

/** Environment variables of the functions. All are texts. */
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
  /** URL of node-join's queue: "look again" is sent there. leader-token and target-update. */
  joinQueueUrl: 'JOIN_QUEUE_URL',
  /** URL of target-update's queue, where there is one. leader-token. */
  targetsQueueUrl: 'TARGETS_QUEUE_URL',
  /**
   * `true` where there is a load balancer: then nodes come and go together with its targets. node-join and node-leave.
   */
  loadBalanced: 'LOAD_BALANCED',
  /** JSON of `loadBalancersSchema` (following.ts). target-update. */
  loadBalancers: 'LOAD_BALANCERS',
} as const;

/**
 * Attempts of each request to AWS, by functions and agents alike. The SDK's own three are too few where a thousand
 * nodes join and are throttled: what fails for good is begun again from the start, with more requests than further
 * attempts take.
 */
export const AWS_ATTEMPTS = 6;

/** The seats that the deployment wants, with the constants of each. */
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
 * Where every node answers load balancers whether it may be sent work: `GET /health`, 200 or 503. Beside Docker's own
 * 2375 to 2377.
 */
export const HEALTH_PORT = 2378;

/** Where user data puts the agent's configuration, bundle, and log. */
export const AGENT_CONFIG_PATH = '/etc/cdk-docker-swarm/agent.json';
export const AGENT_BUNDLE_PATH = '/opt/cdk-docker-swarm/agent.cjs';
export const AGENT_SERVICE = 'cdk-docker-swarm-agent';
export const AGENT_LOG_PATH = '/var/log/cdk-docker-swarm-agent.log';
/** The whole output of user data, on Amazon Linux. */
export const BOOT_LOG_PATH = '/var/log/cloud-init-output.log';

/** The file at {@link AGENT_CONFIG_PATH}. No secrets. */
export const agentConfigSchema = v.object({
  cluster: text(512),
  role: nodeRoleSchema,
  /** Unique id of this node's role: with the instance id it makes the mailbox. */
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
  /** Keys for `/etc/docker/daemon.json`, over the agent's own defaults. */
  daemon: v.record(text(128), v.unknown()),
});
export type AgentConfig = v.InferOutput<typeof agentConfigSchema>;

/**
 * The alarms: what they watch and when they go off, as data that both flavours turn into their own resources. The
 * description is what a person reads first in the middle of the night: what is wrong, what it means, where to look. A
 * test holds that the pages and headings it names exist.
 */
import {
  ALARM_METRIC,
  CENSUS_METRIC,
  CERTIFICATE_METRIC,
  ACTIONS_METRIC,
  PORTS_METRIC,
  UNANSWERED_METRIC,
  type Census,
  type ActionCounts,
} from '../../protocol/census';

/** Names of the metrics that the functions log at each look: the state of the cluster, and what the look has done. */
export type SwarmMetric = keyof Census | keyof ActionCounts;

const CENSUS: readonly SwarmMetric[] = [
  'seats',
  'managersWorking',
  'managersMissing',
  'workersReady',
  'nodesDown',
  'instancesWaiting',
  'instancesLeaving',
  'launchesHeld',
  'leaderAgeSeconds',
  'tasksPending',
] satisfies (keyof Census)[];
const ACTION_COUNTS: readonly SwarmMetric[] = [
  'nodesReady',
  'nodesLeft',
  'nodesLost',
  'nodesReplaced',
  'hookDeadlines',
  'managersRemoved',
  'rotations',
] satisfies (keyof ActionCounts)[];
export const SWARM_METRICS: readonly SwarmMetric[] = [...CENSUS, ...ACTION_COUNTS];

/** The namespace of all metrics that come from a cluster's logs. */
export const metricNamespace = (cluster: string) => `DockerSwarm/${cluster}`;

/**
 * Whose logs a metric filter reads: those of node-join and node-leave, of these two and leader-token, of the nodes, or
 * of target-update.
 */
export type LogSource = 'membership' | 'functions' | 'nodes' | 'target-update';

/** A metric filter. */
export interface LoggedMetric {
  readonly name: string;
  readonly source: LogSource;
  /** https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html */
  readonly pattern: string;
  /** A number, or the field of the log line that holds it. */
  readonly value: string;
}

/** How CloudWatch aggregates the values of one period. */
export interface Aggregation {
  readonly statistic: 'min' | 'max' | 'avg' | 'sum';
  readonly periodMinutes: number;
}

/** One of the metrics that the functions log, with its default aggregation. */
export function swarmMetric(name: SwarmMetric): LoggedMetric & Aggregation {
  const isAction = ACTION_COUNTS.includes(name);
  return {
    name,
    source: 'membership',
    pattern: `{ ($.metric = "${isAction ? ACTIONS_METRIC : CENSUS_METRIC}") && ($.${name} >= 0) }`,
    value: `$.${name}`,
    statistic: isAction ? 'sum' : 'avg',
    periodMinutes: 1,
  };
}

const loggedMetric = (name: string, source: LogSource, metric: string, value = '1'): LoggedMetric => ({
  name,
  source,
  pattern: `{ $.metric = "${metric}" }`,
  value,
});

/** What an alarm watches. */
export type Watched =
  | ({ readonly kind: 'logged'; readonly metric: LoggedMetric } & Aggregation)
  /**
   * The sum of a Lambda metric over several functions.
   * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
   */
  | { readonly kind: 'functions'; readonly count: 'errors' | 'invocations'; readonly of: LogSource }
  /** The most messages in the dead-letter queues of node-join and node-leave. */
  | { readonly kind: 'dead-letters' };

/** Period of the metrics that are summed over functions and queues. */
export const SUM_PERIOD_MINUTES = 5;

export interface Threshold {
  readonly comparison: 'at-least' | 'below';
  readonly threshold: number;
  /** Consecutive periods. */
  readonly periods: number;
  /** Whether a period without data counts as breaching. */
  readonly missing: 'breaching' | 'not-breaching';
}

export interface Alarm extends Threshold {
  /** Construct id. Logical ids of deployed stacks depend on it. */
  readonly id: string;
  readonly description: string;
  readonly watches: Watched;
}

/** Missing data is not breaching: functions that log nothing have an alarm of their own. */
const atLeast = (threshold: number, periods: number): Threshold => ({
  comparison: 'at-least',
  threshold,
  periods,
  missing: 'not-breaching',
});
const lowest = (name: SwarmMetric): Watched => ({
  kind: 'logged',
  metric: swarmMetric(name),
  statistic: 'min',
  periodMinutes: 1,
});

const TROUBLESHOOT = 'docs/operations/troubleshoot.md of cdk-docker-swarm';
const ALARMS = 'docs/operations/alarms.md of cdk-docker-swarm';
const see = (heading: string) => `See "${heading}" in ${TROUBLESHOOT}.`;

/** About the cluster itself, by the property of `SwarmAlarms` that holds each alarm. */
export const SWARM_ALARMS = {
  leaderSilent: {
    id: 'LeaderSilent',
    description:
      'No leader of the swarm has reported for four minutes: the quorum may be lost, or reports do not get through. ' +
      'Tasks keep running. Nothing is removed or replaced meanwhile. Wait five minutes: managers that died come back ' +
      `by themselves. ${see('The quorum is at risk or lost')} If the volumes of most managers are lost, follow ` +
      "docs/operations/recover-quorum.md and the stack's output RecoverQuorum.",
    watches: lowest('leaderAgeSeconds'),
    // The leader reports every 30 seconds.
    ...atLeast(120, 2),
  },
  managersMissing: {
    id: 'ManagersMissing',
    description:
      'A manager has been missing for ten minutes. The swarm may still work, but one more loss may cost the quorum. ' +
      'Find the seat without a working instance. If its instance waits at the launch hook, see "A node stays ' +
      `Pending"; if it has none, see "A seat launches nothing: Launch is suspended", in ${TROUBLESHOOT}.`,
    watches: lowest('managersMissing'),
    ...atLeast(1, 10),
  },
  nodesDown: {
    id: 'NodesDown',
    description:
      'A node has been down for fifteen minutes and was not replaced; five minutes is normal. Either the breaker is ' +
      'tripped because too many nodes are down, or the node belongs to no instance of the cluster. ' +
      see('A node hangs, or is down'),
    watches: lowest('nodesDown'),
    ...atLeast(1, 15),
  },
  tasksPending: {
    id: 'TasksPending',
    description:
      'Tasks have waited for fifteen minutes for a node that can run them: the cluster is full, or no node meets ' +
      `their constraints. ${see('Tasks are pending')}`,
    watches: lowest('tasksPending'),
    ...atLeast(1, 15),
  },
  hookDeadlines: {
    id: 'HookDeadlines',
    description:
      'Three lifecycle hooks were completed past their deadline within half an hour: launched instances do not ' +
      'become Ready, or nodes do not leave in time. Look for "Done: abandon." and "Done: let-go." in the logs of ' +
      `node-join and node-leave, then read the logs of the instances they name. ${see('A node stays Pending')}`,
    watches: { kind: 'logged', metric: swarmMetric('hookDeadlines'), statistic: 'sum', periodMinutes: 30 },
    ...atLeast(3, 1),
  },
  certificatesOverdue: {
    id: 'CertificatesOverdue',
    description:
      'Docker should have renewed the certificate of a node long ago, or the agent cannot read it. When it expires, ' +
      'the node is down for good. The lines with the level error in the log group of the nodes name the node. ' +
      see('A certificate is not renewed'),
    watches: {
      kind: 'logged',
      metric: loggedMetric('certificatesOverdue', 'nodes', CERTIFICATE_METRIC),
      statistic: 'sum',
      periodMinutes: 120,
    },
    ...atLeast(1, 1),
  },
  attention: {
    id: 'Attention',
    description:
      'The functions have logged at least three things within five minutes that a person should know: a node was ' +
      'refused, replaced or removed, or the breaker stops replacements. Read the lines with the level error in the ' +
      'logs of node-join, node-leave and leader-token: each says what happened and to which instance. Many are about ' +
      `a repair that is already under way. See Attention in ${ALARMS}.`,
    watches: {
      kind: 'logged',
      metric: loggedMetric('attention', 'functions', ALARM_METRIC),
      statistic: 'sum',
      periodMinutes: 5,
    },
    ...atLeast(3, 1),
  },
  functionsFail: {
    id: 'FunctionsFail',
    description:
      'At least three invocations of node-join, node-leave or leader-token have failed within five minutes. Nodes ' +
      `may not join, leave or heal; tasks keep running. ${see('A function fails, or messages are dead letters')}`,
    watches: { kind: 'functions', count: 'errors', of: 'functions' },
    ...atLeast(3, 1),
  },
  deadLetters: {
    id: 'DeadLetters',
    description:
      'A message is in the dead-letter queue of node-join or node-leave: three attempts to process it have failed. ' +
      'Nothing is lost, because the sweep has looked again since. ' +
      see('A function fails, or messages are dead letters'),
    watches: { kind: 'dead-letters' },
    ...atLeast(1, 1),
  },
  functionsSilent: {
    id: 'FunctionsSilent',
    description:
      'Neither node-join nor node-leave has been invoked for five minutes. Nothing heals meanwhile; tasks keep ' +
      'running. Check that the rule Sweep and the event source mappings are enabled, and that the account has Lambda ' +
      `concurrency left. See FunctionsSilent in ${ALARMS}.`,
    watches: { kind: 'functions', count: 'invocations', of: 'membership' },
    comparison: 'below',
    threshold: 1,
    periods: 1,
    missing: 'breaching',
  },
} satisfies Record<string, Alarm>;

/**
 * About the target group of a declared listener, by the property of `LoadBalancerAlarms` that holds each alarm.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
 */
export const listenerAlarms = (port: number) =>
  ({
    nobodyHealthy: {
      id: `NobodyHealthy${port}`,
      description:
        `No node behind port ${port} has been healthy for three minutes: clients are not served. If no worker runs, ` +
        `look at the worker group first. ${see('A worker is not a target')}`,
      // A target group without targets has no data.
      ...{ comparison: 'below', threshold: 1, periods: 3, missing: 'breaching' },
    },
    unhealthy: {
      id: `Unhealthy${port}`,
      description:
        `A node behind port ${port} has failed its health checks for fifteen minutes, and was neither replaced nor ` +
        'removed. On the node, "curl -i http://localhost:2378/health" says why, unless the health check uses a port ' +
        `of your own. ${see('A worker is not a target')}`,
      ...atLeast(1, 15),
    },
    zoneEmpty: {
      id: `ZoneEmpty${port}`,
      description:
        `A zone has had no healthy node behind port ${port} for ten minutes. Without cross-zone load balancing, ` +
        'clients that reach the load balancer in that zone are not served. Check whether the worker group has ' +
        `instances there. See ZoneEmptyPORT in ${ALARMS}.`,
      ...{ comparison: 'below', threshold: 1, periods: 10, missing: 'not-breaching' },
    },
  }) satisfies Record<string, Omit<Alarm, 'watches'>>;

/** Period of the target group metrics. */
export const TARGETS_PERIOD_MINUTES = 1;
/** Connections that targets may reset within five minutes. Services reset some as a matter of course. */
export const RESETS = 1_000;

/** About a load balancer as a whole. */
export const loadBalancerAlarms = (resets: number) =>
  ({
    resets: {
      id: 'Resets',
      description:
        'In three consecutive periods of five minutes, nodes have reset more connections of the load balancer than ' +
        '`resets` allows (1,000 by default). Compare with deployments of your services; raise `resets` if they do ' +
        `this normally. See Resets in ${ALARMS}.`,
      ...atLeast(resets, 3),
    },
    updaterFails: {
      id: 'UpdaterFails',
      description:
        'At least three invocations of target-update have failed within five minutes. The load balancer may send ' +
        `connections to the wrong nodes. ${see('A function fails, or messages are dead letters')}`,
      ...atLeast(3, 1),
    },
  }) satisfies Record<string, Omit<Alarm, 'watches'>>;

/** About published ports that load balancers follow. */
export const FOLLOWED_PORTS_ALARMS = {
  portsNotFollowed: {
    id: 'PortsNotFollowed',
    /** Construct id of the metric filter. */
    filterId: 'Ports',
    description:
      'For ten minutes a service has published a port that no load balancer can follow, so clients cannot reach it ' +
      `there. The log of target-update says why. ${see('A followed port is not reachable')}`,
    watches: {
      kind: 'logged',
      metric: loggedMetric(PORTS_METRIC, 'target-update', PORTS_METRIC, '$.ports'),
      statistic: 'max',
      periodMinutes: 5,
    },
    ...atLeast(1, 2),
  },
  portsUnanswered: {
    id: 'PortsUnanswered',
    filterId: 'Unanswered',
    description:
      'No healthy node has answered on a followed port for fifteen minutes: clients are not served there. The log of ' +
      `target-update names the port. ${see('A followed port is not reachable')}`,
    watches: {
      kind: 'logged',
      metric: loggedMetric(UNANSWERED_METRIC, 'target-update', UNANSWERED_METRIC, '$.ports'),
      statistic: 'max',
      periodMinutes: 5,
    },
    ...atLeast(1, 3),
  },
} satisfies Record<string, Alarm & { filterId: string }>;

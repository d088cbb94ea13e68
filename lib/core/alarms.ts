/**
 * Which alarms there are, what they watch and when they go off: data that both flavours turn into their own resources.
 * Descriptions are what a person reads first in the middle of the night: what is wrong, what it means, where to look.
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

/** Metrics that the functions log, by name: how the cluster was seen at each look, and what each look has done. */
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
const DEEDS: readonly SwarmMetric[] = [
  'nodesReady',
  'nodesLeft',
  'nodesLost',
  'nodesReplaced',
  'hookDeadlines',
  'managersRemoved',
  'rotations',
] satisfies (keyof ActionCounts)[];
export const SWARM_METRICS: readonly SwarmMetric[] = [...CENSUS, ...DEEDS];

/** All metrics of a cluster that come from logs are in this namespace. */
export const metricNamespace = (cluster: string) => `DockerSwarm/${cluster}`;

/** Whose log lines are counted: both membership functions, all functions of a cluster, its nodes, or target-update. */
export type LogSource = 'membership' | 'functions' | 'nodes' | 'target-update';

/** A metric filter: what becomes of each log line that matches. */
export interface LoggedMetric {
  readonly name: string;
  readonly source: LogSource;
  /** https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html */
  readonly pattern: string;
  /** A number, or the field of the line that holds it. */
  readonly value: string;
}

/** How CloudWatch sums up the values of one period. */
export interface Reading {
  readonly statistic: 'min' | 'max' | 'avg' | 'sum';
  readonly periodMinutes: number;
}

/** A metric of how the cluster was seen, or of what was done, with how it is read unless somebody says otherwise. */
export function swarmMetric(name: SwarmMetric): LoggedMetric & Reading {
  const isAction = DEEDS.includes(name);
  return {
    name,
    source: 'membership',
    pattern: `{ ($.metric = "${isAction ? ACTIONS_METRIC : CENSUS_METRIC}") && ($.${name} >= 0) }`,
    value: `$.${name}`,
    statistic: isAction ? 'sum' : 'avg',
    periodMinutes: 1,
  };
}

const counted = (name: string, source: LogSource, metric: string, value = '1'): LoggedMetric => ({
  name,
  source,
  pattern: `{ $.metric = "${metric}" }`,
  value,
});

/** What an alarm watches. */
export type Watched =
  | ({ readonly kind: 'logged'; readonly metric: LoggedMetric } & Reading)
  /** The sum over functions of what Lambda counts. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html */
  | { readonly kind: 'functions'; readonly count: 'errors' | 'invocations'; readonly of: LogSource }
  /** The most messages that lay in the dead-letter queues of the membership functions. */
  | { readonly kind: 'dead-letters' };

/** The period of what is summed over functions and queues. */
export const SUM_PERIOD_MINUTES = 5;

export interface Threshold {
  readonly comparison: 'at-least' | 'below';
  readonly threshold: number;
  /** Periods in a row. */
  readonly periods: number;
  /** Whether periods without a value count as over the threshold. */
  readonly missing: 'breaching' | 'not-breaching';
}

export interface Alarm extends Threshold {
  /** Construct id. Logical ids of deployed stacks depend on it. */
  readonly id: string;
  readonly description: string;
  readonly watches: Watched;
}

/** Where nothing is logged the functions are silent, and there is an alarm for that. */
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

/** About the cluster itself, by the name of the property of `SwarmAlarms` that holds each. */
export const SWARM_ALARMS = {
  leaderSilent: {
    id: 'LeaderSilent',
    description:
      'No leader of the swarm has reported for four minutes: it may have lost its quorum. Managers that ' +
      'died come back by themselves. When the volumes of most of them are lost, see docs/quorum-lost.md of ' +
      'cdk-docker-swarm, and the output RecoverQuorum of the stack.',
    watches: lowest('leaderAgeSeconds'),
    // It reports every 30 seconds.
    ...atLeast(120, 2),
  },
  managersMissing: {
    id: 'ManagersMissing',
    description: 'A manager has been missing for ten minutes: the quorum is at risk.',
    watches: lowest('managersMissing'),
    ...atLeast(1, 10),
  },
  nodesDown: {
    id: 'NodesDown',
    description: 'A node has been down for fifteen minutes, and was not replaced.',
    watches: lowest('nodesDown'),
    ...atLeast(1, 15),
  },
  tasksPending: {
    id: 'TasksPending',
    description: 'Tasks have been waiting for fifteen minutes for a node that can run them.',
    watches: lowest('tasksPending'),
    ...atLeast(1, 15),
  },
  hookDeadlines: {
    id: 'HookDeadlines',
    description:
      'Three hooks within half an hour were completed past their deadline: instances do not become Ready, ' +
      'or do not leave in time. See what was abandoned, or let go, in the logs of the functions, and the ' +
      'logs of these nodes.',
    watches: { kind: 'logged', metric: swarmMetric('hookDeadlines'), statistic: 'sum', periodMinutes: 30 },
    ...atLeast(3, 1),
  },
  certificatesOverdue: {
    id: 'CertificatesOverdue',
    description:
      'Docker should have renewed the certificate of a node long ago: see lines with the level error in ' +
      'the logs of the nodes. When it has run out, the node is down for good.',
    watches: {
      kind: 'logged',
      metric: counted('certificatesOverdue', 'nodes', CERTIFICATE_METRIC),
      statistic: 'sum',
      periodMinutes: 120,
    },
    ...atLeast(1, 1),
  },
  attention: {
    id: 'Attention',
    description:
      'The functions said several times that a person should know something: see lines with the level ' +
      'error in their logs.',
    watches: {
      kind: 'logged',
      metric: counted('attention', 'functions', ALARM_METRIC),
      statistic: 'sum',
      periodMinutes: 5,
    },
    ...atLeast(3, 1),
  },
  functionsFail: {
    id: 'FunctionsFail',
    description: 'Several invocations of the functions have failed.',
    watches: { kind: 'functions', count: 'errors', of: 'functions' },
    ...atLeast(3, 1),
  },
  deadLetters: {
    id: 'DeadLetters',
    description:
      'Messages lie in a dead-letter queue: no function could process them. The sweep has looked again since.',
    watches: { kind: 'dead-letters' },
    ...atLeast(1, 1),
  },
  functionsSilent: {
    id: 'FunctionsSilent',
    description: 'No function has looked at the cluster for five minutes: nothing is healed.',
    watches: { kind: 'functions', count: 'invocations', of: 'membership' },
    comparison: 'below',
    threshold: 1,
    periods: 1,
    missing: 'breaching',
  },
} satisfies Record<string, Alarm>;

/**
 * About the target group behind a declared listener, by the name of the property of `LoadBalancerAlarms`.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
 */
export const listenerAlarms = (port: number) =>
  ({
    nobodyHealthy: {
      id: `NobodyHealthy${port}`,
      description: `No node behind port ${port} has been healthy for three minutes.`,
      // Where no target is registered nothing is counted.
      ...{ comparison: 'below', threshold: 1, periods: 3, missing: 'breaching' },
    },
    unhealthy: {
      id: `Unhealthy${port}`,
      description: `A node behind port ${port} has failed its health checks for fifteen minutes.`,
      ...atLeast(1, 15),
    },
    zoneEmpty: {
      id: `ZoneEmpty${port}`,
      description: `A zone has had no healthy node behind port ${port} for ten minutes.`,
      ...{ comparison: 'below', threshold: 1, periods: 10, missing: 'not-breaching' },
    },
  }) satisfies Record<string, Omit<Alarm, 'watches'>>;

/** The period of what is read of a target group: its most in a minute. */
export const TARGETS_PERIOD_MINUTES = 1;
/** Connections within five minutes that targets may reset. Services reset some as a matter of course. */
export const RESETS = 1_000;

/** About a load balancer as a whole. */
export const loadBalancerAlarms = (resets: number) =>
  ({
    resets: {
      id: 'Resets',
      description: 'Nodes reset many connections of the load balancer.',
      ...atLeast(resets, 3),
    },
    updaterFails: {
      id: 'UpdaterFails',
      description: 'Several invocations of target-update have failed: who is sent connections may not be right.',
      ...atLeast(3, 1),
    },
  }) satisfies Record<string, Omit<Alarm, 'watches'>>;

/** About published ports that load balancers follow. */
export const FOLLOWED_PORTS_ALARMS = {
  portsNotFollowed: {
    id: 'PortsNotFollowed',
    /** Of the metric filter. */
    filterId: 'Ports',
    description:
      'A service publishes a port that the load balancer cannot follow: see the log of target-update for the reason.',
    watches: {
      kind: 'logged',
      metric: counted(PORTS_METRIC, 'target-update', PORTS_METRIC, '$.ports'),
      statistic: 'max',
      periodMinutes: 5,
    },
    ...atLeast(1, 2),
  },
  portsUnanswered: {
    id: 'PortsUnanswered',
    filterId: 'Unanswered',
    description:
      'No healthy node has answered at a followed port for fifteen minutes: see the log of target-update for which.',
    watches: {
      kind: 'logged',
      metric: counted(UNANSWERED_METRIC, 'target-update', UNANSWERED_METRIC, '$.ports'),
      statistic: 'max',
      periodMinutes: 5,
    },
    ...atLeast(1, 3),
  },
} satisfies Record<string, Alarm & { filterId: string }>;

/**
 * Alarms about the cluster itself: its leader, managers, nodes, tasks and functions. Most of them watch what the
 * functions log at each look.
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import {
  metricNamespace,
  SUM_PERIOD_MINUTES,
  SWARM_ALARMS,
  SWARM_METRICS,
  swarmMetric,
  type Aggregation,
  type Alarm,
  type LoggedMetric,
  type LogSource,
  type SwarmMetric,
  type Watched,
} from '../core/alarms';
import { checkNames } from '../core/checks/names';
import { addActions, createAlarm } from '../framework/alarm';
import type { LeaderTokenPublisher } from '../lifecycle/leader-token-publisher';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';

export interface AlarmOptions {
  /**
   * Actions for when an alarm goes off and when it ends, for example `new SnsAction(topic)` from
   * `aws-cdk-lib/aws-cloudwatch-actions`.
   * @default - none: the alarms are visible only in CloudWatch
   */
  readonly actions?: cloudwatch.IAlarmAction[];
}

export interface SwarmAlarmsProps extends AlarmOptions {
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
}

export type { SwarmMetric } from '../core/alarms';

/**
 * Ten alarms and the seven metrics behind them. docs/operations/alarms.md says what each alarm means and what to do.
 *
 * They cost 2.60 USD a month while all is well, and at most 3.50 (us-east-1: 0.30 for each metric, in hours in which it
 * is reported, and 0.10 for each metric of an alarm; https://aws.amazon.com/cloudwatch/pricing/). {@link metric} adds
 * metrics, which cost extra. All metrics are in the namespace `DockerSwarm/<cluster>`.
 */
export class SwarmAlarms extends Construct {
  /**
   * No leader has reported for about four minutes: the quorum is lost, or reports do not get through. Nothing is
   * removed or replaced meanwhile.
   */
  readonly leaderSilent: cloudwatch.Alarm;
  /** A manager has been missing for ten minutes: the quorum is at risk. */
  readonly managersMissing: cloudwatch.Alarm;
  /** A node has been down for fifteen minutes and was not replaced. */
  readonly nodesDown: cloudwatch.Alarm;
  /** Tasks have waited for fifteen minutes for a node that can run them. */
  readonly tasksPending: cloudwatch.Alarm;
  /**
   * Three lifecycle hooks were completed past their deadline within half an hour: launched instances do not become
   * Ready, or nodes do not leave in time.
   */
  readonly hookDeadlines: cloudwatch.Alarm;
  /** Docker should have renewed a node's certificate long ago. The logs of the nodes name the node. */
  readonly certificatesOverdue: cloudwatch.Alarm;
  /**
   * The functions logged at least three things within five minutes that a person should know: a node was refused,
   * replaced or removed, or the breaker stops replacements. Their logs say what happened.
   */
  readonly attention: cloudwatch.Alarm;
  /** At least three invocations of node-join, node-leave or leader-token failed within five minutes. */
  readonly functionsFail: cloudwatch.Alarm;
  /** Neither node-join nor node-leave was invoked for five minutes. */
  readonly functionsSilent: cloudwatch.Alarm;
  /** A message that node-join or node-leave could not process is in a dead-letter queue. */
  readonly deadLetters: cloudwatch.Alarm;

  private readonly namespace: string;
  private readonly logs: Record<LogSource, logs.ILogGroup[]>;

  constructor(scope: Construct, id: string, { lifecycle, leaderToken, actions = [] }: SwarmAlarmsProps) {
    super(scope, id);
    this.namespace = metricNamespace(lifecycle.cluster);
    const membership = [lifecycle.nodeJoin, lifecycle.nodeLeave];
    const functions = [...membership, leaderToken.function];
    const logGroups = (of: lambda.Function[]) => of.map(({ logGroup }) => logGroup);
    this.logs = {
      membership: logGroups(membership),
      functions: logGroups(functions),
      nodes: [lifecycle.nodeLogGroup],
      'target-update': [],
    };
    const period = Duration.minutes(SUM_PERIOD_MINUTES);
    const metricOf = (watches: Watched): cloudwatch.IMetric => {
      switch (watches.kind) {
        case 'logged':
          return this.logged(watches.metric, watches);
        case 'functions': {
          const counted = watches.of === 'membership' ? membership : functions;
          return sum(
            counted.map((fn) =>
              watches.count === 'errors' ? fn.metricErrors({ period }) : fn.metricInvocations({ period }),
            ),
          );
        }
        case 'dead-letters':
          return sum(
            [lifecycle.joinQueue, lifecycle.leaveQueue].map((queue) =>
              queue.deadLetterQueue!.queue.metricApproximateNumberOfMessagesVisible({ period, statistic: 'max' }),
            ),
          );
      }
    };
    const create = (alarm: Alarm) => createAlarm(this, alarm, metricOf(alarm.watches));

    this.leaderSilent = create(SWARM_ALARMS.leaderSilent);
    this.managersMissing = create(SWARM_ALARMS.managersMissing);
    this.nodesDown = create(SWARM_ALARMS.nodesDown);
    this.tasksPending = create(SWARM_ALARMS.tasksPending);
    this.hookDeadlines = create(SWARM_ALARMS.hookDeadlines);
    this.certificatesOverdue = create(SWARM_ALARMS.certificatesOverdue);
    this.attention = create(SWARM_ALARMS.attention);
    this.functionsFail = create(SWARM_ALARMS.functionsFail);
    this.deadLetters = create(SWARM_ALARMS.deadLetters);
    this.functionsSilent = create(SWARM_ALARMS.functionsSilent);
    addActions(this, actions);
  }

  /**
   * A metric from the logs of the functions, for example for a dashboard. It costs 0.30 USD a month (us-east-1), and
   * nothing in hours in which it is not reported.
   * @param options by default a period of one minute; the average of a state of the cluster, the sum of what was done
   * @throws Error for a name that is not a metric
   */
  metric(name: SwarmMetric, options: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    const [problem] = checkNames('metric', [name], SWARM_METRICS);
    if (problem !== undefined) throw new Error(problem);
    const metric = swarmMetric(name);
    return this.logged(metric, metric).with(options);
  }

  private logged(
    { name, source, pattern, value }: LoggedMetric,
    { statistic, periodMinutes }: Aggregation,
  ): cloudwatch.Metric {
    for (const [n, logGroup] of this.logs[source].entries()) {
      const id = `${name[0]!.toUpperCase()}${name.slice(1)}${n}`;
      if (!this.node.tryFindChild(id))
        new logs.MetricFilter(this, id, {
          logGroup,
          filterPattern: logs.FilterPattern.literal(pattern),
          metricNamespace: this.namespace,
          metricName: name,
          metricValue: value,
        });
    }
    return new cloudwatch.Metric({
      namespace: this.namespace,
      metricName: name,
      statistic,
      period: Duration.minutes(periodMinutes),
    });
  }
}

function sum(metrics: cloudwatch.IMetric[]): cloudwatch.MathExpression {
  const usingMetrics = Object.fromEntries(metrics.map((metric, n) => [`m${n}`, metric]));
  return new cloudwatch.MathExpression({
    expression: Object.keys(usingMetrics)
      .map((name) => `FILL(${name}, 0)`)
      .join(' + '),
    usingMetrics,
    period: Duration.minutes(SUM_PERIOD_MINUTES),
  });
}

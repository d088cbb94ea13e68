/**
 * Alarms about the cluster itself: whether anybody leads it, whether managers are missing, whether the functions do
 * their work. What they watch is what the functions log of each look.
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
  type Alarm,
  type LoggedMetric,
  type LogSource,
  type Reading,
  type SwarmMetric,
  type Watched,
} from '../core/alarms';
import { checkNames } from '../core/checks/names';
import { addActions, createAlarm } from '../framework/alarm';
import type { LeaderTokenPublisher } from '../lifecycle/leader-token-publisher';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';

export interface AlarmOptions {
  /**
   * What happens when an alarm goes off and when it ends, e.g. `new SnsAction(topic)` of
   * `aws-cdk-lib/aws-cloudwatch-actions`.
   * @default - nothing: the alarms are seen in CloudWatch only
   */
  readonly actions?: cloudwatch.IAlarmAction[];
}

export interface SwarmAlarmsProps extends AlarmOptions {
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
}

export type { SwarmMetric } from '../core/alarms';

/**
 * Ten alarms and the seven metrics behind them, at most 3.50 USD a month, of which 2.60 while all is well (us-east-1:
 * 0.30 for a metric in hours in which it is reported, 0.10 for each metric of an alarm;
 * https://aws.amazon.com/cloudwatch/pricing/). Every further metric is paid when {@link metric} is called. The metrics
 * are in the namespace `DockerSwarm/<cluster>`.
 */
export class SwarmAlarms extends Construct {
  /**
   * No leader has reported for about four minutes: there is no quorum, or nobody can say so. Nothing is removed or
   * replaced meanwhile.
   */
  readonly leaderSilent: cloudwatch.Alarm;
  /** For ten minutes a manager has been missing: the quorum is at risk. */
  readonly managersMissing: cloudwatch.Alarm;
  /** For fifteen minutes a node has been down, and was not replaced. */
  readonly nodesDown: cloudwatch.Alarm;
  /** For fifteen minutes tasks have been waiting for a node that can run them. */
  readonly tasksPending: cloudwatch.Alarm;
  /**
   * Three hooks within half an hour were completed past their deadline: instances that are launched do not become
   * Ready, or nodes do not leave in time.
   */
  readonly hookDeadlines: cloudwatch.Alarm;
  /** A node's certificate should have been renewed by Docker long ago. The nodes' logs tell which. */
  readonly certificatesOverdue: cloudwatch.Alarm;
  /**
   * The functions said several times that a person should know something: a node was refused, replaced or taken out, or
   * the breaker keeps everything from being replaced. Their logs tell what.
   */
  readonly attention: cloudwatch.Alarm;
  /** Several invocations of the functions have failed. */
  readonly functionsFail: cloudwatch.Alarm;
  /** No function has looked at the cluster for five minutes. */
  readonly functionsSilent: cloudwatch.Alarm;
  /** Messages that no function could process. */
  readonly deadLetters: cloudwatch.Alarm;

  private readonly namespace: string;
  private readonly logs: Record<LogSource, logs.ILogGroup[]>;

  constructor(scope: Construct, id: string, { lifecycle, leaderToken, actions = [] }: SwarmAlarmsProps) {
    super(scope, id);
    this.namespace = metricNamespace(lifecycle.cluster);
    const membership = [lifecycle.nodeJoin, lifecycle.nodeLeave];
    const functions = [...membership, leaderToken.function];
    const groups = (of: lambda.Function[]) => of.map(({ logGroup }) => logGroup);
    this.logs = {
      membership: groups(membership),
      functions: groups(functions),
      nodes: [lifecycle.nodeLogGroup],
      'target-update': [],
    };
    const period = Duration.minutes(SUM_PERIOD_MINUTES);
    const watched = (watches: Watched): cloudwatch.IMetric => {
      switch (watches.kind) {
        case 'logged':
          return this.logged(watches.metric, watches);
        case 'functions': {
          const of = watches.of === 'membership' ? membership : functions;
          return sum(
            of.map((one) =>
              watches.count === 'errors' ? one.metricErrors({ period }) : one.metricInvocations({ period }),
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
    const create = (alarm: Alarm) => createAlarm(this, alarm, watched(alarm.watches));

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
   * A metric of what the functions log, e.g. for a dashboard: 0.30 USD a month in us-east-1 (nothing in hours in which
   * it is not reported).
   * @param options by default of one minute; the average of how the cluster was seen, the sum of what was done
   */
  metric(name: SwarmMetric, options: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    const [problem] = checkNames('metric', [name], SWARM_METRICS);
    if (problem !== undefined) throw new Error(problem);
    const metric = swarmMetric(name);
    return this.logged(metric, metric).with(options);
  }

  private logged(
    { name, source, pattern, value }: LoggedMetric,
    { statistic, periodMinutes }: Reading,
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

/** Alarms about the cluster itself: whether anybody leads it, whether managers are missing, whether the functions do their work. What they watch is what the functions log of each look. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { ALARM_METRIC, CENSUS_METRIC, type Census } from '../protocol/census';
import type { LeaderTokenPublisher } from './leader-token-publisher';
import type { NodeLifecycle } from './node-lifecycle';

export interface AlarmOptions {
  /**
   * What happens when an alarm goes off and when it ends, e.g. `new SnsAction(topic)` of `aws-cdk-lib/aws-cloudwatch-actions`.
   * @default - nothing: the alarms are seen in CloudWatch only
   */
  readonly actions?: cloudwatch.IAlarmAction[];
}

export interface SwarmAlarmsProps extends AlarmOptions {
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
}

/** No report of the leader for so long, and for three minutes in a row: it reports every 30 s. */
const SILENT_SECONDS = 180;

/**
 * Seven alarms and the four metrics behind them, about 1.90 USD a month (us-east-1: 0.30 for a metric, 0.10 for an alarm; https://aws.amazon.com/cloudwatch/pricing/).
 * The metrics are in the namespace `DockerSwarm/<cluster>`.
 */
export class SwarmAlarms extends Construct {
  /** No leader has reported for three minutes: there is no quorum, or nobody can say so. Nothing is removed or replaced meanwhile. */
  readonly leaderSilent: cloudwatch.Alarm;
  /** For ten minutes a manager has been missing: the quorum is at risk. */
  readonly managersMissing: cloudwatch.Alarm;
  /** For fifteen minutes a node has been down, and was not replaced. */
  readonly nodesDown: cloudwatch.Alarm;
  /** The functions said several times that a person should know something: a node was refused, replaced or taken out, or the breaker keeps everything from being replaced. Their logs tell what. */
  readonly attention: cloudwatch.Alarm;
  /** Several invocations of the functions have failed. */
  readonly functionsFail: cloudwatch.Alarm;
  /** No function has looked at the cluster for five minutes. */
  readonly functionsSilent: cloudwatch.Alarm;
  /** Messages that no function could process. */
  readonly deadLetters: cloudwatch.Alarm;

  private readonly namespace: string;
  private readonly membership: lambda.Function[];

  constructor(scope: Construct, id: string, { lifecycle, leaderToken, actions = [] }: SwarmAlarmsProps) {
    super(scope, id);
    this.namespace = `DockerSwarm/${lifecycle.cluster}`;
    this.membership = [lifecycle.nodeJoin, lifecycle.nodeLeave];
    const minute = Duration.minutes(1);
    const few = Duration.minutes(5);
    const functions = [...this.membership, leaderToken.function];
    const said = (field: keyof Census, statistic: string) => this.metric(field, logs.FilterPattern.all(logs.FilterPattern.stringValue('$.metric', '=', CENSUS_METRIC), logs.FilterPattern.numberValue(`$.${field}`, '>=', 0)), `$.${field}`, statistic, minute, this.membership);

    this.leaderSilent = this.alarm('LeaderSilent', 'No leader of the swarm has reported for three minutes: it may have lost its quorum.', said('leaderAgeSeconds', 'min'), SILENT_SECONDS, 3);
    this.managersMissing = this.alarm('ManagersMissing', 'A manager has been missing for ten minutes: the quorum is at risk.', said('managersMissing', 'min'), 1, 10);
    this.nodesDown = this.alarm('NodesDown', 'A node has been down for fifteen minutes, and was not replaced.', said('nodesDown', 'min'), 1, 15);
    this.attention = this.alarm(
      'Attention',
      'The functions said several times that a person should know something: see lines with the level error in their logs.',
      this.metric('attention', logs.FilterPattern.stringValue('$.metric', '=', ALARM_METRIC), '1', 'sum', few, functions),
      3,
      1,
    );
    this.functionsFail = this.alarm('FunctionsFail', 'Several invocations of the functions have failed.', this.sum(functions.map((one) => one.metricErrors({ period: few }))), 3, 1);
    this.deadLetters = this.alarm(
      'DeadLetters',
      'Messages lie in a dead-letter queue: no function could process them. The sweep has looked again since.',
      this.sum([lifecycle.joinQueue, lifecycle.leaveQueue].map((queue) => queue.deadLetterQueue!.queue.metricApproximateNumberOfMessagesVisible({ period: few, statistic: 'max' }))),
      1,
      1,
    );
    this.functionsSilent = new cloudwatch.Alarm(this, 'FunctionsSilent', {
      alarmDescription: 'No function has looked at the cluster for five minutes: nothing is healed.',
      metric: this.sum(this.membership.map((one) => one.metricInvocations({ period: few }))),
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    });
    for (const alarm of this.node.children.filter((child) => child instanceof cloudwatch.Alarm)) {
      if (actions.length === 0) break;
      alarm.addAlarmAction(...actions);
      alarm.addOkAction(...actions);
    }
  }

  private alarm(id: string, alarmDescription: string, metric: cloudwatch.IMetric, threshold: number, evaluationPeriods: number): cloudwatch.Alarm {
    return new cloudwatch.Alarm(this, id, {
      alarmDescription,
      metric,
      threshold,
      evaluationPeriods,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      // Where nothing is said, the functions are silent, and there is an alarm for that.
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  }

  /** Of lines that any of these functions logs. */
  private metric(metricName: string, filterPattern: logs.IFilterPattern, metricValue: string, statistic: string, period: Duration, functions: lambda.Function[]): cloudwatch.Metric {
    for (const [n, { logGroup }] of functions.entries()) {
      new logs.MetricFilter(this, `${metricName[0]!.toUpperCase()}${metricName.slice(1)}${n}`, { logGroup, filterPattern, metricNamespace: this.namespace, metricName, metricValue });
    }
    return new cloudwatch.Metric({ namespace: this.namespace, metricName, statistic, period });
  }

  private sum(metrics: cloudwatch.IMetric[]): cloudwatch.MathExpression {
    const usingMetrics = Object.fromEntries(metrics.map((metric, n) => [`m${n}`, metric]));
    return new cloudwatch.MathExpression({ expression: Object.keys(usingMetrics).map((name) => `FILL(${name}, 0)`).join(' + '), usingMetrics, period: Duration.minutes(5) });
  }
}

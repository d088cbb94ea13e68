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
  ALARM_METRIC,
  CENSUS_METRIC,
  CERTIFICATE_METRIC,
  DEEDS_METRIC,
  type Census,
  type Deeds,
} from '../../protocol/census';
import { checkNames } from '../core/validation';
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

/** No report of the leader for so long, and for two minutes in a row: it reports every 30 s. */
const SILENT_SECONDS = 120;

/** Metrics that the functions log, by name: how the cluster was seen at each look, and what each look has done. */
export type SwarmMetric = keyof Census | keyof Deeds;

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
] satisfies (keyof Deeds)[];

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
  private readonly membership: lambda.Function[];

  constructor(scope: Construct, id: string, { lifecycle, leaderToken, actions = [] }: SwarmAlarmsProps) {
    super(scope, id);
    this.namespace = `DockerSwarm/${lifecycle.cluster}`;
    this.membership = [lifecycle.nodeJoin, lifecycle.nodeLeave];
    const few = Duration.minutes(5);
    const functions = [...this.membership, leaderToken.function];
    const groups = (of: lambda.Function[]) => of.map(({ logGroup }) => logGroup);

    this.leaderSilent = this.alarm(
      'LeaderSilent',
      'No leader of the swarm has reported for four minutes: it may have lost its quorum. Managers that ' +
        'died come back by themselves. When the volumes of most of them are lost, see docs/quorum-lost.md of ' +
        'cdk-docker-swarm, and the output RecoverQuorum of the stack.',
      this.metric('leaderAgeSeconds', { statistic: 'min' }),
      SILENT_SECONDS,
      2,
    );
    this.managersMissing = this.alarm(
      'ManagersMissing',
      'A manager has been missing for ten minutes: the quorum is at risk.',
      this.metric('managersMissing', { statistic: 'min' }),
      1,
      10,
    );
    this.nodesDown = this.alarm(
      'NodesDown',
      'A node has been down for fifteen minutes, and was not replaced.',
      this.metric('nodesDown', { statistic: 'min' }),
      1,
      15,
    );
    this.tasksPending = this.alarm(
      'TasksPending',
      'Tasks have been waiting for fifteen minutes for a node that can run them.',
      this.metric('tasksPending', { statistic: 'min' }),
      1,
      15,
    );
    this.hookDeadlines = this.alarm(
      'HookDeadlines',
      'Three hooks within half an hour were completed past their deadline: instances do not become Ready, ' +
        'or do not leave in time. See what was abandoned, or let go, in the logs of the functions, and the ' +
        'logs of these nodes.',
      this.metric('hookDeadlines', { period: Duration.minutes(30) }),
      3,
      1,
    );
    this.certificatesOverdue = this.alarm(
      'CertificatesOverdue',
      'Docker should have renewed the certificate of a node long ago: see lines with the level error in ' +
        'the logs of the nodes. When it has run out, the node is down for good.',
      this.filtered('certificatesOverdue', logs.FilterPattern.stringValue('$.metric', '=', CERTIFICATE_METRIC), '1', [
        lifecycle.nodeLogGroup,
      ]).with({ statistic: 'sum', period: Duration.hours(2) }),
      1,
      1,
    );
    this.attention = this.alarm(
      'Attention',
      'The functions said several times that a person should know something: see lines with the level ' +
        'error in their logs.',
      this.filtered(
        'attention',
        logs.FilterPattern.stringValue('$.metric', '=', ALARM_METRIC),
        '1',
        groups(functions),
      ).with({ statistic: 'sum', period: few }),
      3,
      1,
    );
    this.functionsFail = this.alarm(
      'FunctionsFail',
      'Several invocations of the functions have failed.',
      this.sum(functions.map((one) => one.metricErrors({ period: few }))),
      3,
      1,
    );
    this.deadLetters = this.alarm(
      'DeadLetters',
      'Messages lie in a dead-letter queue: no function could process them. The sweep has looked again since.',
      this.sum(
        [lifecycle.joinQueue, lifecycle.leaveQueue].map((queue) =>
          queue.deadLetterQueue!.queue.metricApproximateNumberOfMessagesVisible({ period: few, statistic: 'max' }),
        ),
      ),
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

  private alarm(
    id: string,
    alarmDescription: string,
    metric: cloudwatch.IMetric,
    threshold: number,
    evaluationPeriods: number,
  ): cloudwatch.Alarm {
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

  /**
   * A metric of what the functions log, e.g. for a dashboard: 0.30 USD a month in us-east-1 (nothing in hours in which
   * it is not reported).
   * @param options by default of one minute; the average of how the cluster was seen, the sum of what was done
   */
  metric(name: SwarmMetric, options: cloudwatch.MetricOptions = {}): cloudwatch.Metric {
    const [problem] = checkNames('metric', [name], [...CENSUS, ...DEEDS]);
    if (problem !== undefined) throw new Error(problem);
    const isDeed = DEEDS.includes(name);
    const pattern = logs.FilterPattern.all(
      logs.FilterPattern.stringValue('$.metric', '=', isDeed ? DEEDS_METRIC : CENSUS_METRIC),
      logs.FilterPattern.numberValue(`$.${name}`, '>=', 0),
    );
    const metric = this.filtered(
      name,
      pattern,
      `$.${name}`,
      this.membership.map(({ logGroup }) => logGroup),
    );
    return metric.with({ statistic: isDeed ? 'sum' : 'avg', period: Duration.minutes(1), ...options });
  }

  /** Of lines in any of these logs. */
  private filtered(
    metricName: string,
    filterPattern: logs.IFilterPattern,
    metricValue: string,
    groups: logs.ILogGroup[],
  ): cloudwatch.Metric {
    for (const [n, logGroup] of groups.entries()) {
      const id = `${metricName[0]!.toUpperCase()}${metricName.slice(1)}${n}`;
      if (!this.node.tryFindChild(id))
        new logs.MetricFilter(this, id, {
          logGroup,
          filterPattern,
          metricNamespace: this.namespace,
          metricName,
          metricValue,
        });
    }
    return new cloudwatch.Metric({ namespace: this.namespace, metricName });
  }

  private sum(metrics: cloudwatch.IMetric[]): cloudwatch.MathExpression {
    const usingMetrics = Object.fromEntries(metrics.map((metric, n) => [`m${n}`, metric]));
    return new cloudwatch.MathExpression({
      expression: Object.keys(usingMetrics)
        .map((name) => `FILL(${name}, 0)`)
        .join(' + '),
      usingMetrics,
      period: Duration.minutes(5),
    });
  }
}

/**
 * Alarms about a load balancer: no healthy node, failed health checks, reset connections. Most of them watch the
 * metrics of Elastic Load Balancing.
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import {
  FOLLOWED_PORTS_ALARMS,
  listenerAlarms,
  loadBalancerAlarms,
  metricNamespace,
  RESETS,
  SUM_PERIOD_MINUTES,
  TARGETS_PERIOD_MINUTES,
} from '../core/alarms';
import { checkWholeNumber } from '../core/whole-number';
import { addActions, createAlarm } from '../framework/alarm';
import { checkAtSynth, known } from '../framework/known';
import type * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type * as lambda from 'aws-cdk-lib/aws-lambda';

export interface LoadBalancerAlarmOptions {
  /**
   * Actions for when an alarm goes off and when it ends, for example `new SnsAction(topic)` from
   * `aws-cdk-lib/aws-cloudwatch-actions`.
   * @default - none: the alarms are visible only in CloudWatch
   */
  readonly actions?: cloudwatch.IAlarmAction[];
  /**
   * The number of connections that targets reset within five minutes, three times in a row, before the alarm goes off.
   * Services reset some connections as a matter of course.
   * @default 1000
   */
  readonly resets?: number;
  /**
   * Watch each zone separately: without cross-zone load balancing, a zone without a healthy node serves no client that
   * reaches the load balancer there.
   * @default - true if `crossZone` is false
   */
  readonly zones?: boolean;
}

/** What the alarms need of a load balancer. A `SwarmLoadBalancer` has it. */
export interface WatchedLoadBalancer {
  readonly loadBalancer: elbv2.NetworkLoadBalancer;
  /** By the port of the listener. */
  readonly targetGroups: ReadonlyMap<number, elbv2.NetworkTargetGroup>;
  readonly crossZone: boolean;
  /** The zones of the nodes. */
  readonly zones: string[];
  readonly followsPorts: boolean;
  /** The function target-update of the cluster. */
  readonly updater: { readonly function: lambda.Function; readonly lifecycle: { readonly cluster: string } };
}

export interface LoadBalancerAlarmsProps extends LoadBalancerAlarmOptions {
  readonly loadBalancer: WatchedLoadBalancer;
}

/**
 * Two alarms for each declared listener (three if zones are watched), and two for the load balancer as a whole (four if
 * it follows published ports). docs/operations/alarms.md says what each alarm means and what to do. They cost about
 * 0.10 USD a month for each metric that they watch (us-east-1). Source of the metrics:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
 */
export class LoadBalancerAlarms extends Construct {
  /** By the port of the listener: no node has been healthy for three minutes. */
  readonly nobodyHealthy: ReadonlyMap<number, cloudwatch.Alarm>;
  /** By port: a node has failed its health checks for fifteen minutes, and was neither replaced nor removed. */
  readonly unhealthy: ReadonlyMap<number, cloudwatch.Alarm>;
  /** By port, if zones are watched: a zone has had no healthy node for ten minutes. */
  readonly zoneEmpty: ReadonlyMap<number, cloudwatch.Alarm>;
  /** Targets reset many connections. See `resets`. */
  readonly resets: cloudwatch.Alarm;
  /** At least three invocations of target-update failed within five minutes: the targets may be wrong. */
  readonly updaterFails: cloudwatch.Alarm;
  /**
   * If the load balancer follows published ports: for ten minutes a service has published a port that cannot be
   * followed. It covers all load balancers of the cluster.
   */
  readonly portsNotFollowed?: cloudwatch.Alarm;
  /**
   * If the load balancer follows published ports: no healthy node has answered on a followed port for fifteen minutes.
   * It covers all load balancers of the cluster.
   */
  readonly portsUnanswered?: cloudwatch.Alarm;

  constructor(
    scope: Construct,
    id: string,
    { loadBalancer, actions = [], resets = RESETS, zones = !loadBalancer.crossZone }: LoadBalancerAlarmsProps,
  ) {
    super(scope, id);
    checkAtSynth(this, () => checkWholeNumber('resets', known(resets), { min: 1 }));
    const groups = [...loadBalancer.targetGroups];
    const perMinute = { period: Duration.minutes(TARGETS_PERIOD_MINUTES), statistic: 'max' };
    const period = Duration.minutes(SUM_PERIOD_MINUTES);
    this.nobodyHealthy = new Map(
      groups.map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).nobodyHealthy, group.metrics.healthyHostCount(perMinute)),
      ]),
    );
    this.unhealthy = new Map(
      groups.map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).unhealthy, group.metrics.unHealthyHostCount(perMinute)),
      ]),
    );
    const { loadBalancerFullName: LoadBalancer } = loadBalancer.loadBalancer;
    const fewestOfZones = ({ targetGroupFullName: TargetGroup, metrics }: elbv2.NetworkTargetGroup) =>
      least(
        loadBalancer.zones.map((AvailabilityZone) =>
          metrics.healthyHostCount({ ...perMinute, dimensionsMap: { TargetGroup, LoadBalancer, AvailabilityZone } }),
        ),
        perMinute.period,
      );
    this.zoneEmpty = new Map(
      (zones ? groups : []).map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).zoneEmpty, fewestOfZones(group)),
      ]),
    );
    const alarms = loadBalancerAlarms(resets);
    this.resets = createAlarm(
      this,
      alarms.resets,
      loadBalancer.loadBalancer.metrics.tcpTargetResetCount({ period, statistic: 'sum' }),
    );
    this.updaterFails = createAlarm(this, alarms.updaterFails, loadBalancer.updater.function.metricErrors({ period }));
    if (loadBalancer.followsPorts) {
      const { lifecycle, function: updater } = loadBalancer.updater;
      const create = ({ filterId, watches: { metric, ...aggregation }, ...alarm }: FollowedPortsAlarm) =>
        createAlarm(
          this,
          alarm,
          new logs.MetricFilter(this, filterId, {
            logGroup: updater.logGroup,
            filterPattern: logs.FilterPattern.literal(metric.pattern),
            metricNamespace: metricNamespace(lifecycle.cluster),
            metricName: metric.name,
            metricValue: metric.value,
          }).metric({ period: Duration.minutes(aggregation.periodMinutes), statistic: aggregation.statistic }),
        );
      this.portsNotFollowed = create(FOLLOWED_PORTS_ALARMS.portsNotFollowed);
      this.portsUnanswered = create(FOLLOWED_PORTS_ALARMS.portsUnanswered);
    }
    addActions(this, actions);
  }
}

type FollowedPortsAlarm = (typeof FOLLOWED_PORTS_ALARMS)[keyof typeof FOLLOWED_PORTS_ALARMS];

/** The minimum. A zone without data has no healthy node. */
function least(metrics: cloudwatch.IMetric[], period: Duration): cloudwatch.MathExpression {
  const usingMetrics = Object.fromEntries(metrics.map((metric, n) => [`z${n}`, metric]));
  return new cloudwatch.MathExpression({
    expression: `MIN([${Object.keys(usingMetrics)
      .map((name) => `FILL(${name}, 0)`)
      .join(', ')}])`,
    usingMetrics,
    period,
  });
}

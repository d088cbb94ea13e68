/**
 * Alarms about a load balancer: whether anybody answers behind it, whether nodes fail their health checks, whether
 * connections are reset. What they watch is what Elastic Load Balancing counts.
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
import { addActions, createAlarm } from '../framework/alarm';
import type * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type * as lambda from 'aws-cdk-lib/aws-lambda';

export interface LoadBalancerAlarmOptions {
  /**
   * What happens when an alarm goes off and when it ends, e.g. `new SnsAction(topic)` of
   * `aws-cdk-lib/aws-cloudwatch-actions`.
   * @default - nothing: the alarms are seen in CloudWatch only
   */
  readonly actions?: cloudwatch.IAlarmAction[];
  /**
   * So many connections within five minutes that targets reset, three times in a row. Services reset some as a matter
   * of course.
   * @default 1000
   */
  readonly resets?: number;
  /**
   * Watch each zone by itself: a zone without a healthy node serves none of the clients that reach it, unless the load
   * balancer sends to all zones.
   * @default - only where `crossZone` is false
   */
  readonly zones?: boolean;
}

/** What the alarms watch: a `SwarmLoadBalancer` is one. */
export interface WatchedLoadBalancer {
  readonly loadBalancer: elbv2.NetworkLoadBalancer;
  /** By port of the listener. */
  readonly targetGroups: ReadonlyMap<number, elbv2.NetworkTargetGroup>;
  readonly crossZone: boolean;
  /** Of the nodes. */
  readonly zones: string[];
  readonly followsPorts: boolean;
  /** `target-update`, of its cluster. */
  readonly updater: { readonly function: lambda.Function; readonly lifecycle: { readonly cluster: string } };
}

export interface LoadBalancerAlarmsProps extends LoadBalancerAlarmOptions {
  readonly loadBalancer: WatchedLoadBalancer;
}

/**
 * Two alarms for each listener that is declared, three where zones are watched, and two, or four where it follows
 * published ports, for the whole: about 0.10 USD a month for each metric that they watch (us-east-1). Source of the
 * metrics: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
 */
export class LoadBalancerAlarms extends Construct {
  /** By port of the listener: for three minutes no node has been healthy. */
  readonly nobodyHealthy: ReadonlyMap<number, cloudwatch.Alarm>;
  /** By port: for fifteen minutes a node has failed its health checks, and was neither replaced nor taken away. */
  readonly unhealthy: ReadonlyMap<number, cloudwatch.Alarm>;
  /** By port, where zones are watched: for ten minutes a zone has had no healthy node. */
  readonly zoneEmpty: ReadonlyMap<number, cloudwatch.Alarm>;
  /** Targets reset many connections. */
  readonly resets: cloudwatch.Alarm;
  /** Several invocations of target-update have failed: targets may not be what they should be. */
  readonly updaterFails: cloudwatch.Alarm;
  /**
   * Where it follows published ports: for ten minutes a service has published one that cannot be followed. Of all load
   * balancers of the cluster.
   */
  readonly portsNotFollowed?: cloudwatch.Alarm;
  /**
   * And: for fifteen minutes no healthy node has answered at a port that is followed. Of all load balancers of the
   * cluster.
   */
  readonly portsUnanswered?: cloudwatch.Alarm;

  constructor(
    scope: Construct,
    id: string,
    { loadBalancer, actions = [], resets = RESETS, zones = !loadBalancer.crossZone }: LoadBalancerAlarmsProps,
  ) {
    super(scope, id);
    const groups = [...loadBalancer.targetGroups];
    const ofTargets = { period: Duration.minutes(TARGETS_PERIOD_MINUTES), statistic: 'max' };
    const period = Duration.minutes(SUM_PERIOD_MINUTES);
    this.nobodyHealthy = new Map(
      groups.map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).nobodyHealthy, group.metrics.healthyHostCount(ofTargets)),
      ]),
    );
    this.unhealthy = new Map(
      groups.map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).unhealthy, group.metrics.unHealthyHostCount(ofTargets)),
      ]),
    );
    const { loadBalancerFullName: LoadBalancer } = loadBalancer.loadBalancer;
    const fewestOfZones = ({ targetGroupFullName: TargetGroup, metrics }: elbv2.NetworkTargetGroup) =>
      least(
        loadBalancer.zones.map((AvailabilityZone) =>
          metrics.healthyHostCount({ ...ofTargets, dimensionsMap: { TargetGroup, LoadBalancer, AvailabilityZone } }),
        ),
        ofTargets.period,
      );
    this.zoneEmpty = new Map(
      (zones ? groups : []).map(([port, group]) => [
        port,
        createAlarm(this, listenerAlarms(port).zoneEmpty, fewestOfZones(group)),
      ]),
    );
    const ofAll = loadBalancerAlarms(resets);
    this.resets = createAlarm(
      this,
      ofAll.resets,
      loadBalancer.loadBalancer.metrics.tcpTargetResetCount({ period, statistic: 'sum' }),
    );
    this.updaterFails = createAlarm(this, ofAll.updaterFails, loadBalancer.updater.function.metricErrors({ period }));
    if (loadBalancer.followsPorts) {
      const { lifecycle, function: updater } = loadBalancer.updater;
      const create = ({ filterId, watches: { metric, ...reading }, ...alarm }: FollowedPortsAlarm) =>
        createAlarm(
          this,
          alarm,
          new logs.MetricFilter(this, filterId, {
            logGroup: updater.logGroup,
            filterPattern: logs.FilterPattern.literal(metric.pattern),
            metricNamespace: metricNamespace(lifecycle.cluster),
            metricName: metric.name,
            metricValue: metric.value,
          }).metric({ period: Duration.minutes(reading.periodMinutes), statistic: reading.statistic }),
        );
      this.portsNotFollowed = create(FOLLOWED_PORTS_ALARMS.portsNotFollowed);
      this.portsUnanswered = create(FOLLOWED_PORTS_ALARMS.portsUnanswered);
    }
    addActions(this, actions);
  }
}

type FollowedPortsAlarm = (typeof FOLLOWED_PORTS_ALARMS)[keyof typeof FOLLOWED_PORTS_ALARMS];

/** A zone in which nothing is counted has nobody. */
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

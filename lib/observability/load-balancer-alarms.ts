/**
 * Alarms about a load balancer: whether anybody answers behind it, whether nodes fail their health checks, whether
 * connections are reset. What they watch is what Elastic Load Balancing counts.
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { PORTS_METRIC, UNANSWERED_METRIC } from '../../protocol/census';
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
    { loadBalancer, actions = [], resets = 1_000, zones = !loadBalancer.crossZone }: LoadBalancerAlarmsProps,
  ) {
    super(scope, id);
    const groups = [...loadBalancer.targetGroups];
    const one = Duration.minutes(1);
    const five = Duration.minutes(5);
    this.nobodyHealthy = new Map(
      groups.map(([port, group]) => [
        port,
        // Where no target is registered nothing is counted.
        this.below(
          `NobodyHealthy${port}`,
          `No node behind port ${port} has been healthy for three minutes.`,
          group.metrics.healthyHostCount({ period: one, statistic: 'max' }),
          3,
          cloudwatch.TreatMissingData.BREACHING,
        ),
      ]),
    );
    this.unhealthy = new Map(
      groups.map(([port, group]) => [
        port,
        this.reaching(
          `Unhealthy${port}`,
          `A node behind port ${port} has failed its health checks for fifteen minutes.`,
          group.metrics.unHealthyHostCount({ period: one, statistic: 'max' }),
          1,
          15,
        ),
      ]),
    );
    this.zoneEmpty = new Map(
      zones
        ? groups.map(([port, group]) => {
            const ofZones = loadBalancer.zones.map((zone) =>
              group.metrics.healthyHostCount({
                period: one,
                statistic: 'max',
                dimensionsMap: {
                  TargetGroup: group.targetGroupFullName,
                  LoadBalancer: loadBalancer.loadBalancer.loadBalancerFullName,
                  AvailabilityZone: zone,
                },
              }),
            );
            return [
              port,
              this.below(
                `ZoneEmpty${port}`,
                `A zone has had no healthy node behind port ${port} for ten minutes.`,
                least(ofZones, one),
                10,
                cloudwatch.TreatMissingData.NOT_BREACHING,
              ),
            ];
          })
        : [],
    );
    this.resets = this.reaching(
      'Resets',
      'Nodes reset many connections of the load balancer.',
      loadBalancer.loadBalancer.metrics.tcpTargetResetCount({ period: five, statistic: 'sum' }),
      resets,
      3,
    );
    this.updaterFails = this.reaching(
      'UpdaterFails',
      'Several invocations of target-update have failed: who is sent connections may not be right.',
      loadBalancer.updater.function.metricErrors({ period: five }),
      3,
      1,
    );
    if (loadBalancer.followsPorts) {
      const {
        lifecycle: { cluster },
        function: { logGroup },
      } = loadBalancer.updater;
      const counted = (filterId: string, metricName: string) =>
        new logs.MetricFilter(this, filterId, {
          logGroup,
          filterPattern: logs.FilterPattern.stringValue('$.metric', '=', metricName),
          metricNamespace: `DockerSwarm/${cluster}`,
          metricName,
          metricValue: '$.ports',
        }).metric({ period: five, statistic: 'max' });
      this.portsNotFollowed = this.reaching(
        'PortsNotFollowed',
        'A service publishes a port that the load balancer cannot follow: see the log of target-update for the reason.',
        counted('Ports', PORTS_METRIC),
        1,
        2,
      );
      this.portsUnanswered = this.reaching(
        'PortsUnanswered',
        'No healthy node has answered at a followed port for fifteen minutes: see the log of target-update for which.',
        counted('Unanswered', UNANSWERED_METRIC),
        1,
        3,
      );
    }
    for (const alarm of this.node.children.filter((child) => child instanceof cloudwatch.Alarm)) {
      if (actions.length === 0) break;
      alarm.addAlarmAction(...actions);
      alarm.addOkAction(...actions);
    }
  }

  private below(
    id: string,
    alarmDescription: string,
    metric: cloudwatch.IMetric,
    evaluationPeriods: number,
    treatMissingData: cloudwatch.TreatMissingData,
  ): cloudwatch.Alarm {
    return new cloudwatch.Alarm(this, id, {
      alarmDescription,
      metric,
      threshold: 1,
      evaluationPeriods,
      treatMissingData,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    });
  }

  private reaching(
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
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    });
  }
}

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

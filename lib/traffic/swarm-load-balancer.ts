/**
 * A Network Load Balancer in front of the nodes: its listeners, target groups and security group. target-update
 * registers the targets.
 */
import { Annotations, CfnOutput, CustomResource, Duration, Stack, Tags, Token } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { Follows, Peer } from '../../protocol/following';
import { CLUSTER_TAG } from '../../protocol/tags';
import { encodeServedBy, SERVED_BY_TAG, type ServedBy } from '../../protocol/targets';
import {
  checkClients,
  checkDeregistrationDelay,
  checkFollowed,
  checkHealth,
  checkListeners,
  checkLoadBalancerZones,
  checkServedBy,
  warnOfRules,
  type ListenerInput,
  type ListenerProtocol,
} from '../core/listeners';
import { checkTypes } from '../core/load-balancer-schema';
import { followedRules, listenerRules, transportsOf, type PortRule } from '../core/security-rules';
import { followSettings, targetGroupSettings, type HealthCheckSettings } from '../core/target-groups';
import { checkAtSynth, known, tryRead } from '../framework/known';
import { LoadBalancerAlarms, type LoadBalancerAlarmOptions } from '../observability/load-balancer-alarms';
import type { TargetUpdater } from './target-updater';
import type { FollowedPorts, LoadBalancerOptions, SwarmHealthCheck, SwarmListener } from './load-balancer-options';

export interface SwarmLoadBalancerProps extends LoadBalancerOptions {
  /** The target updater of the cluster: one serves all of its load balancers. */
  readonly updater: TargetUpdater;
}

/**
 * A Network Load Balancer whose targets are the nodes that can take work: Ready, and neither drained nor leaving. When
 * nodes are added, replaced or lost, its targets follow by themselves.
 *
 * It costs about 16 USD a month (us-east-1), 4 USD for each public address (one per zone), and 0.006 USD for each
 * capacity unit of traffic and hour (https://aws.amazon.com/elasticloadbalancing/pricing/). A newly registered target
 * receives its first connections after some minutes. A target that fails its health check receives no more after about
 * half a minute.
 */
export class SwarmLoadBalancer extends Construct {
  readonly loadBalancer: elbv2.NetworkLoadBalancer;
  readonly securityGroup: ec2.SecurityGroup;
  /** The declared listeners, by port. */
  readonly listeners: ReadonlyMap<number, elbv2.NetworkListener>;
  /** The target groups of the declared listeners, by the port of the listener. */
  readonly targetGroups: ReadonlyMap<number, elbv2.NetworkTargetGroup>;

  /** Whether it forwards to the nodes of all zones. */
  readonly crossZone: boolean;
  /** The zones of the nodes. */
  readonly zones: string[];
  readonly updater: TargetUpdater;
  /** Whether it follows published ports. */
  readonly followsPorts: boolean;

  /**
   * Part of the construct ids of what two load balancers cannot share: when the scheme changes, CloudFormation creates
   * the new load balancer before it deletes the old one.
   * https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-loadbalancer.html#cfn-elasticloadbalancingv2-loadbalancer-scheme
   */
  private readonly schemePrefix: string;
  /** Ports of the nodes that already have a rule for this load balancer. */
  private readonly openPorts = new Set<string>();
  private readonly declared: SwarmListener[];
  /** Sets up or removes what follows published ports, at each deployment. */
  private readonly followedPorts: CustomResource;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: SwarmLoadBalancerProps,
  ) {
    super(scope, id);
    const typeProblems = checkTypes(props);
    if (typeProblems.length > 0) throw new Error(`${this.node.path}: ${typeProblems.join(' ')}`);
    const { updater, listeners = [] } = props;
    if (Stack.of(this) !== Stack.of(updater))
      throw new Error(
        `${this.node.path} is not in the stack of its cluster, ${Stack.of(updater).stackName}: each stack would ` +
          'depend on the other. Create it in the stack of the cluster, as addLoadBalancer does.',
      );
    const { network } = updater.lifecycle;
    this.declared = listeners;
    this.updater = updater;
    this.crossZone = props.crossZone ?? true;
    const internal = props.internal ?? false;
    const nodeSubnets = network.zones.map(({ subnet }) => subnet);
    const selection =
      props.vpcSubnets ?? (internal ? { subnets: nodeSubnets } : { subnetType: ec2.SubnetType.PUBLIC, onePerAz: true });
    // A VPC without such subnets throws at once; synth reports it together with all other problems.
    const subnets = tryRead(() => network.vpc.selectSubnets(selection).subnets) ?? [];
    this.zones = network.zones.map(({ zone }) => zone);
    this.schemePrefix = internal ? 'Internal' : '';
    this.securityGroup = new ec2.SecurityGroup(this, `${this.schemePrefix}SecurityGroup`, {
      vpc: network.vpc,
      description: 'Load balancer of a Docker swarm',
      disableInlineRules: true,
      allowAllOutbound: true,
    });
    this.loadBalancer = new elbv2.NetworkLoadBalancer(this, 'LoadBalancer', {
      vpc: network.vpc,
      vpcSubnets: { subnets: subnets.length > 0 ? subnets : nodeSubnets },
      internetFacing: !internal,
      crossZoneEnabled: this.crossZone,
      // A load balancer that is created without a security group can never get one.
      securityGroups: [this.securityGroup],
    });
    const arn = this.loadBalancer.loadBalancerArn;
    const follows = this.follows();
    this.followsPorts = follows !== undefined;
    updater.add({ arn, securityGroupId: this.securityGroup.securityGroupId, ...(follows && { follows }) });
    if (follows) for (const rule of followedRules(follows)) this.openNodes(rule);
    this.followedPorts = new CustomResource(this, 'FollowedPorts', {
      resourceType: 'Custom::SwarmFollowedPorts',
      serviceToken: updater.function.functionArn,
      serviceTimeout: FOLLOWED_PORTS_TIMEOUT,
      // Frees a port that is newly declared. Needed even if nothing is followed now: an earlier deployment may have.
      properties: {
        Follows: follows !== undefined,
        LoadBalancerArn: arn,
        SecurityGroupId: this.securityGroup.securityGroupId,
        DeclaredPorts: listeners.map(({ port }) => port),
      },
    });
    const created = new Map<number, elbv2.NetworkListener>();
    const targetGroups = new Map<number, elbv2.NetworkTargetGroup>();
    // Invalid listeners are skipped: synth reports them together with all other problems.
    for (const listener of listeners) {
      if (checkListeners([this.inputOf(listener)]).length > 0 || created.has(listener.port)) continue;
      const targetGroup = this.createTargetGroup(listener);
      targetGroups.set(listener.port, targetGroup);
      created.set(listener.port, this.createListener(listener, targetGroup));
      this.openFor(listener);
    }
    this.dependOn(this.followedPorts);
    this.listeners = created;
    this.targetGroups = targetGroups;
    if (props.accessLogs && !Token.isUnresolved(Stack.of(this).region))
      this.loadBalancer.logAccessLogs(props.accessLogs.bucket, props.accessLogs.prefix);
    if (props.alias)
      new route53.ARecord(this, 'Alias', {
        ...props.alias,
        target: route53.RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      });
    new CfnOutput(this, 'DnsName', {
      description: 'DNS name of the load balancer.',
      value: this.loadBalancer.loadBalancerDnsName,
    });
    const warning = warnOfRules(
      this.clients().length * listeners.flatMap((listener) => transportsOf(protocolOf(listener))).length,
    );
    if (warning) Annotations.of(this).addWarningV2('cdk-docker-swarm:load-balancer-rules', warning);
    checkAtSynth(this, () => this.problems(subnets.map(({ availabilityZone }) => known(availabilityZone))));
  }

  /**
   * Adds alarms about this load balancer: no healthy node behind a declared listener, nodes that fail their health
   * checks, reset connections, published ports that cannot be followed. Without `actions` they are visible only in
   * CloudWatch. About 0.10 USD a month for each metric: see {@link LoadBalancerAlarms}.
   * @throws Error when called twice
   */
  addAlarms(options: LoadBalancerAlarmOptions = {}): LoadBalancerAlarms {
    if (this.node.tryFindChild('Alarms'))
      throw new Error('addAlarms was already called. Call it once, with all actions.');
    return new LoadBalancerAlarms(this, 'Alarms', { ...options, loadBalancer: this });
  }

  private createTargetGroup(listener: SwarmListener): elbv2.NetworkTargetGroup {
    const { updater, deregistrationDelay, preserveClientAddress, proxyProtocol } = this.props;
    const check = this.healthCheck(listener);
    const settings = targetGroupSettings({
      protocol: protocolOf(listener),
      targetPort: targetPortOf(listener),
      targetProtocol: listener.targetProtocol,
      healthCheck: { ...knownHealthCheck(check), ...thresholds(check), port: check.port, path: check.path },
      knownHealthCheck: knownHealthCheck(check),
      deregistrationDelay: deregistrationDelay?.isUnresolved() ? 'deployment' : seconds(deregistrationDelay),
      preserveClientAddress,
      proxyProtocol,
    });
    const targetGroup = new elbv2.NetworkTargetGroup(this, `${this.schemePrefix}Targets${listener.port}`, {
      vpc: updater.lifecycle.network.vpc,
      port: settings.port,
      protocol: elbv2.Protocol[settings.protocol],
      targetType: elbv2.TargetType.INSTANCE,
      deregistrationDelay:
        settings.deregistrationDelay === undefined
          ? deregistrationDelay
          : Duration.seconds(settings.deregistrationDelay),
      ...(settings.preserveClientAddress !== undefined && { preserveClientIp: settings.preserveClientAddress }),
      ...(settings.proxyProtocol !== undefined && { proxyProtocolV2: settings.proxyProtocol }),
      healthCheck: toHealthCheck(settings.healthCheck, check.interval),
    });
    for (const [key, value] of Object.entries(settings.attributes)) targetGroup.setAttribute(key, value);
    Tags.of(targetGroup).add(CLUSTER_TAG, updater.lifecycle.cluster);
    Tags.of(targetGroup).add(SERVED_BY_TAG, encodeServedBy(this.servedBy(listener)));
    return targetGroup;
  }

  private createListener(listener: SwarmListener, targetGroup: elbv2.NetworkTargetGroup): elbv2.NetworkListener {
    const protocol = protocolOf(listener);
    return this.loadBalancer.addListener(`Listener${listener.port}`, {
      port: listener.port,
      protocol: elbv2.Protocol[protocol],
      ...(protocol === 'TLS' && {
        certificates: listener.certificates,
        sslPolicy: listener.sslPolicy ?? elbv2.SslPolicy.RECOMMENDED_TLS,
      }),
      defaultTargetGroups: [targetGroup],
    });
  }

  /** Creates declared listeners and rules only after target-update has freed their ports. */
  private dependOn(followedPorts: CustomResource): void {
    for (const child of [...this.loadBalancer.node.findAll(), ...this.securityGroup.node.findAll()]) {
      if (child instanceof elbv2.CfnListener || child instanceof ec2.CfnSecurityGroupIngress)
        child.node.addDependency(followedPorts);
    }
  }

  /** The settings of target-update for followed ports. Synth reports problems with them. */
  private follows(): Follows | undefined {
    const { followPublishedPorts, healthCheck, deregistrationDelay, preserveClientAddress, proxyProtocol, updater } =
      this.props;
    if (!followPublishedPorts) return undefined;
    const { from, to, sslPolicy } = rangeOf(followPublishedPorts);
    return followSettings({
      from,
      to,
      isValid: this.checkFollowed(followPublishedPorts).length === 0,
      listeners: this.declared.map((listener) => ({ port: listener.port, targetPort: targetPortOf(listener) })),
      vpcId: updater.lifecycle.network.vpc.vpcId,
      clients: this.clients().map((client) => client.toIngressRuleConfig() as Peer),
      servedBy: encodeServedBy(this.servedBy(undefined)),
      healthCheck: { ...knownHealthCheck(healthCheck ?? {}), ...thresholds(healthCheck ?? {}) },
      deregistrationDelay: seconds(deregistrationDelay),
      preserveClientAddress,
      proxyProtocol,
      sslPolicy,
    });
  }

  private checkFollowed(ports: true | FollowedPorts): string[] {
    const { from, to } = rangeOf(ports);
    return checkFollowed(
      known(from),
      known(to),
      this.declared.flatMap((listener) => [listener.port, targetPortOf(listener)]),
      this.declared.length,
    );
  }

  private clients(): ec2.IPeer[] {
    const { internal, clients, updater } = this.props;
    const { vpc } = updater.lifecycle.network;
    return clients ?? (internal ? tryRead(() => [ec2.Peer.ipv4(vpc.vpcCidrBlock)]) : [ec2.Peer.anyIpv4()]) ?? [];
  }

  /** Adds the rules of a listener: from clients to the load balancer, and from there to the nodes. */
  private openFor(listener: SwarmListener): void {
    const { clients, nodes } = listenerRules({
      protocol: protocolOf(listener),
      port: listener.port,
      targetPort: targetPortOf(listener),
      healthCheckPort: this.healthCheck(listener).port,
    });
    for (const rule of clients)
      for (const client of this.clients()) this.securityGroup.addIngressRule(client, portOf(rule), rule.description);
    for (const rule of nodes) this.openNodes(rule);
  }

  private openNodes(rule: PortRule): void {
    const port = portOf(rule);
    if (this.openPorts.has(String(port))) return;
    this.openPorts.add(String(port));
    this.updater.lifecycle.network.nodeSecurityGroup.addIngressRule(this.securityGroup, port, rule.description);
  }

  private healthCheck(listener: SwarmListener | undefined): SwarmHealthCheck {
    return listener?.healthCheck ?? this.props.healthCheck ?? {};
  }

  private servedBy(listener: SwarmListener | undefined): ServedBy {
    const nodes = listener?.nodes ?? this.props.nodes ?? 'all';
    return typeof nodes === 'string'
      ? nodes
      : { groups: nodes.map(({ resource }) => Stack.of(resource).getLogicalId(resource)) };
  }

  private inputOf(listener: SwarmListener): ListenerInput {
    return {
      port: known(listener.port),
      targetPort: known(targetPortOf(listener)),
      protocol: protocolOf(listener),
      targetProtocol: listener.targetProtocol,
      certificates: (listener.certificates ?? []).map(({ certificateArn }) => known(certificateArn)),
      region: known(Stack.of(this).region),
      preservesClientAddress: this.props.preserveClientAddress ?? true,
    };
  }

  private problems(zones: (string | undefined)[]): string[] {
    const { accessLogs, deregistrationDelay, internal, clients, updater, followPublishedPorts } = this.props;
    const listeners = this.declared;
    const { network } = updater.lifecycle;
    // The load balancer's own settings, and those of each listener that overrides them.
    const withSettings = [undefined, ...listeners.filter(({ healthCheck, nodes }) => healthCheck ?? nodes)];
    return [
      ...checkListeners(listeners.map((listener) => this.inputOf(listener))),
      ...(followPublishedPorts
        ? this.checkFollowed(followPublishedPorts)
        : listeners.length === 0
          ? ['The load balancer has no listener. Set `listeners` or `followPublishedPorts`.']
          : []),
      ...checkLoadBalancerZones(
        zones,
        network.zones.map(({ zone }) => known(zone)),
      ),
      ...checkDeregistrationDelay(seconds(deregistrationDelay)),
      ...checkClients(clients?.length),
      ...withSettings.flatMap((listener) => [
        ...checkHealth(knownHealthCheck(this.healthCheck(listener))),
        ...this.problemsOfNodes(listener),
      ]),
      ...(internal && !clients && tryRead(() => network.vpc.vpcCidrBlock) === undefined
        ? ['The network of the VPC is unknown at synth, so no client could connect. Set `clients`.']
        : []),
      ...(accessLogs && Token.isUnresolved(Stack.of(this).region)
        ? [
            'accessLogs requires a region that is known at synth, because the bucket policy must admit the load ' +
              'balancers of that region. Set the region in the `env` of the stack.',
          ]
        : []),
    ];
  }

  private problemsOfNodes(listener: SwarmListener | undefined): string[] {
    const nodes = listener?.nodes ?? this.props.nodes;
    const { lifecycle } = this.props.updater;
    const foreignGroups = Array.isArray(nodes) ? nodes.filter((group) => group.lifecycle !== lifecycle) : [];
    return [
      ...checkServedBy(encodeServedBy(this.servedBy(listener)), Array.isArray(nodes) ? nodes.length : undefined),
      ...foreignGroups.map(
        (group) => `nodes lists ${group.node.path}, a group of another cluster. Use groups of ${lifecycle.cluster}.`,
      ),
    ];
  }
}

/** Longer than three attempts of the function, with Lambda's pauses between them. */
const FOLLOWED_PORTS_TIMEOUT = Duration.minutes(10);

const rangeOf = (ports: true | FollowedPorts): Required<FollowedPorts> => {
  const { from = 1, to = 65_535, sslPolicy = elbv2.SslPolicy.RECOMMENDED_TLS } = ports === true ? {} : ports;
  return { from, to, sslPolicy };
};
const protocolOf = ({ protocol, certificates }: SwarmListener): ListenerProtocol =>
  protocol ?? (certificates ? 'TLS' : 'TCP');
const targetPortOf = ({ port, targetPort }: SwarmListener) => targetPort ?? port;
const seconds = (duration: Duration | undefined) =>
  duration === undefined || duration.isUnresolved() ? undefined : duration.toSeconds({ integral: false });

function portOf({ transport, ports }: PortRule): ec2.Port {
  const tcp = transport === 'tcp';
  if (typeof ports === 'number') return tcp ? ec2.Port.tcp(ports) : ec2.Port.udp(ports);
  return tcp ? ec2.Port.tcpRange(...ports) : ec2.Port.udpRange(...ports);
}

/** Unchanged, even if they are known only at deployment. */
const thresholds = ({ healthyThreshold, unhealthyThreshold }: SwarmHealthCheck) => ({
  healthyThreshold,
  unhealthyThreshold,
});

const knownHealthCheck = ({ interval, ...check }: SwarmHealthCheck) => ({
  interval: seconds(interval),
  healthyThreshold: known(check.healthyThreshold),
  unhealthyThreshold: known(check.unhealthyThreshold),
  port: known(check.port),
  path: known(check.path),
});

/** @param interval the user's: one that is known only at deployment is passed on unchanged */
function toHealthCheck(settings: HealthCheckSettings, interval: Duration | undefined): elbv2.HealthCheck {
  return {
    port: String(settings.port),
    protocol: elbv2.Protocol[settings.protocol],
    ...(settings.path !== undefined && { path: settings.path }),
    interval: interval?.isUnresolved() ? interval : Duration.seconds(settings.interval),
    ...(settings.timeout !== undefined && { timeout: Duration.seconds(settings.timeout) }),
    healthyThresholdCount: settings.healthyThreshold,
    unhealthyThresholdCount: settings.unhealthyThreshold,
  };
}

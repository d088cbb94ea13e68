/**
 * A Network Load Balancer in front of the nodes: its listeners, target groups and security group. Who its targets are,
 * target-update sees to.
 */
import { Annotations, CfnOutput, CustomResource, Duration, Stack, Tags, Token } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import type * as s3 from 'aws-cdk-lib/aws-s3';
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
  type GivenListener,
  type ListenerProtocol,
} from '../core/listeners';
import { checkKinds } from '../core/load-balancer-schema';
import { followedRules, listenerRules, transportsOf, type PortRule } from '../core/security-rules';
import { followSettings, targetGroupSettings, type HealthCheckSettings } from '../core/target-groups';
import { checkAtSynth, tryRead, known } from '../framework/known';
import { LoadBalancerAlarms, type LoadBalancerAlarmOptions } from '../observability/load-balancer-alarms';
import type { TargetUpdater } from './target-updater';
import type { WorkerGroup } from '../nodes/worker-group';

/** The nodes behind a load balancer: of both roles, of one, or of some groups of workers. */
export type SwarmTargets = 'all' | 'managers' | 'workers' | WorkerGroup[];

/** How a load balancer finds out whether a node may be sent anything. */
export interface SwarmHealthCheck {
  /**
   * A port of the node that answers, such as one that a service publishes. Without a path a connection is enough. A
   * node that leaves is deregistered while it is healthy, which takes a load balancer up to two minutes: its tasks go
   * on for so long.
   * @default - the agent of the node answers: it says no as soon as the node is to leave, or while its engine does not
   * answer
   */
  readonly port?: number;
  /**
   * Asked by HTTP at `port`; an answer from 200 to 399 is a good one. Only with a port of your own.
   * @default - no HTTP: a connection is enough
   */
  readonly path?: string;
  /**
   * Between two checks of a node, 5 to 300 seconds.
   * @default Duration.seconds(10)
   */
  readonly interval?: Duration;
  /**
   * So many good answers in a row make a node healthy, 2 to 10.
   * @default 2
   */
  readonly healthyThreshold?: number;
  /**
   * So many bad ones make it unhealthy, 2 to 10.
   * @default 2
   */
  readonly unhealthyThreshold?: number;
}

export interface SwarmListener {
  /** Where clients connect, 1 to 65535. */
  readonly port: number;
  /**
   * @default - TLS with certificates, otherwise TCP
   */
  readonly protocol?: elbv2.Protocol.TCP | elbv2.Protocol.UDP | elbv2.Protocol.TCP_UDP | elbv2.Protocol.TLS;
  /**
   * Of a TLS listener: a `Certificate` of `aws-cdk-lib/aws-certificatemanager`, or `ListenerCertificate.fromArn` with
   * one that ACM has issued in the same region. TLS ends at the load balancer, which is to be reached by a name of the
   * certificate (`alias`). The first one is for clients that name no server.
   * @default - none
   */
  readonly certificates?: elbv2.IListenerCertificate[];
  /**
   * Versions and ciphers of a TLS listener.
   * @default SslPolicy.RECOMMENDED_TLS
   */
  readonly sslPolicy?: elbv2.SslPolicy;
  /**
   * The port of the nodes to send to: one that a service publishes. Another one makes another target group, whose
   * targets take some minutes to be sent anything: add a listener instead, and take the old one away afterwards.
   * @default - the same as `port`
   */
  readonly targetPort?: number;
  /**
   * What a TLS listener sends to the nodes: TCP, or TLS once more.
   * @default Protocol.TCP
   */
  readonly targetProtocol?: elbv2.Protocol.TCP | elbv2.Protocol.TLS;
  /**
   * The nodes behind this listener.
   * @default - those of the load balancer
   */
  readonly nodes?: SwarmTargets;
  /**
   * @default - that of the load balancer
   */
  readonly healthCheck?: SwarmHealthCheck;
}

/** Which published ports a load balancer follows. */
export interface FollowedPorts {
  /**
   * The lowest port.
   * @default 1
   */
  readonly from?: number;
  /**
   * The highest port.
   * @default 65535
   */
  readonly to?: number;
  /**
   * Versions and ciphers of TLS, for services with a certificate.
   * @default SslPolicy.RECOMMENDED_TLS
   */
  readonly sslPolicy?: elbv2.SslPolicy;
}

export interface LoadBalancerOptions {
  /**
   * At most 50, each port once.
   * @default - none: with `followPublishedPorts` services say themselves what there is
   */
  readonly listeners?: SwarmListener[];
  /**
   * Every port that a service publishes (`docker service create --publish 8081:80`) is reached at this load balancer
   * soon after, without a deployment: listener, target group and the rule that lets clients in are made, changed and
   * removed with the service. **Whatever is published is open to `clients`**: give a range of ports, or keep what is
   * not for them unpublished.
   *
   * - A port of `listeners`, and one that they send to, is never followed. Neither is one outside of the range. A
   *   service that publishes such a port is told of as below, unless a load balancer of the cluster sends there.
   * - TLS for the TCP ports of a service: its label `swarm.loadbalancer.certificate` is the ARN of a certificate.
   * - A load balancer has 50 listeners, and a security group 60 rules: a port takes one rule for each client, two where
   *   it is published for TCP and UDP. What cannot be followed is told by the event `portNotFollowed`, an alarm, and
   *   the log of target-update.
   * - Nodes are asked every 5 seconds whether they are healthy: by their agent, or for ports in host mode by a
   *   connection to the port. Of `healthCheck` the interval and the thresholds are used, port and path are not.
   * - In AWS it takes some minutes until the targets of a new port are sent connections.
   * @default false
   */
  readonly followPublishedPorts?: boolean | FollowedPorts;
  /**
   * The nodes that are sent what arrives. By Docker's routing mesh any node passes it on to one that has a task. With
   * ports in host mode give the groups whose nodes have tasks, and a health check of the port.
   * @default 'all'
   */
  readonly nodes?: SwarmTargets;
  /**
   * Reached from within the VPC, and networks connected to it, only. Clients in those other networks have to be named
   * by `clients`.
   * @default false
   */
  readonly internal?: boolean;
  /**
   * One subnet for each zone of the nodes.
   * @default - the public subnets; of an internal one the subnets of the nodes
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * Who may connect.
   * @default - anybody by IPv4; to an internal one the network of the VPC
   */
  readonly clients?: ec2.IPeer[];
  /**
   * @default - the agent of each node is asked every 10 seconds
   */
  readonly healthCheck?: SwarmHealthCheck;
  /**
   * How long connections to a node that leaves may go on after it is sent no new ones, and its tasks with them, 0 to
   * 3600 seconds. The tasks of a node wait three minutes at most after its termination began, one minute on a spot
   * instance: what is longer is of use for tasks on other nodes, which the routing mesh reaches by this one, until it
   * is gone. Where the agent is asked, connections of TCP and TLS to a node that dies are ended after that time, too.
   * @default - 30 seconds; 120 with a health check of your own
   */
  readonly deregistrationDelay?: Duration;
  /**
   * Send to the nodes of all zones, whatever zone a client has reached. Traffic between zones costs 0.01 USD per GB in
   * each direction (us-east-1). A load balancer has at most 500 targets then, 500 in each zone otherwise; a node counts
   * once for each listener (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html):
   * in a large cluster let one group of nodes stand behind it.
   * @default true
   */
  readonly crossZone?: boolean;
  /**
   * Let nodes see the client's address as that of the packets. The routing mesh puts a node's address in its place in
   * any case: tasks see it only at ports in host mode. A node cannot reach itself by the load balancer then.
   * @default true
   */
  readonly preserveClientAddress?: boolean;
  /**
   * Send the client's address ahead of each connection (PROXY protocol, version 2): for services that understand it,
   * such as HAProxy or Traefik. It passes the routing mesh.
   * @default false
   */
  readonly proxyProtocol?: boolean;
  /**
   * Where connections to TLS listeners are logged. Others are not: AWS logs none.
   * @default - nowhere
   */
  readonly accessLogs?: { readonly bucket: s3.IBucket; readonly prefix?: string };
  /**
   * A name in a hosted zone that stands for the load balancer: `recordName` within the zone, or the name of the zone
   * itself where it is left out.
   * @default - none: it has a name of AWS (output `<id>DnsName`)
   */
  readonly alias?: { readonly zone: route53.IHostedZone; readonly recordName?: string };
}

export interface SwarmLoadBalancerProps extends LoadBalancerOptions {
  /** Of the cluster: one for all of its load balancers. */
  readonly updater: TargetUpdater;
}

/**
 * A Network Load Balancer whose targets are the nodes that may be sent work: Ready, neither drained nor leaving. Nodes
 * that are added, replaced or lost need nothing done.
 *
 * About 16 USD a month (us-east-1), 4 USD for each public address (one a zone), and 0.006 USD for each unit of traffic
 * an hour (https://aws.amazon.com/elasticloadbalancing/pricing/). A target that is registered gets its first
 * connections after some minutes; one that fails its health check gets none after about half a minute.
 */
export class SwarmLoadBalancer extends Construct {
  readonly loadBalancer: elbv2.NetworkLoadBalancer;
  readonly securityGroup: ec2.SecurityGroup;
  /** By port. */
  readonly listeners: ReadonlyMap<number, elbv2.NetworkListener>;
  /** By port of the listener. */
  readonly targetGroups: ReadonlyMap<number, elbv2.NetworkTargetGroup>;

  /** Whether it sends to the nodes of all zones. */
  readonly crossZone: boolean;
  /** Of the nodes. */
  readonly zones: string[];
  readonly updater: TargetUpdater;
  /** Whether it follows what services publish. */
  readonly followsPorts: boolean;

  /**
   * In the names of what cannot be used by two load balancers at a time: with another scheme CloudFormation makes a new
   * one before the old one goes.
   * https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-loadbalancer.html#cfn-elasticloadbalancingv2-loadbalancer-scheme
   */
  private readonly scheme: string;
  /** Ports of the nodes that are open to this load balancer. */
  private readonly opened = new Set<string>();
  private readonly declared: SwarmListener[];
  /** What follows published ports, or does so no more, as a part of the stack. */
  private readonly following: CustomResource;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: SwarmLoadBalancerProps,
  ) {
    super(scope, id);
    const wrong = checkKinds(props);
    if (wrong.length > 0) throw new Error(`${this.node.path}: ${wrong.join(' ')}`);
    const { updater, listeners = [] } = props;
    if (Stack.of(this) !== Stack.of(updater))
      throw new Error(
        `${this.node.path} is in another stack than its cluster, ${Stack.of(updater).stackName}: each ` +
          'would need what the other has made. Make it there, as addLoadBalancer does.',
      );
    const { network } = updater.lifecycle;
    this.declared = listeners;
    this.updater = updater;
    this.crossZone = props.crossZone ?? true;
    const internal = props.internal ?? false;
    const ofNodes = network.zones.map(({ subnet }) => subnet);
    const selection =
      props.vpcSubnets ?? (internal ? { subnets: ofNodes } : { subnetType: ec2.SubnetType.PUBLIC, onePerAz: true });
    // A VPC without such subnets throws; said together with all other mistakes instead.
    const subnets = tryRead(() => network.vpc.selectSubnets(selection).subnets) ?? [];
    this.zones = network.zones.map(({ zone }) => zone);
    this.scheme = internal ? 'Internal' : '';
    this.securityGroup = new ec2.SecurityGroup(this, `${this.scheme}SecurityGroup`, {
      vpc: network.vpc,
      description: 'Load balancer of a Docker swarm',
      disableInlineRules: true,
      allowAllOutbound: true,
    });
    this.loadBalancer = new elbv2.NetworkLoadBalancer(this, 'LoadBalancer', {
      vpc: network.vpc,
      vpcSubnets: { subnets: subnets.length > 0 ? subnets : ofNodes },
      internetFacing: !internal,
      crossZoneEnabled: this.crossZone,
      // Always one: a load balancer that was made without can never get any.
      securityGroups: [this.securityGroup],
    });
    const arn = this.loadBalancer.loadBalancerArn;
    const follows = this.follows();
    this.followsPorts = follows !== undefined;
    updater.add({ arn, securityGroupId: this.securityGroup.securityGroupId, ...(follows && { follows }) });
    if (follows) for (const rule of followedRules(follows)) this.letThrough(network.nodeSecurityGroup, rule);
    this.following = new CustomResource(this, 'FollowedPorts', {
      resourceType: 'Custom::SwarmFollowedPorts',
      serviceToken: updater.function.functionArn,
      serviceTimeout: FOLLOWED_PORTS_TIMEOUT,
      // When another port is declared it is made free first. Also where nothing is followed: it may have been before.
      properties: {
        Follows: follows !== undefined,
        LoadBalancerArn: arn,
        SecurityGroupId: this.securityGroup.securityGroupId,
        DeclaredPorts: listeners.map(({ port }) => port),
      },
    });
    const made = new Map<number, elbv2.NetworkListener>();
    const groups = new Map<number, elbv2.NetworkTargetGroup>();
    // What is wrong with one of them is told when the app is synthesised, together with everything else.
    for (const listener of listeners) {
      if (checkListeners([this.given(listener)]).length > 0 || made.has(listener.port)) continue;
      const targetGroup = this.createTargetGroup(listener);
      groups.set(listener.port, targetGroup);
      made.set(listener.port, this.createListener(listener, targetGroup));
      this.open(listener);
    }
    this.needs(this.following);
    this.listeners = made;
    this.targetGroups = groups;
    if (props.accessLogs && !Token.isUnresolved(Stack.of(this).region))
      this.loadBalancer.logAccessLogs(props.accessLogs.bucket, props.accessLogs.prefix);
    if (props.alias)
      new route53.ARecord(this, 'Alias', {
        ...props.alias,
        target: route53.RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      });
    new CfnOutput(this, 'DnsName', {
      description: 'Where the load balancer is reached.',
      value: this.loadBalancer.loadBalancerDnsName,
    });
    const tooManyRules = warnOfRules(
      this.clients().length * listeners.flatMap((listener) => transportsOf(protocolOf(listener))).length,
    );
    if (tooManyRules) Annotations.of(this).addWarningV2('cdk-docker-swarm:load-balancer-rules', tooManyRules);
    checkAtSynth(this, () => this.problems(subnets.map(({ availabilityZone }) => known(availabilityZone))));
  }

  /**
   * Adds alarms about this load balancer: nobody healthy behind a declared listener, nodes that fail their health
   * checks, connections that are reset, ports that cannot be followed. Without `actions` they are seen in CloudWatch
   * only.
   */
  addAlarms(options: LoadBalancerAlarmOptions = {}): LoadBalancerAlarms {
    if (this.node.tryFindChild('Alarms'))
      throw new Error('addAlarms was called before. Call it once, with all actions.');
    return new LoadBalancerAlarms(this, 'Alarms', { ...options, loadBalancer: this });
  }

  private createTargetGroup(listener: SwarmListener): elbv2.NetworkTargetGroup {
    const { updater, deregistrationDelay, preserveClientAddress, proxyProtocol } = this.props;
    const check = this.healthCheck(listener);
    const settings = targetGroupSettings({
      protocol: protocolOf(listener),
      targetPort: targetPortOf(listener),
      targetProtocol: listener.targetProtocol,
      healthCheck: { ...givenCheck(check), ...thresholds(check), port: check.port, path: check.path },
      checkedHealthCheck: givenCheck(check),
      deregistrationDelay: deregistrationDelay?.isUnresolved() ? 'deployment' : seconds(deregistrationDelay),
      preserveClientAddress,
      proxyProtocol,
    });
    const targetGroup = new elbv2.NetworkTargetGroup(this, `${this.scheme}Targets${listener.port}`, {
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

  /** What is declared finds its port free: whatever was made for a published port there has gone before. */
  private needs(following: CustomResource): void {
    for (const child of [...this.loadBalancer.node.findAll(), ...this.securityGroup.node.findAll()]) {
      if (child instanceof elbv2.CfnListener || child instanceof ec2.CfnSecurityGroupIngress)
        child.node.addDependency(following);
    }
  }

  /**
   * The settings of target-update for ports that it follows. What is wrong with them is told when the app is
   * synthesised.
   */
  private follows(): Follows | undefined {
    const { followPublishedPorts, healthCheck, deregistrationDelay, preserveClientAddress, proxyProtocol, updater } =
      this.props;
    if (!followPublishedPorts) return undefined;
    const { from, to, sslPolicy } = rangeOf(followPublishedPorts);
    return followSettings({
      from,
      to,
      usable: this.checkFollowed(followPublishedPorts).length === 0,
      listeners: this.declared.map((listener) => ({ port: listener.port, targetPort: targetPortOf(listener) })),
      vpcId: updater.lifecycle.network.vpc.vpcId,
      clients: this.clients().map((client) => client.toIngressRuleConfig() as Peer),
      servedBy: encodeServedBy(this.servedBy(undefined)),
      healthCheck: { ...givenCheck(healthCheck ?? {}), ...thresholds(healthCheck ?? {}) },
      deregistrationDelay: seconds(deregistrationDelay),
      preserveClientAddress,
      proxyProtocol,
      sslPolicy,
    });
  }

  private checkFollowed(given: true | FollowedPorts): string[] {
    const { from, to } = rangeOf(given);
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

  /** From clients to the load balancer, and from there to the nodes: what is sent, and the health check. */
  private open(listener: SwarmListener): void {
    const { clients, nodes } = listenerRules({
      protocol: protocolOf(listener),
      port: listener.port,
      targetPort: targetPortOf(listener),
      healthCheckPort: this.healthCheck(listener).port,
    });
    const { nodeSecurityGroup } = this.props.updater.lifecycle.network;
    for (const rule of clients)
      for (const client of this.clients()) this.securityGroup.addIngressRule(client, portOf(rule), rule.description);
    for (const rule of nodes) this.letThrough(nodeSecurityGroup, rule);
  }

  private letThrough(nodes: ec2.ISecurityGroup, rule: PortRule): void {
    const port = portOf(rule);
    if (this.opened.has(String(port))) return;
    this.opened.add(String(port));
    nodes.addIngressRule(this.securityGroup, port, rule.description);
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

  private given(listener: SwarmListener): GivenListener {
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
    const own = [undefined, ...listeners.filter(({ healthCheck, nodes }) => healthCheck ?? nodes)];
    return [
      ...checkListeners(listeners.map((listener) => this.given(listener))),
      ...(followPublishedPorts
        ? this.checkFollowed(followPublishedPorts)
        : listeners.length === 0
          ? ['It has no listener. Give `listeners`, or followPublishedPorts.']
          : []),
      ...checkLoadBalancerZones(
        zones,
        network.zones.map(({ zone }) => known(zone)),
      ),
      ...checkDeregistrationDelay(seconds(deregistrationDelay)),
      ...checkClients(clients?.length),
      ...own.flatMap((listener) => [
        ...checkHealth(givenCheck(this.healthCheck(listener))),
        ...this.problemsOfNodes(listener),
      ]),
      ...(internal && !clients && tryRead(() => network.vpc.vpcCidrBlock) === undefined
        ? ['The network of the VPC was not given, so nobody would be let in. Give `clients`.']
        : []),
      ...(accessLogs && Token.isUnresolved(Stack.of(this).region)
        ? [
            'accessLogs need to know the region at synth, since the bucket must let the load balancers of ' +
              'the region write. Give the stack an `env` with its region.',
          ]
        : []),
    ];
  }

  private problemsOfNodes(listener: SwarmListener | undefined): string[] {
    const nodes = listener?.nodes ?? this.props.nodes;
    const { lifecycle } = this.props.updater;
    const strangers = Array.isArray(nodes) ? nodes.filter((group) => group.lifecycle !== lifecycle) : [];
    return [
      ...checkServedBy(encodeServedBy(this.servedBy(listener)), Array.isArray(nodes) ? nodes.length : undefined),
      ...strangers.map(
        (group) =>
          `nodes names ${group.node.path}, which is a group of another cluster. Give groups of ${lifecycle.cluster}.`,
      ),
    ];
  }
}

/** Longer than three tries of the function take, with Lambda's pauses between them. */
const FOLLOWED_PORTS_TIMEOUT = Duration.minutes(10);

const rangeOf = (given: true | FollowedPorts): Required<FollowedPorts> => {
  const { from = 1, to = 65_535, sslPolicy = elbv2.SslPolicy.RECOMMENDED_TLS } = given === true ? {} : given;
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

/** As they were given, whether they are known at synth or not. */
const thresholds = ({ healthyThreshold, unhealthyThreshold }: SwarmHealthCheck) => ({
  healthyThreshold,
  unhealthyThreshold,
});

const givenCheck = ({ interval, ...check }: SwarmHealthCheck) => ({
  interval: seconds(interval),
  healthyThreshold: known(check.healthyThreshold),
  unhealthyThreshold: known(check.unhealthyThreshold),
  port: known(check.port),
  path: known(check.path),
});

/** @param interval as it was given: one that is known only at deployment is passed on as it is */
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

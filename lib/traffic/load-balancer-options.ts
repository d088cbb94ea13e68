/** What a user chooses about a load balancer. The construct is `SwarmLoadBalancer`. */
import type { Duration } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type * as route53 from 'aws-cdk-lib/aws-route53';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type { WorkerGroup } from '../nodes/worker-group';

/** The nodes behind a load balancer: those of both roles, those of one role, or those of some worker groups. */
export type SwarmTargets = 'all' | 'managers' | 'workers' | WorkerGroup[];

/** How a load balancer finds out whether a node can receive connections. */
export interface SwarmHealthCheck {
  /**
   * A port of the nodes to check, 1 to 65535, such as one that a service publishes. Without a `path`, accepting a
   * connection is enough.
   *
   * A leaving node still passes such a check when it is deregistered, and a load balancer takes up to two minutes to
   * stop sending it connections. Its tasks keep running for that long. If a health check targets a host-mode port, a
   * new worker without that task waits eight minutes at its launch hook.
   * @default - the agent answers on each node: it fails the check as soon as the node is to leave, or while its engine
   * does not answer
   */
  readonly port?: number;
  /**
   * The path to request over HTTP at `port`. A status from 200 to 399 passes the check. It requires `port`.
   * @default - no HTTP request: accepting a connection is enough
   */
  readonly path?: string;
  /**
   * The time between two checks of a node, 5 to 300 seconds.
   * @default Duration.seconds(10)
   */
  readonly interval?: Duration;
  /**
   * The number of consecutive passed checks that make a node healthy, 2 to 10.
   * @default 2
   */
  readonly healthyThreshold?: number;
  /**
   * The number of consecutive failed checks that make a node unhealthy, 2 to 10.
   * @default 2
   */
  readonly unhealthyThreshold?: number;
}

/** A listener that is declared in code. */
export interface SwarmListener {
  /** The port that clients connect to, 1 to 65535. */
  readonly port: number;
  /**
   * The protocol of the clients.
   * @default - TLS if there are `certificates`, otherwise TCP
   */
  readonly protocol?: elbv2.Protocol.TCP | elbv2.Protocol.UDP | elbv2.Protocol.TCP_UDP | elbv2.Protocol.TLS;
  /**
   * The certificates of a TLS listener: a `Certificate` of `aws-cdk-lib/aws-certificatemanager`, or
   * `ListenerCertificate.fromArn` with a certificate that ACM issued in the same region. The first one serves clients
   * that do not name a server. TLS ends at the load balancer, so clients must reach it by a name in the certificate:
   * see `alias`.
   * @default - none
   */
  readonly certificates?: elbv2.IListenerCertificate[];
  /**
   * The TLS versions and ciphers of a TLS listener.
   * @default SslPolicy.RECOMMENDED_TLS
   */
  readonly sslPolicy?: elbv2.SslPolicy;
  /**
   * The port of the nodes to forward to: one that a service publishes. Changing it creates another target group, whose
   * targets receive no connections for some minutes. To avoid the gap, add another listener, and remove the old one
   * afterwards.
   * @default - the same as `port`
   */
  readonly targetPort?: number;
  /**
   * The protocol in which a TLS listener forwards to the nodes: TCP, or TLS again.
   * @default Protocol.TCP
   */
  readonly targetProtocol?: elbv2.Protocol.TCP | elbv2.Protocol.TLS;
  /**
   * The nodes behind this listener.
   * @default - the `nodes` of the load balancer
   */
  readonly nodes?: SwarmTargets;
  /**
   * The health check of the nodes behind this listener.
   * @default - the `healthCheck` of the load balancer
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
   * The TLS versions and ciphers for services with a certificate.
   * @default SslPolicy.RECOMMENDED_TLS
   */
  readonly sslPolicy?: elbv2.SslPolicy;
}

export interface LoadBalancerOptions {
  /**
   * The listeners that are declared in code: at most 50, each port once.
   * @default - none: with `followPublishedPorts`, services decide which listeners there are
   */
  readonly listeners?: SwarmListener[];
  /**
   * Gives every port that a service publishes (`docker service create --publish 8081:80`) a listener, without a
   * deployment. target-update creates, changes and removes the listener, its target group and the rule that admits
   * clients together with the service. **Everything published is open to `clients`**: limit the range, or do not
   * publish what they must not reach.
   *
   * - A port of `listeners`, one that they forward to, and one outside the range is never followed.
   * - For TLS on the TCP ports of a service, set its label `swarm.loadbalancer.certificate` to the ARN of a
   *   certificate.
   * - A load balancer has at most 50 listeners. A security group has 60 rules: a port takes one for each client, two if
   *   it is published for both TCP and UDP.
   * - If a published port cannot be followed, the event `portNotFollowed`, an alarm and the log of target-update say
   *   so, unless a load balancer of the cluster forwards to it.
   * - The nodes are checked every 5 seconds: the agent answers, or, for a port in host mode, the port itself must
   *   accept a connection. Of `healthCheck`, the interval and the thresholds apply; port and path do not.
   * - In AWS, a new port takes some minutes until its targets receive connections.
   * @default false
   */
  readonly followPublishedPorts?: boolean | FollowedPorts;
  /**
   * The nodes that receive connections. With Docker's routing mesh, any node forwards a connection to a node that has a
   * task. For ports in host mode, name the groups whose nodes have tasks, and use a health check of the port.
   * @default 'all'
   */
  readonly nodes?: SwarmTargets;
  /**
   * Makes the load balancer reachable only from the VPC and from networks connected to it. To admit clients of those
   * other networks, name them in `clients`.
   * @default false
   */
  readonly internal?: boolean;
  /**
   * One subnet in each zone of the nodes.
   * @default - the public subnets; for an internal load balancer, the subnets of the nodes
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * Who may connect.
   * @default - anyone over IPv4; for an internal load balancer, the network of the VPC
   */
  readonly clients?: ec2.IPeer[];
  /**
   * The health check of the nodes. A listener can have its own.
   * @default - the agent of each node answers every 10 seconds
   */
  readonly healthCheck?: SwarmHealthCheck;
  /**
   * How long open connections to a leaving node, and its tasks, may continue after it stops receiving new connections:
   * 0 to 3600 seconds.
   *
   * A node keeps its tasks for at most three minutes after its termination began, on a spot instance for one. A longer
   * delay only helps connections that the mesh forwards through this node, until the node is gone. If the agent answers
   * the health check, TCP and TLS connections to a node that dies also end after this time.
   * @default - 30 seconds; 120 seconds if the health check has a `port`
   */
  readonly deregistrationDelay?: Duration;
  /**
   * Forward to the nodes of all zones, whichever zone a client has reached. Traffic between zones costs 0.01 USD per GB
   * in each direction (us-east-1).
   *
   * A load balancer then has at most 500 targets in all, otherwise 500 in each zone. A node counts once for each
   * listener (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html). In a large
   * cluster, put only one group of nodes behind it.
   * @default true
   */
  readonly crossZone?: boolean;
  /**
   * Keep the client's address as the source address of the packets that reach a node. Tasks see it only on ports in
   * host mode: the routing mesh replaces it by a node's address. With it, a node cannot reach itself through the load
   * balancer. UDP and TCP_UDP listeners always preserve the address.
   * @default true
   */
  readonly preserveClientAddress?: boolean;
  /**
   * Send the client's address ahead of each connection (PROXY protocol, version 2), for services that understand it,
   * such as HAProxy or Traefik. It passes through the routing mesh.
   * @default false
   */
  readonly proxyProtocol?: boolean;
  /**
   * Where connections to TLS listeners are logged. AWS does not log those to other listeners. It requires a stack with
   * a region.
   * @default - nowhere
   */
  readonly accessLogs?: { readonly bucket: s3.IBucket; readonly prefix?: string };
  /**
   * An alias record for the load balancer: `recordName` within the hosted zone, or the name of the zone itself if
   * `recordName` is omitted.
   * @default - none: the load balancer is reached by its AWS name, the output `<id>DnsName`
   */
  readonly alias?: { readonly zone: route53.IHostedZone; readonly recordName?: string };
}

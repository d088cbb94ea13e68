/** Elastic Load Balancing's data, and how other code sees it. */
import type { Tags } from '../core/describe';

export type ListenerProtocol = 'TCP' | 'TLS' | 'UDP' | 'TCP_UDP';

/**
 * The states of DescribeTargetHealth:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#target-health-states
 */
export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'unhealthy.draining' | 'draining' | 'unused';

export interface TargetView {
  instanceId: string;
  port: number;
  state: TargetState;
  /** The reason code; undefined for a healthy target. */
  reason: string | undefined;
  /** Whether new connections go to the target now. */
  routed: boolean;
}

export interface ListenerView {
  arn: string;
  port: number;
  protocol: ListenerProtocol;
  targetGroupArn: string;
  targets: TargetView[];
}

export interface LoadBalancerView {
  arn: string;
  name: string;
  dnsName: string;
  scheme: Scheme;
  /** The Availability Zones of its nodes. */
  zones: string[];
  securityGroups: string[];
  tags: Tags;
  listeners: ListenerView[];
}

export type Scheme = 'internet-facing' | 'internal';

export interface LoadBalancer {
  arn: string;
  name: string;
  dnsName: string;
  scheme: Scheme;
  ipAddressType: string;
  vpcId: string;
  subnets: { zone: string; subnetId: string }[];
  securityGroups: string[];
  enforcesOnPrivateLink: string | undefined;
  attributes: Record<string, string>;
  tags: Tags;
  createdAt: number;
  /** By ARN. */
  listeners: Map<string, Listener>;
}

export interface Listener {
  arn: string;
  loadBalancer: LoadBalancer;
  port: number;
  protocol: ListenerProtocol;
  targetGroup: TargetGroup;
  /** ARN of the default certificate. */
  certificate: string | undefined;
  /** ARNs of further certificates. */
  moreCertificates: string[];
  sslPolicy: string | undefined;
  alpnPolicy: string[] | undefined;
  tags: Tags;
}

export interface HealthCheckSettings {
  protocol: 'TCP' | 'HTTP' | 'HTTPS';
  /** A number, or `traffic-port`. */
  port: string;
  /** Undefined for TCP. */
  path: string | undefined;
  intervalSeconds: number;
  timeoutSeconds: number;
  healthyThreshold: number;
  unhealthyThreshold: number;
}

export interface TargetGroup {
  arn: string;
  name: string;
  protocol: ListenerProtocol;
  port: number;
  vpcId: string;
  healthCheck: HealthCheckSettings;
  attributes: Record<string, string>;
  tags: Tags;
  /** By instance and port. */
  targets: Map<string, Target>;
  listeners: Set<Listener>;
}

export interface Target {
  instanceId: string;
  port: number;
  zone: string;
  /** `idle`: not checked, because its group is unused or its instance is gone. */
  phase: 'idle' | 'registering' | 'checking' | 'draining';
  verdict: 'healthy' | 'unhealthy' | undefined;
  /** Set while existing connections of an unhealthy target may go on; a new object with each verdict. */
  keeps: object | undefined;
  /** How many consecutive checks had the same result. */
  row: { ok: boolean; count: number };
  /** While draining: some of the load balancer's nodes still route to it. */
  lingers: boolean;
  terminated: boolean;
  /** A new object with each phase, which ends the work of earlier phases. */
  life: object;
  cancelCheck: () => void;
  /** The state that events have reported. */
  told: { state: TargetState; reason: string | undefined; routed: boolean } | undefined;
}

/** The load balancer that uses the target group; there is at most one. */
export function loadBalancerOf(group: TargetGroup): LoadBalancer | undefined {
  const [listener] = group.listeners;
  return listener?.loadBalancer;
}

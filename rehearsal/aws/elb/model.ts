/** What the emulated Elastic Load Balancing keeps, and what may be known of it from outside. */
import type { Tags } from '../core/describe';

export type ListenerProtocol = 'TCP' | 'TLS' | 'UDP' | 'TCP_UDP';

/**
 * As DescribeTargetHealth gives them:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#target-health-states
 */
export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'unhealthy.draining' | 'draining' | 'unused';

export interface TargetView {
  instanceId: string;
  port: number;
  state: TargetState;
  /** The reason code; a healthy target has none. */
  reason: string | undefined;
  /** New connections go there now. */
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
  /** Availability Zones in which it has a node. */
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
  /** ARNs of the others. */
  moreCertificates: string[];
  sslPolicy: string | undefined;
  alpnPolicy: string[] | undefined;
  tags: Tags;
}

export interface HealthCheckSettings {
  protocol: 'TCP' | 'HTTP' | 'HTTPS';
  /** A number, or `traffic-port`. */
  port: string;
  /** Not with TCP. */
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
  /** Idle while nobody asks it: its group is not in use, or its instance is gone. */
  phase: 'idle' | 'registering' | 'checking' | 'draining';
  verdict: 'healthy' | 'unhealthy' | undefined;
  /** While unhealthy: connections that it has go on for some time. Another one with each verdict. */
  keeps: object | undefined;
  /** How often in a row it gave the same answer. */
  row: { ok: boolean; count: number };
  /** While draining: it was routed to, and the load balancer's nodes do not all know yet that it leaves. */
  lingers: boolean;
  terminated: boolean;
  /** Another one with each phase: what was begun in an earlier one ends. */
  life: object;
  cancelCheck: () => void;
  /** What events have told of it. */
  told: { state: TargetState; reason: string | undefined; routed: boolean } | undefined;
}

/** A target group is used by one load balancer at most. */
export function loadBalancerOf(group: TargetGroup): LoadBalancer | undefined {
  const [listener] = group.listeners;
  return listener?.loadBalancer;
}

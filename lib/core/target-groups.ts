/** What listeners and target groups are made of: data that both flavours turn into their own resources. */
import { HEALTH_PORT } from '../../protocol/environment';
import type { Follows, Peer } from '../../protocol/following';
import { DEREGISTRATION_DELAY, unhealthyDraining } from '../../protocol/targets';
import {
  checkDeregistrationDelay,
  checkHealth,
  FOLLOWED_CHECK_INTERVAL,
  HEALTH_CHECK_INTERVAL,
  HEALTH_CHECK_THRESHOLD,
  healthCheckTimeout,
  type GivenHealthCheck,
  type ListenerProtocol,
} from './listeners';

/** Seconds for both. What is wrong with it is reported when the app is synthesised; until then the defaults stand. */
export interface HealthCheckSettings {
  readonly protocol: 'TCP' | 'HTTP';
  readonly port: number;
  /** Of HTTP. */
  readonly path?: string;
  readonly interval: number;
  /** Absent for AWS's default. */
  readonly timeout?: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

/**
 * Of a declared listener. Without a port the agent of each node answers.
 * @param checked the same as `given`, but undefined for what is known only at deployment
 */
export function healthCheckSettings(given: GivenHealthCheck, checked = given): HealthCheckSettings {
  const usable: Partial<GivenHealthCheck> = checkHealth(checked).length === 0 ? given : {};
  const { port, path, interval = HEALTH_CHECK_INTERVAL } = usable;
  const { healthyThreshold = HEALTH_CHECK_THRESHOLD, unhealthyThreshold = HEALTH_CHECK_THRESHOLD } = usable;
  const asked =
    port === undefined
      ? ({ protocol: 'HTTP', port: HEALTH_PORT, path: '/health' } as const)
      : path === undefined
        ? ({ protocol: 'TCP', port } as const)
        : ({ protocol: 'HTTP', port, path } as const);
  return {
    ...asked,
    interval,
    // What AWS waits by default would be longer than the interval.
    ...(interval < HEALTH_CHECK_INTERVAL && { timeout: healthCheckTimeout(interval) }),
    healthyThreshold,
    unhealthyThreshold,
  };
}

export interface TargetGroupSettings {
  readonly port: number;
  readonly protocol: ListenerProtocol;
  /** Seconds; absent where it is known only at deployment: then the given value is passed on as it is. */
  readonly deregistrationDelay: number | undefined;
  readonly preserveClientAddress?: boolean;
  readonly proxyProtocol?: boolean;
  /** Further attributes, by their names. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly healthCheck: HealthCheckSettings;
}

export interface GivenTargetGroup {
  readonly protocol: ListenerProtocol;
  readonly targetPort: number;
  readonly targetProtocol: 'TCP' | 'TLS' | undefined;
  readonly healthCheck: GivenHealthCheck;
  /** The same, but undefined for what is known only at deployment. */
  readonly checkedHealthCheck?: GivenHealthCheck;
  /** Seconds; `deployment` where it is known only then. */
  readonly deregistrationDelay: number | 'deployment' | undefined;
  readonly preserveClientAddress: boolean | undefined;
  readonly proxyProtocol: boolean | undefined;
}

export function targetGroupSettings(given: GivenTargetGroup): TargetGroupSettings {
  const { preserveClientAddress, proxyProtocol } = given;
  const protocol = given.protocol === 'TLS' ? (given.targetProtocol ?? 'TCP') : given.protocol;
  const asksAgent = given.healthCheck.port === undefined;
  const delay = deregistrationDelay(given.deregistrationDelay, asksAgent);
  return {
    port: given.targetPort,
    protocol,
    deregistrationDelay: delay,
    ...(preserveClientAddress !== undefined && { preserveClientAddress }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    attributes: delay === undefined ? {} : unhealthyDraining(protocol, asksAgent ? delay : 0),
    healthCheck: healthCheckSettings(given.healthCheck, given.checkedHealthCheck),
  };
}

function deregistrationDelay(given: number | 'deployment' | undefined, asksAgent: boolean): number | undefined {
  if (given === 'deployment') return undefined;
  if (given !== undefined && checkDeregistrationDelay(given).length === 0) return given;
  return DEREGISTRATION_DELAY[asksAgent ? 'afterFailedCheck' : 'otherwise'];
}

export interface GivenFollowedPorts {
  readonly from: number;
  readonly to: number;
  /** Whether the range is one that can be followed. What is wrong with it is reported when the app is synthesised. */
  readonly usable: boolean;
  readonly listeners: readonly { readonly port: number; readonly targetPort: number }[];
  readonly vpcId: string;
  readonly clients: Peer[];
  /** Value of the tag that says which nodes stand behind a target group. */
  readonly servedBy: string;
  readonly healthCheck: GivenHealthCheck;
  /** Seconds. */
  readonly deregistrationDelay: number | undefined;
  readonly preserveClientAddress: boolean | undefined;
  readonly proxyProtocol: boolean | undefined;
  readonly sslPolicy: string;
}

/** What target-update is told of a load balancer that follows ports. The health check's port and path do not count. */
export function followSettings(given: GivenFollowedPorts): Follows {
  const { healthCheck, deregistrationDelay: delay, preserveClientAddress, proxyProtocol } = given;
  const interval = healthCheck.interval ?? FOLLOWED_CHECK_INTERVAL;
  return {
    ...(given.usable ? { from: given.from, to: given.to } : { from: 1, to: 65_535 }),
    declared: given.listeners.map(({ port }) => port),
    served: given.listeners.map(({ targetPort }) => targetPort),
    vpcId: given.vpcId,
    clients: given.clients,
    servedBy: given.servedBy,
    healthCheck: {
      interval,
      timeout: healthCheckTimeout(interval),
      healthy: healthCheck.healthyThreshold ?? HEALTH_CHECK_THRESHOLD,
      unhealthy: healthCheck.unhealthyThreshold ?? HEALTH_CHECK_THRESHOLD,
    },
    ...(delay !== undefined && { deregistrationDelay: delay }),
    ...(preserveClientAddress !== undefined && { preserveClientAddress }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    sslPolicy: given.sslPolicy,
  };
}

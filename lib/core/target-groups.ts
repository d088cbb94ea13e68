/** Settings of listeners and target groups: data that both flavours turn into their own resources. */
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
  type HealthCheckInput,
  type ListenerProtocol,
} from './listeners';

/** Invalid values are replaced by the defaults: synth reports them anyway. */
export interface HealthCheckSettings {
  readonly protocol: 'TCP' | 'HTTP';
  readonly port: number;
  /** HTTP only. */
  readonly path?: string;
  /** Seconds. */
  readonly interval: number;
  /** Seconds. Absent for AWS's default. */
  readonly timeout?: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

/**
 * The health check of a declared listener. Without a port, it asks the agent of each node.
 * @param known `input` with undefined for each value that is known only at deployment
 */
export function healthCheckSettings(input: HealthCheckInput, known = input): HealthCheckSettings {
  const valid: Partial<HealthCheckInput> = checkHealth(known).length === 0 ? input : {};
  const { port, path, interval = HEALTH_CHECK_INTERVAL } = valid;
  const { healthyThreshold = HEALTH_CHECK_THRESHOLD, unhealthyThreshold = HEALTH_CHECK_THRESHOLD } = valid;
  const endpoint =
    port === undefined
      ? ({ protocol: 'HTTP', port: HEALTH_PORT, path: '/health' } as const)
      : path === undefined
        ? ({ protocol: 'TCP', port } as const)
        : ({ protocol: 'HTTP', port, path } as const);
  return {
    ...endpoint,
    interval,
    // AWS's default would exceed a short interval.
    ...(interval < HEALTH_CHECK_INTERVAL && { timeout: healthCheckTimeout(interval) }),
    healthyThreshold,
    unhealthyThreshold,
  };
}

export interface TargetGroupSettings {
  readonly port: number;
  readonly protocol: ListenerProtocol;
  /** Seconds. Undefined when known only at deployment: the caller then passes the user's value on unchanged. */
  readonly deregistrationDelay: number | undefined;
  readonly preserveClientAddress?: boolean;
  readonly proxyProtocol?: boolean;
  /** Further attributes, by name. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly healthCheck: HealthCheckSettings;
}

export interface TargetGroupInput {
  readonly protocol: ListenerProtocol;
  readonly targetPort: number;
  readonly targetProtocol: 'TCP' | 'TLS' | undefined;
  readonly healthCheck: HealthCheckInput;
  /** `healthCheck` with undefined for each value that is known only at deployment. */
  readonly knownHealthCheck?: HealthCheckInput;
  /** Seconds, or `deployment` when known only then. */
  readonly deregistrationDelay: number | 'deployment' | undefined;
  readonly preserveClientAddress: boolean | undefined;
  readonly proxyProtocol: boolean | undefined;
}

export function targetGroupSettings(input: TargetGroupInput): TargetGroupSettings {
  const { preserveClientAddress, proxyProtocol } = input;
  const protocol = input.protocol === 'TLS' ? (input.targetProtocol ?? 'TCP') : input.protocol;
  const asksAgent = input.healthCheck.port === undefined;
  const delay = deregistrationDelay(input.deregistrationDelay, asksAgent);
  return {
    port: input.targetPort,
    protocol,
    deregistrationDelay: delay,
    ...(preserveClientAddress !== undefined && { preserveClientAddress }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    attributes: delay === undefined ? {} : unhealthyDraining(protocol, asksAgent ? delay : 0),
    healthCheck: healthCheckSettings(input.healthCheck, input.knownHealthCheck),
  };
}

function deregistrationDelay(seconds: number | 'deployment' | undefined, asksAgent: boolean): number | undefined {
  if (seconds === 'deployment') return undefined;
  if (seconds !== undefined && checkDeregistrationDelay(seconds).length === 0) return seconds;
  return DEREGISTRATION_DELAY[asksAgent ? 'afterFailedCheck' : 'otherwise'];
}

export interface FollowedPortsInput {
  readonly from: number;
  readonly to: number;
  /** An invalid range, which synth reports, is replaced by all ports. */
  readonly isValid: boolean;
  readonly listeners: readonly { readonly port: number; readonly targetPort: number }[];
  readonly vpcId: string;
  readonly clients: Peer[];
  /** Value of the tag that says which nodes a target group has. */
  readonly servedBy: string;
  readonly healthCheck: HealthCheckInput;
  /** Seconds. */
  readonly deregistrationDelay: number | undefined;
  readonly preserveClientAddress: boolean | undefined;
  readonly proxyProtocol: boolean | undefined;
  readonly sslPolicy: string;
}

/**
 * The settings of target-update for a load balancer that follows ports. They ignore the health check's port and path.
 */
export function followSettings(input: FollowedPortsInput): Follows {
  const { healthCheck, deregistrationDelay: delay, preserveClientAddress, proxyProtocol } = input;
  const interval = healthCheck.interval ?? FOLLOWED_CHECK_INTERVAL;
  return {
    ...(input.isValid ? { from: input.from, to: input.to } : { from: 1, to: 65_535 }),
    declared: input.listeners.map(({ port }) => port),
    served: input.listeners.map(({ targetPort }) => targetPort),
    vpcId: input.vpcId,
    clients: input.clients,
    servedBy: input.servedBy,
    healthCheck: {
      interval,
      timeout: healthCheckTimeout(interval),
      healthy: healthCheck.healthyThreshold ?? HEALTH_CHECK_THRESHOLD,
      unhealthy: healthCheck.unhealthyThreshold ?? HEALTH_CHECK_THRESHOLD,
    },
    ...(delay !== undefined && { deregistrationDelay: delay }),
    ...(preserveClientAddress !== undefined && { preserveClientAddress }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    sslPolicy: input.sslPolicy,
  };
}

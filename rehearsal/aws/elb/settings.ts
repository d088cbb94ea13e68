/** Validates names, health checks, attributes and protocols of Elastic Load Balancing. Pure. */
import { tagMap, type Tags } from '../core/describe';
import { AwsError } from '../core/types';
import type { HealthCheckSettings, Listener, ListenerProtocol, TargetGroup } from './model';

export const validation = (message: string) => new AwsError('ValidationError', message);

/** @throws Error naming unknown settings */
export function onlyKnown(what: string, input: Record<string, any>, known: string[]): void {
  const unknown = Object.keys(input).filter((name) => input[name] !== undefined && !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`The emulation does not know ${unknown.join(', ')} of ${what}. It knows ${known.join(', ')}.`);
}

const LONGEST_NAME = 32;

/**
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html , and
 * API_CreateLoadBalancer.html there
 */
export function checkName(kind: 'Target group' | 'Load balancer', name: string): void {
  if (name.length > LONGEST_NAME)
    throw validation(`${kind} name '${name}' cannot be longer than '${LONGEST_NAME}' characters`);
  if (!/^[A-Za-z0-9-]+$/.test(name))
    throw validation(
      `${kind} name '${name}' can only contain characters that are alphanumeric characters or hyphens(-)`,
    );
  if (/^-|-$/.test(name)) throw validation(`${kind} name '${name}' cannot begin or end with '-'`);
}

/** In the words of AWS's common validation. */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const bound = value < least ? `greater than or equal to ${least}` : `less than or equal to ${most}`;
  throw validation(
    `1 validation error detected: Value '${value}' at '${name}' failed to satisfy constraint: Member must ` +
      `have value ${bound}`,
  );
}

// Protocols

const PROTOCOLS: ListenerProtocol[] = ['TLS', 'TCP', 'TCP_UDP', 'UDP'];

/**
 * The target group protocols that each listener protocol may forward to:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html#target-group-routing-configuration
 */
const FITTING: Record<ListenerProtocol, ListenerProtocol[]> = {
  TCP: ['TCP', 'TCP_UDP'],
  TLS: ['TCP', 'TLS'],
  UDP: ['UDP', 'TCP_UDP'],
  TCP_UDP: ['TCP_UDP'],
};

/** The words of AWS, e.g. in https://github.com/pulumi/pulumi-aws/issues/1193 */
export function listenerProtocol(protocol: string | undefined): ListenerProtocol {
  if (protocol === undefined) throw validation('A listener protocol must be specified');
  if (protocol === 'QUIC' || protocol === 'TCP_QUIC')
    throw new Error(
      `The emulation does not know listeners of the protocol ${protocol}. It knows ${PROTOCOLS.join(', ')}.`,
    );
  if (!PROTOCOLS.includes(protocol as ListenerProtocol))
    throw validation(`Listener protocol '${protocol}' must be one of '${PROTOCOLS.join(', ')}'`);
  return protocol as ListenerProtocol;
}

export function targetGroupProtocol(protocol: string | undefined): ListenerProtocol {
  if (protocol === undefined) throw validation('A protocol must be specified');
  if (!PROTOCOLS.includes(protocol as ListenerProtocol))
    throw new Error(
      `The emulation does not know target groups of the protocol ${protocol}. It knows ${PROTOCOLS.join(', ')}.`,
    );
  return protocol as ListenerProtocol;
}

/** The words of AWS, e.g. in https://github.com/hashicorp/terraform-provider-aws/issues/4955 */
export function checkFits(protocol: ListenerProtocol, group: TargetGroup): void {
  if (!FITTING[protocol].includes(group.protocol))
    throw new AwsError(
      'IncompatibleProtocols',
      `The listener and the following target groups have incompatible protocols: ${group.arn}`,
    );
}

/**
 * The default of CLI and API:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html
 */
const DEFAULT_SSL_POLICY = 'ELBSecurityPolicy-2016-08';

/**
 * A TLS listener has exactly one default certificate, and others have none.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html , and for the words
 * https://github.com/pulumi/pulumi/issues/15712 and https://github.com/USEPA/webcms/pull/526
 */
export function tlsSettings(
  protocol: Listener['protocol'],
  input: Record<string, any>,
  before: Listener | undefined,
): Pick<Listener, 'certificate' | 'sslPolicy' | 'alpnPolicy'> {
  const { Certificates: certificates, SslPolicy, AlpnPolicy } = input;
  if (protocol !== 'TLS') {
    if (certificates?.length) throw validation(`A certificate cannot be specified for ${protocol} listeners`);
    if (SslPolicy !== undefined) throw validation(`An SSL policy cannot be specified for ${protocol} listeners`);
    if (AlpnPolicy !== undefined) throw validation(`An ALPN policy cannot be specified for ${protocol} listeners`);
    return { certificate: undefined, sslPolicy: undefined, alpnPolicy: undefined };
  }
  const certificate: string | undefined =
    certificates === undefined ? before?.certificate : certificates[0]?.CertificateArn;
  if (certificate === undefined) throw validation('A certificate must be specified for TLS listeners');
  if (certificates?.length > 1) throw validation('Up to 1 certificate can be specified, but 2 or more were specified');
  if (!/^arn:aws:(acm|iam):/.test(certificate))
    throw new AwsError('CertificateNotFound', `Certificate '${certificate}' not found`);
  if (SslPolicy !== undefined && !SslPolicy.startsWith('ELBSecurityPolicy-'))
    throw new AwsError('SSLPolicyNotFound', `SSL policy '${SslPolicy}' not found`);
  return {
    certificate,
    sslPolicy: SslPolicy ?? before?.sslPolicy ?? DEFAULT_SSL_POLICY,
    alpnPolicy: AlpnPolicy ?? before?.alpnPolicy,
  };
}

// Health checks:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#health-check-settings

/** The request members that configure health checks. */
export const HEALTH_CHECK_MEMBERS = [
  'HealthCheckEnabled',
  'HealthCheckIntervalSeconds',
  'HealthCheckPath',
  'HealthCheckPort',
  'HealthCheckProtocol',
  'HealthCheckTimeoutSeconds',
  'HealthyThresholdCount',
  'Matcher',
  'UnhealthyThresholdCount',
];

const TRAFFIC_PORT = 'traffic-port';
const DEFAULT_TIMEOUT_SECONDS = { TCP: 10, HTTP: 6, HTTPS: 10 };
/** What {@link Machines} check; also AWS's default. */
export const MATCHER = '200-399';

/** @param before the current settings, which stay unless the request changes them */
export function healthCheck(input: Record<string, any>, before?: HealthCheckSettings): HealthCheckSettings {
  const protocol = input.HealthCheckProtocol ?? before?.protocol ?? 'TCP';
  if (!['TCP', 'HTTP', 'HTTPS'].includes(protocol))
    throw validation(`Health check protocol '${protocol}' must be one of 'HTTP, HTTPS, TCP'`);
  const given = {
    path: input.HealthCheckPath as string | undefined,
    matcher: input.Matcher?.HttpCode as string | undefined,
  };
  if (protocol === 'TCP' && given.matcher !== undefined)
    throw new AwsError(
      'InvalidConfigurationRequest',
      'Custom health check matchers are not supported for health checks for target groups with the TCP protocol.',
    );
  if (protocol === 'TCP' && given.path !== undefined)
    throw new AwsError(
      'InvalidConfigurationRequest',
      'Health check paths are not supported for health checks with the TCP protocol.',
    );
  if (given.matcher !== undefined && given.matcher !== MATCHER)
    throw new Error(
      `The emulation does not know the matcher '${given.matcher}' of a health check. It knows ${MATCHER}.`,
    );
  if (input.HealthCheckEnabled === false)
    throw new AwsError(
      'InvalidConfigurationRequest',
      "Health checks are always enabled for target groups with the target type 'instance' and can't be disabled.",
    );
  const port = String(input.HealthCheckPort ?? before?.port ?? TRAFFIC_PORT);
  if (port !== TRAFFIC_PORT && !(Number(port) >= 1 && Number(port) <= 65_535))
    throw validation(`Health check port '${port}' must be in the range '1-65535' or '${TRAFFIC_PORT}'`);
  const number = (name: string, member: string, otherwise: number, least: number, most: number) =>
    inRange(name, Number(input[member] ?? otherwise), least, most);
  const settings = {
    protocol,
    port,
    path: protocol === 'TCP' ? undefined : (given.path ?? before?.path ?? '/'),
    intervalSeconds: number(
      'healthCheckIntervalSeconds',
      'HealthCheckIntervalSeconds',
      before?.intervalSeconds ?? 30,
      5,
      300,
    ),
    timeoutSeconds: number(
      'healthCheckTimeoutSeconds',
      'HealthCheckTimeoutSeconds',
      before?.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS[protocol as HealthCheckSettings['protocol']],
      2,
      120,
    ),
    healthyThreshold: number('healthyThresholdCount', 'HealthyThresholdCount', before?.healthyThreshold ?? 5, 2, 10),
    unhealthyThreshold: number(
      'unhealthyThresholdCount',
      'UnhealthyThresholdCount',
      before?.unhealthyThreshold ?? 2,
      2,
      10,
    ),
  };
  // Equal values are accepted: 10 seconds each used to be the only choice for TCP. AWS's words:
  // https://github.com/hashicorp/terraform-provider-aws/pull/48071
  if (settings.intervalSeconds < settings.timeoutSeconds)
    throw validation('Health check interval must be greater than the timeout.');
  return settings;
}

export function checkedPort({ port }: HealthCheckSettings, trafficPort: number): number {
  return port === TRAFFIC_PORT ? trafficPort : Number(port);
}

// Attributes

const DELAY = 'deregistration_delay.timeout_seconds';
const TERMINATION = 'target_health_state.unhealthy.connection_termination.enabled';
const UNHEALTHY_DRAINING = 'target_health_state.unhealthy.draining_interval_seconds';
export const CROSS_ZONE = 'load_balancing.cross_zone.enabled';

/**
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html , with their
 * defaults for instances behind a Network Load Balancer. The emulation does not know those that change the routing.
 */
const targetGroupDefaults = (protocol: ListenerProtocol): Record<string, string> => ({
  [DELAY]: '300',
  'deregistration_delay.connection_termination.enabled': String(protocol.includes('UDP')),
  [CROSS_ZONE]: 'use_load_balancer_configuration',
  'preserve_client_ip.enabled': 'true',
  'proxy_protocol_v2.enabled': 'false',
  'stickiness.enabled': 'false',
  'stickiness.type': 'source_ip',
  [TERMINATION]: 'true',
  [UNHEALTHY_DRAINING]: '0',
});

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html */
const LOAD_BALANCER_DEFAULTS: Record<string, string> = {
  'access_logs.s3.bucket': '',
  'access_logs.s3.enabled': 'false',
  'access_logs.s3.prefix': '',
  'deletion_protection.enabled': 'false',
  'dns_record.client_routing_policy': 'any_availability_zone',
  [CROSS_ZONE]: 'false',
  'zonal_shift.config.enabled': 'false',
};

type Attributes = { Key?: string; Value?: string }[];

export function targetGroupAttributes(
  protocol: ListenerProtocol,
  list: Attributes = [],
  before = targetGroupDefaults(protocol),
): Record<string, string> {
  const attributes = merged('a target group', before, list);
  inRange(DELAY, Number(attributes[DELAY]), 0, 3600);
  inRange(UNHEALTHY_DRAINING, Number(attributes[UNHEALTHY_DRAINING]), 0, 360_000);
  const invalid = (message: string) => new AwsError('InvalidConfigurationRequest', message);
  if (
    list.some(({ Key }) => Key === TERMINATION || Key === UNHEALTHY_DRAINING) &&
    protocol !== 'TCP' &&
    protocol !== 'TLS'
  )
    throw invalid(
      'Connection termination of unhealthy targets cannot be configured for target groups with the ' +
        `${protocol} protocol`,
    );
  // Source for the refusal: https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4648 , which does
  // not quote the whole message.
  if (attributes[TERMINATION] === 'true' && attributes[UNHEALTHY_DRAINING] !== '0')
    throw invalid(
      'You cannot have both connection termination of unhealthy targets and an unhealthy draining interval',
    );
  return attributes;
}

/**
 * How long the connections of an unhealthy target may go on:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html#unhealthy-draining-interval
 */
export function unhealthyDrainingMs({ attributes }: TargetGroup): number {
  return Number(attributes[UNHEALTHY_DRAINING]) * 1000;
}

export function loadBalancerAttributes(list: Attributes = []): Record<string, string> {
  return merged('a load balancer', LOAD_BALANCER_DEFAULTS, list);
}

function merged(what: string, before: Record<string, string>, list: Attributes): Record<string, string> {
  const given = Object.fromEntries(list.map(({ Key, Value }) => [String(Key), String(Value)]));
  onlyKnown(`the attributes of ${what}`, given, Object.keys(before));
  return { ...before, ...given };
}

export function deregistrationDelayMs({ attributes }: TargetGroup): number {
  return Number(attributes[DELAY]) * 1000;
}

// Tags

const MOST_TAGS = 50;

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-tags.html */
export function checkedTags(before: Tags, list: { Key: string; Value: string }[] | undefined): Tags {
  const keys = (list ?? []).map(({ Key }) => Key);
  if (new Set(keys).size < keys.length)
    throw new AwsError('DuplicateTagKeys', 'A tag key was specified more than once.');
  const tags = { ...before, ...tagMap(list) };
  if (Object.keys(tags).filter((key) => !key.startsWith('aws:')).length > MOST_TAGS)
    throw new AwsError('TooManyTags', "You've reached the limit on the number of tags for this resource.");
  return tags;
}

/**
 * Listeners and target groups of a Network Load Balancer: defaults, bounds, and checks of the props. Like `checks/`,
 * the checks are pure and return one sentence for each problem.
 */
import { CERTIFICATE_ARN, MAX_LISTENERS, MAX_SERVED_BY, SWARM_PORTS } from '../../protocol/targets';
import { checkWholeNumber } from './whole-number';

/**
 * Named as Elastic Load Balancing names them. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
 */
export const LISTENER_PROTOCOLS = ['TCP', 'UDP', 'TCP_UDP', 'TLS'] as const;
export type ListenerProtocol = (typeof LISTENER_PROTOCOLS)[number];

/**
 * Seconds. A leaving node receives no new connections after two failed checks. Bounds:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
export const HEALTH_CHECK_INTERVAL = 10;
/**
 * Seconds. Shorter than the interval, and no longer than AWS's default: 6 for HTTP, 10 for TCP. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
export const healthCheckTimeout = (interval: number) => Math.min(6, interval - 1);
/** Seconds. Shorter for followed ports, so that a newly published port is soon reachable. */
export const FOLLOWED_CHECK_INTERVAL = 5;
export const HEALTH_CHECK_INTERVAL_BOUNDS = { min: 5, max: 300 };
/** Consecutive checks. */
export const HEALTH_CHECK_THRESHOLD = 2;
export const HEALTH_CHECK_THRESHOLD_BOUNDS = { min: 2, max: 10 };
/** Seconds. */
export const DEREGISTRATION_DELAY_BOUNDS = { min: 0, max: 3_600 };

/** A listener as the user describes it. A value that is known only at deployment is undefined. */
export interface ListenerInput {
  port: number | undefined;
  /** Equals `port` when the user omits it. */
  targetPort: number | undefined;
  protocol: string | undefined;
  targetProtocol: string | undefined;
  /** ARNs. */
  certificates: readonly (string | undefined)[];
  /** Region of the load balancer. */
  region: string | undefined;
  preservesClientAddress: boolean;
}

export function checkListeners(listeners: readonly ListenerInput[]): string[] {
  const ports = listeners.flatMap(({ port }) => port ?? []);
  const duplicates = [...new Set(ports.filter((port, n) => ports.indexOf(port) !== n))];
  return [
    ...(listeners.length > MAX_LISTENERS
      ? [
          `There are ${listeners.length} listeners, but a load balancer has at most ${MAX_LISTENERS}. Add another ` +
            'load balancer for the rest.',
        ]
      : []),
    ...duplicates.map(
      (port) =>
        `Port ${port} has more than one listener. Declare each port once; for TCP and UDP on the same port, use the ` +
        'protocol TCP_UDP.',
    ),
    ...listeners.flatMap(checkListener),
  ];
}

function checkListener({
  port,
  targetPort,
  protocol,
  targetProtocol,
  certificates,
  region,
  preservesClientAddress,
}: ListenerInput): string[] {
  const name = `The listener on port ${port ?? '(known at deployment)'}`;
  const problems = [
    ...checkPort(`${name}: port`, port),
    ...(targetPort === port ? [] : checkPort(`${name}: targetPort`, targetPort)),
  ];
  if (targetPort !== undefined && SWARM_PORTS.includes(targetPort))
    problems.push(
      `${name} would forward to port ${targetPort}, which the swarm itself uses. Set \`targetPort\` to a port that a ` +
        'service publishes.',
    );
  if (!isProtocol(protocol))
    problems.push(`${name} has the protocol ${protocol}. Use one of ${LISTENER_PROTOCOLS.join(', ')}.`);
  if (protocol === 'TLS' && certificates.length === 0)
    problems.push(`${name} has the protocol TLS but no certificate. Set \`certificates\`.`);
  if (protocol !== 'TLS' && certificates.length > 0)
    problems.push(
      `${name} has certificates but the protocol ${protocol}. Only TLS uses certificates: change the protocol, or ` +
        'omit `certificates`.',
    );
  problems.push(...certificates.flatMap((arn) => checkCertificate(name, arn, region)));
  if (targetProtocol !== undefined && protocol !== 'TLS')
    problems.push(
      `${name} has a \`targetProtocol\` but the protocol ${protocol}, which is forwarded unchanged. Only TLS ` +
        'listeners have a choice: omit it.',
    );
  if (targetProtocol !== undefined && !['TCP', 'TLS'].includes(targetProtocol))
    problems.push(`${name} has the targetProtocol ${targetProtocol}. Use TCP or TLS.`);
  // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation
  if (!preservesClientAddress && (protocol === 'UDP' || protocol === 'TCP_UDP'))
    problems.push(`${name}: ${protocol} always preserves the client's address. Omit preserveClientAddress.`);
  return problems;
}

/** Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html */
function checkCertificate(listener: string, arn: string | undefined, region: string | undefined): string[] {
  if (arn === undefined) return [];
  if (!CERTIFICATE_ARN.test(arn))
    return [
      `${listener} has the certificate '${arn.slice(0, 100)}', which is not the ARN of a certificate. Use a ` +
        'certificate from ACM, or one uploaded to IAM.',
    ];
  const [, , service, certificateRegion] = arn.split(':');
  return service !== 'acm' || region === undefined || certificateRegion === region
    ? []
    : [
        `${listener} has a certificate from ${certificateRegion}, but the load balancer is in ${region}. Use a ` +
          `certificate from ${region}.`,
      ];
}

const isProtocol = (protocol: string | undefined) =>
  (LISTENER_PROTOCOLS as readonly (string | undefined)[]).includes(protocol);

function checkPort(name: string, port: number | undefined): string[] {
  return checkWholeNumber(name, port, { min: 1, max: 65_535 });
}

/**
 * @param from and `to`: undefined when omitted or known only at deployment
 * @param taken ports that declared listeners listen on or forward to
 * @param declared number of declared listeners
 */
export function checkFollowed(
  from: number | undefined,
  to: number | undefined,
  taken: readonly number[],
  declared: number,
): string[] {
  const problems = [
    ...checkPort('followPublishedPorts.from', from),
    ...checkPort('followPublishedPorts.to', to),
    ...(declared >= MAX_LISTENERS
      ? [
          `${declared} listeners are declared, and a load balancer has at most ${MAX_LISTENERS}, so no published ` +
            'port could be followed. Declare fewer, or add another load balancer.',
        ]
      : []),
  ];
  if (problems.length > 0 || from === undefined || to === undefined) return problems;
  if (from > to) return [`followPublishedPorts.from (${from}) must not exceed followPublishedPorts.to (${to}).`];
  const neverFollowed = new Set([...SWARM_PORTS, ...taken].filter((port) => port >= from && port <= to));
  return neverFollowed.size > to - from
    ? [
        `followPublishedPorts from ${from} to ${to} leaves no port to follow: the swarm itself or declared listeners ` +
          'use them all. Use another range.',
      ]
    : [];
}

/** @param count undefined when `clients` is omitted */
export function checkClients(count: number | undefined): string[] {
  return count === 0 ? ['clients is empty, so nobody could connect. Name at least one peer, or omit it.'] : [];
}

/** A health check as the user describes it. What is omitted is undefined. */
export interface HealthCheckInput {
  /** Seconds. */
  interval: number | undefined;
  healthyThreshold: number | undefined;
  unhealthyThreshold: number | undefined;
  port: number | undefined;
  path: string | undefined;
}

/** @param input a value that is known only at deployment is undefined as well */
export function checkHealth(input: HealthCheckInput): string[] {
  const { interval, healthyThreshold, unhealthyThreshold, port, path } = input;
  return [
    ...checkWholeNumber('healthCheck.interval in seconds', interval, HEALTH_CHECK_INTERVAL_BOUNDS),
    ...checkWholeNumber('healthCheck.healthyThreshold', healthyThreshold, HEALTH_CHECK_THRESHOLD_BOUNDS),
    ...checkWholeNumber('healthCheck.unhealthyThreshold', unhealthyThreshold, HEALTH_CHECK_THRESHOLD_BOUNDS),
    ...checkPort('healthCheck.port', port),
    ...(path !== undefined && port === undefined
      ? ['healthCheck.path needs a healthCheck.port: the port of the service that answers at the path.']
      : []),
    ...(path === undefined || /^\/[\x21-\x7e]{0,1023}$/.test(path)
      ? []
      : [
          `healthCheck.path ('${path}') must begin with a slash and have at most 1024 characters, none of them a ` +
            'space.',
        ]),
  ];
}

export function checkDeregistrationDelay(seconds: number | undefined): string[] {
  return checkWholeNumber('deregistrationDelay in seconds', seconds, DEREGISTRATION_DELAY_BOUNDS);
}

/**
 * @param tag of the target groups
 * @param groups number of worker groups that `nodes` lists; undefined when it lists none
 */
export function checkServedBy(tag: string, groups: number | undefined): string[] {
  if (groups === 0) return ['nodes is empty, so no node would receive connections. Name worker groups, or omit it.'];
  return tag.length <= MAX_SERVED_BY
    ? []
    : [
        `nodes lists ${groups} worker groups, whose names take ${tag.length} characters, but a tag value has at most ` +
          `${MAX_SERVED_BY}. Use 'workers', or fewer groups.`,
      ];
}

/**
 * @param zones one for each subnet of the load balancer; a zone that is known only at deployment is undefined
 * @param nodeZones the same for the nodes
 */
export function checkLoadBalancerZones(
  zones: readonly (string | undefined)[],
  nodeZones: readonly (string | undefined)[],
): string[] {
  const advice = 'Set `vpcSubnets` to one subnet in each zone of the nodes.';
  const known = zones.filter((zone) => zone !== undefined);
  const duplicates = [...new Set(known.filter((zone, n) => known.indexOf(zone) !== n))];
  if (duplicates.length > 0)
    return [
      `The load balancer would have more than one subnet in ${duplicates.join(', ')}, but takes one in each zone. ` +
        advice,
    ];
  const missing =
    known.length === zones.length ? nodeZones.filter((zone) => zone !== undefined && !zones.includes(zone)) : [];
  if (zones.length >= nodeZones.length && missing.length === 0) return [];
  const problem =
    missing.length > 0
      ? `no subnet in ${missing.join(', ')}, where nodes are`
      : `subnets in ${zones.length} zones, but the nodes are in ${nodeZones.length}`;
  return [`The load balancer would have ${problem}: the nodes there would never receive connections. ${advice}`];
}

/**
 * Inbound rules of a security group, unless the account's quota was raised. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
 */
const DEFAULT_RULE_QUOTA = 60;

/** @returns a warning, not a problem: the account's quota may have been raised */
export function warnOfRules(rules: number): string | undefined {
  return rules <= DEFAULT_RULE_QUOTA
    ? undefined
    : `The security group of the load balancer would have ${rules} inbound rules: one for each client of each ` +
        `listener, two with TCP_UDP. AWS allows ${DEFAULT_RULE_QUOTA} unless the account's quota was raised. Name ` +
        'fewer `clients`, or have the quota raised.';
}

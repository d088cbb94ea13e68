/**
 * What listeners and target groups of a Network Load Balancer may be: defaults, bounds, and what can be wrong with what
 * a user gives. Pure, like `checks/`.
 */
import { CERTIFICATE_ARN, MAX_LISTENERS, MAX_SERVED_BY, SWARM_PORTS } from '../../protocol/targets';

/**
 * As Elastic Load Balancing names them. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
 */
export const LISTENER_PROTOCOLS = ['TCP', 'UDP', 'TCP_UDP', 'TLS'] as const;
export type ListenerProtocol = (typeof LISTENER_PROTOCOLS)[number];

/**
 * Seconds. A node that leaves is out after two failed checks. Bounds:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
export const HEALTH_CHECK_INTERVAL = 10;
/**
 * Shorter than the interval, and than what AWS waits by default: 6 seconds for HTTP, 10 for TCP. Source:
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
export const healthCheckTimeout = (interval: number) => Math.min(6, interval - 1);
/** Of followed ports: what is published is to be reached soon. */
export const FOLLOWED_CHECK_INTERVAL = 5;
export const HEALTH_CHECK_INTERVAL_BOUNDS = { min: 5, max: 300 };
/** Checks in a row. */
export const HEALTH_CHECK_THRESHOLD = 2;
export const HEALTH_CHECK_THRESHOLD_BOUNDS = { min: 2, max: 10 };
/** Seconds. */
export const DEREGISTRATION_DELAY_BOUNDS = { min: 0, max: 3_600 };

/** A value that is known only at deployment is undefined. */
export interface GivenListener {
  port: number | undefined;
  /** The same as `port` where none was given. */
  targetPort: number | undefined;
  protocol: string | undefined;
  targetProtocol: string | undefined;
  /** Their ARNs. */
  certificates: readonly (string | undefined)[];
  /** Of the load balancer. */
  region: string | undefined;
  preservesClientAddress: boolean;
}

export function checkListeners(listeners: readonly GivenListener[]): string[] {
  const ports = listeners.flatMap(({ port }) => port ?? []);
  const twice = [...new Set(ports.filter((port, n) => ports.indexOf(port) !== n))];
  return [
    ...(listeners.length > MAX_LISTENERS
      ? [
          `${listeners.length} listeners were asked for, but a load balancer has at most ` +
            `${MAX_LISTENERS}. Make another one for the rest.`,
        ]
      : []),
    ...twice.map(
      (port) =>
        `Port ${port} has more than one listener. Give each port once; for TCP and UDP on the same port ` +
        'give the protocol TCP_UDP.',
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
}: GivenListener): string[] {
  const name = `The listener of port ${port ?? '(known at deployment)'}`;
  const problems = [
    ...checkPort(`${name}: port`, port),
    ...(targetPort === port ? [] : checkPort(`${name}: targetPort`, targetPort)),
  ];
  if (targetPort !== undefined && SWARM_PORTS.includes(targetPort))
    problems.push(
      `${name} would send to port ${targetPort}, which is the swarm's own. Give as \`targetPort\` one that ` +
        'a service publishes.',
    );
  if (!isProtocol(protocol))
    problems.push(`${name} has the protocol ${protocol}. Give ${LISTENER_PROTOCOLS.join(', ')}.`);
  if (protocol === 'TLS' && certificates.length === 0)
    problems.push(`${name} has the protocol TLS, and no certificate. Give \`certificates\`.`);
  if (protocol !== 'TLS' && certificates.length > 0)
    problems.push(
      `${name} has certificates, but the protocol ${protocol}. Only TLS has certificates: leave one of the two out.`,
    );
  problems.push(...certificates.flatMap((arn) => checkCertificate(name, arn, region)));
  if (targetProtocol !== undefined && protocol !== 'TLS')
    problems.push(
      `${name} has a \`targetProtocol\`, but the protocol ${protocol} is passed on as it is. Only TLS has a choice.`,
    );
  if (targetProtocol !== undefined && !['TCP', 'TLS'].includes(targetProtocol))
    problems.push(`${name} has the targetProtocol ${targetProtocol}. Give TCP or TLS.`);
  // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#client-ip-preservation
  if (!preservesClientAddress && (protocol === 'UDP' || protocol === 'TCP_UDP'))
    problems.push(`${name}: the client's address is always kept for ${protocol}. Leave preserveClientAddress out.`);
  return problems;
}

/** Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html */
function checkCertificate(listener: string, arn: string | undefined, region: string | undefined): string[] {
  if (arn === undefined) return [];
  if (!CERTIFICATE_ARN.test(arn))
    return [
      `${listener} has the certificate '${arn.slice(0, 100)}', which is no ARN of a certificate. Give one ` +
        'of ACM, or one that was uploaded to IAM.',
    ];
  const [, , service, where] = arn.split(':');
  return service !== 'acm' || region === undefined || where === region
    ? []
    : [`${listener} has a certificate of ${where}, but the load balancer is in ${region}. Give one of that region.`];
}

const isProtocol = (protocol: string | undefined) =>
  (LISTENER_PROTOCOLS as readonly (string | undefined)[]).includes(protocol);

function checkPort(name: string, port: number | undefined): string[] {
  return checkWhole(name, port, { min: 1, max: 65_535 });
}

/**
 * @param from and `to`: undefined where it was left out, or is known only at deployment
 * @param taken ports that declared listeners have or send to
 * @param declared how many of these listeners there are
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
          `${declared} listeners are declared, and a load balancer has at most ${MAX_LISTENERS}: no ` +
            'published port could be followed.',
        ]
      : []),
  ];
  if (problems.length > 0 || from === undefined || to === undefined) return problems;
  if (from > to)
    return [
      `followPublishedPorts goes from ${from} to ${to}, so no port could be followed. Give the lower one as \`from\`.`,
    ];
  const never = new Set([...SWARM_PORTS, ...taken].filter((port) => port >= from && port <= to));
  return never.size > to - from
    ? [
        `followPublishedPorts goes from ${from} to ${to}, and all of these are the swarm's own, or ` +
          `declared listeners'. Give others.`,
      ]
    : [];
}

/** @param count undefined where none were given */
export function checkClients(count: number | undefined): string[] {
  return count === 0 ? ['clients is empty: nobody could connect. Give peers, or leave it out.'] : [];
}

/** What a user gave, by name; undefined where it was left out. */
export interface GivenHealthCheck {
  /** Seconds. */
  interval: number | undefined;
  healthyThreshold: number | undefined;
  unhealthyThreshold: number | undefined;
  port: number | undefined;
  path: string | undefined;
}

/** @param given undefined also for what is known only at deployment */
export function checkHealth(given: GivenHealthCheck): string[] {
  const { port, path } = given;
  return [
    ...checkWhole('healthCheck.interval (seconds)', given.interval, HEALTH_CHECK_INTERVAL_BOUNDS),
    ...checkWhole('healthCheck.healthyThreshold', given.healthyThreshold, HEALTH_CHECK_THRESHOLD_BOUNDS),
    ...checkWhole('healthCheck.unhealthyThreshold', given.unhealthyThreshold, HEALTH_CHECK_THRESHOLD_BOUNDS),
    ...checkPort('healthCheck.port', port),
    ...(path !== undefined && port === undefined
      ? ['healthCheck.path needs a healthCheck.port: the port of a service that answers it.']
      : []),
    ...(path === undefined || /^\/[\x21-\x7e]{0,1023}$/.test(path)
      ? []
      : [`healthCheck.path is '${path}'. Give a path that begins with a slash, without spaces.`]),
  ];
}

export function checkDeregistrationDelay(seconds: number | undefined): string[] {
  return checkWhole('deregistrationDelay (seconds)', seconds, DEREGISTRATION_DELAY_BOUNDS);
}

/**
 * @param tag of the target groups; `groups`: how many groups of workers stand behind them, or undefined where none was
 * named
 */
export function checkServedBy(tag: string, groups: number | undefined): string[] {
  if (groups === 0) return ['nodes is empty: nobody would be sent anything. Give worker groups, or leave it out.'];
  return tag.length <= MAX_SERVED_BY
    ? []
    : [
        `nodes names ${groups} worker groups, but their names have ${tag.length} characters, and a tag ` +
          `takes ${MAX_SERVED_BY}. Give 'workers', or fewer groups.`,
      ];
}

/**
 * @param zones one for each subnet of the load balancer, and the zones of the nodes; a zone that is known only at
 * deployment is undefined
 */
export function checkLoadBalancerZones(
  zones: readonly (string | undefined)[],
  ofNodes: readonly (string | undefined)[],
): string[] {
  const give = 'Give `vpcSubnets` that name one subnet for each zone.';
  const named = zones.filter((zone) => zone !== undefined);
  const twice = [...new Set(named.filter((zone, n) => named.indexOf(zone) !== n))];
  if (twice.length > 0)
    return [
      `The load balancer would have more than one subnet in ${twice.join(', ')}, and takes one in each zone. ${give}`,
    ];
  const missing =
    named.length === zones.length ? ofNodes.filter((zone) => zone !== undefined && !zones.includes(zone)) : [];
  if (zones.length >= ofNodes.length && missing.length === 0) return [];
  const where =
    missing.length > 0
      ? `no subnet in ${missing.join(', ')}, where nodes are`
      : `subnets in ${zones.length} zones, but the nodes are in ${ofNodes.length}`;
  return [`The load balancer would have ${where}: those there would never be sent anything. ${give}`];
}

/**
 * Inbound rules of a security group that AWS allows until it is asked for more. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
 */
const USUAL_RULES = 60;

/** @returns what to warn of: more may have been granted */
export function warnOfRules(rules: number): string | undefined {
  return rules <= USUAL_RULES
    ? undefined
    : `The security group of the load balancer would have ${rules} inbound rules, one for each client of ` +
        `each listener, two for TCP_UDP. AWS allows ${USUAL_RULES} unless the quota of the account was raised. ` +
        `Give fewer \`clients\`, or a prefix list.`;
}

function checkWhole(name: string, value: number | undefined, { min, max }: { min: number; max: number }): string[] {
  return value === undefined || (Number.isInteger(value) && value >= min && value <= max)
    ? []
    : [`${name} is ${value}. Give a whole number from ${min} to ${max}.`];
}

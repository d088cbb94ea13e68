/**
 * Plans which listeners, target groups and security group rules a load balancer should have for published ports, and
 * what to change. Pure.
 *
 * - A listener declared in code always wins: whatever was made for its port is removed at once.
 * - Everything else is removed only when the new listeners have healthy targets. A service whose port changes is always
 *   reachable on one of the two.
 * - A label that cannot be followed removes nothing: the existing listener for that port stays.
 * - While the published ports are unknown, nothing is made or removed.
 */
import { createHash } from 'node:crypto';
import { HEALTH_PORT } from '../../protocol/environment';
import { FOLLOWED_PREFIX, type Following, type Follows, type Peer } from '../../protocol/following';
import { CERTIFICATE_LABEL } from '../../protocol/labels';
import type { PublishedPort } from '../../protocol/swarm';
import {
  CERTIFICATE_ARN,
  DEREGISTRATION_DELAY,
  MAX_LISTENERS,
  SWARM_PORTS,
  unhealthyDraining,
} from '../../protocol/targets';

const RULE_DESCRIPTION = 'Followed port ';

/** A load balancer that follows published ports, and what exists for it. */
export interface Followed {
  arn: string;
  securityGroupId: string;
  /** Absent if it must no longer follow anything. */
  follows?: Follows;
  /** All of its listeners. */
  listeners: readonly Listener[];
  /** Target groups made for its followed ports. */
  groups: readonly { arn: string; name: string; digest: string }[];
  /** Rules made for followed ports, in its security group. */
  rules: readonly { ruleId: string; description: string }[];
  /** Ports that other load balancers of the cluster send to, or may follow. */
  elsewhere: readonly { from: number; to: number }[];
}

export interface Listener {
  arn: string;
  port: number;
  protocol: string;
  certificate?: string;
  sslPolicy?: string;
  targetGroupArn?: string;
}

/** What a followed port should have. */
export interface Wanted {
  port: number;
  protocol: 'TCP' | 'UDP' | 'TCP_UDP' | 'TLS';
  /** For TLS only. */
  certificate?: string;
  sslPolicy?: string;
  group: { name: string; protocol: 'TCP' | 'UDP' | 'TCP_UDP'; digest: string; settings: GroupSettings };
  rules: Rule[];
}

export interface GroupSettings {
  servedBy: string;
  /** In the terms of the API. */
  healthCheck: Record<string, string | number>;
  attributes: { Key: string; Value: string }[];
}

export interface Rule {
  description: string;
  transport: 'tcp' | 'udp';
  port: number;
  peer: Peer;
}

/** A port with something to make or change, and what exists for it. */
export interface Step {
  wanted: Wanted;
  group?: { arn: string; digest: string };
  listener?: Listener;
  missingRules: Rule[];
}

/** Ids, to be removed in this order. */
export interface Removal {
  listeners: string[];
  rules: string[];
  groups: string[];
}

export interface FollowPlan {
  steps: Step[];
  /** What blocks a declared listener; everything if the load balancer no longer follows. */
  atOnce: Removal;
  /** What is no longer wanted. Removed only when no step changes anything. */
  later: Removal;
  /** Something is to be removed as soon as the new listeners have healthy targets. */
  holds: boolean;
  refused: Following['refused'];
}

export const isEmpty = ({ listeners, rules, groups }: Removal) => listeners.length + rules.length + groups.length === 0;
const NOTHING: Removal = { listeners: [], rules: [], groups: [] };

/**
 * @param ports undefined while unknown
 * @param isFresh whether a target group, by its ARN, has no healthy target yet but is about to
 */
export function follow(
  existing: Followed,
  ports: readonly PublishedPort[] | undefined,
  isFresh: (groupArn: string) => boolean,
): FollowPlan {
  const { follows } = existing;
  const followed = existing.listeners.filter((listener) => isFollowedListener(existing, listener));
  if (!follows)
    return {
      steps: [],
      atOnce: removal(existing, followed, () => true, []),
      later: NOTHING,
      holds: false,
      refused: [],
    };
  const isDeclared = (port: number) => follows.declared.includes(port);
  const atOnce = removal(existing, followed, isDeclared, undefined);
  if (!ports) return { steps: [], atOnce, later: NOTHING, holds: false, refused: [] };
  const { wanted, kept, refused } = wantedOf(existing, follows, followed, ports);
  const all = wanted.map((one) => stepOf(existing, one));
  // A port that has no listener yet, and may never get one, delays no removal.
  const served = all.every(
    ({ group, listener }) => group === undefined || listener?.targetGroupArn !== group.arn || !isFresh(group.arn),
  );
  const isUnwanted = (port: number) => !kept.has(port) && !wanted.some((one) => one.port === port);
  const goes = removal(existing, followed, isUnwanted, wanted);
  return {
    steps: all.filter((step) => !isDone(step)),
    atOnce,
    later: served ? goes : NOTHING,
    holds: !served && !isEmpty(goes),
    refused,
  };
}

/** @param wanted keeps the target groups of these ports; undefined keeps all */
function removal(
  { listeners, groups, rules }: Followed,
  followed: readonly Listener[],
  goes: (port: number) => boolean,
  wanted: readonly Wanted[] | undefined,
): Removal {
  const gone = followed.filter(({ port }) => goes(port));
  const descriptions = new Set(wanted?.flatMap((one) => one.rules.map(({ description }) => description)));
  const used = new Set(
    listeners.filter((listener) => !gone.includes(listener)).map(({ targetGroupArn }) => targetGroupArn),
  );
  return {
    listeners: gone.map(({ arn }) => arn),
    // The clients may have changed, too.
    rules: rules
      .filter(
        ({ description }) =>
          (goes(portOfRule(description)) || (wanted?.some(({ port }) => port === portOfRule(description)) ?? false)) &&
          !descriptions.has(description),
      )
      .map(({ ruleId }) => ruleId),
    groups: wanted
      ? groups
          .filter(({ arn, name }) => !used.has(arn) && !wanted.some(({ group }) => group.name === name))
          .map(({ arn }) => arn)
      : [],
  };
}

type Refusal = { port: number; reason: string; /** What exists for the port stays. */ keeps: boolean };

function wantedOf(
  { arn, listeners, elsewhere }: Followed,
  follows: Follows,
  followed: readonly Listener[],
  ports: readonly PublishedPort[],
): { wanted: Wanted[]; kept: Set<number>; refused: Following['refused'] } {
  const byPort = new Map<number, PublishedPort[]>();
  for (const one of ports) if (!isOthers(one.port)) byPort.set(one.port, [...(byPort.get(one.port) ?? []), one]);
  /** A declared listener sends there, or another load balancer may follow the port and this one may not. */
  function isOthers(port: number): boolean {
    const isFollowable = port >= follows.from && port <= follows.to && !follows.declared.includes(port);
    return (
      follows.served.includes(port) || (!isFollowable && elsewhere.some(({ from, to }) => port >= from && port <= to))
    );
  }
  const present = new Set(followed.map(({ port }) => port));
  // Existing listeners come first, so that no service takes another one's listener.
  const order = [...byPort].sort(([a], [b]) => Number(present.has(b)) - Number(present.has(a)) || a - b);
  const others = listeners.filter((listener) => !followed.includes(listener)).map(({ port }) => port);
  const room = MAX_LISTENERS - new Set([...others, ...follows.declared]).size;
  const wanted: Wanted[] = [];
  const refusals: Refusal[] = [];
  for (const [port, published] of order) {
    const refusal =
      refusalOf(follows, port, published) ??
      (others.includes(port)
        ? { reason: `Port ${port} already has a listener that was not made for a published port.`, keeps: false }
        : undefined);
    if (refusal) refusals.push({ port, ...refusal });
    else if (wanted.length >= room)
      refusals.push({
        port,
        reason:
          `Port ${port} of ${named(published)} is one too many: the load balancer already has ${MAX_LISTENERS} ` +
          'listeners.',
        keeps: false,
      });
    else wanted.push(wantedFor(arn, follows, port, published));
  }
  return {
    wanted,
    kept: new Set(refusals.filter(({ keeps }) => keeps).map(({ port }) => port)),
    refused: refusals
      .sort((a, b) => a.port - b.port)
      .map(({ port, reason }) => ({ loadBalancer: arn, port, reason: reason.slice(0, 500) })),
  };
}

function refusalOf(
  { from, to, declared, served }: Follows,
  port: number,
  published: readonly PublishedPort[],
): Omit<Refusal, 'port'> | undefined {
  const refuse = (reason: string, keeps = false) => ({ reason, keeps });
  const certificates = new Set(
    published.flatMap(({ protocol, certificate }) =>
      protocol === 'tcp' && certificate !== undefined ? [certificate] : [],
    ),
  );
  const [certificate] = certificates;
  if (SWARM_PORTS.includes(port))
    return refuse(`Port ${port} of ${named(published)} is used by the swarm itself. Publish another one.`);
  if (declared.includes(port))
    return refuse(
      `Port ${port} of ${named(published)} has a listener declared in code, which sends to port ` +
        `${served[declared.indexOf(port)]} of the nodes. Publish that port, or another one.`,
    );
  if (port < from || port > to)
    return refuse(
      `Port ${port} of ${named(published)} is outside ${from} to ${to}, the ports that this load balancer may ` +
        'follow.',
    );
  if (published.some(({ protocol }) => protocol === 'sctp'))
    return refuse(
      `Port ${port} of ${named(published)} is published for SCTP, which a Network Load Balancer does not support.`,
    );
  if (certificate === undefined) return undefined;
  if (!CERTIFICATE_ARN.test(certificate))
    return refuse(
      `The label ${CERTIFICATE_LABEL} of ${named(published)} is ` +
        `${JSON.stringify(certificate.slice(0, 100))}, which is not the ARN of a certificate.`,
      true,
    );
  if (certificates.size > 1)
    return refuse(`Port ${port} is published by ${named(published)} with different certificates.`, true);
  if (published.some(({ protocol }) => protocol === 'udp'))
    return refuse(
      `Port ${port} of ${named(published)} is also published for UDP. A listener with a certificate takes TLS only.`,
      true,
    );
  return undefined;
}

const named = (published: readonly PublishedPort[]) =>
  `the service ${[...new Set(published.map(({ service }) => service))].join(' and ')}`;

function wantedFor(arn: string, follows: Follows, port: number, published: readonly PublishedPort[]): Wanted {
  const transports = (['tcp', 'udp'] as const).filter((transport) =>
    published.some(({ protocol }) => protocol === transport),
  );
  const protocol = transports.length === 2 ? 'TCP_UDP' : transports[0] === 'udp' ? 'UDP' : 'TCP';
  const certificate = published.find((one) => one.protocol === 'tcp' && one.certificate !== undefined)?.certificate;
  // In host mode only nodes with a task answer on the port. A health check cannot use UDP.
  const asksPort = published.some(({ mode }) => mode === 'host') && protocol !== 'UDP';
  const settings = settingsOf(follows, port, protocol, asksPort);
  return {
    port,
    protocol: certificate === undefined ? protocol : 'TLS',
    ...(certificate !== undefined && { certificate, sslPolicy: follows.sslPolicy }),
    group: {
      name: `${prefixOf(arn)}${port}-${protocol === 'TCP_UDP' ? 'both' : protocol.toLowerCase()}`,
      protocol,
      digest: digest(JSON.stringify(settings), 16),
      settings,
    },
    rules: transports.flatMap((transport) =>
      follows.clients.map((peer) => ({
        description: `${RULE_DESCRIPTION}${port} ${transport} from ${Object.values(peer)[0]}`,
        transport,
        port,
        peer,
      })),
    ),
  };
}

function settingsOf(
  {
    servedBy,
    healthCheck: { interval, timeout, healthy, unhealthy },
    deregistrationDelay,
    preserveClientAddress,
    proxyProtocol,
  }: Follows,
  port: number,
  protocol: string,
  asksPort: boolean,
): GroupSettings {
  const asked: Record<string, string> = asksPort
    ? { HealthCheckProtocol: 'TCP', HealthCheckPort: String(port) }
    : { HealthCheckProtocol: 'HTTP', HealthCheckPort: String(HEALTH_PORT), HealthCheckPath: '/health' };
  // A leaving node fails the agent's health check first, but no check of the port itself.
  const delay = deregistrationDelay ?? DEREGISTRATION_DELAY[asksPort ? 'otherwise' : 'afterFailedCheck'];
  const attributes = {
    'deregistration_delay.timeout_seconds': delay,
    ...unhealthyDraining(protocol, asksPort ? 0 : delay),
    // AWS keeps the old value of an attribute that is left out. For UDP the client address is always preserved.
    ...(protocol === 'TCP' && { 'preserve_client_ip.enabled': preserveClientAddress ?? true }),
    'proxy_protocol_v2.enabled': proxyProtocol ?? false,
  };
  return {
    servedBy,
    healthCheck: {
      ...asked,
      HealthCheckIntervalSeconds: interval,
      HealthCheckTimeoutSeconds: timeout,
      HealthyThresholdCount: healthy,
      UnhealthyThresholdCount: unhealthy,
    },
    attributes: Object.entries(attributes).map(([Key, value]) => ({ Key, Value: String(value) })),
  };
}

function stepOf(existing: Followed, wanted: Wanted): Step {
  const group = existing.groups.find(({ name }) => name === wanted.group.name);
  const listener = existing.listeners.find(({ port }) => port === wanted.port);
  return {
    wanted,
    ...(group && { group }),
    ...(listener && { listener }),
    missingRules: wanted.rules.filter(
      ({ description }) => !existing.rules.some((rule) => rule.description === description),
    ),
  };
}

function isDone({ wanted, group, listener, missingRules }: Step): boolean {
  return (
    group?.digest === wanted.group.digest &&
    missingRules.length === 0 &&
    listener !== undefined &&
    isRight(listener, wanted, group.arn)
  );
}

export function isRight(listener: Listener, { protocol, certificate, sslPolicy }: Wanted, groupArn: string): boolean {
  return (
    listener.protocol === protocol &&
    listener.certificate === certificate &&
    listener.sslPolicy === sslPolicy &&
    listener.targetGroupArn === groupArn
  );
}

/**
 * Names of target groups are unique in a region, so each load balancer has its own prefix. With port and protocol a
 * name has at most 32 characters.
 */
export function prefixOf(loadBalancerArn: string): string {
  return `${FOLLOWED_PREFIX}${digest(loadBalancerArn, 12)}-`;
}

/**
 * Recognised by the target group's name in its ARN: the list of target groups may be older than the list of listeners.
 */
export const isFollowedListener = ({ arn }: { arn: string }, { targetGroupArn }: Listener): boolean =>
  targetGroupArn?.includes(`:targetgroup/${prefixOf(arn)}`) ?? false;

export const isFollowedRule = (description: string | undefined): description is string =>
  description?.startsWith(RULE_DESCRIPTION) ?? false;
const portOfRule = (description: string) => Number.parseInt(description.slice(RULE_DESCRIPTION.length), 10);
const digest = (value: string, length: number) => createHash('sha256').update(value).digest('hex').slice(0, length);

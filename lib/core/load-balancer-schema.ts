/**
 * Which kinds of values the options of a load balancer are, for apps that nobody checks the types of: what is of
 * another kind could not be built from, or would be taken for something else. What is wrong with values of the right
 * kind: listeners.ts.
 */
import * as v from 'valibot';

const flag = v.optional(v.boolean('Give true or false.'));
const number = v.number('Give a number.');
const word = v.optional(v.string('Give a text.'));

/** One of the framework's own objects, known by what it has. */
const having = (member: string, advice: string) =>
  v.custom<object>((value) => typeof value === 'object' && value !== null && member in value, advice);

function options(entries: v.ObjectEntries, otherwise = '') {
  const names = Object.keys(entries).join(', ');
  return v.strictObject(entries, ({ expected }) =>
    expected === UNKNOWN
      ? `There are ${names}.`
      : expected === 'Object'
        ? `Give ${otherwise}an object with ${names}.`
        : 'Give it.',
  );
}

/** What is expected at a key that is not known. */
const UNKNOWN = 'never';

const duration = having('toSeconds', 'Give a Duration, such as Duration.seconds(10).');
const nodes = v.custom<unknown>(
  (value) =>
    ['all', 'managers', 'workers'].includes(value as string) ||
    (Array.isArray(value) && value.every((group) => v.is(having('autoScalingGroup', ''), group))),
  "Give 'all', 'managers', 'workers', or a list of what `addWorkers` returned.",
);
const healthCheck = options({
  port: v.optional(number),
  path: word,
  interval: v.optional(duration),
  healthyThreshold: v.optional(number),
  unhealthyThreshold: v.optional(number),
});
const listener = options({
  port: number,
  protocol: word,
  certificates: v.optional(
    v.array(
      having(
        'certificateArn',
        "Give a `Certificate` of aws-certificatemanager, or ListenerCertificate.fromArn('arn:...').",
      ),
      'Give a list of certificates.',
    ),
  ),
  sslPolicy: word,
  targetPort: v.optional(number),
  targetProtocol: word,
  nodes: v.optional(nodes),
  healthCheck: v.optional(healthCheck),
});
const range = options({ from: v.optional(number), to: v.optional(number), sslPolicy: word }, 'true, false, or ');

/** Props of other constructs may be passed on with more in them than these. */
const schema = v.object({
  listeners: v.optional(v.array(listener, 'Give a list of listeners, such as [{ port: 80 }].')),
  followPublishedPorts: v.optional(
    v.lazy<v.GenericSchema>((value) => (typeof value === 'boolean' ? v.boolean() : range)),
  ),
  nodes: v.optional(nodes),
  internal: flag,
  clients: v.optional(
    v.array(
      having('toIngressRuleConfig', "Give a peer, such as ec2.Peer.ipv4('203.0.113.0/24')."),
      'Give a list of peers.',
    ),
  ),
  healthCheck: v.optional(healthCheck),
  deregistrationDelay: v.optional(duration),
  crossZone: flag,
  preserveClientAddress: flag,
  proxyProtocol: flag,
  accessLogs: v.optional(options({ bucket: v.any(), prefix: word })),
  alias: v.optional(options({ zone: having('hostedZoneId', 'Give a hosted zone.'), recordName: word })),
});

/** @returns sentences, none when all is well */
export function checkKinds(given: unknown): string[] {
  const { issues = [] } = v.safeParse(schema, given);
  return issues.map(
    (issue) =>
      `${v.getDotPath(issue)} is ${issue.expected === UNKNOWN ? 'no option' : issue.received}. ${issue.message}`,
  );
}

/**
 * The types of a load balancer's options, for callers that are not type-checked: a value of another type could break
 * the construct, or be taken for something else. listeners.ts checks values of the right type.
 */
import * as v from 'valibot';

/** A message that follows the name of the option. */
const must =
  (expected: string) =>
  ({ received }: { received: string }) =>
    `(${received}) must be ${expected}.`;

const flag = v.optional(v.boolean(must('true or false')));
const number = v.number(must('a number'));
const word = v.optional(v.string(must('a string')));

/** An object of the framework, recognised by one of its members. */
const having = (member: string, expected: string) =>
  v.custom<object>((value) => typeof value === 'object' && value !== null && member in value, must(expected));

/** What valibot says that it expected at a key that is not in the schema. */
const UNKNOWN_KEY = 'never';

function options(entries: v.ObjectEntries, alternatives = '') {
  const names = Object.keys(entries).join(', ');
  return v.strictObject(entries, (issue) => {
    switch (issue.expected) {
      case UNKNOWN_KEY:
        return `is not an option. The options are ${names}.`;
      case 'Object':
        return must(`${alternatives}an object with ${names}`)(issue);
      default:
        return 'is required.';
    }
  });
}

const duration = having('toSeconds', 'a Duration, such as Duration.seconds(10)');
const nodes = v.custom<unknown>(
  (value) =>
    ['all', 'managers', 'workers'].includes(value as string) ||
    (Array.isArray(value) && value.every((group) => v.is(having('autoScalingGroup', ''), group))),
  must("'all', 'managers', 'workers', or a list of worker groups, as `addWorkers` returns them"),
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
      having('certificateArn', "a `Certificate` of aws-certificatemanager, or ListenerCertificate.fromArn('arn:...')"),
      must('a list of certificates'),
    ),
  ),
  sslPolicy: word,
  targetPort: v.optional(number),
  targetProtocol: word,
  nodes: v.optional(nodes),
  healthCheck: v.optional(healthCheck),
});
const range = options({ from: v.optional(number), to: v.optional(number), sslPolicy: word }, 'true, false, or ');

/** Not strict: callers may pass on props of other constructs, with more in them. */
const schema = v.object({
  listeners: v.optional(v.array(listener, must('a list of listeners, such as [{ port: 80 }]'))),
  followPublishedPorts: v.optional(
    v.lazy<v.GenericSchema>((value) => (typeof value === 'boolean' ? v.boolean() : range)),
  ),
  nodes: v.optional(nodes),
  internal: flag,
  clients: v.optional(
    v.array(having('toIngressRuleConfig', "a peer, such as ec2.Peer.ipv4('203.0.113.0/24')"), must('a list of peers')),
  ),
  healthCheck: v.optional(healthCheck),
  deregistrationDelay: v.optional(duration),
  crossZone: flag,
  preserveClientAddress: flag,
  proxyProtocol: flag,
  accessLogs: v.optional(options({ bucket: v.any(), prefix: word })),
  alias: v.optional(options({ zone: having('hostedZoneId', 'a hosted zone'), recordName: word })),
});

/** @returns one sentence for each option of a wrong type */
export function checkTypes(input: unknown): string[] {
  const { issues = [] } = v.safeParse(schema, input);
  return issues.map((issue) => `${v.getDotPath(issue)} ${issue.message}`);
}

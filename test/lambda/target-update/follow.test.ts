/**
 * Which listeners, target groups and rules follow from what services publish, as tables: what there is and what is
 * published on the left, what is to be done on the right.
 */
import { follow, prefixOf, type Followed, type Listener } from '../../../lambda/target-update/follow';
import type { Follows } from '../../../protocol/following';
import type { PublishedPort } from '../../../protocol/swarm';

const ARN = 'arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/public/0123456789abcdef';
const CERTIFICATE = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';
const FOLLOWS: Follows = {
  from: 8000,
  to: 8999,
  declared: [80],
  served: [8080],
  vpcId: 'vpc-1',
  clients: [{ cidrIp: '0.0.0.0/0' }],
  servedBy: 'all',
  healthCheck: { interval: 5, timeout: 4, healthy: 2, unhealthy: 2 },
  sslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
};

/** `web 8081/tcp`, `web 8081/tcp host`, `web 8081/tcp CERTIFICATE`. */
function published(...rows: string[]): PublishedPort[] {
  return rows.map((row) => {
    const [service, at, ...more] = row.split(' ') as [string, string, ...string[]];
    const [port, protocol] = at.split('/') as [string, PublishedPort['protocol']];
    const certificate = more.find((word) => word !== 'host');
    return {
      service,
      port: Number(port),
      protocol,
      mode: more.includes('host') ? 'host' : 'ingress',
      ...(certificate !== undefined && { certificate: certificate.replace('CERTIFICATE', CERTIFICATE) }),
    };
  });
}

const nobodyIsFresh = () => false;
const nothing: Followed = {
  arn: ARN,
  securityGroupId: 'sg-1',
  follows: FOLLOWS,
  listeners: [],
  groups: [],
  rules: [],
  elsewhere: [],
};

/** What there is once everything was carried out. */
function made(ports: PublishedPort[], follows = FOLLOWS): Followed {
  const { steps } = follow({ ...nothing, follows }, ports, nobodyIsFresh);
  return {
    ...nothing,
    follows,
    groups: steps.map(({ wanted: { group } }) => ({
      arn: `arn:targetgroup/${group.name}/1`,
      name: group.name,
      digest: group.digest,
    })),
    listeners: steps.map(({ wanted: { port, protocol, certificate, sslPolicy, group } }) => ({
      arn: `listener-${port}`,
      port,
      protocol,
      certificate,
      sslPolicy,
      targetGroupArn: `arn:targetgroup/${group.name}/1`,
    })),
    rules: steps.flatMap(({ wanted: { rules } }) =>
      rules.map(({ description }) => ({ ruleId: `rule ${description}`, description })),
    ),
  };
}

/** In a line: what is made or changed, `now` and `later` what is removed, and what is refused. */
function line(
  there: Followed,
  ports: PublishedPort[] | undefined,
  isFresh = nobodyIsFresh as (arn: string) => boolean,
): string {
  const { steps, atOnce, later, refused } = follow(there, ports, isFresh);
  const removed = (when: string, { listeners, rules, groups }: typeof later) =>
    [...listeners, ...rules, ...groups].map((id) => `${when} ${id.replace(prefixOf(ARN), '')}`);
  return [
    ...steps.map(({ wanted: { port, protocol }, listener }) => `${listener ? 'change' : 'make'} ${port}/${protocol}`),
    ...removed('now', atOnce),
    ...removed('later', later),
    ...refused.map(({ port, reason }) => `refuse ${port}: ${reason}`),
  ].join(', ');
}

test.each<[string, string[], string]>([
  ['TCP', ['web 8081/tcp'], 'make 8081/TCP'],
  ['UDP', ['dns 8053/udp'], 'make 8053/UDP'],
  ['both, of one service or of two', ['dns 8053/udp', 'other 8053/tcp'], 'make 8053/TCP_UDP'],
  ['TCP with a certificate', ['web 8443/tcp CERTIFICATE'], 'make 8443/TLS'],
  ['UDP of a service with a certificate, which is for its TCP ports', ['dns 8053/udp CERTIFICATE'], 'make 8053/UDP'],
  [
    'a port that is declared',
    ['web 80/tcp'],
    'refuse 80: Port 80 of the service web has a listener declared in code, which sends to port 8080 ' +
      'of the nodes. Publish that port, or another one.',
  ],
  ['a port that a declared listener sends to', ['web 8080/tcp'], ''],
  [
    'a port outside of the range',
    ['web 9000/tcp'],
    'refuse 9000: Port 9000 of the service web is outside 8000 to 8999, the ports that this load ' +
      'balancer may follow.',
  ],
  [
    'a certificate that is none',
    ['web 8443/tcp my-certificate'],
    'refuse 8443: The label swarm.loadbalancer.certificate of the service web is "my-certificate", which ' +
      'is not the ARN of a certificate.',
  ],
  [
    'two certificates on one port',
    ['a 8443/tcp host CERTIFICATE', `b 8443/tcp host ${CERTIFICATE}6`],
    'refuse 8443: Port 8443 is published by the service a and b with different certificates.',
  ],
  [
    'UDP beside a certificate',
    ['web 8443/tcp CERTIFICATE', 'web 8443/udp CERTIFICATE'],
    'refuse 8443: Port 8443 of the service web is also published for UDP. A listener with a certificate ' +
      'takes TLS only.',
  ],
  [
    'SCTP',
    ['web 8081/sctp'],
    'refuse 8081: Port 8081 of the service web is published for SCTP, which a Network Load Balancer does not support.',
  ],
])('follows %s', (_, ports, expected) => {
  expect(line(nothing, published(...ports))).toBe(expected);
});

test('what another load balancer sends to or may follow is no mistake, and is followed by both where both may', () => {
  const there = {
    ...nothing,
    elsewhere: [
      { from: 80, to: 80 },
      { from: 8900, to: 9100 },
    ],
  };
  expect(line(there, published('inner 80/tcp', 'api 8950/tcp', 'api 9000/tcp'))).toBe('make 8950/TCP');
  expect(line(there, published('api 9101/tcp'))).toContain('refuse 9101: ');
  // It was followed here before its range changed.
  const ports = published('web 8081/tcp');
  expect(
    line({ ...made(ports), follows: { ...FOLLOWS, from: 8100 }, elsewhere: [{ from: 8000, to: 8099 }] }, ports),
  ).toBe('later listener-8081, later rule Followed port 8081 tcp from 0.0.0.0/0, later arn:targetgroup/8081-tcp/1');
});

test('the swarm’s own ports are never followed', () => {
  expect(line({ ...nothing, follows: { ...FOLLOWS, from: 1, to: 65_535 } }, published('web 2377/tcp'))).toBe(
    'refuse 2377: Port 2377 of the service web is used by the swarm itself. Publish another one.',
  );
});

test('nothing is done when all is there', () => {
  const ports = published('web 8081/tcp', 'dns 8053/udp', 'web 8443/tcp CERTIFICATE', 'api 8002/tcp host');
  expect(line(made(ports), ports)).toBe('');
});

test.each<[string, (there: Followed) => Followed, string]>([
  ['no target group', (there) => ({ ...there, groups: [], listeners: [] }), 'make 8081/TCP'],
  [
    'a target group that is not finished',
    (there) => ({ ...there, groups: there.groups.map((group) => ({ ...group, digest: 'made' })) }),
    'change 8081/TCP',
  ],
  ['no listener', (there) => ({ ...there, listeners: [] }), 'make 8081/TCP'],
  ['no rule', (there) => ({ ...there, rules: [] }), 'change 8081/TCP'],
  ['other settings', (there) => ({ ...there, follows: { ...FOLLOWS, deregistrationDelay: 5 } }), 'change 8081/TCP'],
  [
    'other clients',
    (there) => ({ ...there, follows: { ...FOLLOWS, clients: [{ cidrIp: '192.0.2.0/24' }] } }),
    'change 8081/TCP, later rule Followed port 8081 tcp from 0.0.0.0/0',
  ],
])('%s is mended', (_, change, expected) => {
  const ports = published('web 8081/tcp');
  expect(line(change(made(ports)), ports)).toBe(expected);
});

test('a certificate changes the listener in its place; the target group and its targets stay', () => {
  const ports = published('web 8081/tcp CERTIFICATE');
  const [step] = follow(made(published('web 8081/tcp')), ports, nobodyIsFresh).steps;
  expect(step).toMatchObject({
    listener: { port: 8081, protocol: 'TCP' },
    group: { digest: step!.wanted.group.digest },
    missingRules: [],
  });
});

test('what is published no more goes, listener first, once what is new is served', () => {
  const there = made(published('web 8081/tcp', 'web 8082/tcp'));
  const gone =
    'later listener-8081, later rule Followed port 8081 tcp from 0.0.0.0/0, later arn:targetgroup/8081-tcp/1';
  expect(line(there, published('web 8082/tcp'))).toBe(gone);
  expect(line(there, published('web 8082/tcp'), (arn) => arn.includes('8082-tcp'))).toBe('');
  expect(line(there, published('web 8082/tcp'), (arn) => arn.includes('8081-tcp'))).toBe(gone);
});

test('while nobody knows what is published nothing goes, but for what is in the way of a listener in code', () => {
  const there = made(published('web 8081/tcp', 'web 8082/tcp'));
  expect(line(there, undefined)).toBe('');
  // Nor is there anything to wait for.
  expect(follow(there, undefined, nobodyIsFresh).holds).toBe(false);
  expect(line({ ...there, follows: { ...FOLLOWS, declared: [80, 8081] } }, undefined)).toBe(
    'now listener-8081, now rule Followed port 8081 tcp from 0.0.0.0/0',
  );
});

test('one that follows no more loses all that was made, and nothing else', () => {
  const theirs: Listener = { arn: 'theirs', port: 80, protocol: 'TCP', targetGroupArn: 'their-group' };
  const { follows: _, ...there } = made(published('web 8081/tcp'));
  expect(line({ ...there, listeners: [...there.listeners, theirs] }, published('web 8081/tcp'))).toBe(
    'now listener-8081, now rule Followed port 8081 tcp from 0.0.0.0/0, now arn:targetgroup/8081-tcp/1',
  );
});

test('a label that cannot be followed takes nothing down: what there was stays', () => {
  expect(line(made(published('web 8443/tcp CERTIFICATE')), published('web 8443/tcp oops'))).toMatch(
    /^refuse 8443: The label/,
  );
});

test('fifty listeners in all: those that there are stay, and the lowest of the others come first', () => {
  const many = Array.from({ length: 49 }, (_, n) => `s${n} ${8100 + n}/tcp`);
  const there = made(published(...many));
  expect(line(there, published('new 8001/tcp', ...many))).toBe(
    'refuse 8001: Port 8001 of the service new is one too many: the load balancer already has 50 listeners.',
  );
  expect(line(there, published('new 8002/tcp', 'new 8001/tcp', ...many.slice(1)))).toMatch(
    /^make 8001\/TCP, later listener-8100, .*refuse 8002: /,
  );
});

test('a listener of somebody else is left alone', () => {
  const theirs: Listener = { arn: 'theirs', port: 8081, protocol: 'TCP', targetGroupArn: 'their-group' };
  expect(line({ ...nothing, listeners: [theirs] }, published('web 8081/tcp', 'web 8082/tcp'))).toBe(
    'make 8082/TCP, refuse 8081: Port 8081 already has a listener that was not made for a published port.',
  );
});

test('names of target groups fit, and are those of this load balancer alone', () => {
  const { name } = follow(
    { ...nothing, follows: { ...FOLLOWS, to: 65_535 } },
    published('dns 65535/tcp', 'dns 65535/udp'),
    nobodyIsFresh,
  ).steps[0]!.wanted.group;
  expect(name).toMatch(/^swarm-[0-9a-f]{12}-65535-both$/);
  expect(name.length).toBeLessThanOrEqual(32);
  expect(prefixOf(`${ARN}0`)).not.toBe(prefixOf(ARN));
});

/** Whether they are ended as soon as a target fails its health check, and how long they go on otherwise. */
const connections = (ended: string, seconds: string) => [
  { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: ended },
  { Key: 'target_health_state.unhealthy.draining_interval_seconds', Value: seconds },
];

test(
  'ports in host mode are asked themselves, with time for connections to end; the client’s address and PROXY ' +
    'protocol are as the load balancer has them',
  () => {
    const settings = (ports: string, more: Partial<Follows> = {}) =>
      follow({ ...nothing, follows: { ...FOLLOWS, ...more } }, published(ports), nobodyIsFresh).steps[0]!.wanted.group
        .settings;
    expect(settings('web 8081/tcp')).toEqual({
      servedBy: 'all',
      healthCheck: {
        HealthCheckProtocol: 'HTTP',
        HealthCheckPort: '2378',
        HealthCheckPath: '/health',
        HealthCheckIntervalSeconds: 5,
        HealthCheckTimeoutSeconds: 4,
        HealthyThresholdCount: 2,
        UnhealthyThresholdCount: 2,
      },
      // Also what is the default: it may have been another before.
      attributes: [
        { Key: 'deregistration_delay.timeout_seconds', Value: '30' },
        ...connections('false', '30'),
        { Key: 'preserve_client_ip.enabled', Value: 'true' },
        { Key: 'proxy_protocol_v2.enabled', Value: 'false' },
      ],
    });
    expect(settings('web 8081/tcp host')).toMatchObject({
      healthCheck: { HealthCheckProtocol: 'TCP', HealthCheckPort: '8081' },
      attributes: [{ Value: '120' }, ...connections('true', '0'), {}, {}],
    });
    expect(settings('dns 8053/udp host', { preserveClientAddress: false })).toMatchObject({
      healthCheck: { HealthCheckPort: '2378' },
      attributes: [{ Key: 'deregistration_delay.timeout_seconds' }, { Key: 'proxy_protocol_v2.enabled' }],
    });
    expect(
      settings('web 8081/tcp', { preserveClientAddress: false, proxyProtocol: true, deregistrationDelay: 0 })
        .attributes,
    ).toEqual([
      { Key: 'deregistration_delay.timeout_seconds', Value: '0' },
      ...connections('true', '0'),
      { Key: 'preserve_client_ip.enabled', Value: 'false' },
      { Key: 'proxy_protocol_v2.enabled', Value: 'true' },
    ]);
  },
);

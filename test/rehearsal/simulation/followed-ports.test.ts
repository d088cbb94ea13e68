/**
 * A load balancer that follows what services publish, in front of simulated clusters: listeners come, change and go
 * with the services.
 */
import type { PublishedPort } from '../../../protocol/swarm';
import { assemblies, MINUTE, Story } from './support';

jest.setTimeout(180_000);

const SETUP = { managers: 3, workers: 2, balanced: true };
const CERTIFICATE = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';

const web = (port: number, more: Partial<PublishedPort> = {}): PublishedPort => ({
  service: 'web',
  port,
  protocol: 'tcp',
  mode: 'ingress',
  ...more,
});
const publish = (story: Story, ...ports: PublishedPort[]) =>
  story.cluster.clock.finish(story.leader().daemon.publish(ports), MINUTE);
const listeners = ({ cluster: { region } }: Story) => region.loadBalancers().flatMap((one) => one.listeners);
const followed = (story: Story) => listeners(story).filter(({ port }) => port !== 80);
const ports = (story: Story) =>
  followed(story)
    .map(({ port, protocol }) => `${port} ${protocol}`)
    .sort();
const isServed = (story: Story, port: number, count = 5) =>
  listeners(story)
    .find((one) => one.port === port)
    ?.targets.filter(({ routed }) => routed).length === count;
const openTo = ({ cluster: { region } }: Story) =>
  region
    .securityGroupRules()
    .filter(({ description }) => description?.startsWith('Followed port '))
    .map(({ protocol, fromPort, peer }) => `${protocol} ${fromPort} ${peer.value}`)
    .sort();
/** Target groups of followed ports that there are. */
const groups = async ({ cluster: { region } }: Story) => {
  const { TargetGroups } = await region.call({
    service: 'elasticloadbalancing',
    action: 'DescribeTargetGroups',
    input: {},
    accessKeyId: region.operator.accessKeyId,
  });
  return (TargetGroups as { TargetGroupName: string; HealthCheckPort: string }[]).filter(({ TargetGroupName }) =>
    TargetGroupName.startsWith('swarm-'),
  );
};
const events = (story: Story) =>
  story.calls
    .filter(({ action }) => action === 'PutEvents')
    .flatMap(({ input }) => input.Entries as { DetailType: string; Detail: string }[])
    .filter(({ DetailType }) => DetailType === 'Swarm Port Not Followed')
    .map(({ Detail }) => JSON.parse(Detail) as { port: number; reason: string });

async function formed(options: Parameters<typeof Story.begin>[1] = {}): Promise<Story> {
  const story = await Story.begin(SETUP, options);
  await story.whole();
  return story;
}

test(
  'a port that a service publishes has a listener within seconds, and targets that are served; when the ' +
    'service is removed nothing is left',
  async () => {
    const story = await formed();
    await publish(story, web(8081));
    const began = story.cluster.clock.now();
    await story.until(() => ports(story).length > 0, MINUTE);
    expect(story.cluster.clock.now() - began).toBeLessThan(10_000);
    expect(openTo(story)).toEqual(['tcp 8081 0.0.0.0/0']);
    await story.until(() => isServed(story, 8081), 5 * MINUTE);
    await publish(story);
    await story.until(() => ports(story).length === 0, MINUTE);
    await story.pass(2 * MINUTE);
    expect(openTo(story)).toEqual([]);
    expect(await groups(story)).toEqual([]);
    await story.whole();
  },
);

test('when a service’s port changes, the old listener goes only when nodes are served at the new one', async () => {
  const story = await formed();
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  let gap = false;
  story.cluster.region.onEvent(({ source }) => {
    if (
      source === 'elb' &&
      ![8081, 8082].some((port) =>
        listeners(story)
          .find((one) => one.port === port)
          ?.targets.some(({ routed }) => routed),
      )
    )
      gap = true;
  });
  await publish(story, web(8082));
  await story.until(() => ports(story).join() === '8082 TCP', 5 * MINUTE);
  expect(isServed(story, 8082, 5)).toBe(true);
  expect(gap).toBe(false);
});

test(
  'TCP, UDP, both on one port, and TLS by a label; a certificate that comes later changes the listener in ' +
    'its place',
  async () => {
    const story = await formed();
    await publish(
      story,
      web(8001),
      web(8002, { protocol: 'udp' }),
      web(8003),
      web(8003, { protocol: 'udp' }),
      web(8004, { service: 'secure', certificate: CERTIFICATE }),
    );
    await story.until(() => ports(story).length === 4, MINUTE);
    expect(ports(story)).toEqual(['8001 TCP', '8002 UDP', '8003 TCP_UDP', '8004 TLS']);
    expect(openTo(story)).toEqual([
      'tcp 8001 0.0.0.0/0',
      'tcp 8003 0.0.0.0/0',
      'tcp 8004 0.0.0.0/0',
      'udp 8002 0.0.0.0/0',
      'udp 8003 0.0.0.0/0',
    ]);
    const { arn, targetGroupArn } = followed(story).find(({ port }) => port === 8001)!;
    await publish(story, web(8001, { certificate: CERTIFICATE }));
    await story.until(() => followed(story).find(({ port }) => port === 8001)!.protocol === 'TLS', MINUTE);
    expect(followed(story).find(({ port }) => port === 8001)).toMatchObject({ arn, targetGroupArn });
  },
);

test(
  'a port in host mode is asked itself whether it is healthy, one of the routing mesh by the agent; from one ' +
    'to the other the target group stays',
  async () => {
    const story = await formed();
    await publish(story, web(8001), web(8002, { mode: 'host' }));
    await story.until(() => ports(story).length === 2, MINUTE);
    expect((await groups(story)).map(({ HealthCheckPort }) => HealthCheckPort).sort()).toEqual(['2378', '8002']);
    const before = followed(story).find(({ port }) => port === 8001)!.targetGroupArn;
    await publish(story, web(8001, { mode: 'host' }), web(8002, { mode: 'host' }));
    await story.pass(MINUTE);
    expect((await groups(story)).map(({ HealthCheckPort }) => HealthCheckPort).sort()).toEqual(['8001', '8002']);
    expect(followed(story).find(({ port }) => port === 8001)!.targetGroupArn).toBe(before);
  },
);

test(
  'while nobody healthy answers at a followed port, the log says so, for an alarm; not before its nodes were ' +
    'asked, and no longer than that',
  async () => {
    const story = await formed();
    const { machines } = story.cluster;
    const answers = machines.answers.bind(machines);
    machines.answers = async (instanceId, check) => check.port !== 8002 && answers(instanceId, check);
    const lines = () => story.logs.filter((line) => line.includes('"metric":"PortsUnanswered"'));
    await publish(story, web(8001), web(8002, { mode: 'host' }));
    await story.until(() => ports(story).length === 2, MINUTE);
    expect(lines()).toEqual([]);
    await story.pass(10 * MINUTE);
    expect(lines().length).toBeGreaterThan(4);
    expect(lines().every((line) => line.includes('"ports":1,"which":"8002"'))).toBe(true);
    machines.answers = answers;
    await story.pass(2 * MINUTE);
    const before = lines().length;
    await story.pass(5 * MINUTE);
    expect(lines().length).toBe(before);
  },
);

test('what cannot be followed is told once for each reason, and the rest is followed', async () => {
  const story = await formed();
  await publish(
    story,
    web(80),
    web(7000),
    web(8001),
    web(8002, { service: 'odd', certificate: 'my-certificate' }),
    web(8003, { protocol: 'sctp' }),
    web(8004, { certificate: CERTIFICATE }),
    web(8004, { protocol: 'udp' }),
  );
  await story.until(() => ports(story).length === 1, MINUTE);
  await story.pass(5 * MINUTE);
  expect(ports(story)).toEqual(['8001 TCP']);
  expect(events(story).map(({ reason }) => reason)).toEqual([
    'Port 7000 of the service web is outside 8000 to 8999, the ports that this load balancer may follow.',
    'The label swarm.loadbalancer.certificate of the service odd is "my-certificate", which is not the ARN of a ' +
      'certificate.',
    'Port 8003 of the service web is published for SCTP, which a Network Load Balancer does not support.',
    'Port 8004 of the service web is also published for UDP. A listener with a certificate takes TLS only.',
  ]);
  expect(story.logs.some((line) => line.includes('"metric":"PortsNotFollowed","ports":4'))).toBe(true);
});

test('a load balancer that is full says so; ports that are followed already stay', async () => {
  const story = await formed();
  const many = Array.from({ length: 49 }, (_, n) => web(8100 + n, { service: `s${n}` }));
  await publish(story, ...many);
  await story.until(() => ports(story).length === 49, 10 * MINUTE);
  await publish(story, web(8001), ...many);
  await story.pass(2 * MINUTE);
  expect(ports(story)).not.toContain('8001 TCP');
  expect(events(story)).toMatchObject([
    { port: 8001, reason: 'Port 8001 of the service web is one too many: the load balancer already has 50 listeners.' },
  ]);
  await publish(story, web(8001), ...many.slice(1));
  await story.until(() => ports(story).includes('8001 TCP'), 5 * MINUTE);
});

test(
  'what AWS refuses is told with its reason, the rest is followed, and what is published no more goes all ' +
    'the same',
  async () => {
    const story = await formed();
    await publish(story, web(8001), web(8002));
    await story.until(() => isServed(story, 8001) && isServed(story, 8002), 5 * MINUTE);
    const { region } = story.cluster;
    // So many rules of their own that the security group takes no further one.
    const [group] = region.loadBalancers()[0]!.securityGroups;
    const IpPermissions = [
      {
        IpProtocol: 'tcp',
        FromPort: 22,
        ToPort: 22,
        IpRanges: Array.from({ length: 57 }, (_, n) => ({ CidrIp: `10.1.${n}.0/24` })),
      },
    ];
    await region.call({
      service: 'ec2',
      action: 'AuthorizeSecurityGroupIngress',
      input: { GroupId: group, IpPermissions },
      accessKeyId: region.operator.accessKeyId,
    });
    await publish(story, web(8002), web(8003));
    await story.pass(3 * MINUTE);
    expect(ports(story)).toEqual(['8002 TCP', '8003 TCP']);
    await publish(story, web(8002), web(8003), web(8004));
    await story.pass(3 * MINUTE);
    expect(ports(story)).toEqual(['8002 TCP', '8003 TCP']);
    expect(events(story)).toMatchObject([
      { port: 8004, reason: expect.stringContaining('RulesPerSecurityGroupLimitExceeded') },
    ]);
  },
);

test('while nobody knows what is published nothing goes', async () => {
  const story = await formed();
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  for (const seat of [0, 1]) story.seat(seat)!.hangEngine();
  await story.pass(4 * MINUTE);
  expect(ports(story)).toEqual(['8081 TCP']);
});

test('what somebody else takes away is made again, and what somebody else has made is left alone', async () => {
  const story = await formed();
  const { region } = story.cluster;
  const asked = (action: string, input: object) =>
    region.call({ service: 'elasticloadbalancing', action, input, accessKeyId: region.operator.accessKeyId });
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  await asked('DeleteListener', { ListenerArn: followed(story)[0]!.arn });
  const [loadBalancer] = region.loadBalancers();
  const { TargetGroups } = await asked('DescribeTargetGroups', {});
  const { TargetGroups: made } = await asked('CreateTargetGroup', {
    Name: 'theirs',
    Protocol: 'TCP',
    Port: 8500,
    VpcId: TargetGroups[0].VpcId,
    TargetType: 'instance',
  });
  await asked('CreateListener', {
    LoadBalancerArn: loadBalancer!.arn,
    Protocol: 'TCP',
    Port: 8500,
    DefaultActions: [{ Type: 'forward', TargetGroupArn: made[0].TargetGroupArn }],
  });
  await publish(story, web(8081), web(8500));
  await story.pass(3 * MINUTE);
  expect(ports(story)).toEqual(['8081 TCP', '8500 TCP']);
  expect(followed(story).find(({ port }) => port === 8500)!.targetGroupArn).toBe(made[0].TargetGroupArn);
  expect(events(story)).toMatchObject([
    { port: 8500, reason: 'Port 8500 already has a listener that was not made for a published port.' },
  ]);
});

test('a listener that is declared for a followed port takes its place', async () => {
  const story = await formed();
  await publish(story, web(8081), web(8082));
  await story.until(() => isServed(story, 8081) && isServed(story, 8082), 5 * MINUTE);
  story.deploy(await assemblies.of({ ...SETUP, listener: 8081 }));
  await story.until(() => story.stack !== 'creating', 30 * MINUTE);
  expect(story.stack).toBe('created');
  await story.pass(3 * MINUTE);
  expect(ports(story)).toEqual(['8081 TCP', '8082 TCP']);
  expect((await groups(story)).map(({ TargetGroupName }) => /-8082-tcp$/.test(TargetGroupName))).toEqual([true]);
  expect(openTo(story)).toEqual(['tcp 8082 0.0.0.0/0']);
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
});

test('one that follows no more loses what was made, and one that follows again makes it anew', async () => {
  const story = await formed();
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  const deploy = async (follows: boolean) => {
    story.deploy(await assemblies.of({ ...SETUP, follows }));
    await story.until(() => story.stack !== 'creating', 30 * MINUTE);
    expect(story.stack).toBe('created');
    await story.pass(3 * MINUTE);
  };
  await deploy(false);
  expect([ports(story), openTo(story), await groups(story)]).toEqual([[], [], []]);
  await deploy(true);
  expect(ports(story)).toEqual(['8081 TCP']);
});

test('one that follows no more and declares the very port in the same deployment has it free', async () => {
  const story = await formed();
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  story.deploy(await assemblies.of({ ...SETUP, listener: 8081, follows: false }));
  await story.until(() => story.stack !== 'creating', 30 * MINUTE);
  expect(story.stack).toBe('created');
  await story.pass(2 * MINUTE);
  expect([ports(story), openTo(story), await groups(story)]).toEqual([['8081 TCP'], [], []]);
});

test('many that AWS refuses keep no other waiting', async () => {
  const story = await formed();
  const elsewhere = Array.from({ length: 7 }, (_, n) =>
    web(8001 + n, { certificate: `arn:aws-cn:acm:cn-north-1:123456789012:certificate/${n}` }),
  );
  await publish(story, ...elsewhere, web(8100));
  await story.until(() => ports(story).join() === '8100 TCP', MINUTE);
  await story.pass(MINUTE);
  expect(
    events(story)
      .map(({ port }) => port)
      .sort(),
  ).toEqual(elsewhere.map(({ port }) => port));
});

test(
  'where somebody else lets clients in already nothing is asked over and over, and what is published no more ' +
    'goes all the same',
  async () => {
    const story = await formed();
    const { region } = story.cluster;
    const [group] = region.loadBalancers()[0]!.securityGroups;
    const IpPermissions = [
      { IpProtocol: 'tcp', FromPort: 8081, ToPort: 8081, IpRanges: [{ CidrIp: '0.0.0.0/0', Description: 'Mine' }] },
    ];
    await region.call({
      service: 'ec2',
      action: 'AuthorizeSecurityGroupIngress',
      input: { GroupId: group, IpPermissions },
      accessKeyId: region.operator.accessKeyId,
    });
    await publish(story, web(8081), web(8082));
    await story.until(() => isServed(story, 8081) && isServed(story, 8082), 5 * MINUTE);
    const before = story.calls.length;
    await story.pass(5 * MINUTE);
    expect(story.calls.slice(before).filter(({ action }) => action === 'DescribeListeners').length).toBeLessThan(10);
    await publish(story, web(8081));
    await story.until(() => ports(story).join() === '8081 TCP', 2 * MINUTE);
  },
);

test('a stack that is deleted leaves nothing of what was made, though services still publish', async () => {
  const story = await formed();
  await publish(story, web(8081), web(8082));
  await story.until(() => isServed(story, 8081), 5 * MINUTE);
  story.delete();
  await story.until(() => story.stack !== 'creating', 120 * MINUTE);
  expect(story.stack).toBe('created');
  expect(story.cluster.region.remains().filter((name) => name.startsWith('swarm-'))).toEqual([]);
});

const REQUESTS = [
  'CreateTargetGroup',
  'ModifyTargetGroupAttributes',
  'AddTags',
  'AuthorizeSecurityGroupIngress',
  'CreateListener',
  'DeleteListener',
  'RevokeSecurityGroupIngress',
  'DeleteTargetGroup',
];

test.each(REQUESTS)('killed right after it was let do %s, the function does the rest the next time', async (action) => {
  const story = await formed();
  let killed = 0;
  story.onCall = (call) => {
    if (call.action === action && killed++ === 0) story.cluster.functions.kill('target-update');
  };
  await publish(story, web(8081));
  await story.until(() => isServed(story, 8081), 10 * MINUTE);
  await publish(story, web(8082));
  await story.until(() => ports(story).join() === '8082 TCP' && isServed(story, 8082), 10 * MINUTE);
  await story.pass(3 * MINUTE);
  expect(killed).toBeGreaterThan(0);
  expect(await groups(story)).toHaveLength(1);
  expect(openTo(story)).toEqual(['tcp 8082 0.0.0.0/0']);
});

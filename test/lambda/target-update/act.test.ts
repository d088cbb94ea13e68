/** What becomes of requests that AWS refuses, by its own words for it. */
import type { EC2Client } from '@aws-sdk/client-ec2';
import {
  InvalidTargetException,
  TooManyTargetsException,
  type ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { carryOut, type Actor } from '../../../lambda/target-update/act';
import { follow, type Followed } from '../../../lambda/target-update/follow';
import { carryOutFollowing } from '../../../lambda/target-update/listeners';
import type { Change } from '../../../lambda/target-update/plan';

const silent = () => undefined;
const metadata = { $metadata: {}, message: 'No' };

/** A target group that has room for so many more, and never takes some. */
async function registered(count: number, room: number, ...refused: string[]) {
  const taken = new Set<string>();
  let requests = 0;
  const send = async ({ input }: { input: { Targets: { Id: string }[] } }) => {
    requests++;
    if (input.Targets.some(({ Id }) => refused.includes(Id))) throw new InvalidTargetException(metadata);
    if (taken.size + input.Targets.length > room) throw new TooManyTargetsException(metadata);
    for (const { Id } of input.Targets) taken.add(Id);
  };
  const change: Change = {
    arn: 'tg',
    register: Array.from({ length: count }, (_, n) => ({ instanceId: `i-${n}`, port: 80 })),
    deregister: [],
    kept: [],
    waiting: [],
    foreign: [],
  };
  const outcome = await carryOut({ log: silent, elasticLoadBalancing: { send } } as unknown as Actor, change);
  return { taken: taken.size, requests, ...outcome };
}

test('a target that is refused keeps no other out', async () => {
  expect(await registered(50, 100, 'i-7', 'i-33')).toMatchObject({ taken: 48, changed: true });
});

test('as many are registered as there is room for, and then no more are asked for', async () => {
  expect(await registered(48, 20)).toMatchObject({
    taken: 20,
    changed: true,
    full: expect.stringContaining('TooManyTargets'),
  });
  expect((await registered(48, 20)).requests).toBeLessThan(20);
  const none = await registered(400, 0);
  expect(none).toMatchObject({ taken: 0, changed: false, full: expect.anything() });
  expect(none.requests).toBeLessThan(12);
});

test('whoever is to go goes, though nobody more is taken', async () => {
  const gone: string[] = [];
  const send = async (command: { input: { Targets: { Id: string }[] }; constructor: { name: string } }) => {
    if (command.constructor.name === 'RegisterTargetsCommand') throw new TooManyTargetsException(metadata);
    gone.push(...command.input.Targets.map(({ Id }) => Id));
  };
  const change: Change = {
    arn: 'tg',
    register: [{ instanceId: 'i-1', port: 80 }],
    deregister: [{ instanceId: 'i-2', port: 80, reason: 'It leaves.' }],
    kept: [],
    waiting: [],
    foreign: [],
  };
  expect(
    await carryOut(
      { log: silent, elasticLoadBalancing: { send } as unknown as ElasticLoadBalancingV2Client } as unknown as Actor,
      change,
    ),
  ).toMatchObject({ changed: true, full: expect.anything() });
  expect(gone).toEqual(['i-2']);
});

describe('a client of a followed port that is a security group', () => {
  const client = { sourceSecurityGroupId: 'sg-gone', sourceSecurityGroupOwnerId: '111122223333' };
  const there: Followed = {
    arn: 'arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/a/1',
    securityGroupId: 'sg-1',
    listeners: [],
    groups: [],
    rules: [],
    elsewhere: [],
    follows: {
      from: 8000,
      to: 8100,
      declared: [],
      served: [],
      vpcId: 'vpc-1',
      clients: [client],
      servedBy: 'all',
      healthCheck: { interval: 5, timeout: 4, healthy: 2, unhealthy: 2 },
      sslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
    },
  };
  const made = async (ec2: (input: any) => void) => {
    const asked: any[] = [];
    const elb = { send: async () => ({ TargetGroups: [{ TargetGroupArn: 'tg' }] }) };
    const by = {
      log: silent,
      cluster: 'Test/Swarm',
      ec2: { send: async ({ input }: { input: any }) => (asked.push(input), ec2(input)) } as unknown as EC2Client,
      elasticLoadBalancing: elb as unknown as ElasticLoadBalancingV2Client,
    };
    const plan = follow(there, [{ service: 'web', port: 8001, protocol: 'tcp', mode: 'ingress' }], () => false);
    return { asked, ...(await carryOutFollowing(by, there, plan, async () => true)) };
  };

  test('may be of another account', async () => {
    expect((await made(silent)).asked[0].IpPermissions).toMatchObject([
      { FromPort: 8001, UserIdGroupPairs: [{ GroupId: 'sg-gone', UserId: '111122223333' }] },
    ]);
  });

  test('and that is gone is told of', async () => {
    const { refused } = await made(() => {
      throw Object.assign(new Error("The security group 'sg-gone' does not exist"), { name: 'InvalidGroup.NotFound' });
    });
    expect(refused).toMatchObject([{ port: 8001, reason: expect.stringContaining("'sg-gone' does not exist") }]);
  });
});

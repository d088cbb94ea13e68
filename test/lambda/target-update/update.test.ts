/** The function as a whole, in an emulated region: what it observes, makes, changes, takes away and tells. */
import { LEASE_MS, LeaseRow } from '../../../lambda/shared/lease';
import { LEADER_STALE_MS } from '../../../protocol/cluster';
import { FOLLOWED_TAG, followingCodec, MADE } from '../../../protocol/following';
import { TARGETS_LEASE_KEY } from '../../../protocol/keys';
import { CLUSTER_TAG } from '../../../protocol/tags';
import { SERVED_BY_TAG } from '../../../protocol/targets';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { closeWorlds } from '../../rehearsal/aws/world';
import { TOKEN_TABLE } from '../dynamodb-endpoint';
import { CLUSTER, port, start, type Started } from './region';

const CERTIFICATE = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';
const MINUTE = 60_000;

let region: Started;
let look: () => Promise<void>;

beforeEach(async () => {
  region = await start();
  const handler = region.function();
  look = () => handler({ source: 'a look' });
});
afterEach(async () => {
  await region.endpoint.close();
  await closeWorlds();
});

/** The followed ports, as their listeners, protocols and target groups have them. */
const followed = async () =>
  (await region.listeners())
    .filter(({ Port }) => Port >= 8000)
    .map(({ Port, Protocol, Certificates }) =>
      [Port, Protocol, Certificates?.[0]?.CertificateArn].filter(Boolean).join(' '),
    );
const groupOf = async (number: number) =>
  (await region.targetGroups()).find(
    ({ TargetGroupName, Port }) => TargetGroupName.startsWith('swarm-') && Port === number,
  );
const openPorts = async () =>
  (await region.rules()).map(
    ({ IpProtocol, FromPort, ToPort, CidrIpv4 }) => `${IpProtocol} ${FromPort}-${ToPort} ${CidrIpv4}`,
  );
/** Everybody is healthy. */
const settled = async (...ports: ReturnType<typeof port>[]) => {
  await region.report(ports);
  await look();
  await region.world.clock.advance(MINUTE);
  await region.report(ports);
  await look();
  region.actions();
};
const events = () =>
  region.asked
    .filter(({ action }) => action === 'PutEvents')
    .flatMap(({ input }) => input.Entries.map(({ Detail }: { Detail: string }) => JSON.parse(Detail)));

describe('nodes', () => {
  it('are registered with the target groups of their own cluster that name who serves them, and no other', async () => {
    await region.report([]);
    await look();
    expect(await region.targetsOf(region.id('Own'))).toEqual(region.instanceIds.map((id) => `${id}:80 initial`));
    expect(await region.targetsOf(region.id('AnothersCluster'))).toEqual([]);
    expect(await region.targetsOf(region.id('ServedByNobody'))).toEqual([]);
    expect(region.actions()).toEqual(['RegisterTargets']);
    await look();
    expect(region.actions()).toEqual([]);
  });

  it('are deregistered when they are drained, and others are healthy', async () => {
    await settled();
    await region.report([], (node, n) => (n === 0 ? { ...node, availability: 'drain' } : node));
    await look();
    expect(region.actions()).toEqual(['DeregisterTargets']);
    expect((await region.targetsOf(region.id('Own')))[0]).toMatch(/draining|unused/);
  });

  it('stay as they are while no quorum is visible', async () => {
    await settled();
    await region.report([], (node) => ({ ...node, availability: 'drain' }));
    await region.world.clock.advance(LEADER_STALE_MS);
    await look();
    expect(region.actions()).toEqual([]);
  });

  it('are not known from a list that cannot be read', async () => {
    await region.report([port(8081)]);
    await region.put('nodes#0', { v: 1, epoch: 2, chunks: 2, body: 'x' });
    await look();
    expect(region.actions()).toEqual([]);
  });

  it('of which strangers were registered are told apart', async () => {
    await settled();
    await region.world.call('elasticloadbalancing', 'RegisterTargets', {
      TargetGroupArn: region.id('Own'),
      Targets: [{ Id: region.instanceIds[0], Port: 9999 }],
    });
    await look();
    expect(region.actions()).toEqual(['DeregisterTargets']);
    expect(region.logged.join()).toContain('outside the cluster');
  });
});

describe('a published port', () => {
  it('gets a target group, an open port for each client, and a listener, in that order', async () => {
    await region.report([port(8081)]);
    await look();
    expect(region.actions().slice(1)).toEqual([
      'CreateTargetGroup',
      'ModifyTargetGroupAttributes',
      'AddTags',
      'AuthorizeSecurityGroupIngress',
      'CreateListener',
      'RegisterTargets',
    ]);
    expect(await followed()).toEqual(['8081 TCP']);
    expect(await openPorts()).toEqual(['tcp 8081-8081 0.0.0.0/0', 'tcp 8081-8081 10.0.0.0/8']);
    const group = (await groupOf(8081))!;
    expect(group).toMatchObject({
      Protocol: 'TCP',
      TargetType: 'instance',
      VpcId: region.id('Vpc'),
      HealthCheckIntervalSeconds: 10,
      HealthCheckTimeoutSeconds: 6,
    });
    expect(await region.tagsOf(group.TargetGroupArn)).toEqual({
      [CLUSTER_TAG]: CLUSTER,
      [SERVED_BY_TAG]: 'all',
      [FOLLOWED_TAG]: expect.not.stringMatching(MADE),
    });
    const listener = (await region.listeners()).find(({ Port }) => Port === 8081)!;
    expect(await region.tagsOf(listener.ListenerArn)).toEqual({ [CLUSTER_TAG]: CLUSTER, [FOLLOWED_TAG]: MADE });
    expect(listener.DefaultActions[0].TargetGroupArn).toBe(group.TargetGroupArn);
    expect(await region.targetsOf(group.TargetGroupArn)).toEqual(
      region.instanceIds.map((id) => expect.stringContaining(`${id}:8081`)),
    );
  });

  it('needs nothing more once it has all of it', async () => {
    await settled(port(8081), port(8082, { protocol: 'udp' }));
    await look();
    expect(region.actions()).toEqual([]);
    expect(await followed()).toEqual(['8081 TCP', '8082 UDP']);
  });

  it('is finished by a later look whatever was missing', async () => {
    for (const action of [
      'ModifyTargetGroupAttributes',
      'AddTags',
      'AuthorizeSecurityGroupIngress',
      'CreateListener',
    ]) {
      region.failures[action] = () => {
        throw new AwsError('InternalFailure', 'Not now.');
      };
      await region.report([port(8081)]);
      await look();
      expect(await followed()).toEqual([]);
      delete region.failures[action];
    }
    expect(region.logged.join()).toContain('Not now.');
    await look();
    expect(await followed()).toEqual(['8081 TCP']);
    expect(await openPorts()).toHaveLength(2);
  });

  it('is opened for the rest of its clients when one rule is there already', async () => {
    await settled(port(8081));
    const [, second] = await region.rules();
    await region.world.call('ec2', 'RevokeSecurityGroupIngress', {
      GroupId: region.id('Security'),
      SecurityGroupRuleIds: [second!.SecurityGroupRuleId],
    });
    await look();
    expect(region.actions()).toEqual(['AuthorizeSecurityGroupIngress']);
    expect(await openPorts()).toHaveLength(2);
    // Somebody else has opened it in between: EC2 then refuses the whole request.
    const rules = await region.rules();
    await region.world.call('ec2', 'RevokeSecurityGroupIngress', {
      GroupId: region.id('Security'),
      SecurityGroupRuleIds: rules.map(({ SecurityGroupRuleId }) => SecurityGroupRuleId),
    });
    region.failures.AuthorizeSecurityGroupIngress = ({ IpPermissions }) => {
      if (IpPermissions.length > 1 || IpPermissions[0].IpRanges[0].CidrIp === '0.0.0.0/0')
        throw new AwsError('InvalidPermission.Duplicate', 'the specified rule already exists');
    };
    await look();
    expect(await openPorts()).toEqual(['tcp 8081-8081 10.0.0.0/8']);
  });

  it.each([
    [{ cidrIpv6: '::/0' }, { Ipv6Ranges: [{ CidrIpv6: '::/0' }] }],
    [{ sourcePrefixListId: 'pl-1' }, { PrefixListIds: [{ PrefixListId: 'pl-1' }] }],
    [{ sourceSecurityGroupId: 'sg-1' }, { UserIdGroupPairs: [{ GroupId: 'sg-1' }] }],
    [
      { sourceSecurityGroupId: 'sg-1', sourceSecurityGroupOwnerId: '111122223333' },
      { UserIdGroupPairs: [{ GroupId: 'sg-1', UserId: '111122223333' }] },
    ],
  ])('is opened for a client %j', async (client, permission) => {
    region.instead.AuthorizeSecurityGroupIngress = () => ({ Return: true });
    await region.report([port(8081, { protocol: 'udp' })]);
    await region.function([{ ...region.settings, follows: { ...region.settings.follows!, clients: [client] } }])({});
    const [opened] = region.asked.filter(({ action }) => action === 'AuthorizeSecurityGroupIngress');
    const peers = Object.fromEntries(
      Object.entries(permission).map(([kind, [peer]]) => [
        kind,
        [{ ...peer, Description: expect.stringContaining('Followed port 8081 udp') }],
      ]),
    );
    expect(opened!.input).toEqual({
      GroupId: region.settings.securityGroupId,
      IpPermissions: [{ IpProtocol: 'udp', FromPort: 8081, ToPort: 8081, ...peers }],
    });
  });

  it('changes its listener in place for a certificate, and its target group for other settings', async () => {
    await settled(port(8081));
    const before = (await groupOf(8081))!.TargetGroupArn;
    await region.report([port(8081, { certificate: CERTIFICATE })]);
    await look();
    expect(region.actions()).toEqual(['ModifyListener']);
    expect(await followed()).toEqual([`8081 TLS ${CERTIFICATE}`]);
    const other = { ...region.settings, follows: { ...region.settings.follows!, deregistrationDelay: 7 } };
    await region.function([other])({});
    expect(region.actions()).toEqual(['ModifyTargetGroup', 'ModifyTargetGroupAttributes', 'AddTags']);
    expect((await groupOf(8081))!.TargetGroupArn).toBe(before);
  });

  it('loses its listener, then its open ports, then its target group when nothing publishes it any more', async () => {
    await settled(port(8081));
    await region.report([]);
    await look();
    expect(region.actions()).toEqual([
      'DeleteListener',
      'RevokeSecurityGroupIngress',
      'RevokeSecurityGroupIngress',
      'DeleteTargetGroup',
    ]);
    expect([await followed(), await openPorts(), await groupOf(8081)]).toEqual([[], [], undefined]);
  });

  it('keeps all it has while nobody knows what is published', async () => {
    await settled(port(8081));
    await region.report(undefined);
    await look();
    expect(region.actions()).toEqual([]);
    await region.report([]);
    await region.world.clock.advance(LEADER_STALE_MS);
    await look();
    expect(region.actions()).toEqual([]);
  });

  it('is taken away though parts of it are gone already', async () => {
    await settled(port(8081));
    for (const [action, code] of [
      ['DeleteListener', 'ListenerNotFound'],
      ['RevokeSecurityGroupIngress', 'InvalidSecurityGroupRuleId.NotFound'],
      ['DeleteTargetGroup', 'TargetGroupNotFound'],
    ] as const)
      region.failures[action] = () => {
        throw new AwsError(code, 'It is gone.');
      };
    await region.report([]);
    region.logged.length = 0;
    await look();
    expect(region.logged.join()).not.toContain('It is gone.');
  });

  it('is made for many ports five at a time, and the rest is left to others once the lease is lost', async () => {
    const many = Array.from({ length: 12 }, (_, n) => port(8010 + n));
    let made = 0;
    region.failures.CreateListener = () => {
      if (++made === 3) void region.world.clock.advance(0);
    };
    region.failures.CreateTargetGroup = ({ Port }) => {
      // Another holder has taken over meanwhile.
      if (Port === 8014) stolen = steal();
    };
    let stolen: Promise<unknown> = Promise.resolve();
    const steal = () =>
      region.put(TARGETS_LEASE_KEY, {
        owner: 'another',
        epoch: 99,
        requests: 0,
        expiresAt: region.clock.now() + LEASE_MS,
      });
    await region.report(many);
    await look();
    await stolen;
    expect((await followed()).length).toBe(5);
  });

  it('that AWS refuses is announced once, and remembered, until it is no longer so', async () => {
    region.failures.CreateListener = () => {
      throw new AwsError('CertificateNotFound', 'There is no such certificate.');
    };
    await region.report([port(8081, { certificate: CERTIFICATE })]);
    await look();
    const refused = [
      {
        loadBalancer: region.settings.arn,
        port: 8081,
        reason: expect.stringMatching(/^AWS refused port 8081: .*There is no such certificate/),
      },
    ];
    expect(await region.following()).toEqual({ refused, closed: [] });
    expect(events()).toEqual([{ cluster: CLUSTER, ...refused[0] }]);
    region.actions();
    await look();
    expect(events()).toEqual([]);
    expect(region.logged.filter((line) => line.includes('PortsNotFollowed')).length).toBeGreaterThan(1);
    delete region.failures.CreateListener;
    await look();
    expect(await region.following()).toEqual({ refused: [], closed: [] });
  });

  it('outside of the ports that may be followed is announced', async () => {
    await region.report([port(9000)]);
    await look();
    expect(events()).toEqual([expect.objectContaining({ port: 9000, loadBalancer: region.settings.arn })]);
    // While nobody knows what is published, nothing is known of that either.
    await region.report(undefined);
    await look();
    expect((await region.following())!.refused).toHaveLength(1);
  });

  it('whose target group takes no more nodes is announced', async () => {
    region.failures.RegisterTargets = ({ TargetGroupArn }) => {
      if (TargetGroupArn.includes('swarm-')) throw new AwsError('TooManyTargets', 'Too many.');
    };
    await region.report([port(8081)]);
    await look();
    expect((await region.following())!.refused).toEqual([
      {
        loadBalancer: region.settings.arn,
        port: 8081,
        reason: expect.stringContaining('Port 8081 does not reach all nodes'),
      },
    ]);
  });

  it('at which nobody is healthy is counted', async () => {
    await settled(port(8081));
    region.world.machines.onCheck = async () => false;
    await region.world.clock.advance(2 * MINUTE);
    await region.report([port(8081)]);
    region.logged.length = 0;
    await look();
    expect(region.logged.filter((line) => line.includes('metric'))).toEqual([expect.stringContaining('8081')]);
  });
});

describe('what was made for followed ports', () => {
  it('is told from what others made, and from other load balancers', async () => {
    await settled(port(8081));
    const stranger = {
      Name: 'swarm-another',
      Protocol: 'TCP',
      Port: 8050,
      VpcId: region.id('Vpc'),
      TargetType: 'instance',
    };
    await region.world.call('elasticloadbalancing', 'CreateTargetGroup', stranger);
    await region.world.call('ec2', 'AuthorizeSecurityGroupIngress', {
      GroupId: region.id('Security'),
      IpPermissions: [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '10.0.0.0/8' }] }],
    });
    await region.report([]);
    await look();
    expect(await openPorts()).toEqual(['tcp 22-22 10.0.0.0/8']);
    expect((await region.targetGroups()).map(({ TargetGroupName }) => TargetGroupName)).toContain('swarm-another');
    expect(await region.listeners()).toHaveLength(3);
  });

  it('is looked at though the load balancer is gone', async () => {
    await region.world.call('elasticloadbalancing', 'DescribeListeners', { LoadBalancerArn: region.settings.arn });
    region.failures.DescribeListeners = () => {
      throw new AwsError('LoadBalancerNotFound', 'It is gone.');
    };
    await region.report([]);
    await look();
    expect(region.logged.join()).toContain(region.settings.arn);
    region.failures.DescribeListeners = () => {
      throw new AwsError('InternalFailure', 'Not now.');
    };
    await expect(look()).rejects.toThrow('Not now.');
  });

  it.each(['DescribeTags', 'DescribeTargetHealth'])(
    'is looked at though a target group was deleted before %s',
    async (action) => {
      await settled(port(8081), port(8082));
      const gone = (await groupOf(8081))!.TargetGroupArn;
      region.failures[action] = ({ ResourceArns, TargetGroupArn }) => {
        if (TargetGroupArn === gone || ResourceArns?.includes(gone))
          throw new AwsError('TargetGroupNotFound', 'It is gone.');
      };
      await look();
      expect(region.actions()).not.toContain('DeregisterTargets');
      region.failures[action] = () => {
        throw new AwsError('InternalFailure', 'Not now.');
      };
      await expect(look()).rejects.toThrow('Not now.');
    },
  );

  it('of more than twenty ports is found, twenty tags at a time', async () => {
    const many = Array.from({ length: 25 }, (_, n) => port(8010 + n));
    await settled(...many);
    await look();
    expect(region.actions()).toEqual([]);
    expect(await followed()).toHaveLength(25);
  });
});

describe('a look', () => {
  it('is left to whoever holds the lease, who is asked to look again', async () => {
    const lease = new LeaseRow(region.endpoint.client, TOKEN_TABLE, region.clock, TARGETS_LEASE_KEY);
    const held = (await lease.acquire())!;
    await region.report([]);
    await look();
    expect(region.actions()).toEqual([]);
    expect(await lease.release(held)).toBe(false);
  });

  it('that fails releases the lease', async () => {
    region.failures.DescribeTargetGroups = () => {
      throw new AwsError('InternalFailure', 'Not now.');
    };
    await expect(look()).rejects.toThrow('Not now.');
    const lease = new LeaseRow(region.endpoint.client, TOKEN_TABLE, region.clock, TARGETS_LEASE_KEY);
    expect(await lease.acquire()).toBeDefined();
  });

  it('tells who is sent connections to those who let instances in and out, and wakes them, once', async () => {
    await settled();
    const [first] = region.instanceIds;
    region.world.machines.onCheck = async (id) => id !== first;
    const answer = await region.world.call('autoscaling', 'DescribeAutoScalingGroups');
    const groups = structuredClone(answer.AutoScalingGroups);
    groups[0].Instances.find(({ InstanceId }: any) => InstanceId === first).LifecycleState = 'Terminating:Wait';
    region.instead.DescribeAutoScalingGroups = () => ({ AutoScalingGroups: groups });
    await region.report([]);
    await look();
    await region.world.clock.advance(MINUTE);
    await region.report([]);
    await look();
    expect(await region.traffic()).toEqual({ arrived: [], left: [first] });
    expect(region.asked.filter(({ action }) => action === 'SendMessage').map(({ input }) => input.QueueUrl)).toEqual([
      'https://sqs.us-east-1.amazonaws.com/123456789012/join',
    ]);
  });

  it('looks again every five seconds, for forty, while a target has yet to leave', async () => {
    await settled();
    const before = region.clock.now();
    const answer = await region.world.call('autoscaling', 'DescribeAutoScalingGroups');
    const groups = structuredClone(answer.AutoScalingGroups);
    groups[0].Instances[0].LifecycleState = 'Terminating:Wait';
    region.instead.DescribeAutoScalingGroups = () => ({ AutoScalingGroups: groups });
    await region.report([]);
    await look();
    expect(region.clock.now() - before).toBe(40_000);
  });
});

describe('a load balancer that is a custom resource', () => {
  const request = (RequestType: string, Follows: string, more: object = {}) => ({
    RequestType,
    ResponseURL: 'https://cloudformation.example/answer',
    StackId: 'stack',
    RequestId: 'request',
    LogicalResourceId: 'Follows',
    ResourceProperties: {
      Follows,
      LoadBalancerArn: region.settings.arn,
      SecurityGroupId: region.settings.securityGroupId,
    },
    ...more,
  });
  const ask = (event: object, settings = [region.settings]) => region.function(settings)(event);
  const success = () => ({
    url: 'https://cloudformation.example/answer',
    body: {
      Status: 'SUCCESS',
      PhysicalResourceId: region.settings.arn,
      StackId: 'stack',
      RequestId: 'request',
      LogicalResourceId: 'Follows',
    },
  });

  it('has all that was made for it taken away when it is deleted, and follows no more', async () => {
    await settled(port(8081), port(8082));
    await ask(request('Delete', 'true'));
    expect(region.answered).toEqual([success()]);
    expect([await followed(), await openPorts(), await groupOf(8081)]).toEqual([[], [], undefined]);
    expect(await region.following()).toEqual({ refused: [], closed: [region.settings.arn] });
    await region.report([port(8081)]);
    await look();
    expect(await followed()).toEqual([]);
  });

  it('leaves the rules of a security group that goes as well', async () => {
    await settled(port(8081));
    region.failures.RevokeSecurityGroupIngress = () => {
      throw new AwsError('InternalFailure', 'Not now.');
    };
    await ask(request('Delete', 'true'), [{ ...region.settings, arn: `${region.settings.arn}-another` }]);
    expect(region.answered).toEqual([success()]);
  });

  it('has all of it taken away when it follows no more, and nothing when it never did', async () => {
    await settled(port(8081));
    await ask(request('Update', 'false'));
    expect(await followed()).toEqual(['8081 TCP']);
    await ask(request('Update', 'false', { OldResourceProperties: { Follows: 'false' } }));
    expect(await followed()).toEqual(['8081 TCP']);
    await ask(request('Update', 'false', { OldResourceProperties: { Follows: 'true' } }));
    expect(await followed()).toEqual([]);
    expect(region.answered).toEqual([success(), success(), success()]);
  });

  it('follows again once it is told to', async () => {
    await settled(port(8081));
    await ask(request('Delete', 'true'));
    await ask(request('Create', 'true'));
    expect(await region.following()).toEqual({ refused: [], closed: [] });
    await region.report([port(8081)]);
    await look();
    expect(await followed()).toEqual(['8081 TCP']);
  });

  it('has what is in the way of a declared listener removed before it answers', async () => {
    await settled(port(8081), port(8082));
    const follows = { ...region.settings.follows!, declared: [80, 8081] };
    await ask(request('Update', 'true'), [{ ...region.settings, follows }]);
    expect(await followed()).toEqual(['8082 TCP']);
    expect(region.answered).toEqual([success()]);
  });

  it('answers that it failed when something is left after forty seconds', async () => {
    await settled(port(8081));
    region.failures.DeleteListener = () => {
      throw new AwsError('InternalFailure', 'Not now.');
    };
    const before = region.clock.now();
    await ask(request('Delete', 'true'));
    expect(region.answered).toMatchObject([
      {
        body: {
          Status: 'FAILED',
          Reason: expect.stringContaining('Could not remove'),
          PhysicalResourceId: region.settings.arn,
        },
      },
    ]);
    expect(region.clock.now() - before).toBeGreaterThanOrEqual(40_000);
    expect(region.clock.now() - before).toBeLessThan(60_000);
  });

  it('is tried again after what passes', async () => {
    await settled(port(8081));
    let failures = 2;
    region.failures.DescribeTargetGroups = () => {
      if (failures-- > 0) throw new AwsError('AccessDenied', 'The policy is seconds old.');
    };
    await ask(request('Delete', 'true'));
    expect(region.answered).toEqual([success()]);
    expect(region.logged.join()).toContain('seconds old');
  });

  it('waits for a look that is under way, but not for ever', async () => {
    const lease = new LeaseRow(region.endpoint.client, TOKEN_TABLE, region.clock, TARGETS_LEASE_KEY);
    await lease.acquire();
    await ask(request('Delete', 'true'));
    expect(region.answered).toEqual([success()]);
    const held = (await lease.acquire())!;
    const sleep = region.clock.sleep;
    region.clock.sleep = async (ms) => {
      await sleep(ms);
      await lease.renew(held);
    };
    await ask(request('Delete', 'true'));
    expect(region.answered[1]!.body).toMatchObject({ Status: 'FAILED' });
  });

  it.each<[string, object]>([
    ['no type', { RequestType: undefined }],
    ['another type', { RequestType: 'Look' }],
    ['no address for the answer', { ResponseURL: undefined }],
    ['no load balancer', { ResourceProperties: { Follows: 'true' } }],
  ])('is not meant by an event with %s: that is a look', async (_, more) => {
    await region.report([]);
    await ask(request('Delete', 'true', more));
    expect(region.answered).toEqual([]);
    expect(region.actions()).toEqual(['RegisterTargets']);
  });
});

it('only a hundred load balancers are remembered as closed, the latest ones', async () => {
  const closed = Array.from({ length: 100 }, (_, n) => `arn:${n}`);
  await region.put('following', followingCodec.encode({ refused: [], closed }));
  await region.function()({
    RequestType: 'Delete',
    ResponseURL: 'https://a',
    StackId: 's',
    RequestId: 'r',
    LogicalResourceId: 'l',
    ResourceProperties: { LoadBalancerArn: region.settings.arn, SecurityGroupId: region.settings.securityGroupId },
  });
  expect((await region.following())!.closed).toEqual([...closed.slice(1), region.settings.arn]);
});

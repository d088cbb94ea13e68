import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { marshall } from '@aws-sdk/util-dynamodb';
import { observe, type Observer } from '../../../lambda/membership/observe';
import {
  emptyMembership,
  LEADER_STALE_MS,
  leaderCodec,
  type Membership,
  membershipCodec,
} from '../../../protocol/cluster';
import { parseTime } from '../../../protocol/clock';
import { reportCodec } from '../../../protocol/report';
import { encodeSwarmReport, type SwarmNode } from '../../../protocol/swarm';
import { CLUSTER_TAG, LOGICAL_ID_TAG, ROLE_TAG, SEAT_TAG, STACK_ID_TAG } from '../../../protocol/tags';
import { trafficCodec } from '../../../protocol/targets';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import {
  idOf,
  inNoSwarm,
  instance as instanceOf,
  leader,
  LEAVING,
  manager,
  member,
  nodeIdOf,
  observation,
  seatGroup,
  seatsOf,
  seesLeader,
  seesNoLeader,
  SWARM_ID,
  web,
  worker,
  workerNode,
} from './world';

const CLUSTER = 'Test/Swarm';
const STACK = 'arn:aws:cloudformation:eu-west-1:000000000000:stack/Test/1';
const OTHER_STACK = 'arn:aws:cloudformation:eu-west-1:000000000000:stack/Other/2';
const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };
const seats = seatsOf(3);

type Input = Record<string, any>;

let clock: VirtualClock;
let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let observer: Observer;
/** What AWS was asked, besides DynamoDB. */
let asked: string[];
let logged: string[];
/** What there is; everything else does not exist. */
let groups: Input[];
let instances: Input[];
let volumes: Input[];
let spotRequests: Input[];
let stacks: Record<string, string>;
/** Answers in place of all that, or errors. */
let instead: Record<string, (input: Input) => Input | undefined>;

/** Those that pass all filters of a request, by what each filter compares. */
const filtered = (input: Input, all: Input[], compared: (one: Input) => Record<string, string | undefined>) =>
  all.filter((one) =>
    (input.Filters ?? []).every(({ Name, Values }: Input) => Values.includes(compared(one)[Name as string])),
  );
/** One a page. */
const paged = (input: Input, all: Input[]) => {
  const at = Number(input.NextToken ?? 0);
  return { page: all.slice(at, at + 1), ...(at + 1 < all.length && { NextToken: String(at + 1) }) };
};
const clusterOf = ({ Tags }: Input) => Tags.find(({ Key }: Input) => Key === CLUSTER_TAG)?.Value;
const tagsOf = (tags: Record<string, string>) => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

function answer(action: string, input: Input): Input {
  const { [action]: other } = instead;
  const answered = other?.(input);
  if (answered) return answered;
  switch (action) {
    case 'DescribeAutoScalingGroups': {
      const found = filtered(input, groups, (one) => ({ [`tag:${CLUSTER_TAG}`]: clusterOf(one) }));
      const { page, ...next } = paged(input, found);
      return { AutoScalingGroups: page, ...next };
    }
    case 'DescribeInstances': {
      if (input.InstanceIds) {
        const known = instances.filter(({ InstanceId }) => input.InstanceIds.includes(InstanceId));
        if (known.length === 0) throw new AwsError('InvalidInstanceID.NotFound', 'The instance ID does not exist');
        return { Reservations: [{ Instances: known }] };
      }
      const found = filtered(input, instances, (one) => ({
        [`tag:${CLUSTER_TAG}`]: clusterOf(one),
        'instance-state-name': one.State.Name,
        'instance-id': one.InstanceId,
      }));
      if (input.MaxResults === undefined) return { Reservations: [{ Instances: found }] };
      const { page, ...next } = paged(input, found);
      return { Reservations: [{ Instances: page }], ...next };
    }
    case 'DescribeVolumes': {
      const found = filtered(input, volumes, (one) => ({ 'volume-id': one.VolumeId })).filter(
        ({ VolumeId }) => !input.VolumeIds || input.VolumeIds.includes(VolumeId),
      );
      if (input.VolumeIds && found.length === 0) throw new AwsError('InvalidVolume.NotFound', 'It does not exist');
      return { Volumes: found };
    }
    case 'DescribeNetworkInterfaces':
      return {
        NetworkInterfaces: filtered(
          input,
          ['eni-0', 'eni-1', 'eni-9'].map((NetworkInterfaceId) => ({ NetworkInterfaceId, Status: 'available' })),
          (one) => ({ 'network-interface-id': one.NetworkInterfaceId }),
        ),
      };
    case 'DescribeSpotInstanceRequests': {
      const { page, ...next } = paged(
        input,
        filtered(input, spotRequests, (one) => ({ 'status-code': one.Status.Code })),
      );
      return { SpotInstanceRequests: page, ...next };
    }
    case 'DescribeStacks':
      return { Stacks: [{ StackName: 'x', StackStatus: stacks[input.StackName] }] };
    default:
      throw new Error(`Nobody answers ${action}.`);
  }
}

beforeEach(async () => {
  clock = new VirtualClock();
  asked = [];
  logged = [];
  groups = [];
  instances = [];
  volumes = [];
  spotRequests = [];
  stacks = {};
  instead = {};
  endpoint = await startDynamoDb(clock, (_service, action, input) => {
    asked.push(action);
    return answer(action, input);
  });
  observer = {
    clock,
    log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    dynamodb: endpoint.client,
    ec2: new EC2Client({ ...endpoint.clientOptions, maxAttempts: 1 }),
    autoScaling: new AutoScalingClient(endpoint.clientOptions),
    cloudFormation: new CloudFormationClient(endpoint.clientOptions),
    cluster: CLUSTER,
    tokenTable: TOKEN_TABLE,
    reportTable: REPORT_TABLE,
    roleIds,
    seats,
    settings: observation().settings,
    loadBalanced: false,
  };
});
afterEach(() => endpoint.close());

const put = (table: string, pk: string, sk: string, attributes: object) =>
  endpoint.client.send(new PutItemCommand({ TableName: table, Item: marshall({ pk, sk, ...attributes }) }));

/** The record of the leader, who has just reported unless told otherwise, and its list of nodes. */
async function listed(nodes: SwarmNode[], ageMs = 0, more: { tasksPending?: number } = {}): Promise<void> {
  await put(TOKEN_TABLE, 'cluster', 'leader', {
    epoch: 1,
    ...leaderCodec.encode({ ...leader, updatedAt: clock.now() - ageMs }),
  });
  for (const [n, chunk] of encodeSwarmReport({ swarmId: SWARM_ID, epoch: 1, nodes, ...more }).entries())
    await put(TOKEN_TABLE, 'cluster', `nodes#${n}`, chunk);
}
const recorded = (membership: Partial<Membership>) =>
  put(TOKEN_TABLE, 'cluster', 'membership', membershipCodec.encode({ ...emptyMembership, ...membership }));

/** A group of Auto Scaling with instances in these states. */
function group(of: typeof web, members: Record<string, string>, more: Input = {}): void {
  const { seat } = of;
  groups.push({
    AutoScalingGroupName: of.name,
    Tags: tagsOf({
      [CLUSTER_TAG]: CLUSTER,
      [ROLE_TAG]: of.role,
      ...(seat !== undefined && { [SEAT_TAG]: String(seat) }),
      [STACK_ID_TAG]: STACK,
      [LOGICAL_ID_TAG]: 'Group',
    }),
    Instances: Object.entries(members).map(([InstanceId, LifecycleState]) => ({ InstanceId, LifecycleState })),
    MaxSize: 3,
    ...more,
  });
}
const seat = (n: number, lifecycleState = 'InService', more: Input = {}) =>
  group(seatGroup(n), { [idOf(n)]: lifecycleState }, more);
const running = (n: number, more: Input = {}) =>
  instances.push({
    InstanceId: idOf(n),
    State: { Name: 'running' },
    PrivateIpAddress: instanceOf(n, web).ec2!.address,
    LaunchTime: '2026-01-01T00:00:00.000Z',
    Tags: tagsOf({ [CLUSTER_TAG]: CLUSTER }),
    ...more,
  });
const reports = ({ instanceId, group: { role }, report }: ReturnType<typeof manager>) =>
  put(REPORT_TABLE, `${roleIds[role]}:${instanceId}`, 'report', reportCodec.encode(report!));

describe('the groups', () => {
  it('are all that carry the tag of the cluster, with their members, over all pages', async () => {
    group(web, { [idOf(10)]: 'InService', [idOf(11)]: 'Standby' });
    seat(1);
    const stranger = { ...groups[0]!, AutoScalingGroupName: 'stranger', Tags: tagsOf({ [CLUSTER_TAG]: 'Another' }) };
    groups.push(stranger);
    const observed = await observe(observer);
    const stack = { stackId: STACK, logicalId: 'Group' };
    expect(observed.groups).toStrictEqual([
      { name: 'web', role: 'worker', stack },
      { name: 'seat-1', role: 'manager', seat: 1, stack },
    ]);
    expect(observed.instances).toMatchObject([
      { instanceId: idOf(10), lifecycleState: 'InService', group: { name: 'web' } },
      { instanceId: idOf(11), lifecycleState: 'Standby', group: { name: 'web' } },
      { instanceId: idOf(1), lifecycleState: 'InService', group: { name: 'seat-1' } },
    ]);
  });

  it.each<[string, Input, object]>([
    ['all on demand', {}, {}],
    ['with an instances distribution that is all on demand', { MixedInstancesPolicy: spot(100) }, {}],
    ['with some spot instances', { MixedInstancesPolicy: spot(99) }, { spot: true }],
    ['with spot instances only', { MixedInstancesPolicy: spot(0) }, { spot: true }],
    ['being deleted', { Status: 'Delete in progress' }, { closed: true }],
    ['with another status', { Status: 'Something else' }, {}],
    ['without room for an instance', { MaxSize: 0 }, { closed: true }],
    ['with launches suspended', suspended('Terminate', 'Launch'), { launchSuspended: true }],
    ['with other processes suspended', suspended('Terminate'), {}],
    ['of no stack', { Tags: tagsOf({ [CLUSTER_TAG]: CLUSTER, [ROLE_TAG]: 'worker' }) }, { stack: undefined }],
    ['without a logical id', { Tags: tagsOf({ [CLUSTER_TAG]: CLUSTER, [STACK_ID_TAG]: STACK }) }, { stack: undefined }],
  ])('are known for what they are: %s', async (_, more, expected) => {
    group(web, {}, more);
    const { name: _name, role: _role, stack, ...rest } = (await observe(observer)).groups[0]!;
    expect({ ...rest, ...('stack' in expected && { stack }) }).toStrictEqual(expected);
  });
});
function spot(OnDemandPercentageAboveBaseCapacity: number) {
  return { InstancesDistribution: { OnDemandPercentageAboveBaseCapacity } };
}
function suspended(...names: string[]) {
  return { SuspendedProcesses: names.map((ProcessName) => ({ ProcessName })) };
}

describe('the records of the cluster', () => {
  it('are empty before anything happened, and EC2 is asked nothing', async () => {
    expect(await observe(observer)).toStrictEqual({
      now: clock.now(),
      seats,
      settings: observer.settings,
      leader: undefined,
      membership: emptyMembership,
      nodes: [],
      tasksPending: undefined,
      groups: [],
      instances: [],
      interfaces: [],
      volumes: [],
      stacksLeaving: new Set(),
      gone: new Set(),
      interrupted: new Set(),
    });
    expect(asked).toEqual(['DescribeAutoScalingGroups']);
  });

  it('are the leader, the list of nodes and the membership', async () => {
    await listed([member(0), workerNode(10)], 0, { tasksPending: 4 });
    await recorded({ abandonedVolumes: ['vol-9'] });
    expect(await observe(observer)).toMatchObject({
      leader: { instanceId: idOf(0), updatedAt: clock.now() },
      nodes: [{ id: nodeIdOf(0) }, { id: nodeIdOf(10) }],
      tasksPending: 4,
      membership: { abandonedVolumes: ['vol-9'] },
    });
  });

  it.each<[string, object[]]>([
    [
      'a chunk of another epoch',
      [
        { chunks: 2, epoch: 0 },
        { chunks: 2, epoch: 1 },
      ],
    ],
    ['a chunk missing', [{ chunks: 2, epoch: 0 }]],
  ])(
    'cannot be read with %s in the list, which fails the look: a node missing from it is not gone',
    async (_, rows) => {
      for (const [n, row] of rows.entries())
        await put(TOKEN_TABLE, 'cluster', `nodes#${n}`, { v: 1, body: 'x', ...row });
      await expect(observe(observer)).rejects.toThrow('The list of nodes');
    },
  );

  it('cannot be read with a leader and no list', async () => {
    await put(TOKEN_TABLE, 'cluster', 'leader', { epoch: 1, ...leaderCodec.encode(leader) });
    await expect(observe(observer)).rejects.toThrow('The list of nodes');
  });

  it('tell who is sent connections where there is a load balancer', async () => {
    const balanced = { ...observer, loadBalanced: true };
    expect((await observe(balanced)).traffic).toEqual({ arrived: new Set(), left: new Set() });
    await put(TOKEN_TABLE, 'cluster', 'traffic', trafficCodec.encode({ arrived: [idOf(1)], left: [idOf(2)] }));
    expect((await observe(balanced)).traffic).toEqual({ arrived: new Set([idOf(1)]), left: new Set([idOf(2)]) });
    expect(await observe(observer)).not.toHaveProperty('traffic');
  });
});

describe('an instance at its launch hook', () => {
  it('is described by EC2, with its report, over all pages; one in service is not', async () => {
    group(web, { [idOf(10)]: 'Pending:Wait', [idOf(11)]: 'Pending:Wait', [idOf(12)]: 'InService' });
    for (const n of [10, 11, 12]) running(n);
    await reports(worker(10, 'Pending:Wait', {}));
    await reports(worker(12, 'InService', {}));
    const observed = await observe(observer);
    const ec2 = (n: number) => ({
      state: 'running',
      address: `10.0.9.${n}`,
      launchedAt: parseTime('2026-01-01T00:00:00.000Z'),
    });
    expect(observed.instances.map(({ ec2: described }) => described)).toEqual([ec2(10), ec2(11), undefined]);
    expect(observed.instances.map(({ report }) => report?.swarm)).toEqual([inNoSwarm, undefined, undefined]);
  });

  it.each<[string, Input]>([
    ['of another cluster', { Tags: tagsOf({ [CLUSTER_TAG]: 'Another' }) }],
    ['that ended', { State: { Name: 'terminated' } }],
  ])('is not one %s', async (_, more) => {
    group(web, { [idOf(10)]: 'Pending:Wait' });
    running(10, more);
    expect((await observe(observer)).instances[0]!.ec2).toBeUndefined();
  });

  it('is not heard once it has a tombstone', async () => {
    group(web, { [idOf(10)]: 'Pending:Wait' });
    await put(REPORT_TABLE, `${roleIds.worker}:${idOf(10)}`, 'report', { tombstone: 1 });
    const [one] = (await observe(observer)).instances;
    expect(one).toMatchObject({ hasTombstone: true });
    expect(one).not.toHaveProperty('report');
  });

  it('is read with 150 others, a hundred at a time', async () => {
    const ids = Array.from({ length: 151 }, (_, n) => 100 + n);
    group(web, Object.fromEntries(ids.map((n) => [idOf(n), 'Pending:Wait'])));
    for (const n of [100, 249, 250]) await reports(worker(n, 'Pending:Wait', {}));
    const observed = await observe(observer);
    expect(observed.instances.flatMap(({ report }) => report?.instanceId ?? [])).toEqual([100, 249, 250].map(idOf));
    expect(endpoint.calls.filter((call) => call === 'BatchGetItem')).toHaveLength(2);
  });

  it.each<[string, object]>([
    ['a number that no program can hold', { v: { N: '1' }, body: { S: '{}' }, x: { N: '9007199254740993.5' } }],
    ['attributes of other types', { v: { BOOL: true }, body: { M: {} } }],
    ['another role', marshall(reportCodec.encode({ ...manager(1).report!, instanceId: idOf(10) }))],
    ['another instance', marshall(reportCodec.encode(worker(9, '', {}).report!))],
    ['another seat', marshall(reportCodec.encode({ ...worker(10, '', {}).report!, seat: 1 }))],
    ['another address', marshall(reportCodec.encode({ ...worker(10, '', {}).report!, address: '10.9.9.9' }))],
  ])('has its report ignored and counted when that is poisoned, and others are heard: %s', async (_, poison) => {
    group(web, { [idOf(10)]: 'Pending:Wait', [idOf(11)]: 'Pending:Wait' });
    running(10);
    await endpoint.client.send(
      new PutItemCommand({
        TableName: REPORT_TABLE,
        Item: { ...marshall({ pk: `${roleIds.worker}:${idOf(10)}`, sk: 'report' }), ...(poison as object) },
      }),
    );
    await reports(worker(11, 'Pending:Wait', {}));
    const observed = await observe(observer);
    expect(observed.instances.map(({ report }) => report?.instanceId)).toEqual([undefined, idOf(11)]);
    expect(logged.filter((line) => line.includes('ReportsIgnored'))).toHaveLength(1);
  });

  it('is believed about its address while EC2 does not know it, and nothing is logged without a report', async () => {
    group(web, { [idOf(10)]: 'Pending:Wait', [idOf(11)]: 'Pending:Wait' });
    await reports(worker(10, 'Pending:Wait', {}));
    expect((await observe(observer)).instances.map(({ report }) => report?.instanceId)).toEqual([idOf(10), undefined]);
    expect(logged).toEqual([]);
  });
});
describe('a manager', () => {
  const three = [member(0), member(1), member(2)];

  it.each<[string, boolean]>([
    ['Pending:Wait', true],
    ['Pending:Proceed', true],
    ['InService', true],
    ['Terminating:Wait', true],
    ['Terminating:Proceed', false],
    ['Pending', false],
    ['Standby', false],
  ])('in state %s is heard: %s', async (state, heard) => {
    seat(0, state);
    await reports(manager(0));
    expect((await observe(observer)).instances[0]!.report !== undefined).toBe(heard);
  });

  it('that somebody promoted by hand is heard, too, and a worker is not', async () => {
    await listed([{ ...workerNode(10), manager: member(1).manager }, workerNode(11)]);
    group(web, { [idOf(10)]: 'InService', [idOf(11)]: 'InService' });
    for (const n of [10, 11]) await reports(worker(n, 'InService', {}));
    expect((await observe(observer)).instances.map(({ report }) => report?.instanceId)).toEqual([idOf(10), undefined]);
  });

  const vol = (n: number, more: Input = {}) => volumes.push({ VolumeId: `vol-${n}`, State: 'available', ...more });
  const healthy = async (ageMs = 0) => {
    await listed(three, ageMs);
    for (const n of [0, 1, 2]) {
      seat(n);
      await reports(manager(n));
      vol(n);
    }
  };

  it('has its volume described when any of them does not work, and not otherwise', async () => {
    await healthy();
    expect((await observe(observer)).volumes).toEqual([]);
    expect(asked).toEqual(['DescribeAutoScalingGroups', 'DescribeAutoScalingGroups', 'DescribeAutoScalingGroups']);
  });

  it.each<[string, () => unknown]>([
    ['the leader is silent', () => listed(three, LEADER_STALE_MS)],
    [
      'a change of managers is in flight',
      () =>
        recorded({
          managerChange: { kind: 'join', seat: 1, instanceId: idOf(1), commandId: 'c', expiresAt: 1 },
        }),
    ],
    ['the list does not show one', () => listed(three.slice(1))],
    ['the list shows one that does not work', () => listed([member(0, { state: 'down' }), ...three.slice(1)])],
    ['one waits at its launch hook', () => (groups[0]!.Instances[0].LifecycleState = 'Pending:Wait')],
    ['one says that it sees no leader', () => reports(manager(2, undefined, { swarm: seesNoLeader(2) }))],
  ])('has its volume described when %s', async (_, change) => {
    await healthy();
    await change();
    expect((await observe(observer)).volumes).toEqual(
      [0, 1, 2].map((n) => ({ volumeId: `vol-${n}`, state: 'available' })),
    );
  });

  it('has no volume described a moment before the leader counts as silent', async () => {
    await healthy(LEADER_STALE_MS - 1);
    expect((await observe(observer)).volumes).toEqual([]);
  });

  it('has a volume that is attached, or only on the way to be', async () => {
    seat(0, 'Pending:Wait');
    const attachment = (State: string) => ({ State: 'in-use', Attachments: [{ State, InstanceId: idOf(0) }] });
    vol(0, attachment('attached'));
    vol(1, attachment('attaching'));
    vol(9);
    expect((await observe(observer)).volumes).toEqual([
      { volumeId: 'vol-0', state: 'in-use', attachedTo: idOf(0) },
      { volumeId: 'vol-1', state: 'in-use', attachedTo: undefined },
    ]);
  });

  describe('while a quorum is recovered', () => {
    const recovery = { seat: 0, volumes: ['vol-8', 'vol-1'], instances: [], dead: [] };
    beforeEach(async () => {
      await listed(three, LEADER_STALE_MS);
      await recorded({ recovery });
      vol(0);
      vol(1);
    });

    it('has given-up volumes described as well, as deleted if EC2 no longer knows them', async () => {
      expect((await observe(observer)).volumes).toEqual([
        { volumeId: 'vol-0', state: 'available', attachedTo: undefined },
        { volumeId: 'vol-1', state: 'available', attachedTo: undefined },
        { volumeId: 'vol-8', state: 'deleted' },
      ]);
    });

    it('has nothing said of a volume that EC2 does not describe, though it knows it or fails', async () => {
      instead.DescribeVolumes = ({ VolumeIds }) => {
        if (VolumeIds) throw new AwsError('InternalError', 'No');
        return undefined;
      };
      expect((await observe(observer)).volumes.map(({ volumeId }) => volumeId)).toEqual(['vol-0', 'vol-1']);
      expect(logged.join()).toContain('vol-8');
      instead.DescribeVolumes = ({ VolumeIds }) => (VolumeIds ? { Volumes: [] } : undefined);
      expect((await observe(observer)).volumes.map(({ volumeId }) => volumeId)).toEqual(['vol-0', 'vol-1']);
    });
  });

  it.each<[string, string, Input, string[]]>([
    ['is leaving', 'Terminating:Wait', {}, ['eni-0', 'eni-1']],
    ['is gone from its group, whose launches are suspended', '', suspended('Launch'), ['eni-0', 'eni-1']],
    ['is in service', 'InService', {}, []],
  ])('that %s has the interfaces of all seats described: %s', async (_, state, more, ids) => {
    group(seatGroup(0), state === '' ? {} : { [idOf(0)]: state }, more);
    stacks[STACK] = 'CREATE_COMPLETE';
    const { interfaces } = await observe({ ...observer, seats: seatsOf(2) });
    expect(interfaces).toEqual(ids.map((networkInterfaceId) => ({ networkInterfaceId, status: 'available' })));
  });

  it('has no interface described for a worker that leaves or whose launches are suspended', async () => {
    group(web, { [idOf(10)]: LEAVING }, suspended('Launch'));
    stacks[STACK] = 'CREATE_COMPLETE';
    expect((await observe(observer)).interfaces).toEqual([]);
  });
});

describe('the instance', () => {
  const ended = (n: number, Name: string) => running(n, { State: { Name } });

  it.each<[string, () => unknown, string[]]>([
    ['terminated', () => ended(10, 'terminated'), [idOf(10)]],
    ['shutting down', () => ended(10, 'shutting-down'), [idOf(10)]],
    ['running', () => running(10), []],
    ['unknown to EC2 by its id', () => undefined, [idOf(10)]],
    ['not described, but known by its id', () => (instead.DescribeInstances = () => ({ Reservations: [] })), []],
  ])('of a node that is down is gone or not: %s', async (_, change, gone) => {
    await listed([workerNode(10, { state: 'down' })]);
    change();
    expect([...(await observe(observer)).gone]).toEqual(gone);
  });

  it.each(['InvalidInstanceID.Malformed', 'InternalError'])(
    'of a node that is down is not gone after an error, which fails no look: %s',
    async (code) => {
      await listed([workerNode(10, { state: 'down' })]);
      instead.DescribeInstances = ({ InstanceIds }) => {
        if (InstanceIds) throw new AwsError(code, 'No');
        return { Reservations: [] };
      };
      expect([...(await observe(observer)).gone]).toEqual([]);
      expect(logged.join()).toContain(idOf(10));
    },
  );

  it.each<[string, () => unknown, string[]]>([
    ['of a worker that is leaving', () => group(web, { [idOf(10)]: LEAVING }), [idOf(10)]],
    ['of a worker in service', () => group(web, { [idOf(10)]: 'InService' }), []],
    ['of a worker that is up and in no group', () => listed([workerNode(10)]), []],
    [
      'of a former manager, at an address of no seat',
      () => listed([member(9, { manager: { ...member(9).manager!, address: '10.0.9.9:2377' } })]),
      [idOf(9)],
    ],
    ['of a manager at the address of a seat', () => listed([member(1)]), []],
    [
      'of the last leader, while another waits at its launch hook',
      async () => {
        await listed([]);
        group(web, { [idOf(10)]: 'Pending:Wait' });
      },
      [idOf(0)],
    ],
    ['of the last leader, while nobody waits', () => listed([]), []],
    [
      'of a node whose label is no instance id',
      () => listed([workerNode(10, { state: 'down', instanceId: 'not an id' })]),
      [],
    ],
  ])('is asked about: %s', async (_, change, gone) => {
    stacks[STACK] = 'CREATE_COMPLETE';
    await change();
    expect([...(await observe(observer)).gone]).toEqual(gone);
  });

  it('is asked about with no more than 200 others at once, and by its own id with nine others', async () => {
    await listed(Array.from({ length: 250 }, (_, n) => workerNode(1_000 + n, { state: 'down' })));
    for (let n = 0; n < 190; n++) ended(1_000 + n, 'terminated');
    let filter: string[] = [];
    instead.DescribeInstances = ({ Filters }) => {
      if (Filters) filter = Filters[0].Values;
      return undefined;
    };
    expect((await observe(observer)).gone.size).toBe(200);
    expect(filter).toHaveLength(200);
    instances = [];
    expect((await observe(observer)).gone.size).toBe(10);
  });
});

describe('spot instances', () => {
  const marked = (n: number, Code = 'marked-for-termination') => ({ InstanceId: idOf(n), Status: { Code } });

  it('that EC2 is taking back are found over all pages', async () => {
    group(web, { [idOf(10)]: 'InService' }, { MixedInstancesPolicy: spot(0) });
    spotRequests = [marked(10), marked(11, 'fulfilled'), { Status: { Code: 'marked-for-termination' } }, marked(12)];
    expect((await observe(observer)).interrupted).toEqual(new Set([idOf(10), idOf(12)]));
  });

  it.each<[string, string, number]>([
    ['no group has any', 'InService', 100],
    ['none is in service', 'Pending:Wait', 0],
  ])('are not asked for while %s', async (_, state, onDemand) => {
    group(web, { [idOf(10)]: state }, { MixedInstancesPolicy: spot(onDemand) });
    await observe(observer);
    expect(asked).not.toContain('DescribeSpotInstanceRequests');
  });
});

describe('a stack whose instances wait at their terminate hook', () => {
  it.each(['DELETE_IN_PROGRESS', 'DELETE_FAILED', 'ROLLBACK_IN_PROGRESS', 'ROLLBACK_COMPLETE'])(
    'is leaving in state %s',
    async (status) => {
      stacks[STACK] = status;
      group(web, { [idOf(10)]: LEAVING });
      expect((await observe(observer)).stacksLeaving).toEqual(new Set([STACK]));
    },
  );

  it.each(['UPDATE_IN_PROGRESS', 'UPDATE_ROLLBACK_IN_PROGRESS', 'CREATE_COMPLETE'])(
    'stays in state %s',
    async (status) => {
      stacks[STACK] = status;
      group(web, { [idOf(10)]: LEAVING });
      expect((await observe(observer)).stacksLeaving).toEqual(new Set());
    },
  );

  it('is judged by itself when there are several', async () => {
    stacks = { [STACK]: 'CREATE_COMPLETE', [OTHER_STACK]: 'DELETE_IN_PROGRESS' };
    group(web, { [idOf(10)]: LEAVING });
    group(web, { [idOf(11)]: LEAVING }, { Tags: [...groups[0]!.Tags.slice(0, 2), ...otherStack] });
    expect((await observe(observer)).stacksLeaving).toEqual(new Set([OTHER_STACK]));
    expect(asked.filter((action) => action === 'DescribeStacks')).toHaveLength(2);
  });
  const otherStack = tagsOf({ [STACK_ID_TAG]: OTHER_STACK, [LOGICAL_ID_TAG]: 'Group' });

  it.each<[string, Input[], string[]]>([
    ['all manager groups are closed', [{ MaxSize: 0 }, { Status: 'Delete in progress' }], [STACK]],
    ['one manager group is open', [{ MaxSize: 0 }, {}], []],
    ['one manager group is closed and the other gone', [{ MaxSize: 0 }], [STACK]],
  ])('is leaving or not, though it stays itself, when %s', async (_, closed, leaving) => {
    stacks[STACK] = 'UPDATE_COMPLETE_CLEANUP_IN_PROGRESS';
    closed.forEach((more, n) => seat(n, LEAVING, more));
    const { stacksLeaving } = await observe({ ...observer, seats: seatsOf(2) });
    expect([...stacksLeaving]).toEqual(leaving);
  });

  it('is not leaving because worker groups are closed, or those of seats that are no longer configured', async () => {
    stacks[STACK] = 'UPDATE_COMPLETE';
    group(web, { [idOf(10)]: LEAVING }, { MaxSize: 0 });
    seat(5, LEAVING, { MaxSize: 0 });
    expect((await observe(observer)).stacksLeaving).toEqual(new Set());
  });

  it('is not described while no instance is leaving', async () => {
    group(web, { [idOf(10)]: 'InService' });
    await observe(observer);
    expect(asked).not.toContain('DescribeStacks');
  });
});

it('a manager that sees its leader is heard as it is', async () => {
  await listed([member(0)]);
  seat(0);
  await reports(manager(0));
  expect((await observe(observer)).instances[0]!.report!.swarm).toEqual(seesLeader(0));
});

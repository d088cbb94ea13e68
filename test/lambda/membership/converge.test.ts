import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { marshall } from '@aws-sdk/util-dynamodb';
import { plan } from '../../../lambda/membership/plan';
import { converge, type Converger } from '../../../lambda/membership/converge';
import { LEASE_MS, LeaseRow } from '../../../lambda/shared/lease';
import type { Observation } from '../../../lambda/membership/observation';
import { observe, type Observer } from '../../../lambda/membership/observe';
import { emptyMembership } from '../../../protocol/cluster';
import { reportCodec } from '../../../protocol/report';
import { encodeSwarmReport } from '../../../protocol/swarm';
import { CLUSTER_TAG, LOGICAL_ID_TAG, ROLE_TAG, SEAT_TAG, STACK_ID_TAG } from '../../../protocol/tags';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';

const instanceId = 'i-00000000000000001';
const cluster = 'Test/Swarm';
const seats = [{ seat: 0, volumeId: 'vol-0', networkInterfaceId: 'eni-0', address: '10.0.0.10' }];
const settings = { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 };
const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };

let clock: VirtualClock;
let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let asked: string[];
let answers: (action: string, input: Record<string, any>) => Record<string, any>;
let logged: string[];
let by: Converger;
let observer: Observer;

beforeEach(async () => {
  clock = new VirtualClock();
  asked = [];
  logged = [];
  answers = () => ({});
  endpoint = await startDynamoDb(clock, (_service, action, input) => {
    asked.push(action);
    return answers(action, input);
  });
  const clients = {
    dynamodb: endpoint.client,
    ec2: new EC2Client(endpoint.clientOptions),
    autoScaling: new AutoScalingClient(endpoint.clientOptions),
    cloudFormation: new CloudFormationClient(endpoint.clientOptions),
    eventBridge: new EventBridgeClient(endpoint.clientOptions),
  };
  const log: Converger['log'] = (level, message, fields) =>
    void logged.push(JSON.stringify({ level, message, ...fields }));
  const { eventBridge, ...ofObserver } = clients;
  observer = {
    clock,
    log,
    ...ofObserver,
    cluster,
    tokenTable: TOKEN_TABLE,
    reportTable: REPORT_TABLE,
    roleIds,
    seats,
    settings,
    loadBalanced: false,
  };
  by = {
    eventBridge,
    ...observer,
    lease: new LeaseRow(endpoint.client, TOKEN_TABLE, clock),
    observe: () => Promise.resolve(observation),
    plan: (observed) => plan(observed, () => 'command'),
  };
});
afterEach(() => endpoint.close());

/** One worker that is past its deadline: it is to be abandoned. */
const observation: Observation = {
  now: 1_000_000,
  seats,
  settings,
  stacksLeaving: new Set(),
  gone: new Set(),
  interrupted: new Set(),
  groups: [],
  interfaces: [],
  nodes: [],
  membership: emptyMembership,
  volumes: [],
  instances: [
    {
      instanceId,
      lifecycleState: 'Pending:Wait',
      group: { name: 'workers', role: 'worker' },
      ec2: { state: 'running', launchedAt: 0 },
    },
  ],
};

describe('a look that fails', () => {
  it('leaves the lease free, so that the next event is not handed to nobody', async () => {
    by.observe = () => Promise.reject(new Error('Throttling: Rate exceeded'));
    await expect(converge(by)).rejects.toThrow('Rate exceeded');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });

  it('or never ends leaves the lease free, too', async () => {
    by.plan = () => ({
      membership: { ...emptyMembership },
      commands: [],
      orders: [],
      effects: [],
      alarms: [],
      announcements: [],
    });
    await converge(by);
    expect(logged.join()).toContain('more to do than one invocation may');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });
});

describe('a holder whose lease ran out while it looked', () => {
  it('asks nothing of AWS', async () => {
    by.observe = async () => {
      await clock.advance(LEASE_MS + 1);
      await by.lease.acquireOrAsk();
      return observation;
    };
    await converge(by);
    expect(asked).toEqual([]);
  });

  it('while one that holds it does', async () => {
    await converge(by);
    expect(asked).toContain('CompleteLifecycleAction');
  });
});

it('an instance that hangs is called unhealthy, without grace, and one that cannot be ends no look', async () => {
  const inputs: Record<string, any>[] = [];
  answers = (action, input) => {
    if (action !== 'SetInstanceHealth') return {};
    inputs.push(input);
    throw new AwsError('ValidationError', 'Instance Id not found - No managed instance found for instance ID.');
  };
  by.plan = (observed) => ({
    membership: observed.membership,
    commands: [],
    orders: [],
    effects: [{ kind: 'replace', instanceId, reason: 'It hangs.' }],
    alarms: [],
    announcements: [],
  });
  await converge(by);
  expect(inputs).toEqual([
    expect.objectContaining({ InstanceId: instanceId, HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: false }),
  ]);
  expect(logged.join()).toContain('Failed: replace.');
});

it('EventBridge is told last: an instance that is admitted is settled, whatever becomes of the event', async () => {
  let settled = 0;
  answers = (action) => {
    if (action === 'PutEvents')
      settled =
        asked.filter((one) => one === 'CompleteLifecycleAction').length +
        endpoint.calls.filter((one) => one === 'TransactWriteItems').length;
    return {};
  };
  const admissions = { [instanceId]: { group: 'workers' } };
  let looks = 0;
  by.plan = (observed) => ({
    membership: looks++ === 0 ? { ...emptyMembership, admissions } : observed.membership,
    commands: [],
    orders: [],
    effects: looks === 1 ? [{ kind: 'admit', instanceId, group: 'workers', reason: 'It is Ready.' }] : [],
    alarms: [],
    announcements: [],
  });
  await converge(by);
  // The hook, the record that it is to be done, and the record that it is.
  expect(settled).toBe(3);
});

describe('an observation', () => {
  const group = {
    AutoScalingGroupName: 'workers',
    Tags: [
      { Key: 'cdk-docker-swarm:cluster', Value: cluster },
      { Key: 'cdk-docker-swarm:role', Value: 'worker' },
    ],
    Instances: [instanceId, 'i-00000000000000002'].map((InstanceId) => ({
      InstanceId,
      LifecycleState: 'Pending:Wait',
    })),
  };
  const put = (id: string, attributes: Record<string, unknown>) =>
    endpoint.client.send(
      new PutItemCommand({
        TableName: REPORT_TABLE,
        Item: { ...marshall({ pk: `${roleIds.worker}:${id}`, sk: 'report' }), ...(attributes as object) },
      }),
    );

  beforeEach(() => {
    answers = (action) => (action === 'DescribeAutoScalingGroups' ? { AutoScalingGroups: [group] } : {});
  });

  it.each<[string, Record<string, unknown>]>([
    ['a number that no program can hold', { v: { N: '1' }, body: { S: '{}' }, x: { N: '9007199254740993.5' } }],
    ['attributes of other types', { v: { BOOL: true }, body: { M: {} } }],
    [
      'the report of another role',
      marshall(reportCodec.encode({ instanceId, role: 'manager', seat: 0, address: '10.0.0.9' })),
    ],
    [
      'the report of another instance',
      marshall(reportCodec.encode({ instanceId: 'i-00000000000000002', role: 'worker', address: '10.0.0.9' })),
    ],
  ])('survives a poisoned report, ignores and counts it, and still sees the others: %s', async (_, poison) => {
    await put(instanceId, poison);
    await put(
      'i-00000000000000002',
      marshall(reportCodec.encode({ instanceId: 'i-00000000000000002', role: 'worker', address: '10.0.0.8' })),
    );
    const { instances } = await observe(observer);
    expect(instances.map(({ report }) => report?.address)).toEqual([undefined, '10.0.0.8']);
    expect(logged.filter((line) => line.includes('ReportsIgnored'))).toHaveLength(1);
  });
});

describe('a list of nodes', () => {
  const put = (key: string, attributes: object) =>
    endpoint.client.send(
      new PutItemCommand({ TableName: TOKEN_TABLE, Item: marshall({ pk: 'cluster', sk: key, ...attributes }) }),
    );

  it.each<[string, string[]]>([
    ['of which a chunk is of another time', ['nodes#0', 'nodes#1']],
    ['of which a chunk is missing', ['nodes#0']],
  ])('%s ends the look: whoever is not in it is not therefore nobody', async (_, keys) => {
    answers = () => ({ AutoScalingGroups: [] });
    for (const [n, key] of keys.entries()) await put(key, { v: 1, chunks: 2, epoch: n, body: 'x' });
    await expect(observe(observer)).rejects.toThrow('The list of nodes');
  });
});

describe('of a node that is down', () => {
  const lost = 'i-0000000000000000a';
  const put = (key: string, attributes: object) =>
    endpoint.client.send(
      new PutItemCommand({ TableName: TOKEN_TABLE, Item: marshall({ pk: 'cluster', sk: key, ...attributes }) }),
    );
  const byId = ({ InstanceIds }: Record<string, any>) => InstanceIds !== undefined;
  let instances: (input: Record<string, any>) => Record<string, any>;

  beforeEach(async () => {
    const nodes = [
      {
        id: 'n'.repeat(25),
        hostname: 'lost',
        role: 'worker' as const,
        availability: 'active' as const,
        state: 'down' as const,
        instanceId: lost,
      },
    ];
    await put('nodes#0', encodeSwarmReport({ swarmId: 's'.repeat(25), epoch: 1, nodes })[0]!);
    answers = (action, input) =>
      action === 'DescribeInstances'
        ? instances(input)
        : action === 'DescribeAutoScalingGroups'
          ? { AutoScalingGroups: [] }
          : {};
  });

  it.each<[string, (input: Record<string, any>) => Record<string, any>, string[]]>([
    [
      'terminated',
      () => ({ Reservations: [{ Instances: [{ InstanceId: lost, State: { Name: 'terminated' } }] }] }),
      [lost],
    ],
    ['running', () => ({ Reservations: [{ Instances: [{ InstanceId: lost, State: { Name: 'running' } }] }] }), []],
    [
      'nothing, and does not know it by its id',
      (input) => {
        if (byId(input)) throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${lost}' does not exist`);
        return {};
      },
      [lost],
    ],
    ['nothing, but knows it by its id', () => ({}), []],
  ])('EC2 says: %s', async (_, says, gone) => {
    instances = says;
    expect([...(await observe(observer)).gone]).toEqual(gone);
  });

  it.each(['InvalidInstanceID.Malformed', 'InternalError'])(
    'an error says nothing, and ends no look: %s',
    async (code) => {
      instances = (input) => {
        if (byId(input)) throw new AwsError(code, 'No');
        return {};
      };
      expect([...(await observe(observer)).gone]).toEqual([]);
      expect(logged.join()).toContain(lost);
    },
  );
});

describe('of stacks whose instances wait at their terminate hook', () => {
  const stackId = 'arn:aws:cloudformation:eu-west-1:000000000000:stack/Test/1';
  const Tags = Object.entries({
    [CLUSTER_TAG]: cluster,
    [ROLE_TAG]: 'worker',
    [STACK_ID_TAG]: stackId,
    [LOGICAL_ID_TAG]: 'Web',
  }).map(([Key, Value]) => ({ Key, Value }));
  const look = async (StackStatus: string, LifecycleState = 'Terminating:Wait') => {
    const group = { AutoScalingGroupName: 'workers', Tags, Instances: [{ InstanceId: instanceId, LifecycleState }] };
    answers = (action) =>
      action === 'DescribeStacks'
        ? { Stacks: [{ StackName: 'Test', StackStatus }] }
        : action === 'DescribeAutoScalingGroups'
          ? { AutoScalingGroups: [group] }
          : {};
    return [...(await observe(observer)).stacksLeaving];
  };

  it.each(['DELETE_IN_PROGRESS', 'DELETE_FAILED', 'ROLLBACK_IN_PROGRESS'])('%s goes as a whole', async (status) => {
    expect(await look(status)).toEqual([stackId]);
  });

  it.each(['UPDATE_IN_PROGRESS', 'UPDATE_ROLLBACK_IN_PROGRESS', 'CREATE_COMPLETE'])('%s stays', async (status) => {
    expect(await look(status)).toEqual([]);
  });

  it('a cluster whose managers are all to have no instance goes as a whole, in a stack that stays', async () => {
    const seatGroup = (seat: number, more: object) => ({
      AutoScalingGroupName: `seat-${seat}`,
      Tags: [
        ...Tags.map((tag) => (tag.Key === ROLE_TAG ? { ...tag, Value: 'manager' } : tag)),
        { Key: SEAT_TAG, Value: String(seat) },
      ],
      ...more,
    });
    const closing = async (...more: object[]) => {
      const leavingManager = { Instances: [{ InstanceId: instanceId, LifecycleState: 'Terminating:Wait' }] };
      const groups = more.map((one, seat) => seatGroup(seat, { ...(seat === 0 && leavingManager), ...one }));
      answers = (action) =>
        action === 'DescribeStacks'
          ? { Stacks: [{ StackName: 'Test', StackStatus: 'UPDATE_COMPLETE_CLEANUP_IN_PROGRESS' }] }
          : action === 'DescribeAutoScalingGroups'
            ? { AutoScalingGroups: groups }
            : {};
      return [
        ...(
          await observe({
            ...observer,
            seats: [0, 1].map((seat) => ({
              seat,
              volumeId: `vol-${seat}`,
              networkInterfaceId: `eni-${seat}`,
              address: `10.0.${seat}.10`,
            })),
          })
        ).stacksLeaving,
      ];
    };
    expect(await closing({ MaxSize: 0 }, { Status: 'Delete in progress', MaxSize: 1 })).toEqual([stackId]);
    expect(await closing({ MaxSize: 0 }, { MaxSize: 1 })).toEqual([]);
    // Its group may be gone already.
    expect(await closing({ MaxSize: 0 })).toEqual([stackId]);
  });

  it('nothing is asked while no instance leaves', async () => {
    await look('DELETE_IN_PROGRESS', 'InService');
    expect(asked).not.toContain('DescribeStacks');
  });
});

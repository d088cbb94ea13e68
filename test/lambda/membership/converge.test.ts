import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { marshall } from '@aws-sdk/util-dynamodb';
import { plan } from '../../../lambda/membership/plan';
import { converge, type Converger } from '../../../lambda/membership/converge';
import { LEASE_MS, LeaseRow } from '../../../lambda/shared/lease';
import { observe, type Observer } from '../../../lambda/membership/observe';
import { emptyMembership } from '../../../protocol/cluster';
import { reportCodec } from '../../../protocol/report';
import { encodeSwarmReport } from '../../../protocol/swarm';
import { CLUSTER_TAG, LOGICAL_ID_TAG, ROLE_TAG, SEAT_TAG, STACK_ID_TAG } from '../../../protocol/tags';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import { idOf, observation, seats, seatsOf, unformed, waiting, web } from './world';

const instanceId = idOf(1);
const cluster = 'Test/Swarm';
const { settings } = observation();
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
    observe: () => Promise.resolve(observed),
    plan: (observed) => plan(observed, () => 'command'),
  };
});
afterEach(() => endpoint.close());

/** One worker that is past its deadline and is to be abandoned. */
const observed = observation({
  ...unformed,
  instances: [waiting(1, web, null, { ec2: { state: 'running', launchedAt: 0 } })],
});

describe('a look', () => {
  it('that fails releases the lease, so that the next event finds a holder', async () => {
    by.observe = () => Promise.reject(new Error('Throttling: Rate exceeded'));
    await expect(converge(by)).rejects.toThrow('Rate exceeded');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });

  it('that never ends releases the lease', async () => {
    by.plan = () => ({
      membership: { ...emptyMembership },
      commands: [],
      orders: [],
      effects: [],
      alarms: [],
      announcements: [],
    });
    await converge(by);
    expect(logged.join()).toContain('the work exceeds one invocation');
    expect(await by.lease.acquireOrAsk()).toBeDefined();
  });
});

describe('a holder whose lease ran out while it looked', () => {
  it('changes nothing in AWS', async () => {
    by.observe = async () => {
      await clock.advance(LEASE_MS + 1);
      await by.lease.acquireOrAsk();
      return observed;
    };
    await converge(by);
    expect(asked).toEqual([]);
  });

  it('is unlike one that still holds it', async () => {
    await converge(by);
    expect(asked).toContain('CompleteLifecycleAction');
  });
});

it('a hung instance is set Unhealthy without grace period, and an error from that ends no look', async () => {
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

it('events are sent last, so that an admission is complete whatever becomes of its event', async () => {
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
  ])('ignores and counts a poisoned report, and still sees the others: %s', async (_, poison) => {
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
    ['with a chunk of another epoch', ['nodes#0', 'nodes#1']],
    ['with a chunk missing', ['nodes#0']],
  ])('%s fails the look: a node missing from it is not gone', async (_, keys) => {
    answers = () => ({ AutoScalingGroups: [] });
    for (const [n, key] of keys.entries()) await put(key, { v: 1, chunks: 2, epoch: n, body: 'x' });
    await expect(observe(observer)).rejects.toThrow('The list of nodes');
  });
});

describe('the instance of a node that is down', () => {
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
  ])('is gone or not, as EC2 says: %s', async (_, says, gone) => {
    instances = says;
    expect([...(await observe(observer)).gone]).toEqual(gone);
  });

  it.each(['InvalidInstanceID.Malformed', 'InternalError'])(
    'is not gone after an error, which fails no look: %s',
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

describe('a stack whose instances wait at their terminate hook', () => {
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

  it.each(['DELETE_IN_PROGRESS', 'DELETE_FAILED', 'ROLLBACK_IN_PROGRESS'])('is leaving in state %s', async (status) => {
    expect(await look(status)).toEqual([stackId]);
  });

  it.each(['UPDATE_IN_PROGRESS', 'UPDATE_ROLLBACK_IN_PROGRESS', 'CREATE_COMPLETE'])(
    'stays in state %s',
    async (status) => {
      expect(await look(status)).toEqual([]);
    },
  );

  it('counts as leaving, though it stays itself, when all manager groups are closed', async () => {
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
            seats: seatsOf(2),
          })
        ).stacksLeaving,
      ];
    };
    expect(await closing({ MaxSize: 0 }, { Status: 'Delete in progress', MaxSize: 1 })).toEqual([stackId]);
    expect(await closing({ MaxSize: 0 }, { MaxSize: 1 })).toEqual([]);
    // Its group may be gone already.
    expect(await closing({ MaxSize: 0 })).toEqual([stackId]);
  });

  it('is not described while no instance is leaving', async () => {
    await look('DELETE_IN_PROGRESS', 'InService');
    expect(asked).not.toContain('DescribeStacks');
  });
});

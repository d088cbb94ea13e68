import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { marshall } from '@aws-sdk/util-dynamodb';
import { SILENT_MS } from '../../../lambda/membership/rules/recover-quorum';
import { nodeJoin } from '../../../lambda/node-join/handler';
import { nodeLeave } from '../../../lambda/node-leave/handler';
import { LeaseRow } from '../../../lambda/shared/lease';
import { queryPartition } from '../../../lambda/shared/tables';
import type { Clock } from '../../../protocol/clock';
import { leaderCodec, membershipCodec } from '../../../protocol/cluster';
import { TOMBSTONE_ATTRIBUTE } from '../../../protocol/commands';
import { environmentVariables as names } from '../../../protocol/environment';
import { reportCodec } from '../../../protocol/report';
import { encodeSwarmReport } from '../../../protocol/swarm';
import { CLUSTER_TAG, ROLE_TAG, SEAT_TAG } from '../../../protocol/tags';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import {
  idOf,
  leader,
  LEAVING,
  manager,
  member,
  observation,
  seatsOf,
  seesNoLeader,
  SWARM_ID,
} from '../membership/world';

const CLUSTER = 'Test/Swarm';
const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };

let clock: Clock;
let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let logged: string[];
/** Of the groups: instances and their states, by role. */
let members: { role: 'manager' | 'worker'; seat?: number; states: Record<string, string> }[];
let parts: Parameters<typeof nodeLeave>[0];
let failing: string | undefined;

beforeEach(async () => {
  const virtual = new VirtualClock();
  clock = Object.assign(Object.create(virtual) as Clock, { sleep: (ms: number) => virtual.advance(ms) });
  logged = [];
  members = [];
  failing = undefined;
  endpoint = await startDynamoDb(virtual, (_service, action) => {
    if (action === failing) throw new AwsError('InternalFailure', 'Not now.');
    if (action === 'DescribeVolumes')
      return {
        Volumes: [{ VolumeId: 'vol-0', State: 'in-use', Attachments: [{ State: 'attached', InstanceId: idOf(0) }] }],
      };
    if (action !== 'DescribeAutoScalingGroups') return {};
    return {
      AutoScalingGroups: members.map(({ role, seat, states }, n) => ({
        AutoScalingGroupName: `group-${n}`,
        MaxSize: 3,
        Tags: Object.entries({ [CLUSTER_TAG]: CLUSTER, [ROLE_TAG]: role, [SEAT_TAG]: String(seat) }).map(
          ([Key, Value]) => ({ Key, Value }),
        ),
        Instances: Object.entries(states).map(([InstanceId, LifecycleState]) => ({ InstanceId, LifecycleState })),
      })),
    };
  });
  const options = { ...endpoint.clientOptions, maxAttempts: 1 };
  parts = {
    clock,
    log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    variables: {
      [names.cluster]: CLUSTER,
      [names.tokenTable]: TOKEN_TABLE,
      [names.reportTable]: REPORT_TABLE,
      [names.managerRoleId]: roleIds.manager,
      [names.workerRoleId]: roleIds.worker,
      [names.seats]: JSON.stringify(seatsOf(1)),
      [names.swarmSettings]: JSON.stringify(observation().settings),
    },
    dynamodb: endpoint.client,
    ec2: new EC2Client(options),
    autoScaling: new AutoScalingClient(options),
    cloudFormation: new CloudFormationClient(options),
    eventBridge: new EventBridgeClient(options),
  };
});
afterEach(() => endpoint.close());

const put = (table: string, pk: string, sk: string, attributes: object) =>
  endpoint.client.send(new PutItemCommand({ TableName: table, Item: marshall({ pk, sk, ...attributes }) }));
const tombstones = async (role: 'manager' | 'worker', ...ids: string[]) =>
  Promise.all(
    ids.map(async (id) => {
      const items = await queryPartition(endpoint.client, TOKEN_TABLE, `${roleIds[role]}:${id}`);
      return items.some((item) => item[TOMBSTONE_ATTRIBUTE] !== undefined);
    }),
  );
const lease = () => new LeaseRow(endpoint.client, TOKEN_TABLE, clock);

describe('an event', () => {
  it('sets tombstones of workers that are leaving, before anything else, and of no others', async () => {
    members = [
      { role: 'worker', states: { [idOf(10)]: LEAVING, [idOf(11)]: 'InService' } },
      { role: 'manager', seat: 0, states: { [idOf(0)]: LEAVING } },
    ];
    // Somebody else decides at the moment.
    await lease().acquireOrAsk();
    expect(await nodeLeave(parts)({ source: 'a hook' })).toBeUndefined();
    expect(await tombstones('worker', idOf(10), idOf(11))).toEqual([true, false]);
    expect(await tombstones('manager', idOf(0))).toEqual([false]);
  });

  it('is looked at though a tombstone could not be set', async () => {
    members = [{ role: 'worker', states: { [idOf(10)]: LEAVING, [idOf(11)]: LEAVING } }];
    endpoint.client.middlewareStack.add(
      (next) => async (args) => {
        if (JSON.stringify(args.input).includes(`${roleIds.worker}:${idOf(10)}`)) throw new Error('Throttled.');
        return next(args);
      },
      { step: 'initialize' },
    );
    await nodeLeave(parts)({}).catch(() => undefined);
    expect(logged.join()).toContain('Throttled.');
    expect(await tombstones('worker', idOf(11))).toEqual([true]);
  });

  it.each<[string, (given: typeof parts) => (event: unknown) => Promise<unknown>]>([
    ['node-leave', nodeLeave],
    ['node-join', nodeJoin],
  ])('has %s look at the cluster and do what is to be done', async (_, made) => {
    members = [{ role: 'worker', states: { [idOf(10)]: LEAVING } }];
    await made(parts)({});
    expect(endpoint.calls).toContain('CompleteLifecycleAction');
    expect(await lease().acquire()).toBeDefined();
  });

  it('is not looked at with an environment that lacks something', () => {
    expect(() => nodeJoin({ ...parts, variables: { ...parts.variables, [names.seats]: undefined } })).toThrow('SEATS');
    expect(() => nodeLeave({ ...parts, variables: {} })).toThrow('is not set');
  });
});

describe('a person who asks to recover the quorum', () => {
  const ask = (recover: object) => nodeLeave(parts)({ recover });

  beforeEach(async () => {
    members = [{ role: 'manager', seat: 0, states: { [idOf(0)]: 'InService' } }];
    const silent = { ...leader, updatedAt: clock.now() - SILENT_MS };
    await put(TOKEN_TABLE, 'cluster', 'leader', { epoch: 1, ...leaderCodec.encode(silent) });
    const [chunk] = encodeSwarmReport({ swarmId: SWARM_ID, epoch: 1, nodes: [member(0)] });
    await put(TOKEN_TABLE, 'cluster', 'nodes#0', chunk!);
    const { report } = manager(0, undefined, { swarm: seesNoLeader(0) });
    await put(REPORT_TABLE, `${roleIds.manager}:${idOf(0)}`, 'report', reportCodec.encode(report!));
  });
  const recovery = async () => {
    const items = await queryPartition(endpoint.client, TOKEN_TABLE, 'cluster');
    const decoded = membershipCodec.decode(items.find(({ sk }) => sk === 'membership'));
    return decoded.ok ? decoded.value.recovery : undefined;
  };

  it.each([[{}], [{ seat: 'zero' }], [{ seat: 7 }], [{ seat: 0, more: true }]])(
    'is told how to ask by the answer to %j',
    async (recover) => {
      expect(await ask(recover)).toEqual({ refused: [expect.stringContaining('First send {"recover"')] });
    },
  );

  it('is told what would be done, and nothing is done', async () => {
    expect(await ask({ seat: 0 })).toMatchObject({ toConfirm: { recover: { seat: 0, swarmId: SWARM_ID } } });
    expect(await recovery()).toBeFalsy();
    expect(await lease().acquire()).toBeDefined();
  });

  it('begins it by confirming, and it is looked after at once', async () => {
    expect(await ask({ seat: 0, swarmId: SWARM_ID })).toHaveProperty('begun');
    expect(await recovery()).toMatchObject({ seat: 0, freeSince: expect.any(Number) });
  });

  it('waits half a minute for a look that is under way, then is told to try again', async () => {
    await lease().acquire();
    expect(await ask({ seat: 0 })).toHaveProperty('wouldDo');
    const held = (await lease().acquire())!;
    const { sleep } = clock;
    let slept = 0;
    clock.sleep = async (ms) => {
      slept += ms;
      await sleep(ms);
      await lease().renew(held);
    };
    expect(await ask({ seat: 0 })).toEqual({ refused: [expect.stringContaining('Another function holds the lease')] });
    expect(slept).toBe(30_000);
  });

  it('is answered though the look after it fails', async () => {
    let looks = 0;
    endpoint.client.middlewareStack.add(
      (next) => async (args) => {
        if (JSON.stringify(args.input).includes('KeyConditionExpression') && ++looks > 1) throw new Error('Throttled.');
        return next(args);
      },
      { step: 'initialize' },
    );
    expect(await ask({ seat: 0, swarmId: SWARM_ID })).toHaveProperty('begun');
    expect(logged.join()).toContain('Throttled.');
  });

  it('is told to try again when another function took the lease meanwhile', async () => {
    endpoint.client.middlewareStack.add(
      (next) => async (args) => {
        if (JSON.stringify(args.input).includes('TransactItems'))
          await put(TOKEN_TABLE, 'cluster', 'lease', { owner: 'another', epoch: 99, requests: 0, expiresAt: 0 });
        return next(args);
      },
      { step: 'initialize', name: 'thief' },
    );
    expect(await ask({ seat: 0, swarmId: SWARM_ID })).toEqual({
      refused: [expect.stringContaining('Another function took the lease')],
    });
  });
});

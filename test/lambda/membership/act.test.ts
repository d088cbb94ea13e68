import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { carryOut, completeHook, write, type Actor } from '../../../lambda/membership/act';
import type { Effect } from '../../../lambda/membership/draft';
import { LeaseRow, type Lease } from '../../../lambda/shared/lease';
import { queryPartition } from '../../../lambda/shared/tables';
import { emptyMembership, membershipCodec } from '../../../protocol/cluster';
import {
  commandsCodec,
  PUBLISHED_TOKENS_ATTRIBUTE,
  TOMBSTONE_ATTRIBUTE,
  type Command,
} from '../../../protocol/commands';
import { LAUNCH_HOOK, TERMINATE_HOOK } from '../../../protocol/hooks';
import { ordersCodec } from '../../../protocol/orders';
import { AwsError } from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import { idOf, nodeIdOf } from './world';

const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };

let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let by: Actor;
/** What AWS was asked, besides DynamoDB. */
let asked: { action: string; input: Record<string, any> }[];
let refuse: ((action: string) => AwsError | undefined) | undefined;
let logged: string[];
let clock: VirtualClock;

beforeEach(async () => {
  clock = new VirtualClock();
  asked = [];
  logged = [];
  refuse = undefined;
  endpoint = await startDynamoDb(clock, (_service, action, input) => {
    asked.push({ action, input });
    const error = refuse?.(action);
    if (error) throw error;
    return {};
  });
  const options = { ...endpoint.clientOptions, maxAttempts: 1 };
  by = {
    clock,
    log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    dynamodb: endpoint.client,
    ec2: new EC2Client(options),
    autoScaling: new AutoScalingClient(options),
    cloudFormation: new CloudFormationClient(options),
    tokenTable: TOKEN_TABLE,
    reportTable: REPORT_TABLE,
    roleIds,
  };
});
afterEach(() => endpoint.close());

const instanceId = idOf(1);
const reason = 'So it is.';
const hook = (AutoScalingGroupName: string, LifecycleHookName: string, LifecycleActionResult?: string) => ({
  AutoScalingGroupName,
  InstanceId: instanceId,
  LifecycleHookName,
  ...(LifecycleActionResult && { LifecycleActionResult }),
});

describe('an effect', () => {
  it.each<[Effect, [string, object][]]>([
    [
      { kind: 'attach-volume', instanceId, reason, volumeId: 'vol-1', device: '/dev/sdf' },
      [['AttachVolume', { InstanceId: instanceId, VolumeId: 'vol-1', Device: '/dev/sdf' }]],
    ],
    [
      { kind: 'admit', instanceId, reason, group: 'web', stackId: 'stack', logicalId: 'Web' },
      [
        ['CompleteLifecycleAction', hook('web', LAUNCH_HOOK, 'CONTINUE')],
        ['SignalResource', { StackName: 'stack', LogicalResourceId: 'Web', UniqueId: instanceId, Status: 'SUCCESS' }],
      ],
    ],
    [
      { kind: 'admit', instanceId, reason, group: 'web' },
      [['CompleteLifecycleAction', hook('web', LAUNCH_HOOK, 'CONTINUE')]],
    ],
    [
      { kind: 'admit', instanceId, reason, group: 'web', stackId: 'stack' },
      [['CompleteLifecycleAction', hook('web', LAUNCH_HOOK, 'CONTINUE')]],
    ],
    [
      { kind: 'abandon', instanceId, reason, group: 'web' },
      [['CompleteLifecycleAction', hook('web', LAUNCH_HOOK, 'ABANDON')]],
    ],
    [
      { kind: 'extend-hook', instanceId, reason, group: 'web', hook: TERMINATE_HOOK },
      [['RecordLifecycleActionHeartbeat', hook('web', TERMINATE_HOOK)]],
    ],
    [
      { kind: 'let-go', instanceId, reason, group: 'web', role: 'worker' },
      [['CompleteLifecycleAction', hook('web', TERMINATE_HOOK, 'CONTINUE')]],
    ],
    [
      { kind: 'replace', instanceId, reason },
      [['SetInstanceHealth', { InstanceId: instanceId, HealthStatus: 'Unhealthy', ShouldRespectGracePeriod: false }]],
    ],
    [
      { kind: 'terminate', instanceId, reason },
      [['TerminateInstanceInAutoScalingGroup', { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false }]],
    ],
    [
      { kind: 'suspend-launch', instanceId, reason, group: 'seat-0' },
      [['SuspendProcesses', { AutoScalingGroupName: 'seat-0', ScalingProcesses: ['Launch'] }]],
    ],
    [
      { kind: 'resume-launch', instanceId, reason, group: 'seat-0' },
      [['ResumeProcesses', { AutoScalingGroupName: 'seat-0', ScalingProcesses: ['Launch'] }]],
    ],
  ])('is asked of AWS: %j', async (effect, requests) => {
    expect(await carryOut(by, effect)).toBe(true);
    expect(asked.map(({ action, input }) => [action, input])).toEqual(requests);
  });

  it('that AWS refuses is not done, and logged with its reason', async () => {
    refuse = () => new AwsError('InternalFailure', 'Not now.');
    expect(await carryOut(by, { kind: 'terminate', instanceId, reason })).toBe(false);
    expect(logged).toEqual([expect.stringMatching(/warn.*So it is\..*Not now\./)]);
  });

  it('that lets an instance go sets its tombstone first', async () => {
    refuse = () => new AwsError('InternalFailure', 'Not now.');
    expect(await carryOut(by, { kind: 'let-go', instanceId, reason, group: 'web', role: 'worker' })).toBe(false);
    expect(await queryPartition(endpoint.client, TOKEN_TABLE, `AROAWORKER:${instanceId}`)).toMatchObject([
      { [TOMBSTONE_ATTRIBUTE]: clock.now() },
    ]);
  });
});

describe('a hook', () => {
  const complete = (code: string, message: string) => {
    refuse = () => new AwsError(code, message);
    return completeHook(by.autoScaling, instanceId, 'web', LAUNCH_HOOK, 'CONTINUE');
  };

  it('that is no longer there was completed before', async () => {
    await complete('ValidationError', 'No active Lifecycle Action found with instance ID i-1');
  });

  it.each([
    ['ValidationError', 'Another reason'],
    ['ServiceUnavailable', 'No active Lifecycle Action found'],
  ])('is not complete after %s: %s', async (code, message) => {
    await expect(complete(code, message)).rejects.toThrow(message);
  });
});

describe('a signal to a stack', () => {
  const admit = (code: string, message: string) => {
    refuse = (action) => (action === 'SignalResource' ? new AwsError(code, message) : undefined);
    return carryOut(by, { kind: 'admit', instanceId, reason, group: 'web', stackId: 's', logicalId: 'l' });
  };

  it.each([
    ['ValidationError', 'Stack is in CREATE_COMPLETE state and cannot be signaled', true],
    ['ValidationError', 'Signal with ID i-1 has already been signaled', true],
    ['ValidationError', 'Another reason', false],
    ['InternalFailure', 'cannot be signaled', false],
  ])('that fails with %s "%s" is done: %s', async (code, message, done) => {
    expect(await admit(code, message)).toBe(done);
  });
});

describe('a write', () => {
  let lease: Lease;
  beforeEach(async () => {
    lease = (await new LeaseRow(endpoint.client, TOKEN_TABLE, clock).acquireOrAsk())!;
  });
  const mailboxOf = (n: number, role: 'manager' | 'worker' = 'manager') =>
    queryPartition(endpoint.client, TOKEN_TABLE, `${roleIds[role]}:${idOf(n)}`);
  const command = (n: number): Command => ({ kind: 'leave', id: 'c', instanceId: idOf(n), expiresAt: 1, reason });
  const nothing = { membership: emptyMembership, commands: [], orders: [] };

  it('puts the membership, each command in its mailbox, and the orders in that of the leader', async () => {
    const membership = { ...emptyMembership, abandonedVolumes: ['vol-1'] };
    const order = { kind: 'release' as const, nodeId: nodeIdOf(9), instanceId: idOf(9) };
    const written = await write(by, lease, {
      membership,
      commands: [
        { instanceId: idOf(1), role: 'manager', command: command(1), reason },
        { instanceId: idOf(2), role: 'worker', command: null, reason },
      ],
      orders: [
        { instanceId: idOf(0), orders: [order] },
        { instanceId: idOf(3), orders: [], rotation: 'r' },
      ],
    });
    expect(written).toBe('written');
    const records = await queryPartition(endpoint.client, TOKEN_TABLE, 'cluster');
    expect(membershipCodec.decode(records.find(({ sk }) => sk === 'membership'))).toEqual({
      ok: true,
      value: membership,
    });
    expect(commandsCodec.decode((await mailboxOf(1))[0])).toEqual({ ok: true, value: { command: command(1) } });
    expect(commandsCodec.decode((await mailboxOf(2, 'worker'))[0])).toEqual({ ok: true, value: { command: null } });
    expect(ordersCodec.decode((await mailboxOf(0))[0])).toEqual({ ok: true, value: { orders: [order] } });
    expect(ordersCodec.decode((await mailboxOf(3))[0])).toEqual({ ok: true, value: { orders: [], rotation: 'r' } });
    await write(by, lease, { ...nothing, orders: [{ instanceId: idOf(0), orders: [] }] });
    expect(await mailboxOf(0)).toEqual([]);
  });

  it('keeps what leader-token wrote into a mailbox', async () => {
    const box = { instanceId: idOf(1), role: 'manager' as const, reason };
    await write(by, lease, { ...nothing, commands: [{ ...box, command: command(1) }] });
    await endpoint.client.send(
      new UpdateItemCommand({
        TableName: TOKEN_TABLE,
        Key: { pk: { S: `AROAMANAGER:${idOf(1)}` }, sk: { S: 'commands' } },
        UpdateExpression: 'SET #p = :p',
        ExpressionAttributeNames: { '#p': PUBLISHED_TOKENS_ATTRIBUTE },
        ExpressionAttributeValues: { ':p': { S: 'digest' } },
      }),
    );
    await write(by, lease, { ...nothing, commands: [{ ...box, command: null }] });
    expect((await mailboxOf(1))[0]).toMatchObject({ [PUBLISHED_TOKENS_ATTRIBUTE]: 'digest' });
  });

  it('names, of several commands, those to instances that are leaving, wherever orders stand beside them', async () => {
    await carryOut(by, { kind: 'let-go', instanceId: idOf(2), reason, group: 'web', role: 'manager' });
    const commands = [1, 2, 3].map((n) => ({
      instanceId: idOf(n),
      role: 'manager' as const,
      command: command(n),
      reason,
    }));
    const orders = [
      { instanceId: idOf(0), orders: [] },
      { instanceId: idOf(4), orders: [], rotation: 'r' },
    ];
    expect(await write(by, lease, { ...nothing, commands, orders })).toEqual({ leaving: [idOf(2)] });
    expect(await mailboxOf(1)).toEqual([]);
  });

  it('fails when it is cancelled for another reason than the lease or a tombstone', async () => {
    const box = { instanceId: idOf(1), role: 'manager' as const, reason };
    const twice = [1, 1].map(() => ({ ...box, command: null }));
    await expect(write(by, lease, { ...nothing, commands: twice })).rejects.toThrow();
  });
});

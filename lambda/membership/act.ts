/**
 * Carries out a plan. The table writes are one transaction under the lease. Requests to AWS are idempotent, so a later
 * round may repeat them.
 */
import {
  CompleteLifecycleActionCommand,
  RecordLifecycleActionHeartbeatCommand,
  ResumeProcessesCommand,
  SetInstanceHealthCommand,
  SuspendProcessesCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  type AutoScalingClient,
} from '@aws-sdk/client-auto-scaling';
import { SignalResourceCommand, type CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { TransactionCanceledException, TransactWriteItemsCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { AttachVolumeCommand, type EC2Client } from '@aws-sdk/client-ec2';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Clock } from '../../protocol/clock';
import { membershipCodec } from '../../protocol/cluster';
import { commandsCodec, TOMBSTONE_ATTRIBUTE } from '../../protocol/commands';
import { LAUNCH_HOOK, TERMINATE_HOOK } from '../../protocol/hooks';
import {
  CLUSTER_PARTITION,
  COMMANDS_KEY,
  mailbox,
  MEMBERSHIP_KEY,
  ORDERS_KEY,
  PARTITION_KEY,
  SORT_KEY,
} from '../../protocol/keys';
import { orderKinds, ordersCodec } from '../../protocol/orders';
import { describeError, type Log } from '../../protocol/log';
import { retryConflicts } from '../shared/retry';
import type { Effect, Plan } from './draft';
import { leaseCondition, type Lease } from '../shared/lease';
import { writeTombstone } from './tombstone';

export interface Actor {
  clock: Clock;
  log: Log;
  dynamodb: DynamoDBClient;
  ec2: EC2Client;
  autoScaling: AutoScalingClient;
  cloudFormation: CloudFormationClient;
  tokenTable: string;
  reportTable: string;
  roleIds: Record<'manager' | 'worker', string>;
}

/**
 * `lost`: nothing was written, the lease is no longer ours. `leaving`: nothing was written, because these instances are
 * leaving and must not be commanded.
 */
export type Written = 'written' | 'lost' | { leaving: string[] };

/** Writes the membership record, the mailboxes and the orders: all or nothing. */
export async function write(
  dependencies: Actor,
  lease: Lease,
  { membership, commands, orders }: Pick<Plan, 'membership' | 'commands' | 'orders'>,
): Promise<Written> {
  try {
    const transaction = () =>
      new TransactWriteItemsCommand({
        TransactItems: [
          { ConditionCheck: { TableName: dependencies.tokenTable, ...leaseCondition(lease) } },
          {
            Put: {
              TableName: dependencies.tokenTable,
              Item: marshall({
                [PARTITION_KEY]: CLUSTER_PARTITION,
                [SORT_KEY]: MEMBERSHIP_KEY,
                ...membershipCodec.encode(membership),
              }),
            },
          },
          ...orders.map(({ instanceId, ...list }) => {
            const key = { [PARTITION_KEY]: mailbox(dependencies.roleIds.manager, instanceId), [SORT_KEY]: ORDERS_KEY };
            return list.orders.length > 0 || list.rotation !== undefined
              ? { Put: { TableName: dependencies.tokenTable, Item: marshall({ ...key, ...ordersCodec.encode(list) }) } }
              : { Delete: { TableName: dependencies.tokenTable, Key: marshall(key) } };
          }),
          ...commands.map(({ instanceId, role, command }) => {
            const { v, body } = commandsCodec.encode({ command });
            return {
              // An update, because the item also holds what leader-token tells this node.
              Update: {
                TableName: dependencies.tokenTable,
                Key: marshall({
                  [PARTITION_KEY]: mailbox(dependencies.roleIds[role], instanceId),
                  [SORT_KEY]: COMMANDS_KEY,
                }),
                UpdateExpression: 'SET #v = :v, #body = :body',
                // A command may be erased from a leaving instance too.
                ConditionExpression: command ? 'attribute_not_exists(#tombstone)' : undefined,
                ExpressionAttributeNames: {
                  '#v': 'v',
                  '#body': 'body',
                  ...(command && { '#tombstone': TOMBSTONE_ATTRIBUTE }),
                },
                ExpressionAttributeValues: marshall({ ':v': v, ':body': body }),
              },
            };
          }),
        ],
      });
    await retryConflicts(dependencies.clock, () => dependencies.dynamodb.send(transaction()));
    for (const { instanceId, orders: list, rotation } of orders) {
      if (rotation !== undefined)
        dependencies.log('info', 'Ordered to rotate the join tokens.', { instanceId, rotation });
      for (const kind of orderKinds) {
        const nodes = list
          .filter((order) => order.kind === kind)
          .map(({ nodeId, instanceId: of }) => `${nodeId} (${of})`);
        if (nodes.length > 0)
          dependencies.log('info', `Ordered to ${kind}.`, { instanceId, nodes: nodes.join(', ').slice(0, 1_000) });
      }
      if (list.length === 0 && rotation === undefined) dependencies.log('info', 'Erased its orders.', { instanceId });
    }
    for (const { instanceId, command, reason } of commands)
      dependencies.log('info', command ? `Told to ${command.kind}.` : 'Its command was erased.', {
        instanceId,
        commandId: command?.id,
        reason,
      });
    return 'written';
  } catch (error) {
    if (!(error instanceof TransactionCanceledException)) throw error;
    const failed = (error.CancellationReasons ?? []).map(({ Code }) => Code === 'ConditionalCheckFailed');
    const ofLease = failed[0];
    const ofCommands = failed.slice(2 + orders.length);
    if (ofLease) return 'lost';
    const leaving = commands.filter((_, n) => ofCommands[n]).map(({ instanceId }) => instanceId);
    if (leaving.length === 0) throw error;
    dependencies.log('info', 'Wrote no commands: some of their instances are leaving.', {
      instances: leaving.join(', ').slice(0, 500),
    });
    return { leaving };
  }
}

/** True when it is done; false when a later round must try again. */
export async function carryOut(dependencies: Actor, effect: Effect): Promise<boolean> {
  const { instanceId, reason } = effect;
  try {
    switch (effect.kind) {
      case 'attach-volume':
        await dependencies.ec2.send(
          new AttachVolumeCommand({ InstanceId: instanceId, VolumeId: effect.volumeId, Device: effect.device }),
        );
        break;
      case 'admit':
        await completeHook(dependencies.autoScaling, instanceId, effect.group, LAUNCH_HOOK, 'CONTINUE');
        if (effect.stackId && effect.logicalId)
          await signal(dependencies.cloudFormation, effect.stackId, effect.logicalId, instanceId);
        break;
      case 'abandon':
        await completeHook(dependencies.autoScaling, instanceId, effect.group, LAUNCH_HOOK, 'ABANDON');
        break;
      case 'extend-hook':
        await dependencies.autoScaling.send(
          new RecordLifecycleActionHeartbeatCommand({
            AutoScalingGroupName: effect.group,
            InstanceId: instanceId,
            LifecycleHookName: effect.hook,
          }),
        );
        break;
      case 'let-go':
        await writeTombstone(dependencies, effect.role, instanceId);
        await completeHook(dependencies.autoScaling, instanceId, effect.group, TERMINATE_HOOK, 'CONTINUE');
        break;
      case 'replace':
        // The grace period is for instances that are not Ready yet; this one was.
        await dependencies.autoScaling.send(
          new SetInstanceHealthCommand({
            InstanceId: instanceId,
            HealthStatus: 'Unhealthy',
            ShouldRespectGracePeriod: false,
          }),
        );
        break;
      case 'terminate':
        await dependencies.autoScaling.send(
          new TerminateInstanceInAutoScalingGroupCommand({
            InstanceId: instanceId,
            ShouldDecrementDesiredCapacity: false,
          }),
        );
        break;
      case 'suspend-launch':
        await dependencies.autoScaling.send(
          new SuspendProcessesCommand({ AutoScalingGroupName: effect.group, ScalingProcesses: ['Launch'] }),
        );
        break;
      case 'resume-launch':
        await dependencies.autoScaling.send(
          new ResumeProcessesCommand({ AutoScalingGroupName: effect.group, ScalingProcesses: ['Launch'] }),
        );
        break;
    }
    dependencies.log('info', `Done: ${effect.kind}.`, { instanceId, reason });
    return true;
  } catch (error) {
    dependencies.log('warn', `Failed: ${effect.kind}. The next round tries again.`, {
      instanceId,
      reason,
      error: describeError(error),
    });
    return false;
  }
}

/** Completes a hook. If the action no longer exists, it was completed before. */
export async function completeHook(
  client: AutoScalingClient,
  instanceId: string,
  group: string,
  hook: string,
  result: 'CONTINUE' | 'ABANDON',
): Promise<void> {
  try {
    await client.send(
      new CompleteLifecycleActionCommand({
        AutoScalingGroupName: group,
        InstanceId: instanceId,
        LifecycleHookName: hook,
        LifecycleActionResult: result,
      }),
    );
  } catch (error) {
    if (!isValidationError(error, /No active Lifecycle Action/i)) throw error;
  }
}

/**
 * Signals CloudFormation that this instance is up. Tolerates a stack or resource that has all its signals, or never
 * waited for any.
 */
async function signal(
  client: CloudFormationClient,
  stackId: string,
  logicalId: string,
  instanceId: string,
): Promise<void> {
  try {
    await client.send(
      new SignalResourceCommand({
        StackName: stackId,
        LogicalResourceId: logicalId,
        UniqueId: instanceId,
        Status: 'SUCCESS',
      }),
    );
  } catch (error) {
    if (!isValidationError(error, /cannot be signaled|already been signaled/i)) throw error;
  }
}

function isValidationError(error: unknown, message: RegExp): boolean {
  return error instanceof Error && error.name === 'ValidationError' && message.test(error.message);
}

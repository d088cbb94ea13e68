/**
 * Registers and deregisters targets, and publishes which instances receive connections. Every request may be repeated:
 * AWS accepts a target that is already registered, or already gone.
 */
import { UpdateItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DeregisterTargetsCommand,
  InvalidTargetException,
  RegisterTargetsCommand,
  TooManyTargetsException,
  type ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Clock } from '../../protocol/clock';
import { followingCodec, type Following } from '../../protocol/following';
import { CLUSTER_PARTITION, FOLLOWING_KEY, PARTITION_KEY, SORT_KEY, TRAFFIC_KEY } from '../../protocol/keys';
import { trafficCodec, type Traffic } from '../../protocol/targets';
import { describeError, type Log } from '../../protocol/log';
import { retryConflicts } from '../shared/retry';
import type { Change } from './plan';

/** Targets in one request. Elastic Load Balancing documents no limit. */
const MAX_TARGETS = 200;
const MAX_LIST_CHARACTERS = 1_000;

export interface Actor {
  log: Log;
  clock: Clock;
  dynamodb: DynamoDBClient;
  sqs: SQSClient;
  tokenTable: string;
  joinQueueUrl: string;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
}

type TargetList = readonly { instanceId: string; port: number; reason?: string }[];
type Send = (Targets: { Id: string; Port: number }[]) => Promise<unknown>;

/**
 * The outcome for one target group: whether anything changed, and why it takes no more targets. The next round retries
 * whatever failed.
 */
export interface Outcome {
  arn: string;
  changed: boolean;
  full?: string;
}

export async function carryOut(dependencies: Actor, change: Change): Promise<Outcome> {
  const { elasticLoadBalancing } = dependencies;
  const { arn, register, deregister } = change;
  logChange(dependencies, change);
  // Registers first: nothing is taken away before its replacement was added.
  const outcome: Outcome = { arn, changed: false };
  const registered = await inBatches(dependencies, outcome, 'register', register, (Targets) =>
    elasticLoadBalancing.send(new RegisterTargetsCommand({ TargetGroupArn: arn, Targets })),
  );
  // Deregistering makes room, so a full target group does not stop it.
  const deregistered = await inBatches(dependencies, { arn, changed: false }, 'deregister', deregister, (Targets) =>
    elasticLoadBalancing.send(new DeregisterTargetsCommand({ TargetGroupArn: arn, Targets })),
  );
  return { ...outcome, changed: registered || deregistered };
}

/** Records the traffic, then wakes node-join. If this function dies in between, another round or the sweep wakes it. */
export async function publishTraffic(dependencies: Actor, traffic: Traffic): Promise<void> {
  await write(dependencies, TRAFFIC_KEY, trafficCodec.encode(traffic));
  dependencies.log('info', 'Published which instances receive connections.', {
    arrived: list(traffic.arrived),
    left: list(traffic.left),
  });
  await dependencies.sqs.send(
    new SendMessageCommand({
      QueueUrl: dependencies.joinQueueUrl,
      MessageBody: JSON.stringify({ reason: 'target-update saw other traffic' }),
    }),
  );
}

/** Saves target-update's own state: which refusals were announced, and which load balancers are closed. */
export async function saveFollowing(dependencies: Actor, following: Following): Promise<void> {
  await write(dependencies, FOLLOWING_KEY, followingCodec.encode(following));
}

async function write(dependencies: Actor, key: string, { v, body }: { v: number; body: string }): Promise<void> {
  const update = () =>
    new UpdateItemCommand({
      TableName: dependencies.tokenTable,
      Key: marshall({ [PARTITION_KEY]: CLUSTER_PARTITION, [SORT_KEY]: key }),
      UpdateExpression: 'SET #v = :v, #body = :body',
      ExpressionAttributeNames: { '#v': 'v', '#body': 'body' },
      ExpressionAttributeValues: marshall({ ':v': v, ':body': body }),
    });
  await retryConflicts(dependencies.clock, () => dependencies.dynamodb.send(update()));
}

function logChange({ log }: Actor, { arn, kept, waiting, foreign }: Change): void {
  if (foreign.length > 0)
    log('warn', 'A target group has targets on another port or from outside the cluster. They are removed.', {
      targetGroup: arn,
      instances: list(foreign),
    });
  if (kept.length > 0)
    log('warn', 'Healthy targets are kept because no other target is healthy.', {
      targetGroup: arn,
      instances: list(ids(kept)),
      reason: kept[0]!.reason,
    });
  if (waiting.length > 0)
    log('info', 'Leaving targets are still healthy, or keep their connections for some time.', {
      targetGroup: arn,
      instances: list(waiting),
    });
}

async function inBatches(
  dependencies: Actor,
  outcome: Outcome,
  what: string,
  targets: TargetList,
  send: Send,
): Promise<boolean> {
  let changed = false;
  for (let n = 0; n < targets.length; n += MAX_TARGETS)
    changed = (await attempt(dependencies, outcome, what, targets.slice(n, n + MAX_TARGETS), send)) || changed;
  return changed;
}

/**
 * One refused target (an instance that has just ended, or one beyond the limit) fails the whole request. So the batch
 * is split and retried, until the group has no room for a single target.
 */
async function attempt(
  dependencies: Actor,
  outcome: Outcome,
  what: string,
  batch: TargetList,
  send: Send,
): Promise<boolean> {
  if (outcome.full !== undefined) return false;
  const fields = { targetGroup: outcome.arn, instances: list(ids(batch)), reason: batch[0]!.reason };
  try {
    await send(batch.map(({ instanceId: Id, port: Port }) => ({ Id, Port })));
    dependencies.log('info', `Done: ${what}.`, fields);
    return true;
  } catch (error) {
    const ofOne = error instanceof InvalidTargetException || error instanceof TooManyTargetsException;
    if (!ofOne || batch.length === 1) {
      dependencies.log('warn', `Failed: ${what}. The next round tries again.`, {
        ...fields,
        error: describeError(error),
      });
      if (error instanceof TooManyTargetsException) outcome.full = describeError(error);
      return false;
    }
    const half = Math.ceil(batch.length / 2);
    const first = await attempt(dependencies, outcome, what, batch.slice(0, half), send);
    return (await attempt(dependencies, outcome, what, batch.slice(half), send)) || first;
  }
}

const ids = (targets: readonly { instanceId: string }[]) => targets.map(({ instanceId }) => instanceId);
const list = (instanceIds: readonly string[]) => instanceIds.join(', ').slice(0, MAX_LIST_CHARACTERS);

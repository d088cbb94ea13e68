/**
 * Carries out what is to change in target groups, and tells who lets instances in and out. Registering and
 * deregistering may be repeated: what is so already is no error.
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

/** Targets of one request. Elastic Load Balancing names no limit. */
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
 * What became of a change: whether anything was changed, and why no more targets are taken. What fails is tried again
 * by the next look.
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
  // Nobody is taken away before others have come.
  const outcome: Outcome = { arn, changed: false };
  const registered = await inBatches(dependencies, outcome, 'register', register, (Targets) =>
    elasticLoadBalancing.send(new RegisterTargetsCommand({ TargetGroupArn: arn, Targets })),
  );
  // What goes makes room: that nobody more is taken does not matter there.
  const deregistered = await inBatches(dependencies, { arn, changed: false }, 'deregister', deregister, (Targets) =>
    elasticLoadBalancing.send(new DeregisterTargetsCommand({ TargetGroupArn: arn, Targets })),
  );
  return { ...outcome, changed: registered || deregistered };
}

/**
 * They look again then. One that dies in between is followed by another look, which tells it once more, or by the
 * sweep.
 */
export async function publishTraffic(dependencies: Actor, traffic: Traffic): Promise<void> {
  await write(dependencies, TRAFFIC_KEY, trafficCodec.encode(traffic));
  dependencies.log('info', 'Told who is sent connections.', {
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

/** For itself: what is told once, and what is closed for good. */
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
    log('warn', 'A target group has targets that are none of the cluster, or at another port. They are taken away.', {
      targetGroup: arn,
      instances: list(foreign),
    });
  if (kept.length > 0)
    log('warn', 'Healthy targets are kept, for no other is healthy.', {
      targetGroup: arn,
      instances: list(ids(kept)),
      reason: kept[0]!.reason,
    });
  if (waiting.length > 0)
    log('info', 'Targets that leave are healthy still, or keep their connections for some time.', {
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
 * A single target that is refused, an instance that has just ended or one too many, makes the whole request fail: the
 * others are tried without it, until there is no room for a single one.
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
      dependencies.log('warn', `Failed: ${what}. It is tried again at the next look.`, {
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

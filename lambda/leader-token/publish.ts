/**
 * Checks one manager's swarm report and publishes it: leader record, node list, and acknowledgement of the tokens in
 * one transaction.
 */
import {
  TransactionCanceledException,
  TransactWriteItemsCommand,
  type DynamoDBClient,
  type TransactWriteItem,
} from '@aws-sdk/client-dynamodb';
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Clock } from '../../protocol/clock';
import { ALARM_METRIC } from '../../protocol/census';
import { emptyMembership, leaderCodec, membershipCodec, type LeaderRecord } from '../../protocol/cluster';
import { PUBLISHED_TOKENS_ATTRIBUTE } from '../../protocol/commands';
import {
  CLUSTER_PARTITION,
  COMMANDS_KEY,
  LEADER_KEY,
  MEMBERSHIP_KEY,
  NODES_KEY_PREFIX,
  parseMailbox,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
  SWARM_KEY_PREFIX,
} from '../../protocol/keys';
import { reportCodec } from '../../protocol/report';
import { decodeSwarmReport, encodeSwarmReport, MAX_CHUNKS, type SwarmReport } from '../../protocol/swarm';
import type { Log } from '../../protocol/log';
import { retryConflicts } from '../shared/retry';
import { decodeRecord, queryPartition } from '../shared/tables';
import { plan, type Decision } from './plan';

export interface Publisher {
  clock: Clock;
  log: Log;
  dynamodb: DynamoDBClient;
  sqs: SQSClient;
  tokenTable: string;
  reportTable: string;
  managerRoleId: string;
  joinQueueUrl: string;
  /** Absent if there is no load balancer. */
  targetsQueueUrl?: string;
}

/**
 * Items in one mailbox: heartbeat, report, and the chunks of a swarm report. Anything else is useless, and must not
 * fill the function's memory.
 */
const MAX_ITEMS = MAX_CHUNKS + 2;

type Items = Record<string, unknown>[];

/** Attempts when other reports are published in between. After that the manager's next report follows within 30 s. */
const ATTEMPTS = 3;

/** @param mailboxKey the mailbox of the swarm report: a key from the stream, untrusted */
export async function publish(dependencies: Publisher, mailboxKey: string): Promise<void> {
  const sender = parseMailbox(mailboxKey);
  if (sender?.roleId !== dependencies.managerRoleId)
    return dependencies.log('warn', 'A swarm report was ignored: its mailbox does not belong to a manager.', {
      metric: 'ReportsIgnored',
    });
  const { instanceId } = sender;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++)
    if (await publishOnce(dependencies, mailboxKey, instanceId)) return;
  dependencies.log('warn', 'Did not publish a swarm report.', {
    instanceId,
    reason: `Other reports were published in between, ${ATTEMPTS} times in a row.`,
  });
}

/** False when another report was published in the meantime. */
async function publishOnce(dependencies: Publisher, mailboxKey: string, instanceId: string): Promise<boolean> {
  const [reported, records] = await Promise.all([
    queryPartition(dependencies.dynamodb, dependencies.reportTable, mailboxKey, MAX_ITEMS),
    queryPartition(dependencies.dynamodb, dependencies.tokenTable, CLUSTER_PARTITION),
  ]);
  const report = reportCodec.decode(withKey(reported, REPORT_KEY));
  const swarm = decodeSwarmReport(withPrefix(reported, SWARM_KEY_PREFIX));
  if (!report.ok || !swarm.ok) {
    const refused = report.ok ? swarm : report;
    dependencies.log('warn', 'A swarm report was ignored.', {
      metric: 'ReportsIgnored',
      instanceId,
      refusal: refused.ok ? undefined : refused.refusal,
    });
    return true;
  }
  const leader = decodeRecord(dependencies, leaderCodec, withKey(records, LEADER_KEY));
  const membership = decodeRecord(dependencies, membershipCodec, withKey(records, MEMBERSHIP_KEY)) ?? emptyMembership;
  const decision = plan({
    now: dependencies.clock.now(),
    instanceId,
    report: report.value,
    swarm: swarm.value,
    ...(leader && { leader }),
    membership,
  });
  if (decision.kind === 'ignore')
    dependencies.log('info', 'Did not publish a swarm report.', { instanceId, reason: decision.reason });
  if (decision.kind === 'refuse')
    dependencies.log('error', 'Refused a swarm report.', { metric: ALARM_METRIC, instanceId, reason: decision.reason });
  if (decision.kind !== 'publish') return true;

  const published = withPrefix(records, NODES_KEY_PREFIX);
  if (!(await write(dependencies, mailboxKey, decision, swarm.value, leader, published))) return false;
  dependencies.log('info', 'Published a swarm report.', {
    instanceId,
    epoch: swarm.value.epoch,
    nodes: swarm.value.nodes.length,
    reason: decision.reason,
  });
  const before = decodeSwarmReport(published);
  const same = (part: 'nodes' | 'ports') =>
    before.ok && JSON.stringify(before.value[part]) === JSON.stringify(swarm.value[part]);
  const news = !same('nodes') || decision.publishedTokens !== undefined;
  if (news) await wake(dependencies, dependencies.joinQueueUrl);
  if (dependencies.targetsQueueUrl && (news || !same('ports'))) await wake(dependencies, dependencies.targetsQueueUrl);
  return true;
}

async function wake({ sqs }: Publisher, QueueUrl: string): Promise<void> {
  await sqs.send(
    new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify({ reason: 'leader-token published' }) }),
  );
}

/**
 * Writes only if the published record is still the one that was read. A report without tokens inherits them from that
 * record, and must not overwrite tokens that another report has just published.
 * @returns false when another report was published, and nothing was written
 */
async function write(
  dependencies: Publisher,
  mailboxKey: string,
  decision: Decision & { kind: 'publish' },
  swarm: SwarmReport,
  before: LeaderRecord | undefined,
  published: Items,
): Promise<boolean> {
  const put = (key: string, attributes: object) => ({
    TableName: dependencies.tokenTable,
    Item: marshall({ [PARTITION_KEY]: CLUSTER_PARTITION, [SORT_KEY]: key, ...attributes }),
  });
  const chunks = encodeSwarmReport(swarm);
  const writes: TransactWriteItem[] = [
    {
      Put: {
        ...put(LEADER_KEY, {
          epoch: swarm.epoch,
          generation: decision.leader.generation ?? 0,
          ...leaderCodec.encode(decision.leader),
        }),
        ...(before
          ? {
              ConditionExpression: '#epoch = :epoch AND #generation = :generation',
              ExpressionAttributeNames: { '#epoch': 'epoch', '#generation': 'generation' },
              ExpressionAttributeValues: marshall({ ':epoch': before.epoch, ':generation': before.generation ?? 0 }),
            }
          : { ConditionExpression: 'attribute_not_exists(#epoch)', ExpressionAttributeNames: { '#epoch': 'epoch' } }),
      },
    },
    ...chunks.map((chunk, n) => ({ Put: put(`${NODES_KEY_PREFIX}${n}`, chunk) })),
    ...published.slice(chunks.length).map((old) => ({
      Delete: {
        TableName: dependencies.tokenTable,
        Key: marshall({ [PARTITION_KEY]: CLUSTER_PARTITION, [SORT_KEY]: old[SORT_KEY] }),
      },
    })),
  ];
  if (decision.publishedTokens) {
    writes.push({
      Update: {
        TableName: dependencies.tokenTable,
        Key: marshall({ [PARTITION_KEY]: mailboxKey, [SORT_KEY]: COMMANDS_KEY }),
        UpdateExpression: 'SET #published = :published',
        ExpressionAttributeNames: { '#published': PUBLISHED_TOKENS_ATTRIBUTE },
        ExpressionAttributeValues: marshall({ ':published': decision.publishedTokens }),
      },
    });
  }
  try {
    await retryConflicts(dependencies.clock, () =>
      dependencies.dynamodb.send(new TransactWriteItemsCommand({ TransactItems: writes })),
    );
    return true;
  } catch (error) {
    if (
      error instanceof TransactionCanceledException &&
      error.CancellationReasons?.[0]?.Code === 'ConditionalCheckFailed'
    )
      return false;
    throw error;
  }
}

function withKey(items: Items, key: string): Record<string, unknown> | undefined {
  return items.find((item) => item[SORT_KEY] === key);
}

function withPrefix(items: Items, prefix: string): Items {
  return items.filter((item) => String(item[SORT_KEY]).startsWith(prefix));
}

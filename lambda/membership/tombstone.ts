/**
 * The tombstone of an instance that leaves. Once it is set, no function can command the instance (commands are written
 * on the condition that there is no tombstone), its agent starts nothing new, and neither of its mailboxes holds a
 * token, whatever its agent was about to write.
 */
import { PutItemCommand, UpdateItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { NodeRole } from '../../protocol/body';
import type { Clock } from '../../protocol/clock';
import { TOMBSTONE_ATTRIBUTE } from '../../protocol/commands';
import { COMMANDS_KEY, mailbox, PARTITION_KEY, REPORT_KEY, SORT_KEY } from '../../protocol/keys';
import { retryConflicts } from '../shared/retry';

export interface Tables {
  clock: Clock;
  dynamodb: DynamoDBClient;
  tokenTable: string;
  reportTable: string;
  roleIds: Record<NodeRole, string>;
}

/**
 * May be repeated. The order matters if the function dies in between: the instance can then no longer report, but its
 * agent still keeps its engine running. The other way round, nobody would repair an engine that a quorum may need.
 */
export async function writeTombstone(
  { clock, dynamodb, tokenTable, reportTable, roleIds }: Tables,
  role: NodeRole,
  instanceId: string,
): Promise<void> {
  const key = (sortKey: string) => ({ [PARTITION_KEY]: mailbox(roleIds[role], instanceId), [SORT_KEY]: sortKey });
  // Replaces the last report, which may hold join tokens. The agent writes reports only where there is no tombstone.
  await retryConflicts(clock, () =>
    dynamodb.send(
      new PutItemCommand({
        TableName: reportTable,
        Item: marshall({ ...key(REPORT_KEY), [TOMBSTONE_ATTRIBUTE]: clock.now() }),
      }),
    ),
  );
  await retryConflicts(clock, () =>
    dynamodb.send(
      new UpdateItemCommand({
        TableName: tokenTable,
        Key: marshall(key(COMMANDS_KEY)),
        UpdateExpression: 'SET #tombstone = if_not_exists(#tombstone, :now) REMOVE #v, #body',
        ExpressionAttributeNames: { '#tombstone': TOMBSTONE_ATTRIBUTE, '#v': 'v', '#body': 'body' },
        ExpressionAttributeValues: marshall({ ':now': clock.now() }),
      }),
    ),
  );
}

/**
 * The tombstone of an instance that leaves: from then on no function can command it to join (each command is written
 * under the condition that there is no tombstone), its agent begins nothing any more, and no token lies in either of
 * its mailboxes, whatever its agent was about to write.
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
 * May be repeated. Who dies between the two leaves an instance that nobody hears, and whose agent still keeps its
 * engine running: the other way round, an engine that a quorum needs would be mended by nobody.
 */
export async function writeTombstone(
  { clock, dynamodb, tokenTable, reportTable, roleIds }: Tables,
  role: NodeRole,
  instanceId: string,
): Promise<void> {
  const key = (sortKey: string) => ({ [PARTITION_KEY]: mailbox(roleIds[role], instanceId), [SORT_KEY]: sortKey });
  // In place of its last report, which may hold join tokens: the agent writes reports only where there is no tombstone.
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

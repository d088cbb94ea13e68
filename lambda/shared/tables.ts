/** Reads the two tables. */
import { paginateQuery, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Codec } from '../../protocol/body';
import { plainAttributes } from '../../protocol/items';
import { PARTITION_KEY, SORT_KEY } from '../../protocol/keys';

/**
 * The items of a partition, sorted by sort key, with `name#10` after `name#9`.
 * @param maximum limits the number of items returned, in the table's own order: for a partition that a node fills
 */
export async function queryPartition(
  client: DynamoDBClient,
  table: string,
  partition: string,
  maximum?: number,
): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = [];
  const pages = paginateQuery(
    { client },
    {
      TableName: table,
      KeyConditionExpression: '#pk = :pk',
      ExpressionAttributeNames: { '#pk': PARTITION_KEY },
      ExpressionAttributeValues: marshall({ ':pk': partition }),
      ConsistentRead: true,
      ...(maximum !== undefined && { Limit: maximum }),
    },
  );
  for await (const { Items = [] } of pages) {
    items.push(...Items.slice(0, maximum && maximum - items.length).map((item) => plainAttributes(item)));
    if (items.length === maximum) break;
  }
  const order = new Intl.Collator('en', { numeric: true });
  return items.sort((a, b) => order.compare(String(a[SORT_KEY]), String(b[SORT_KEY])));
}

/**
 * Decodes a record that only functions write; undefined when it does not exist.
 * @throws Error when it exists but cannot be decoded: to treat it as absent could create a second swarm
 */
export function decodeRecord<T>(
  { tokenTable }: { tokenTable: string },
  codec: Codec<T>,
  item: Record<string, unknown> | undefined,
): T | undefined {
  const decoded = codec.decode(item);
  if (decoded.ok) return decoded.value;
  if (decoded.refusal === 'missing') return undefined;
  throw new Error(
    `The record ${String(item?.[SORT_KEY])} in table ${tokenTable} cannot be read (${decoded.refusal}). The ` +
      'functions change nothing until it can. If the library was downgraded, deploy the newer version again.',
  );
}

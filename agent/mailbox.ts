/**
 * The node's access to the two tables: reads its own commands and orders, writes its own reports. Its policy allows
 * nothing else there.
 */
import {
  ConditionalCheckFailedException,
  GetItemCommand,
  UpdateItemCommand,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { commandsCodec, PUBLISHED_TOKENS_ATTRIBUTE, TOMBSTONE_ATTRIBUTE, type Command } from '../protocol/commands';
import { plainAttributes } from '../protocol/items';
import {
  COMMANDS_KEY,
  HEARTBEAT_KEY,
  ORDERS_KEY,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
  SWARM_KEY_PREFIX,
} from '../protocol/keys';
import { ordersCodec, type Orders } from '../protocol/orders';
import { heartbeatCodec, reportCodec, type Heartbeat, type Report } from '../protocol/report';
import type { SwarmChunk } from '../protocol/swarm';
import type { Decoded, Refusal } from '../protocol/body';

export interface Inbox {
  command?: Command;
  /** Why the item could not be decoded. */
  refusal?: Refusal;
  publishedTokens?: string;
  /** The instance has a tombstone: it starts nothing new. */
  leaving: boolean;
}

export class Mailbox {
  constructor(
    private readonly client: DynamoDBClient,
    private readonly tables: { tokenTable: string; reportTable: string },
    private readonly key: string,
  ) {}

  async read(): Promise<Inbox> {
    const { Item } = await this.client.send(
      new GetItemCommand({ TableName: this.tables.tokenTable, Key: this.itemKey(COMMANDS_KEY) }),
    );
    if (!Item) return { leaving: false };
    const item = plainAttributes(Item);
    const published = item[PUBLISHED_TOKENS_ATTRIBUTE];
    const publishedTokens = typeof published === 'string' ? published : undefined;
    const common = { publishedTokens, leaving: item[TOMBSTONE_ATTRIBUTE] !== undefined };
    if (item.body === undefined) return common;
    const decoded = commandsCodec.decode(item);
    return decoded.ok
      ? { command: decoded.value.command ?? undefined, ...common }
      : { refusal: decoded.refusal, ...common };
  }

  /** Orders about other nodes, for the leader. */
  async readOrders(): Promise<Decoded<Orders>> {
    const { Item } = await this.client.send(
      new GetItemCommand({ TableName: this.tables.tokenTable, Key: this.itemKey(ORDERS_KEY) }),
    );
    return ordersCodec.decode(Item && plainAttributes(Item));
  }

  /** False when the instance has a tombstone. Then nothing is written. */
  async writeReport(report: Report): Promise<boolean> {
    try {
      await this.write(REPORT_KEY, reportCodec.encode(report), {
        ConditionExpression: 'attribute_not_exists(#tombstone)',
        names: { '#tombstone': TOMBSTONE_ATTRIBUTE },
      });
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }

  async writeHeartbeat(heartbeat: Heartbeat): Promise<void> {
    await this.write(HEARTBEAT_KEY, heartbeatCodec.encode(heartbeat));
  }

  /** The first chunk is written last, so that its stream event finds the report complete. */
  async writeSwarmReport(chunks: SwarmChunk[]): Promise<void> {
    for (const [n, chunk] of [...chunks.entries()].reverse()) await this.write(`${SWARM_KEY_PREFIX}${n}`, { ...chunk });
  }

  private async write(
    key: string,
    attributes: Record<string, string | number>,
    condition?: { ConditionExpression: string; names: Record<string, string> },
  ): Promise<void> {
    const names = Object.keys(attributes);
    await this.client.send(
      new UpdateItemCommand({
        TableName: this.tables.reportTable,
        Key: this.itemKey(key),
        UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(', ')}`,
        ConditionExpression: condition?.ConditionExpression,
        ExpressionAttributeNames: {
          ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
          ...condition?.names,
        },
        ExpressionAttributeValues: marshall(Object.fromEntries(names.map((name) => [`:${name}`, attributes[name]]))),
      }),
    );
  }

  private itemKey(sortKey: string) {
    return marshall({ [PARTITION_KEY]: this.key, [SORT_KEY]: sortKey });
  }
}

/**
 * One membership change at a time: the lease is a row of the token table that names who may write, until when, and an
 * epoch that grows with every holder.
 *
 * Level-triggered work needs no queue of waiters: who finds the lease held asks its holder, in the row, to look again,
 * and goes. The holder cannot let go before it has looked once more. A holder that dies is waited out ({@link
 * LEASE_MS}).
 */
import { ConditionalCheckFailedException, UpdateItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import type { Clock } from '../../protocol/clock';
import { CLUSTER_PARTITION, LEASE_KEY, PARTITION_KEY, SORT_KEY } from '../../protocol/keys';
import { retryConflicts } from './retry';

/** Longer than any one round of looking and acting takes, and renewed with each. */
export const LEASE_MS = 20_000;

const rowOf = (sortKey: string) => marshall({ [PARTITION_KEY]: CLUSTER_PARTITION, [SORT_KEY]: sortKey });
export const leaseKey = rowOf(LEASE_KEY);

export interface Lease {
  owner: string;
  epoch: number;
  /** How often others had asked to look again when this round began. */
  requests: number;
}

/** The condition that ties a write to the lease: put it on the lease row in the same transaction. */
export function leaseCondition(lease: Lease) {
  return {
    Key: leaseKey,
    ConditionExpression: '#owner = :owner AND #epoch = :epoch',
    ExpressionAttributeNames: { '#owner': 'owner', '#epoch': 'epoch' },
    ExpressionAttributeValues: marshall({ ':owner': lease.owner, ':epoch': lease.epoch }),
  };
}

export class LeaseRow {
  private readonly key: typeof leaseKey;

  /** @param sortKey of another row than that of membership: a lease of its own */
  constructor(
    private readonly client: DynamoDBClient,
    private readonly table: string,
    private readonly clock: Clock,
    sortKey = LEASE_KEY,
  ) {
    this.key = rowOf(sortKey);
  }

  /** The lease, or undefined when somebody else holds it: that holder has then been asked to look again. */
  async acquireOrAsk(): Promise<Lease | undefined> {
    for (;;) {
      const lease = await this.acquire();
      if (lease) return lease;
      if (await this.ask()) return undefined;
      // It was let go between our two calls.
    }
  }

  /** Prolongs the lease for another round. False when it was lost: nothing may be written any more. */
  async renew(lease: Lease): Promise<boolean> {
    const item = await this.update({
      UpdateExpression: 'SET #expiresAt = :expiresAt',
      ConditionExpression: '#owner = :owner AND #epoch = :epoch',
      names: { '#expiresAt': 'expiresAt', '#owner': 'owner', '#epoch': 'epoch' },
      values: { ':expiresAt': this.clock.now() + LEASE_MS, ':owner': lease.owner, ':epoch': lease.epoch },
    });
    if (item) lease.requests = item.requests;
    return item !== undefined;
  }

  /**
   * Lets go. False when somebody asked to look again since the round began (the lease is still ours), or when it was
   * lost.
   */
  async release(lease: Lease): Promise<boolean> {
    const item = await this.update({
      UpdateExpression: 'REMOVE #owner, #expiresAt',
      ConditionExpression: '#owner = :owner AND #epoch = :epoch AND #requests = :requests',
      names: { '#owner': 'owner', '#expiresAt': 'expiresAt', '#epoch': 'epoch', '#requests': 'requests' },
      values: { ':owner': lease.owner, ':epoch': lease.epoch, ':requests': lease.requests },
    });
    return item !== undefined;
  }

  /** Lets go whatever others asked for: for a holder that cannot go on. */
  async giveUp(lease: Lease): Promise<void> {
    await this.update({
      UpdateExpression: 'REMOVE #owner, #expiresAt',
      ConditionExpression: '#owner = :owner AND #epoch = :epoch',
      names: { '#owner': 'owner', '#expiresAt': 'expiresAt', '#epoch': 'epoch' },
      values: { ':owner': lease.owner, ':epoch': lease.epoch },
    });
  }

  /** The lease, or undefined when somebody else holds it. */
  async acquire(): Promise<Lease | undefined> {
    const owner = this.clock.uuid();
    const now = this.clock.now();
    const item = await this.update({
      UpdateExpression: 'SET #owner = :owner, #expiresAt = :expiresAt ADD #epoch :one, #requests :zero',
      ConditionExpression: 'attribute_not_exists(#owner) OR #expiresAt < :now',
      names: { '#owner': 'owner', '#expiresAt': 'expiresAt', '#epoch': 'epoch', '#requests': 'requests' },
      values: { ':owner': owner, ':expiresAt': now + LEASE_MS, ':now': now, ':one': 1, ':zero': 0 },
    });
    return item && { owner, epoch: item.epoch, requests: item.requests };
  }

  private async ask(): Promise<boolean> {
    const item = await this.update({
      UpdateExpression: 'ADD #requests :one',
      ConditionExpression: 'attribute_exists(#owner) AND #expiresAt >= :now',
      names: { '#requests': 'requests', '#owner': 'owner', '#expiresAt': 'expiresAt' },
      values: { ':one': 1, ':now': this.clock.now() },
    });
    return item !== undefined;
  }

  private async update(change: {
    UpdateExpression: string;
    ConditionExpression: string;
    names: Record<string, string>;
    values: Record<string, string | number>;
  }): Promise<{ epoch: number; requests: number } | undefined> {
    try {
      const command = () =>
        new UpdateItemCommand({
          TableName: this.table,
          Key: this.key,
          UpdateExpression: change.UpdateExpression,
          ConditionExpression: change.ConditionExpression,
          ExpressionAttributeNames: change.names,
          ExpressionAttributeValues: marshall(change.values),
          ReturnValues: 'ALL_NEW',
        });
      const { Attributes } = await retryConflicts(this.clock, () => this.client.send(command()));
      return unmarshall(Attributes ?? {}) as { epoch: number; requests: number };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return undefined;
      throw error;
    }
  }
}

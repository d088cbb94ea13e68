/**
 * A lease in the token table, so that one function at a time changes membership. The row holds the owner, the expiry,
 * and an epoch that grows with every owner.
 *
 * Level-triggered work needs no queue: a function that finds the lease taken increments a request counter in the row
 * and ends. The owner cannot release the lease before it has answered the request with another round. If the owner
 * dies, the lease expires ({@link LEASE_MS}).
 */
import { ConditionalCheckFailedException, UpdateItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import type { Clock } from '../../protocol/clock';
import { CLUSTER_PARTITION, LEASE_KEY, PARTITION_KEY, SORT_KEY } from '../../protocol/keys';
import { retryConflicts } from './retry';

/** Longer than any single round takes. Each round renews the lease. */
export const LEASE_MS = 20_000;

const rowOf = (sortKey: string) => marshall({ [PARTITION_KEY]: CLUSTER_PARTITION, [SORT_KEY]: sortKey });
export const leaseKey = rowOf(LEASE_KEY);

export interface Lease {
  owner: string;
  epoch: number;
  /** The request counter when this round began. */
  requests: number;
}

/** Ties a write to the lease: add this condition on the lease row to the write's transaction. */
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

  /** @param sortKey selects another lease than that of membership */
  constructor(
    private readonly client: DynamoDBClient,
    private readonly table: string,
    private readonly clock: Clock,
    sortKey = LEASE_KEY,
  ) {
    this.key = rowOf(sortKey);
  }

  /** Returns the lease. If somebody else holds it, asks the owner for another round and returns undefined. */
  async acquireOrAsk(): Promise<Lease | undefined> {
    for (;;) {
      const lease = await this.acquire();
      if (lease) return lease;
      if (await this.ask()) return undefined;
      // The lease was released between the two calls.
    }
  }

  /** Extends the lease for another round. False when it was lost: do not write any more. */
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
   * Releases the lease. False when somebody asked for another round since this one began (the lease is still ours), or
   * when the lease was lost.
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

  /** Releases the lease regardless of requests, when the owner cannot continue. */
  async giveUp(lease: Lease): Promise<void> {
    await this.update({
      UpdateExpression: 'REMOVE #owner, #expiresAt',
      ConditionExpression: '#owner = :owner AND #epoch = :epoch',
      names: { '#owner': 'owner', '#expiresAt': 'expiresAt', '#epoch': 'epoch' },
      values: { ':owner': lease.owner, ':epoch': lease.epoch },
    });
  }

  /** Returns the lease, or undefined when somebody else holds it. */
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

import { PutItemCommand, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { LEASE_MS, leaseCondition, LeaseRow, type Lease } from '../../../lambda/shared/lease';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';

let dynamodb: Awaited<ReturnType<typeof startDynamoDb>>;
let clock: VirtualClock;
let lease: LeaseRow;

beforeEach(async () => {
  clock = new VirtualClock();
  dynamodb = await startDynamoDb(clock);
  lease = new LeaseRow(dynamodb.client, TOKEN_TABLE, clock);
});
afterEach(() => dynamodb.close());

/** Writes something under a lease, as membership changes do. */
const writeUnder = (held: Lease) =>
  dynamodb.client.send(
    new TransactWriteItemsCommand({
      TransactItems: [
        { ConditionCheck: { TableName: TOKEN_TABLE, ...leaseCondition(held) } },
        { Put: { TableName: TOKEN_TABLE, Item: { pk: { S: 'cluster' }, sk: { S: 'membership' } } } },
      ],
    }),
  );

describe('the lease', () => {
  it('is held by one at a time, and its epoch grows with every holder', async () => {
    const first = (await lease.acquireOrAsk())!;
    expect(first.epoch).toBe(1);
    expect(await lease.acquireOrAsk()).toBeUndefined();
    await lease.renew(first);
    expect(await lease.release(first)).toBe(true);
    expect((await lease.acquireOrAsk())!.epoch).toBe(2);
  });

  it('goes to one of ten that ask at once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => lease.acquireOrAsk()));
    expect(answers.filter((answer) => answer !== undefined)).toHaveLength(1);
  });

  it('is not let go while somebody asked to look again, and is after one more look', async () => {
    const held = (await lease.acquireOrAsk())!;
    await lease.acquireOrAsk();
    expect(await lease.release(held)).toBe(false);
    expect(await lease.renew(held)).toBe(true);
    expect(await lease.release(held)).toBe(true);
  });

  it('of a holder that died goes to the next after its time', async () => {
    await lease.acquireOrAsk();
    await clock.advance(LEASE_MS - 1);
    expect(await lease.acquireOrAsk()).toBeUndefined();
    await clock.advance(2);
    expect((await lease.acquireOrAsk())!.epoch).toBe(2);
  });

  it('lets a stale holder write nothing, prolong nothing and release nothing', async () => {
    const stale = (await lease.acquireOrAsk())!;
    await clock.advance(LEASE_MS + 1);
    const current = (await lease.acquireOrAsk())!;
    await expect(writeUnder(stale)).rejects.toMatchObject({ name: 'TransactionCanceledException' });
    expect(await lease.renew(stale)).toBe(false);
    expect(await lease.release(stale)).toBe(false);
    await writeUnder(current);
  });

  it('survives other attributes in its row', async () => {
    await dynamodb.client.send(
      new PutItemCommand({
        TableName: TOKEN_TABLE,
        Item: { pk: { S: 'cluster' }, sk: { S: 'lease' }, note: { S: 'left here' } },
      }),
    );
    expect(await lease.acquireOrAsk()).toMatchObject({ epoch: 1, requests: 0 });
  });
});

import { PutItemCommand, TransactionCanceledException, TransactionConflictException } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { retryConflicts } from '../../../lambda/shared/retry';
import { decodeRecord, queryPartition } from '../../../lambda/shared/tables';
import { heartbeatCodec } from '../../../protocol/report';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';

describe('a partition', () => {
  let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
  beforeEach(async () => {
    endpoint = await startDynamoDb(new VirtualClock());
  });
  afterEach(() => endpoint.close());
  const put = (pk: string, sk: string, more: object = {}) =>
    endpoint.client.send(new PutItemCommand({ TableName: TOKEN_TABLE, Item: marshall({ pk, sk, ...more }) }));
  const keys = async (maximum?: number) =>
    (await queryPartition(endpoint.client, TOKEN_TABLE, 'a', maximum)).map(({ sk }) => sk);

  it('is read whole, in the order of its numbers, and nothing of others', async () => {
    for (const sk of ['n#10', 'n#9', 'leader', 'n#1']) await put('a', sk);
    await put('b', 'n#2');
    expect(await keys()).toEqual(['leader', 'n#1', 'n#9', 'n#10']);
  });

  it('is read over all of its pages, of a megabyte each', async () => {
    for (let n = 0; n < 4; n++) await put('a', `n#${n}`, { body: 'x'.repeat(380_000) });
    expect(await keys()).toEqual(['n#0', 'n#1', 'n#2', 'n#3']);
    expect(endpoint.calls.filter((call) => call === 'Query').length).toBeGreaterThan(1);
  });

  it.each([
    [1, ['n#0']],
    [3, ['n#0', 'n#1', 'n#2']],
    [4, ['n#0', 'n#1', 'n#2', 'n#3']],
    [9, ['n#0', 'n#1', 'n#2', 'n#3']],
  ])('is read up to %i items, however many there are', async (maximum, expected) => {
    for (let n = 0; n < 4; n++) await put('a', `n#${n}`, { body: 'x'.repeat(380_000) });
    expect(await keys(maximum)).toEqual(expected);
  });
});

describe('a record of the functions', () => {
  const decode = (item: Record<string, unknown> | undefined) =>
    decodeRecord({ tokenTable: TOKEN_TABLE }, heartbeatCodec, item);

  it('is there, or is not', () => {
    expect(decode({ sk: 'x', ...heartbeatCodec.encode({ at: 1, engine: true }) })).toEqual({ at: 1, engine: true });
    expect(decode(undefined)).toBeUndefined();
  });

  it('is never taken for absent when it cannot be read', () => {
    expect(() => decode({ sk: 'x', v: 99, body: '{}' })).toThrow(/x in table tokens cannot be read \(version\)/);
  });
});

describe('a write that meets another transaction', () => {
  const metadata = { $metadata: {}, message: 'No' };
  const conflict = () => new TransactionConflictException(metadata);
  const cancelled = (...codes: string[]) =>
    new TransactionCanceledException({ ...metadata, CancellationReasons: codes.map((Code) => ({ Code })) });
  const write = async (...errors: Error[]) => {
    const clock = new VirtualClock();
    let attempts = 0;
    const outcome = retryConflicts(clock, async () => {
      const error = errors[attempts++];
      if (error) throw error;
      return 'written';
    }).catch((error: Error) => error.name);
    return { outcome: await clock.finish(outcome, 60_000), attempts, waited: clock.now() };
  };

  it.each([
    ['a single item', conflict()],
    ['one of several', cancelled('None', 'TransactionConflict')],
  ])('is tried again: %s', async (_, error) => {
    const before = new VirtualClock().now();
    const { outcome, attempts, waited } = await write(error, error);
    expect([outcome, attempts]).toEqual(['written', 3]);
    expect(waited).toBeGreaterThan(before);
    expect(waited - before).toBeLessThan(80 + 160);
  });

  it('is tried six times', async () => {
    expect(await write(...Array.from({ length: 9 }, conflict))).toMatchObject({
      outcome: 'TransactionConflictException',
      attempts: 6,
    });
    expect(await write(...Array.from({ length: 5 }, conflict))).toMatchObject({ outcome: 'written', attempts: 6 });
  });

  it.each([
    ['its own condition', cancelled('ConditionalCheckFailed', 'None')],
    ['no reason at all', new TransactionCanceledException(metadata)],
    ['another error', new Error('No')],
  ])('is not tried again after %s', async (_, error) => {
    expect(await write(error)).toMatchObject({ outcome: error.name, attempts: 1 });
  });
});

import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { Mailbox } from '../../agent/mailbox';
import { queryPartition } from '../../lambda/shared/tables';
import { commandsCodec, PUBLISHED_TOKENS_ATTRIBUTE, TOMBSTONE_ATTRIBUTE, type Command } from '../../protocol/commands';
import { ordersCodec } from '../../protocol/orders';
import { heartbeatCodec, reportCodec, type Report } from '../../protocol/report';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../lambda/dynamodb-endpoint';

const instanceId = 'i-00000000000000001';
const key = `AROAWORKER:${instanceId}`;
const command: Command = { kind: 'leave', id: 'c', instanceId, expiresAt: 1, reason: 'test' };
const report: Report = { instanceId, role: 'worker', address: '10.0.0.1' };

let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let mailbox: Mailbox;

beforeEach(async () => {
  endpoint = await startDynamoDb(new VirtualClock());
  mailbox = new Mailbox(endpoint.client, { tokenTable: TOKEN_TABLE, reportTable: REPORT_TABLE }, key);
});
afterEach(() => endpoint.close());

const put = (table: string, sk: string, attributes: object) =>
  endpoint.client.send(new PutItemCommand({ TableName: table, Item: marshall({ pk: key, sk, ...attributes }) }));
const written = () => queryPartition(endpoint.client, REPORT_TABLE, key);

describe('the inbox', () => {
  it('is empty at first', async () => {
    expect(await mailbox.read()).toStrictEqual({ leaving: false });
  });

  it.each<[string, object, object]>([
    ['a command', commandsCodec.encode({ command }), { command, publishedTokens: undefined, leaving: false }],
    [
      'an erased command',
      commandsCodec.encode({ command: null }),
      { command: undefined, publishedTokens: undefined, leaving: false },
    ],
    [
      'a command of another version',
      { v: 99, body: '{}' },
      { refusal: 'version', publishedTokens: undefined, leaving: false },
    ],
    [
      'only the digest of published tokens',
      { [PUBLISHED_TOKENS_ATTRIBUTE]: 'digest' },
      { publishedTokens: 'digest', leaving: false },
    ],
    ['a digest that is no text', { [PUBLISHED_TOKENS_ATTRIBUTE]: 1 }, { publishedTokens: undefined, leaving: false }],
    ['only a tombstone', { [TOMBSTONE_ATTRIBUTE]: 1 }, { publishedTokens: undefined, leaving: true }],
    [
      'all of them',
      { ...commandsCodec.encode({ command }), [PUBLISHED_TOKENS_ATTRIBUTE]: 'digest', [TOMBSTONE_ATTRIBUTE]: 1 },
      { command, publishedTokens: 'digest', leaving: true },
    ],
  ])('may hold %s', async (_, attributes, inbox) => {
    await put(TOKEN_TABLE, 'commands', attributes);
    expect(await mailbox.read()).toStrictEqual(inbox);
  });

  it('holds orders as an item of their own', async () => {
    expect(await mailbox.readOrders()).toEqual({ ok: false, refusal: 'missing' });
    await put(TOKEN_TABLE, 'orders', ordersCodec.encode({ orders: [], rotation: 'r' }));
    expect(await mailbox.readOrders()).toEqual({ ok: true, value: { orders: [], rotation: 'r' } });
    expect(await mailbox.read()).toEqual({ leaving: false });
  });
});

describe('a report', () => {
  it('is written, and takes the place of the one before', async () => {
    expect(await mailbox.writeReport({ ...report, leaderless: 30 })).toBe(true);
    expect(await mailbox.writeReport(report)).toBe(true);
    const [item] = await written();
    expect(item).toMatchObject({ pk: key, sk: 'report' });
    expect(reportCodec.decode(item)).toEqual({ ok: true, value: report });
  });

  it('is refused, and not written, when the instance has a tombstone', async () => {
    await put(REPORT_TABLE, 'report', { [TOMBSTONE_ATTRIBUTE]: 1 });
    expect(await mailbox.writeReport(report)).toBe(false);
    expect(await written()).toEqual([{ pk: key, sk: 'report', [TOMBSTONE_ATTRIBUTE]: 1 }]);
  });

  it('fails loudly when the table cannot be written for another reason', async () => {
    const elsewhere = new Mailbox(endpoint.client, { tokenTable: TOKEN_TABLE, reportTable: 'missing' }, key);
    await expect(elsewhere.writeReport(report)).rejects.toThrow(/missing|not found/i);
  });
});

it('a heartbeat is written whatever became of the instance', async () => {
  await put(REPORT_TABLE, 'report', { [TOMBSTONE_ATTRIBUTE]: 1 });
  await mailbox.writeHeartbeat({ at: 5, engine: true });
  const item = (await written()).find(({ sk }) => sk === 'heartbeat');
  expect(heartbeatCodec.decode(item)).toEqual({ ok: true, value: { at: 5, engine: true } });
});

it('the first chunk of a swarm report is written last, so that its event finds the report whole', async () => {
  const order: string[] = [];
  const { client } = endpoint;
  client.middlewareStack.add(
    (next) => async (args) => {
      const { Key } = args.input as { Key?: { sk: { S: string } } };
      if (Key) order.push(Key.sk.S);
      return next(args);
    },
    { step: 'initialize' },
  );
  await mailbox.writeSwarmReport([0, 1, 2].map((n) => ({ v: 1, epoch: 7, chunks: 3, body: `part ${n}` })));
  expect(order).toEqual(['swarm#2', 'swarm#1', 'swarm#0']);
  expect(await written()).toEqual(
    [0, 1, 2].map((n) => ({ pk: key, sk: `swarm#${n}`, v: 1, epoch: 7, chunks: 3, body: `part ${n}` })),
  );
});

import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { Mailbox } from '../../../agent/mailbox';
import { write, type Actor } from '../../../lambda/membership/act';
import { LeaseRow, type Lease } from '../../../lambda/shared/lease';
import { writeTombstone } from '../../../lambda/membership/tombstone';
import { emptyMembership } from '../../../protocol/cluster';
import type { Command } from '../../../protocol/commands';
import { mailbox, PARTITION_KEY, SORT_KEY } from '../../../protocol/keys';
import type { Report } from '../../../protocol/report';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';

const instanceId = 'i-00000000000000001';
const other = 'i-00000000000000002';
const roleIds = { manager: 'AROAMANAGER', worker: 'AROAWORKER' };
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const join = (id: string): Command => ({
  kind: 'join',
  id: 'c',
  instanceId: id,
  expiresAt: 1,
  reason: 'test',
  role: 'worker',
  token: tokens.worker,
  swarmId: 's'.repeat(25),
  managers: ['10.0.0.10'],
});
const command = (id: string) => ({ instanceId: id, role: 'worker' as const, command: join(id), reason: 'test' });
const report: Report = { instanceId, role: 'worker', address: '10.0.0.9', tokens };

let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let by: Actor;
let lease: Lease;
let box: Mailbox;
const clock = new VirtualClock();
const tables = () => ({
  clock,
  dynamodb: endpoint.client,
  tokenTable: TOKEN_TABLE,
  reportTable: REPORT_TABLE,
  roleIds,
});

beforeEach(async () => {
  endpoint = await startDynamoDb(clock);
  by = { clock, log: () => undefined, dynamodb: endpoint.client, tokenTable: TOKEN_TABLE, roleIds } as unknown as Actor;
  lease = (await new LeaseRow(endpoint.client, TOKEN_TABLE, clock).acquireOrAsk())!;
  box = new Mailbox(
    endpoint.client,
    { tokenTable: TOKEN_TABLE, reportTable: REPORT_TABLE },
    mailbox(roleIds.worker, instanceId),
  );
});
afterEach(() => endpoint.close());

async function item(table: string, id: string, key: string): Promise<Record<string, unknown>> {
  const { Item } = await endpoint.client.send(
    new GetItemCommand({
      TableName: table,
      Key: marshall({ [PARTITION_KEY]: mailbox(roleIds.worker, id), [SORT_KEY]: key }),
      ConsistentRead: true,
    }),
  );
  return unmarshall(Item ?? {});
}

it('takes the command and its token out of the mailbox, and tells the agent', async () => {
  await write(by, lease, { membership: emptyMembership, commands: [command(instanceId)], orders: [] });
  expect((await box.read()).command).toBeDefined();
  await writeTombstone(tables(), 'worker', instanceId);
  expect(await box.read()).toEqual({ leaving: true, publishedTokens: undefined });
  expect(JSON.stringify(await item(TOKEN_TABLE, instanceId, 'commands'))).not.toContain('SWMTKN');
});

it('blocks a command to the instance and the rest of its transaction, and names the instance', async () => {
  await writeTombstone(tables(), 'worker', instanceId);
  expect(
    await write(by, lease, {
      membership: emptyMembership,
      commands: [command(other), command(instanceId)],
      orders: [],
    }),
  ).toEqual({ leaving: [instanceId] });
  expect(await item(TOKEN_TABLE, other, 'commands')).toEqual({});
  expect(await write(by, lease, { membership: emptyMembership, commands: [command(other)], orders: [] })).toBe(
    'written',
  );
});

it('still lets a command be erased', async () => {
  await writeTombstone(tables(), 'worker', instanceId);
  expect(
    await write(by, lease, {
      membership: emptyMembership,
      commands: [{ ...command(instanceId), command: null }],
      orders: [],
    }),
  ).toBe('written');
});

it('takes the tokens out of the report, and blocks a late report with tokens', async () => {
  expect(await box.writeReport(report)).toBe(true);
  await writeTombstone(tables(), 'worker', instanceId);
  expect(await box.writeReport(report)).toBe(false);
  expect(JSON.stringify(await item(REPORT_TABLE, instanceId, 'report'))).not.toContain('SWMTKN');
});

it('keeps its time when it is written again', async () => {
  await writeTombstone(tables(), 'worker', instanceId);
  const { tombstone } = await item(TOKEN_TABLE, instanceId, 'commands');
  await clock.advance(60_000);
  await writeTombstone(tables(), 'worker', instanceId);
  expect((await item(TOKEN_TABLE, instanceId, 'commands')).tombstone).toBe(tombstone);
});

it('is distinguished from a lost lease', async () => {
  await writeTombstone(tables(), 'worker', instanceId);
  expect(
    await write(
      by,
      { ...lease, epoch: lease.epoch + 1 },
      { membership: emptyMembership, commands: [command(instanceId)], orders: [] },
    ),
  ).toBe('lost');
});

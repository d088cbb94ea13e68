import { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBStreamEvent } from 'aws-lambda';
import { leaderToken } from '../../../lambda/leader-token/handler';
import { environmentVariables as names } from '../../../protocol/environment';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';
import { REPORT_TABLE, startDynamoDb, TOKEN_TABLE } from '../dynamodb-endpoint';
import { idOf } from '../membership/world';

let endpoint: Awaited<ReturnType<typeof startDynamoDb>>;
let handler: ReturnType<typeof leaderToken>;
let logged: string[];

beforeEach(async () => {
  const clock = new VirtualClock();
  logged = [];
  endpoint = await startDynamoDb(clock);
  handler = leaderToken({
    clock,
    log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
    variables: {
      [names.tokenTable]: TOKEN_TABLE,
      [names.reportTable]: REPORT_TABLE,
      [names.managerRoleId]: 'AROAMANAGER',
      [names.workerRoleId]: 'AROAWORKER',
      [names.joinQueueUrl]: 'https://sqs.eu-west-1.amazonaws.com/000000000000/join',
    },
    dynamodb: endpoint.client,
    sqs: new SQSClient(endpoint.clientOptions),
  });
});
afterEach(() => endpoint.close());

const event = (...boxes: (string | undefined)[]): DynamoDBStreamEvent => ({
  Records: boxes.map((box) => ({ dynamodb: box === undefined ? {} : { Keys: { pk: { S: box } } } })),
});
const box = (n: number) => `AROAMANAGER:${idOf(n)}`;
const looks = () => endpoint.calls.filter((call) => call === 'Query').length;

it('each mailbox that an event names is looked at once, however often it is named', async () => {
  await handler(event(box(1), box(2), box(1)));
  expect(logged.map((line) => JSON.parse(line).instanceId)).toEqual([idOf(1), idOf(2)]);
  expect(looks()).toBe(4);
});

it('a record without a key is no mailbox, and ends nothing', async () => {
  await handler({ Records: [...event(undefined, box(1)).Records, { dynamodb: { Keys: {} } }, {}] });
  expect(logged).toHaveLength(2);
});

it('a mailbox that fails is tried again, after the others', async () => {
  endpoint.client.middlewareStack.add(
    (next) => async (args) => {
      if (JSON.stringify(args.input).includes(box(1))) throw new Error('Throttled.');
      return next(args);
    },
    { step: 'initialize' },
  );
  await expect(handler(event(box(1), box(2)))).rejects.toThrow('Throttled.');
  expect(logged.map((line) => JSON.parse(line).instanceId)).toEqual([idOf(2)]);
});

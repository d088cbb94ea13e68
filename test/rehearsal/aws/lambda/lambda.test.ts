import { closeWorlds, lambdaFunction, MINUTE, queue, role, World, type Resources } from '../world';

afterEach(closeWorlds);

const dead: Resources = { Dead: { Type: 'AWS::SQS::Queue', Properties: {} } };

function queueMapping(properties: Record<string, any> = {}): Resources {
  return {
    ...role,
    ...queue,
    Fn: lambdaFunction({ Environment: { Variables: { QUEUE: { Ref: 'Queue' } } } }),
    Mapping: {
      Type: 'AWS::Lambda::EventSourceMapping',
      Properties: { FunctionName: { Ref: 'Fn' }, EventSourceArn: { 'Fn::GetAtt': ['Queue', 'Arn'] }, ...properties },
    },
  };
}

async function withQueue(properties: Record<string, any> = {}, options = {}) {
  const world = new World(options);
  await world.create(queueMapping(properties));
  const send = (body: string) =>
    world.call('sqs', 'SendMessage', { QueueUrl: world.physicalId('Queue'), MessageBody: body });
  const left = () =>
    world.region
      .queues()
      .find((candidate) => world.physicalId('Queue').endsWith(candidate.name))!
      .peek().length;
  return { world, send, left };
}

// Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
test('messages reach the function in the shape of an SQS event and are deleted when it succeeds', async () => {
  const { world, send, left } = await withQueue();
  const { MessageId } = await send('hello');
  await world.clock.settle();
  expect(world.functions.of('Fn')).toHaveLength(1);
  expect(world.functions.of('Fn')[0]!.event).toEqual({
    Records: [
      {
        messageId: MessageId,
        receiptHandle: expect.any(String),
        body: 'hello',
        attributes: {
          SenderId: expect.any(String),
          SentTimestamp: expect.any(String),
          ApproximateReceiveCount: '1',
          ApproximateFirstReceiveTimestamp: expect.any(String),
        },
        messageAttributes: {},
        md5OfBody: '5d41402abc4b2a76b9719d911017c592',
        eventSource: 'aws:sqs',
        eventSourceARN: expect.stringMatching(/^arn:aws:sqs:us-east-1:123456789012:/),
        awsRegion: 'us-east-1',
      },
    ],
  });
  expect(left()).toBe(0);
});

// Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
test('the function gets the environment of the template, what Lambda sets, and credentials of its role', async () => {
  const { world, send } = await withQueue();
  await send('x');
  await world.clock.settle();
  const { fn } = world.functions.of('Fn')[0]!;
  expect(fn).toMatchObject({
    logicalId: 'Fn',
    handler: 'index.handler',
    timeoutMs: 10_000,
    environment: { QUEUE: world.physicalId('Queue'), AWS_REGION: 'us-east-1', AWS_LAMBDA_FUNCTION_NAME: fn.name },
  });
  expect(fn.codePath).toMatch(/\/code$/);
  const identity = await world.region.call({
    service: 'sts',
    action: 'GetCallerIdentity',
    input: {},
    accessKeyId: fn.credentials.accessKeyId,
  });
  expect(identity.Arn).toBe(`arn:aws:sts::123456789012:assumed-role/${world.physicalId('Role')}/${fn.name}`);
});

// Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
test('messages of a failed invocation come back after the visibility timeout', async () => {
  const { world, send, left } = await withQueue();
  let failures = 1;
  world.functions.handlers.Fn = async () => {
    if (failures-- > 0) throw new Error('no luck');
  };
  await send('again');
  await world.clock.advance(59_000);
  expect(world.functions.of('Fn')).toHaveLength(1);
  await world.clock.advance(1_000);
  expect(world.functions.of('Fn')).toHaveLength(2);
  expect(left()).toBe(0);
  expect(world.what('lambda')).toEqual(['failed', 'invoked']);
  expect(world.events.find((event) => event.what === 'failed')!.detail).toMatchObject({
    logicalId: 'Fn',
    reason: 'no luck',
  });
});

// Source:
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
test('with ReportBatchItemFailures only the messages named come back', async () => {
  const { world, send, left } = await withQueue({
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumBatchingWindowInSeconds: 1,
  });
  world.functions.handlers.Fn = async (event) => ({
    batchItemFailures: event.Records.filter((record: any) => record.body === 'bad').map((record: any) => ({
      itemIdentifier: record.messageId,
    })),
  });
  await send('good');
  await send('bad');
  await world.clock.advance(1_000);
  expect(world.functions.of('Fn')[0]!.event.Records).toHaveLength(2);
  expect(left()).toBe(1);
});

// Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html#events-sqs-max-concurrency
test('no more invocations run at once than MaximumConcurrency, and each takes at most the batch size', async () => {
  const { world, send, left } = await withQueue({ BatchSize: 2, ScalingConfig: { MaximumConcurrency: 2 } });
  let running = 0;
  let most = 0;
  world.functions.handlers.Fn = async (event) => {
    expect(event.Records.length).toBeLessThanOrEqual(2);
    most = Math.max(most, (running += 1));
    await world.clock.sleep(1_000);
    running -= 1;
  };
  for (let n = 0; n < 11; n += 1) await send(String(n));
  await world.clock.advance(10_000);
  expect(most).toBe(2);
  expect(left()).toBe(0);
});

test('a queue mapping without a bound starts with five invocations at once', async () => {
  const { world, send } = await withQueue({ BatchSize: 1 });
  world.functions.handlers.Fn = () => world.clock.sleep(1_000);
  for (let n = 0; n < 8; n += 1) await send(String(n));
  await world.clock.advance(500);
  expect(world.functions.of('Fn')).toHaveLength(5);
});

/** Does something that many turns of the microtask queue from now. */
async function after(hops: number, work: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < hops; n += 1) await Promise.resolve();
  await work();
}

test('a message that comes just when every poller has found the queue empty is not missed', async () => {
  const { world, send, left } = await withQueue({ ScalingConfig: { MaximumConcurrency: 2 }, BatchSize: 1 });
  for (let hops = 0; hops < 30; hops += 1) {
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    world.functions.handlers.Fn = () => released;
    await send('first');
    await send('first');
    await world.clock.settle();
    release();
    await after(hops, () => send('second'));
    await world.clock.settle();
    expect(left()).toBe(0);
  }
});

// Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
test('a mapping is refused when the queue hides messages for less than the timeout of the function', async () => {
  const world = new World();
  const resources = queueMapping();
  resources.Fn!.Properties.Timeout = 61;
  await expect(world.create(resources)).rejects.toThrow(
    'Queue visibility timeout: 60 seconds is less than Function timeout: 61 seconds',
  );
});

// Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
test('reserved concurrency is refused, as in a new account', async () => {
  const world = new World();
  await expect(world.create({ ...role, Fn: lambdaFunction({ ReservedConcurrentExecutions: 1 }) })).rejects.toThrow(
    'UnreservedConcurrentExecution below its minimum value of [10]',
  );
});

test('what is slept because of the delay of queues is counted apart', async () => {
  const { world, send } = await withQueue({}, { delays: { queue: 250 } });
  const start = world.clock.now();
  await send('x');
  await world.clock.advance(1_000);
  expect(world.functions.of('Fn')[0]!.at - start).toBe(250);
  expect(world.region.delayed()).toBe(250);
});

describe('a mapping on a table stream', () => {
  function streamMapping(properties: Record<string, any> = {}): Resources {
    return {
      ...role,
      ...dead,
      Table: {
        Type: 'AWS::DynamoDB::Table',
        Properties: {
          KeySchema: [
            { AttributeName: 'pk', KeyType: 'HASH' },
            { AttributeName: 'sk', KeyType: 'RANGE' },
          ],
          AttributeDefinitions: [
            { AttributeName: 'pk', AttributeType: 'S' },
            { AttributeName: 'sk', AttributeType: 'S' },
          ],
          StreamSpecification: { StreamViewType: 'KEYS_ONLY' },
        },
      },
      Fn: lambdaFunction(),
      Mapping: {
        Type: 'AWS::Lambda::EventSourceMapping',
        Properties: {
          FunctionName: { 'Fn::GetAtt': ['Fn', 'Arn'] },
          EventSourceArn: { 'Fn::GetAtt': ['Table', 'StreamArn'] },
          StartingPosition: 'TRIM_HORIZON',
          ...properties,
        },
      },
    };
  }

  async function withStream(properties: Record<string, any> = {}, options = {}) {
    const world = new World(options);
    await world.create(streamMapping(properties));
    let value = 0;
    const write = (sk: string) =>
      world.call('dynamodb', 'PutItem', {
        TableName: world.physicalId('Table'),
        Item: { pk: { S: 'node' }, sk: { S: sk }, value: { N: String((value += 1)) } },
      });
    const keys = (n: number) =>
      world.functions.of('Fn')[n]!.event.Records.map((record: any) => record.dynamodb.Keys.sk.S);
    return { world, write, keys };
  }

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
  test('gets the records of the table in order, with their keys', async () => {
    const { world, write } = await withStream();
    await write('report');
    await world.clock.settle();
    const [record] = world.functions.of('Fn')[0]!.event.Records;
    expect(record).toMatchObject({
      eventName: 'INSERT',
      eventSource: 'aws:dynamodb',
      dynamodb: { Keys: { pk: { S: 'node' }, sk: { S: 'report' } } },
    });
    expect(record.eventSourceARN).toMatch(/:table\/.*\/stream\//);
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
  test('is not invoked for records that none of its filters match', async () => {
    const { world, write, keys } = await withStream({
      FilterCriteria: {
        Filters: [{ Pattern: JSON.stringify({ dynamodb: { Keys: { sk: { S: ['report', { prefix: 'swarm#' }] } } } }) }],
      },
      MaximumBatchingWindowInSeconds: 1,
    });
    await write('heartbeat');
    await world.clock.advance(2_000);
    expect(world.functions.of('Fn')).toHaveLength(0);
    for (const sk of ['heartbeat', 'swarm#0', 'report']) await write(sk);
    await world.clock.advance(2_000);
    expect(keys(0)).toEqual(['swarm#0', 'report']);
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-errors.html
  test('holds later records back while a batch fails, gives it up after its retries, and goes on', async () => {
    const { world, write, keys } = await withStream({
      BatchSize: 1,
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['Dead', 'Arn'] } } },
    });
    world.functions.handlers.Fn = async (event) => {
      if (event.Records[0].dynamodb.Keys.sk.S === 'bad') throw new Error('no');
    };
    await write('bad');
    await write('good');
    await world.clock.advance(MINUTE);
    expect([0, 1, 2, 3].map((n) => keys(n)[0])).toEqual(['bad', 'bad', 'bad', 'good']);
    const discarded = world.events.find((event) => event.what === 'discarded')!;
    expect(discarded.detail).toMatchObject({ reason: 'RetryAttemptsExhausted', records: 1 });
    const { Messages } = await world.call('sqs', 'ReceiveMessage', { QueueUrl: world.physicalId('Dead') });
    expect(JSON.parse(Messages[0].Body).requestContext.condition).toBe('RetryAttemptsExhausted');
  });

  // Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
  test('drops records older than MaximumRecordAgeInSeconds instead of retrying them', async () => {
    const { world, write } = await withStream({ MaximumRecordAgeInSeconds: 60 });
    world.functions.handlers.Fn = async () => {
      throw new Error('no');
    };
    await write('report');
    const written = world.clock.now();
    await world.clock.advance(10 * MINUTE);
    expect(world.functions.of('Fn').every((invocation) => invocation.at - written <= 60_000)).toBe(true);
    expect(world.events.find((event) => event.what === 'discarded')!.detail.reason).toBe('RecordAgeExceeded');
  });

  test('retries for ever without bounds, which is the default of Lambda', async () => {
    const { world, write } = await withStream();
    world.functions.handlers.Fn = async () => {
      throw new Error('no');
    };
    await write('report');
    await world.clock.advance(60 * MINUTE);
    const before = world.functions.of('Fn').length;
    await world.clock.advance(10 * MINUTE);
    expect(world.functions.of('Fn').length).toBeGreaterThan(before);
  });

  test('splits a failing batch in two when told to bisect', async () => {
    const { world, write, keys } = await withStream({
      BisectBatchOnFunctionError: true,
      MaximumRetryAttempts: 1,
      MaximumBatchingWindowInSeconds: 1,
    });
    world.functions.handlers.Fn = async (event) => {
      if (event.Records.some((record: any) => record.dynamodb.Keys.sk.S === 'bad')) throw new Error('no');
    };
    await write('good');
    await write('bad');
    await world.clock.advance(MINUTE);
    expect([0, 1].map(keys)).toEqual([['good', 'bad'], ['good']]);
  });

  test('does not miss what is written just when it has read everything', async () => {
    const { world, write } = await withStream({ BatchSize: 1 });
    for (let hops = 0; hops < 30; hops += 1) {
      let once = true;
      world.functions.handlers.Fn = async () => {
        if (once) void after(hops, () => write(`second-${hops}`));
        once = false;
      };
      const before = world.functions.of('Fn').length;
      await write(`first-${hops}`);
      await world.clock.settle();
      expect(world.functions.of('Fn').length - before).toBe(2);
    }
  });
});

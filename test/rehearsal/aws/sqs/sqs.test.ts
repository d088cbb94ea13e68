import { closeWorlds, World } from '../world';

afterEach(closeWorlds);

const queues = {
  Dead: { Type: 'AWS::SQS::Queue', Properties: {} },
  Queue: {
    Type: 'AWS::SQS::Queue',
    Properties: {
      VisibilityTimeout: 60,
      MessageRetentionPeriod: 600,
      RedrivePolicy: { deadLetterTargetArn: { 'Fn::GetAtt': ['Dead', 'Arn'] }, maxReceiveCount: 2 },
    },
  },
};

async function twoQueues() {
  const world = new World();
  await world.create(queues);
  const url = world.physicalId('Queue');
  return {
    world,
    url,
    dead: world.physicalId('Dead'),
    send: (body: string, options = {}) =>
      world.call('sqs', 'SendMessage', { QueueUrl: url, MessageBody: body, ...options }),
    receive: async (options = {}) =>
      (await world.call('sqs', 'ReceiveMessage', { QueueUrl: url, MaxNumberOfMessages: 10, ...options })).Messages ??
      [],
  };
}

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
test('a received message is hidden until its visibility timeout, then comes again with a higher count', async () => {
  const { world, send, receive } = await twoQueues();
  await send('hello');
  const [first] = await receive({ AttributeNames: ['All'] });
  expect(first).toMatchObject({
    Body: 'hello',
    MD5OfBody: '5d41402abc4b2a76b9719d911017c592',
    Attributes: { ApproximateReceiveCount: '1' },
  });
  await world.clock.advance(59_000);
  expect(await receive()).toEqual([]);
  await world.clock.advance(1_000);
  const [second] = await receive();
  expect(second).toMatchObject({ MessageId: first.MessageId, Attributes: { ApproximateReceiveCount: '2' } });
  expect(second.ReceiptHandle).not.toBe(first.ReceiptHandle);
});

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
test('a message is deleted by the handle of its last receipt only', async () => {
  const { world, url, send, receive } = await twoQueues();
  await send('hello');
  const [first] = await receive({ VisibilityTimeout: 0 });
  const [second] = await receive();
  await world.call('sqs', 'DeleteMessage', { QueueUrl: url, ReceiptHandle: first.ReceiptHandle });
  expect(
    world.region
      .queues()
      .find((queue) => url.endsWith(queue.name))!
      .peek(),
  ).toHaveLength(1);
  await world.call('sqs', 'DeleteMessage', { QueueUrl: url, ReceiptHandle: second.ReceiptHandle });
  expect(
    world.region
      .queues()
      .find((queue) => url.endsWith(queue.name))!
      .peek(),
  ).toHaveLength(0);
});

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
test('a message received more often than maxReceiveCount moves to the dead-letter queue with its id', async () => {
  const { world, dead, send, receive } = await twoQueues();
  const { MessageId } = await send('poison');
  await receive({ VisibilityTimeout: 0 });
  await receive({ VisibilityTimeout: 0 });
  expect(await receive()).toEqual([]);
  const { Messages } = await world.call('sqs', 'ReceiveMessage', { QueueUrl: dead });
  expect(Messages).toMatchObject([{ MessageId, Body: 'poison' }]);
  expect(world.what('sqs')).toEqual(['dead-lettered']);
});

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
test('a long poll ends when a message comes, or empty when its time is up', async () => {
  const { world, send, receive } = await twoQueues();
  const poll = receive({ WaitTimeSeconds: 20 });
  await world.clock.advance(5_000);
  await send('late');
  expect(await poll).toMatchObject([{ Body: 'late' }]);
  const empty = receive({ WaitTimeSeconds: 20 });
  expect(await world.clock.finish(empty, 20_000)).toEqual([]);
});

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
test('a delayed message shows when its delay is over, and any message is gone after the retention period', async () => {
  const { world, send, receive } = await twoQueues();
  await send('later', { DelaySeconds: 30 });
  expect(await receive()).toEqual([]);
  await world.clock.advance(30_000);
  expect(await receive({ VisibilityTimeout: 1 })).toHaveLength(1);
  await world.clock.advance(600_000);
  expect(await receive()).toEqual([]);
});

// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
test('changing the visibility of a received message brings it back sooner', async () => {
  const { world, url, send, receive } = await twoQueues();
  await send('hello');
  const [message] = await receive();
  await world.call('sqs', 'ChangeMessageVisibility', {
    QueueUrl: url,
    ReceiptHandle: message.ReceiptHandle,
    VisibilityTimeout: 0,
  });
  expect(await receive()).toHaveLength(1);
});

test(
  'queue URLs begin with the endpoint of the emulation, are found by name, and a queue that does not exist ' +
    'is refused in the words of SQS',
  async () => {
    const world = new World();
    world.region.endpoint = 'http://127.0.0.1:4566';
    await world.create({ Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'jobs' } } });
    expect(world.physicalId('Queue')).toBe('http://127.0.0.1:4566/123456789012/jobs');
    expect(await world.call('sqs', 'GetQueueUrl', { QueueName: 'jobs' })).toEqual({
      QueueUrl: 'http://127.0.0.1:4566/123456789012/jobs',
    });
    expect(
      await world.call('sqs', 'GetQueueAttributes', {
        QueueUrl: world.physicalId('Queue'),
        AttributeNames: ['ApproximateNumberOfMessages'],
      }),
    ).toEqual({
      Attributes: { ApproximateNumberOfMessages: '0' },
    });
    expect(
      await world.refusal('sqs', 'SendMessage', {
        QueueUrl: 'http://127.0.0.1:4566/123456789012/none',
        MessageBody: 'x',
      }),
    ).toBe('QueueDoesNotExist: The specified queue does not exist.');
  },
);

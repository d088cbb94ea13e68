import { closeWorlds, World } from '../world';

afterEach(closeWorlds);

async function withGroup() {
  const world = new World();
  await world.create({
    Group: { Type: 'AWS::Logs::LogGroup', Properties: { LogGroupName: '/swarm', RetentionInDays: 7 } },
  });
  const stream = { logGroupName: '/swarm', logStreamName: 'i-1/boot' };
  return { world, stream };
}

// Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html
test('a log stream is made once; the second time it already exists', async () => {
  const { world, stream } = await withGroup();
  await world.call('logs', 'CreateLogStream', stream);
  expect(await world.refusal('logs', 'CreateLogStream', stream)).toBe(
    'ResourceAlreadyExistsException: The specified log stream already exists',
  );
  expect(await world.refusal('logs', 'CreateLogStream', { ...stream, logGroupName: 'none' })).toBe(
    'ResourceNotFoundException: The specified log group does not exist.',
  );
  expect(await world.refusal('logs', 'CreateLogStream', { ...stream, logStreamName: 'a:b' })).toMatch(
    /^InvalidParameterException/,
  );
});

// Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
test('log lines are kept in their stream and can be read by tests', async () => {
  const { world, stream } = await withGroup();
  await world.call('logs', 'CreateLogStream', stream);
  await world.call('logs', 'PutLogEvents', {
    ...stream,
    logEvents: [
      { timestamp: 1, message: 'one' },
      { timestamp: 2, message: 'two' },
    ],
  });
  expect(world.region.logs.lines('/swarm', 'i-1/boot')).toEqual([
    { timestamp: 1, message: 'one' },
    { timestamp: 2, message: 'two' },
  ]);
  expect(world.region.logs.streamNames('/swarm')).toEqual(['i-1/boot']);
  expect((await world.call('logs', 'GetLogEvents', stream)).events).toHaveLength(2);
});

test('log lines out of order, too many at once, or for a stream that does not exist are refused', async () => {
  const { world, stream } = await withGroup();
  expect(await world.refusal('logs', 'PutLogEvents', { ...stream, logEvents: [{ timestamp: 1, message: 'x' }] })).toBe(
    'ResourceNotFoundException: The specified log stream does not exist.',
  );
  await world.call('logs', 'CreateLogStream', stream);
  expect(
    await world.refusal('logs', 'PutLogEvents', {
      ...stream,
      logEvents: [
        { timestamp: 2, message: 'x' },
        { timestamp: 1, message: 'y' },
      ],
    }),
  ).toMatch('chronological order');
  expect(
    await world.refusal('logs', 'PutLogEvents', {
      ...stream,
      logEvents: [{ timestamp: 1, message: 'x'.repeat(1_048_576) }],
    }),
  ).toMatch('Upload too large');
  expect(await world.refusal('logs', 'PutLogEvents', { ...stream, logEvents: [] })).toMatch(
    'InvalidParameterException',
  );
});

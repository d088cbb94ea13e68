/** Custom resources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html */
import { respondByHttp } from '../../../../lambda/target-update/custom-resource';
import { serveAws } from '../../../../rehearsal/aws/wire/http';
import { closeWorlds, lambdaFunction, MINUTE, role, World, type Resources } from '../world';

afterEach(closeWorlds);

const withCustom = (properties: Record<string, unknown>, more: Resources = {}): Resources => ({
  ...role,
  Fn: lambdaFunction(),
  Custom: { Type: 'Custom::Thing', Properties: { ServiceToken: { 'Fn::GetAtt': ['Fn', 'Arn'] }, ...properties } },
  ...more,
});
const asked = (world: World) => world.functions.of('Fn').map(({ event }) => event);

/** The function answers each request so; undefined for not at all. */
function answering(answer: (event: any) => Record<string, unknown> | undefined): World {
  const world = new World();
  world.functions.handlers.Fn = async (event) => {
    const given = answer(event);
    if (given)
      world.region.put(
        event.ResponseURL,
        JSON.stringify({
          PhysicalResourceId: 'thing',
          RequestId: event.RequestId,
          StackId: event.StackId,
          LogicalResourceId: event.LogicalResourceId,
          ...given,
        }),
      );
  };
  return world;
}

test(
  'its function is told what is wanted, numbers and truth values as texts, and what it answers is what the ' +
    'template gets',
  async () => {
    const world = answering(() => ({ Status: 'SUCCESS', Data: { Name: 'made' } }));
    const outputs = await world.create(withCustom({ Count: 3, On: true, List: [1] }), {
      Outputs: { Id: { Value: { Ref: 'Custom' } }, Name: { Value: { 'Fn::GetAtt': ['Custom', 'Name'] } } },
    });
    expect(asked(world)).toMatchObject([
      {
        RequestType: 'Create',
        LogicalResourceId: 'Custom',
        ResourceType: 'Custom::Thing',
        ResourceProperties: { Count: '3', On: 'true', List: ['1'] },
        StackId: expect.stringContaining(':stack/Stack/'),
      },
    ]);
    expect(outputs).toEqual({ Id: 'thing', Name: 'made' });
  },
);

test(
  'a change is told with what was before, a deletion with the physical id, and nothing when nothing has ' + 'changed',
  async () => {
    const world = answering(() => ({ Status: 'SUCCESS' }));
    await world.create(withCustom({ Count: 3 }));
    await world.update(withCustom({ Count: 3 }));
    await world.update(withCustom({ Count: 4 }));
    await world.delete();
    expect(asked(world).slice(1)).toMatchObject([
      {
        RequestType: 'Update',
        PhysicalResourceId: 'thing',
        ResourceProperties: { Count: '4' },
        OldResourceProperties: { Count: '3' },
      },
      {
        RequestType: 'Delete',
        PhysicalResourceId: 'thing',
        LogicalResourceId: 'Custom',
        ResourceProperties: { Count: '4' },
      },
    ]);
    expect(world.region.remains()).toEqual([]);
  },
);

test('where its function says that it failed, or says nothing in time, the stack fails with the reason', async () => {
  const failing = answering(() => ({ Status: 'FAILED', Reason: 'It is broken.' }));
  await expect(failing.create(withCustom({}))).rejects.toThrow(
    'Received response status [FAILED] from custom resource. Message returned: It is broken.',
  );
  const silent = answering(() => undefined);
  await expect(silent.create(withCustom({ ServiceTimeout: 120 }))).rejects.toThrow(
    'CloudFormation did not receive a response from your Custom Resource.',
  );
});

test('one that fails is tried twice more, a minute and two minutes later', async () => {
  let tries = 0;
  const world = answering(() => {
    if (++tries < 3) throw new Error('Not yet.');
    return { Status: 'SUCCESS' };
  });
  await world.create(withCustom({}));
  const times = world.functions.of('Fn').map(({ at }) => at);
  expect(times.map((at) => at - times[0]!)).toEqual([0, MINUTE, 3 * MINUTE]);
});

test('what depends on it waits for its answer', async () => {
  const world = answering(() => ({ Status: 'SUCCESS' }));
  await world.create(
    withCustom(
      {},
      { After: { Type: 'AWS::Logs::LogGroup', DependsOn: 'Custom', Properties: { LogGroupName: '/after' } } },
    ),
  );
  const done = world.events.filter(({ what }) => what === 'create-complete').map(({ subject }) => subject);
  expect(done.indexOf('Custom')).toBeLessThan(done.indexOf('After'));
});

test('an answer is put over HTTP, without a signature', async () => {
  const put: string[][] = [];
  const server = await serveAws(
    { call: async () => ({}), put: (path, body) => void put.push([path, body]) },
    { host: '127.0.0.1', port: 0 },
  );
  try {
    await respondByHttp(`${server.url}/custom-resource/1?signature=x`, '{"Status":"SUCCESS"}');
    expect(put).toEqual([['/custom-resource/1?signature=x', '{"Status":"SUCCESS"}']]);
  } finally {
    await server.close();
  }
});

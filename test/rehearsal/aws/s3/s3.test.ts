import { closeWorlds, World } from '../world';

afterEach(closeWorlds);

// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
test('a published file asset is served byte for byte, and an unknown key is NoSuchKey', async () => {
  const world = new World();
  await world.create({ Group: { Type: 'AWS::Logs::LogGroup' } });
  const object = await world.call('s3', 'GetObject', { Bucket: 'assets-123456789012', Key: 'file.txt' });
  expect(object.Body.toString()).toBe('contents');
  expect(object.ContentLength).toBe(8);
  expect(await world.call('s3', 'HeadObject', { Bucket: 'assets-123456789012', Key: 'file.txt' })).toMatchObject({
    ContentLength: 8,
  });
  expect(await world.refusal('s3', 'GetObject', { Bucket: 'assets-123456789012', Key: 'none' })).toBe(
    'NoSuchKey: The specified key does not exist.',
  );
  await expect(world.call('s3', 'GetObject', { Bucket: 'assets-123456789012', Key: 'code.zip' })).rejects.toThrow(
    'does not serve it as a file',
  );
});

/**
 * The instance metadata service of the emulated EC2. Pages are below
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ ; each test names its own.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fromInstanceMetadata } from '@smithy/credential-provider-imds';
import { systemClock, type Clock } from '../../../../protocol/clock';
import { instanceMetadata } from '../../../../agent/identity';
import { imdsHandler, type InstanceMetadata } from '../../../../rehearsal/aws/imds/imds';

// The SDK's provider compares with the machine's own clock.
const start = systemClock.now();
let now = start;
let ids = 0;
const clock = { now: () => now, uuid: () => `uuid-${(ids += 1)}` } as Clock;

const instance: InstanceMetadata = {
  instanceId: 'i-0123456789abcdef0',
  privateIpAddress: '10.0.0.5',
  availabilityZone: 'eu-central-1a',
  region: 'eu-central-1',
  instanceType: 't4g.small',
  instanceLifeCycle: 'spot',
  tags: { Name: 'x' },
  roleName: 'node-role',
  credentials: { accessKeyId: 'ASIAX', secretAccessKey: 'secret', sessionToken: 'token' },
  targetLifecycleState: 'InService',
  userData: '#!/bin/bash\necho hällo\n',
};
let known: Record<string, InstanceMetadata>;
let server: Server;
let url: string;

beforeEach(async () => {
  now = start;
  known = { '127.0.0.1': instance };
  server = createServer(imdsHandler((ip) => known[ip], clock));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
});

const token = async (seconds = '60') => {
  const response = await fetch(`${url}/latest/api/token`, {
    method: 'PUT',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': seconds },
  });
  expect(response.status).toBe(200);
  return response.text();
};
const get = async (path: string, withToken?: string) => {
  const response = await fetch(url + path, { headers: { 'x-aws-ec2-metadata-token': withToken ?? (await token()) } });
  return { status: response.status, body: await response.text() };
};

// instancedata-data-retrieval.html
test('without a token, with a wrong one or after its life, an instance learns nothing', async () => {
  expect((await fetch(`${url}/latest/meta-data/instance-id`)).status).toBe(401);
  expect((await get('/latest/meta-data/instance-id', 'wrong')).status).toBe(401);
  const short = await token('1');
  expect(await get('/latest/meta-data/instance-id', short)).toEqual({ status: 200, body: instance.instanceId });
  now += 1000;
  expect((await get('/latest/meta-data/instance-id', short)).status).toBe(401);
});

// instancedata-data-retrieval.html : a token is valid for the instance that asked for it
test('a token of another instance is refused', async () => {
  const given = await token();
  known = { '127.0.0.1': { ...instance, instanceId: 'i-0fedcba9876543210' } };
  expect((await get('/latest/meta-data/instance-id', given)).status).toBe(401);
});

// configuring-instance-metadata-service.html
test.each([
  ['without a life', {}, 400],
  ['with a life of nothing', { 'x-aws-ec2-metadata-token-ttl-seconds': '0' }, 400],
  ['with a life of more than six hours', { 'x-aws-ec2-metadata-token-ttl-seconds': '21601' }, 400],
  ['through a proxy', { 'x-aws-ec2-metadata-token-ttl-seconds': '60', 'x-forwarded-for': '10.0.0.9' }, 403],
])('a token asked for %s is refused', async (_, headers, status) => {
  expect(
    (await fetch(`${url}/latest/api/token`, { method: 'PUT', headers: headers as Record<string, string> })).status,
  ).toBe(status);
});

// ec2-instance-metadata.html
test.each([
  ['meta-data/instance-id', instance.instanceId],
  ['meta-data/local-ipv4', '10.0.0.5'],
  ['meta-data/placement/availability-zone', 'eu-central-1a'],
  ['meta-data/placement/region', 'eu-central-1'],
  ['meta-data/instance-type', 't4g.small'],
  ['meta-data/instance-life-cycle', 'spot'],
  ['meta-data/iam/security-credentials', 'node-role'],
  ['meta-data/iam/security-credentials/', 'node-role'],
  // https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
  ['meta-data/autoscaling/target-lifecycle-state', 'InService'],
  ['user-data', instance.userData],
])('%s', async (path, body) => {
  expect(await get(`/latest/${path}`)).toEqual({ status: 200, body });
});

// spot-instance-termination-notices.html, rebalance-recommendations.html : 404 until there is a notice
test.each([
  'meta-data/spot/instance-action',
  'meta-data/events/recommendations/rebalance',
  'meta-data/tags/instance',
  'meta-data/iam/security-credentials/other-role',
  'meta-data/no/such/thing',
  'toString',
])('%s is not found', async (path) => {
  expect((await get(`/latest/${path}`)).status).toBe(404);
});

test('outside Auto Scaling there is no target state, and without user data there is none', async () => {
  const { targetLifecycleState: _none, ...outside } = instance;
  known = { '127.0.0.1': { ...outside, userData: '' } };
  expect((await get('/latest/meta-data/autoscaling/target-lifecycle-state')).status).toBe(404);
  expect((await get('/latest/user-data')).status).toBe(404);
});

// instance-identity-documents.html, iam-roles-for-amazon-ec2.html
test('the identity document and the profile name this instance', async () => {
  expect(JSON.parse((await get('/latest/dynamic/instance-identity/document')).body)).toMatchObject({
    instanceId: instance.instanceId,
    region: 'eu-central-1',
    availabilityZone: 'eu-central-1a',
    accountId: '123456789012',
    privateIp: '10.0.0.5',
    instanceType: 't4g.small',
  });
  expect(JSON.parse((await get('/latest/meta-data/iam/info')).body)).toMatchObject({
    Code: 'Success',
    InstanceProfileArn: 'arn:aws:iam::123456789012:instance-profile/node-role',
  });
});

// iam-roles-for-amazon-ec2.html#instance-metadata-security-credentials
test("the SDK's own provider gets the role's credentials, valid for hours", async () => {
  process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = url;
  try {
    const credentials = await fromInstanceMetadata({ maxRetries: 0 })();
    expect(credentials).toMatchObject({ accessKeyId: 'ASIAX', secretAccessKey: 'secret', sessionToken: 'token' });
    expect(credentials.expiration!.getTime() - start).toBe(6 * 60 * 60 * 1000);
  } finally {
    delete process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT;
  }
});

test('a caller that is no instance is told so', async () => {
  known = {};
  const response = await fetch(`${url}/latest/meta-data/instance-id`);
  expect(response.status).toBe(500);
  expect(await response.text()).toBe('No instance of the emulated EC2 has the address 127.0.0.1.');
});

// spot-instance-termination-notices.html
test('a spot instance that is taken back finds when, and the agent that it is', async () => {
  const { notice } = instanceMetadata({ endpoint: url });
  expect(await notice()).toBeUndefined();
  known = { '127.0.0.1': { ...instance, terminatedAt: 1_767_323_045_678 } };
  expect(JSON.parse((await get('/latest/meta-data/spot/instance-action')).body)).toEqual({
    action: 'terminate',
    time: '2026-01-02T03:04:05Z',
  });
  expect(await notice()).toBe('interruption');
  known = {};
  await expect(notice()).rejects.toThrow();
});

// retrieving-target-lifecycle-state-through-imds.html
test(
  'an instance finds that its group terminates it, and so does the agent, whether it is a spot instance or ' + 'not',
  async () => {
    const { notice } = instanceMetadata({ endpoint: url });
    known = { '127.0.0.1': { ...instance, targetLifecycleState: 'InService' } };
    expect(await notice()).toBeUndefined();
    known = { '127.0.0.1': { ...instance, targetLifecycleState: 'Terminated', terminatedAt: 1_767_323_045_678 } };
    expect(await notice()).toBe('termination');
  },
);

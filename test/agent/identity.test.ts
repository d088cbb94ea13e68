import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { instanceMetadata, type Metadata } from '../../agent/identity';

let server: Server;
let metadata: Metadata;
/** What the metadata service knows, by path. */
let paths: Record<string, string | number>;
let tokens: (string | undefined)[];

beforeEach(async () => {
  paths = {};
  tokens = [];
  server = createServer(({ method, url, headers }, response) => {
    if (method === 'PUT' && url === '/latest/api/token') return void response.end('token');
    tokens.push(headers['x-aws-ec2-metadata-token'] as string | undefined);
    const known = paths[url!.replace('/latest/meta-data/', '')];
    if (typeof known === 'string') response.end(known);
    else response.writeHead(known ?? 404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  metadata = instanceMetadata({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const TARGET_STATE = 'autoscaling/target-lifecycle-state';
const SPOT = 'spot/instance-action';

it.each<[string, Record<string, string>, string | undefined]>([
  ['nobody is about to end it', {}, undefined],
  ['it is to be in service', { [TARGET_STATE]: 'InService' }, undefined],
  ['its group terminates it', { [TARGET_STATE]: 'Terminated' }, 'termination'],
  ['EC2 takes it back', { [SPOT]: '{"action":"terminate"}' }, 'interruption'],
  ['EC2 takes back what its group keeps', { [TARGET_STATE]: 'InService', [SPOT]: '{"action":"stop"}' }, 'interruption'],
  ['both end it', { [TARGET_STATE]: 'Terminated', [SPOT]: '{"action":"terminate"}' }, 'termination'],
])('an instance learns from its metadata that %s', async (_, known, notice) => {
  paths = known;
  expect(await metadata.notice()).toBe(notice);
  expect(new Set(tokens)).toEqual(new Set(['token']));
});

it('an error of the metadata service is no answer', async () => {
  paths = { [TARGET_STATE]: 403 };
  await expect(metadata.notice()).rejects.toThrow();
});

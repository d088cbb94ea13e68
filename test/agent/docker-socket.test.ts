import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DockerSocket } from '../../agent/docker-socket';
import { EngineError } from '../../agent/engine';
import { CERTIFICATE_LABEL, DRAINED_FOR_LABEL, IDLE_FOR_LABEL, INSTANCE_ID_LABEL } from '../../protocol/labels';
import { MAX_CERTIFICATE, MAX_PORTS } from '../../protocol/swarm';

type Answer = { status?: number; body?: unknown; hangs?: true };

let folder: string;
let server: Server;
let engine: DockerSocket;
/** What the engine was asked, with query and body, in order. */
let asked: { request: string; body: any }[];
/** The headers of the last one. */
let headers: IncomingHttpHeaders;
/** By method and path without version and query; a list is answered one after the other. */
let answers: Record<string, Answer | Answer[]>;
let ping: Record<string, string>;

beforeEach(async () => {
  asked = [];
  answers = {};
  ping = { 'api-version': '1.44' };
  folder = mkdtempSync(join(tmpdir(), 'docker-socket-'));
  server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const text = Buffer.concat(parts).toString();
    const path = decodeURIComponent(request.url!);
    headers = request.headers;
    if (path === '/_ping' && !answers['GET /_ping']) return void response.writeHead(200, ping).end('OK');
    asked.push({ request: `${request.method} ${path}`, body: text === '' ? undefined : JSON.parse(text) });
    const given = answers[`${request.method} ${path.replace(/^\/v[\d.]+/, '').split('?')[0]}`];
    const { status = 200, body = '', hangs } = (Array.isArray(given) ? given.shift() : given) ?? { status: 404 };
    if (hangs) return;
    response.writeHead(status).end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  }).listen(join(folder, 'docker.sock'));
  await once(server, 'listening');
  engine = new DockerSocket(join(folder, 'docker.sock'));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const requests = () => asked.map(({ request }) => request);

describe('a request', () => {
  beforeEach(() => void (answers = { 'GET /info': { body: { ServerVersion: '25.0.8' } } }));

  it('asks for the API version that the engine says it speaks', async () => {
    await engine.info();
    await engine.info();
    expect(requests()).toEqual(['GET /v1.44/info', 'GET /v1.44/info']);
  });

  it.each([[{}], [{ 'api-version': 'x1.44' }], [{ 'api-version': '1.44x' }], [{ 'api-version': '1' }]])(
    'fails when the engine names no version: %j',
    async (named) => {
      ping = named as Record<string, string>;
      await expect(engine.info()).rejects.toThrow('its API version');
      expect(asked).toEqual([]);
    },
  );

  it.each([
    [{ status: 500, body: { message: 'It is broken.' } }, 500, 'It is broken.'],
    [{ status: 400, body: { problem: 1 } }, 400, '{"problem":1}'],
    [{ status: 503, body: 'plain words' }, 503, 'plain words'],
  ])('throws the status and words of an error: %j', async (answer, status, message) => {
    answers = { 'GET /info': answer };
    const error = await engine.info().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EngineError);
    expect(error).toMatchObject({ status, message });
  });

  it('fails when no engine listens', async () => {
    await expect(new DockerSocket(join(folder, 'nobody.sock')).info()).rejects.toThrow('ENOENT');
  });

  it('fails when the engine does not answer in time, and names the request without its query', async () => {
    answers = { 'GET /_ping': { hangs: true } };
    await expect(engine.ping(50)).rejects.toThrow('did not answer GET /_ping within 0.05 s');
  });

  it('is not read beyond 64 MiB', async () => {
    answers = { 'GET /info': { body: Buffer.alloc(64 * 1024 * 1024 + 1, ' ') } };
    await expect(engine.info()).rejects.toThrow('more than 67108864 bytes');
  });

  it('is sent as JSON, with its length in bytes', async () => {
    answers = { 'GET /swarm': { body: { Spec: {} } }, 'POST /swarm/update': {} };
    await engine.labelSwarm(1, { name: 'ümlaut' });
    expect(asked[1]!.body).toEqual({ Labels: { name: 'ümlaut' } });
    const length = Buffer.byteLength('{"Labels":{"name":"ümlaut"}}');
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'content-length': String(length) });
  });
});

describe('a ping', () => {
  it('resolves when the engine answers', async () => {
    await expect(engine.ping(5_000)).resolves.toBeUndefined();
  });

  it('rejects when the engine answers anything but 200', async () => {
    answers = { 'GET /_ping': { status: 500, body: 'not now' } };
    await expect(engine.ping(5_000)).rejects.toMatchObject({ status: 500, message: 'not now' });
  });
});

describe('what the engine says of itself', () => {
  it.each<[string, object | undefined, object]>([
    [
      'a manager that sees a leader',
      { LocalNodeState: 'active', NodeID: 'n', ControlAvailable: true, Cluster: { ID: 's' } },
      { state: 'active', nodeId: 'n', swarmId: 's', controlAvailable: true },
    ],
    [
      'a manager that sees none',
      { LocalNodeState: 'active', NodeID: 'n', ControlAvailable: true, Cluster: null },
      { state: 'active', nodeId: 'n', controlAvailable: true },
    ],
    [
      'a worker',
      { LocalNodeState: 'active', NodeID: 'n', ControlAvailable: false },
      { state: 'active', nodeId: 'n', controlAvailable: false },
    ],
    ['no node', { LocalNodeState: 'inactive', NodeID: '' }, { state: 'inactive', controlAvailable: false }],
    ['a state nobody knows', { LocalNodeState: 'dancing' }, { state: 'error', controlAvailable: false }],
    ['nothing', undefined, { state: 'error', controlAvailable: false }],
  ])('%s', async (_, Swarm, swarm) => {
    answers = { 'GET /info': { body: { ServerVersion: '25.0.8', Swarm } } };
    expect(await engine.info()).toStrictEqual({ version: '25.0.8', swarm });
  });
});

describe('a swarm', () => {
  it('is formed with its address pools', async () => {
    answers = { 'POST /swarm/init': {} };
    await engine.initSwarm({
      advertiseAddress: '10.0.0.1',
      addressPools: ['100.64.0.0/10'],
      addressPoolPrefixLength: 24,
    });
    expect(asked[0]!.body).toEqual({
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: '10.0.0.1',
      DefaultAddrPool: ['100.64.0.0/10'],
      SubnetSize: 24,
    });
  });

  it('is joined at the port where managers listen', async () => {
    answers = { 'POST /swarm/join': {} };
    await engine.joinSwarm({ remote: '10.0.1.1', token: 'SWMTKN', advertiseAddress: '10.0.0.1' });
    expect(asked[0]!.body).toEqual({
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: '10.0.0.1',
      RemoteAddrs: ['10.0.1.1:2377'],
      JoinToken: 'SWMTKN',
    });
  });

  it('goes on with one manager by force', async () => {
    answers = { 'POST /swarm/init': {} };
    await engine.recoverSwarm({ advertiseAddress: '10.0.0.1' });
    expect(asked[0]!.body).toEqual({
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: '10.0.0.1',
      ForceNewCluster: true,
    });
  });

  it.each([true, false])('is left with force=%s', async (force) => {
    answers = { 'POST /swarm/leave': {} };
    await engine.leaveSwarm({ force });
    expect(requests()).toEqual([`POST /v1.44/swarm/leave?force=${force}`]);
  });

  const swarm = {
    ID: 's',
    Version: { Index: 12 },
    Spec: { Name: 'default', Labels: { kept: 'yes' } },
    JoinTokens: { Manager: 'm', Worker: 'w' },
  };

  it('has an id, a version, labels and both join tokens', async () => {
    answers = { 'GET /swarm': [{ body: swarm }, { body: { ...swarm, Spec: {} } }] };
    const state = { swarmId: 's', version: 12, labels: { kept: 'yes' }, tokens: { manager: 'm', worker: 'w' } };
    expect(await engine.swarm()).toEqual(state);
    expect(await engine.swarm()).toEqual({ ...state, labels: {} });
  });

  it('is labelled at the given version, and keeps the rest of its specification', async () => {
    answers = { 'GET /swarm': { body: swarm }, 'POST /swarm/update': {} };
    await engine.labelSwarm(11, { added: 'too' });
    expect(asked[1]).toEqual({
      request: 'POST /v1.44/swarm/update?version=11',
      body: { Name: 'default', Labels: { kept: 'yes', added: 'too' } },
    });
  });

  it('rotates both join tokens, of workers and of managers, and is labelled in the same change', async () => {
    answers = { 'GET /swarm': { body: swarm }, 'POST /swarm/update': {} };
    await engine.rotateTokens(11, { rotation: 'r' });
    const [path, query] = asked[1]!.request.split('?');
    expect(path).toBe('POST /v1.44/swarm/update');
    expect(Object.fromEntries(new URLSearchParams(query))).toEqual({
      version: '11',
      rotateWorkerToken: 'true',
      rotateManagerToken: 'true',
    });
    expect(asked[1]!.body.Labels).toEqual({ kept: 'yes', rotation: 'r' });
  });
});

describe('a node in the list', () => {
  const minimal = {
    ID: 'n',
    Spec: { Role: 'worker', Availability: 'active' },
    Status: { State: 'ready' },
  };
  const plain = { id: 'n', hostname: '', role: 'worker', availability: 'active', state: 'ready' };

  it.each<[string, object, object]>([
    ['has neither name, address nor labels at first', {}, {}],
    ['has a host name', { Description: { Hostname: 'h'.repeat(300) } }, { hostname: 'h'.repeat(255) }],
    ['has an address', { Status: { State: 'down', Addr: '10.0.0.1' } }, { state: 'down', address: '10.0.0.1' }],
    [
      'has the instance id in a label of its engine',
      { Description: { Hostname: 'h', Engine: { Labels: { [INSTANCE_ID_LABEL]: `i-${'0'.repeat(40)}` } } } },
      { hostname: 'h', instanceId: `i-${'0'.repeat(30)}` },
    ],
    [
      'has marks of ours in its own labels',
      {
        Spec: {
          Role: 'manager',
          Availability: 'drain',
          Labels: { [DRAINED_FOR_LABEL]: `a${'0'.repeat(40)}`, [IDLE_FOR_LABEL]: `b${'0'.repeat(40)}`, other: 'x' },
        },
      },
      {
        role: 'manager',
        availability: 'drain',
        drainedFor: `a${'0'.repeat(31)}`,
        idleFor: `b${'0'.repeat(31)}`,
      },
    ],
    [
      'is a member of raft, and does not lead',
      { ManagerStatus: { Reachability: 'unreachable', Addr: '10.0.0.1:2377' } },
      { manager: { leader: false, reachability: 'unreachable', address: '10.0.0.1:2377' } },
    ],
    [
      'is a member of raft, and leads',
      { ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '10.0.0.1:2377' } },
      { manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' } },
    ],
    ['has labels that are null', { Spec: { ...minimal.Spec, Labels: null }, ManagerStatus: null }, {}],
  ])('%s', async (_, change, expected) => {
    answers = { 'GET /nodes': { body: [{ ...minimal, ...change }] } };
    expect(await engine.nodes()).toStrictEqual([{ ...plain, ...expected }]);
  });

  it.each<[object | undefined, boolean]>([
    [{ Leader: true }, true],
    [{ Leader: false }, false],
    [{}, false],
    [undefined, false],
  ])('with the manager status %j leads: %s', async (ManagerStatus, leads) => {
    answers = { 'GET /nodes/n': { body: { ...minimal, ManagerStatus } } };
    expect(await engine.isLeader('n')).toBe(leads);
  });

  it.each([true, false])('is removed with force=%s', async (force) => {
    answers = { 'DELETE /nodes/n': {} };
    await engine.removeNode('n', { force });
    expect(requests()).toEqual([`DELETE /v1.44/nodes/n?force=${force}`]);
  });
});

describe('a change of a node', () => {
  const node = (index: number) => ({
    body: {
      Version: { Index: index },
      Spec: { Name: 'kept', Role: 'manager', Availability: 'pause', Labels: { kept: 'yes', old: 'x' } },
    },
  });
  const outOfSequence = { status: 500, body: { message: 'rpc error: code = Unknown desc = update out of sequence' } };

  it.each<[string, object, object]>([
    ['its role', { role: 'worker' }, { Role: 'worker' }],
    ['its availability', { availability: 'drain' }, { Availability: 'drain' }],
    ['its labels', { labels: { old: null, added: 'z' } }, { Labels: { kept: 'yes', added: 'z' } }],
  ])('may be of %s alone', async (_, change, expected) => {
    answers = { 'GET /nodes/n': node(5), 'POST /nodes/n/update': {} };
    await engine.updateNode('n', change);
    expect(asked[1]).toEqual({
      request: 'POST /v1.44/nodes/n/update?version=5',
      body: { ...node(5).body.Spec, ...expected },
    });
  });

  it('may be the first to give it a label', async () => {
    const { Labels: _, ...Spec } = node(5).body.Spec;
    answers = { 'GET /nodes/n': { body: { Version: { Index: 5 }, Spec } }, 'POST /nodes/n/update': {} };
    await engine.updateNode('n', { labels: { added: 'z' } });
    expect(asked[1]!.body.Labels).toEqual({ added: 'z' });
  });

  it('is made again to what the node is now when Docker changed it in between', async () => {
    answers = { 'GET /nodes/n': [node(5), node(6)], 'POST /nodes/n/update': [outOfSequence, {}] };
    await engine.updateNode('n', { role: 'worker' });
    expect(requests().filter((one) => one.startsWith('POST'))).toEqual([
      'POST /v1.44/nodes/n/update?version=5',
      'POST /v1.44/nodes/n/update?version=6',
    ]);
  });

  it('is tried five times, and not again after another error', async () => {
    answers = { 'GET /nodes/n': node(5), 'POST /nodes/n/update': outOfSequence };
    await expect(engine.updateNode('n', { role: 'worker' })).rejects.toThrow('update out of sequence');
    expect(asked).toHaveLength(10);
    asked = [];
    answers = { 'GET /nodes/n': node(5), 'POST /nodes/n/update': { status: 500, body: 'no quorum' } };
    await expect(engine.updateNode('n', { role: 'worker' })).rejects.toThrow('no quorum');
    expect(asked).toHaveLength(2);
  });
});

describe('tasks', () => {
  const tasks = (...rows: string[]) => ({
    body: rows.map((row) => {
      const [NodeID, State] = row.split(' ');
      return { ...(NodeID !== '-' && { NodeID }), Status: { State } };
    }),
  });

  it('that have not ended are counted for each node', async () => {
    answers = {
      'GET /tasks': tasks(
        ...['a running', 'a starting', 'b preparing', '- pending'],
        ...['complete', 'failed', 'shutdown', 'rejected', 'orphaned', 'remove'].map((state) => `c ${state}`),
      ),
    };
    expect(await engine.unfinishedTasks(['a', 'b', 'c'])).toEqual(
      new Map([
        ['a', 2],
        ['b', 1],
      ]),
    );
    expect(requests()).toEqual(['GET /v1.44/tasks?filters={"node":["a","b","c"]}']);
  });

  it('are asked for twenty nodes at a time, and not at all for none', async () => {
    answers = { 'GET /tasks': tasks() };
    const ids = Array.from({ length: 41 }, (_, n) => `n${n}`);
    await engine.unfinishedTasks(ids);
    expect(requests()).toEqual(
      [ids.slice(0, 20), ids.slice(20, 40), ids.slice(40)].map(
        (some) => `GET /v1.44/tasks?filters=${JSON.stringify({ node: some })}`,
      ),
    );
    asked = [];
    expect(await engine.unfinishedTasks([])).toEqual(new Map());
    expect(asked).toEqual([]);
  });

  it('that should run and have no node are counted', async () => {
    answers = { 'GET /tasks': tasks('- pending', '- pending', 'a running', '- new') };
    expect(await engine.pendingTasks()).toBe(2);
    expect(requests()).toEqual(['GET /v1.44/tasks?filters={"desired-state":["running"]}']);
  });
});

describe('published ports', () => {
  const service = (Name: string, Ports: object[], change: object = {}) => ({
    Spec: { Name, ...change },
    Endpoint: { Ports },
  });
  const ports = async (...body: object[]) => {
    answers = { 'GET /services': { body } };
    return engine.publishedPorts();
  };

  it('are TCP and on every node unless the service says otherwise', async () => {
    expect(await ports(service('web', [{ PublishedPort: 80 }]))).toStrictEqual([
      { service: 'web', port: 80, protocol: 'tcp', mode: 'ingress' },
    ]);
    expect(await ports(service('dns', [{ PublishedPort: 53, Protocol: 'udp', PublishMode: 'host' }]))).toStrictEqual([
      { service: 'dns', port: 53, protocol: 'udp', mode: 'host' },
    ]);
  });

  it('are found in the specification before the endpoint has them, and once where both have them', async () => {
    const EndpointSpec = { Ports: [{ PublishedPort: 80 }, { PublishedPort: 81 }] };
    const found = await ports(
      { Spec: { Name: 'new', EndpointSpec } },
      service('web', [{ PublishedPort: 90 }], { EndpointSpec: { Ports: [{ PublishedPort: 90 }] } }),
      { Spec: { Name: 'silent' } },
    );
    expect(found.map(({ service: name, port }) => `${name} ${port}`)).toEqual(['new 80', 'new 81', 'web 90']);
  });

  it('without a number are left out', async () => {
    expect(await ports(service('web', [{ TargetPort: 80 }, { PublishedPort: 0 }]))).toEqual([]);
  });

  it('carry the certificate that a label of the service names, cut to its longest', async () => {
    const labelled = (value: unknown) =>
      ports(service('web', [{ PublishedPort: 443 }], { Labels: { [CERTIFICATE_LABEL]: value } }));
    expect((await labelled('c'.repeat(MAX_CERTIFICATE + 1)))[0]!.certificate).toBe('c'.repeat(MAX_CERTIFICATE));
    expect(await labelled(1)).toStrictEqual([{ service: 'web', port: 443, protocol: 'tcp', mode: 'ingress' }]);
  });

  it('are in the order of their numbers, then protocols, then services, whose names are cut', async () => {
    const found = await ports(
      service('b', [{ PublishedPort: 9 }]),
      service('z', [{ PublishedPort: 8, Protocol: 'udp' }, { PublishedPort: 8 }]),
      service('a'.repeat(70), [{ PublishedPort: 9 }]),
    );
    expect(found.map(({ service: name, port, protocol }) => `${port} ${protocol} ${name}`)).toEqual([
      '8 tcp z',
      '8 udp z',
      `9 tcp ${'a'.repeat(64)}`,
      '9 tcp b',
    ]);
  });

  it('are no more than a report takes', async () => {
    const many = Array.from({ length: MAX_PORTS + 1 }, (_, n) => ({ PublishedPort: n + 1 }));
    expect(await ports(service('web', many))).toHaveLength(MAX_PORTS);
  });
});

describe('events', () => {
  it('tell whether a node or a service has changed, until the signal aborts', async () => {
    const told: string[] = [];
    const stop = new AbortController();
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (request.url === '/_ping') return void response.writeHead(200, ping).end();
      asked.push({ request: decodeURIComponent(request.url!), body: undefined });
      response.writeHead(200);
      response.write('{"Type":"node"}\n');
      void next(1).then(() => response.write('{"Type":"service"}\n'));
    });
    let heard: () => void = () => undefined;
    const next = (count: number) =>
      new Promise<void>((resolve) => {
        heard = () => void (told.length === count && resolve());
      });
    const watching = engine.watch((about) => {
      told.push(about);
      heard();
      if (told.length === 2) stop.abort();
    }, stop.signal);
    await expect(watching).rejects.toThrow('abort');
    expect(told).toEqual(['node', 'service']);
    expect(asked).toEqual([{ request: '/v1.44/events?filters={"type":["node","service"]}', body: undefined }]);
  });

  it('are not waited for when the engine refuses them', async () => {
    answers = { 'GET /events': { status: 503, body: 'not now' } };
    await expect(engine.watch(() => undefined, new AbortController().signal)).rejects.toMatchObject({
      status: 503,
      message: 'not now',
    });
  });
});

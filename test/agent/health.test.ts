import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { Health } from '../../agent/health';
import { systemClock } from '../../protocol/clock';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';

function start() {
  const clock = new VirtualClock();
  const engine = { answers: true, asked: 0 };
  const health = new Health(async () => {
    engine.asked++;
    if (!engine.answers) throw new Error('connect ENOENT');
  }, clock);
  return { clock, engine, health };
}

test('a node is healthy when its engine answers and nothing speaks against it', async () => {
  const { clock, engine, health } = start();
  expect(await health.check()).toBe('The agent has just started.');
  health.see(undefined);
  expect(await health.check()).toBeUndefined();
  engine.answers = false;
  await clock.advance(1_000);
  expect(await health.check()).toBe('The Docker engine does not answer.');
  engine.answers = true;
  health.see('This instance is leaving the cluster.');
  await clock.advance(1_000);
  expect(await health.check()).toBe('This instance is leaving the cluster.');
});

test('the engine is asked once a second, however many ask for its health', async () => {
  const { clock, engine, health } = start();
  await Promise.all(Array.from({ length: 50 }, () => health.check()));
  expect(engine.asked).toBe(1);
  await clock.advance(1_000);
  await health.check();
  expect(engine.asked).toBe(2);
});

test('clients that send half a request and nothing more do not hold up others for long', async () => {
  const { clock, health } = start();
  health.see(undefined);
  const server = health.listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const taken = new Promise<void>((resolve) => {
    let connections = 0;
    server.on('connection', () => ++connections === 100 && resolve());
  });
  const halves = Array.from({ length: 100 }, () =>
    connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .resume(),
  );
  halves.forEach((half) => half.write('GET /health HTTP/1.1\r\n'));
  try {
    await taken;
    const closed = Promise.all(halves.map((half) => once(half, 'close')));
    await clock.advance(5_000);
    await closed;
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  } finally {
    server.close();
  }
}, 20_000);

describe('behind a load balancer that sends the PROXY protocol', () => {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
  const header = (length: number, body = length) =>
    Buffer.concat([signature, Buffer.from([0x21, 0x11, length >> 8, length & 255]), Buffer.alloc(body, 7)]);
  const request = Buffer.from('GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');

  /** What is answered to these, sent one after the other. */
  async function ask(parts: Buffer[], hangs = false): Promise<string> {
    const { clock, health } = start();
    health.see(undefined);
    const server = health.listen(0);
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
      .on('error', () => undefined)
      .setNoDelay(true);
    try {
      let answer = '';
      socket.setEncoding('utf8').on('data', (part) => (answer += part));
      await once(server, 'connection');
      const closed = once(socket, 'close');
      for (const part of parts) {
        socket.write(part);
        await systemClock.sleep(1);
      }
      if (hangs) await clock.advance(5_000);
      await closed;
      return answer.split('\r\n')[0]!;
    } finally {
      socket.destroy();
      server.close();
    }
  }

  test.each<[string, Buffer[]]>([
    ['in one packet', [Buffer.concat([header(12), request])]],
    ['with the header first', [header(36), request]],
    ['byte by byte', [...Buffer.concat([header(12), request])].map((byte) => Buffer.from([byte]))],
    ['with a header without addresses', [header(0), request]],
    ['without a header', [request]],
    ['without a header, byte by byte', [...request].map((byte) => Buffer.from([byte]))],
  ])('a request is answered %s', async (_, parts) => {
    expect(await ask(parts)).toBe('HTTP/1.1 200 OK');
  });

  test.each<[string, Buffer[]]>([
    ['a header that is too long', [header(65_535, 0)]],
    ['a header that does not end', [header(100, 10)]],
    ['a client that sends nothing', []],
  ])('%s is not waited for', async (_, parts) => {
    expect(await ask(parts, true)).toBe('');
  });

  test('a header of version 1 is refused', async () => {
    expect(await ask([Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), request])).toMatch(/^HTTP\/1.1 400/);
  });
});

test('the only request that is answered is GET or HEAD /health', async () => {
  const { clock, engine, health } = start();
  health.see(undefined);
  const server = health.listen(0);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(url + path, { method });
    return [answer.status, await answer.text()];
  };
  try {
    expect(await get('/health')).toEqual([200, 'This node may receive work.\n']);
    engine.answers = false;
    await clock.advance(1_000);
    expect(await get('/health')).toEqual([503, 'The Docker engine does not answer.\n']);
    expect(await get('/health', 'HEAD')).toEqual([503, '']);
    expect(await get('/')).toEqual([404, 'Not found. Ask for GET /health.\n']);
    expect(await get('/health', 'DELETE')).toEqual([404, 'Not found. Ask for GET /health.\n']);
  } finally {
    server.close();
  }
});

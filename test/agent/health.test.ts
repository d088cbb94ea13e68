import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { Health } from '../../agent/health';
import { VirtualClock } from '../../rehearsal/virtual-clock';

function start() {
  const clock = new VirtualClock();
  const engine = { answers: true, asked: 0 };
  const health = new Health(async () => {
    engine.asked++;
    if (!engine.answers) throw new Error('connect ENOENT');
  }, clock);
  return { clock, engine, health };
}

test('a node is well when its engine answers and nothing speaks against it', async () => {
  const { clock, engine, health } = start();
  expect(await health.check()).toBe('The agent has just started.');
  health.see(undefined);
  expect(await health.check()).toBeUndefined();
  engine.answers = false;
  await clock.advance(1_000);
  expect(await health.check()).toBe('The Docker engine does not answer.');
  engine.answers = true;
  health.see('This instance leaves the cluster.');
  await clock.advance(1_000);
  expect(await health.check()).toBe('This instance leaves the cluster.');
});

test('however many ask, the engine is asked once a second', async () => {
  const { clock, engine, health } = start();
  await Promise.all(Array.from({ length: 50 }, () => health.check()));
  expect(engine.asked).toBe(1);
  await clock.advance(1_000);
  await health.check();
  expect(engine.asked).toBe(2);
});

test('whoever sends half a request, and nothing more, keeps no other waiting for long', async () => {
  const { health } = start();
  health.see(undefined);
  const server = health.listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const halves = Array.from({ length: 100 }, () => connect(port, '127.0.0.1').on('error', () => undefined).resume());
  halves.forEach((half) => half.write('GET /health HTTP/1.1\r\n'));
  try {
    // Node.js itself ends them: the time is its own.
    await Promise.all(halves.map((half) => once(half, 'close')));
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  } finally {
    server.close();
  }
}, 20_000);

test('load balancers ask it over HTTP, and for nothing else', async () => {
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
    expect(await get('/health')).toEqual([200, 'This node may be sent work.\n']);
    engine.answers = false;
    await clock.advance(1_000);
    expect(await get('/health')).toEqual([503, 'The Docker engine does not answer.\n']);
    expect(await get('/health', 'HEAD')).toEqual([503, '']);
    expect(await get('/')).toEqual([404, 'There is only GET /health.\n']);
    expect(await get('/health', 'DELETE')).toEqual([404, 'There is only GET /health.\n']);
  } finally {
    server.close();
  }
});

import { buildSync } from 'esbuild';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '../../../protocol/clock';
import type { FunctionSpec } from '../../../rehearsal/aws/core/types';
import { FunctionProcesses } from '../../../rehearsal/functions/function-processes';

const folder = mkdtempSync(join(tmpdir(), 'function-processes-'));
const runtime = join(folder, 'lambda-runtime.js');
const lines: string[] = [];
const functions = new FunctionProcesses({
  clock: systemClock,
  runtime,
  node: process.execPath,
  endpoint: 'http://127.0.0.1:1',
  onLog: (_, line) => lines.push(line),
});

beforeAll(() => {
  buildSync({
    entryPoints: [resolve(__dirname, '../../../rehearsal/functions/lambda-runtime.ts')],
    outfile: runtime,
    bundle: true,
    platform: 'node',
    logLevel: 'error',
  });
  writeFileSync(
    join(folder, 'index.js'),
    `let count = 0;
exports.handler = async (event, context) => {
  if (event.fail) throw new RangeError(event.fail);
  if (event.hang) return new Promise(() => setInterval(() => undefined, 1000));
  if (event.exit) process.exit(3);
  if (event.log) console.log(event.log);
  if (event.meet) { await new Promise((resolve) => setTimeout(resolve, 3_000)); }
  return { pid: process.pid, count: ++count, environment: process.env, name: context.functionName, remaining: context.getRemainingTimeInMillis() };
};
exports.notAFunction = 1;`,
  );
});
afterAll(async () => {
  await functions.stop();
  rmSync(folder, { recursive: true });
});

const spec = (over: Partial<FunctionSpec> = {}): FunctionSpec => ({
  logicalId: 'Join',
  name: 'stack-Join-1',
  codePath: folder,
  handler: 'index.handler',
  timeoutMs: 10_000,
  environment: { CLUSTER: 'c', AWS_REGION: 'eu-west-1', AWS_LAMBDA_FUNCTION_NAME: 'stack-Join-1' },
  credentials: { accessKeyId: 'ASIA1', secretAccessKey: 'secret', sessionToken: 'session' },
  ...over,
});
const invoke = (event: unknown, over?: Partial<FunctionSpec>) =>
  functions.invoke(spec(over), event) as Promise<Record<string, any>>;

test(
  "a function finds the template's environment, its credentials and the endpoint, and nothing of this " + "machine's",
  async () => {
    process.env.SECRET_OF_THIS_MACHINE = 'x';
    const { environment, name, remaining } = await invoke({});
    expect(environment).toMatchObject({
      CLUSTER: 'c',
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
      AWS_ACCESS_KEY_ID: 'ASIA1',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 'session',
    });
    expect(environment).not.toHaveProperty('SECRET_OF_THIS_MACHINE');
    expect(name).toBe('stack-Join-1');
    expect(remaining).toBeGreaterThan(5_000);
  },
);

test('a second event meets the warm process, concurrent ones get processes of their own', async () => {
  const [first, second] = [await invoke({}), await invoke({})];
  expect(second).toMatchObject({ pid: first.pid, count: first.count + 1 });
  const together = await Promise.all([invoke({ meet: true }), invoke({ meet: true })]);
  expect(new Set(together.map(({ pid }) => pid)).size).toBe(2);
});

test('what a handler throws arrives with its name and message', async () => {
  await expect(invoke({ fail: 'too much' })).rejects.toMatchObject({ name: 'RangeError', message: 'too much' });
});

test('a function that takes longer than its timeout is killed, and the next event gets a new process', async () => {
  const { pid } = await invoke({}, { name: 'slow' });
  await expect(invoke({ hang: true }, { name: 'slow', timeoutMs: 100 })).rejects.toThrow(
    'Join: Task timed out after 0.10 seconds',
  );
  expect((await invoke({}, { name: 'slow' })).pid).not.toBe(pid);
});

test(
  'a function that is killed at work fails its event; one that rests is left alone, and the next event gets ' +
    'a new process',
  async () => {
    const resting = await invoke(
      {},
      {
        logicalId: 'Resting',
        name: 'resting',
        credentials: { accessKeyId: 'ASIA2', secretAccessKey: 'secret', sessionToken: 'session' },
      },
    );
    expect(functions.caller('ASIA2')).toBe('Resting');
    expect(functions.caller('ASIA3')).toBeUndefined();
    expect(functions.kill('Resting')).toBe(0);
    expect((await invoke({}, { logicalId: 'Resting', name: 'resting' })).pid).toBe(resting.pid);
    const working = invoke({ hang: true }, { logicalId: 'Working', name: 'working' });
    const failure = expect(working).rejects.toThrow("Working: the function's process ended (SIGKILL)");
    const deadline = systemClock.now() + 5_000;
    let killed = 0;
    while ((killed = functions.kill('Working')) === 0 && systemClock.now() < deadline) await systemClock.sleep(5);
    expect(killed).toBe(1);
    await failure;
    expect(await invoke({}, { logicalId: 'Working', name: 'working' })).toMatchObject({ count: 1 });
  },
);

test('a process that dies fails its event and says how it ended', async () => {
  await expect(invoke({ exit: true })).rejects.toThrow("Join: the function's process ended (exit code 3)");
});

test('a bundle without the named handler fails and says so', async () => {
  await expect(invoke({}, { name: 'broken', handler: 'index.notAFunction' })).rejects.toThrow(
    'exports no function "notAFunction"',
  );
});

test('what a function writes is kept and told', async () => {
  await invoke({ log: '{"level":"info"}' }, { name: 'talking' });
  const deadline = systemClock.now() + 5_000;
  while (functions.log('talking').length === 0 && systemClock.now() < deadline) await systemClock.sleep(5);
  expect(functions.log('talking')).toEqual(['{"level":"info"}']);
  expect(lines).toContain('{"level":"info"}');
  expect(functions.names()).toContain('talking');
});

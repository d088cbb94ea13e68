import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shipLogs } from '../../agent/log-shipper';
import { systemClock, type Clock } from '../../protocol/clock';
import { serveAws } from '../../rehearsal/aws/wire/http';
import { AwsError } from '../../rehearsal/aws/core/types';

const DEADLINE_MS = 10_000;
/** Real requests, but no waiting between two rounds. */
const clock: Clock = { ...systemClock, sleep: (_, signal) => systemClock.sleep(1, signal) };

let folder: string;
let server: Awaited<ReturnType<typeof serveAws>>;
let client: CloudWatchLogsClient;
let stop: AbortController;
let shipped: string[];
let reachable: boolean;
let refused: number;
let deniedAction: string | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'log-shipper-'));
  shipped = [];
  reachable = true;
  deniedAction = undefined;
  refused = 0;
  stop = new AbortController();
  let created = false;
  server = await serveAws(
    {
      call: async ({ action, input }) => {
        if (!reachable || action === deniedAction) {
          refused++;
          throw new AwsError('AccessDeniedException', 'not now');
        }
        if (action === 'CreateLogStream') {
          if (created) throw new AwsError('ResourceAlreadyExistsException', 'The specified log stream already exists');
          created = true;
        } else shipped.push(...input.logEvents.map(({ message }: { message: string }) => message));
        return {};
      },
    },
    { host: '127.0.0.1', port: 0 },
  );
  client = new CloudWatchLogsClient({
    region: 'eu-west-1',
    endpoint: server.url,
    maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 'a' },
  });
});
afterEach(async () => {
  stop.abort();
  client.destroy();
  await server.close();
  rmSync(folder, { recursive: true });
});

const file = () => join(folder, 'boot.log');
function start(): Promise<void> {
  return shipLogs(
    { client, clock, logGroup: 'group', files: [{ path: file(), stream: 's' }], offsets: join(folder, 'offsets') },
    stop.signal,
  );
}
async function until(condition: () => boolean): Promise<void> {
  const deadline = systemClock.now() + DEADLINE_MS;
  while (!condition()) {
    if (systemClock.now() > deadline)
      throw new Error(`Not within ${DEADLINE_MS} ms: ${condition}. Shipped: ${shipped.length} lines`);
    await systemClock.sleep(5);
  }
}

describe('logs', () => {
  it('are shipped as they grow, in whole lines, whatever their bytes', async () => {
    void start();
    writeFileSync(
      file(),
      Buffer.concat([Buffer.from('eins\n\n  \nzwölf\n'), Buffer.from([0xff, 0xfe, 0x0a]), Buffer.from('half')]),
    );
    await until(() => shipped.length === 3);
    appendFileSync(file(), ' and half\nlast\n');
    await until(() => shipped.length === 5);
    expect(shipped).toEqual(['eins', 'zwölf', '\ufffd\ufffd', 'half and half', 'last']);
  });

  it('continue where they stopped after a restart of the agent', async () => {
    writeFileSync(file(), 'one\n');
    const first = start();
    await until(() => shipped.length === 1);
    stop.abort();
    await first;
    stop = new AbortController();
    appendFileSync(file(), 'two\n');
    void start();
    await until(() => shipped.length === 2);
    expect(shipped).toEqual(['one', 'two']);
  });

  it('wait while CloudWatch cannot be reached, and lose nothing', async () => {
    reachable = false;
    writeFileSync(file(), 'one\n');
    void start();
    await until(() => refused > 2);
    reachable = true;
    await until(() => shipped.length === 1);
    expect(shipped).toEqual(['one']);
  });

  it('are not sent to a stream that could not be created', async () => {
    deniedAction = 'CreateLogStream';
    writeFileSync(file(), 'one\n');
    void start();
    await until(() => refused > 2);
    expect(shipped).toEqual([]);
    deniedAction = undefined;
    await until(() => shipped.length === 1);
  });

  it('go on after a line that is longer than a request', async () => {
    writeFileSync(file(), `${'x'.repeat(500 * 1024)}\nafter\n`);
    void start();
    await until(() => shipped.includes('after'));
    expect(shipped.join('').length).toBe(500 * 1024 + 'after'.length);
  });
});

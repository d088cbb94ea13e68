/** Brings what the boot and the agent wrote to CloudWatch Logs, so that it can be read when the instance is gone. A node without a way there works all the same. */
import { CreateLogStreamCommand, PutLogEventsCommand, ResourceAlreadyExistsException, type CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { open, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../protocol/clock';

const INTERVAL_MS = 5_000;
/** One request takes 1 MiB and 10,000 lines at most. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html */
const BATCH_BYTES = 256 * 1024;
const MAX_LINES = 5_000;
/** How far each file was shipped, kept over restarts of the agent but not of the instance. */
const OFFSETS = '/run/cdk-docker-swarm';

export interface ShippedFile {
  path: string;
  stream: string;
}

/** Runs until the signal aborts. Never throws. */
export async function shipLogs(client: CloudWatchLogsClient, clock: Clock, logGroup: string, files: ShippedFile[], signal: AbortSignal): Promise<void> {
  await mkdir(OFFSETS, { recursive: true });
  const created = new Set<string>();
  while (!signal.aborted) {
    await clock.sleep(INTERVAL_MS, signal);
    for (const file of files) {
      // Whatever fails (no route, no permission, no file yet) is tried again with the same lines.
      await ship(client, clock, logGroup, file, created).catch(() => undefined);
    }
  }
}

async function ship(client: CloudWatchLogsClient, clock: Clock, logGroup: string, { path, stream }: ShippedFile, created: Set<string>): Promise<void> {
  const offsetPath = join(OFFSETS, `${basename(path)}.offset`);
  const offset = Number(await readFile(offsetPath, 'utf8').catch(() => '0'));
  const lines = await readLines(path, offset);
  if (lines.length === 0) return;
  if (!created.has(stream)) {
    await client.send(new CreateLogStreamCommand({ logGroupName: logGroup, logStreamName: stream })).catch((error: unknown) => {
      if (!(error instanceof ResourceAlreadyExistsException)) throw error;
    });
    created.add(stream);
  }
  const logEvents = lines.filter((line) => line.trim() !== '').map((message) => ({ message, timestamp: clock.now() }));
  if (logEvents.length > 0) await client.send(new PutLogEventsCommand({ logGroupName: logGroup, logStreamName: stream, logEvents }));
  await writeFile(offsetPath, String(offset + Buffer.byteLength(lines.join('\n')) + 1));
}

/** Whole lines from `offset` on, within the bounds of one request; a line longer than that is cut off at the bound. */
async function readLines(path: string, offset: number): Promise<string[]> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BATCH_BYTES), 0, BATCH_BYTES, offset);
    const text = buffer.subarray(0, bytesRead).toString('latin1');
    const end = text.lastIndexOf('\n');
    if (end < 0) return [];
    return text.slice(0, end).split('\n').slice(0, MAX_LINES).map((line) => Buffer.from(line, 'latin1').toString('utf8'));
  } finally {
    await file.close();
  }
}

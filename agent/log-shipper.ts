/**
 * Ships the boot log and the agent's log to CloudWatch Logs, where they outlive the instance. A node that cannot reach
 * CloudWatch works all the same.
 */
import {
  CreateLogStreamCommand,
  PutLogEventsCommand,
  ResourceAlreadyExistsException,
  type CloudWatchLogsClient,
} from '@aws-sdk/client-cloudwatch-logs';
import { open, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../protocol/clock';

const INTERVAL_MS = 5_000;
/**
 * A request takes at most 1 MiB and 10,000 lines; a line at most 256 KB.
 * https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
 */
const BATCH_BYTES = 200 * 1024;
const MAX_LINES = 5_000;

export interface ShippedFile {
  path: string;
  stream: string;
}

export interface LogShipperProps {
  client: CloudWatchLogsClient;
  clock: Clock;
  logGroup: string;
  files: ShippedFile[];
  /** Folder for the offset of each file: survives restarts of the agent, but not of the instance. */
  offsets: string;
}

/** Runs until the signal aborts. Never throws. */
export async function shipLogs(props: LogShipperProps, signal: AbortSignal): Promise<void> {
  await mkdir(props.offsets, { recursive: true });
  const created = new Set<string>();
  while (!signal.aborted) {
    await props.clock.sleep(INTERVAL_MS, signal);
    for (const file of props.files) {
      // On any failure (no route, no permission, no file yet) the same lines are tried again.
      await ship(props, file, created).catch(() => undefined);
    }
  }
}

async function ship(
  { client, clock, logGroup, offsets }: LogShipperProps,
  { path, stream }: ShippedFile,
  created: Set<string>,
): Promise<void> {
  const offsetPath = join(offsets, `${basename(path)}.offset`);
  const offset = Number(await readFile(offsetPath, 'utf8').catch(() => '0'));
  const { lines, bytes } = await readLines(path, offset);
  if (bytes === 0) return;
  if (!created.has(stream)) {
    await client
      .send(new CreateLogStreamCommand({ logGroupName: logGroup, logStreamName: stream }))
      .catch((error: unknown) => {
        if (!(error instanceof ResourceAlreadyExistsException)) throw error;
      });
    created.add(stream);
  }
  const logEvents = lines.filter((line) => line.trim() !== '').map((message) => ({ message, timestamp: clock.now() }));
  if (logEvents.length > 0)
    await client.send(new PutLogEventsCommand({ logGroupName: logGroup, logStreamName: stream, logEvents }));
  await writeFile(offsetPath, String(offset + bytes));
}

/**
 * Reads whole lines from `offset` on, within the limits of one request, and their size in the file. A line longer than
 * a request is shipped in pieces.
 */
async function readLines(path: string, offset: number): Promise<{ lines: string[]; bytes: number }> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BATCH_BYTES), 0, BATCH_BYTES, offset);
    let bytes = 0;
    const lines: string[] = [];
    while (lines.length < MAX_LINES) {
      const end = buffer.indexOf('\n', bytes);
      if (end < 0 || end >= bytesRead) break;
      lines.push(buffer.toString('utf8', bytes, end));
      bytes = end + 1;
    }
    if (bytes === 0 && bytesRead === BATCH_BYTES) return { lines: [buffer.toString('utf8')], bytes: BATCH_BYTES };
    return { lines, bytes };
  } finally {
    await file.close();
  }
}

/**
 * Compares formation through the template's own functions with a bare script on the same kind of nodes. The two
 * alternate, each run starts without namespaces, and the result is a ratio.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Deleted, Formed } from '../rehearsal/display/results';
import { inRegion, ROOT, skipped } from './region';
import { median } from './statistics';

const RUNS = 5;
const MANAGERS = 3;
const WORKERS = 2;

export async function benchFormation(): Promise<void> {
  if (await skipped('formation')) return;
  const formed: Formed[] = [];
  const bare: number[] = [];
  for (let n = 0; n < RUNS; n++) {
    bare.push(await bareScript());
    formed.push(await formation());
    const [last] = formed.slice(-1);
    console.log(
      `  run ${n + 1}: formation ${last!.formationMs} ms (of which emulated AWS delays ${last!.delayedMs} ` +
        `ms), bare script ${bare.at(-1)} ms`,
    );
  }
  const formationMs = median(formed.map((one) => one.formationMs - one.delayedMs));
  console.log(
    `formation of ${MANAGERS} managers and ${WORKERS} workers, median of ${RUNS}: ${formationMs} ms; bare script ` +
      `${median(bare)} ms; ratio ${(formationMs / median(bare)).toFixed(2)} (goal <= 1.50)`,
  );
  console.log(`emulated AWS delays, not in it: ${median(formed.map(({ delayedMs }) => delayedMs))} ms`);
}

async function formation(): Promise<Formed> {
  const args = [
    join(ROOT, 'dist/bin/cdk-docker-swarm.js'),
    'start',
    '--managers',
    String(MANAGERS),
    '--workers',
    String(WORKERS),
    '--json',
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout) as Formed & Deleted;
}

async function bareScript(): Promise<number> {
  return Number(await inRegion('bare.ts', async () => ({ managers: MANAGERS, workers: WORKERS })));
}

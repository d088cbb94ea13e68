/** Formation through the template's own functions beside a bare script on the same kind of nodes: alternating, from no namespaces each time, as a ratio. */
import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../protocol/clock';
import type { Deleted, Formed } from '../rehearsal/messages';
import { Janitor, makeRunGroups, startRegion } from '../rehearsal/nodes/namespaces';
import { findProgram, missing, searchPath, thisMachine } from '../rehearsal/preflight';
import { median } from './statistics';

const RUNS = 5;
const MANAGERS = 3;
const WORKERS = 2;
const ROOT = join(__dirname, '..');

export async function benchFormation(): Promise<void> {
  const lacks = await missing(thisMachine());
  if (lacks.length > 0) {
    console.log(`SKIPPED: formation on real engines.\n${lacks.map((lack) => `  - ${lack}`).join('\n')}`);
    return;
  }
  const ours: Formed[] = [];
  const bare: number[] = [];
  for (let n = 0; n < RUNS; n++) {
    bare.push(await bareScript());
    ours.push(await formation());
    const [last] = ours.slice(-1);
    console.log(`  run ${n + 1}: formation ${last!.formationMs} ms (of which emulated AWS delays ${last!.delayedMs} ms), bare script ${bare.at(-1)} ms`);
  }
  const own = median(ours.map(({ formationMs, delayedMs }) => formationMs - delayedMs));
  console.log(`formation of ${MANAGERS} managers and ${WORKERS} workers, median of ${RUNS}: ${own} ms; bare script ${median(bare)} ms; ratio ${(own / median(bare)).toFixed(2)} (goal <= 1.50)`);
  console.log(`emulated AWS delays, not in it: ${median(ours.map(({ delayedMs }) => delayedMs))} ms`);
}

async function formation(): Promise<Formed> {
  const args = [join(ROOT, 'dist/bin/cdk-docker-swarm.js'), 'start', '--managers', String(MANAGERS), '--workers', String(WORKERS), '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout) as Formed & Deleted;
}

async function bareScript(): Promise<number> {
  const run = `${process.pid}-${systemClock.uuid().slice(0, 8)}`;
  const path = searchPath(process.env);
  process.env.PATH = path;
  const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-bench-'));
  const groups = makeRunGroups(run);
  const janitor = new Janitor(run, temporary, groups);
  try {
    const order = {
      run,
      managers: MANAGERS,
      workers: WORKERS,
      node: process.env.CDK_DOCKER_SWARM_NODE ?? process.execPath,
      dockerd: findProgram('dockerd', path)!,
      awsStandIn: join(ROOT, 'dist/rehearsal/stand-ins/aws.js'),
    };
    const argv = [process.execPath, '--import', 'tsx', join(__dirname, 'bare.ts'), JSON.stringify(order)];
    const child = startRegion(groups, argv, ['ignore', 'pipe', 'pipe'], { ...process.env, TMPDIR: temporary });
    let out = '';
    let errors = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => (out += part));
    child.stderr!.setEncoding('utf8').on('data', (part: string) => (errors += part));
    await new Promise<void>((done) => child.once('close', () => done()));
    const ms = Number(out.trim());
    if (!ms) throw new Error(`The bare script failed: ${errors.trim()}`);
    return ms;
  } finally {
    await janitor.clean();
  }
}

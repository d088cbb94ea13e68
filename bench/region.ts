/** Runs a program of this folder inside a region: namespaces of its own, with nothing left of them afterwards. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../protocol/clock';
import { Janitor, makeRunGroups, startRegion } from '../rehearsal/nodes/namespaces';
import { findProgram, missing, searchPath, thisMachine } from '../rehearsal/nodes/preflight';

export const ROOT = join(__dirname, '..');

/** What every program inside a region is given on its command line. */
export interface RegionOrder {
  run: string;
  /** Absolute paths. */
  node: string;
  dockerd: string;
  awsStandIn: string;
}

/** Says so, with the reasons, where real nodes cannot be made. */
export async function skipped(what: string): Promise<boolean> {
  const lacks = await missing(thisMachine());
  if (lacks.length > 0)
    console.log(`SKIPPED: ${what} on real engines.\n${lacks.map((lack) => `  - ${lack}`).join('\n')}`);
  return lacks.length > 0;
}

/**
 * @param program a file of this folder; gets the order as JSON
 * @param prepare adds to the order, given an empty folder and the run's control groups
 * @returns what the program wrote
 * @throws Error with what it complained of, when it failed
 */
export async function inRegion(
  program: string,
  prepare: (temporary: string, groups: string[]) => Promise<object>,
): Promise<string> {
  const run = `${process.pid}-${systemClock.uuid().slice(0, 8)}`;
  process.env.PATH = searchPath(process.env);
  const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-bench-'));
  const groups = makeRunGroups(run);
  const janitor = new Janitor(run, temporary, groups);
  try {
    const order: RegionOrder = {
      run,
      node: process.env.CDK_DOCKER_SWARM_NODE ?? process.execPath,
      dockerd: findProgram('dockerd', process.env.PATH)!,
      awsStandIn: join(ROOT, 'dist/rehearsal/stand-ins/aws.js'),
      ...(await prepare(temporary, groups)),
    };
    const argv = [process.execPath, '--import', 'tsx', join(__dirname, program), JSON.stringify(order)];
    const child = startRegion(groups, argv, ['ignore', 'pipe', 'pipe'], { ...process.env, TMPDIR: temporary });
    let out = '';
    let errors = '';
    child.stdout!.setEncoding('utf8').on('data', (part: string) => (out += part));
    child.stderr!.setEncoding('utf8').on('data', (part: string) => (errors += part));
    const code = await new Promise<number | null>((done) => child.once('close', done));
    if (code !== 0) throw new Error(`${program} failed: ${errors.trim()}`);
    return out;
  } finally {
    await janitor.clean();
  }
}

/** Runs a program of this folder inside a region: in namespaces of its own, which are removed afterwards. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../protocol/clock';
import { Janitor, makeRunGroups, startRegion } from '../rehearsal/nodes/namespaces';
import { findProgram, missing, searchPath, thisMachine } from '../rehearsal/nodes/preflight';

export const ROOT = join(__dirname, '..');

/** What every program inside a region gets on its command line. */
export interface RegionOrder {
  run: string;
  /** Absolute paths. */
  node: string;
  dockerd: string;
  awsStandIn: string;
}

/** Whether real nodes cannot run on this machine. It then prints the reasons. */
export async function skipped(benchmark: string): Promise<boolean> {
  const reasons = await missing(thisMachine());
  if (reasons.length > 0)
    console.log(`SKIPPED: ${benchmark} on real engines.\n${reasons.map((reason) => `  - ${reason}`).join('\n')}`);
  return reasons.length > 0;
}

/**
 * @param program a file of this folder, which gets the order as JSON
 * @param prepare returns what to add to the order; it gets an empty folder and the run's control groups
 * @returns the standard output of the program
 * @throws Error with the standard error of the program, when it fails
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

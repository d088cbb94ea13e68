/**
 * What the tests on real nodes share: whether this machine can make them, what a run has left on it, and starting the
 * command and the programs inside a region.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { buildSync } from 'esbuild';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '../../protocol/clock';
import type { Kill } from '../../rehearsal/scenarios/formation-kills';
import type { Deleted, Formed, Moment } from '../../rehearsal/display/results';
import type { Evidence, RehearsalOrder, Message } from '../../rehearsal/run/messages';
import { hierarchies } from '../../rehearsal/nodes/cgroups';
import { Janitor, makeRunGroups, startRegion } from '../../rehearsal/nodes/namespaces';
import { findProgram, searchPath } from '../../rehearsal/nodes/preflight';
import { SCENARIOS } from '../../rehearsal/scenarios/scenarios';
import { readStack, synthesise, type Stack } from '../../rehearsal/assembly/synth';
import { renderTimeline } from '../../rehearsal/display/timeline';

export const PROJECT = resolve(__dirname, '../..');
process.env.PATH = searchPath(process.env);

/** A test that needs real nodes: skipped where they cannot be made (build.js has said loudly why). */
export const testOnRealNodes = process.env.REAL_NODES_LACK === undefined ? test : test.skip;

/** The same, at the same time as others of its file. */
export const testBesideOthers = process.env.REAL_NODES_LACK === undefined ? test.concurrent : test.skip;

/** What is to be the same before and after: the machine's own mounts, links and network addresses. */
export function machineState(): string {
  return JSON.stringify(
    {
      mounts: readFileSync('/proc/self/mountinfo', 'utf8'),
      links: readdirSync('/sys/class/net').sort(),
      addresses: networkInterfaces(),
    },
    null,
    1,
  );
}

/** Everything on this machine that bears the id of a run: processes, control groups, loop devices. */
export function traces(run: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // A dead process that its new parent, the machine's process 1, has not collected yet.
    if (/^State:\s+Z/m.test(textOf(`/proc/${pid}/status`))) continue;
    for (const file of ['cmdline', 'cgroup'])
      if (pid !== String(process.pid) && textOf(`/proc/${pid}/${file}`).includes(run))
        found.push(`process ${pid}: ${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`);
  }
  for (const { folder } of hierarchies())
    for (const name of readdirSync(folder)) if (name.includes(run)) found.push(`control group ${join(folder, name)}`);
  for (const name of readdirSync('/sys/block'))
    if (textOf(`/sys/block/${name}/loop/backing_file`).includes(run)) found.push(`loop device ${name}`);
  return found;
}

/** Nothing of a file that is not there, or is no longer. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Waits until there is nothing to tell, and gives what there still is at the deadline. */
export async function nothing(find: () => string[], deadlineMs: number): Promise<string[]> {
  const end = systemClock.now() + deadlineMs;
  let found = find();
  while (found.length > 0 && systemClock.now() < end) {
    await systemClock.sleep(20);
    found = find();
  }
  return found;
}

export interface Command {
  process: ChildProcess;
  /** Part of the names of everything that the run makes. */
  run: string;
  /** All that it wrote so far. */
  output(): string;
  stdout(): string;
  /** Resolves when it has written this. Rejects when it ends before. */
  wrote(what: RegExp): Promise<void>;
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | string>;
  /** What it has left in the folder for temporary files. */
  temporaryFiles(): string[];
}

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'real-nodes-test-'));
  folders.push(folder);
  return folder;
}

/** Runs the built command as a shell would, in a process group of its own, for the reference app. */
export function startCommand(...args: string[]): Command {
  return startCommandIn(PROJECT, ...args);
}

/** The same for the app of another folder. */
export function startCommandIn(cwd: string, ...args: string[]): Command {
  const temporary = temporaryFolder();
  const child = spawn(process.execPath, [join(PROJECT, 'dist/bin/cdk-docker-swarm.js'), 'start', ...args], {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  });
  let output = '';
  let stdout = '';
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      output += part;
      for (const watcher of [...watchers]) watcher();
    });
  }
  const ended = new Promise<number | string>((done) => child.once('close', (code, signal) => done(code ?? signal!)));
  return {
    process: child,
    run: `${child.pid}-`,
    output: () => output,
    stdout: () => stdout,
    wrote: (what) =>
      new Promise((done, fail) => {
        const look = () => {
          if (!what.test(output)) return;
          watchers.delete(look);
          done();
        };
        watchers.add(look);
        look();
        void ended.then((code) => fail(new Error(`The command ended (${code}) before it wrote ${what}:\n${output}`)));
      }),
    ended,
    // Others are the app's: tsx keeps a cache there.
    temporaryFiles: () => readdirSync(temporary).filter((name) => name.startsWith('cdk-docker-swarm-')),
  };
}

const referenceApps = new Map<string, Promise<Stack>>();

/** The reference app with these context values, synthesised once for all tests of a file. */
function referenceApp(context: Record<string, unknown>): Promise<Stack> {
  const key = JSON.stringify(context);
  if (!referenceApps.has(key)) {
    const out = join(temporaryFolder(), 'cdk.out');
    referenceApps.set(
      key,
      synthesise(PROJECT, out, context, [], () => undefined).then(() => readStack(out)),
    );
  }
  return referenceApps.get(key)!;
}

export interface RealSwarm {
  formed: Formed;
  evidence: Evidence;
  /** Of the scenario; none without one. */
  moments: Moment[];
  remarks: string[];
  deleted: Deleted;
}

/** By then a swarm has formed and is deleted again, on a busy machine and with a wait for the sweep in it. */
const FORMATION_MS = 150_000;

/**
 * Forms the reference app's swarm, deletes it, and checks that nothing of it stays: the command without its command
 * line.
 * @throws Error with how far each node came, and what nodes and functions said last
 */
export async function formSwarm(
  managers: number,
  workers: number,
  kills: Kill[],
  deadlineMs = FORMATION_MS,
  scenario?: string,
  spot = false,
): Promise<RealSwarm> {
  const { next, listener, follow } =
    scenario === undefined ? { next: undefined, listener: undefined, follow: undefined } : SCENARIOS[scenario]!;
  const stack = await referenceApp({
    managers,
    workers,
    ...(spot && { spot }),
    ...(listener && { listener }),
    ...(follow && { follow, nodes: 'workers' }),
  });
  const run = `test-${systemClock.uuid().slice(0, 8)}`;
  const temporary = temporaryFolder();
  const order: RehearsalOrder = {
    run,
    assembly: stack.assembly,
    stackName: stack.name,
    folder: join(temporary, 'region'),
    node: process.execPath,
    dockerd: findProgram('dockerd', process.env.PATH ?? '')!,
    lambdaRuntime: join(PROJECT, 'dist/rehearsal/lambda-runtime.js'),
    awsStandIn: join(PROJECT, 'dist/rehearsal/stand-ins/aws.js'),
    kills,
    scenario,
    nextAssembly: next && (await referenceApp({ ...next, ...(spot && { spot }) })).assembly,
    deadlineMs,
  };
  const groups = makeRunGroups(run);
  const janitor = new Janitor(run, temporary, groups);
  const region = startRegion(
    groups,
    [process.execPath, join(PROJECT, 'dist/bin/cdk-docker-swarm.js'), 'region', JSON.stringify(order)],
    ['ignore', 'inherit', 'inherit', 'ipc'],
    { ...process.env, TMPDIR: temporary },
  );
  const messages: Message[] = [];
  region.on('message', (message: Message) => messages.push(message));
  await new Promise((done) => region.once('close', done));
  await janitor.clean();
  expect(traces(run)).toEqual([]);
  const failed = messages.find((message) => message.kind === 'failed');
  if (failed !== undefined) throw new Error(describeFailure(failed));
  const formed = messages.find((message) => message.kind === 'formed');
  const deleted = messages.find((message) => message.kind === 'deleted');
  if (formed === undefined || deleted === undefined) throw new Error('The region ended before its time.');
  const played = messages.find((message) => message.kind === 'played');
  return {
    formed: formed.formed,
    evidence: formed.evidence,
    moments: played?.moments ?? [],
    remarks: played?.remarks ?? [],
    deleted: deleted.deleted,
  };
}

/** How many lines of each log a failed formation shows. */
const SHOWN_LINES = 40;

/**
 * Shows what the functions and the emulated AWS said, and those nodes that can have held the formation up: any manager,
 * and the workers that are not complete.
 */
function describeFailure({ error, rows, logs }: Extract<Message, { kind: 'failed' }>): string {
  const complete = rows
    .filter(({ role, milestones }) => role === 'worker' && milestones.hook !== undefined)
    .map(({ instanceId }) => `${instanceId}/`);
  const shown = Object.entries(logs).filter(([name]) => !complete.some((node) => name.startsWith(node)));
  const last = shown.map(([name, text]) => `\n${name}:\n${text.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n')}`);
  return [error, ...renderTimeline(rows), ...last].join('\n');
}

/** Bundles a program of these tests, to be run inside a region. */
export function bundle(name: string): string {
  const outfile = join(temporaryFolder(), `${name}.js`);
  buildSync({
    entryPoints: [join(__dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  });
  return outfile;
}

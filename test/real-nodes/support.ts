/** What the tests on real nodes share: whether this machine can make them, what a run has left on it, and starting the command and the programs inside a region. */
import { spawn, type ChildProcess } from 'node:child_process';
import { buildSync } from 'esbuild';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '../../protocol/clock';
import { hierarchies } from '../../rehearsal/nodes/cgroups';
import { searchPath } from '../../rehearsal/preflight';

export const PROJECT = resolve(__dirname, '../..');
process.env.PATH = searchPath(process.env);

/** A test that needs real nodes: skipped where they cannot be made (build.js has said loudly why). */
export const testOnRealNodes = process.env.REAL_NODES_LACK === undefined ? test : test.skip;

/** What is to be the same before and after: the machine's own mounts, links and network addresses. */
export function machineState(): string {
  return JSON.stringify({ mounts: readFileSync('/proc/self/mountinfo', 'utf8'), links: readdirSync('/sys/class/net').sort(), addresses: networkInterfaces() }, null, 1);
}

/** Everything on this machine that bears the id of a run: processes, control groups, loop devices. */
export function traces(run: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // A dead process that its new parent, the machine's process 1, has not collected yet.
    if (/^State:\s+Z/m.test(textOf(`/proc/${pid}/status`))) continue;
    for (const file of ['cmdline', 'cgroup']) if (pid !== String(process.pid) && textOf(`/proc/${pid}/${file}`).includes(run)) found.push(`process ${pid}: ${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`);
  }
  for (const { folder } of hierarchies()) for (const name of readdirSync(folder)) if (name.includes(run)) found.push(`control group ${join(folder, name)}`);
  for (const name of readdirSync('/sys/block')) if (textOf(`/sys/block/${name}/loop/backing_file`).includes(run)) found.push(`loop device ${name}`);
  return found;
}

function textOf(file: string): string {
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

/** Bundles a program of these tests, to be run inside a region. */
export function bundle(name: string): string {
  const outfile = join(temporaryFolder(), `${name}.js`);
  buildSync({ entryPoints: [join(__dirname, `${name}.ts`)], outfile, bundle: true, platform: 'node', target: 'node20', logLevel: 'error' });
  return outfile;
}

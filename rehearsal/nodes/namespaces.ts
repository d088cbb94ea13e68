/**
 * The namespaces of a run ("the region"): their own network, mounts and processes, below one process. When that process
 * dies, for any reason, the kernel ends everything in them: nodes, engines, functions, mounts, bridge. A janitor
 * outside removes what the kernel does not (control groups, the run's temporary folder, a loop device in the making):
 * it waits until the run's parent has ended, cleans up and exits.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hierarchies, inGroups, makeGroups } from './cgroups';

/**
 * Arguments: the run's id, its temporary folder, its control groups. Begins when its standard input ends, and gives the
 * kernel ten seconds. A loop device belongs to the run when the name of its backing file contains the run's id.
 */
const JANITOR = `
run=$1; temporary=$2; shift 2
while read -r line; do :; done
tries=0
while [ $tries -lt 500 ]; do
  left=
  for group; do
    [ -d "$group" ] || continue
    for pid in $(cat "$group/cgroup.procs" "$group"/*/cgroup.procs 2> /dev/null); do kill -9 "$pid" 2> /dev/null; done
    find "$group" -depth -type d -exec rmdir {} + 2> /dev/null
    [ -d "$group" ] && left="$left $group"
  done
  for file in /sys/block/loop*/loop/backing_file; do
    case "$(cat "$file" 2> /dev/null)" in *"$run"*)
      device=\${file#/sys/block/}; device=/dev/\${device%%/*}
      [ -n "$left" ] || losetup -d "$device" 2> /dev/null
      left="$left $device" ;;
    esac
  done
  rm -rf "$temporary"
  [ -n "$left" ] || exit 0
  tries=$((tries + 1)); sleep 0.02
done
echo "The rehearsal could not remove:$left" >&2
exit 1
`;

/** Cleans up after a run, even when the calling process is killed. Start it before anything else in the run. */
export class Janitor {
  private readonly process: ChildProcess;
  private readonly ended: Promise<number | null>;

  /**
   * @param run a unique id, which is also part of the file names of its volumes
   * @param temporaryFolder removed with the run
   * @param groups control groups of the run, see {@link makeRunGroups}; processes left in them are killed
   */
  constructor(run: string, temporaryFolder: string, groups: string[]) {
    // In its own session: a signal to the command's process group must not end the janitor.
    this.process = spawn('/bin/sh', ['-c', JANITOR, 'janitor', run, temporaryFolder, ...groups], {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
  }

  /** Kills what still runs. Resolves when nothing of the run is left on the machine, and rejects when something is. */
  async clean(): Promise<void> {
    this.process.stdin?.end();
    if ((await this.ended) !== 0) throw new Error('The rehearsal left the things named above on this machine.');
  }
}

/** Creates the control groups of a run, empty. Root only. */
export function makeRunGroups(run: string): string[] {
  return makeGroups(
    hierarchies().map(({ folder }) => folder),
    `cdk-docker-swarm.${run}`,
  );
}

/**
 * Runs a program as the first process of new namespaces. It dies with the calling process, however that dies, and
 * everything below it dies too.
 *
 * @param groups the run's control groups; the program finds them as JSON in `REHEARSAL_CGROUPS`
 * @returns the process that ends when the region ends, with an IPC channel to the program if `stdio` has one
 */
export function startRegion(
  groups: string[],
  argv: string[],
  stdio: StdioOptions,
  environment: NodeJS.ProcessEnv,
): ChildProcess {
  const namespaces = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'];
  // `--kill-child` ends the region with unshare; the parent-death signal ends unshare with this process:
  // https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
  const [program, ...args] = inGroups(makeGroups(groups, 'region'), [
    'setpriv',
    '--pdeathsig',
    'KILL',
    ...namespaces,
    ...argv,
  ]);
  return spawn(program!, args, { stdio, env: { ...environment, REHEARSAL_CGROUPS: JSON.stringify(groups) } });
}

/**
 * Kills a region and resolves when it has ended. It kills the region's first process, not `unshare`, so that every dead
 * process still has a parent that reaps it: where process 1 reaps nothing (in many containers), zombies would stay.
 */
export async function endRegion(region: ChildProcess): Promise<void> {
  if (region.pid === undefined || region.exitCode !== null || region.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => region.once('exit', () => resolve()));
  const children = childrenOf(region.pid);
  for (const pid of children) process.kill(pid, 'SIGKILL');
  if (children.length === 0) region.kill('SIGKILL');
  await ended;
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

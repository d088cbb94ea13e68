/**
 * Checks what real nodes need from this machine, and says what is missing and how to get it. Changes nothing: its one
 * trial runs in its own namespaces.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { run } from './shell';

/** Programs, and the Debian package that has each. */
const PROGRAMS: Record<string, string> = {
  dockerd: 'docker.io',
  containerd: 'docker.io',
  iptables: 'iptables',
  ip: 'iproute2',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  losetup: 'mount',
  mount: 'mount',
  blkid: 'util-linux',
  pivot_root: 'util-linux',
  mountpoint: 'util-linux',
  'mkfs.ext4': 'e2fsprogs',
  sysctl: 'procps',
  bash: 'bash',
  perl: 'perl-base',
};
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The caller's search path, plus the folders of system programs that a normal user's path may lack. */
export function searchPath(environment: NodeJS.ProcessEnv): string {
  return [...new Set([...(environment.PATH ?? '').split(':').filter(Boolean), ...SYSTEM_FOLDERS])].join(':');
}

/** The path of a program, or undefined. */
export function findProgram(name: string, path: string): string | undefined {
  return path
    .split(':')
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The names of the programs that are not installed. */
export function lackingPrograms(programs: Record<string, string>): string[] {
  const path = searchPath(process.env);
  return Object.keys(programs).filter((name) => findProgram(name, path) === undefined);
}

/** A minimal node: every kind of mount, device and link that a node needs, in namespaces that end with the shell. */
const TRIAL = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/u /run/w /run/r
mount -t overlay overlay -o lowerdir=/,upperdir=/run/u,workdir=/run/w /run/r
losetup --find > /dev/null
ip link add trial type bridge
ip link add trial0 type veth peer name trial1`;

export interface Machine {
  platform: string;
  /** Undefined on platforms without numeric user ids. */
  userId: number | undefined;
  path: string;
  /** Runs a shell script in new namespaces. @throws Error with its output */
  try(script: string): Promise<void>;
}

export const thisMachine = (): Machine => ({
  platform: process.platform,
  userId: process.getuid?.(),
  path: searchPath(process.env),
  try: async (script) =>
    void (await run('unshare', [
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--',
      '/bin/sh',
      '-c',
      script,
    ])),
});

/** One sentence for each missing requirement, with how to meet it; none when this machine can run real nodes. */
export async function missing(machine: Machine): Promise<string[]> {
  if (machine.platform !== 'linux')
    return [
      `Real nodes need Linux namespaces, but this machine runs ${machine.platform}: use a Linux ` +
        'machine or virtual machine.',
    ];
  const sentences: string[] = [];
  const absent = Object.keys(PROGRAMS).filter((name) => findProgram(name, machine.path) === undefined);
  if (absent.length > 0) {
    const packages = [...new Set(absent.map((name) => PROGRAMS[name]!))];
    sentences.push(
      `This machine has no ${absent.join(', ')}. On Debian or Ubuntu: apt-get install --yes ${packages.join(' ')}`,
    );
  }
  if (machine.userId !== 0)
    sentences.push(
      `Namespaces, mounts and loop devices need root, but this is user ${machine.userId}. Run the same ` +
        'command as root: sudo env "PATH=$PATH" npm start',
    );
  if (sentences.length > 0) return sentences;
  try {
    await machine.try(TRIAL);
    return [];
  } catch (error) {
    const said =
      error instanceof Error
        ? error.message.slice(error.message.lastIndexOf('failed:') + 'failed:'.length).trim()
        : String(error);
    return [
      `Root cannot create a node on this machine: ${said}. Inside a container, start that container with ` +
        '--privileged; on a kernel without overlay, loop or veth, load those modules.',
    ];
  }
}

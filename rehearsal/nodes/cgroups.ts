/**
 * Control groups of a run. In every mounted hierarchy the run has a folder below the caller's own group, and below it
 * one for the region and one for each node. Everything a run starts, containers included, lives below these folders:
 * when they are empty, the run has ended completely. Works with version 1, version 2 and both mounted.
 * Source: https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html,
 * https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

export interface Hierarchy {
  /** File system type and options with which a node mounts it. */
  type: 'cgroup' | 'cgroup2';
  options: string;
  /** Where it is mounted on the host. */
  mountPoint: string;
  /** The folder of this process's own group. */
  folder: string;
}

/** The mounted hierarchies, from the contents of `/proc/self/mountinfo` and `/proc/self/cgroup`. */
export function parseHierarchies(mountInfo: string, ownGroups: string): Hierarchy[] {
  const mounts = mountInfo.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ');
    const [type, , options] = right?.split(' ') ?? [];
    const [, , , root, mountPoint] = left?.split(' ') ?? [];
    if (
      (type !== 'cgroup' && type !== 'cgroup2') ||
      root === undefined ||
      mountPoint === undefined ||
      options === undefined
    )
      return [];
    return [{ type, root, mountPoint, options: options.split(',') } as const];
  });
  return ownGroups.split('\n').flatMap((line) => {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (!match) return [];
    const controllers = match[1]!;
    const mount = mounts.find(({ type, options }) =>
      controllers === '' ? type === 'cgroup2' : type === 'cgroup' && options.includes(controllers.split(',')[0]!),
    );
    if (mount === undefined) return [];
    const folder = join(mount.mountPoint, relative(mount.root, match[2]!));
    // A named hierarchy has no controllers: https://man7.org/linux/man-pages/man7/cgroups.7.html
    return [
      {
        type: mount.type,
        options: controllers.startsWith('name=') ? `none,${controllers}` : controllers,
        mountPoint: mount.mountPoint,
        folder,
      },
    ];
  });
}

export function hierarchies(): Hierarchy[] {
  return parseHierarchies(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'));
}

/** Creates a group in every hierarchy. @returns its folders */
export function makeGroups(parents: string[], name: string): string[] {
  return parents.map((parent) => {
    const folder = join(parent, name);
    mkdirSync(folder, { recursive: true });
    // Version 1: a `cpuset` group accepts no process before it has CPUs and memory nodes.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (existsSync(join(folder, file)) && !existsSync(join(folder, 'cgroup.controllers')))
        writeFileSync(join(folder, file), readFileSync(join(parent, file)));
    }
    return folder;
  });
}

/** Removes groups and everything below them. @returns false while one still has a process */
export function removeGroups(folders: string[]): boolean {
  return folders.map(removeGroup).every(Boolean);
}

function removeGroup(folder: string): boolean {
  if (!existsSync(folder)) return true;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroup(join(folder, entry.name));
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

/** A command that enters the groups and then executes `argv`. */
export function inGroups(folders: string[], argv: string[]): string[] {
  return [
    '/bin/sh',
    '-c',
    'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"',
    'sh',
    ...folders,
    '--',
    ...argv,
  ];
}

/**
 * Shell lines that mount the host's hierarchies in a node. They run in the node's cgroup namespace, in its new root.
 */
export function mountScript(all: Hierarchy[]): string {
  const lines = all.map(({ type, options, mountPoint }) => {
    const target = mountPoint === '/sys/fs/cgroup' ? 'sys/fs/cgroup' : `sys/fs/cgroup/${basename(mountPoint)}`;
    return `mkdir -p ${target}; mount -t ${type} ${type === 'cgroup' ? `-o ${options} ` : ''}cgroup ${target}`;
  });
  if (all.length === 1 && all[0]!.type === 'cgroup2') {
    // Version 2: only a group without processes can delegate controllers to the groups of containers.
    return [
      ...lines,
      'mkdir -p sys/fs/cgroup/init; echo 1 > sys/fs/cgroup/init/cgroup.procs',
      'for controller in $(cat sys/fs/cgroup/cgroup.controllers); do echo "+$controller" > ' +
        'sys/fs/cgroup/cgroup.subtree_control || true; done 2> /dev/null',
    ].join('\n');
  }
  return ['mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup', ...lines].join('\n');
}

import { mountScript, parseHierarchies } from '../../../rehearsal/nodes/cgroups';

const V1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;

test('groups of version 1, and of both versions together, are found where they are mounted', () => {
  expect(parseHierarchies(V1, '3:cpu,cpuacct:/user\n2:pids:/\n1:name=systemd:/user/1\n0::/user/2\n')).toEqual([
    {
      type: 'cgroup',
      options: 'cpu,cpuacct',
      mountPoint: '/sys/fs/cgroup/cpu,cpuacct',
      folder: '/sys/fs/cgroup/cpu,cpuacct/user',
    },
    {
      type: 'cgroup',
      options: 'none,name=systemd',
      mountPoint: '/sys/fs/cgroup/systemd',
      folder: '/sys/fs/cgroup/systemd/user/1',
    },
    { type: 'cgroup2', options: '', mountPoint: '/sys/fs/cgroup/unified', folder: '/sys/fs/cgroup/unified/user/2' },
  ]);
});

test('groups of version 2 are found', () => {
  expect(
    parseHierarchies(
      '25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate',
      '0::/user.slice/session-1.scope\n',
    ),
  ).toEqual([
    { type: 'cgroup2', options: '', mountPoint: '/sys/fs/cgroup', folder: '/sys/fs/cgroup/user.slice/session-1.scope' },
  ]);
});

test('in a container whose mounts begin at its own group, the group is the mount point', () => {
  expect(
    parseHierarchies('25 23 0:22 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids', '4:pids:/docker/abc\n')[0]
      ?.folder,
  ).toBe('/sys/fs/cgroup/pids');
});

test('a node mounts every hierarchy of version 1 below a folder of its own', () => {
  const script = mountScript(parseHierarchies(V1, '3:cpu,cpuacct:/\n0::/\n'));
  expect(script.split('\n')).toEqual([
    'mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup',
    'mkdir -p sys/fs/cgroup/cpu,cpuacct; mount -t cgroup -o cpu,cpuacct cgroup sys/fs/cgroup/cpu,cpuacct',
    'mkdir -p sys/fs/cgroup/unified; mount -t cgroup2 cgroup sys/fs/cgroup/unified',
  ]);
});

test('with version 2 alone, a node moves its first process out of the way of the groups of containers', () => {
  const script = mountScript([
    { type: 'cgroup2', options: '', mountPoint: '/sys/fs/cgroup', folder: '/sys/fs/cgroup' },
  ]);
  expect(script).toContain('mount -t cgroup2 cgroup sys/fs/cgroup\n');
  expect(script).toContain('echo 1 > sys/fs/cgroup/init/cgroup.procs');
});

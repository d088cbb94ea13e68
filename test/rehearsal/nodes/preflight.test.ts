import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, missing, searchPath, type Machine } from '../../../rehearsal/nodes/preflight';

const folder = mkdtempSync(join(tmpdir(), 'preflight-'));
afterAll(() => rmSync(folder, { recursive: true }));
const PROGRAMS = [
  'dockerd',
  'containerd',
  'iptables',
  'ip',
  'unshare',
  'nsenter',
  'setpriv',
  'losetup',
  'mount',
  'blkid',
  'pivot_root',
  'mountpoint',
  'mkfs.ext4',
  'sysctl',
  'bash',
  'perl',
];
for (const name of PROGRAMS) writeFileSync(join(folder, name), '', { mode: 0o755 });
const machine: Machine = { platform: 'linux', userId: 0, path: folder, try: () => Promise.resolve() };

test('a Linux machine with everything lacks nothing', async () => {
  expect(await missing(machine)).toEqual([]);
});

test('another system is told to use Linux, and nothing else', async () => {
  expect(await missing({ ...machine, platform: 'darwin', path: '' })).toEqual([
    expect.stringContaining('this machine runs darwin: use a Linux machine'),
  ]);
});

test('missing programs are named with the packages that bring them, and so is a missing root', async () => {
  const other = mkdtempSync(join(folder, 'other-'));
  for (const name of PROGRAMS.filter((program) => !['dockerd', 'containerd', 'ip'].includes(program)))
    writeFileSync(join(other, name), '', { mode: 0o755 });
  expect(await missing({ ...machine, userId: 1000, path: other })).toEqual([
    'This machine has no dockerd, containerd, ip. On Debian or Ubuntu: apt-get install --yes docker.io iproute2',
    expect.stringContaining('this is user 1000'),
  ]);
});

test('a machine that forbids namespaces says what it said and what to do', async () => {
  const forbidden = {
    ...machine,
    try: () => Promise.reject(new Error('`unshare --net` failed: unshare failed: Operation not permitted')),
  };
  expect(await missing(forbidden)).toEqual([
    expect.stringMatching(/Root cannot create a node on this machine: Operation not permitted.*--privileged/),
  ]);
});

test("system programs are found although a user's path lacks their folders", () => {
  expect(searchPath({ PATH: '/usr/bin' }).split(':')).toEqual(
    expect.arrayContaining(['/usr/bin', '/usr/sbin', '/sbin']),
  );
  expect(findProgram('dockerd', `/nowhere:${folder}`)).toBe(join(folder, 'dockerd'));
  expect(findProgram('nothing', folder)).toBeUndefined();
});

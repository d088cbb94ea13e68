import { spawnSync } from 'node:child_process';
import { DNF } from '../../../rehearsal/stand-ins/dnf';
import { SYSTEMCTL } from '../../../rehearsal/stand-ins/systemctl';

const dnf = (...args: string[]) => spawnSync('bash', ['-c', DNF, 'dnf', ...args], { encoding: 'utf8' });

test('dnf fails on every way to call it but the one that user data uses', () => {
  for (const args of [[], ['update'], ['install', 'docker'], ['install', '-y'], ['remove', '-y', 'docker']]) {
    const { status, stderr } = dnf(...args);
    expect({ args, status }).toEqual({ args, status: 64 });
    expect(stderr).toContain('knows only "dnf install -y PACKAGE..."');
  }
});

test('dnf fails on a package that it does not know, and names it', () => {
  const { status, stderr } = dnf('install', '-y', 'htop');
  expect(status).toBe(64);
  expect(stderr).toContain('was asked for: htop');
});

test('bash reads both stand-ins without a complaint', () => {
  for (const script of [DNF, SYSTEMCTL])
    expect(spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
});

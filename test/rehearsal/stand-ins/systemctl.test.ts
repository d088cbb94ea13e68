/**
 * The stand-in itself, with folders of its own in the place of the machine's. What it refuses is tested in nodes
 * (test/real-nodes/machines.test.ts).
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../protocol/clock';
import { SYSTEMCTL, SYSTEMD_STATE } from '../../../rehearsal/stand-ins/systemctl';

const folder = mkdtempSync(join(tmpdir(), 'systemctl-test-'));
jest.setTimeout(60_000);

/** The only file of the agent that runs programs. */
const HOST = join(__dirname, '../../../agent/host.ts');

const program = join(folder, 'systemctl');
const state = join(folder, 'state');
const units = join(folder, 'units');
const started: string[] = [];

beforeAll(() => {
  for (const name of [state, units, join(folder, 'log')]) mkdirSync(name);
  writeFileSync(
    program,
    SYSTEMCTL.replaceAll(SYSTEMD_STATE, state)
      .replaceAll('/etc/systemd/system', units)
      .replaceAll('/var/log', join(folder, 'log')),
    { mode: 0o755 },
  );
});
afterEach(() => started.splice(0).forEach((unit) => systemctl('stop', unit)));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function systemctl(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 });
}

/** @param script what the service runs; it finds `$folder` */
function unit(name: string, unitLines: string[], serviceLines: string[], script: string): void {
  started.push(name);
  writeFileSync(join(folder, `${name}.sh`), `folder=${folder}\necho start >> $folder/${name}.starts\n${script}\n`);
  writeFileSync(
    join(units, `${name}.service`),
    [
      '[Unit]',
      ...unitLines,
      '[Service]',
      `ExecStart=/bin/bash ${join(folder, `${name}.sh`)}`,
      ...serviceLines,
      '',
    ].join('\n'),
  );
}

/** Of the service: empty while it does not run. */
function main(name: string): string {
  try {
    return readFileSync(join(state, name, 'main'), 'utf8').trim();
  } catch {
    return '';
  }
}
const starts = (name: string) =>
  existsSync(join(folder, `${name}.starts`))
    ? readFileSync(join(folder, `${name}.starts`), 'utf8')
        .trim()
        .split('\n').length
    : 0;

async function until(condition: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!condition()) {
    if (systemClock.now() > deadline) throw new Error('It did not become so.');
    await systemClock.sleep(10);
  }
}

const NOTIFY =
  `perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); send(S, "READY=1", 0, ` +
  `pack_sockaddr_un($ENV{NOTIFY_SOCKET}))'`;
// test/global-teardown.js says loudly where it is not.
const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('a service that is killed runs again after RestartSec, and until then it is activating', async () => {
  unit('always', [], ['Restart=always', 'RestartSec=3'], 'exec sleep 1000');
  expect(systemctl('start', 'always').status).toBe(0);
  const killed = main('always');
  process.kill(Number(killed), 'SIGKILL');
  await until(() => main('always') === '');
  expect(systemctl('is-active', 'always').stdout).toBe('activating\n');
  await until(() => main('always') !== '');
  expect(main('always')).not.toBe(killed);
  await until(() => systemctl('is-active', 'always').stdout === 'active\n');
});

onLinux(
  'a service that was started five times within its interval is given up, and not started by anybody either',
  async () => {
    unit('dying', ['StartLimitIntervalSec=600'], ['Restart=always', 'RestartSec=0.01'], 'exit 1');
    systemctl('start', 'dying');
    await until(() => systemctl('is-active', 'dying').stdout === 'inactive\n');
    expect(starts('dying')).toBe(5);
    expect(systemctl('start', 'dying')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('start request repeated too quickly'),
    });
  },
);

onLinux('a service without a start limit is started for ever', async () => {
  unit('endless', ['StartLimitIntervalSec=0'], ['Restart=always', 'RestartSec=0.01'], 'exit 1');
  systemctl('start', 'endless');
  await until(() => starts('endless') > 7);
});

onLinux(
  'the start of a service that notifies waits until it is ready, also while it waits to be restarted',
  async () => {
    unit(
      'docker',
      [],
      ['Type=notify', 'Restart=always', 'RestartSec=0.3'],
      `sleep 0.2; touch $folder/answers; ${NOTIFY}; exec sleep 1000`,
    );
    expect(systemctl('start', 'docker').status).toBe(0);
    expect(existsSync(join(folder, 'answers'))).toBe(true);
    rmSync(join(folder, 'answers'));
    process.kill(Number(main('docker')), 'SIGKILL');
    await until(() => main('docker') === '');
    expect(systemctl('start', 'docker').status).toBe(0);
    expect(existsSync(join(folder, 'answers'))).toBe(true);
  },
);

onLinux('the start of a service that ends before it is ready fails', () => {
  unit('docker', [], ['Type=notify'], 'exit 3');
  expect(systemctl('start', 'docker')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('exited with error code'),
  });
});

onLinux('the start of a service fails also when it ends, with its supervisor, between two looks', () => {
  unit('docker', [], ['Type=notify'], 'exit 3');
  const slow = join(folder, 'slow-look.sh');
  writeFileSync(slow, `kill() { [ "$verb" != start ] || sleep 2; builtin kill "$@"; }\n`);
  const start = spawnSync(program, ['start', 'docker'], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, BASH_ENV: slow },
  });
  expect(start).toMatchObject({ status: 1, stderr: expect.stringContaining('exited with error code') });
});

onLinux('a service whose condition is not met any more is not restarted', async () => {
  const condition = join(folder, 'condition');
  appendFileSync(condition, '');
  unit('conditional', [`ConditionPathExists=${condition}`], ['Restart=always', 'RestartSec=0.05'], 'exec sleep 1000');
  systemctl('start', 'conditional');
  await until(() => starts('conditional') === 1);
  rmSync(condition);
  process.kill(Number(main('conditional')), 'SIGKILL');
  await until(() => systemctl('is-active', 'conditional').stdout === 'inactive\n');
  expect(starts('conditional')).toBe(1);
});

onLinux(
  'kill ends a service that hears nothing any more, and it runs again; one that does not run cannot be killed',
  async () => {
    unit('hanging', [], ['Restart=always', 'RestartSec=0.05'], 'exec sleep 1000');
    expect(systemctl('start', 'hanging').status).toBe(0);
    const killed = main('hanging');
    await until(() => starts('hanging') === 1);
    process.kill(Number(killed), 'SIGSTOP');
    expect(systemctl('kill', '--signal=SIGKILL', 'hanging.service').status).toBe(0);
    await until(() => starts('hanging') === 2);
    expect(main('hanging')).not.toBe(killed);
    expect(systemctl('kill', 'hanging').stderr).toContain('knows kill with --signal=SIGKILL only');
    systemctl('stop', 'hanging');
    expect(systemctl('kill', '--signal=SIGKILL', 'hanging')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('No process to kill'),
    });
  },
);

onLinux('the socket of an engine that is not installed cannot be stopped', () => {
  rmSync(join(units, 'docker.service'), { force: true });
  const { status, stderr } = spawnSync(program, ['stop', 'docker.socket'], { encoding: 'utf8', env: { PATH: folder } });
  expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining('could not be found') });
});

onLinux('the agent starts, kills and stops the engine through it', async () => {
  unit(
    'docker',
    ['StartLimitIntervalSec=0'],
    ['Type=notify', 'Restart=always', 'RestartSec=0.05'],
    `${NOTIFY}; exec sleep 1000`,
  );
  for (const [step, running] of [
    ['startEngine', 'active\n'],
    ['killEngine', 'active\n'],
    ['stopEngine', 'inactive\n'],
    ['stopEngine', 'inactive\n'],
    ['startEngine', 'active\n'],
  ]) {
    const before = main('docker');
    const agent = spawnSync(
      process.execPath,
      ['--require', 'tsx/cjs', '-e', `void require(process.argv[1]).linuxHost.${step}()`, HOST],
      { encoding: 'utf8', timeout: 20_000, env: { ...process.env, PATH: `${folder}:${process.env.PATH}` } },
    );
    expect({ step, status: agent.status, stderr: agent.stderr }).toEqual({ step, status: 0, stderr: '' });
    if (step === 'killEngine') await until(() => !['', before].includes(main('docker')));
    await until(() => systemctl('is-active', 'docker').stdout === running);
  }
});

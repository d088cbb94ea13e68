/**
 * The script really runs under bash. Its folders are moved into a temporary one, and every program that would touch the
 * machine is a stand-in that records its call.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderUserData, type UserDataInput } from '../../../lib/core/user-data';

const input: UserDataInput = {
  role: 'manager',
  region: 'eu-west-1',
  agentBucket: 'assets',
  agentKey: 'agent.cjs',
  logGroup: 'nodes',
  agentConfig: JSON.stringify({ labels: { note: 'a "quoted" $HOME `value` \\ here' } }, null, 1),
  extraLines: [],
};

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'user-data-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/**
 * @param present programs that the image already has
 * @param failing a program that exits with 7
 * @param times how often it fails before it succeeds
 */
function run(script: string, present: string[], failing = '', times = 1_000) {
  const bin = join(root, 'bin');
  mkdirSync(bin);
  for (const tool of ['bash', 'cat', 'mkdir', 'tail', 'tr', 'sed', 'date', 'grep'])
    symlinkSync(
      spawnSync('bash', ['--norc', '-c', `type -P ${tool}`], { encoding: 'utf8' }).stdout.trim(),
      join(bin, tool),
    );
  const install = (name: string, body: string) => {
    writeFileSync(join(bin, name), `#!/bin/bash\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  const calls = join(root, 'calls');
  writeFileSync(calls, '');
  for (const name of ['dnf', 'aws', 'systemctl', 'sysctl']) {
    const installs =
      name === 'dnf'
        ? `for program in dockerd node-22; do echo '#!/bin/bash' > ${bin}/$program; /bin/chmod +x ${bin}/$program; done`
        : '';
    install(
      name,
      `echo "${name} $*" >> ` +
        `${calls}\n${installs}\n${name === failing ? `[ "$(grep -c "^${name} " ${calls})" -gt ${times} ] || exit 7` : ''}`,
    );
  }
  install('sleep', '');
  install(
    'curl',
    'case "$*" in *api/token) echo TOKEN;; *TOKEN*instance-id) echo i-0123456789abcdef0;; *) exit 22;; esac',
  );
  for (const name of present) install(name, '');
  for (const folder of ['var/log', 'run']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'var/log/cloud-init-output.log'), 'first "line"\nsecond\\line \u001b[31mé\n');
  const moved = script
    .replaceAll(/(?<![\w/:])\/(etc|opt|var|run)\//g, `${root}/$1/`)
    .replaceAll('file:///run/', `file://${root}/run/`);
  const { status, stderr } = spawnSync(join(bin, 'bash'), ['--norc', '-c', moved], {
    encoding: 'utf8',
    env: { PATH: bin },
  });
  return { status, stderr, calls: readFileSync(calls, 'utf8').replaceAll(root, '').trim().split('\n') };
}
const written = (path: string) => readFileSync(join(root, path), 'utf8');

test('a first boot installs what is missing, fetches the agent, writes its configuration and starts it', () => {
  const { status, stderr, calls } = run(renderUserData(input), []);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(calls).toEqual([
    'dnf install -y docker nodejs22',
    'sysctl -q -w net.ipv4.tcp_keepalive_time=600',
    'aws s3 cp s3://assets/agent.cjs /opt/cdk-docker-swarm/agent.cjs --region eu-west-1 --only-show-errors',
    'systemctl daemon-reload',
    'systemctl enable --now cdk-docker-swarm-agent',
  ]);
  expect(written('etc/cdk-docker-swarm/agent.json')).toBe(`${input.agentConfig}\n`);
  expect(written('etc/sysctl.d/90-cdk-docker-swarm.conf')).toBe('net.ipv4.tcp_keepalive_time=600\n');
});

test('systemd restarts the agent for ever, leaves its mounts alone when it stops, and logs to a file', () => {
  run(renderUserData(input), []);
  const unit = written('etc/systemd/system/cdk-docker-swarm-agent.service').replaceAll(root, '').split('\n');
  expect(unit).toEqual(
    expect.arrayContaining([
      'ExecStart=/bin/node-22 /opt/cdk-docker-swarm/agent.cjs',
      'Restart=always',
      'RestartSec=1',
      'KillMode=process',
      'After=network-online.target',
      'StandardOutput=append:/var/log/cdk-docker-swarm-agent.log',
    ]),
  );
});

test('an image with Docker and Node.js installs nothing', () => {
  const { status, calls } = run(renderUserData(input), ['dockerd', 'node']);
  expect(status).toBe(0);
  expect(calls).not.toContainEqual(expect.stringContaining('dnf'));
  expect(written('etc/systemd/system/cdk-docker-swarm-agent.service')).toContain('/bin/node ');
});

test.each(['dockerd', 'node-22'])('an image that has only %s installs the rest', (program) => {
  expect(run(renderUserData(input), [program]).calls[0]).toBe('dnf install -y docker nodejs22');
});

test("a manager's engine waits for its volume, a worker's does not", () => {
  run(renderUserData(input), []);
  expect(written('etc/systemd/system/docker.service.d/cdk-docker-swarm.conf')).toBe(
    '[Unit]\nConditionPathIsMountPoint='.concat(`${root}/var/lib/docker\n`),
  );
  rmSync(root, { recursive: true });
  mkdirSync(root);
  run(renderUserData({ ...input, role: 'worker' }), []);
  expect(existsSync(join(root, 'etc/systemd/system/docker.service.d'))).toBe(false);
});

test("the user's lines run after installation and before the agent starts", () => {
  const { calls } = run(renderUserData({ ...input, extraLines: ['systemctl mask "something else"'] }), []);
  expect(calls.slice(2)).toEqual([
    expect.stringContaining('aws s3 cp'),
    'systemctl mask something else',
    'systemctl daemon-reload',
    'systemctl enable --now cdk-docker-swarm-agent',
  ]);
});

test.each([
  ['exit 0', ['systemctl mask one', 'exit 0', 'systemctl mask two']],
  ['an open here-document', ['systemctl mask one', 'cat <<END']],
  [
    'the end marker of their file',
    ['systemctl mask one', 'cat <<END_OF_EXTRA_USER_DATA', 'END_OF_EXTRA_USER_DATA', 'exit 0'],
  ],
])("%s in the user's lines ends only these lines, not the script", (_, extraLines) => {
  const { status, calls } = run(renderUserData({ ...input, extraLines }), []);
  expect(status).toBe(0);
  expect(calls.slice(3)).toEqual([
    'systemctl mask one',
    'systemctl daemon-reload',
    'systemctl enable --now cdk-docker-swarm-agent',
  ]);
});

test.each(['dnf', 'aws'])('%s, which needs the network, is retried', (failing) => {
  const { status, calls } = run(renderUserData(input), [], failing, 3);
  expect(status).toBe(0);
  expect(calls.filter((call) => call.startsWith(failing))).toHaveLength(4);
  expect(calls.at(-1)).toBe('systemctl enable --now cdk-docker-swarm-agent');
});

test('a command that keeps failing is not retried for ever', () => {
  const { status, calls } = run(renderUserData(input), [], 'dnf');
  expect(status).toBe(7);
  expect(calls.filter((call) => call.startsWith('dnf'))).toHaveLength(37);
});

test("the user's lines reach bash unchanged", () => {
  const { calls } = run(
    renderUserData({ ...input, extraLines: ['name=\'a "b"\'', 'systemctl mask "$name" $(echo `echo c`) \\\\d'] }),
    [],
  );
  expect(calls[3]).toBe('systemctl mask a "b" c \\d');
});

test.each([
  ['a failed installation', 'dnf', []],
  ["a failing line of the user's", '', ['exit 3']],
  ['an unknown command', '', ['no-such-command']],
  ['an unset variable', '', ['echo "$NO_SUCH_VARIABLE"']],
  ['an open quote', '', ['echo "open']],
])('%s stops the script, and its output goes to CloudWatch', (_, failing, extraLines) => {
  const { status, calls } = run(renderUserData({ ...input, extraLines }), [], failing);
  expect(status).not.toBe(0);
  expect(calls).not.toContainEqual(expect.stringContaining('systemctl enable'));
  expect(calls.slice(-2)).toEqual([
    'aws logs create-log-stream --region eu-west-1 --log-group-name nodes --log-stream-name i-0123456789abcdef0/boot',
    'aws logs put-log-events --region eu-west-1 --log-group-name nodes --log-stream-name ' +
      'i-0123456789abcdef0/boot --log-events file:///run/cdk-docker-swarm-boot.json',
  ]);
  const [event] = JSON.parse(written('run/cdk-docker-swarm-boot.json'));
  expect(event.message).toBe('first "line"\nsecond\\line [31m\n');
  expect(event.timestamp).toBeGreaterThan(1_600_000_000_000);
});

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { systemClock } from '../../protocol/clock';
import { Janitor, makeRunGroups, startRegion } from '../../rehearsal/nodes/namespaces';
import { bundle, machineState, nothing, PROJECT, temporaryFolder, testOnRealNodes, traces } from './support';

const AWS_STAND_IN = join(PROJECT, 'dist/rehearsal/stand-ins/aws.js');

/** Runs a scenario of inside.ts to its end and checks that nothing of it stays. */
async function inside(scenario: string): Promise<any> {
  const before = machineState();
  const run = `test-${systemClock.uuid().slice(0, 8)}`;
  const temporary = temporaryFolder();
  const groups = makeRunGroups(run);
  const janitor = new Janitor(run, temporary, groups);
  const region = startRegion(
    groups,
    [process.execPath, bundle('inside'), scenario, run, join(temporary, 'region'), AWS_STAND_IN],
    ['ignore', 'inherit', 'inherit', 'ipc'],
    process.env,
  );
  let message: { result?: unknown; error?: string } = { error: 'It ended without a word.' };
  region.on('message', (sent) => (message = sent as typeof message));
  await new Promise((resolve) => region.once('close', resolve));
  await janitor.clean();
  expect(message.error).toBeUndefined();
  expect(traces(run)).toEqual([]);
  expect(machineState()).toEqual(before);
  return message.result;
}

testOnRealNodes(
  'two nodes start engines of their own, reach each other as EC2 instances would, and leave nothing behind',
  async () => {
    const seen = await inside('engine');
    expect(seen.statuses).toEqual([0, 0]);
    expect(seen.name).toBe('ip-10-0-1-12');
    expect(seen.driver).toBe('overlay2');
    expect(seen.reached).toMatch(/Connection refused/);
    expect(seen.links).toEqual(expect.arrayContaining(['docker0', 'eth0', 'lo']));
    expect(seen.group).toEqual([]);
    expect(seen.processes).toEqual(['/usr/bin/dockerd']);
    expect(seen.logs).toEqual(['cloud-init-output.log', 'docker.log']);
    expect(seen.running).toEqual([]);
    expect(seen.ports).toBe('');
  },
);

testOnRealNodes(
  'a volume outlives its lost instance: the successor finds the same data, and no two instances have it',
  async () => {
    const seen = await inside('volume');
    expect(seen.statuses).toEqual([0, 0]);
    expect(seen.refusal).toContain('is attached to i-0000000000000001');
    expect(seen.mark).toBe('kept\n');
    expect(seen.gone).toBe(true);
    expect(seen.volumes).toEqual([]);
  },
);

testOnRealNodes('stand-ins do what user data needs, and fail on everything that they do not know', async () => {
  const { answers, requests } = await inside('stand-ins');
  expect(answers['dnf update']).toMatch(/knows only "dnf install -y PACKAGE..."[^]*exit 64/);
  expect(answers['dnf install -y docker htop']).toMatch(/was asked for: htop[^]*exit 64/);
  expect(answers['systemctl mask docker']).toMatch(/unknown verb mask[^]*exit 64/);
  expect(answers['systemctl start --no-block good']).toMatch(/unknown option --no-block of start[^]*exit 64/);
  expect(answers['systemctl start nobody']).toMatch(/nobody.service could not be found[^]*exit 5/);
  expect(answers['systemctl start strange']).toMatch(
    /unknown directive PrivateTmp in section \[Service\] of unit strange[^]*exit 64/,
  );
  expect(answers['systemctl start quoted']).toMatch(/unknown ExecStart=[^]*exit 64/);
  expect(answers['systemctl start skipped']).toBe('exit 0');
  expect(answers['systemctl is-active skipped']).toBe('inactive\nexit 3');
  expect(answers['systemctl enable --now good']).toMatch(/exit 0$/);
  expect(answers['systemctl is-active good.service']).toBe('active\nexit 0');
  // It ended once and was started again, with the unit's environment and no region of AWS.
  expect(answers.log).toBe('hello a b http://169.254.169.254:8000\nhello a b http://169.254.169.254:8000\n');
  expect(answers['systemctl stop good']).toBe('exit 0');
  expect(answers.left).toBe('exit 1');
  expect(answers['aws s3 ls']).toMatch(/knows only .*exit 64/s);
  expect(answers['aws s3 cp s3://bucket/folder/key /tmp/object --region eu-west-1 --acl public']).toMatch(
    /--acl.*exit 64/s,
  );
  expect(answers['aws s3 cp s3://bucket/folder/key /tmp/object --region eu-west-1 --only-show-errors']).toBe('exit 0');
  expect(answers.object).toBe('the object');
  expect(requests).toEqual([
    'GET /bucket/folder/key  AWS4-HMAC-SHA256 Credential=ASIA1/20000101/eu-west-1/s3/aws4_request',
    'POST / Logs_20140328.CreateLogStream AWS4-HMAC-SHA256 Credential=ASIA1/20000101/eu-west-1/logs/aws4_request',
    'POST / Logs_20140328.PutLogEvents AWS4-HMAC-SHA256 Credential=ASIA1/20000101/eu-west-1/logs/aws4_request',
  ]);
});

testOnRealNodes(
  'when whoever started the region is killed, its nodes, mounts, loop devices and control groups go with it',
  async () => {
    const before = machineState();
    const run = `test-${systemClock.uuid().slice(0, 8)}`;
    const starter = spawn(
      process.execPath,
      [bundle('starter'), bundle('inside'), run, temporaryFolder(), AWS_STAND_IN],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    await new Promise((resolve, reject) => {
      starter.once('message', resolve);
      starter.once('exit', () => reject(new Error('The region did not start.')));
    });
    expect(traces(run).join('\n')).toMatch(/process.*dockerd[^]*control group[^]*loop device/);
    starter.kill('SIGKILL');
    expect(await nothing(() => traces(run), 60_000)).toEqual([]);
    expect(machineState()).toEqual(before);
  },
);

/**
 * Runs as the first process of a region, for machines.test.ts: makes nodes without an emulated AWS, does what the named
 * scenario says, and sends what it saw. Its user data is its own.
 */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { systemClock as clock } from '../../protocol/clock';
import type { MachineSpec } from '../../rehearsal/aws/core/types';
import { RealMachines } from '../../rehearsal/nodes/real-machines';
import { run } from '../../rehearsal/nodes/shell';
import { findProgram } from '../../rehearsal/nodes/preflight';

const [scenario, runId, folder, awsStandIn] = process.argv.slice(2) as [string, string, string, string];
const VOLUME = 'vol-0123456789abcdef0';
const DEVICE = '/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0';
const FIRST = 'i-0000000000000001';
const SECOND = 'i-0000000000000002';

const spec = (instanceId: string, privateIpAddress: string, userData: string): MachineSpec => ({
  instanceId,
  privateIpAddress,
  subnetCidr: privateIpAddress.replace(/\d+$/, '0/24'),
  availabilityZone: 'us-east-1a',
  instanceType: 't3.micro',
  architecture: 'x86_64',
  imageId: 'ami-1',
  lifecycle: 'on-demand',
  userData: `#!/bin/bash\nset -eu\n${userData}\n`,
  tags: {},
});

const ended = new Map<string, (status: number) => void>();
const requests: string[] = [];

async function machines(): Promise<RealMachines> {
  mkdirSync(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', folder]);
  const made = await RealMachines.start({
    clock,
    run: runId,
    folder,
    endpoint: 'http://169.254.169.254:8000',
    node: process.execPath,
    dockerd: findProgram('dockerd', process.env.PATH ?? '')!,
    awsStandIn,
    onUserData: (instanceId, status) => ended.get(instanceId)?.(status),
  });
  const answers: Record<string, string> = {
    '/latest/api/token': 'TOKEN',
    '/latest/meta-data/iam/security-credentials/': 'role',
    '/latest/meta-data/iam/security-credentials/role': '{"AccessKeyId":"ASIA1","Token":"session"}',
  };
  for (const port of [80, 8000]) {
    const server = createServer((request, response) => {
      const { authorization = '', 'x-amz-target': target = '' } = request.headers;
      if (port === 8000)
        requests.push([request.method, request.url, target, authorization.split(',')[0]].join(' ').trim());
      response.end(port === 80 ? answers[request.url ?? ''] : request.url === '/' ? '{}' : 'the object');
    });
    await new Promise<void>((resolve) => server.listen(port, '169.254.169.254', resolve));
  }
  return made;
}

/** Launches, and gives the exit status of user data. */
async function boot(made: RealMachines, instance: MachineSpec): Promise<number> {
  const status = new Promise<number>((resolve) => ended.set(instance.instanceId, resolve));
  await made.launch(instance);
  return status;
}

/** What a program in the node says and how it ends. */
async function tried(made: RealMachines, ...argv: string[]): Promise<string> {
  return made
    .exec(FIRST, ['/bin/bash', '-c', '"$@" 2>&1; echo "exit $?"', 'bash', ...argv])
    .then((text) => text.trim());
}

const scenarios: Record<string, () => Promise<unknown>> = {
  async engine() {
    const made = await machines();
    const userData = 'dnf install -y docker nodejs22; systemctl start docker';
    const statuses = await Promise.all([
      boot(made, spec(FIRST, '10.0.1.12', userData)),
      boot(made, spec(SECOND, '10.0.2.12', userData)),
    ]);
    const info = (await made.engine(FIRST, '/info')) as { Name: string; Driver: string; CgroupDriver: string };
    const seen = {
      statuses,
      name: info.Name,
      driver: info.Driver,
      // Nobody listens there: the refusal comes from the other node.
      reached: await tried(made, '/bin/bash', '-c', 'exec 3<>/dev/tcp/10.0.2.12/9'),
      links: (await made.exec(FIRST, ['ls', '/sys/class/net'])).split('\n').filter(Boolean),
      group: (await made.exec(FIRST, ['cat', '/proc/self/cgroup']))
        .split('\n')
        .filter((line) => line !== '' && !line.endsWith(':/')),
      processes: (await made.exec(FIRST, ['ps', 'axo', 'args=']))
        .split('\n')
        .filter((line) => /dockerd|sshd|jest/.test(line)),
    };
    await made.terminate(FIRST);
    await made.kill(SECOND);
    return {
      ...seen,
      running: made.running(),
      logs: Object.keys((await made.logs())[FIRST] ?? {}).sort(),
      ports: (await run('ip', ['-o', 'link', 'show', 'type', 'veth'])).trim(),
    };
  },

  async volume() {
    const made = await machines();
    await made.createVolume(VOLUME, 20);
    const write =
      `until [ -e ${DEVICE} ]; do sleep 0.02; done; blkid ${DEVICE} || mkfs.ext4 -q ${DEVICE}; mkdir -p ` +
      `/var/lib/docker; mount ${DEVICE} /var/lib/docker; cat /var/lib/docker/mark || echo kept > ` +
      '/var/lib/docker/mark';
    const [first, second] = [boot(made, spec(FIRST, '10.0.1.12', write)), boot(made, spec(SECOND, '10.0.1.13', write))];
    while (made.running().length < 2) await clock.sleep(5);
    await made.attachVolume(FIRST, VOLUME);
    const statuses = [await first];
    const refusal = await made.attachVolume(SECOND, VOLUME).then(
      () => 'attached',
      (error: Error) => error.message,
    );
    await made.kill(FIRST);
    await made.attachVolume(SECOND, VOLUME);
    statuses.push(await second);
    const mark = await made.readFile(SECOND, '/var/lib/docker/mark');
    await made.exec(SECOND, ['umount', '/var/lib/docker']);
    await made.detachVolume(SECOND, VOLUME);
    const gone = (await made.readFile(SECOND, DEVICE)) === undefined;
    await made.terminate(SECOND);
    await made.deleteVolume(VOLUME);
    return { statuses, refusal, mark, gone, volumes: made.volumeIds() };
  },

  async 'stand-ins'() {
    const made = await machines();
    const unit = (name: string, lines: string) => `printf '${lines}' > /etc/systemd/system/${name}.service`;
    await boot(
      made,
      spec(
        FIRST,
        '10.0.1.12',
        [
          'mkdir -p /etc/systemd/system',
          unit(
            'good',
            '[Unit]\\nDescription=x\\n[Service]\\nEnvironment=GREETING=hello\\nEnvironment="OTHER=a ' +
              'b"\\nExecStart=/bin/sh ' +
              '/tmp/good\\nRestart=always\\nRestartSec=0.05\\nStandardOutput=append:/var/log/good.log\\n',
          ),
          "printf 'echo $GREETING $OTHER $AWS_ENDPOINT_URL $AWS_REGION; [ -e /tmp/second ] && exec sleep " +
            "1000; touch /tmp/second\\n' > /tmp/good",
          unit(
            'skipped',
            '[Unit]\\nConditionPathIsMountPoint=/var/lib/nowhere\\n[Service]\\nExecStart=/bin/sleep 1000\\n',
          ),
          unit('strange', '[Service]\\nExecStart=/bin/sleep 1\\nPrivateTmp=yes\\n'),
          unit('quoted', '[Service]\\nExecStart=/bin/sh -c "sleep 1"\\n'),
        ].join('\n'),
      ),
    );
    const answers: Record<string, string> = {};
    const ask = async (...argv: string[]) => (answers[argv.join(' ')] = await tried(made, ...argv));
    await ask('dnf', 'update');
    await ask('dnf', 'install', '-y', 'docker', 'htop');
    await ask('systemctl', 'mask', 'docker');
    await ask('systemctl', 'start', '--no-block', 'good');
    await ask('systemctl', 'start', 'nobody');
    await ask('systemctl', 'start', 'docker');
    await ask('systemctl', 'start', 'strange');
    await ask('systemctl', 'start', 'quoted');
    await ask('systemctl', 'start', 'skipped');
    await ask('systemctl', 'is-active', 'skipped');
    await ask('systemctl', 'enable', '--now', 'good');
    const deadline = clock.now() + 10_000;
    while (((await made.readFile(FIRST, '/var/log/good.log')) ?? '').split('\n').length < 3 && clock.now() < deadline)
      await clock.sleep(10);
    await ask('systemctl', 'is-active', 'good.service');
    answers.log = (await made.readFile(FIRST, '/var/log/good.log')) ?? '';
    await ask('systemctl', 'stop', 'good');
    answers.left = await tried(made, 'pgrep', '-x', 'sleep');
    await ask('aws', 's3', 'ls');
    await ask('aws', 's3', 'cp', 's3://bucket/folder/key', '/tmp/object', '--region', 'eu-west-1', '--acl', 'public');
    await ask(
      'aws',
      's3',
      'cp',
      's3://bucket/folder/key',
      '/tmp/object',
      '--region',
      'eu-west-1',
      '--only-show-errors',
    );
    answers.object = (await made.readFile(FIRST, '/tmp/object')) ?? '';
    await ask(
      'aws',
      'logs',
      'create-log-stream',
      '--region',
      'eu-west-1',
      '--log-group-name',
      'g',
      '--log-stream-name',
      's',
    );
    await ask(
      'aws',
      'logs',
      'put-log-events',
      '--region',
      'eu-west-1',
      '--log-group-name',
      'g',
      '--log-stream-name',
      's',
      '--log-events',
      'timestamp=1,message=hello',
    );
    await made.terminate(FIRST);
    return { answers, requests };
  },

  async hang() {
    const made = await machines();
    await made.createVolume(VOLUME, 1);
    await boot(made, spec(FIRST, '10.0.1.12', 'dnf install -y docker; systemctl start docker'));
    await made.attachVolume(FIRST, VOLUME);
    await made.exec(FIRST, ['sh', '-c', `mkfs.ext4 -q ${DEVICE} && mount ${DEVICE} /mnt`]);
    process.send!({ hanging: true });
    await clock.sleep(600_000);
    return {};
  },
};

scenarios[scenario]!().then(
  (result) => process.send!({ result }, () => process.exit(0)),
  (error: Error) => process.send!({ error: error.stack }, () => process.exit(1)),
);

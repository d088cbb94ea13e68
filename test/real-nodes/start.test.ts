import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  machineState,
  nothing,
  PROJECT,
  startCommand,
  startCommandIn,
  temporaryFolder,
  testOnRealNodes,
  traces,
  type Command,
} from './support';

/** Nothing of the run may be left when the command has ended, and the machine is as it was. */
function expectNothingLeft(command: Command, before: string): void {
  expect(traces(command.run)).toEqual([]);
  expect(command.temporaryFiles()).toEqual([]);
  expect(machineState()).toEqual(before);
}

async function expectFormation(managers: number, workers: number, ...args: string[]): Promise<void> {
  const before = machineState();
  const command = startCommand('--managers', String(managers), '--workers', String(workers), '--json', ...args);
  const code = await command.ended;
  if (code !== 0) throw new Error(`The command ended with ${code}:\n${command.output()}`);
  const result = JSON.parse(command.stdout());
  expect(result).toMatchObject({ ok: true, kept: [] });
  expect(result.swarm.map(({ role, state }: Record<string, string>) => `${role} ${state}`).sort()).toEqual([
    ...Array(managers).fill('manager ready'),
    ...Array(workers).fill('worker ready'),
  ]);
  expect(result.swarm.filter(({ manager }: Record<string, string>) => manager === 'leader')).toHaveLength(1);
  expect(result.swarm.filter(({ manager }: Record<string, string>) => manager === 'reachable')).toHaveLength(
    managers - 1,
  );
  expect(result.nodes).toHaveLength(managers + workers);
  for (const { role, milestones } of result.nodes) {
    const expected = [
      'userData',
      'engine',
      'command',
      'joined',
      'ready',
      'hook',
      ...(role === 'manager' ? ['volume'] : []),
    ];
    expect(Object.keys(milestones).sort()).toEqual(expected.sort());
  }
  expectNothingLeft(command, before);
}

testOnRealNodes('three managers and two workers form a swarm, and the deleted stack leaves nothing', () =>
  expectFormation(3, 2),
);
testOnRealNodes('a single manager without workers is a swarm', () => expectFormation(1, 0));

testOnRealNodes(
  'a formation that fails says what failed, shows what the node and the functions said, keeps their logs ' +
    'on request, and leaves nothing',
  async () => {
    const before = machineState();
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, 'cdk.json'),
      JSON.stringify({ app: `cd ${PROJECT} && node --import tsx test/real-nodes/failing-app.ts` }),
    );
    const command = startCommandIn(folder, '--keep-logs', 'logs');
    expect(await command.ended).toBe(1);
    expect(command.output()).toMatch(/FAILED: The user data of i-[0-9a-f]+ failed with exit status 7\./);
    expect(command.output()).toMatch(
      /Last lines of i-[0-9a-f]+\/cloud-init-output.log:[^]*this line is wrong[^]*User data failed with status 7/,
    );
    const logs = readdirSync(join(folder, 'logs'));
    const instance = logs.find((name) => name.startsWith('i-'))!;
    expect(readFileSync(join(folder, 'logs', instance, 'cloud-init-output.log'), 'utf8')).toContain(
      'this line is wrong',
    );
    expectNothingLeft(command, before);
  },
);

describe('Ctrl-C', () => {
  for (const [moment, what] of [
    ['while the app is synthesised', /Synthesising/],
    ['when the region begins', /Forming/],
    ['when the first node boots', /seat 0: launched/],
    ['when the first engine is up', /seat 0: engine up/],
    ['while several nodes join', /worker \d+: user data/],
    ['while the stack is deleted', /Deleting the stack/],
  ] as const) {
    testOnRealNodes(`${moment} stops cleanly`, async () => {
      const before = machineState();
      const command = startCommand();
      await command.wrote(what);
      // As a terminal does: to every process of the foreground group.
      process.kill(-command.process.pid!, 'SIGINT');
      expect(await command.ended).toBe(130);
      expectNothingLeft(command, before);
    });
  }

  testOnRealNodes('twice, and a SIGTERM after it, stop just as cleanly', async () => {
    const before = machineState();
    const command = startCommand();
    await command.wrote(/seat 0: joined/);
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) process.kill(-command.process.pid!, signal);
    expect(await command.ended).toBe(130);
    expectNothingLeft(command, before);
  });
});

for (const [moment, what] of [
  ['while the app is synthesised', /Synthesising/],
  ['when a volume is attached', /seat 0: volume/],
  ['when several nodes run', /worker \d+: command/],
] as const) {
  testOnRealNodes(`a command that is killed ${moment} leaves nothing behind`, async () => {
    const before = machineState();
    const command = startCommand();
    await command.wrote(what);
    command.process.kill('SIGKILL');
    expect(await command.ended).toBe('SIGKILL');
    const found = () => [...traces(command.run), ...command.temporaryFiles()];
    expect(await nothing(found, 60_000)).toEqual([]);
    expect(machineState()).toEqual(before);
  });
}

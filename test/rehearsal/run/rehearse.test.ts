import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { page, rehearse } from '../../../rehearsal/run/rehearse';
import { SCENARIOS } from '../../../rehearsal/scenarios/scenarios';

const folder = mkdtempSync(join(tmpdir(), 'rehearse-test-'));
// What scenarios need is on no machine but those that rehearse: the programs only have to be found.
const programs = join(folder, 'programs');
mkdirSync(programs);
for (const { needs = {} } of Object.values(SCENARIOS))
  for (const name of Object.keys(needs)) writeFileSync(join(programs, name), '', { mode: 0o755 });
const path = process.env.PATH;
beforeAll(() => void (process.env.PATH = `${programs}:${path}`));
afterAll(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true, force: true });
});

/** A program that answers as `start --scenario NAME --json` does. */
function program(name: string, script: string): string[] {
  const file = join(folder, `${name}.js`);
  writeFileSync(
    file,
    `const [, , command, , scenario] = process.argv; if (command !== 'start') process.exit(9);\n${script}`,
  );
  chmodSync(file, 0o755);
  return [process.execPath, file];
}

async function run(
  self: string[],
  scenarios: string[],
  times = 1,
  write?: string,
  atOnce = 1,
): Promise<{ code: number; said: string }> {
  let said = '';
  const code = await rehearse(
    { scenarios, times, atOnce, write },
    { self, stdout: { write: (text: string) => (said += text) } as never },
  );
  return { code, said };
}

const moments = (ms: number) => [
  { what: 'the swarm has a leader again', ms },
  { what: 'the cluster has converged', ms: ms + 1_000 },
];

test('what came when is said, and written down for every run, with what it was run on', async () => {
  const works = program(
    'works',
    `console.log(JSON.stringify({ ok: true, moments: ${JSON.stringify(moments(12_340))}, swarm: [{ engine: ` +
      `'20.10.24' }] }));`,
  );
  const file = join(folder, 'docs', 'rehearsal.md');
  const { code, said } = await run(works, ['leader-killed', 'engine-hung'], 2, file);
  expect(code).toBe(0);
  expect(said).toContain('12.3 s  the swarm has a leader again');
  expect(said).toContain('4 rehearsed; every cluster converged again.');
  const written = readFileSync(file, 'utf8');
  expect(written).toContain('2 times each');
  expect(written).toContain('Docker 20.10.24');
  expect(written).toContain('| the swarm has a leader again | 12.3 | 12.3 |');
  expect(written.match(/^## /gm)).toHaveLength(2);
});

test('the first that fails ends it, with its exit code and its reason, and nothing is written down', async () => {
  const fails = program(
    'fails',
    `console.log(JSON.stringify({ ok: false, error: 'The seat came back as another node.' })); process.exitCode = 1;`,
  );
  const file = join(folder, 'nothing.md');
  const { code, said } = await run(fails, ['leader-killed', 'engine-hung'], 1, file);
  expect(code).toBe(1);
  expect(said).toContain('leader-killed FAILED: The seat came back as another node.');
  expect(said).not.toContain('engine-hung');
  expect(() => readFileSync(file)).toThrow('ENOENT');
});

test('some run at a time, but for those whose requests are counted, which nothing else disturbs', async () => {
  const log = join(folder, 'log');
  const slow = program(
    'slow',
    `const { appendFileSync } = require('node:fs'); const told = (what) => appendFileSync(${JSON.stringify(log)}, what + ' ' + scenario + '\\n');
    told('begins'); setTimeout(() => { told('ends'); console.log(JSON.stringify({ ok: true, moments: [] })); }, 500);`,
  );
  expect(
    (await run(slow, ['leader-killed', 'balanced-worker-killed', 'published-port', 'engine-hung'], 1, undefined, 2))
      .code,
  ).toBe(0);
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  expect(lines.slice(0, 4)).toEqual([
    'begins balanced-worker-killed',
    'ends balanced-worker-killed',
    'begins published-port',
    'ends published-port',
  ]);
  expect(lines.slice(4, 6).sort()).toEqual(['begins engine-hung', 'begins leader-killed']);
});

test('a scenario that needs a program which is not there is skipped loudly', async () => {
  const needs = jest.replaceProperty(SCENARIOS['published-port']!, 'needs', { nowhere: 'no-package' });
  const { code, said } = await run(program('never', 'process.exit(9);'), ['published-port']);
  needs.restore();
  expect(code).toBe(0);
  expect(said).toContain('SKIPPED: published-port needs nowhere. On Debian: apt-get install no-package');
});

test('one that was stopped, and said nothing, is no success', async () => {
  expect((await run(program('stopped', 'process.exitCode = 130;'), ['leader-killed'])).code).toBe(130);
  expect((await run(program('silent', ''), ['leader-killed'])).code).toBe(1);
});

test('a page says which part of a killed worker’s time is the swarm’s own', () => {
  const killed = [{ what: 'its tasks run elsewhere', ms: 17_640 }];
  const written = page(new Map([['worker-killed', [killed]]]), '20.10.24', 1, undefined);
  expect(written).toContain('| Worker killed: its tasks run elsewhere | 17.6 | 20 |');
  expect(written).toContain('restart delay, 5 s by default');
  expect(page(new Map([['spot-notice', [moments(1_000)]]]), '20.10.24', 1, undefined)).not.toContain('restart delay');
});

test('a page names the commit, where there is one', () => {
  const runs = new Map([['spot-notice', [moments(1_000)]]]);
  expect(page(runs, '20.10.24', 1, 'abc1234')).toContain('at commit `abc1234`');
  expect(page(runs, '20.10.24', 2, undefined)).toContain('--times 1 --at-once 2 --write');
  expect(page(runs, '20.10.24', 1, undefined)).toContain(SCENARIOS['spot-notice']!.title);
});

test(
  'figures that there are goals for are of the slowest run, and those of scenarios that were not run are ' + 'left out',
  () => {
    const killed = (ms: number) => [
      { what: 'its seat has a new instance', ms },
      { what: 'its user data has run', ms: ms + 2_000 },
      { what: 'its volume is attached', ms: ms + 2_500 },
      { what: 'its engine answers', ms: ms + 4_000 },
      { what: 'it is Ready', ms: ms + 4_500 },
      { what: 'the cluster has converged', ms: ms + 5_000 },
    ];
    const text = page(
      new Map([
        ['leader-killed', [moments(12_000), moments(19_000)]],
        ['manager-killed', [killed(1_000), killed(3_000)]],
      ]),
      '20.10.24',
    );
    expect(text).toContain('| Leader killed: new leader elected | 19.0 | 22 |');
    expect(text).toContain('| Manager killed: Ready, reachable and in service again | 8.0 |  |');
    expect(text).toContain('| ... our agent and functions, until the volume is attached | 0.5 | 5 |');
    expect(text).toContain('| ... our agent and functions, until the cluster has converged | 1.0 | 5 |');
    expect(text).not.toContain('Worker killed');
    expect(page(new Map([['spot-notice', [moments(1_000)]]]), '20.10.24')).not.toContain('goal');
  },
);

test('several at a time: all are run, and after one that fails no other is begun', async () => {
  const works = program(
    'works-too',
    `console.log(JSON.stringify({ ok: true, moments: ${JSON.stringify(moments(1_000))} }));`,
  );
  const { code, said } = await run(works, ['leader-killed', 'engine-hung', 'spot-notice'], 2, undefined, 2);
  expect(code).toBe(0);
  expect(said.match(/the cluster has converged/g)).toHaveLength(6);
  const fails = program('fails-too', `console.log(JSON.stringify({ ok: false, error: 'No.' })); process.exitCode = 1;`);
  const failed = await run(fails, ['leader-killed', 'engine-hung', 'spot-notice', 'disk-full'], 1, undefined, 2);
  expect(failed.code).toBe(1);
  expect(failed.said.match(/FAILED/g)).toHaveLength(2);
});

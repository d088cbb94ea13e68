/**
 * `cdk-docker-swarm rehearse`: plays failure scenarios on clusters that have formed on real engines, each in its own
 * run of `start`, and can write the timings to a page.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { Moment } from '../display/results';
import { lackingPrograms } from '../nodes/preflight';
import { SCENARIOS } from '../scenarios/scenarios';
import type { Screen } from '../display/progress';
import { seconds } from '../display/timeline';

export interface RehearseOptions {
  /** Names of `scenarios.ts`. */
  scenarios: string[];
  times: number;
  /** How many runs at a time. Scenarios that must run alone do. */
  atOnce: number;
  /** Where to write the page. */
  write?: string;
}

export interface RehearseEnvironment {
  /** How to run this program: the command line up to its first argument. */
  self: string[];
  stdout: Screen;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The part of `start --json` that is needed here. */
interface Outcome {
  ok: boolean;
  error?: string;
  moments?: Moment[];
  remarks?: string[];
  swarm?: { engine: string }[];
}

/** @returns the exit code of the first run that failed, or 0 */
export async function rehearse(
  { scenarios, times, atOnce, write }: RehearseOptions,
  { self, stdout }: RehearseEnvironment,
): Promise<number> {
  const runs = new Map<string, Moment[][]>();
  const remarks = new Map<string, string[]>();
  let engine = '';
  const possible = scenarios.filter((name) => {
    const { needs = {} } = SCENARIOS[name]!;
    const absent = lackingPrograms(needs);
    if (absent.length > 0)
      stdout.write(
        `\nSKIPPED: ${name} needs ${absent.join(' and ')}. On Debian: apt-get install ` +
          `${absent.map((program) => needs[program]).join(' ')}\n`,
      );
    return absent.length === 0;
  });
  const all = Array.from({ length: times }, () => possible).flat();
  let failed = 0;
  const work = async (left: string[]) => {
    while (failed === 0 && left.length > 0) {
      const name = left.shift()!;
      const { code, outcome } = await play(self, name);
      stdout.write(`\n${name}: ${SCENARIOS[name]!.title}\n`);
      // The run was stopped, or is not possible here; it has said why.
      if (code !== 0 || outcome?.moments === undefined) {
        stdout.write(`${name} FAILED${outcome?.error ? `: ${outcome.error}` : '.'}\n`);
        failed ||= code || 1;
        return;
      }
      engine = outcome.swarm?.[0]?.engine ?? engine;
      runs.set(name, [...(runs.get(name) ?? []), outcome.moments]);
      remarks.set(name, [...(remarks.get(name) ?? []), ...(outcome.remarks ?? [])]);
      for (const { what, ms } of outcome.moments) stdout.write(`  ${seconds(ms).padStart(7)} s  ${what}\n`);
      for (const remark of outcome.remarks ?? []) stdout.write(`  ${remark}\n`);
    }
  };
  await work(all.filter((name) => SCENARIOS[name]!.alone));
  const others = all.filter((name) => !SCENARIOS[name]!.alone);
  await Promise.all(Array.from({ length: atOnce }, () => work(others)));
  if (failed !== 0) return failed;
  stdout.write(`\n${possible.length * times} rehearsed; every cluster converged again.\n`);
  if (write !== undefined) {
    mkdirSync(dirname(write), { recursive: true });
    writeFileSync(write, page(runs, engine, atOnce, presentCommit(), remarks));
    stdout.write(`Written down: ${write}\n`);
  }
  return 0;
}

/** Progress goes to the terminal through standard error. */
async function play(self: string[], scenario: string): Promise<{ code: number; outcome: Outcome | undefined }> {
  const [program, ...args] = [...self, 'start', '--scenario', scenario, '--json'];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  // A signal to this program goes to the run first, so that it cleans up.
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, forward);
  const code = await new Promise<number>((done) => child.once('close', (status) => done(status ?? 1)));
  for (const signal of SIGNALS) process.off(signal, forward);
  return { code, outcome: text === '' ? undefined : (JSON.parse(text) as Outcome) };
}

/** The time between two moments of a scenario, and its goal. */
interface Figure {
  what: string;
  scenario: string;
  /** @default the start of the scenario */
  from?: string;
  to: string;
  /** Seconds. */
  goal?: number;
}

const FIGURES: readonly Figure[] = [
  {
    what: 'Worker killed: its tasks run elsewhere',
    scenario: 'worker-killed',
    to: 'its tasks run elsewhere',
    goal: 20,
  },
  {
    what: 'Leader killed: new leader elected',
    scenario: 'leader-killed',
    to: 'the swarm has a leader again',
    goal: 22,
  },
  {
    what: 'Worker with a stop grace period of 10 s: drained and removed',
    scenario: 'worker-terminated',
    to: 'its node is removed',
    goal: 15,
  },
  {
    what: 'Manager killed: Ready, reachable and in service again',
    scenario: 'manager-killed',
    to: 'the cluster has converged',
  },
  {
    what: '... Auto Scaling, until it launches a new instance',
    scenario: 'manager-killed',
    to: 'its seat has a new instance',
  },
  {
    what: '... user data',
    scenario: 'manager-killed',
    from: 'its seat has a new instance',
    to: 'its user data has run',
  },
  {
    what: '... our agent and functions, until the volume is attached',
    scenario: 'manager-killed',
    from: 'its user data has run',
    to: 'its volume is attached',
    goal: 5,
  },
  {
    what: '... its engine, until it answers',
    scenario: 'manager-killed',
    from: 'its volume is attached',
    to: 'its engine answers',
  },
  {
    what: '... our agent and functions, until the cluster has converged',
    scenario: 'manager-killed',
    from: 'its engine answers',
    to: 'the cluster has converged',
    goal: 5,
  },
];

/** The slowest run of each figure. */
function figures(runs: ReadonlyMap<string, Moment[][]>): string[] {
  const rows = FIGURES.flatMap(({ what, scenario, from, to, goal }) => {
    const played = runs.get(scenario);
    if (!played) return [];
    const at = (moments: Moment[], name: string | undefined) =>
      name === undefined ? 0 : moments.find((moment) => moment.what === name)!.ms;
    const slowest = Math.max(...played.map((moments) => at(moments, to) - at(moments, from)));
    return [`| ${what} | ${seconds(slowest)} | ${goal === undefined ? '' : `${goal}`} |`];
  });
  if (rows.length === 0) return [];
  return [
    '',
    '| slowest run, in seconds | | goal |',
    '|---|---:|---:|',
    ...rows,
    ...(runs.has('worker-killed') ? ['', OF_SWARM] : []),
  ];
}

/**
 * Sources: for the heartbeat https://github.com/moby/swarmkit/blob/master/manager/dispatcher/dispatcher.go , for the
 * restart delay https://docs.docker.com/reference/cli/docker/service/create/ (--restart-delay)
 */
const OF_SWARM =
  'Swarm itself detects a killed worker 13.5 to 16.5 s after its last heartbeat (workers send one every 5 s). ' +
  "It then waits for the service's restart delay, 5 s by default (`--restart-delay`).";

/** The page: what happened when, in all runs. */
export function page(
  runs: ReadonlyMap<string, Moment[][]>,
  engine: string,
  atOnce = 1,
  commit = presentCommit(),
  remarks: ReadonlyMap<string, string[]> = new Map(),
): string {
  const times = Math.max(...[...runs.values()].map(({ length }) => length));
  const sections = [...runs].flatMap(([name, played]) => {
    const { title, managers, workers } = SCENARIOS[name]!;
    const rows = played[0]!.map(
      ({ what }) =>
        `| ${what} | ${played
          .map((moments) => moments.find((moment) => moment.what === what))
          .map((moment) => (moment ? seconds(moment.ms) : ''))
          .join(' | ')} |`,
    );
    const told = (remarks.get(name) ?? []).flatMap((remark) => ['', remark]);
    return [
      '',
      `## ${name}`,
      '',
      `${title} ${managers} manager${managers === 1 ? '' : 's'}, ${workers} worker${workers === 1 ? '' : 's'}.`,
      '',
      `| seconds until |${' run |'.repeat(played.length)}`,
      `|---|${'---:|'.repeat(played.length)}`,
      ...rows,
      ...told,
    ];
  });
  return [
    '# Rehearsals',
    '',
    'Failure scenarios played on clusters of real Docker engines, ' +
      `${times === 1 ? 'once each' : `${times} times each`}, written by \`npm run rehearse -- --all ` +
      `--times ${times}${atOnce > 1 ? ` --at-once ${atOnce}` : ''} --write ` +
      `docs/rehearsal.md\`${commit ? ` at commit \`${commit}\`` : ''}.`,
    `${availableParallelism()} processors, Docker ${engine}. The emulated AWS adds no delays: on AWS, ` +
      'instances take a minute or two longer to terminate and to launch. Times count from the end of the ' +
      'instance, or from the command that ends it.',
    ...figures(runs),
    ...sections,
    '',
  ].join('\n');
}

/** Undefined outside a Git repository. */
function presentCommit(): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

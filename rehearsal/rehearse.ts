/**
 * `cdk-docker-swarm rehearse`: what can happen to a cluster happens to one that has formed on real engines, one scenario after the other, each in a run of `start` of its own. What came when may be written down as a page.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { Moment } from './messages';
import { SCENARIOS } from './scenarios';
import type { Screen } from './progress';
import { seconds } from './timeline';

export interface RehearseOptions {
  /** Names of `scenarios.ts`. */
  scenarios: string[];
  times: number;
  /** A file for the page. */
  write?: string;
}

export interface RehearseEnvironment {
  /** How this very program is run: the command line up to its first argument. */
  self: string[];
  stdout: Screen;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What `start --json` tells of a run, as far as it is needed here. */
interface Outcome {
  ok: boolean;
  error?: string;
  moments?: Moment[];
  swarm?: { engine: string }[];
}

/** @returns the exit code: that of the first run that failed */
export async function rehearse({ scenarios, times, write }: RehearseOptions, { self, stdout }: RehearseEnvironment): Promise<number> {
  const runs = new Map<string, Moment[][]>();
  let engine = '';
  for (let time = 0; time < times; time++) {
    for (const name of scenarios) {
      stdout.write(`\n${name}: ${SCENARIOS[name]!.title}\n`);
      const { code, outcome } = await play(self, name);
      // Stopped, or not possible here: the run itself has said why.
      if (code !== 0 || outcome?.moments === undefined) {
        stdout.write(`${name} FAILED${outcome?.error ? `: ${outcome.error}` : '.'}\n`);
        return code === 0 ? 1 : code;
      }
      engine = outcome.swarm?.[0]?.engine ?? engine;
      runs.set(name, [...(runs.get(name) ?? []), outcome.moments]);
      for (const { what, ms } of outcome.moments) stdout.write(`  ${seconds(ms).padStart(7)} s  ${what}\n`);
    }
  }
  stdout.write(`\n${scenarios.length * times} rehearsed, all whole again.\n`);
  if (write !== undefined) {
    mkdirSync(dirname(write), { recursive: true });
    writeFileSync(write, page(runs, engine));
    stdout.write(`Written down: ${write}\n`);
  }
  return 0;
}

/** Progress goes to the terminal, by way of standard error. */
async function play(self: string[], scenario: string): Promise<{ code: number; outcome: Outcome | undefined }> {
  const [program, ...args] = [...self, 'start', '--scenario', scenario, '--json'];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  // Whatever ends this program ends the run first, which cleans up.
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, forward);
  const code = await new Promise<number>((done) => child.once('close', (status) => done(status ?? 1)));
  for (const signal of SIGNALS) process.off(signal, forward);
  return { code, outcome: text === '' ? undefined : (JSON.parse(text) as Outcome) };
}

/** What came when, of all runs. */
export function page(runs: ReadonlyMap<string, Moment[][]>, engine: string, commit = presentCommit()): string {
  const times = Math.max(...[...runs.values()].map(({ length }) => length));
  const sections = [...runs].flatMap(([name, played]) => {
    const { title, managers, workers } = SCENARIOS[name]!;
    const rows = played[0]!.map(({ what }) => `| ${what} | ${played.map((moments) => moments.find((moment) => moment.what === what)).map((moment) => (moment ? seconds(moment.ms) : '')).join(' | ')} |`);
    return ['', `## ${name}`, '', `${title} ${managers} manager${managers === 1 ? '' : 's'}, ${workers} worker${workers === 1 ? '' : 's'}.`, '', `| seconds until |${' run |'.repeat(played.length)}`, `|---|${'---:|'.repeat(played.length)}`, ...rows];
  });
  return [
    '# Rehearsals',
    '',
    `What happened to clusters that had formed on real Docker engines, ${times === 1 ? 'once each' : `${times} times in a row each`}, written by \`npm run rehearse -- --all --times ${times} --write docs/rehearsal.md\`${commit ? ` at commit \`${commit}\`` : ''}.`,
    `${availableParallelism()} processors, Docker ${engine}. The emulated AWS has no delays of its own: on AWS, an instance takes a minute or two longer to end and to launch. Times count from the end of the instance, or from the order to end it.`,
    ...sections,
    '',
  ].join('\n');
}

/** Undefined outside a repository. */
function presentCommit(): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

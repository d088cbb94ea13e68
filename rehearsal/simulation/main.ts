/**
 * `npm run simulate -- --seeds N`: forms N clusters under faults, in virtual time, on all processors. `--seed S` runs
 * one; with `--trace` it prints every event. A failing seed is shrunk and printed with the command that replays it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../protocol/clock';
import { FAULT_KINDS, type FaultKind } from './faults';
import { Assemblies, setupOf, type Assembly, type Next } from './setup';
import { failed, replayCommand, runOf, shrink, type Run } from './shrink';
import type { Act } from './faults';
import { simulate, type SimulationResult } from './simulation';
import { Tally } from './tally';

const ROOT = resolve(__dirname, '../..');
const BUNDLES = join(ROOT, 'dist/lambda');
const DEFAULT_SEEDS = 200;
/** This many seeds contain every fault and every action. */
const FULL = 2_000;
/** How many failing seeds are shrunk: each takes some dozens of runs. */
const SHRUNK = 3;
/** A seed takes a few seconds. One that runs this long never ends, and would never be reported. */
const ENDLESS_MS = 5 * 60_000;
/** A long run reports progress after this many seeds. */
const PROGRESS = 1_000;

const USAGE = `Usage: npm run simulate -- [--healing] [--balanced] [--seeds N] [--from S] [--jobs N]
       npm run simulate -- --seed S [--healing] [--balanced] [--trace] [OVERRIDE...]

Forms clusters on simulated engines in virtual time, with faults that a seed decides.

Exits with 1 when a seed breaks an invariant or does not converge in time. With ${FULL} seeds or more,
it also exits with 1 when a fault never happened or an action was never taken.

  --healing        inject faults after the cluster has formed, not while it forms
  --balanced       put a load balancer in front of all nodes

Many seeds:
  --seeds N        how many seeds to run (default ${DEFAULT_SEEDS})
  --from S         the first seed (default 1)
  --jobs N         how many processes to use (default: one per processor)

One seed:
  --seed S         run this seed and print the result as JSON
  --trace          print every event first

Overrides of what the seed decides:
  --managers N     how many managers
  --workers N      how many workers
  --chained        CloudFormation creates one seat after another
  --faults KIND,...|none
                   the kinds of fault that may happen
  --limits KIND=N,...
                   how often each kind may happen at most
  --faults-end MS  how long faults may happen, in virtual milliseconds

Kinds: ${FAULT_KINDS.join(', ')}`;

class UsageError extends Error {}

interface Job {
  run: Run;
  assembly: Assembly;
  next: Next | undefined;
}

async function jobOf(run: Run, assemblies: Assemblies): Promise<Job> {
  return {
    run,
    assembly: await assemblies.of(run.setup),
    next: await assemblies.next(run.seed, run.setup, run.faults),
  };
}

async function main(): Promise<number> {
  const values = readArguments();
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-simulation-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => process.exit(signal === 'SIGINT' ? 130 : 143));
  process.once('exit', () => rmSync(temporary, { recursive: true, force: true }));
  // The unit tests lint the same templates with aws-cdk-lib's validation; here it would take most of the time.
  process.env.CDK_VALIDATION ??= 'false';
  const assemblies = new Assemblies(ROOT, temporary);
  const act = values.healing ? 'healing' : 'forming';
  if (values.seed !== undefined) return one(overridden(values), assemblies, values.trace === true);
  return many(
    act,
    values.balanced === true,
    wholeNumber('from', values.from ?? '1'),
    wholeNumber('seeds', values.seeds ?? String(DEFAULT_SEEDS)),
    wholeNumber('jobs', values.jobs ?? String(availableParallelism())),
    assemblies,
  );
}

const OF_MANY = ['seeds', 'from', 'jobs'] as const;
const OF_ONE = ['managers', 'workers', 'chained', 'faults', 'limits', 'faults-end', 'trace'] as const;

/** @throws UsageError */
function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean' },
        healing: { type: 'boolean' },
        balanced: { type: 'boolean' },
        seeds: { type: 'string' },
        from: { type: 'string' },
        seed: { type: 'string' },
        managers: { type: 'string' },
        workers: { type: 'string' },
        chained: { type: 'boolean' },
        faults: { type: 'string' },
        limits: { type: 'string' },
        'faults-end': { type: 'string' },
        trace: { type: 'boolean' },
        jobs: { type: 'string' },
      },
    });
    const stray = (values.seed === undefined ? OF_ONE : OF_MANY).filter((name) => values[name] !== undefined);
    if (stray.length > 0)
      throw new Error(
        `--${stray.join(', --')} ` +
          `${values.seed === undefined ? 'only works with --seed.' : 'does not work with --seed.'}`,
      );
    return values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The run of a seed, with the overrides from the command line. */
function overridden(values: Record<string, string | boolean | undefined>): Run {
  const text = (name: string) => values[name] as string | undefined;
  const seed = wholeNumber('seed', text('seed')!);
  const act = values.healing ? 'healing' : 'forming';
  const bySeed = setupOf(seed, act);
  const setup = {
    managers: text('managers') === undefined ? bySeed.managers : wholeNumber('managers', text('managers')!),
    workers: text('workers') === undefined ? bySeed.workers : wholeNumber('workers', text('workers')!),
    spot: bySeed.spot,
    ...(values.balanced === true && { balanced: true }),
    chained: text('managers') === undefined && values.chained === undefined ? bySeed.chained : values.chained === true,
  };
  const run = runOf(seed, act, setup);
  if (text('faults') !== undefined)
    run.faults = text('faults') === 'none' ? [] : text('faults')!.split(',').map(kindOf);
  for (const limit of text('limits')?.split(',') ?? []) {
    const [kind, most] = limit.split('=');
    run.limits[kindOf(kind!)] = wholeNumber('limits', most ?? '');
  }
  if (text('faults-end') !== undefined) run.faultsEndMs = wholeNumber('faults-end', text('faults-end')!);
  return run;
}

function kindOf(name: string): FaultKind {
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind === undefined) throw new UsageError(`There is no fault "${name}". Known faults: ${FAULT_KINDS.join(', ')}.`);
  return kind;
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} must be a whole number, not "${text}".`);
  return Number(text);
}

function optionsOf({ run: { seed, act, faults, limits, faultsEndMs }, assembly, next }: Job) {
  return { seed, act, assembly, next, bundles: BUNDLES, faults, limits, faultsEndMs };
}

async function one(run: Run, assemblies: Assemblies, trace: boolean): Promise<number> {
  const result = await simulate({
    ...optionsOf(await jobOf(run, assemblies)),
    ...(trace && { trace: (line: string) => console.log(line) }),
  });
  console.log(JSON.stringify({ run, result }, null, 1));
  return failed(result) ? 1 : 0;
}

async function many(
  act: Act,
  balanced: boolean,
  from: number,
  count: number,
  jobs: number,
  assemblies: Assemblies,
): Promise<number> {
  const started = systemClock.now();
  const tally = new Tally(act, balanced);
  const failures: { run: Run; result: SimulationResult }[] = [];
  let next = from;
  let done = 0;
  const workers = Array.from({ length: Math.max(1, Math.min(jobs, count)) }, () => fork(__filename, ['--worker']));
  try {
    await Promise.all(
      workers.map(async (worker) => {
        while (next < from + count) {
          const seed = next++;
          const run = runOf(seed, act, { ...setupOf(seed, act), ...(balanced && { balanced }) });
          const result = await ask(worker, await jobOf(run, assemblies));
          tally.add(result);
          if (++done % PROGRESS === 0) console.error(`${done} of ${count} seeds, ${failures.length} failed`);
          if (failed(result)) {
            failures.push({ run, result });
            console.log(
              `seed ${seed} FAILED: ` +
                `${[...result.breaches, ...result.unfinished].slice(0, 3).join(' | ')}\n  ` +
                `${replayCommand(run)}`,
            );
          }
        }
      }),
    );
    for (const { run } of failures.slice(0, SHRUNK)) {
      const smaller = await shrink(run, async (attempt) => ask(workers[0]!, await jobOf(attempt, assemblies)));
      console.log(
        `seed ${run.seed}, shrunk: ` +
          `${[...smaller.result.breaches, ...smaller.result.unfinished].slice(0, 3).join(' | ')}\n  ` +
          `${replayCommand(smaller.run)}`,
      );
    }
  } finally {
    for (const worker of workers) worker.kill();
  }
  console.log(tally.render((systemClock.now() - started) / 1000, workers.length).join('\n'));
  // A fault that never happened, or an action never taken, was not tested.
  const missing = tally.missing();
  const enough = count >= FULL;
  if (missing.length > 0)
    console.log(`NEVER HAPPENED${enough ? '' : ` (expected with fewer than ${FULL} seeds)`}: ${missing.join(', ')}`);
  return failures.length > 0 || (enough && missing.length > 0) ? 1 : 0;
}

function ask(worker: ChildProcess, job: Job): Promise<SimulationResult> {
  return new Promise((done, fail) => {
    const cancel = systemClock.after(ENDLESS_MS, () => worker.kill('SIGKILL'));
    const onExit = () =>
      fail(
        new Error(
          `The simulation of seed ${job.run.seed} crashed, or did not end within ` +
            `${ENDLESS_MS / 60_000} minutes: ${replayCommand(job.run)}`,
        ),
      );
    worker.once('exit', onExit);
    worker.once('message', (answer: SimulationResult | { error: string }) => {
      cancel();
      worker.off('exit', onExit);
      if ('error' in answer)
        fail(new Error(`The simulator failed on seed ${job.run.seed}: ${answer.error}\n  ${replayCommand(job.run)}`));
      else done(answer);
    });
    worker.send(job);
  });
}

function work(): void {
  process.on('message', (job: Job) => {
    simulate(optionsOf(job)).then(
      (result) => process.send!(result),
      (error: Error) => process.send!({ error: error.stack ?? error.message }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}

if (process.argv.includes('--worker')) work();
else {
  main().then(
    (code) => process.exit(code),
    (error: Error) => {
      console.error(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error.message);
      process.exit(error instanceof UsageError ? 2 : 1);
    },
  );
}

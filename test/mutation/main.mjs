/**
 * `npm run mutate`: does a test fail when a line of the functions or of the agent is changed? Stryker makes the changes
 * and runs the tests that reach each of them. All of them take hours; `-- --sample 1500 --seed 1` draws that many, and
 * `-- --only agent/` keeps to some files. With `-- --results FILE` a run that was broken off goes on where it was.
 *
 * Not counted are texts (`plugins.mjs`), and what is computed once, when a file is loaded: each such constant would
 * take a run of all tests. A change that makes a test hang counts as noticed.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';
import { createInstrumenter } from '@stryker-mutator/instrumenter';
import { createInjector } from 'typed-inject';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock.ts';
import { fileOf, keyOf, RESULTS_FILE, SAMPLE_FILE, texts, UNNOTICED } from './plugins.mjs';

/** What is mutated, and which share of it the tests are to notice. */
const GROUPS = [
  {
    name: 'rules and plans',
    target: 0.95,
    has: (file) =>
      /^lambda\/membership\/(rules\/\w|(breaker|draft|facts|census|action-counts|announcements)\.ts$)/.test(file) ||
      /^lambda\/[\w-]+\/(plan|follow)\.ts$/.test(file) ||
      /^agent\/(plan|orders|removal|certificate|daemon-config)\.ts$/.test(file),
  },
  { name: 'effects', target: 0.8, has: () => true },
];
/**
 * What wires environment and clients, what has only types, and what runs programs of the machine, which the suite on
 * real engines does.
 */
const EXCEPT = /\/(index|main|wire|observation|environment|docker-api|host)\.ts$/;
const NOTICED = ['Killed', 'Timeout'];

const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    results: { type: 'string' },
  },
});

const files = ['agent', 'lambda']
  .flatMap((name) => readdirSync(name, { recursive: true }).map((file) => join(name, file)))
  .filter((file) => file.endsWith('.ts') && !EXCEPT.test(file) && file.startsWith(values.only))
  .sort();
const folder = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-mutation-'));
process.env[SAMPLE_FILE] = join(folder, 'sample');
process.env[RESULTS_FILE] = resolve(values.results ?? join(folder, 'results'));
try {
  const keys = draw(await candidates(), Number(values.sample ?? Infinity), Number(values.seed));
  const known = results();
  writeFileSync(process.env[SAMPLE_FILE], keys.filter((key) => !known.has(key)).join('\n'));
  await new Stryker(options(folder)).runMutationTest();
  process.exitCode = report(keys) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** All mutants that Stryker would make of the files, but for those of texts. */
async function candidates() {
  const silent = new Proxy({}, { get: (_, name) => (String(name).startsWith('is') ? () => false : () => undefined) });
  const instrumenter = createInjector()
    .provideValue('logger', silent)
    .provideValue('options', {})
    .injectFunction(createInstrumenter);
  const { mutants } = await instrumenter.instrument(
    files.map((file) => ({ name: resolve(file), mutate: true, content: readFileSync(file, 'utf8') })),
    { ignorers: [texts], excludedMutations: [], noHeader: false, plugins: null },
  );
  return mutants.filter(({ status }) => status === undefined).map((mutant) => keyOf(mutant, 0));
}

function draw(keys, count, seed) {
  const clock = new VirtualClock(seed);
  return keys
    .map((key) => ({ key, at: clock.random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ key }) => key);
}

function options(temporary) {
  return {
    mutate: files,
    plugins: ['@stryker-mutator/jest-runner', resolve('test/mutation/plugins.mjs')],
    ignorers: ['texts'],
    checkers: ['sample'],
    testRunner: 'jest',
    jest: {
      configFile: 'jest.config.js',
      // The tests of what is mutated. Simulations notice much more, and take too long for this.
      config: {
        roots: ['lambda', 'agent', 'protocol'].map((name) => `<rootDir>/test/${name}`),
        globalSetup: null,
        globalTeardown: null,
        testEnvironment: resolve('test/mutation/environment.js'),
        testSequencer: '<rootDir>/test/mutation/sequencer.mjs',
        testTimeout: 20_000,
      },
      enableFindRelatedTests: false,
    },
    coverageAnalysis: 'perTest',
    ignoreStatic: true,
    // Half of the processes draw the sample, which takes no time; two run tests.
    concurrency: 4,
    timeoutMS: 2_000,
    // On a machine that has other work, too.
    dryRunTimeoutMinutes: 30,
    ignorePatterns: ['dist', 'docs', 'examples', 'cdk.out', 'test/{lib,long,real-nodes,examples}'],
    reporters: ['results', process.stdout.isTTY ? 'progress' : 'progress-append-only'],
    tempDirName: temporary,
    // Stryker's own link leaves out a folder of packages that is a link itself.
    symlinkNodeModules: false,
    buildCommand: `ln -s ${resolve('node_modules')} node_modules`,
    disableTypeChecks: false,
    allowEmpty: true,
  };
}

/** Statuses of mutants, by their keys. */
function results() {
  const file = process.env[RESULTS_FILE];
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').filter(Boolean) : [];
  return new Map(lines.map((line) => JSON.parse(line)));
}

/** @returns whether each group has reached its target */
function report(keys) {
  const statuses = results();
  let reached = true;
  for (const group of GROUPS) {
    const own = keys.filter((key) => GROUPS.find(({ has }) => has(fileOf(key))) === group);
    const count = (...some) => own.filter((key) => some.includes(statuses.get(key))).length;
    const [noticed, unnoticed] = [count(...NOTICED), count(...UNNOTICED)];
    const share = noticed / (noticed + unnoticed);
    if (share < group.target) reached = false;
    console.log(
      `${group.name}: ${(100 * share).toFixed(1)} % of ${noticed + unnoticed} are noticed, ` +
        `${100 * group.target} % are to be. Killed ${count('Killed')}, timed out ${count('Timeout')}, survived ` +
        `${count('Survived')}, reached by no test ${count('NoCoverage')}, constants ${count('Ignored')}, errors ` +
        `${count('RuntimeError', 'CompileError')}.`,
    );
  }
  return reached;
}

/**
 * What each bundle costs at a start: its size, and the time from the start of a process until the bundle is loaded. It
 * is compared with an empty program, and with the same function that imports the installed SDK instead of bundling it.
 * Each measurement has a process of its own, and the programs alternate.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { AGENT_CONFIG_PATH, environmentVariables } from '../protocol/environment';
import type { LoadBalancerSettings } from '../protocol/following';
import { ROOT } from './region';
import { median } from './statistics';

const RUNS = 9;

/** Enough for every function to load. */
const ENVIRONMENT: Record<string, string> = {
  ...Object.fromEntries(Object.values(environmentVariables).map((name) => [name, 'bench'])),
  [environmentVariables.seats]: JSON.stringify([
    { seat: 0, volumeId: 'vol-1', networkInterfaceId: 'eni-1', address: '10.0.0.10' },
  ]),
  [environmentVariables.loadBalancers]: JSON.stringify([
    {
      arn: 'arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/bench/0123456789abcdef',
      securityGroupId: 'sg-1',
    },
  ] satisfies LoadBalancerSettings[]),
  [environmentVariables.swarmSettings]: JSON.stringify({
    addressPools: ['100.64.0.0/10'],
    addressPoolPrefixLength: 24,
  }),
  AWS_REGION: 'us-east-1',
  // The SDK warns about old Node.js versions.
  NODE_NO_WARNINGS: '1',
};

/** Both print the milliseconds since their process started: https://nodejs.org/api/perf_hooks.html#performancenow */
const UNTIL_HANDLER = `
if (typeof require(process.argv[1]).handler !== 'function') throw new Error('The bundle has no handler.');
console.log(performance.now());`;
const UNTIL_FIRST_OUTPUT = `
process.stdout.write = () => { require('node:fs').writeSync(1, String(performance.now())); process.exit(0); };
require(process.argv[1]);`;

export async function benchImports(): Promise<void> {
  // Inside the repository, so that Node.js finds the installed SDK.
  const folder = mkdtempSync(join(ROOT, 'dist/imports-'));
  try {
    await importsOfFunctions(folder);
    importOfAgent(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function importsOfFunctions(folder: string): Promise<void> {
  const empty = join(folder, 'empty.js');
  writeFileSync(empty, 'exports.handler = async () => undefined;\n');
  for (const name of readdirSync(join(ROOT, 'lambda')).filter((entry) =>
    existsSync(join(ROOT, 'lambda', entry, 'index.ts')),
  )) {
    const bundled = join(ROOT, 'dist/lambda', name, 'index.js');
    const outside = join(folder, `${name}.js`);
    await build({
      entryPoints: [join(ROOT, 'lambda', name, 'index.ts')],
      outfile: outside,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      minify: true,
      target: 'node22',
      external: ['@aws-sdk/*'],
      logLevel: 'error',
    });
    const [none, ours, installed] = alternating(UNTIL_HANDLER, [empty, bundled, outside]) as [number, number, number];
    console.log(
      `start of ${name} (${kilobytes(bundled)} KB), median of ${RUNS}: empty handler ${none.toFixed(0)} ` +
        `ms, ours ${ours.toFixed(0)} ms (ratio ${(ours / none).toFixed(2)}), ` +
        `SDK as installed ${installed.toFixed(0)} ms (ratio ${(installed / none).toFixed(2)}); its import ` +
        `alone, SDK bundled to installed: ratio ${((ours - none) / (installed - none)).toFixed(2)}`,
    );
  }
}

/** The agent runs as soon as it is loaded. It logs its first line once it is loaded and has found no configuration. */
function importOfAgent(folder: string): void {
  const bundle = join(ROOT, 'dist/agent/agent.cjs');
  if (existsSync(AGENT_CONFIG_PATH))
    throw new Error(
      `This machine is a node of a swarm: because ${AGENT_CONFIG_PATH} exists, the agent would start work.`,
    );
  const empty = join(folder, 'empty-program.cjs');
  writeFileSync(empty, "process.stdout.write('\\n');\n");
  const [none, ours] = alternating(UNTIL_FIRST_OUTPUT, [empty, bundle]) as [number, number];
  console.log(
    `start of the agent (${kilobytes(bundle)} KB), until its first line of log, median of ${RUNS}: empty ` +
      `program ${none.toFixed(0)} ms, ours ${ours.toFixed(0)} ms (ratio ${(ours / none).toFixed(2)})`,
  );
}

/** Runs the program with each file in turn. @returns the median time of each file */
function alternating(program: string, files: string[]): number[] {
  const rounds = Array.from({ length: RUNS }, () => files.map((file) => startTime(program, file)));
  return files.map((_, n) => median(rounds.map((times) => times[n]!)));
}

function startTime(program: string, file: string): number {
  const node = process.env.CDK_DOCKER_SWARM_NODE ?? process.execPath;
  return Number(
    execFileSync(node, ['-e', program, file], { env: { ...process.env, ...ENVIRONMENT }, encoding: 'utf8' }),
  );
}

function kilobytes(file: string): number {
  return Math.round(statSync(file).size / 1024);
}

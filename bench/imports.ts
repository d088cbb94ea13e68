/** How long each function's bundle takes to import, beside the same function with the SDK left outside as it is installed: in a process of its own each time, alternating. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { environmentVariables } from '../protocol/environment';
import { median } from './statistics';

const RUNS = 5;
const ROOT = join(__dirname, '..');

/** Enough for every function to load. */
const ENVIRONMENT: Record<string, string> = {
  ...Object.fromEntries(Object.values(environmentVariables).map((name) => [name, 'bench'])),
  [environmentVariables.seats]: JSON.stringify([{ seat: 0, volumeId: 'vol-1', networkInterfaceId: 'eni-1', address: '10.0.0.10' }]),
  [environmentVariables.swarmSettings]: JSON.stringify({ addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 }),
  AWS_REGION: 'us-east-1',
};

export async function benchImports(): Promise<void> {
  // Inside the repository, so that the SDK outside is found.
  const folder = mkdtempSync(join(ROOT, 'dist/imports-'));
  try {
    for (const name of readdirSync(join(ROOT, 'lambda')).filter((entry) => existsSync(join(ROOT, 'lambda', entry, 'index.ts')))) {
      const bundled = join(ROOT, 'dist/lambda', name, 'index.js');
      const outside = join(folder, `${name}.js`);
      await build({ entryPoints: [join(ROOT, 'lambda', name, 'index.ts')], outfile: outside, bundle: true, platform: 'node', format: 'cjs', minify: true, target: 'node22', external: ['@aws-sdk/*'], logLevel: 'error' });
      const times: Record<'bundled' | 'outside', number[]> = { bundled: [], outside: [] };
      for (let n = 0; n < RUNS; n++) {
        times.bundled.push(importTime(bundled));
        times.outside.push(importTime(outside));
      }
      const [inside, installed] = [median(times.bundled), median(times.outside)];
      const kilobytes = Math.round(statSync(bundled).size / 1024);
      console.log(`import of ${name} (${kilobytes} KB), median of ${RUNS}: SDK bundled ${inside} ms, SDK as installed ${installed} ms, ratio ${(inside / installed).toFixed(2)}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function importTime(file: string): number {
  const program = 'const begin = process.hrtime.bigint(); require(process.argv[1]); console.log(Number(process.hrtime.bigint() - begin) / 1e6)';
  const node = process.env.CDK_DOCKER_SWARM_NODE ?? process.execPath;
  return Math.round(Number(execFileSync(node, ['-e', program, file], { env: { ...process.env, ...ENVIRONMENT }, encoding: 'utf8' })));
}

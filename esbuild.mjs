// Bundles what leaves this repository as one file each: the functions, the agent, and the command. `node esbuild.mjs`
import { existsSync, readdirSync } from 'node:fs';
import { build } from 'esbuild';

// The SDK goes into the bundles, from its ES modules, which are cut down to what is used: `npm run bench` shows them
// importing in half the time of the whole SDK.
const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  mainFields: ['module', 'main'],
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
};

const functions = readdirSync('lambda', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(`lambda/${entry.name}/index.ts`))
  .map((entry) => ({
    entryPoints: [`lambda/${entry.name}/index.ts`],
    outfile: `dist/lambda/${entry.name}/index.js`,
    target: 'node22',
  }));

const programs = [
  { entryPoints: ['agent/main.ts'], outfile: 'dist/agent/agent.cjs', target: 'node22' },
  { entryPoints: ['bin/cdk-docker-swarm.ts'], outfile: 'dist/bin/cdk-docker-swarm.js', target: 'node20' },
  {
    entryPoints: ['rehearsal/functions/lambda-runtime.ts'],
    outfile: 'dist/rehearsal/lambda-runtime.js',
    target: 'node20',
  },
  { entryPoints: ['rehearsal/stand-ins/aws.ts'], outfile: 'dist/rehearsal/stand-ins/aws.js', target: 'node20' },
].filter(({ entryPoints }) => existsSync(entryPoints[0]));

await Promise.all([...functions, ...programs].map((options) => build({ ...common, ...options })));

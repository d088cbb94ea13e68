// `node esbuild.mjs` bundles each function, the agent and the command into one file each, in dist/.
import { existsSync, readdirSync } from 'node:fs';
import { build } from 'esbuild';

// The bundles include the SDK, from its ES modules, so that esbuild can drop what is not used. They load in half the
// time of the installed SDK: `npm run bench -- imports`.
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

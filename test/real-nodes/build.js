/**
 * Builds what the tests run: the functions, the agent, the stand-ins and the command. Says loudly when no real nodes
 * can be made here.
 */
const { execFileSync } = require('node:child_process');
const { join } = require('node:path');

const cwd = join(__dirname, '../..');
const run = (...args) =>
  execFileSync(process.execPath, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

module.exports = () => {
  run('esbuild.mjs');
  const lacks = run('--import', 'tsx', 'test/real-nodes/lacks.ts').trim();
  if (lacks === '') return;
  process.env.REAL_NODES_LACK = lacks;
  console.warn(`\nSKIPPED: everything on real Docker engines.\n${lacks}\n`);
};

/** Builds what the tests run: the functions, the agent, the stand-ins and the command. */
const { execFileSync } = require('node:child_process');
const { join } = require('node:path');

module.exports = () => void execFileSync(process.execPath, ['esbuild.mjs'], { cwd: join(__dirname, '../..'), stdio: 'inherit' });

const { spawnSync } = require('node:child_process');
const { rmSync } = require('node:fs');

/** Programs that some tests compare with, where a machine has them. */
const OPTIONAL = { 'cfn-lint': 'pip install cfn-lint', moto_server: 'pip install "moto[server]"' };

module.exports = () => {
  // Only the folder that global-setup.js made.
  if (globalThis.temporaryFolder) rmSync(globalThis.temporaryFolder, { recursive: true, force: true });
  for (const [program, install] of Object.entries(OPTIONAL)) {
    if (spawnSync(program, ['--help'], { stdio: 'ignore' }).error)
      console.warn(`SKIPPED: what needs ${program}. Get it with: ${install}`);
  }
  if (process.platform !== 'linux')
    console.warn('SKIPPED: the stand-in for systemd of rehearsed nodes. It runs on Linux.');
  console.warn(
    'NOT PART OF THIS: the suite on real Docker engines. Run it with: npm run test:real-nodes (Linux, root, docker.io)',
  );
};

// Everything that tests and what they run (synth, too) leave in the temporary folder lies in one folder of this run,
// which goes with it.
const { mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

module.exports = () => {
  globalThis.temporaryFolder = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-test-'));
  process.env.TMPDIR = globalThis.temporaryFolder;
};

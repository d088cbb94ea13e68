const { rmSync } = require('node:fs');

// Only the folder that global-setup.js made.
module.exports = () => {
  if (globalThis.temporaryFolder) rmSync(globalThis.temporaryFolder, { recursive: true, force: true });
};

/**
 * Long-running tests: seeds that fail when a guard is switched off, named seeds, deployments that take hours of virtual
 * time, fleets of a thousand nodes.
 * @type {import('jest').Config}
 */
module.exports = {
  ...require('./jest.config.js'),
  roots: ['<rootDir>/test/long'],
  testPathIgnorePatterns: ['/node_modules/'],
  testSequencer: '<rootDir>/test/long/sequencer.js',
};

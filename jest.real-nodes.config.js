/**
 * Tests on real Docker engines: Linux, root and Docker, one at a time. Elsewhere each says why it did nothing.
 * @type {import('jest').Config}
 */
module.exports = {
  ...require('./jest.config.js'),
  roots: ['<rootDir>/test/real-nodes'],
  testPathIgnorePatterns: ['/node_modules/'],
  globalSetup: '<rootDir>/test/real-nodes/build.js',
  globalTeardown: undefined,
  testTimeout: 180_000,
  maxWorkers: 1,
};

/**
 * Tests on real Docker engines, one at a time. They need Linux, root and Docker; elsewhere each says why it is skipped.
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

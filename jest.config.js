/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  // One less, as by default, would be one on a machine with two: all files in one process, which grows and slows down.
  maxWorkers: '100%',
  // On a machine that has other work, too, half a minute of a simulation takes its time.
  testTimeout: 120_000,
  roots: ['<rootDir>/test'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/real-nodes/', '<rootDir>/test/long/'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/global-setup.js',
  globalTeardown: '<rootDir>/test/global-teardown.js',
  setupFiles: ['<rootDir>/test/environment.js'],
};

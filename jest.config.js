/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  // The default, one less than the cores, is one worker on two cores: a single process for all files, which grows and
  // slows down.
  maxWorkers: '100%',
  // On a busy machine, half a minute of simulation can take much longer.
  testTimeout: 120_000,
  roots: ['<rootDir>/test'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/real-nodes/', '<rootDir>/test/long/'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/global-setup.js',
  globalTeardown: '<rootDir>/test/global-teardown.js',
  setupFiles: ['<rootDir>/test/environment.js'],
};

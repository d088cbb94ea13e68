/**
 * What searches for long: seeds that a switched-off guard fails, named seeds, fleets of a thousand nodes.
 * @type {import('jest').Config}
 */
module.exports = {
  ...require('./jest.config.js'),
  roots: ['<rootDir>/test/long'],
  testPathIgnorePatterns: ['/node_modules/'],
  testSequencer: '<rootDir>/test/long/sequencer.js',
};

/**
 * Ends the tests of a mutant at the first one that fails: it is noticed then, whatever the others say. Jest itself ends
 * them only where it is not called by a program.
 */
const { TestEnvironment } = require('jest-environment-node');

/** The mutant of which a test has failed, by its number. */
let noticed;
const mutant = () => process.env.__STRYKER_ACTIVE_MUTANT__;

module.exports = class extends TestEnvironment {
  async handleTestEvent({ name, test }) {
    if (name === 'test_done' && test.errors.length > 0) noticed = mutant();
    if (name === 'test_start' && noticed !== undefined && noticed === mutant()) test.mode = 'skip';
  }
};

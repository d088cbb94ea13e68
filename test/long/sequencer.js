// Without times of earlier runs jest begins with the largest files. The one that takes longest is short: begun last, it
// would run alone, with the other processors idle.
const { default: Sequencer } = require('@jest/test-sequencer');

const LONGEST = /[\\/]long[\\/]refresh\.test\.ts$/;

module.exports = class extends Sequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => LONGEST.test(b.path) - LONGEST.test(a.path));
  }
};

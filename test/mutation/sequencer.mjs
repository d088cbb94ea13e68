/**
 * Stryker names the tests that reach a mutant, and jest would still load all test files to look for them. The first run
 * writes down which file has which tests; later ones load only the files that have one of those named.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sequencer from '@jest/test-sequencer';

export default class extends Sequencer {
  #record;
  #named;

  constructor({ contexts, globalConfig }) {
    super({ contexts, globalConfig });
    this.#record = join(globalConfig.rootDir, 'tests.json');
    this.#named = globalConfig.testNamePattern && new RegExp(globalConfig.testNamePattern, 'i');
  }

  sort(tests) {
    const sorted = super.sort(tests);
    if (!this.#named || !existsSync(this.#record)) return sorted;
    const names = JSON.parse(readFileSync(this.#record, 'utf8'));
    return sorted.filter(({ path }) => names[path].some((name) => this.#named.test(name)));
  }

  cacheResults(_tests, { testResults }) {
    if (this.#named) return;
    const names = testResults.map((file) => [file.testFilePath, file.testResults.map(({ fullName }) => fullName)]);
    writeFileSync(this.#record, JSON.stringify(Object.fromEntries(names)));
  }
}

/** The bundles are found from the source and from the built package, wherever it is installed. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentBundle, functionBundle } from '../../../lib/core/bundles';

const dist = join(__dirname, '../../../dist');

test('from the source, the bundles are in dist', () => {
  expect(agentBundle()).toBe(join(dist, 'agent', 'agent.cjs'));
  expect(functionBundle('node-join')).toBe(join(dist, 'lambda', 'node-join'));
});

describe('in an installed package', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bundles-'));
    mkdirSync(join(folder, 'dist/lib/core'), { recursive: true });
    mkdirSync(join(folder, 'dist/agent'));
    copyFileSync(join(dist, 'lib/core/bundles.js'), join(folder, 'dist/lib/core/bundles.js'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const ask = () =>
    spawnSync(
      process.execPath,
      ['-p', `require(${JSON.stringify(join(folder, 'dist/lib/core/bundles.js'))}).functionBundle('node-leave')`],
      { encoding: 'utf8' },
    );

  test('the bundles are beside dist/lib', () => {
    writeFileSync(join(folder, 'dist/agent/agent.cjs'), '');
    expect(ask().stdout.trim()).toBe(join(folder, 'dist/lambda/node-leave'));
  });

  test('a package without bundles says how to build them', () => {
    const { status, stderr } = ask();
    expect(status).not.toBe(0);
    expect(stderr).toContain('build it with "npm run build"');
  });
});

/** What the release workflow checks before it publishes anything. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const SCRIPT = resolve(__dirname, '../../.github/release.mjs');
const REPOSITORY = 'https://github.com/example/cdk-docker-swarm';

interface Given {
  version?: string;
  changelog?: string;
  tags?: string[];
  repository?: string;
}

function release({ version = '0.1.0', changelog = '# Changelog\n\n## [0.1.0]\n', tags = [], repository }: Given) {
  const cwd = mkdtempSync(join(tmpdir(), 'release-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd });
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name: 'cdk-docker-swarm', version }));
  writeFileSync(join(cwd, 'CHANGELOG.md'), changelog);
  git('init', '--quiet');
  git('commit', '--quiet', '--allow-empty', '--message', 'A commit');
  for (const tag of tags) git('tag', tag);
  const { REPOSITORY: _, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT], {
    cwd,
    env: { ...env, ...(repository !== undefined && { REPOSITORY: repository }) },
    encoding: 'utf8',
  });
  return { status, stderr, manifest: JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')) };
}

test('a version with a section in the changelog and no tag can be released from the repository it runs in', () => {
  const { status, stderr, manifest } = release({ repository: REPOSITORY, tags: ['v0.0.9'] });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(manifest.repository).toEqual({ type: 'git', url: `git+${REPOSITORY}.git` });
});

test.each<[string, Given, string]>([
  ['no repository', {}, "REPOSITORY is ''. Set it to the address of the repository, https://HOST/OWNER/NAME."],
  ['an address that is no repository', { repository: 'https://github.com' }, "REPOSITORY is 'https://github.com'."],
  ['a version of two numbers', { repository: REPOSITORY, version: '0.1' }, "is '0.1'. Give it three numbers"],
  ['a version that was released', { repository: REPOSITORY, tags: ['v0.1.0'] }, 'The tag v0.1.0 exists'],
  [
    'no section in the changelog',
    { repository: REPOSITORY, changelog: '## [Unreleased]\n' },
    'no section "## [0.1.0]"',
  ],
])('%s keeps a version from being released', (_, given, sentence) => {
  const { status, stderr, manifest } = release(given);
  expect(status).toBe(1);
  expect(stderr).toContain(sentence);
  expect(manifest.repository).toBeUndefined();
});

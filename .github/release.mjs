/**
 * Checks that the version in package.json can be released, and writes into package.json which repository it comes from:
 * npm refuses provenance when `repository.url` is not the repository that the workflow runs in
 * (https://docs.npmjs.com/generating-provenance-statements). Otherwise it says why not, and ends with 1.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const { name, version } = manifest;
const repository = process.env.REPOSITORY ?? '';
const tags = execFileSync('git', ['tag', '--list'], { encoding: 'utf8' }).split('\n');

const problems = [];
if (!/^https:\/\/[^/]+\/[^/]+\/[^/]+$/.test(repository))
  problems.push(`REPOSITORY is '${repository}'. Set it to the address of the repository, https://HOST/OWNER/NAME.`);
if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
  problems.push(`The version of ${name} is '${version}'. Give it three numbers, such as 0.1.0.`);
if (tags.includes(`v${version}`))
  problems.push(`The tag v${version} exists, so that version was released. Raise "version" in package.json.`);
if (!readFileSync('CHANGELOG.md', 'utf8').includes(`\n## [${version}]`))
  problems.push(`CHANGELOG.md has no section "## [${version}]". Move what stands under "Unreleased" there.`);

if (problems.length > 0) {
  console.error(['This version cannot be released:', ...problems.map((problem) => `- ${problem}`)].join('\n'));
  process.exitCode = 1;
} else {
  manifest.repository = { type: 'git', url: `git+${repository}.git` };
  writeFileSync('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${name} ${version} can be released from ${repository}.`);
}

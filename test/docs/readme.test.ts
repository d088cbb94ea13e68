/** The README's snippets compile and synthesise, and its commands exist. */
import { App, Stack } from 'aws-cdk-lib';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmCluster } from '../../lib';

const root = join(__dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const runbook = readFileSync(join(root, 'docs/quorum-lost.md'), 'utf8');
const blocks = (language: string, text = readme) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1]!);

describe('the README', () => {
  it('begins with what it is, then the two commands', () => {
    expect(readme.split('\n')[0]).toBe('# cdk-docker-swarm');
    expect(blocks('sh')[0]).toBe('npm ci && npm start\nnpm ci && npm test\n');
  });

  it('says plainly what has never been run on real AWS', () => {
    expect(readme).toContain('never been run on real AWS');
  });

  it('has TypeScript snippets that compile under the strict options of this repository, and synthesise', () => {
    const snippets = [...blocks('ts'), ...blocks('ts', runbook)];
    expect(snippets.length).toBeGreaterThan(2);
    // Inside the repository, so that `cdk-docker-swarm` resolves to it as it does for a user.
    const folder = mkdtempSync(join(root, 'dist/readme-'));
    try {
      const files = snippets.map((snippet, n) => {
        const file = join(folder, `snippet-${n}.ts`);
        writeFileSync(file, snippet);
        return file;
      });
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          extends: join(root, 'tsconfig.json'),
          compilerOptions: { types: ['node'] },
          include: ['*.ts'],
        }),
      );
      execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
      for (const file of files)
        execFileSync(process.execPath, ['--import', 'tsx', file], {
          cwd: root,
          env: { ...process.env, CDK_OUTDIR: join(folder, 'cdk.out') },
          stdio: 'pipe',
        });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);

  it('names only npm scripts and files that exist', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts);
    const named = [...readme.matchAll(/npm (?:run )?(start|test|run|[a-z:-]+)(?= |$|`|\n)/g)]
      .map((match) => match[1]!)
      .filter((name) => !['ci', 'run', 'npm', 'pack', 'install'].includes(name));
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect(scripts).toContain(name);
    for (const [, path] of readme.matchAll(/\]\(([A-Za-z./-]+)\)/g)) readFileSync(join(root, path!));
  });

  it("and the runbook's command is the one of the stack's output", () => {
    const command = blocks('sh', runbook).find((block) => block.includes('lambda invoke'));
    const stack = new Stack(new App(), 'Docs');
    const { recoverQuorum } = new SwarmCluster(stack, 'Swarm');
    const value = JSON.stringify(stack.resolve(recoverQuorum.value));
    for (const part of command!.trim().split(/REGION|FUNCTION/))
      expect(value).toContain(JSON.stringify(part).slice(1, -1));
  });
});

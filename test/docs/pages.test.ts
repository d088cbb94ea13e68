/** What the pages say of this repository is so: links, commands, files, log lines, alarms, and code that compiles. */
import { App, Stack } from 'aws-cdk-lib';
import { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmCluster } from '../../lib';
import { SCENARIOS } from '../../rehearsal/scenarios/scenarios';
import { anchors, blocks, brokenLinks, codeSpans, pages, read, root, withoutBlocks, words } from './pages';

describe('how headings become anchors', () => {
  test.each([
    ['# Costs', ['costs']],
    ["## It's `UPDATE_ROLLBACK_FAILED`, again?", ['its-update_rollback_failed-again']],
    ['## A - B', ['a---b']],
    ['## Same\n\n## Same', ['same', 'same-1']],
    ['## [A page](page.md) of ours', ['a-page-of-ours']],
    ['```sh\n# no heading\n```\n\n## One', ['one']],
  ])('%j', (text, expected) => {
    expect(anchors(text)).toEqual(expected);
  });
});

test('every link to a page or a heading leads somewhere', () => {
  expect(pages.length).toBeGreaterThan(20);
  expect(pages.flatMap(brokenLinks)).toEqual([]);
});

test('every page of docs/ is reached from its index', () => {
  const reached = new Set(['docs/README.md']);
  for (const page of reached)
    for (const [, target] of read(page).matchAll(/\]\(([^)#\s]+\.md)[^)]*\)/g))
      if (pages.includes(join(page, '..', target!))) reached.add(join(page, '..', target!));
  expect(pages.filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([]);
});

test.each([
  ['README.md', 1_300],
  ['ARCHITECTURE.md', 1_800],
])('%s has at most %i words, code blocks not counted', (page, most) => {
  expect(words(read(page))).toBeLessThanOrEqual(most);
});

test('a decision is told in 80 to 250 words', () => {
  const decisions = pages.filter((page) => /^docs\/decisions\/\d/.test(page));
  expect(decisions.length).toBeGreaterThan(15);
  const lengths = decisions.map((page) => ({ page, words: words(read(page)) }));
  expect(lengths.filter(({ words: length }) => length < 80 || length > 250)).toEqual([]);
});

describe('commands', () => {
  const spoken = pages.flatMap((page) => {
    const lines = [
      ...blocks(read(page), 'sh').join('\n').replaceAll('\\\n', ' ').split('\n'),
      ...codeSpans(read(page)),
    ];
    return lines.map((line) => ({ page, line: line.replace(/\s# .*$/, '') }));
  });
  const of = (pattern: RegExp) =>
    spoken.flatMap(({ page, line }) => [...line.matchAll(pattern)].map(([, ...found]) => ({ page, found })));
  const typescript = (file: string, ...args: string[]) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', join(root, file), ...args], {
      cwd: root,
      encoding: 'utf8',
    });
    return stdout + stderr;
  };

  test('npm scripts exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = [...of(/\bnpm run (?:-s |--silent )?([\w:-]+)/g), ...of(/\bnpm (start|test)\b/g)];
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter(({ found: [name] }) => !Object.hasOwn(scripts, name!))).toEqual([]);
  });

  test('options of ours are those of the usage texts, and scenarios and benchmarks are there', () => {
    const ofCommand = typescript('bin/cdk-docker-swarm.ts', '--help');
    const usages = {
      start: ofCommand,
      rehearse: ofCommand,
      simulate: typescript('rehearsal/simulation/main.ts', '--help'),
    };
    const unknown = of(/\b(start|rehearse|simulate)\b[^|;&]*? -- ([^|;&]*)/g).flatMap(({ page, found: [name, args] }) =>
      [...args!.matchAll(/--[a-z-]+/g)].flatMap(([option]) =>
        usages[name as keyof typeof usages].includes(`${option} `) ? [] : [`${page}: ${name} ${option}`],
      ),
    );
    expect(unknown).toEqual([]);
    const scenarios = of(/--scenario ([a-z-]+)/g);
    expect(scenarios.length).toBeGreaterThan(0);
    expect(scenarios.filter(({ found: [name] }) => !Object.hasOwn(SCENARIOS, name!))).toEqual([]);
    const benches = typescript('bench/main.ts', 'none');
    const benched = of(/\bbench -- ([a-z]+)/g);
    expect(benched.length).toBeGreaterThan(0);
    expect(benched.filter(({ found: [name] }) => !new RegExp(`[ ,]${name}\\b`).test(benches))).toEqual([]);
  });
});

test('files and folders that are named exist, but in the changelog and in a list of what is to come', () => {
  const presentIn = (text: string) =>
    text
      .split('\n\n')
      .filter((paragraph) => !/ to come:/.test(paragraph))
      .join('\n\n');
  const path = /^(agent|bench|bin|docs|examples|lambda|lib|protocol|rehearsal|test)\/[\w./-]*$/;
  const missing = pages
    .filter((page) => page !== 'CHANGELOG.md')
    .flatMap((page) =>
      codeSpans(presentIn(read(page)))
        .filter((span) => path.test(span) && !existsSync(join(root, span)))
        .map((span) => `${page}: ${span}`),
    );
  expect(missing).toEqual([]);
});

test('log lines that runbooks quote are in the code, `…` standing for what varies', () => {
  const source = ['agent', 'lambda', 'lib', 'protocol']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
    )
    .filter((file) => file.endsWith('.ts'))
    // Texts that go over several lines.
    .map((file) => read(file).replace(/['"`]\s*\+\s*['"`]/g, ''))
    .join('\n');
  /** `Told to ${kind}.`, say. */
  const templates = [...source.matchAll(/[`'](\w[^`'\n]*?\$\{[^`'\n]*)[`']/g)].map(([, text]) => {
    const fixed = text!.split(/\$\{.*?\}/);
    return new RegExp(`^${fixed.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`);
  });
  const isTold = (span: string) =>
    span.split('…').every((part) => source.includes(part.trim())) || templates.some((template) => template.test(span));
  const quoted = pages
    .filter((page) => page.startsWith('docs/operations/'))
    .flatMap((page) => codeSpans(read(page)).map((span) => ({ page, span })))
    .filter(({ span }) => /^[A-Z…].* .*[.…]$/.test(span));
  expect(quoted.length).toBeGreaterThan(20);
  expect(quoted.filter(({ span }) => !isTold(span))).toEqual([]);
});

test('the page of alarms has each alarm that there is, and no other', () => {
  const cluster = new SwarmCluster(new Stack(new App(), 'Docs'), 'Swarm');
  cluster.addAlarms();
  cluster
    .addLoadBalancer('Public', { listeners: [{ port: 80, targetPort: 8080 }], followPublishedPorts: { from: 8_081 } })
    .addAlarms({ zones: true });
  const alarms = cluster.node
    .findAll()
    .filter((construct) => construct instanceof Alarm)
    .map(({ node }) => node.id.replace(/80$/, ''));
  const told = [...withoutBlocks(read('docs/operations/alarms.md')).matchAll(/^### `(\w+?)(?:PORT)?`$/gm)].map(
    ([, name]) => name,
  );
  expect(told.sort()).toEqual(alarms.sort());
});

test('snippets compile under the strict options of this repository, and synthesise', () => {
  const snippets = pages.flatMap((page) => blocks(read(page), 'ts').map((snippet) => ({ page, snippet })));
  expect(new Set(snippets.map(({ page }) => page)).size).toBeGreaterThan(3);
  // Inside the repository, so that `cdk-docker-swarm` resolves to it as it does for a user.
  const folder = mkdtempSync(join(root, 'dist/pages-'));
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, CDK_OUTDIR: join(folder, 'cdk.out') },
    });
    if (status !== 0) throw new Error(stdout + stderr);
  };
  try {
    const files = snippets.map(({ page, snippet }, n) => {
      const name = `${page.replace(/\W+/g, '-')}-${n}`;
      writeFileSync(join(folder, `${name}.ts`), snippet);
      return name;
    });
    writeFileSync(join(folder, 'all.ts'), files.map((name) => `import './${name}';\n`).join(''));
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions: { types: ['node'] }, include: ['*.ts'] }),
    );
    run(join(root, 'node_modules/typescript/bin/tsc'), '-p', folder);
    run('--import', 'tsx', join(folder, 'all.ts'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);

test('the command for a lost quorum is the one of the output of the stack', () => {
  const command = blocks(read('docs/operations/recover-quorum.md'), 'sh').find((block) =>
    block.includes('lambda invoke'),
  );
  const stack = new Stack(new App(), 'Docs');
  const { recoverQuorum } = new SwarmCluster(stack, 'Swarm');
  const value = JSON.stringify(stack.resolve(recoverQuorum.value));
  for (const part of command!.trim().split(/REGION|FUNCTION/))
    expect(value).toContain(JSON.stringify(part).slice(1, -1));
});

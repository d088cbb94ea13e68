import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readStack, synthesise, type Stack } from '../../../rehearsal/assembly/synth';
import { checkStack, flatten } from '../../../rehearsal/assembly/template-checks';

const folder = mkdtempSync(join(tmpdir(), 'template-checks-'));
afterAll(() => rmSync(folder, { recursive: true }));
const HASH = 'a'.repeat(64);

function stack(userData: unknown, over: Partial<Stack> = {}): Stack {
  writeFileSync(join(folder, 'index.js'), '');
  return {
    name: 'S',
    assembly: folder,
    templateBytes: 1_000,
    assets: { [HASH]: folder },
    template: {
      Resources: {
        Template: {
          Type: 'AWS::EC2::LaunchTemplate',
          Properties: { LaunchTemplateData: { UserData: { 'Fn::Base64': userData } } },
        },
        Fn: { Type: 'AWS::Lambda::Function', Properties: { Handler: 'index.handler', Code: { S3Key: `${HASH}.zip` } } },
      },
    },
    ...over,
  };
}

test('a text is read through its intrinsic functions', () => {
  const text = flatten({
    'Fn::Join': [
      '',
      ['a', { Ref: 'Table' }, { 'Fn::Sub': '-${AWS::Region}-${!Kept}' }, { 'Fn::GetAtt': ['Role', 'RoleId'] }],
    ],
  });
  expect(text).toMatch(/^aTable-+-AWS--Region-+-\$\{!Kept\}Role-RoleId-+$/);
  expect(() => flatten({ 'Fn::Strange': 1 })).toThrow('The function Fn::Strange in a text is not known.');
});

test('a template whose parts AWS would take has no finding', async () => {
  expect(
    (await checkStack(stack({ 'Fn::Join': ['', ['#!/bin/bash\necho ', { Ref: 'Table' }, '\n']] }))).failed,
  ).toEqual([]);
});

test('user data that bash cannot read, or that is too long, is found', async () => {
  expect((await checkStack(stack('#!/bin/bash\nif true; then\n'))).failed).toEqual([
    expect.stringMatching(/^User data of Template has a syntax error: .*syntax error/s),
  ]);
  expect((await checkStack(stack(`#!/bin/bash\n# ${'x'.repeat(17_000)}\n`))).failed).toEqual([
    'User data of Template, bytes: 17015, but AWS takes at most 16384.',
  ]);
});

test('a function without its bundle, and a template that is too large, are found', async () => {
  expect((await checkStack(stack('#!/bin/bash\n', { assets: {} }))).failed).toEqual([
    expect.stringContaining('Function Fn: its bundle'),
  ]);
  expect((await checkStack(stack('#!/bin/bash\n', { templateBytes: 1_000_001 }))).failed).toEqual([
    'Template, bytes: 1000001, but AWS takes at most 1000000.',
  ]);
});

test('an app is run as cdk.json says, with the context over its own', async () => {
  const app = mkdtempSync(join(folder, 'app-'));
  writeFileSync(
    join(app, 'cdk.json'),
    JSON.stringify({
      app: 'mkdir -p "$CDK_OUTDIR" && printf %s "$CDK_CONTEXT_JSON" > "$CDK_OUTDIR/context"',
      context: { managers: 3, kept: 1 },
    }),
  );
  writeFileSync(join(app, 'cdk.context.json'), JSON.stringify({ saved: true }));
  const out = join(app, 'out');
  await synthesise(app, out, { managers: 5 }, [], () => undefined);
  expect(JSON.parse(readFileSync(join(out, 'context'), 'utf8'))).toEqual({ managers: 5, kept: 1, saved: true });
});

test('an app that fails, a folder without an app, and an app with several stacks are explained', async () => {
  const app = mkdtempSync(join(folder, 'app-'));
  await expect(synthesise(app, join(app, 'out'), {}, [], () => undefined)).rejects.toThrow(
    `There is no cdk.json in ${app}`,
  );
  writeFileSync(join(app, 'cdk.json'), '{}');
  await expect(synthesise(app, join(app, 'out'), {}, [], () => undefined)).rejects.toThrow('has no "app"');
  writeFileSync(join(app, 'cdk.json'), JSON.stringify({ app: 'echo managers must be odd >&2; exit 4' }));
  await expect(synthesise(app, join(app, 'out'), {}, [], () => undefined)).rejects.toThrow(
    /ended with 4.*managers must be odd/s,
  );
  const of = (names: string[]) =>
    JSON.stringify({
      artifacts: Object.fromEntries(
        names.map((name) => [name, { type: 'aws:cloudformation:stack', properties: { templateFile: 't.json' } }]),
      ),
    });
  writeFileSync(join(app, 'manifest.json'), of(['A', 'B']));
  expect(() => readStack(app)).toThrow('this one has: A, B');
});

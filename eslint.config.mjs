import { importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Who may import whom, as ARCHITECTURE.md draws it: only downward. */
const allowed = {
  protocol: [],
  'lib/core': ['protocol'],
  lib: ['protocol'],
  agent: ['protocol'],
  lambda: ['protocol'],
  rehearsal: ['agent', 'lambda', 'lib/core', 'protocol'],
  bin: ['lib', 'protocol', 'rehearsal'],
};
const zones = Object.entries(allowed).map(([target, from]) => ({
  target: `./${target}`,
  from: './',
  except: [target, 'node_modules', ...from].map((folder) => `./${folder}`),
  message: `${target}/ may import from ${from.join(', ') || 'nowhere else'}: see "Who imports whom" in ARCHITECTURE.md.`,
}));

const clock = 'Take a Clock (protocol/clock.ts): everything must run in virtual time.';
const timers = ['setTimeout', 'setInterval', 'setImmediate'];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'cdk.out/', 'coverage/', '**/cdk.out/'] },
  ...tseslint.configs.recommended,
  {
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver': { node: { extensions: ['.ts', '.js', '.json'] } } },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones }],
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      eqeqeq: 'error',
      'no-restricted-globals': ['error', ...['Date', ...timers].map((name) => ({ name, message: clock }))],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: clock },
        { object: 'performance', property: 'now', message: clock },
        { object: 'process', property: 'hrtime', message: clock },
        { object: 'crypto', property: 'randomUUID', message: clock },
      ],
      'no-restricted-imports': [
        'error',
        {
          paths: [
            { name: 'node:crypto', importNames: ['randomUUID', 'randomBytes', 'randomInt'], message: clock },
            { name: 'node:timers', message: clock },
            { name: 'node:timers/promises', message: clock },
          ],
        },
      ],
    },
  },
  { files: ['lib/core/**'], rules: { 'no-restricted-imports': ['error', { patterns: [{ group: ['aws-cdk-lib*', 'constructs', 'cdktf*'], message: 'lib/core is shared by both flavours and sees no framework.' }] }] } },
  { files: ['protocol/clock.ts'], rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off', 'no-restricted-imports': 'off' } },
  { files: ['rehearsal/simulation/virtual-clock.ts'], rules: { 'no-restricted-imports': 'off' } },
  { files: ['**/*.js', '**/*.mjs'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
);

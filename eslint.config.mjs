import tseslint from 'typescript-eslint';

const clock = 'Take a Clock (protocol/clock.ts): everything must run in virtual time.';
const timers = ['setTimeout', 'setInterval', 'setImmediate'];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'cdk.out/', 'coverage/', '**/cdk.out/'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      eqeqeq: 'error',
      // What Prettier cannot break: scripts in templates, addresses, patterns.
      'max-len': ['error', { code: 120, ignoreUrls: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }],
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
  {
    files: ['protocol/clock.ts'],
    rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off', 'no-restricted-imports': 'off' },
  },
  { files: ['rehearsal/simulation/virtual-clock.ts'], rules: { 'no-restricted-imports': 'off' } },
  { files: ['**/*.js', '**/*.mjs'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
);

/**
 * Who may import whom: only downward, and never in a circle, neither of files nor of folders. ARCHITECTURE.md draws the
 * same. Run by `npm run lint`.
 */

/** What each folder may import from besides itself and packages. */
const ALLOWED = {
  protocol: [],
  'lib/core': ['protocol'],
  lib: ['protocol'],
  agent: ['protocol'],
  lambda: ['protocol'],
  rehearsal: ['agent', 'lambda', 'lib/core', 'protocol'],
  bin: ['lib', 'protocol', 'rehearsal'],
};

const layers = Object.entries(ALLOWED).map(([folder, below]) => ({
  name: `${folder.replace('/', '-')}-imports-downward`,
  comment: `${folder}/ may import from ${below.join(', ') || 'nowhere else'}. See "Who imports whom" in ARCHITECTURE.md.`,
  severity: 'error',
  from: { path: `^${folder}/` },
  to: {
    path: '^(protocol|lib|agent|lambda|rehearsal|bin|bench|test|examples)/',
    pathNot: [folder, ...below].map((name) => `^${name}/`),
  },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...layers,
    { name: 'no-circle-of-files', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-circle-of-folders',
      scope: 'folder',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'framework-free-core',
      comment: 'lib/core is shared by both flavours, so it sees no framework.',
      severity: 'error',
      from: { path: '^(lib/core|protocol)/' },
      to: { path: '(^|/)node_modules/(aws-cdk-lib|constructs|cdktf|@cdktf)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    // Its own name, which is a package's, too, leads it to itself.
    exclude: { path: '^esbuild\\.mjs$' },
  },
};

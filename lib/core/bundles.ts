/**
 * Where the built bundles lie: in `dist/` of this package, whether this file runs from its source or from
 * `dist/lib/core`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FunctionName } from './defaults';

/** @throws Error when the bundles were not built. */
export function agentBundle(): string {
  return join(distFolder(), 'agent', 'agent.cjs');
}

/** The folder with a function's `index.js`. @throws Error when the bundles were not built. */
export function functionBundle(name: FunctionName): string {
  return join(distFolder(), 'lambda', name);
}

function distFolder(): string {
  const above = join(__dirname, '..', '..');
  const folder = [join(above, 'dist'), above].find((candidate) => existsSync(join(candidate, 'agent', 'agent.cjs')));
  if (folder === undefined) {
    throw new Error(
      `The agent's bundle agent/agent.cjs is neither in ${join(above, 'dist')} nor in ${above}. The npm ` +
        'package carries it; in a clone, make it with "npm run build".',
    );
  }
  return folder;
}

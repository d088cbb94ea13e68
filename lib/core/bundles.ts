/**
 * Finds the built bundles in `dist/` of this package, whether this file runs from its source or from `dist/lib/core`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FunctionName } from './defaults';

/** Path of the agent's bundle. @throws Error when the bundles are not built */
export function agentBundle(): string {
  return join(distFolder(), 'agent', 'agent.cjs');
}

/** Folder with a function's `index.js`. @throws Error when the bundles are not built */
export function functionBundle(name: FunctionName): string {
  return join(distFolder(), 'lambda', name);
}

function distFolder(): string {
  const root = join(__dirname, '..', '..');
  const folder = [join(root, 'dist'), root].find((candidate) => existsSync(join(candidate, 'agent', 'agent.cjs')));
  if (folder === undefined) {
    throw new Error(
      `The agent's bundle agent/agent.cjs is neither in ${join(root, 'dist')} nor in ${root}. The npm package ` +
        'includes it. In a clone, build it with "npm run build".',
    );
  }
  return folder;
}

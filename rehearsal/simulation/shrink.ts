/**
 * Shrinks a failing run as long as it still fails: fewer kinds of fault, fewer of each, a shorter time, a smaller
 * cluster.
 */
import { FAULT_KINDS, type FaultKind } from './faults';
import type { Setup } from './setup';
import type { Act } from './faults';
import { faultsOf, type SimulationResult } from './simulation';

export interface Run {
  seed: number;
  act: Act;
  setup: Setup;
  faults: FaultKind[];
  limits: Partial<Record<FaultKind, number>>;
  faultsEndMs: number;
}

export function runOf(seed: number, act: Act, setup: Setup): Run {
  const { kinds, endMs } = faultsOf(seed, act);
  return { seed, act, setup, faults: kinds, limits: {}, faultsEndMs: endMs };
}

export const failed = ({ breaches, unfinished }: SimulationResult) => breaches.length > 0 || unfinished.length > 0;

/** @param attempt runs it */
export async function shrink(
  run: Run,
  attempt: (run: Run) => Promise<SimulationResult>,
): Promise<{ run: Run; result: SimulationResult }> {
  let best = { run, result: await attempt(run) };
  const better = async (smaller: Run): Promise<boolean> => {
    const result = await attempt(smaller);
    if (failed(result)) best = { run: smaller, result };
    return failed(result);
  };
  for (const kind of FAULT_KINDS) {
    if (best.run.faults.includes(kind))
      await better({ ...best.run, faults: best.run.faults.filter((other) => other !== kind) });
  }
  for (const workers of [0, 1])
    if (workers < best.run.setup.workers && (await better({ ...best.run, setup: { ...best.run.setup, workers } })))
      break;
  for (const managers of [1, 3])
    if (managers < best.run.setup.managers && (await better({ ...best.run, setup: { ...best.run.setup, managers } })))
      break;
  for (const kind of best.run.faults) {
    // Start from the number injected: halve it while the run fails, then reduce it by one.
    for (let most = best.result.faults[kind] ?? 0, next = Math.floor(most / 2); most > 0 && next < most;) {
      if (await better({ ...best.run, limits: { ...best.run.limits, [kind]: next } })) {
        most = next;
        next = Math.floor(most / 2);
      } else if (next < most - 1) next = Math.max(next + 1, most - 1);
      else break;
    }
  }
  for (let end = best.run.faultsEndMs / 2; end >= 5_000; end /= 2)
    if (!(await better({ ...best.run, faultsEndMs: Math.round(end) }))) break;
  return best;
}

/** The command that replays the run. */
export function replayCommand({ seed, act, setup, faults, limits, faultsEndMs }: Run): string {
  const limited = Object.entries(limits).map(([kind, most]) => `${kind}=${most}`);
  return [
    'npm run simulate -- --seed ' +
      `${seed}${act === 'healing' ? ' --healing' : ''}${setup.balanced ? ' --balanced' : ''} --managers ` +
      `${setup.managers} --workers ${setup.workers}${setup.chained ? ' --chained' : ''}`,
    `--faults ${faults.join(',') || 'none'}`,
    ...(limited.length > 0 ? [`--limits ${limited.join(',')}`] : []),
    `--faults-end ${faultsEndMs} --trace`,
  ].join(' ');
}

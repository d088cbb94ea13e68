/**
 * What can happen to a cluster, on real engines: the cluster has converged afterwards, and leaves nothing when it is
 * deleted. What came when is printed. Six of the scenarios, beside each other; `npm run rehearse -- --all` runs all of
 * them.
 */
import { SCENARIOS } from '../../rehearsal/scenarios/scenarios';
import { formSwarm, machineState, testBesideOthers } from './support';

/** Beside the others. */
const DEADLINE_MS = 8 * 60_000;

const REHEARSED = [
  'worker-terminated',
  'worker-killed',
  'leader-killed',
  'all-managers-killed',
  'spot-notice',
  'engine-hung',
];

for (const name of REHEARSED) {
  const { title, managers, workers, spot } = SCENARIOS[name]!;
  testBesideOthers(
    `${name}: ${title}`,
    async () => {
      const before = machineState();
      const { moments, deleted } = await formSwarm(managers, workers, [], DEADLINE_MS, name, spot);
      process.stdout.write(
        `  ${name}: ${moments.map(({ what, ms }) => `${what} after ${(ms / 1000).toFixed(1)} s`).join(', ')}\n`,
      );
      expect(moments.at(-1)?.what).toBe('the cluster has converged');
      expect(deleted.kept).toEqual([]);
      expect(machineState()).toEqual(before);
    },
    DEADLINE_MS + 60_000,
  );
}

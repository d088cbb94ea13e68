/** Clusters behind a load balancer, from seeds: while they form, and once they have formed. */
import type { Act } from '../../rehearsal/simulation/faults';
import { setupOf } from '../../rehearsal/simulation/setup';
import { runOf } from '../../rehearsal/simulation/shrink';
import { simulate } from '../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES } from '../rehearsal/simulation/support';

jest.setTimeout(300_000);

test.each<[Act, number]>([
  ['forming', 8],
  ['healing', 12],
])('%s while things go wrong, from seeds: %i of them', async (act, count) => {
  for (let seed = 1; seed <= count; seed++) {
    const setup = { ...setupOf(seed, act), balanced: true };
    const run = runOf(seed, act, setup);
    const { breaches, unfinished } = await simulate({
      ...run,
      assembly: await assemblies.of(setup),
      next: await assemblies.next(seed, setup, run.faults),
      bundles: BUNDLES,
    });
    expect({ seed, breaches, unfinished }).toEqual({ seed, breaches: [], unfinished: [] });
  }
});

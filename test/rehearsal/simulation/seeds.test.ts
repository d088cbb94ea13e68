/** Seeds that once failed, each with what it found. `npm run simulate -- --seed N` runs one. */
import { setupOf } from '../../../rehearsal/simulation/setup';
import { runOf } from '../../../rehearsal/simulation/shrink';
import { simulate } from '../../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES } from './support';

jest.setTimeout(60_000);

it.each([
  [274, 'an instance whose user data failed in an outage was waited for without end, since no quorum reported'],
  [485, 'an engine that made the swarm was taken for a join that nobody asked for, and the swarm was left'],
  [511, 'a successor that never had its volume was taken for the raft member whose address it has, by the invariants themselves'],
])('seed %i: %s', async (seed) => {
  const setup = setupOf(seed);
  const { faults, faultsEndMs } = runOf(seed, setup);
  const { breaches, unfinished } = await simulate({ seed, assembly: await assemblies.of(setup), bundles: BUNDLES, faults, faultsEndMs });
  expect({ breaches, unfinished }).toEqual({ breaches: [], unfinished: [] });
});

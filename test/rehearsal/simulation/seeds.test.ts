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
  [3598, 'a node that nobody ever was kept a seat waiting without end once a later leader listed it as down'],
  [5036, 'a simulated engine was taken into raft twice: by the request that it made before it was killed, and by the next one'],
  [5789, 'a hook of a group that was deleted while its completion was under way was taken for a missing permission, by the invariants'],
  [11010, 'a member of raft whose engine could not reach the others when it started was taken for a join that nobody asked for, and left: its member stayed behind'],
  [14739, 'an instance without a network while it booted gave up at once, and was replaced only ten minutes after its launch'],
  [6426, 'a report with join tokens, on its way when its agent died, came after the next agent had erased them, and stayed'],
  [1746, 'one plan told a manager to join and gave it up: it had joined raft before it was abandoned, and the quorum went with it'],
  [6096, 'so was the last request of an instance that was terminated while it was under way'],
])('seed %i: %s', async (seed) => {
  const setup = setupOf(seed);
  const { faults, faultsEndMs } = runOf(seed, setup);
  const { breaches, unfinished } = await simulate({ seed, assembly: await assemblies.of(setup), bundles: BUNDLES, faults, faultsEndMs });
  expect({ breaches, unfinished }).toEqual({ breaches: [], unfinished: [] });
});

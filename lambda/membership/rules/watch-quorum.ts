/**
 * Rule `watch-quorum`: tells when one manager less would be no quorum any more, and when that is over.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to tell.
 */
import { isWorkingManager, quorumOf } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import type { Facts } from '../facts';

export function watchQuorum(
  { membership, announcements, observed: { leader, seats } }: Draft,
  { quorumVisible, members }: Facts,
): void {
  if (!leader) return;
  const working = members.filter(isWorkingManager).length;
  const quorum = quorumOf(members.length);
  // A single manager is its own quorum: there is nothing to be at risk while it works.
  const atRisk = !quorumVisible || (seats.length > 1 && working - 1 < quorum);
  const before = membership.quorumAtRisk;
  // While the first managers join there is no quorum yet that could be at risk.
  if (atRisk === before || (atRisk && before === undefined)) return;
  membership.quorumAtRisk = atRisk;
  if (before === undefined) return;
  const reason = quorumVisible
    ? `${working} of ${members.length} managers work, and the quorum is ${quorum}.`
    : 'No leader of the swarm reports: it may have lost its quorum.';
  announcements.push({ event: atRisk ? 'quorumAtRisk' : 'quorumSafe', reason });
}

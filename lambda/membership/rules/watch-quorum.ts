/**
 * Rule `watch-quorum`: announces when the loss of one more manager would lose the quorum, and when that is over.
 *
 * Pure: reads the observation, adds to the draft what to write and what to announce.
 */
import { isWorkingManager, quorumOf } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import type { Facts } from '../facts';

export function watchQuorum(
  { membership, announcements, observed: { seats } }: Draft,
  { quorumVisible, members }: Facts,
): void {
  const working = members.filter(isWorkingManager).length;
  const quorum = quorumOf(members.length);
  // A single manager is its own quorum: while it works, nothing is at risk.
  const atRisk = !quorumVisible || (seats.length > 1 && working - 1 < quorum);
  const before = membership.quorumAtRisk;
  // Until the first managers have joined, there is no quorum yet that could be at risk.
  if (atRisk === before || (atRisk && before === undefined)) return;
  membership.quorumAtRisk = atRisk;
  if (before === undefined) return;
  const reason = quorumVisible
    ? `${working} of ${members.length} managers work; the quorum is ${quorum}.`
    : 'No leader reports: the swarm may have lost its quorum.';
  announcements.push({ event: atRisk ? 'quorumAtRisk' : 'quorumSafe', reason });
}

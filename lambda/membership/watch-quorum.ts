/**
 * Rule `watch-quorum`: tells when one manager less would be no quorum any more, and when that is over.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to tell.
 */
import { isWorkingManager, quorumOf } from '../../protocol/swarm';
import type { Draft } from './draft';
import type { Facts } from './facts';

export function watchQuorum({ membership, announcements, observed: { leader } }: Draft, { quorumVisible, members }: Facts): void {
  if (!leader) return;
  const working = members.filter(isWorkingManager).length;
  const quorum = quorumOf(members.length);
  // A single manager is its own quorum: there is nothing to be at risk while it works.
  const atRisk = !quorumVisible || (working < members.length && working - 1 < quorum);
  if (atRisk === membership.quorumAtRisk) return;
  membership.quorumAtRisk = atRisk;
  const reason = quorumVisible ? `${working} of ${members.length} managers work, and the quorum is ${quorum}.` : 'No leader of the swarm reports: it may have lost its quorum.';
  announcements.push({ event: atRisk ? 'quorumAtRisk' : 'quorumSafe', reason });
}

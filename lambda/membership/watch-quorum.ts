/**
 * Rule `watch-quorum`: tells when one manager less would be no quorum any more, and when that is over.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to tell.
 */
import { isWorkingManager, quorumOf } from '../../protocol/swarm';
import type { Draft } from './draft';
import type { Facts } from './facts';

export function watchQuorum(draft: Draft, facts: Facts): void {
  const { membership, announcements, observed } = draft;
  if (!observed.leader) return;
  const risk = riskOf(facts);
  if ((risk !== undefined) === membership.quorumAtRisk) return;
  membership.quorumAtRisk = risk !== undefined;
  announcements.push(risk === undefined ? { event: 'quorumSafe', reason: `All ${facts.members.length} managers work, or as many as may be missed.` } : { event: 'quorumAtRisk', reason: risk });
}

/** A single manager is its own quorum: there is nothing to be at risk while it works. */
function riskOf({ quorumVisible, members }: Facts): string | undefined {
  if (!quorumVisible) return 'No leader of the swarm reports: it may have lost its quorum.';
  const working = members.filter(isWorkingManager).length;
  const atRisk = working < members.length && working - 1 < quorumOf(members.length);
  return atRisk ? `${working} of ${members.length} managers work, and ${quorumOf(members.length)} are the quorum.` : undefined;
}

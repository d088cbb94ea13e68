/**
 * Rule `replace-hung`: replaces an instance that is in service for Auto Scaling but down in the swarm.
 *
 * - The agent acts first: it restarts an engine that hangs. Only an instance that stays down for some time is marked
 *   unhealthy. Its group then replaces it, through its terminate hook as usual.
 * - Down means: the leader lists its node as down or unreachable, or it has no node at all, for example because
 *   somebody removed it. A node that was drained, paused or demoted by hand is up, and is left alone.
 * - While no quorum reports, nothing is known, and nothing is replaced. The same while too many nodes of a role are
 *   down at once (`breaker.ts`). With at most seven managers, the breaker allows one manager at a time; and none while
 *   another seat's change is in flight.
 *
 * Pure: reads the observation, adds to the draft what to write and what to do.
 */
import type { Draft } from '../draft';
import { isTripped } from '../breaker';
import type { Facts } from '../facts';

/**
 * How long an instance must be down. Longer than an agent takes to restart an engine that hangs, and than it takes to
 * detect a deaf manager and let it join afresh.
 */
export const HUNG_MS = 5 * 60_000;

export function replaceHung(draft: Draft, facts: Facts): void {
  const { membership, observed } = draft;
  const before = membership.hung;
  membership.hung = {};
  if (!facts.quorumVisible) return;
  for (const role of ['manager', 'worker'] as const) {
    const serving = observed.instances.filter(
      ({ lifecycleState, group }) => lifecycleState === 'InService' && group.role === role,
    );
    const down = serving.filter(({ instanceId }) => !facts.isUp(instanceId));
    if (isTripped(down.length, serving.length)) {
      draft.alarms.push({
        instanceId: down[0]!.instanceId,
        reason:
          `${down.length} of ${serving.length} ${role}s are down. With so many at once, the instances are not the ` +
          'cause: none is replaced.',
      });
      continue;
    }
    for (const { instanceId, group } of down) {
      const since = (membership.hung[instanceId] = before[instanceId] ?? observed.now);
      // The successor continues a change of the same seat.
      const { managerChange } = membership;
      if (observed.now - since < HUNG_MS || (role === 'manager' && managerChange && managerChange.seat !== group.seat))
        continue;
      const reason = `It is in service, but has been down in the swarm for more than ${HUNG_MS / 60_000} minutes.`;
      draft.alarms.push({ instanceId, reason });
      draft.effects.push({ kind: 'replace', instanceId, reason });
    }
  }
}

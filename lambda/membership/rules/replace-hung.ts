/**
 * Rule `replace-hung`: an instance that is in service for Auto Scaling, and down for the swarm, is replaced.
 *
 * - Its agent comes first: it restarts an engine that hangs. Only an instance that stays down for some time is called
 *   unhealthy, and its group replaces it: by way of its terminate hook, as any other.
 * - Down is whose node the leader lists as down or unreachable, and who is no node at all: removed by hand, for
 *   instance. A node that is drained, paused or demoted by hand is up, and is left alone.
 * - While no quorum reports nothing is known. While too many of a role are down at once, none is replaced
 *   (`breaker.ts`). Of managers, with seven at most, it is therefore one at a time; and not while another seat's change
 *   is in flight.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import type { Draft } from '../draft';
import { isTripped } from './breaker';
import type { Facts } from '../facts';

/**
 * How long an instance must be down. Longer than an agent takes to restart an engine that hangs, and than it takes to
 * find out that a manager is deaf and to take it in afresh.
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
          `${down.length} of ${serving.length} ${role}s are down. With so many at once it is not the ` +
          'instances: none is replaced.',
      });
      continue;
    }
    for (const { instanceId, group } of down) {
      const since = (membership.hung[instanceId] = before[instanceId] ?? observed.now);
      // What was begun with this seat, its successor goes on with.
      const { managerChange } = membership;
      if (observed.now - since < HUNG_MS || (role === 'manager' && managerChange && managerChange.seat !== group.seat))
        continue;
      const reason = `It is in service, but has been down for the swarm for more than ${HUNG_MS / 60_000} minutes.`;
      draft.alarms.push({ instanceId, reason });
      draft.effects.push({ kind: 'replace', instanceId, reason });
    }
  }
}

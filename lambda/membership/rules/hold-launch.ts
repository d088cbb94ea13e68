/**
 * Rule `hold-launch`: a seat's group launches nobody while the instance that leaves still has the seat's network
 * interface.
 *
 * Auto Scaling does not wait for it: each launch fails then ("Interface: [eni-...] in use"), the next comes later every
 * time, and after a day of it none. So its process `Launch` is suspended while the old instance leaves, and resumed,
 * which launches at once, as soon as the interface is free. What was suspended by others stays so.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import { LEADER_STALE_MS } from '../../../protocol/cluster';
import type { Draft } from '../draft';
import type { Group } from '../../shared/groups';
import type { Observation } from '../observation';

/**
 * So long no seat is without an instance on purpose: somebody is told. A manager may take its time to leave while the
 * others are no quorum.
 */
export const HELD_MS = 30 * 60_000;

export function holdLaunch({ observed, membership, effects, alarms }: Draft): void {
  const { now } = observed;
  for (const group of observed.groups) {
    // Where a seat is configured no more, its group goes too.
    if (
      !observed.seats.some(({ seat }) => seat === group.seat) ||
      (group.stack && observed.stacksLeaving.has(group.stack.stackId))
    )
      continue;
    const { name } = group;
    const since = membership.held[name];
    const holder = holderOf(group, observed);
    const asked = { instanceId: holder.leaving ?? 'none', group: name };
    // Whoever suspended it before us has a reason of their own.
    if (holder.leaving !== undefined && !holder.free && (since !== undefined || !group.launchSuspended)) {
      // From the last time that it was asked for: an answer from before that still says that nothing is suspended.
      membership.held[name] = group.launchSuspended ? (since ?? now) : now;
      if (!group.launchSuspended)
        effects.push({
          kind: 'suspend-launch',
          ...asked,
          reason: `${holder.leaving}, which leaves, still has the network interface of seat ${group.seat}.`,
        });
    } else if (since !== undefined && group.launchSuspended && holder.free) {
      effects.push({ kind: 'resume-launch', ...asked, reason: `The network interface of seat ${group.seat} is free.` });
      // What was suspended a moment ago may not be seen yet.
    } else if (since !== undefined && !group.launchSuspended && now - since >= LEADER_STALE_MS)
      delete membership.held[name];
    if (now - (membership.held[name] ?? now) >= HELD_MS)
      alarms.push({
        instanceId: asked.instanceId,
        reason:
          `Seat ${group.seat} has had no working instance for ${HELD_MS / 60_000} minutes, and launches ` +
          'none: its network interface is not free.',
      });
  }
}

/** Who of the seat's instances leaves, and whether its interface may be taken, or is taken already, by the next one. */
function holderOf(
  group: Group,
  { instances, interfaces, seats }: Observation,
): { leaving: string | undefined; free: boolean } {
  const members = instances.filter((instance) => instance.group.name === group.name);
  const leaving = members.find(({ lifecycleState }) => lifecycleState.startsWith('Terminating'))?.instanceId;
  const { networkInterfaceId } = seats.find(({ seat }) => seat === group.seat) ?? {};
  const found = interfaces.find((one) => one.networkInterfaceId === networkInterfaceId);
  return {
    leaving,
    free: found?.status === 'available' || members.some(({ lifecycleState }) => !lifecycleState.startsWith('Terminat')),
  };
}

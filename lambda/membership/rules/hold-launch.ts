/**
 * Rule `hold-launch`: suspends a seat's launches while the leaving instance still has the seat's network interface.
 *
 * Auto Scaling does not wait for the interface: each launch fails ("Interface: [eni-...] in use"), attempts become
 * rarer, and after a day they stop. So the group's `Launch` process is suspended while the old instance leaves, and
 * resumed as soon as the interface is free, which launches at once. A suspension by anybody else is left alone.
 *
 * Pure: reads the observation, adds to the draft what to write and what to do.
 */
import { LEADER_STALE_MS } from '../../../protocol/cluster';
import type { Draft } from '../draft';
import type { Group } from '../../shared/groups';
import type { Observation } from '../observation';

/**
 * A seat without an instance for this long raises an alarm. A manager may take long to leave while the others are no
 * quorum.
 */
export const HELD_MS = 30 * 60_000;

export function holdLaunch({ observed, membership, effects, alarms }: Draft): void {
  const { now } = observed;
  for (const group of observed.groups) {
    // The group of a seat that is no longer configured is deleted, too.
    if (
      !observed.seats.some(({ seat }) => seat === group.seat) ||
      (group.stack && observed.stacksLeaving.has(group.stack.stackId))
    )
      continue;
    const { name } = group;
    const since = membership.held[name];
    const holder = holderOf(group, observed);
    const asked = { instanceId: holder.leaving ?? 'none', group: name };
    // If somebody else suspended it first, they have their own reason.
    if (holder.leaving !== undefined && !holder.free && !group.launchSuspended) {
      // Counts from the last request: an older answer may still show the process as not suspended.
      membership.held[name] = now;
      effects.push({
        kind: 'suspend-launch',
        ...asked,
        reason: `${holder.leaving} is leaving and still has the network interface of seat ${group.seat}.`,
      });
    } else if (since !== undefined && group.launchSuspended && holder.free) {
      effects.push({ kind: 'resume-launch', ...asked, reason: `The network interface of seat ${group.seat} is free.` });
      // A suspension requested a moment ago may not be visible yet.
    } else if (since !== undefined && !group.launchSuspended && now - since >= LEADER_STALE_MS)
      delete membership.held[name];
    if (now - (membership.held[name] ?? now) >= HELD_MS)
      alarms.push({
        instanceId: asked.instanceId,
        reason:
          `Seat ${group.seat} has had no working instance for ${HELD_MS / 60_000} minutes and cannot launch ` +
          'one: its network interface is still in use.',
      });
  }
}

/** The seat's leaving instance, and whether the successor may take the interface, or has taken it already. */
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

/** Which effects are announced as events. */
import type { SwarmEvent } from '../../protocol/events';
import type { Announcement } from '../shared/announce';
import type { Effect } from './draft';

/** The event for an effect that was carried out. Effects may be repeated, and so may their events. */
export function announcementOf(effect: Effect): Announcement | undefined {
  const event = eventOf(effect);
  return event && { event, instanceId: effect.instanceId, reason: effect.reason };
}

function eventOf(effect: Effect): SwarmEvent | undefined {
  switch (effect.kind) {
    case 'admit':
      return 'nodeReady';
    case 'let-go':
      return effect.event;
    case 'replace':
    case 'terminate':
      return 'nodeReplaced';
    default:
      return undefined;
  }
}

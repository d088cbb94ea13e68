/**
 * Sends events about nodes and the quorum to EventBridge. Who receives them, and what happens then, is up to the user's
 * rules: nothing here depends on them.
 */
import { PutEventsCommand, type EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { EVENT_SOURCE, swarmEvents, type SwarmEvent, type SwarmEventDetail } from '../../protocol/events';
import { describeError, type Log } from '../../protocol/log';

export type Announcement = Omit<SwarmEventDetail, 'cluster'> & { event: SwarmEvent };

/** Entries in one request. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html */
const MAX_ENTRIES = 10;

export interface Announcer {
  log: Log;
  eventBridge: EventBridgeClient;
  cluster: string;
}

/** Tries once and never throws. Events that cannot be sent are logged. */
export async function announce(
  { log, eventBridge, cluster }: Announcer,
  announcements: readonly Announcement[],
): Promise<void> {
  for (let n = 0; n < announcements.length; n += MAX_ENTRIES) {
    const batch = announcements.slice(n, n + MAX_ENTRIES);
    const Entries = batch.map(({ event, ...about }) => ({
      Source: EVENT_SOURCE,
      DetailType: swarmEvents[event],
      Detail: JSON.stringify({ cluster, ...about } satisfies SwarmEventDetail),
    }));
    try {
      const { FailedEntryCount = 0 } = await eventBridge.send(new PutEventsCommand({ Entries }));
      if (FailedEntryCount > 0)
        log('warn', 'EventBridge rejected some events.', { failed: FailedEntryCount, of: batch.length });
    } catch (error) {
      log('warn', 'Events could not be sent to EventBridge.', {
        events: announcements.length - n,
        error: describeError(error),
      });
      return;
    }
  }
}

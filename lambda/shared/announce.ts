/**
 * Tells EventBridge what has happened to nodes and to the quorum. Who is told of it, and what then happens, is for
 * rules: nothing here depends on it.
 */
import { PutEventsCommand, type EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { EVENT_SOURCE, swarmEvents, type SwarmEvent, type SwarmEventDetail } from '../../protocol/events';
import { describeError, type Log } from '../../protocol/log';

export type Announcement = Omit<SwarmEventDetail, 'cluster'> & { event: SwarmEvent };

/** Entries of one request. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html */
const MAX_ENTRIES = 10;

export interface Announcer {
  log: Log;
  eventBridge: EventBridgeClient;
  cluster: string;
}

/** Once, and never in the way of anything else: what cannot be told at once is written down in the log. */
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
        log('warn', 'EventBridge did not take all events.', { failed: FailedEntryCount, of: batch.length });
    } catch (error) {
      log('warn', 'EventBridge took no events.', { events: announcements.length - n, error: describeError(error) });
      return;
    }
  }
}

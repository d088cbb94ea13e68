/**
 * Counts the actions of one round: one log line, if there were any. Metric filters
 * (`lib/core/alarms.ts`) turn it into metrics, for the alarms and for users' dashboards.
 */
import { ACTIONS_METRIC, type ActionCounts } from '../../protocol/census';
import { announcementOf } from './announcements';
import type { Effect, Plan } from './draft';
import type { Observation } from './observation';

/**
 * @param done the effects that were carried out
 * @returns undefined when there is nothing to count
 */
export function countActions(
  observed: Observation,
  { membership, commands }: Plan,
  done: readonly Effect[],
): (ActionCounts & { metric: string }) | undefined {
  const events = done.map((effect) => announcementOf(effect)?.event);
  const count = <T>(of: readonly T[], is: (one: T) => boolean) => of.filter(is).length;
  const asked = membership.rotation?.asked?.id;
  const counted: ActionCounts = {
    nodesReady: count(events, (event) => event === 'nodeReady'),
    nodesLeft: count(events, (event) => event === 'nodeLeft'),
    nodesLost: count(events, (event) => event === 'nodeLost'),
    nodesReplaced: count(events, (event) => event === 'nodeReplaced'),
    hookDeadlines: count(
      done,
      (effect) => effect.kind === 'abandon' || (effect.kind === 'let-go' && effect.late === true),
    ),
    managersRemoved: count(commands, ({ command }) => command?.kind === 'remove' || command?.kind === 'retire'),
    rotations: asked !== undefined && asked !== observed.membership.rotation?.asked?.id ? 1 : 0,
  };
  return Object.values(counted).some((number) => number > 0) ? { metric: ACTIONS_METRIC, ...counted } : undefined;
}

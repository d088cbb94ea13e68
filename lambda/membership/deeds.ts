/**
 * What a look has done, in numbers: one line of the log, where there was anything to do. Metric filters
 * (`lib/observability/swarm-alarms.ts`) make metrics of it, where somebody wants them.
 */
import { DEEDS_METRIC, type Deeds } from '../../protocol/census';
import { announcementOf } from './announcements';
import type { Effect, Plan } from './draft';
import type { Observation } from './observation';

/**
 * @param done what was carried out of the plan's effects
 * @returns undefined when there is nothing to count
 */
export function deeds(
  observed: Observation,
  { membership, commands }: Plan,
  done: readonly Effect[],
): (Deeds & { metric: string }) | undefined {
  const told = done.map((effect) => announcementOf(effect)?.event);
  const count = <T>(of: readonly T[], is: (one: T) => boolean) => of.filter(is).length;
  const asked = membership.rotation?.asked?.id;
  const counted: Deeds = {
    nodesReady: count(told, (event) => event === 'nodeReady'),
    nodesLeft: count(told, (event) => event === 'nodeLeft'),
    nodesLost: count(told, (event) => event === 'nodeLost'),
    nodesReplaced: count(told, (event) => event === 'nodeReplaced'),
    hookDeadlines: count(
      done,
      (effect) => effect.kind === 'abandon' || (effect.kind === 'let-go' && effect.late === true),
    ),
    managersRemoved: count(commands, ({ command }) => command?.kind === 'remove' || command?.kind === 'retire'),
    rotations: asked !== undefined && asked !== observed.membership.rotation?.asked?.id ? 1 : 0,
  };
  return Object.values(counted).some((number) => number > 0) ? { metric: DEEDS_METRIC, ...counted } : undefined;
}

/**
 * How the cluster was seen, in numbers: one line of the log for each time a function was woken. Metric filters
 * (`lib/observability/swarm-alarms.ts`) make metrics of it, where somebody wants them.
 */
import { CENSUS_METRIC, type Census } from '../../protocol/census';
import { isWorkingManager } from '../../protocol/swarm';
import { isLeaving } from './facts';
import type { Observation } from './observation';

export function census({
  now,
  leader,
  nodes,
  seats,
  instances,
  membership,
  tasksPending,
}: Observation): Census & { metric: string } {
  const workers = nodes.filter(({ role, manager }) => role === 'worker' && !manager);
  const managersWorking = nodes.filter(isWorkingManager).length;
  return {
    metric: CENSUS_METRIC,
    seats: seats.length,
    managersWorking,
    managersMissing: Math.max(0, seats.length - managersWorking),
    workersReady: workers.filter(({ state }) => state === 'ready').length,
    nodesDown: nodes.filter(({ state }) => state === 'down').length,
    instancesWaiting: instances.filter(({ lifecycleState }) => lifecycleState === 'Pending:Wait').length,
    instancesLeaving: instances.filter(isLeaving).length,
    launchesHeld: Object.keys(membership.held).length,
    ...(tasksPending !== undefined && { tasksPending }),
    ...(leader && { leaderAgeSeconds: Math.round(Math.max(0, now - leader.updatedAt) / 1000) }),
  };
}

/**
 * The state of the cluster in numbers: one log line per invocation. Metric filters
 * (`lib/core/alarms.ts`) turn it into metrics, for the alarms and for users' dashboards.
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

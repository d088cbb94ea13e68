/**
 * Rule `reap`: removes a worker's node that is down and whose instance is gone. Both witnesses must agree, the swarm
 * and EC2, and the leader's agent checks again before it removes the node. A manager's node stays: the seat's next
 * instance takes it over (see `return-seat.ts`).
 *
 * Pure: reads the observation, adds to the draft what to write.
 */
import type { Draft } from '../draft';
import { lostWorkers } from '../facts';

export function reap(draft: Draft): void {
  const { nodes, instances, gone } = draft.observed;
  for (const { nodeId, instanceId } of lostWorkers(nodes, instances))
    if (gone.has(instanceId)) draft.order({ kind: 'reap', nodeId, instanceId });
}

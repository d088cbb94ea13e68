/**
 * Rule `reap`: a worker's node that is down, and whose instance is no more, is removed. It takes both witnesses, the
 * swarm and EC2; and the leader's agent looks once more before it removes. A manager's node stays: its seat's next
 * instance is that node again (see `return-seat.ts`).
 *
 * Pure: reads what was observed, adds to the plan what to write.
 */
import type { Draft } from '../draft';
import { lostWorkers } from '../facts';

export function reap(draft: Draft): void {
  const { nodes, instances, gone } = draft.observed;
  for (const { nodeId, instanceId } of lostWorkers(nodes, instances))
    if (gone.has(instanceId)) draft.order({ kind: 'reap', nodeId, instanceId });
}

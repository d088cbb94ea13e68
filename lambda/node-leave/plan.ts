/** Which terminate hooks may be completed now. */
import type { Instance } from '../membership/observation';

export interface Completion {
  instanceId: string;
  group: string;
  reason: string;
}

export function plan(instances: Instance[]): Completion[] {
  return instances
    .filter(({ lifecycleState }) => lifecycleState === 'Terminating:Wait')
    .map(({ instanceId, group }) => ({ instanceId, group: group.name, reason: `Auto Scaling terminates this ${group.role}, and its hook holds nothing back.` }));
}

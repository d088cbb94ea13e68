/** Which terminate hooks may be completed now. */
import type { NodeRole } from '../../protocol/body';
import type { Instance } from '../membership/observation';

export interface Completion {
  instanceId: string;
  role: NodeRole;
  group: string;
  reason: string;
}

export function plan(instances: Instance[]): Completion[] {
  return instances
    .filter(({ lifecycleState }) => lifecycleState === 'Terminating:Wait')
    .map(({ instanceId, group: { role, name } }) => ({ instanceId, role, group: name, reason: `Auto Scaling terminates this ${role}, and its hook holds nothing back.` }));
}

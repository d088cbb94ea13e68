/**
 * Rule `hand-back`: a spot instance that EC2 takes back is terminated through its group, as soon as its notice is
 * there. Its terminate hook begins then, and rule `release` drains it in what is left of the two minutes, while the
 * group launches another one already. Without this the group would find out only when the instance is gone.
 *
 * Pure: reads what was observed, adds to the plan what to do.
 */
import type { Draft } from '../draft';

export function handBack({ observed, effects }: Draft): void {
  for (const { instanceId, lifecycleState } of observed.instances) {
    if (lifecycleState === 'InService' && observed.interrupted.has(instanceId))
      effects.push({ kind: 'terminate', instanceId, reason: 'EC2 takes this spot instance back within two minutes.' });
  }
}

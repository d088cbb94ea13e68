/**
 * Rule `hand-back`: terminates a spot instance through its group as soon as EC2 announces that it reclaims it. That
 * starts the terminate hook, so rule `release` drains the node in the rest of the two minutes, and the group launches a
 * replacement at once. Otherwise the group would notice only when the instance is gone.
 *
 * Pure: reads the observation, adds to the draft what to do.
 */
import type { Draft } from '../draft';

export function handBack({ observed, effects }: Draft): void {
  for (const { instanceId, lifecycleState } of observed.instances) {
    if (lifecycleState === 'InService' && observed.interrupted.has(instanceId))
      effects.push({ kind: 'terminate', instanceId, reason: 'EC2 reclaims this spot instance within two minutes.' });
  }
}

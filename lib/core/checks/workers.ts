/** Checks of worker groups: capacities and spot. */
import { checkWholeNumber } from '../whole-number';

export function checkCapacity(min: number | undefined, max: number | undefined): string[] {
  const problems = [
    ...checkWholeNumber('minCapacity', min, { min: 0 }),
    // A rolling update needs a maximum above MinInstancesInService, which is at least 0.
    ...(max === 0
      ? ['maxCapacity (0) must be at least 1, or the group could never have a worker. To have none, omit the group.']
      : checkWholeNumber('maxCapacity', max, { min: 1 })),
  ];
  if (min !== undefined && max !== undefined && min > max)
    problems.push(`minCapacity (${min}) must not exceed maxCapacity (${max}).`);
  return problems;
}

/** Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html */
export function checkSpot(base: number | undefined, percentage: number | undefined): string[] {
  return [
    ...checkWholeNumber('spot.onDemandBase', base, { min: 0 }),
    ...checkWholeNumber('spot.onDemandPercentage', percentage, { min: 0, max: 100 }),
  ];
}

/** Checks of worker groups: capacities and spot. */

export function checkCapacity(min: number | undefined, max: number | undefined): string[] {
  const whole = ([name, value]: [string, number | undefined]) =>
    value === undefined || (Number.isInteger(value) && value >= 0)
      ? []
      : [`${name} is ${value}. Give a whole number, 0 or more.`];
  const problems = [...whole(['minCapacity', min]), ...whole(['maxCapacity', max])];
  // A rolling update needs a maximum above MinInstancesInService, which is at least 0.
  if (max === 0)
    problems.push('maxCapacity is 0, so the group could never have a worker. Give at least 1, or leave the group out.');
  if (min !== undefined && max !== undefined && min > max)
    problems.push(`minCapacity is ${min}, more than maxCapacity, which is ${max}. Give a minimum up to the maximum.`);
  return problems;
}

/** Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html */
export function checkSpot(base: number | undefined, percentage: number | undefined): string[] {
  const problems: string[] = [];
  if (base !== undefined && !(Number.isInteger(base) && base >= 0))
    problems.push(`spot.onDemandBase is ${base}. Give a whole number of instances, 0 or more.`);
  if (percentage !== undefined && !(Number.isInteger(percentage) && percentage >= 0 && percentage <= 100)) {
    problems.push(`spot.onDemandPercentage is ${percentage}. Give a whole number from 0 to 100.`);
  }
  return problems;
}

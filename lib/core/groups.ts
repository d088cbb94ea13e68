/** How worker groups buy and replace their instances: data that both flavours turn into their own resources. */

/** The user's choice. */
export interface Spot {
  readonly onDemandBase?: number;
  readonly onDemandPercentage?: number;
}

/** Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/allocation-strategies.html */
export interface InstancesDistribution {
  readonly onDemandAllocationStrategy: 'prioritized';
  readonly onDemandBaseCapacity?: number;
  readonly onDemandPercentageAboveBaseCapacity: number;
  readonly spotAllocationStrategy?: 'price-capacity-optimized';
}

export function instancesDistribution(spot: Spot | undefined): InstancesDistribution {
  // Several types without spot: the preferred one first, the others when AWS has none of it.
  if (spot === undefined)
    return { onDemandAllocationStrategy: 'prioritized', onDemandPercentageAboveBaseCapacity: 100 };
  return {
    onDemandAllocationStrategy: 'prioritized',
    onDemandBaseCapacity: spot.onDemandBase ?? 0,
    onDemandPercentageAboveBaseCapacity: spot.onDemandPercentage ?? 0,
    spotAllocationStrategy: 'price-capacity-optimized',
  };
}

/** A rolling update replaces a tenth of a group at a time. */
const ROLL_SHARE = 0.1;

/**
 * How many workers a rolling update replaces at a time, and how many it keeps in service meanwhile. The latter must be
 * less than the group's maximum:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
 * @param min and `max`: capacities of the group; undefined when known only at deployment
 */
export function workerRoll(
  min: number | undefined,
  max: number | undefined,
): { maxBatchSize: number; minInstancesInService: number } {
  return {
    maxBatchSize: max === undefined ? 1 : Math.max(1, Math.ceil(max * ROLL_SHARE)),
    minInstancesInService: min === undefined || max === undefined ? 0 : Math.max(0, Math.min(min, max - 1)),
  };
}

/**
 * Checks of managers: their number, their zones, the generations of their volumes. Like all checks here they are pure
 * and return one sentence for each problem; `undefined` stands for a value that is known only at deployment.
 */
import { ALLOWED_MANAGER_COUNTS, MANAGER_ZONES } from '../defaults';

export function checkManagerCount(count: number | undefined): string[] {
  if (count === undefined)
    return [
      'The number of managers must be known at synth, because each manager has resources of its own. Set `count` to ' +
        'a plain number: 1, 3, 5 or 7.',
    ];
  if (ALLOWED_MANAGER_COUNTS.includes(count)) return [];
  const isEven = Number.isInteger(count) && count > 0 && count < 7;
  const reason = isEven
    ? `: ${count} managers tolerate no more failures than ${count - 1}`
    : count > 7
      ? ': more than 7 managers only slow down every change'
      : '';
  return [`count (${count}) must be 1, 3, 5 or 7${reason}.`];
}

/** How many seats to build. An invalid count, which {@link checkManagerCount} reports, builds one. */
export function seatsToBuild(count: number | undefined): number {
  return count !== undefined && ALLOWED_MANAGER_COUNTS.includes(count) ? count : 1;
}

/**
 * @param generations of any type, for callers that are not type-checked: a value that is misunderstood would silently
 * replace a volume, or bring back an old one
 * @param seats undefined when the number of seats is itself invalid
 */
export function checkVolumeGenerations(generations: unknown, seats: number | undefined): string[] {
  if (generations === undefined) return [];
  if (typeof generations !== 'object' || generations === null || Array.isArray(generations))
    return [
      `volumeGenerations (${JSON.stringify(generations)}) must be an object that maps seats to whole numbers, such ` +
        `as { '1': 2 }.`,
    ];
  return Object.entries(generations as Record<string, unknown>).flatMap(([seat, generation]) => {
    if (!/^[0-6]$/.test(seat) || (seats !== undefined && Number(seat) >= seats))
      return [
        `volumeGenerations names seat '${seat}', but ` +
          `${seats === 1 ? `the only seat is '0'` : `the seats are '0' to '${(seats ?? 7) - 1}'`}.`,
      ];
    return typeof generation === 'number' && Number.isInteger(generation) && generation >= 1
      ? []
      : [
          `volumeGenerations for seat ${seat} (${JSON.stringify(generation)}) must be a whole number of at least 1 ` +
            'that is known at synth. To replace the volume, use a greater number than before.',
        ];
  });
}

/** @param zones the distinct zones of the subnets */
export function checkZones(managers: number, zones: string[] | undefined): string[] {
  const needed = Math.min(managers, MANAGER_ZONES);
  if (zones === undefined || zones.length === 0 || zones.length >= needed) return [];
  return [
    `${managers} managers need subnets in ${needed} zones, so that the loss of one zone leaves a quorum, but there ` +
      `are only ${zones.length}: ${zones.join(', ')}. Add subnets in more zones, or use one manager.`,
  ];
}

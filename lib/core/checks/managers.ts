/** Checks of managers: their number, their zones, the generations of their volumes. */
import { ALLOWED_MANAGER_COUNTS, MANAGER_ZONES } from '../defaults';

export function checkManagerCount(count: number | undefined): string[] {
  if (count === undefined)
    return [
      'The number of managers must be known at synth, because every manager gets resources of its own. ' +
        'Give `count` as a plain number: 1, 3, 5 or 7.',
    ];
  if (ALLOWED_MANAGER_COUNTS.includes(count)) return [];
  const even = Number.isInteger(count) && count > 0 && count < 7;
  const why = even
    ? `, but an even number survives no more losses than ${count - 1}`
    : count > 7
      ? ', but more than 7 only slow down every change'
      : '';
  return [`${count} managers were asked for${why}. Give 1, 3, 5 or 7.`];
}

/** How many seats can be laid out, whatever was asked for: the mistake itself is {@link checkManagerCount}'s. */
export function seatsToBuild(count: number | undefined): number {
  return count !== undefined && ALLOWED_MANAGER_COUNTS.includes(count) ? count : 1;
}

/**
 * @param generations what was given, whatever it is: what is not understood would silently take a volume away, or bring
 * an old one back
 * @param seats how many there are; undefined when that is a mistake of its own
 */
export function checkVolumeGenerations(generations: unknown, seats: number | undefined): string[] {
  if (generations === undefined) return [];
  if (typeof generations !== 'object' || generations === null || Array.isArray(generations))
    return [
      `volumeGenerations is ${JSON.stringify(generations)}. Give an object from seats to whole numbers, ` +
        `such as { '1': 2 }.`,
    ];
  return Object.entries(generations as Record<string, unknown>).flatMap(([seat, generation]) => {
    if (!/^[0-6]$/.test(seat) || (seats !== undefined && Number(seat) >= seats))
      return [
        `volumeGenerations names seat '${seat}', but the seats are ` +
          `${seats === 1 ? '0 alone' : `'0' to '${(seats ?? 7) - 1}'`}.`,
      ];
    return typeof generation === 'number' && Number.isInteger(generation) && generation >= 1
      ? []
      : [
          `volumeGenerations has ${JSON.stringify(generation)} for seat ${seat}. Give a whole number from ` +
            '1 on, greater than it was before, and known when the app is synthesised.',
        ];
  });
}

/** @param zones the distinct zones of the subnets */
export function checkZones(managers: number, zones: string[] | undefined): string[] {
  const needed = Math.min(managers, MANAGER_ZONES);
  if (zones === undefined || zones.length === 0 || zones.length >= needed) return [];
  return [
    `${managers} managers need subnets in ${needed} zones, so that the loss of one leaves a quorum, but ` +
      `there are only ${zones.length}: ${zones.join(', ')}. ` +
      'Give subnets in more zones, or one manager.',
  ];
}

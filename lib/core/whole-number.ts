/** The check that most numeric props share. */

export interface Bounds {
  readonly min: number;
  /** @default - no upper bound */
  readonly max?: number;
}

/**
 * @param name the prop, with its unit where the value has one: `volumeSize in GiB`
 * @param value undefined when it was omitted or is known only at deployment
 */
export function checkWholeNumber(name: string, value: number | undefined, { min, max }: Bounds): string[] {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= (max ?? Infinity))) return [];
  return [
    `${name} (${value}) must be a whole number ${max === undefined ? `of at least ${min}` : `from ${min} to ${max}`}.`,
  ];
}

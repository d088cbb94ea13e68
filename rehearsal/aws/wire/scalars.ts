/**
 * Checks that values from handlers and clients have the type of their shape. A mismatch is a bug on our side: an Error
 * that names the member.
 */
import type { NormalizedSchema } from '@smithy/core/schema';

/** A member's path, for messages: `DescribeVolumes.Volumes.Size`. */
export type Place = string;

export function mismatch(place: Place, wanted: string, value: unknown): Error {
  return new Error(
    `${place} should be ${wanted}, and is ` +
      `${value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`}.`,
  );
}

export function unknownMember(place: Place, name: string): Error {
  return new Error(`${place} has no member "${name}".`);
}

export function members(schema: NormalizedSchema): Map<string, NormalizedSchema> {
  return new Map(schema.isUnitSchema() ? [] : schema.structIterator());
}

export function requireObject(place: Place, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(place, 'an object', value);
  return value as Record<string, unknown>;
}

export function requireList(place: Place, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw mismatch(place, 'a list', value);
  return value;
}

/** A scalar in memory: string, number, boolean, bytes, or a timestamp as ISO string. */
export function requireScalar(
  schema: NormalizedSchema,
  place: Place,
  value: unknown,
): string | number | boolean | Uint8Array {
  const [wanted, holds] = schema.isStringSchema()
    ? ['a text', typeof value === 'string']
    : schema.isBooleanSchema()
      ? ['true or false', typeof value === 'boolean']
      : schema.isNumericSchema()
        ? ['a number', typeof value === 'number' && Number.isFinite(value)]
        : schema.isTimestampSchema()
          ? ['an ISO 8601 text', typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)]
          : schema.isBlobSchema()
            ? ['bytes', value instanceof Uint8Array]
            : ['of a type that the emulation knows', false];
  if (!holds) throw mismatch(place, wanted as string, value);
  return value as string;
}

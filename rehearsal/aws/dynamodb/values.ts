/**
 * DynamoDB's attribute values: validation, canonical form, equality, order and size. It knows no tables and no
 * expressions.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { AwsError } from '../core/types';
import { canonicalNumber, compareNumbers } from './numbers';

export type { AttributeValue };
export type Item = Record<string, AttributeValue>;
export const dataTypes = ['S', 'N', 'B', 'SS', 'NS', 'BS', 'M', 'L', 'NULL', 'BOOL'] as const;
export type DataType = (typeof dataTypes)[number];

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items */
export const MAX_ITEM_BYTES = 400 * 1024;
/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-attributes */
const MAX_DEPTH = 32;

export function validationError(message: string): AwsError {
  return new AwsError('ValidationException', message);
}

export function typeOf(value: AttributeValue): DataType {
  return Object.keys(value)[0] as DataType;
}

/**
 * A copy of the value in canonical form, so that stored values share nothing with the caller's input.
 * @throws AwsError ValidationException
 */
export function canonicalValue(value: unknown, depth = 1): AttributeValue {
  const types =
    typeof value === 'object' && value !== null
      ? Object.keys(value).filter((key) => (value as Item)[key] !== undefined)
      : [];
  if (types.length === 0)
    throw validationError('Supplied AttributeValue is empty, must contain exactly one of the supported datatypes');
  if (types.length > 1)
    throw validationError(
      'Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes',
    );
  const type = types[0] as DataType;
  const content = (value as Record<string, unknown>)[type];
  if (depth > MAX_DEPTH)
    throw validationError(
      'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels that ' +
        'exceed supported limit',
    );
  switch (type) {
    case 'S':
      return { S: expect(type, content, typeof content === 'string') };
    case 'N':
      return { N: canonicalNumber(expect(type, content, typeof content === 'string')) };
    case 'B':
      return { B: Uint8Array.from(expect<Uint8Array>(type, content, content instanceof Uint8Array)) };
    case 'BOOL':
      return { BOOL: expect(type, content, typeof content === 'boolean') };
    case 'NULL':
      if (content !== true)
        throw validationError(
          'One or more parameter values were invalid: Null attribute value types must have the value of true',
        );
      return { NULL: true };
    case 'SS':
      return {
        SS: canonicalSet<string>(
          type,
          content,
          (member) => expect('S', member, typeof member === 'string'),
          (member) => member,
        ),
      };
    case 'NS':
      return {
        NS: canonicalSet<string>(
          type,
          content,
          (member) => canonicalNumber(expect('N', member, typeof member === 'string')),
          (member) => member,
        ),
      };
    case 'BS': {
      const bytes = (member: unknown) => Uint8Array.from(expect<Uint8Array>('B', member, member instanceof Uint8Array));
      return { BS: canonicalSet<Uint8Array>(type, content, bytes, (member) => Buffer.from(member).toString('base64')) };
    }
    case 'L':
      return {
        L: expect<unknown[]>(type, content, Array.isArray(content)).map((member) => canonicalValue(member, depth + 1)),
      };
    case 'M':
      return {
        M: canonicalMap(
          expect(type, content, typeof content === 'object' && content !== null && !Array.isArray(content)),
          depth + 1,
        ),
      };
    default:
      throw new Error(
        `The emulated DynamoDB knows no data type "${String(type)}"; the data types are ${dataTypes.join(', ')}.`,
      );
  }
}

export function canonicalMap(members: Record<string, unknown>, depth = 1): Item {
  const map: Item = {};
  for (const [name, member] of Object.entries(members))
    if (member !== undefined) map[name] = canonicalValue(member, depth);
  return map;
}

function canonicalSet<T>(
  type: DataType,
  content: unknown,
  member: (value: unknown) => T,
  key: (value: T) => string,
): T[] {
  const members = expect<unknown[]>(type, content, Array.isArray(content)).map(member);
  if (members.length === 0) {
    const kind = { SS: 'string', NS: 'number', BS: 'binary' }[type as 'SS' | 'NS' | 'BS'];
    throw validationError(`One or more parameter values were invalid: An ${kind} set  may not be empty`);
  }
  if (new Set(members.map(key)).size < members.length) {
    throw validationError(
      `One or more parameter values were invalid: Input collection [${members.map(key).join(', ')}] ` +
        'contains duplicates.',
    );
  }
  return members;
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html */
function expect<T>(type: DataType, content: unknown, holds: boolean): T {
  if (!holds)
    throw new AwsError(
      'SerializationException',
      `A value of data type ${type} cannot be made of a JSON ${typeof content}.`,
    );
  return content as T;
}

/** Copies a canonical value. */
export function copyValue(value: AttributeValue): AttributeValue {
  if (value.M) return { M: copyItem(value.M) };
  if (value.L) return { L: value.L.map(copyValue) };
  if (value.SS) return { SS: [...value.SS] };
  if (value.NS) return { NS: [...value.NS] };
  if (value.B) return { B: Uint8Array.from(value.B) };
  if (value.BS) return { BS: value.BS.map((bytes) => Uint8Array.from(bytes)) };
  return { ...value };
}

export function copyItem(item: Item): Item {
  const copy: Item = {};
  for (const name of Object.keys(item)) copy[name] = copyValue(item[name]!);
  return copy;
}

/** Equality of two canonical values; sets have no order. */
export function equalValues(a: AttributeValue, b: AttributeValue): boolean {
  const type = typeOf(a);
  if (type !== typeOf(b)) return false;
  switch (type) {
    case 'B':
      return Buffer.compare(a.B!, b.B!) === 0;
    case 'SS':
    case 'NS':
    case 'BS': {
      const [left, right] = [setKeys(a), setKeys(b)];
      return left.size === right.size && [...left.keys()].every((key) => right.has(key));
    }
    case 'L':
      return a.L!.length === b.L!.length && a.L!.every((member, n) => equalValues(member, b.L![n]!));
    case 'M':
      return equalItems(a.M!, b.M!);
    default:
      return a[type] === b[type];
  }
}

export function equalItems(a: Item, b: Item): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && equalValues(a[name]!, b[name]!))
  );
}

/** A text for each member of a set; undefined if the value is not a set. */
export function setKeys(value: AttributeValue): Map<string, string | Uint8Array> {
  if (value.BS) return new Map(value.BS.map((bytes) => [Buffer.from(bytes).toString('base64'), bytes]));
  return new Map((value.SS ?? value.NS ?? []).map((member) => [member, member]));
}

/**
 * Negative, zero or positive; undefined for different types or a type without an order. Strings are ordered by their
 * UTF-8 bytes.
 */
export function compareValues(a: AttributeValue, b: AttributeValue): number | undefined {
  if (a.S !== undefined && b.S !== undefined) return Buffer.compare(Buffer.from(a.S), Buffer.from(b.S));
  if (a.N !== undefined && b.N !== undefined) return compareNumbers(a.N, b.N);
  if (a.B !== undefined && b.B !== undefined) return Buffer.compare(a.B, b.B);
  return undefined;
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html */
export function valueBytes(value: AttributeValue): number {
  switch (typeOf(value)) {
    case 'S':
      return Buffer.byteLength(value.S!);
    case 'N':
      return numberBytes(value.N!);
    case 'B':
      return value.B!.length;
    case 'SS':
      return value.SS!.reduce((sum, member) => sum + Buffer.byteLength(member), 0);
    case 'NS':
      return value.NS!.reduce((sum, member) => sum + numberBytes(member), 0);
    case 'BS':
      return value.BS!.reduce((sum, member) => sum + member.length, 0);
    case 'L':
      return value.L!.reduce((sum, member) => sum + 1 + valueBytes(member), 3);
    case 'M':
      return Object.entries(value.M!).reduce(
        (sum, [name, member]) => sum + 1 + Buffer.byteLength(name) + valueBytes(member),
        3,
      );
    default:
      return 1;
  }
}

export function itemBytes(item: Item): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + valueBytes(value), 0);
}

function numberBytes(number: string): number {
  return Math.ceil(number.replace(/[-.]/g, '').replace(/^0+|0+$/g, '').length / 2) + (number.startsWith('-') ? 2 : 1);
}

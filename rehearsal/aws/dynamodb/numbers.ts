/**
 * DynamoDB's decimal numbers: exact, up to 38 significant digits, magnitudes from 1E-130 to 9.99...E+125.
 * Source:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
 */
import { AwsError } from '../core/types';

const MAX_DIGITS = 38;
const MAX_MAGNITUDE = 125;
const MIN_MAGNITUDE = -130;

/** `digits` x 10^`exponent`. The digits have the sign, and no trailing zeros unless they are zero. */
interface Decimal {
  digits: bigint;
  exponent: number;
}

/** DynamoDB's text of a number: without exponent and redundant zeros. @throws AwsError ValidationException */
export function canonicalNumber(text: string): string {
  return format(parse(text));
}

export function compareNumbers(a: string, b: string): number {
  const [left, right] = align(parse(a), parse(b));
  return left < right ? -1 : left > right ? 1 : 0;
}

export function addNumbers(a: string, b: string): string {
  return sum(parse(a), parse(b));
}

export function subtractNumbers(a: string, b: string): string {
  const right = parse(b);
  return sum(parse(a), { digits: -right.digits, exponent: right.exponent });
}

function sum(a: Decimal, b: Decimal): string {
  const [left, right, exponent] = align(a, b);
  return format(check(trim({ digits: left + right, exponent })));
}

function parse(text: string): Decimal {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text);
  if (!match || (match[2] === '' && !match[3])) {
    throw new AwsError(
      'ValidationException',
      text === ''
        ? 'The parameter cannot be converted to a numeric value'
        : `The parameter cannot be converted to a numeric value: ${text}`,
    );
  }
  const fraction = match[3] ?? '';
  const magnitude = BigInt(match[2] + fraction);
  return check(
    trim({ digits: match[1] === '-' ? -magnitude : magnitude, exponent: Number(match[4] ?? 0) - fraction.length }),
  );
}

function trim({ digits, exponent }: Decimal): Decimal {
  if (digits === 0n) return { digits, exponent: 0 };
  while (digits % 10n === 0n) {
    digits /= 10n;
    exponent += 1;
  }
  return { digits, exponent };
}

function check(number: Decimal): Decimal {
  if (number.digits === 0n) return number;
  const length = absolute(number.digits).length;
  if (length > MAX_DIGITS)
    throw new AwsError(
      'ValidationException',
      `Attempting to store more than ${MAX_DIGITS} significant digits in a Number`,
    );
  const magnitude = number.exponent + length - 1;
  if (magnitude > MAX_MAGNITUDE)
    throw new AwsError(
      'ValidationException',
      'Number overflow. Attempting to store a number with magnitude larger than supported range',
    );
  if (magnitude < MIN_MAGNITUDE)
    throw new AwsError(
      'ValidationException',
      'Number underflow. Attempting to store a number with magnitude smaller than supported range',
    );
  return number;
}

/** Both numbers as multiples of the same power of ten. */
function align(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const exponent = Math.min(a.exponent, b.exponent);
  return [a.digits * 10n ** BigInt(a.exponent - exponent), b.digits * 10n ** BigInt(b.exponent - exponent), exponent];
}

function format({ digits, exponent }: Decimal): string {
  const sign = digits < 0n ? '-' : '';
  const text = absolute(digits);
  if (exponent >= 0) return sign + text + '0'.repeat(exponent);
  const padded = text.padStart(1 - exponent, '0');
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

function absolute(digits: bigint): string {
  return (digits < 0n ? -digits : digits).toString();
}

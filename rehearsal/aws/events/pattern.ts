/**
 * Event patterns of EventBridge rules and of the filters of Lambda's event source mappings.
 * Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */

/** @throws Error naming an operator that the emulation does not know. */
export function matchesPattern(pattern: Record<string, any>, event: unknown): boolean {
  return Object.entries(pattern).every(([key, expected]) => {
    if (key === '$or')
      return (expected as Record<string, any>[]).some((alternative) => matchesPattern(alternative, event));
    const present = typeof event === 'object' && event !== null && key in event;
    const value = present ? (event as Record<string, unknown>)[key] : undefined;
    if (Array.isArray(expected)) return matchesAny(expected, value, present);
    if (typeof expected === 'object' && expected !== null) return matchesPattern(expected, value);
    throw new Error(
      `In an event pattern, '${key}' must be a list of values or an object, not ${JSON.stringify(expected)}.`,
    );
  });
}

function matchesAny(conditions: unknown[], value: unknown, present: boolean): boolean {
  // A list matches when any of its members does.
  const candidates = Array.isArray(value) ? value : [value];
  return conditions.some((condition) => {
    if (typeof condition === 'object' && condition !== null && 'exists' in condition)
      return condition.exists === present;
    return present && candidates.some((candidate) => matchesOne(condition, candidate));
  });
}

function matchesOne(condition: unknown, value: unknown): boolean {
  if (typeof condition !== 'object' || condition === null) return condition === value;
  const [[operator, operand], ...more] = Object.entries(condition) as [[string, any], ...unknown[]];
  if (more.length > 0)
    throw new Error(`A condition of an event pattern has one operator, not ${JSON.stringify(condition)}.`);
  switch (operator) {
    case 'prefix':
      return typeof value === 'string' && value.startsWith(operand);
    case 'suffix':
      return typeof value === 'string' && value.endsWith(operand);
    case 'equals-ignore-case':
      return typeof value === 'string' && value.toLowerCase() === String(operand).toLowerCase();
    case 'anything-but':
      return !(typeof operand === 'object' && !Array.isArray(operand)
        ? matchesOne(operand, value)
        : [operand].flat().includes(value));
    case 'numeric':
      return typeof value === 'number' && matchesNumeric(operand, value);
    default:
      throw new Error(`The emulation does not know the operator '${operator}' of event patterns.`);
  }
}

/** `[">", 0, "<=", 5]` */
function matchesNumeric(terms: (string | number)[], value: number): boolean {
  for (let n = 0; n < terms.length; n += 2) {
    const bound = Number(terms[n + 1]);
    const holds = {
      '=': value === bound,
      '<': value < bound,
      '<=': value <= bound,
      '>': value > bound,
      '>=': value >= bound,
    }[String(terms[n])];
    if (holds === undefined)
      throw new Error(`The emulation does not know the numeric operator '${terms[n]}' of event patterns.`);
    if (!holds) return false;
  }
  return true;
}

/** How a Query uses a table's keys: the key condition, the filter (which may not use keys), and where a page begins. */
import type { Condition } from './ast';
import type { Table } from './table';
import { compareValues, typeOf, validationError, type AttributeValue, type Item } from './values';

/**
 * The two halves of a key condition: `partition = :value`, and optionally one comparison of the sort key.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
 */
export function keyCondition(table: Table, condition: Condition): { partition: AttributeValue; sort?: Condition } {
  const halves = condition.kind === 'and' ? [condition.left, condition.right] : [condition];
  const [partitionKey, sortKey] = table.keys;
  let partition: AttributeValue | undefined;
  let sort: Condition | undefined;
  for (const half of halves) {
    const { name, values } = keyComparison(half);
    const key = table.keys.find((each) => each.name === name);
    if (!key)
      throw validationError(
        'Query condition missed key schema element: ' +
          `${(partition ? sortKey : partitionKey)?.name ?? partitionKey!.name}`,
      );
    for (const value of values) {
      if (typeOf(value) !== key.type)
        throw validationError(
          'One or more parameter values were invalid: Condition parameter type does not match schema type',
        );
      if (value.S === '' || value.B?.length === 0) {
        throw validationError(
          'One or more parameter values are not valid. The AttributeValue for a key attribute cannot ' +
            `contain an empty string value. Key: ${name}`,
        );
      }
    }
    if (key === partitionKey ? partition : sort)
      throw validationError('KeyConditionExpressions must only contain one condition per key');
    if (key === sortKey) sort = half;
    else if (half.kind === 'compare' && half.comparator === '=') partition = values[0];
    else throw validationError('Query key condition not supported');
  }
  if (!partition) throw validationError(`Query condition missed key schema element: ${partitionKey!.name}`);
  return { partition, sort };
}

/** The key attribute of a comparison, and the values it is compared with. */
function keyComparison(condition: Condition): { name: string; values: AttributeValue[] } {
  const operands =
    condition.kind === 'compare' && condition.comparator !== '<>'
      ? [condition.left, condition.right]
      : condition.kind === 'between'
        ? [condition.operand, condition.low, condition.high]
        : condition.kind === 'begins_with'
          ? [condition.operand, condition.sought]
          : undefined;
  if (!operands)
    throw validationError(
      'Invalid operator used in KeyConditionExpression: it may be =, <, <=, >, >=, BETWEEN or begins_with, ' +
        'joined by one AND',
    );
  const [path, ...values] = operands;
  if (path!.kind !== 'path' || path!.steps.length > 1 || values.some(({ kind }) => kind !== 'value')) {
    throw validationError(
      'Invalid condition in KeyConditionExpression: a key attribute is compared with values, and stands on the left',
    );
  }
  return {
    name: String(path!.steps[0]),
    values: values.map((operand) => (operand as { value: AttributeValue }).value),
  };
}

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.FilterExpression.html */
export function refuseKeys(table: Table, filter: Condition): void {
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { kind, steps } = node as { kind?: string; steps?: unknown[] };
    const key = kind === 'path' && table.keys.find(({ name }) => name === steps![0]);
    if (key)
      throw validationError(
        `Filter Expression can only contain non-primary key attributes: Primary key attribute: ${key.name}`,
      );
    // A value's content is data, not part of the expression.
    if (kind !== 'value') Object.values(node).forEach(walk);
  };
  walk(filter);
}

/** The items after a key, whether or not an item still has that key. */
export function itemsAfter(table: Table, items: Item[], start: Item, backward: boolean): Item[] {
  const sort = table.keys[1]?.name;
  if (sort === undefined) return [];
  return items.filter((item) => {
    const order = compareValues(item[sort]!, start[sort]!)!;
    return backward ? order < 0 : order > 0;
  });
}

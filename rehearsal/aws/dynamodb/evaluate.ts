/** Evaluates expressions on an item: conditions, projections and updates. It never changes the given item. */
import { AwsError } from '../core/types';
import type { Assigned, Condition, Operand, Path, Update } from './ast';
import { addNumbers, subtractNumbers } from './numbers';
import {
  compareValues,
  copyItem,
  copyValue,
  equalValues,
  setKeys,
  typeOf,
  validationError,
  type AttributeValue,
  type Item,
} from './values';

/** The value at a path, or undefined. */
export function lookUp(item: Item, { steps }: Path): AttributeValue | undefined {
  let value: AttributeValue | undefined = { M: item };
  for (const step of steps) {
    value =
      typeof step === 'number' ? value.L?.[step] : value.M && Object.hasOwn(value.M, step) ? value.M[step] : undefined;
    if (value === undefined) return undefined;
  }
  return value;
}

/**
 * A missing attribute equals nothing and has no order; only `<>` holds for it.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
 */
export function holds(condition: Condition, item: Item): boolean {
  switch (condition.kind) {
    case 'and':
      return holds(condition.left, item) && holds(condition.right, item);
    case 'or':
      return holds(condition.left, item) || holds(condition.right, item);
    case 'not':
      return !holds(condition.condition, item);
    case 'exists':
      return (lookUp(item, condition.path) !== undefined) === condition.wanted;
    case 'type': {
      const value = lookUp(item, condition.path);
      return value !== undefined && typeOf(value) === condition.type;
    }
    case 'between': {
      const [value, low, high] = [condition.operand, condition.low, condition.high].map((operand) =>
        resolve(operand, item),
      );
      return inOrder(low, value) && inOrder(value, high);
    }
    case 'in': {
      const value = resolve(condition.operand, item);
      return condition.list.some((operand) => equal(value, resolve(operand, item)));
    }
    case 'compare': {
      const [left, right] = [resolve(condition.left, item), resolve(condition.right, item)];
      if (condition.comparator === '=') return equal(left, right);
      if (condition.comparator === '<>') return !equal(left, right);
      const order = left && right && compareValues(left, right);
      if (order === undefined) return false;
      return { '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[condition.comparator];
    }
    case 'begins_with': {
      const [value, sought] = [resolve(condition.operand, item), resolve(condition.sought, item)];
      if (value?.S !== undefined && sought?.S !== undefined) return value.S.startsWith(sought.S);
      return (
        value?.B !== undefined &&
        sought?.B !== undefined &&
        Buffer.compare(value.B.subarray(0, sought.B.length), sought.B) === 0
      );
    }
    case 'contains': {
      const [value, sought] = [resolve(condition.operand, item), resolve(condition.sought, item)];
      return value !== undefined && sought !== undefined && contains(value, sought);
    }
  }
}

function contains(value: AttributeValue, sought: AttributeValue): boolean {
  if (value.S !== undefined) return sought.S !== undefined && value.S.includes(sought.S);
  if (value.B !== undefined) return sought.B !== undefined && Buffer.from(value.B).includes(Buffer.from(sought.B));
  if (value.L) return value.L.some((member) => equalValues(member, sought));
  if (value.SS) return sought.S !== undefined && value.SS.includes(sought.S);
  if (value.NS) return sought.N !== undefined && value.NS.includes(sought.N);
  return (
    value.BS !== undefined && sought.B !== undefined && setKeys(value).has(Buffer.from(sought.B).toString('base64'))
  );
}

function equal(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  return a !== undefined && b !== undefined && equalValues(a, b);
}

function inOrder(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  const order = a && b && compareValues(a, b);
  return order !== undefined && order <= 0;
}

function resolve(operand: Operand, item: Item): AttributeValue | undefined {
  if (operand.kind === 'value') return operand.value;
  const value = lookUp(item, operand.kind === 'size' ? operand.path : operand);
  if (operand.kind === 'path' || value === undefined) return value;
  const size = value.M
    ? Object.keys(value.M).length
    : (value.S ?? value.B ?? value.L ?? value.SS ?? value.NS ?? value.BS)?.length;
  return size === undefined ? undefined : { N: String(size) };
}

/** The values at the paths only. Selected list members move together. */
export function project(item: Item, paths: Path[]): Item {
  const tree: Tree = { below: new Map() };
  for (const path of paths) {
    let at = tree;
    for (const step of path.steps) {
      if (!at.below.has(step)) at.below.set(step, { below: new Map() });
      at = at.below.get(step)!;
    }
  }
  return pick({ M: item }, tree)?.M ?? {};
}

/** The steps of several paths as a tree. */
interface Tree {
  below: Map<string | number, Tree>;
}

function pick(value: AttributeValue, { below }: Tree): AttributeValue | undefined {
  if (below.size === 0) return copyValue(value);
  if (value.M) {
    const members: Item = {};
    for (const [step, subtree] of below) {
      const member =
        typeof step === 'string' && Object.hasOwn(value.M, step) ? pick(value.M[step]!, subtree) : undefined;
      if (member) members[step] = member;
    }
    return Object.keys(members).length > 0 ? { M: members } : undefined;
  }
  if (value.L) {
    const indices = [...below.keys()].filter((step) => typeof step === 'number').sort((a, b) => a - b);
    const members = indices.flatMap((index) =>
      value.L![index] ? (pick(value.L![index], below.get(index)!) ?? []) : [],
    );
    return members.length > 0 ? { L: members } : undefined;
  }
  return undefined;
}

/**
 * The item after an update. Assigned values are read from the item before the update.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
 * @throws AwsError ValidationException when the item's values do not allow it
 */
export function applyUpdate(before: Item, update: Update): Item {
  const after = copyItem(before);
  const assignments = update.set.map(({ path, assigned }) => ({ path, value: copyValue(compute(assigned, before)) }));
  // Members beyond the end of a list are appended in index order.
  assignments.sort((a, b) => lastIndex(a.path) - lastIndex(b.path));
  for (const { path, value } of assignments) setAt(after, path, value);
  for (const { path, value } of update.add) setAt(after, path, added(lookUp(before, path), value));
  for (const { path, value } of update.delete) {
    const present = lookUp(before, path);
    if (present === undefined) continue;
    const left = without(present, value);
    if (left) setAt(after, path, left);
    else removeAt(after, path);
  }
  // The deepest path first, then the highest index, so that the other indices stay valid.
  const removals = update.remove
    .map(({ path }) => path)
    .sort((a, b) => b.steps.length - a.steps.length || lastIndex(b) - lastIndex(a));
  for (const path of removals) removeAt(after, path);
  return after;
}

function lastIndex({ steps }: Path): number {
  const last = steps.at(-1);
  return typeof last === 'number' ? last : -1;
}

function compute(assigned: Assigned, item: Item): AttributeValue {
  switch (assigned.kind) {
    case 'value':
      return assigned.value;
    case 'path': {
      const value = lookUp(item, assigned);
      if (!value)
        throw validationError('The provided expression refers to an attribute that does not exist in the item');
      return value;
    }
    case 'if_not_exists':
      return lookUp(item, assigned.path) ?? compute(assigned.otherwise, item);
    case 'list_append': {
      const [left, right] = [compute(assigned.left, item), compute(assigned.right, item)];
      if (!left.L || !right.L) throw incorrectType();
      return { L: [...left.L, ...right.L] };
    }
    default: {
      const [left, right] = [compute(assigned.left, item), compute(assigned.right, item)];
      if (left.N === undefined || right.N === undefined) throw incorrectType();
      return { N: assigned.kind === '+' ? addNumbers(left.N, right.N) : subtractNumbers(left.N, right.N) };
    }
  }
}

function added(present: AttributeValue | undefined, value: AttributeValue): AttributeValue {
  if (present === undefined) return copyValue(value);
  if (typeOf(present) !== typeOf(value)) throw incorrectType();
  if (value.N !== undefined) return { N: addNumbers(present.N!, value.N) };
  return {
    [typeOf(value)]: [...new Map([...setKeys(present), ...setKeys(value)]).values()],
  } as unknown as AttributeValue;
}

function without(present: AttributeValue, value: AttributeValue): AttributeValue | undefined {
  if (typeOf(present) !== typeOf(value)) throw incorrectType();
  const left = setKeys(present);
  for (const key of setKeys(value).keys()) left.delete(key);
  return left.size > 0 ? ({ [typeOf(value)]: [...left.values()] } as unknown as AttributeValue) : undefined;
}

function setAt(item: Item, path: Path, value: AttributeValue): void {
  const parent = parentOf(item, path);
  const last = path.steps.at(-1)!;
  if (typeof last === 'string' && parent?.M) parent.M[last] = value;
  else if (typeof last === 'number' && parent?.L) parent.L.splice(last, 1, value);
  else throw invalidPath();
}

function removeAt(item: Item, path: Path): void {
  const parent = parentOf(item, path);
  const last = path.steps.at(-1)!;
  if (typeof last === 'string' && parent?.M) delete parent.M[last];
  else if (typeof last === 'number' && parent?.L) parent.L.splice(last, 1);
  else throw invalidPath();
}

function parentOf(item: Item, path: Path): AttributeValue | undefined {
  return path.steps.length === 1 ? { M: item } : lookUp(item, { kind: 'path', steps: path.steps.slice(0, -1) });
}

function invalidPath(): AwsError {
  return validationError('The document path provided in the update expression is invalid for update');
}

function incorrectType(): AwsError {
  return validationError('An operand in the update expression has an incorrect data type');
}

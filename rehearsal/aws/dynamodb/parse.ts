/**
 * Parses DynamoDB's expressions: a tokenizer and a recursive descent parser for conditions, updates, projections and
 * key conditions. Unknown input is a ValidationException that names it, as in DynamoDB.
 * Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
 * (conditions), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
 * (updates)
 */
import {
  printPath,
  type Assigned,
  type Comparator,
  type Condition,
  type Operand,
  type Path,
  type Update,
  type Value,
} from './ast';
import type { Placeholders } from './placeholders';
import { reservedWords } from './reserved';
import { compareValues, dataTypes, typeOf, validationError, type AttributeValue, type DataType } from './values';

type ExpressionKind =
  'ConditionExpression' | 'FilterExpression' | 'KeyConditionExpression' | 'UpdateExpression' | 'ProjectionExpression';

/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters */
const MAX_EXPRESSION_BYTES = 4096;
const MAX_OPERATORS = 300;
const MAX_IN_OPERANDS = 100;

const comparators = new Set(['=', '<>', '<', '<=', '>', '>=']);
const ordered: DataType[] = ['S', 'N', 'B'];

export function parseCondition(
  text: string,
  placeholders: Placeholders,
  kind: ExpressionKind = 'ConditionExpression',
): Condition {
  const parser = new Parser(text, placeholders, kind);
  const condition = parser.condition();
  parser.end();
  return condition;
}

export function parseUpdate(text: string, placeholders: Placeholders): Update {
  return new Parser(text, placeholders, 'UpdateExpression').update();
}

export function parseProjection(text: string, placeholders: Placeholders): Path[] {
  const parser = new Parser(text, placeholders, 'ProjectionExpression');
  const paths = [parser.path()];
  while (parser.take(',')) paths.push(parser.path());
  parser.end();
  parser.refuseOverlap(paths);
  return paths;
}

class Parser {
  private readonly tokens: string[];
  private at = 0;
  private operators = 0;

  constructor(
    text: string,
    private readonly placeholders: Placeholders,
    private readonly kind: ExpressionKind,
  ) {
    if (text.trim() === '') throw this.invalid('The expression can not be empty;');
    if (Buffer.byteLength(text) > MAX_EXPRESSION_BYTES) {
      throw this.invalid(
        `Expression size has exceeded the maximum allowed size; expression size: ${Buffer.byteLength(text)}`,
      );
    }
    this.tokens = this.tokenize(text);
  }

  condition(): Condition {
    let left = this.conjunction();
    while (this.takeWord('OR')) left = { kind: 'or', left, right: this.counted(this.conjunction()) };
    return left;
  }

  update(): Update {
    const update: Update = { set: [], remove: [], add: [], delete: [] };
    const seen = new Set<string>();
    while (this.peek() !== undefined) {
      const section = this.peek()!.toUpperCase();
      if (!['SET', 'REMOVE', 'ADD', 'DELETE'].includes(section)) throw this.syntaxError();
      if (seen.has(section))
        throw this.invalid(`The "${section}" section can only be used once in an update expression;`);
      seen.add(section);
      this.at += 1;
      do {
        const path = this.path();
        if (section === 'SET') {
          this.expect('=');
          update.set.push({ path, assigned: this.assigned() });
        } else if (section === 'REMOVE') {
          update.remove.push({ path });
        } else {
          const operator = section as 'ADD' | 'DELETE';
          const { value } = this.value();
          this.requireType(operator, value, operator === 'ADD' ? ['N', 'SS', 'NS', 'BS'] : ['SS', 'NS', 'BS']);
          if (path.steps.length > 1) {
            throw this.invalid(
              `${operator} can only be used on top-level attributes, not on nested attributes; path: ` +
                `${printPath(path)}`,
            );
          }
          update[operator === 'ADD' ? 'add' : 'delete'].push({ path, value });
        }
      } while (this.take(','));
    }
    this.refuseOverlap([...update.set, ...update.remove, ...update.add, ...update.delete].map(({ path }) => path));
    return update;
  }

  path(): Path {
    const steps: (string | number)[] = [this.name()];
    for (;;) {
      if (this.take('.')) {
        steps.push(this.name());
      } else if (this.take('[')) {
        const index = this.peek();
        if (index === undefined || !/^\d+$/.test(index)) throw this.syntaxError();
        this.at += 1;
        this.expect(']');
        steps.push(Number(index));
      } else {
        return { kind: 'path', steps };
      }
    }
  }

  take(token: string): boolean {
    if (this.peek() !== token) return false;
    this.at += 1;
    return true;
  }

  end(): void {
    if (this.peek() !== undefined) throw this.syntaxError();
  }

  refuseOverlap(paths: Path[]): void {
    paths.forEach((one, n) => {
      for (const two of paths.slice(n + 1)) {
        const shorter = Math.min(one.steps.length, two.steps.length);
        let same = 0;
        while (same < shorter && one.steps[same] === two.steps[same]) same += 1;
        const described = `path one: ${printPath(one)}, path two: ${printPath(two)}`;
        if (same === shorter)
          throw this.invalid(
            `Two document paths overlap with each other; must remove or rewrite one of these paths; ${described}`,
          );
        if (typeof one.steps[same] !== typeof two.steps[same])
          throw this.invalid(
            `Two document paths conflict with each other; must remove or rewrite one of these paths; ${described}`,
          );
      }
    });
  }

  private conjunction(): Condition {
    let left = this.negation();
    while (this.takeWord('AND')) left = { kind: 'and', left, right: this.counted(this.negation()) };
    return left;
  }

  private negation(): Condition {
    return this.takeWord('NOT') ? { kind: 'not', condition: this.counted(this.negation()) } : this.primary();
  }

  private primary(): Condition {
    if (this.take('(')) {
      const condition = this.condition();
      this.expect(')');
      return condition;
    }
    if (this.atCall() && this.peek() !== 'size') return this.counted(this.conditionFunction());
    return this.counted(this.comparison());
  }

  private comparison(): Condition {
    const left = this.operand();
    if (this.takeWord('BETWEEN')) {
      const low = this.operand();
      if (!this.takeWord('AND')) throw this.syntaxError();
      const high = this.operand();
      for (const operand of [left, low, high])
        if (operand.kind === 'value') this.requireType('BETWEEN', operand.value, ordered);
      this.requireOrderedBounds(low, high);
      return { kind: 'between', operand: left, low, high };
    }
    if (this.takeWord('IN')) {
      this.expect('(');
      const list = [this.operand()];
      while (this.take(',')) list.push(this.operand());
      this.expect(')');
      if (list.length > MAX_IN_OPERANDS) {
        throw this.invalid(`The IN operator is provided with too many operands; number of operands: ${list.length}`);
      }
      return { kind: 'in', operand: left, list };
    }
    const comparator = this.peek();
    if (comparator === undefined || !comparators.has(comparator)) throw this.syntaxError();
    this.at += 1;
    const right = this.operand();
    if (comparator !== '=' && comparator !== '<>') {
      for (const operand of [left, right])
        if (operand.kind === 'value') this.requireType(comparator, operand.value, ordered);
    }
    return { kind: 'compare', comparator: comparator as Comparator, left, right };
  }

  private conditionFunction(): Condition {
    const name = this.next();
    this.expect('(');
    const condition = this.conditionFunctionBody(name);
    this.expect(')');
    return condition;
  }

  private conditionFunctionBody(name: string): Condition {
    switch (name) {
      case 'attribute_exists':
      case 'attribute_not_exists':
        return { kind: 'exists', path: this.path(), wanted: name === 'attribute_exists' };
      case 'attribute_type': {
        const path = this.path();
        this.expect(',');
        const { value } = this.value();
        this.requireType(name, value, ['S']);
        if (!dataTypes.includes(value.S as DataType)) {
          throw this.invalid(
            `Invalid attribute type name found; type: ${value.S}, valid types: {${[...dataTypes].sort().join(',')}}`,
          );
        }
        return { kind: 'type', path, type: value.S! };
      }
      case 'begins_with':
      case 'contains': {
        const operand = this.operand();
        this.expect(',');
        const sought = this.operand();
        if (name === 'begins_with') {
          for (const each of [operand, sought])
            if (each.kind === 'value') this.requireType(name, each.value, ['S', 'B']);
        }
        return { kind: name, operand, sought };
      }
      case 'if_not_exists':
      case 'list_append':
        throw this.invalid(`The function is not allowed in a ${this.described()} expression; function: ${name}`);
      default:
        throw this.invalid(`Invalid function name; function: ${name}`);
    }
  }

  private operand(): Operand {
    if (this.peek()?.startsWith(':')) return this.value();
    if (!this.atCall()) return this.path();
    const name = this.next();
    if (name !== 'size') throw this.invalid(`Invalid function name; function: ${name}`);
    this.expect('(');
    const path = this.path();
    this.expect(')');
    return { kind: 'size', path };
  }

  private assigned(): Assigned {
    const left = this.assignedOperand();
    for (const operator of ['+', '-'] as const) {
      if (!this.take(operator)) continue;
      const right = this.assignedOperand();
      for (const each of [left, right]) if (each.kind === 'value') this.requireType(operator, each.value, ['N']);
      return { kind: operator, left, right };
    }
    return left;
  }

  private assignedOperand(): Assigned {
    if (this.peek()?.startsWith(':')) return this.value();
    if (!this.atCall()) return this.path();
    const name = this.next();
    this.expect('(');
    let assigned: Assigned;
    if (name === 'if_not_exists') {
      const path = this.path();
      this.expect(',');
      assigned = { kind: name, path, otherwise: this.assignedOperand() };
    } else if (name === 'list_append') {
      const left = this.assignedOperand();
      this.expect(',');
      const right = this.assignedOperand();
      for (const each of [left, right]) if (each.kind === 'value') this.requireType(name, each.value, ['L']);
      assigned = { kind: name, left, right };
    } else {
      throw this.invalid(`Invalid function name; function: ${name}`);
    }
    this.expect(')');
    return assigned;
  }

  private value(): Value {
    const token = this.peek();
    if (token === undefined || !token.startsWith(':')) throw this.syntaxError();
    this.at += 1;
    return { kind: 'value', value: this.placeholders.value(token, this.kind) };
  }

  private name(): string {
    const token = this.peek();
    if (token === undefined || !/^[#A-Za-z]/.test(token)) throw this.syntaxError();
    if (token.startsWith('#')) {
      this.at += 1;
      return this.placeholders.name(token, this.kind);
    }
    if (reservedWords.has(token.toUpperCase()))
      throw this.invalid(`Attribute name is a reserved keyword; reserved keyword: ${token}`);
    this.at += 1;
    return token;
  }

  private atCall(): boolean {
    return (
      /^[A-Za-z]/.test(this.peek() ?? '') &&
      this.tokens[this.at + 1] === '(' &&
      !['AND', 'OR', 'NOT', 'IN', 'BETWEEN'].includes(this.peek()!.toUpperCase())
    );
  }

  private requireType(operator: string, value: AttributeValue, allowed: DataType[]): void {
    const type = typeOf(value);
    if (!allowed.includes(type))
      throw this.invalid(
        `Incorrect operand type for operator or function; operator or function: ${operator}, operand type: ${type}`,
      );
  }

  private requireOrderedBounds(low: Operand, high: Operand): void {
    if (low.kind !== 'value' || high.kind !== 'value') return;
    const order = compareValues(low.value, high.value);
    const bounds = `lower bound operand: ${JSON.stringify(low.value)}, upper bound operand: ${JSON.stringify(high.value)}`;
    if (order === undefined)
      throw this.invalid(`The BETWEEN operator requires same data type for lower and upper bounds; ${bounds}`);
    if (order > 0)
      throw this.invalid(
        `The BETWEEN operator requires upper bound to be greater than or equal to lower bound; ${bounds}`,
      );
  }

  private counted(condition: Condition): Condition {
    this.operators += 1;
    if (this.operators > MAX_OPERATORS)
      throw this.invalid(`The expression contains too many operators; operator count: ${this.operators}`);
    return condition;
  }

  private peek(): string | undefined {
    return this.tokens[this.at];
  }

  private next(): string {
    return this.tokens[this.at++]!;
  }

  private takeWord(word: string): boolean {
    if (this.peek()?.toUpperCase() !== word) return false;
    this.at += 1;
    return true;
  }

  private expect(token: string): void {
    if (!this.take(token)) throw this.syntaxError();
  }

  private tokenize(text: string): string[] {
    const tokens: string[] = [];
    const token = /\s+|([A-Za-z][A-Za-z0-9_]*|[#:][A-Za-z0-9_]+|\d+|<>|<=|>=|[=<>()[\],.+-])/y;
    while (token.lastIndex < text.length) {
      const from = token.lastIndex;
      const match = token.exec(text);
      if (!match)
        throw this.invalid(
          `Syntax error; token: "${text[from]}", near: "${text.slice(Math.max(0, from - 10), from + 10)}"`,
        );
      if (match[1] !== undefined) tokens.push(match[1]);
    }
    return tokens;
  }

  private syntaxError(): Error {
    const near = this.tokens.slice(Math.max(0, this.at - 1), this.at + 2).join(' ');
    return this.invalid(`Syntax error; token: "${this.peek() ?? '<EOF>'}", near: "${near}"`);
  }

  private invalid(reason: string): Error {
    return validationError(`Invalid ${this.kind}: ${reason}`);
  }

  private described(): string {
    return this.kind.replace('Expression', '').toLowerCase();
  }
}

/** The syntax tree of DynamoDB's expressions, with placeholders already replaced. */
import type { AttributeValue } from './values';

/** A document path such as `a.b[2]`: names and list indices; the first step is a name. */
export interface Path {
  kind: 'path';
  steps: (string | number)[];
}
export interface Value {
  kind: 'value';
  value: AttributeValue;
}
export interface Size {
  kind: 'size';
  path: Path;
}
export type Operand = Path | Value | Size;

export type Comparator = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type Condition =
  | { kind: 'and' | 'or'; left: Condition; right: Condition }
  | { kind: 'not'; condition: Condition }
  | { kind: 'compare'; comparator: Comparator; left: Operand; right: Operand }
  | { kind: 'between'; operand: Operand; low: Operand; high: Operand }
  | { kind: 'in'; operand: Operand; list: Operand[] }
  | { kind: 'exists'; path: Path; wanted: boolean }
  | { kind: 'type'; path: Path; type: string }
  | { kind: 'begins_with' | 'contains'; operand: Operand; sought: Operand };

/** What SET may assign. */
export type Assigned =
  | Path
  | Value
  | { kind: 'if_not_exists'; path: Path; otherwise: Assigned }
  | { kind: 'list_append' | '+' | '-'; left: Assigned; right: Assigned };

export interface Update {
  set: { path: Path; assigned: Assigned }[];
  remove: { path: Path }[];
  add: { path: Path; value: AttributeValue }[];
  delete: { path: Path; value: AttributeValue }[];
}

/** The path as DynamoDB prints it in messages: `[a, b, [2]]`. */
export function printPath({ steps }: Path): string {
  return `[${steps.map((step) => (typeof step === 'number' ? `[${step}]` : step)).join(', ')}]`;
}

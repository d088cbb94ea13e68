/**
 * The `#name` and `:value` placeholders of one request. Its expressions share them, and each must be used.
 * Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html
 */
import { canonicalValue, validationError, type AttributeValue } from './values';

export class Placeholders {
  private readonly names: Map<string, string>;
  private readonly values: Map<string, AttributeValue>;
  private readonly used = new Set<string>();

  /** @param hasExpression whether the request has an expression; placeholders without one are an error */
  constructor(
    names: Record<string, string> | undefined,
    values: Record<string, unknown> | undefined,
    hasExpression: boolean,
  ) {
    for (const [parameter, given, prefix] of [
      ['ExpressionAttributeNames', names, '#'],
      ['ExpressionAttributeValues', values, ':'],
    ] as const) {
      if (given === undefined) continue;
      if (!hasExpression) throw validationError(`${parameter} can only be specified when using expressions`);
      if (Object.keys(given).length === 0) throw validationError(`${parameter} must not be empty`);
      for (const key of Object.keys(given)) {
        if (!new RegExp(`^${prefix}[A-Za-z0-9_]+$`).test(key))
          throw validationError(`${parameter} contains invalid key: Syntax error; key: "${key}"`);
      }
    }
    this.names = new Map(Object.entries(names ?? {}));
    this.values = new Map(
      Object.entries(values ?? {}).map(([key, value]) => {
        try {
          return [key, canonicalValue(value)];
        } catch (error) {
          throw validationError(
            `ExpressionAttributeValues contains invalid value: ${(error as Error).message} for key ${key}`,
          );
        }
      }),
    );
  }

  name(placeholder: string, expression: string): string {
    const name = this.names.get(placeholder);
    if (name === undefined)
      throw validationError(
        `Invalid ${expression}: An expression attribute name used in the document path is not defined; ` +
          `attribute name: ${placeholder}`,
      );
    this.used.add(placeholder);
    return name;
  }

  value(placeholder: string, expression: string): AttributeValue {
    const value = this.values.get(placeholder);
    if (value === undefined)
      throw validationError(
        `Invalid ${expression}: An expression attribute value used in expression is not defined; attribute ` +
          `value: ${placeholder}`,
      );
    this.used.add(placeholder);
    return value;
  }

  /** Call this after all expressions are parsed. @throws AwsError for unused placeholders */
  finish(): void {
    for (const [parameter, given] of [
      ['ExpressionAttributeNames', this.names],
      ['ExpressionAttributeValues', this.values],
    ] as const) {
      const unused = [...given.keys()].filter((key) => !this.used.has(key));
      if (unused.length > 0)
        throw validationError(`Value provided in ${parameter} unused in expressions: keys: {${unused.join(', ')}}`);
    }
  }
}

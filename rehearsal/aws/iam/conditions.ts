/**
 * The `Condition` of a statement: the operators and condition keys that our templates' policies use. Any other operator
 * or key is an Error that names it.
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import { ArnGlob, Glob, type Keys } from './glob';

export interface Condition {
  /** Every key that its outcome depends on, including those in its variables. */
  keys: string[];
  holds(keys: Keys): boolean;
}

type Comparison = { variables: string[]; matches(value: string, keys: Keys): boolean };

interface Operator {
  /** Whether the request's value must match one of the policy's values, or none of them. */
  negated: boolean;
  value(text: string, variables: boolean): Comparison;
}

const exactly = (text: string, variables: boolean) => new Glob(text, { wildcards: false, variables });
const arn = (text: string, variables: boolean) => new ArnGlob(text, variables);

const OPERATORS: Record<string, Operator> = {
  StringEquals: { negated: false, value: exactly },
  StringNotEquals: { negated: true, value: exactly },
  StringLike: { negated: false, value: (text, variables) => new Glob(text, { wildcards: true, variables }) },
  ArnEquals: { negated: false, value: arn },
  ArnLike: { negated: false, value: arn },
  Bool: {
    negated: false,
    value: (text, variables) => new Glob(text, { wildcards: false, variables, ignoreCase: true }),
  },
};

/** Whether a key may have many values in a request. A name that ends in `/` is followed by a tag key. */
const KEYS: Record<string, 'one' | 'many'> = {
  'aws:requesttag/': 'one',
  'aws:resourcetag/': 'one',
  'aws:securetransport': 'one',
  'aws:sourceaccount': 'one',
  'aws:sourcearn': 'one',
  'aws:tagkeys': 'many',
  'aws:userid': 'one',
  'dynamodb:leadingkeys': 'many',
  'ec2:createaction': 'one',
  'ec2:resourcetag/': 'one',
  'elasticloadbalancing:createaction': 'one',
  'elasticloadbalancing:resourcetag/': 'one',
  'events:source': 'many',
  'kms:grantisforawsresource': 'one',
  'kms:viaservice': 'one',
};

/** @throws Error when a variable uses a key that the emulation does not know, for which AWS might have a value */
export function requireKnownVariables(variables: string[], where: string): void {
  for (const variable of variables)
    if (!isKnown(variable))
      throw new Error(
        `The emulation does not know the policy variable \${${variable}} in ${where}. It knows ` +
          `${Object.keys(KEYS).join(', ')}.`,
      );
}

const kindOf = (key: string) => KEYS[key.replace(/\/.*$/, '/')];
const isKnown = (key: string) => kindOf(key) !== undefined;

/** @throws Error for an unknown operator, key or variable, and for an empty list of values */
export function compileConditions(block: Record<string, Record<string, unknown>>, variables: boolean): Condition[] {
  return Object.entries(block).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => compile(operator, key, values, variables)),
  );
}

function compile(name: string, givenKey: string, given: unknown, variables: boolean): Condition {
  const [, quantifier, operatorName = '', ifExists] = /^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$/.exec(name)!;
  const operator = OPERATORS[operatorName];
  if (!operator)
    throw new Error(
      `The emulation does not know the condition operator '${name}'. It knows ` +
        `${Object.keys(OPERATORS).join(', ')}, with IfExists, ForAllValues: and ForAnyValue:.`,
    );
  const key = givenKey.toLowerCase();
  const kind = kindOf(key);
  if (!kind)
    throw new Error(
      `The emulation does not know the condition key '${givenKey}'. It knows ${Object.keys(KEYS).join(', ')}.`,
    );
  if (kind === 'many' && quantifier === undefined)
    throw new Error(
      `The condition key '${givenKey}' has many values: say whether ForAllValues:${name} or ` +
        `ForAnyValue:${name} is meant.`,
    );
  const comparisons = [given].flat().map((value) => operator.value(String(value), variables));
  if (comparisons.length === 0) throw new Error(`The condition ${name} of '${givenKey}' has no values.`);
  requireKnownVariables(
    comparisons.flatMap((comparison) => comparison.variables),
    `the condition ${name} of '${givenKey}'`,
  );
  const holdsFor = (value: string, keys: Keys) =>
    comparisons.some((comparison) => comparison.matches(value, keys)) !== operator.negated;
  return {
    keys: [key, ...comparisons.flatMap((comparison) => comparison.variables)],
    holds(keys) {
      const values = keys[key] ?? [];
      // Source for absent keys:
      // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
      if (quantifier === 'ForAllValues') return values.every((value) => holdsFor(value, keys));
      if (values.length === 0) return ifExists !== undefined || (operator.negated && quantifier === undefined);
      return values.some((value) => holdsFor(value, keys));
    },
  };
}

/**
 * Policy strings with wildcards (`*`, `?`) and variables (`${aws:userid}`), compiled for comparison.
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
 */

/** Values of the request's condition keys. Key names are case-insensitive, so they are in lower case here. */
export type Keys = Readonly<Record<string, readonly string[] | undefined>>;

interface Options {
  /** Whether `*` and `?` are wildcards: not in `StringEquals`. */
  wildcards: boolean;
  /** Whether `${...}` is replaced: only in policies of version 2012-10-17. */
  variables: boolean;
  /** @default false */
  ignoreCase?: boolean;
}

/** A regular expression, or a variable whose value is matched literally. */
type Part = { pattern: string } | { variable: string; otherwise: string | undefined };

/** `${key}`, `${key, 'default'}`, and the escapes `${*}`, `${?}`, `${$}`. */
const VARIABLE = /\$\{([^},]*?)(?:\s*,\s*'([^']*)')?\}/g;

export class Glob {
  /** The condition keys that it uses as variables. */
  readonly variables: string[];
  private readonly parts: Part[];
  private readonly fixed: RegExp | undefined;

  constructor(
    readonly text: string,
    private readonly options: Options,
  ) {
    this.parts = partsOf(text, options);
    this.variables = this.parts.flatMap((part) => ('variable' in part ? [part.variable] : []));
    if (this.variables.length === 0) this.fixed = this.expression({});
  }

  /** A variable without a value in the request matches nothing. */
  matches(value: string, keys: Keys): boolean {
    return (this.fixed ?? this.expression(keys))?.test(value) ?? false;
  }

  private expression(keys: Keys): RegExp | undefined {
    let source = '';
    for (const part of this.parts) {
      if ('pattern' in part) source += part.pattern;
      else {
        const values = keys[part.variable];
        const value = values?.length === 1 ? values[0] : part.otherwise;
        if (value === undefined) return undefined;
        source += escape(value);
      }
    }
    return new RegExp(`^(?:${source})$`, this.options.ignoreCase ? 'is' : 's');
  }
}

/**
 * An ARN with wildcards; its six parts are compared separately. Source:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
 */
export class ArnGlob {
  readonly variables: string[];
  private readonly parts: Glob[];

  /** @throws Error when the text does not have six parts */
  constructor(
    readonly text: string,
    variables: boolean,
  ) {
    const parts = splitArn(text);
    if (parts.length < 6)
      throw new Error(`'${text}' is not an ARN: it has ${parts.length} of the six parts between colons.`);
    this.parts = parts.map((part) => new Glob(part, { wildcards: true, variables }));
    this.variables = this.parts.flatMap((part) => part.variables);
  }

  matches(value: string, keys: Keys): boolean {
    const values = splitArn(value);
    return values.length === this.parts.length && this.parts.every((part, n) => part.matches(values[n]!, keys));
  }
}

/** The five parts before the resource, and the resource with all its colons. Colons within `${...}` do not separate. */
function splitArn(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let n = 0; n < text.length && parts.length < 5; n += 1) {
    if (text.startsWith('${', n)) depth += 1;
    else if (text[n] === '}' && depth > 0) depth -= 1;
    else if (text[n] === ':' && depth === 0) {
      parts.push(text.slice(start, n));
      start = n + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function partsOf(text: string, options: Options): Part[] {
  if (!options.variables) return [{ pattern: patternOf(text, options) }];
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(VARIABLE)) {
    parts.push({ pattern: patternOf(text.slice(end, match.index), options) });
    const [whole, name, otherwise] = match;
    parts.push(
      ['*', '?', '$'].includes(name!) ? { pattern: escape(name!) } : { variable: name!.toLowerCase(), otherwise },
    );
    end = match.index + whole.length;
  }
  return [...parts, { pattern: patternOf(text.slice(end), options) }];
}

function patternOf(text: string, { wildcards }: Options): string {
  return wildcards ? escape(text).replaceAll('\\*', '.*').replaceAll('\\?', '.') : escape(text);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

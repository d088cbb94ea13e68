/**
 * A synthesised template: its dependencies, and the values of its intrinsic functions. It knows no resource types.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
 */

export interface TemplateResource {
  Type: string;
  Properties?: Record<string, any>;
  DependsOn?: string | string[];
  Condition?: string;
  CreationPolicy?: Record<string, any>;
  UpdatePolicy?: Record<string, any>;
  DeletionPolicy?: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
}

export interface Template {
  Parameters?: Record<string, { Type: string; Default?: unknown }>;
  Mappings?: Record<string, Record<string, Record<string, unknown>>>;
  Conditions?: Record<string, unknown>;
  Rules?: Record<string, { Assertions: { Assert: unknown; AssertDescription?: string }[] }>;
  Resources: Record<string, TemplateResource>;
  Outputs?: Record<string, { Value: unknown; Condition?: string; Export?: unknown }>;
}

/** What intrinsic functions need from the stack. */
export interface Scope {
  /** Parameters and pseudo parameters. */
  parameters: Record<string, unknown>;
  zones: string[];
  ssmParameter(name: string): string;
  /** The value of `Ref` for an existing resource. */
  ref(logicalId: string): unknown;
  attribute(logicalId: string, name: string): unknown;
}

/** `AWS::NoValue`: removes the property. */
const NO_VALUE = Symbol('AWS::NoValue');
const SECTIONS = [
  'AWSTemplateFormatVersion',
  'Description',
  'Metadata',
  'Parameters',
  'Mappings',
  'Conditions',
  'Rules',
  'Resources',
  'Outputs',
];

export class TemplateReader {
  constructor(readonly template: Template) {
    for (const section of Object.keys(template)) {
      if (!SECTIONS.includes(section))
        throw new Error(
          `The emulation does not know the template section '${section}'. It knows ${SECTIONS.join(', ')}.`,
        );
    }
  }

  /**
   * The resources whose condition holds, by logical id, each with its dependencies.
   * @throws Error naming a circle or an unknown logical id
   */
  dependencies(scope: Scope): Map<string, Set<string>> {
    const present = Object.entries(this.template.Resources).filter(
      ([, resource]) => resource.Condition === undefined || this.condition(resource.Condition, scope),
    );
    const ids = new Set(present.map(([id]) => id));
    const graph = new Map<string, Set<string>>();
    for (const [id, resource] of present) {
      const explicit = [resource.DependsOn ?? []].flat();
      const missing = explicit.filter((other) => !(other in this.template.Resources));
      if (missing.length > 0)
        throw new Error(
          `Template format error: Unresolved resource dependencies [${missing.join(', ')}] in the ` +
            'Resources block of the template',
        );
      const needs = new Set(explicit.filter((other) => ids.has(other)));
      for (const other of this.references(resource.Properties ?? {}, scope)) {
        if (!ids.has(other))
          throw new Error(
            `Template format error: Unresolved resource dependencies [${other}] in the Resources block of the template`,
          );
        needs.add(other);
      }
      graph.set(id, needs);
    }
    this.refuseCircles(graph);
    return graph;
  }

  /** @throws Error naming the rule that does not hold */
  checkRules(scope: Scope): void {
    for (const [name, rule] of Object.entries(this.template.Rules ?? {})) {
      for (const { Assert: assertion, AssertDescription: description } of rule.Assertions) {
        if (!this.truth(assertion, scope))
          throw new Error(
            `Template validation error: Rule '${name}' failed: ${description ?? 'an assertion does not hold'}`,
          );
      }
    }
  }

  outputs(scope: Scope): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.template.Outputs ?? {})
        .filter(([, output]) => output.Condition === undefined || this.condition(output.Condition, scope))
        .map(([name, output]) => [name, String(this.resolve(output.Value, scope))]),
    );
  }

  /** The value with every intrinsic function resolved. */
  resolve(value: unknown, scope: Scope): any {
    const resolved = this.evaluate(value, scope);
    return resolved === NO_VALUE ? undefined : resolved;
  }

  condition(name: string, scope: Scope): boolean {
    const conditions = this.template.Conditions ?? {};
    if (!(name in conditions)) throw new Error(`Template format error: Unresolved condition dependency ${name}`);
    return this.truth(conditions[name], scope);
  }

  private evaluate(value: unknown, scope: Scope): unknown {
    if (Array.isArray(value))
      return value.map((item) => this.evaluate(item, scope)).filter((item) => item !== NO_VALUE);
    if (typeof value === 'string') return dynamicReferences(value, scope);
    if (typeof value !== 'object' || value === null) return value;
    const call = functionCall(value);
    if (call) return this.apply(call.name, call.argument, scope);
    const entries = Object.entries(value).map(([key, item]) => [key, this.evaluate(item, scope)] as const);
    return Object.fromEntries(entries.filter(([, item]) => item !== NO_VALUE));
  }

  private apply(name: string, argument: any, scope: Scope): unknown {
    const text = (part: unknown) => String(this.resolve(part, scope));
    switch (name) {
      case 'Ref':
        return argument === 'AWS::NoValue' ? NO_VALUE : this.ref(argument, scope);
      case 'Fn::GetAtt': {
        const [id, attribute] = attributeReference(argument);
        return scope.attribute(id, text(attribute));
      }
      case 'Fn::Sub': {
        const [pattern, variables = {}] = [argument].flat() as [string, Record<string, unknown>?];
        return pattern.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, reference: string) => {
          if (literal) return `\${${reference}}`;
          if (reference in variables) return text(variables[reference]);
          return reference.includes('.')
            ? String(scope.attribute(...splitAttribute(reference)))
            : String(this.ref(reference, scope));
        });
      }
      case 'Fn::Join': {
        const [separator, parts] = argument as [string, unknown];
        return (this.resolve(parts, scope) as unknown[]).map(String).join(separator);
      }
      case 'Fn::Split': {
        const [separator, whole] = argument as [string, unknown];
        return text(whole).split(separator);
      }
      case 'Fn::Select': {
        const [index, list] = argument as [unknown, unknown];
        const items = this.resolve(list, scope) as unknown[];
        const item = items[Number(text(index))];
        if (item === undefined)
          throw new Error(`Template error: Fn::Select cannot select nonexistent value at index ${text(index)}`);
        return item;
      }
      case 'Fn::GetAZs':
        return scope.zones;
      case 'Fn::Base64':
        return Buffer.from(text(argument)).toString('base64');
      case 'Fn::FindInMap': {
        const [map, first, second] = (argument as unknown[]).map(text);
        const found = this.template.Mappings?.[map!]?.[first!]?.[second!];
        if (found === undefined)
          throw new Error(`Template error: Unable to get mapping for ${map}::${first}::${second}`);
        return found;
      }
      case 'Fn::If': {
        const [condition, whenTrue, whenFalse] = argument as [string, unknown, unknown];
        return this.evaluate(this.condition(condition, scope) ? whenTrue : whenFalse, scope);
      }
      default:
        throw new Error(`The emulation does not know the intrinsic function '${name}'.`);
    }
  }

  private truth(value: unknown, scope: Scope): boolean {
    const call = typeof value === 'object' && value !== null ? functionCall(value) : undefined;
    switch (call?.name) {
      case 'Condition':
        return this.condition(call.argument as string, scope);
      case 'Fn::Equals': {
        const [left, right] = call.argument as [unknown, unknown];
        return String(this.resolve(left, scope)) === String(this.resolve(right, scope));
      }
      case 'Fn::And':
        return (call.argument as unknown[]).every((part) => this.truth(part, scope));
      case 'Fn::Or':
        return (call.argument as unknown[]).some((part) => this.truth(part, scope));
      case 'Fn::Not':
        return !this.truth((call.argument as unknown[])[0], scope);
      case 'Fn::Contains': {
        const [list, item] = call.argument as [unknown, unknown];
        return (this.resolve(list, scope) as unknown[]).map(String).includes(String(this.resolve(item, scope)));
      }
      default:
        throw new Error(`The emulation does not know this condition: ${JSON.stringify(value)}`);
    }
  }

  private ref(id: string, scope: Scope): unknown {
    return id in scope.parameters ? scope.parameters[id] : scope.ref(id);
  }

  /** Logical ids of the resources that a value refers to; of an Fn::If, only those in the chosen branch. */
  private references(value: unknown, scope: Scope): Set<string> {
    const found = new Set<string>();
    const visit = (part: unknown): void => {
      if (Array.isArray(part)) return part.forEach(visit);
      if (typeof part !== 'object' || part === null) return;
      const call = functionCall(part);
      if (!call) return Object.values(part).forEach(visit);
      const { name, argument } = call as { name: string; argument: any };
      if (name === 'Ref') {
        if (!(argument in scope.parameters) && !argument.startsWith('AWS::')) found.add(argument);
      } else if (name === 'Fn::GetAtt') {
        found.add(attributeReference(argument)[0]);
      } else if (name === 'Fn::If') {
        visit(argument[this.condition(argument[0], scope) ? 1 : 2]);
      } else {
        if (name === 'Fn::Sub') {
          const [pattern, variables = {}] = [argument].flat() as [string, Record<string, unknown>?];
          for (const [, literal, reference = ''] of pattern.matchAll(/\$\{(!?)([^}]+)\}/g)) {
            if (literal || reference in variables || reference in scope.parameters || reference.startsWith('AWS::'))
              continue;
            found.add(splitAttribute(reference)[0]);
          }
        }
        visit(argument);
      }
    };
    visit(value);
    return found;
  }

  private refuseCircles(graph: Map<string, Set<string>>): void {
    const settled = new Set<string>();
    for (let progress = true; progress;) {
      progress = false;
      for (const [id, needs] of graph) {
        if (settled.has(id) || ![...needs].every((other) => settled.has(other))) continue;
        settled.add(id);
        progress = true;
      }
    }
    const rest = [...graph.keys()].filter((id) => !settled.has(id));
    if (rest.length > 0) throw new Error(`Circular dependency between resources: [${rest.join(', ')}]`);
  }
}

function functionCall(value: object): { name: string; argument: unknown } | undefined {
  const keys = Object.keys(value);
  const [name] = keys;
  if (keys.length !== 1 || name === undefined) return undefined;
  // `Condition` is a function only inside conditions; in a policy statement it is a plain key.
  if (name === 'Ref' || name.startsWith('Fn::')) return { name, argument: (value as Record<string, unknown>)[name] };
  if (name === 'Condition' && typeof (value as Record<string, unknown>)[name] === 'string')
    return { name, argument: (value as Record<string, unknown>)[name] };
  return undefined;
}

/**
 * `{{resolve:ssm:name}}`: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-ssm.html
 */
function dynamicReferences(text: string, scope: Scope): string {
  return text.replace(/\{\{resolve:([a-z-]+):([^}]+)\}\}/g, (_, service: string, reference: string) => {
    if (service !== 'ssm')
      throw new Error(`The emulation does not know dynamic references to '${service}': {{resolve:${service}:...}}.`);
    return scope.ssmParameter(reference.replace(/:\d+$/, ''));
  });
}

function attributeReference(argument: unknown): [string, unknown] {
  return typeof argument === 'string' ? splitAttribute(argument) : (argument as [string, unknown]);
}

function splitAttribute(reference: string): [string, string] {
  const dot = reference.indexOf('.');
  return dot < 0 ? [reference, ''] : [reference.slice(0, dot), reference.slice(dot + 1)];
}

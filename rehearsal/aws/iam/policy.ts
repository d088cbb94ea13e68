/**
 * Policy documents, compiled once. What IAM refuses is a MalformedPolicyDocument; an element that IAM knows but the
 * emulation does not is an Error that names it.
 * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
 */
import { AwsError } from '../core/types';
import { compileConditions, requireKnownVariables, type Condition } from './conditions';
import { ArnGlob, Glob, type Keys } from './glob';

export interface PolicyDocument {
  Version?: string;
  Id?: string;
  Statement: Record<string, any> | Record<string, any>[];
}

/** The kind of a policy: of a role (also its boundary), of a resource, or the trust policy of a role. */
export type PolicyKind = 'identity' | 'resource' | 'trust';

/** A principal that a statement of a resource policy names. */
export type NamedPrincipal =
  { type: 'everybody' } | { type: 'aws'; value: string } | { type: 'service'; value: string };

export interface Statement {
  sid: string | undefined;
  /** Its index in the policy, from 0. */
  index: number;
  effect: 'Allow' | 'Deny';
  /** The condition keys that its outcome may depend on, in lower case. */
  keys: string[];
  /** Empty in role policies. */
  principals: NamedPrincipal[];
  appliesTo(action: string): boolean;
  covers(resource: string, keys: Keys): boolean;
  holds(keys: Keys): boolean;
}

export interface Policy {
  name: string;
  document: PolicyDocument;
  statements: Statement[];
}

/**
 * Only policies of this version have variables. Source:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
 */
const VERSION_WITH_VARIABLES = '2012-10-17';
const VERSIONS = [VERSION_WITH_VARIABLES, '2008-10-17'];
const DOCUMENT_ELEMENTS = ['Version', 'Id', 'Statement'];
const STATEMENT_ELEMENTS: Record<PolicyKind, string[]> = {
  identity: ['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
  resource: ['Sid', 'Effect', 'Principal', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
  trust: ['Sid', 'Effect', 'Principal', 'Action', 'Condition'],
};

export function compilePolicy(name: string, kind: PolicyKind, document: PolicyDocument): Policy {
  const refuse: Refuse = (why) => {
    throw new AwsError('MalformedPolicyDocument', `Policy ${name}: ${why}`);
  };
  requireKnown(document, DOCUMENT_ELEMENTS, `the policy ${name}`);
  if (document.Version !== undefined && !VERSIONS.includes(document.Version))
    refuse(`Policy document must be version 2012-10-17 or greater, not ${document.Version}.`);
  if (document.Statement === undefined) refuse('Missing required field Statement');
  const variables = document.Version === VERSION_WITH_VARIABLES;
  const given = [document.Statement].flat();
  const sids = given.flatMap((statement) => (statement.Sid === undefined ? [] : [statement.Sid]));
  if (new Set(sids).size < sids.length) refuse('Statement IDs (SID) in a single policy must be unique.');
  const statements = given.map((statement, index) => {
    requireKnown(
      statement,
      STATEMENT_ELEMENTS[kind],
      `statement ${statement.Sid ?? index} of the ${kind} policy ${name}`,
    );
    return compileStatement(statement, index, kind, variables, refuse);
  });
  return { name, document, statements };
}

type Refuse = (why: string) => never;

function requireKnown(given: object, known: string[], where: string): void {
  const unknown = Object.keys(given).filter((element) => !known.includes(element));
  if (unknown.length > 0)
    throw new Error(
      `The emulation does not know the element ${unknown.join(', ')} in ${where}. It knows ${known.join(', ')}.`,
    );
}

function compileStatement(
  given: Record<string, any>,
  index: number,
  kind: PolicyKind,
  variables: boolean,
  refuse: Refuse,
): Statement {
  if (given.Effect !== 'Allow' && given.Effect !== 'Deny') refuse(`Invalid effect: ${given.Effect}`);
  const actions = oneOf(given, 'Action', 'NotAction', refuse);
  const resources =
    kind === 'trust' ? { negated: false, values: ['*'] } : oneOf(given, 'Resource', 'NotResource', refuse);
  const actionGlobs = actions.values.map((action) => actionGlob(action, refuse));
  const resourceGlobs = resources.values.map((resource) => resourceGlob(resource, variables, refuse));
  for (const { text, variables: used } of resourceGlobs) requireKnownVariables(used, `the resource ${text}`);
  const conditions: Condition[] = compileConditions(given.Condition ?? {}, variables);
  return {
    sid: given.Sid,
    index,
    effect: given.Effect,
    keys: [...resourceGlobs.flatMap((glob) => glob.variables), ...conditions.flatMap((condition) => condition.keys)],
    principals: kind === 'identity' ? [] : principalsOf(given.Principal, refuse),
    appliesTo: (action) => actionGlobs.some((glob) => glob.matches(action, {})) !== actions.negated,
    covers: (resource, keys) => resourceGlobs.some((glob) => glob.matches(resource, keys)) !== resources.negated,
    holds: (keys) => conditions.every((condition) => condition.holds(keys)),
  };
}

function oneOf(
  given: Record<string, any>,
  element: string,
  negation: string,
  refuse: Refuse,
): { negated: boolean; values: string[] } {
  if ((given[element] === undefined) === (given[negation] === undefined))
    refuse(`Policy statement must contain either ${element} or ${negation}.`);
  const values = [given[element] ?? given[negation]].flat().map(String);
  if (values.length === 0) refuse(`Policy statement must contain ${element.toLowerCase()}s.`);
  return { negated: given[element] === undefined, values };
}

/**
 * Action names are case-insensitive:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
 */
function actionGlob(action: string, refuse: Refuse): Glob {
  if (action !== '*' && !/^[a-z0-9-]+:[a-zA-Z0-9*?]+$/i.test(action))
    refuse(`Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: ${action}`);
  return new Glob(action, { wildcards: true, variables: false, ignoreCase: true });
}

function resourceGlob(resource: string, variables: boolean, refuse: Refuse): Glob | ArnGlob {
  if (resource === '*') return new Glob('*', { wildcards: true, variables: false });
  if (!resource.startsWith('arn:') || resource.split(':').length < 6)
    refuse(`Resource ${resource} must be in ARN format or "*".`);
  return new ArnGlob(resource, variables);
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html */
function principalsOf(given: unknown, refuse: Refuse): NamedPrincipal[] {
  if (given === undefined) refuse('Missing required field Principal');
  if (given === '*') return [{ type: 'everybody' }];
  return Object.entries(given as Record<string, string | string[]>).flatMap(([kind, values]) =>
    [values].flat().map((value): NamedPrincipal => {
      if (kind === 'Service') return { type: 'service', value };
      if (kind !== 'AWS')
        throw new Error(`The emulation does not know principals of the kind '${kind}'. It knows AWS, Service and "*".`);
      if (value === '*') return { type: 'everybody' };
      if (!/^(arn:|\d{12}$)/.test(value))
        throw new Error(`The emulation knows principals by ARN or account, not '${value}'.`);
      return { type: 'aws', value };
    }),
  );
}

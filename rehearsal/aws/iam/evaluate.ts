/**
 * Whether a request is allowed, by IAM's documented rules for one account. An explicit Deny in any policy decides;
 * otherwise the request needs an Allow in the caller's own policies, limited by its boundary, or in the resource's
 * policy. Pure.
 * Source:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
 */
import type { Keys } from './glob';
import type { NamedPrincipal, Policy, Statement } from './policy';

/** The caller: a session of a role, or an AWS service in its own name. */
export type Caller =
  { type: 'session'; arn: string; roleArn: string; accountId: string } | { type: 'service'; name: string };

export interface Request {
  caller: Caller;
  /** `dynamodb:GetItem` */
  action: string;
  /** An ARN, or `*` for actions without resources. */
  resource: string;
  keys: Keys;
}

/** The policies that apply to a request. */
export interface Policies {
  identity: Policy[];
  boundary?: Policy;
  resource?: Policy;
  /**
   * Whether identity policies count only if the resource's policy delegates to the account, as with KMS keys.
   * Source:
   * https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-root-enable-iam
   */
  resourceDecides?: boolean;
}

/** A statement that decided, and its policy. */
export interface Match {
  policy: Policy;
  statement: Statement;
}

export type Decision = { allowed: true; decidedBy: Match[] } | { allowed: false; because: string; decidedBy: Match[] };

/** How specifically a resource policy names the caller. */
type Naming = 'directly' | 'by role' | 'by account' | 'not';

export function evaluate(
  request: Request,
  { identity, boundary, resource, resourceDecides = false }: Policies,
): Decision {
  const ownMatches = matches(request, identity);
  const limits = boundary && matches(request, [boundary]);
  const named = matches(request, resource ? [resource] : []).map((match) => ({
    ...match,
    naming: naming(match.statement.principals, request.caller),
  }));

  const explicit =
    denied('an identity-based policy', ownMatches) ??
    denied(
      'a resource-based policy',
      named.filter((match) => match.naming !== 'not'),
    ) ??
    denied('a permissions boundary', limits ?? []);
  if (explicit) return explicit;

  // A boundary limits what a resource policy grants to the role, but not what it grants to everyone or to the session
  // itself. Source:
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic
  const direct = allows(named.filter((match) => match.naming === 'directly'));
  const delegated = allows(named.filter((match) => match.naming === 'by account'));
  const ownCounts = !resourceDecides || delegated.length > 0;
  const limited = [
    ...(ownCounts ? allows(ownMatches) : []),
    ...allows(named.filter((match) => match.naming === 'by role')),
  ];
  const within = allows(limits ?? []);
  const granted = limits === undefined || within.length > 0 ? limited : [];
  if (granted.length > 0) return { allowed: true, decidedBy: [...direct, ...delegated, ...granted, ...within] };
  if (direct.length > 0) return { allowed: true, decidedBy: direct };
  const missing =
    request.caller.type === 'service' || !ownCounts
      ? 'resource-based policy'
      : limited.length > 0
        ? 'permissions boundary'
        : 'identity-based policy';
  return { allowed: false, because: `because no ${missing} allows the ${request.action} action`, decidedBy: [] };
}

function denied(where: string, found: Match[]): Decision | undefined {
  const decidedBy = found.filter(({ statement }) => statement.effect === 'Deny');
  return decidedBy.length > 0 ? { allowed: false, because: `with an explicit deny in ${where}`, decidedBy } : undefined;
}

function matches({ action, resource, keys }: Request, policies: Policy[]): Match[] {
  return policies.flatMap((policy) =>
    policy.statements
      .filter((statement) => statement.appliesTo(action) && statement.covers(resource, keys) && statement.holds(keys))
      .map((statement) => ({ policy, statement })),
  );
}

function allows(found: Match[]): Match[] {
  return found.flatMap(({ policy, statement }) => (statement.effect === 'Allow' ? [{ policy, statement }] : []));
}

function naming(principals: NamedPrincipal[], caller: Caller): Naming {
  if (principals.some(({ type }) => type === 'everybody')) return 'directly';
  if (caller.type === 'service')
    return principals.some((principal) => principal.type === 'service' && principal.value === caller.name)
      ? 'directly'
      : 'not';
  const named = principals.flatMap((principal) => (principal.type === 'aws' ? [principal.value] : []));
  if (named.includes(caller.arn)) return 'directly';
  if (named.includes(caller.roleArn)) return 'by role';
  // Naming the account delegates to the account's own policies:
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts
  return named.some(
    (value) => value === caller.accountId || new RegExp(`^arn:aws[a-z-]*:iam::${caller.accountId}:root$`).test(value),
  )
    ? 'by account'
    : 'not';
}

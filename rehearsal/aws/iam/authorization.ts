/**
 * Allows or denies by the policies of the templates: API calls of sessions, and what AWS services do in a role's name
 * or in their own. Denials use AWS's words and emit an event. Decisions are cached until a policy changes.
 */
import type { Context } from '../core/context';
import type { Iam, Role } from './iam';
import { AwsError, type Principal } from '../core/types';
import { evaluate, type Caller, type Decision, type Policies } from './evaluate';
import type { Keys } from './glob';
import type { Permission } from './permission';
import { compilePolicy, type Policy } from './policy';
import { StatementRegister, type Holder, type StatementView } from './statements';

/** An AWS service that acts in its own name, on behalf of a resource. */
export interface ServiceCaller {
  /** `events.amazonaws.com` */
  service: string;
  /** ARN of the resource (rule, group, ...) that it acts for. */
  sourceArn: string;
}

/** A caller, with its policies and cached decisions. */
interface Known {
  caller: Caller;
  arn: string;
  /** The logical id of the role, or the service; for events. */
  name: string;
  role: Role | undefined;
  identity: Policy[];
  boundary: Policy | undefined;
  /** The condition keys that are the same in all its requests. */
  keys: Keys;
  /** Decisions by action and resource. */
  decided: Map<string, Decided>;
}

interface Decided {
  /** The request's condition keys that the decision depends on. */
  keys: string[];
  /** Decisions by the values of these keys. */
  decisions: Map<string, Decision>;
}

/**
 * How a request arrives. The emulation's plain HTTP over loopback counts as TLS, so a test of a request without TLS
 * must say `plain`.
 */
export type Transport = 'tls' | 'plain';

const ADMINISTRATOR = compilePolicy('AdministratorAccess', 'identity', {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
});

/** Bounds the cache for callers that keep using new resources. */
const MAX_DECIDED = 10_000;

/**
 * The error with which a service denies a call. Source:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html and the services' common errors.
 */
export interface Denial {
  code: string;
  status: number;
  prefix?: string;
}

/** An API call. */
export interface ApiCall {
  principal: Principal;
  /** `ec2:DescribeInstances` */
  action: string;
  /** Undefined for a call that the emulation does not know. */
  permissions: Permission[] | undefined;
  /** @default AccessDenied */
  denial?: Denial;
  transport: Transport;
}

const ACCESS_DENIED: Denial = { code: 'AccessDenied', status: 403 };

export class Authorization {
  private readonly sessions = new Map<string, Known>();
  private readonly services = new Map<string, Known>();
  /** Pairs of services and roles that trust them. */
  private readonly trusted = new Set<string>();
  /**
   * For keys outside the template: KMS's default key policy. Source:
   * https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
   */
  private readonly policyOfKeyFromElsewhere: Policy;
  private readonly register = new StatementRegister();

  constructor(
    private readonly context: Context,
    private readonly iam: Iam,
  ) {
    iam.onChange(() => this.policiesChanged());
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${context.accountId}:root` },
      Action: 'kms:*',
      Resource: '*',
    };
    this.policyOfKeyFromElsewhere = compilePolicy('default', 'resource', {
      Version: '2012-10-17',
      Statement: [statement],
    });
  }

  /** Every statement that was ever in a policy, and whether it ever decided a request. */
  statements(): StatementView[] {
    return this.register.all();
  }

  /**
   * Checks an API call. The operator may do everything that no resource policy denies.
   * @throws AwsError as the service would deny it
   */
  require({ principal, action, permissions, denial = ACCESS_DENIED, transport }: ApiCall): void {
    for (const permission of permissions ?? this.unknown(principal, action, transport)) {
      const message = this.denial(this.session(principal, transport), permission);
      if (message === undefined) continue;
      const { code, status, prefix = '' } = denial;
      throw new AwsError(code, prefix + message, status);
    }
  }

  /** Whether a session may do something; a denial emits an event. */
  may(principal: Principal, permission: Permission): boolean {
    return this.denial(this.session(principal, 'tls'), permission) === undefined;
  }

  /** Whether a service may act in its own name, which only a resource policy can allow. */
  serviceMay(caller: ServiceCaller, permission: Permission): boolean {
    return this.denial(this.service(caller), permission) === undefined;
  }

  /**
   * Whether the service may assume the role, by the role's trust policy.
   * Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-service.html
   */
  trusts(role: Role, service: string): boolean {
    const name = `${service} ${role.arn}`;
    if (this.trusted.has(name)) return true;
    const action = 'sts:AssumeRole';
    const decision = evaluate(
      { caller: { type: 'service', name: service }, action, resource: role.arn, keys: SECURE },
      { identity: [], resource: role.trust },
    );
    this.exercise({ role: role.logicalId }, decision);
    if (decision.allowed) this.trusted.add(name);
    else this.tell(service, service, { action, resource: role.arn }, decision.because);
    return decision.allowed;
  }

  /** For an action without a mapping: it is denied if no statement allows it, whatever its resource would be. */
  private unknown(principal: Principal, action: string, transport: Transport): Permission[] {
    const { identity } = this.session(principal, transport);
    const named = identity.some((policy) =>
      policy.statements.some((statement) => statement.effect === 'Allow' && statement.appliesTo(action)),
    );
    if (named)
      throw new Error(
        `The emulation does not know on which resources ${action} is checked. Add it to the ` +
          "service's permissions.ts in rehearsal/aws.",
      );
    return [{ action, resource: '*' }];
  }

  /** The message of a denial, or undefined for what is allowed. */
  private denial(known: Known, permission: Permission): string | undefined {
    const decision = this.decide(known, permission);
    return decision.allowed ? undefined : this.tell(known.name, known.arn, permission, decision.because);
  }

  private tell(name: string, arn: string, { action, resource }: Permission, because: string): string {
    const message = `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} ${because}`;
    this.context.emit('iam', 'denied', name, { principal: name, principalArn: arn, action, resource, message });
    return message;
  }

  private decide(known: Known, permission: Permission): Decision {
    const name = `${permission.action} ${permission.resource}`;
    let decided = known.decided.get(name);
    if (!decided) {
      if (known.decided.size >= MAX_DECIDED) known.decided.clear();
      known.decided.set(name, (decided = { keys: this.relevantKeys(known, permission), decisions: new Map() }));
    }
    const values = decided.keys.map((key) => permission.key?.(key));
    const cacheKey = values.length === 0 ? '' : JSON.stringify(values);
    let decision = decided.decisions.get(cacheKey);
    if (!decision) {
      if (decided.decisions.size >= MAX_DECIDED) decided.decisions.clear();
      decision = this.evaluate(known, permission, Object.fromEntries(decided.keys.map((key, n) => [key, values[n]])));
      decided.decisions.set(cacheKey, decision);
    }
    return decision;
  }

  private evaluate(known: Known, { action, resource }: Permission, requestKeys: Keys): Decision {
    const decision = evaluate(
      { caller: known.caller, action, resource, keys: { ...requestKeys, ...known.keys } },
      this.policies(known, resource),
    );
    this.exercise(known.role ? { role: known.role.logicalId } : undefined, decision, resource);
    return decision;
  }

  private policies({ identity, boundary }: Known, resource: string): Policies {
    const policy = this.iam.resourcePolicy(resource);
    if (!resource.startsWith('arn:aws:kms:')) return { identity, boundary, resource: policy };
    return { identity, boundary, resource: policy ?? this.policyOfKeyFromElsewhere, resourceDecides: true };
  }

  private exercise(own: Holder | undefined, decision: Decision, resource?: string): void {
    const ofResource = resource === undefined ? undefined : this.iam.resourcePolicy(resource);
    for (const { policy, statement } of decision.decidedBy) {
      const holder = policy === ofResource ? { resource: resource! } : own;
      if (holder) this.register.exercise(holder, policy, statement.index);
    }
  }

  /** The keys that statements about this action use, except those that are the same in all the caller's requests. */
  private relevantKeys(known: Known, { action, resource }: Permission): string[] {
    const { identity, boundary, resource: policy } = this.policies(known, resource);
    const statements = [...identity, ...(boundary ? [boundary] : []), ...(policy ? [policy] : [])].flatMap(
      (each) => each.statements,
    );
    const keys = statements.filter((statement) => statement.appliesTo(action)).flatMap((statement) => statement.keys);
    return [...new Set(keys)].filter((key) => !(key in known.keys));
  }

  private session(principal: Principal, transport: Transport): Known {
    const name = `${principal.accessKeyId} ${transport}`;
    let known = this.sessions.get(name);
    if (known) return known;
    const role = this.iam.roleOf(principal);
    if (!role && principal.accessKeyId !== this.iam.operator.accessKeyId)
      throw new Error(`Nobody's role is behind the access key of ${principal.arn}: only the operator has none.`);
    known = {
      caller: {
        type: 'session',
        arn: principal.arn,
        roleArn: role?.arn ?? principal.arn,
        accountId: this.context.accountId,
      },
      arn: principal.arn,
      name: role?.logicalId ?? 'operator',
      role,
      ...(role ? this.iam.policiesOf(role) : { identity: [ADMINISTRATOR], boundary: undefined }),
      keys: { 'aws:securetransport': [String(transport === 'tls')], 'aws:userid': [principal.userId] },
      decided: new Map(),
    };
    this.sessions.set(name, known);
    return known;
  }

  private service({ service, sourceArn }: ServiceCaller): Known {
    const name = `${service} ${sourceArn}`;
    let known = this.services.get(name);
    if (known) return known;
    known = {
      caller: { type: 'service', name: service },
      arn: service,
      name: service,
      role: undefined,
      identity: [],
      boundary: undefined,
      keys: { ...SECURE, 'aws:sourcearn': [sourceArn], 'aws:sourceaccount': [this.context.accountId] },
      decided: new Map(),
    };
    this.services.set(name, known);
    return known;
  }

  private policiesChanged(): void {
    this.sessions.clear();
    this.services.clear();
    this.trusted.clear();
    for (const role of this.iam.allRoles()) {
      const { identity, boundary } = this.iam.policiesOf(role);
      for (const policy of [role.trust, ...identity, ...(boundary ? [boundary] : [])])
        this.register.add({ role: role.logicalId }, policy);
    }
    for (const [resource, policy] of this.iam.allResourcePolicies()) this.register.add({ resource }, policy);
  }
}

/** The emulation's plain HTTP over loopback counts as HTTPS. */
const SECURE: Keys = { 'aws:securetransport': ['true'] };

/**
 * Roles, role policies, resource policies, instance profiles, and the principal of each access key. authorization.ts
 * decides what policies allow.
 */
import type { Context } from '../core/context';
import { compilePolicy, type Policy, type PolicyDocument } from './policy';
import { AwsError, type Credentials, type Principal } from '../core/types';

export interface Role {
  /** Logical id in the template. */
  logicalId: string;
  name: string;
  /** `AROA...`: fixed for the life of the role. */
  roleId: string;
  arn: string;
  /** The trust policy: who may assume the role. */
  trust: Policy;
  /** Inline policies by name. */
  policies: Map<string, Policy>;
  managedPolicyArns: string[];
  /** ARN of the permissions boundary. */
  boundaryArn: string | undefined;
}

export interface NewRole {
  logicalId: string;
  name: string;
  path?: string;
  trust: PolicyDocument;
  /** Inline policies by name. */
  policies: Map<string, PolicyDocument>;
  managedPolicyArns: string[];
  boundaryArn?: string;
}

export interface InstanceProfile {
  name: string;
  id: string;
  arn: string;
  roleName: string;
}

export class Iam {
  private readonly roles = new Map<string, Role>();
  private readonly profiles = new Map<string, InstanceProfile>();
  private readonly managedPolicies = new Map<string, Policy>();
  private readonly resourcePolicies = new Map<string, Policy>();
  private readonly sessions = new Map<string, { credentials: Credentials; principal: Principal }>();
  private readonly principals = new Map<string, Principal>();
  /** Roles by the access keys of their sessions. */
  private readonly sessionRoles = new Map<string, Role>();
  private readonly listeners: (() => void)[] = [];

  /** The administrator who deploys. */
  readonly operator: Credentials;

  constructor(private readonly context: Context) {
    this.operator = this.newCredentials('AKIA');
    const userId = `AIDA${context.letters(17)}`;
    this.principals.set(this.operator.accessKeyId, {
      accessKeyId: this.operator.accessKeyId,
      role: 'operator',
      arn: `arn:aws:iam::${context.accountId}:user/operator`,
      userId,
    });
  }

  /** Calls the listener whenever a policy or its attachments have changed. */
  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  createRole(input: NewRole): Role {
    if (this.roles.has(input.name))
      throw new AwsError('EntityAlreadyExists', `Role with name ${input.name} already exists.`, 409);
    const { path = '/', trust, policies, boundaryArn, ...rest } = input;
    for (const arn of [...input.managedPolicyArns, ...(boundaryArn === undefined ? [] : [boundaryArn])])
      this.managedPolicy(arn);
    const role: Role = {
      ...rest,
      boundaryArn,
      // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
      roleId: `AROA${this.context.letters(17)}`,
      arn: `arn:aws:iam::${this.context.accountId}:role${path}${input.name}`,
      trust: compilePolicy('AssumeRolePolicyDocument', 'trust', trust),
      policies: new Map([...policies].map(([name, document]) => [name, compilePolicy(name, 'identity', document)])),
    };
    this.roles.set(role.name, role);
    this.changed();
    return role;
  }

  deleteRole(name: string): void {
    const inUse = [...this.profiles.values()].find((profile) => profile.roleName === name);
    if (inUse)
      throw new AwsError('DeleteConflict', 'Cannot delete entity, must remove roles from instance profile first.', 409);
    this.roles.delete(name);
    this.changed();
    for (const [key, session] of this.sessions) {
      if (!key.startsWith(`${name}/`)) continue;
      this.sessions.delete(key);
      this.principals.delete(session.credentials.accessKeyId);
      this.sessionRoles.delete(session.credentials.accessKeyId);
    }
  }

  role(name: string): Role {
    const role = this.roles.get(name);
    if (!role) throw new AwsError('NoSuchEntity', `The role with name ${name} cannot be found.`, 404);
    return role;
  }

  roleByArn(arn: string): Role {
    return this.role(arn.slice(arn.lastIndexOf('/') + 1));
  }

  allRoles(): Role[] {
    return [...this.roles.values()];
  }

  putRolePolicy(roleName: string, policyName: string, document: PolicyDocument): void {
    this.role(roleName).policies.set(policyName, compilePolicy(policyName, 'identity', document));
    this.changed();
  }

  deleteRolePolicy(roleName: string, policyName: string): void {
    this.role(roleName).policies.delete(policyName);
    this.changed();
  }

  createManagedPolicy(name: string, document: PolicyDocument): string {
    const arn = `arn:aws:iam::${this.context.accountId}:policy/${name}`;
    this.managedPolicies.set(arn, compilePolicy(name, 'identity', document));
    return arn;
  }

  deleteManagedPolicy(arn: string): void {
    this.managedPolicies.delete(arn);
  }

  attachRolePolicy(roleName: string, policyArn: string): void {
    this.managedPolicy(policyArn);
    this.role(roleName).managedPolicyArns.push(policyArn);
    this.changed();
  }

  detachRolePolicy(roleName: string, policyArn: string): void {
    const arns = this.role(roleName).managedPolicyArns;
    arns.splice(arns.indexOf(policyArn), 1);
    this.changed();
  }

  /** A role's inline and managed policies, and its boundary. */
  policiesOf(role: Role): { identity: Policy[]; boundary: Policy | undefined } {
    return {
      identity: [...role.policies.values(), ...role.managedPolicyArns.map((arn) => this.managedPolicy(arn))],
      boundary: role.boundaryArn === undefined ? undefined : this.managedPolicy(role.boundaryArn),
    };
  }

  /** Replaces the resource's policy. A resource has at most one, named after its logical id in the template. */
  putResourcePolicy(resourceArn: string, logicalId: string, document: PolicyDocument): void {
    this.resourcePolicies.set(resourceArn, compilePolicy(logicalId, 'resource', document));
    this.changed();
  }

  deleteResourcePolicy(resourceArn: string): void {
    this.resourcePolicies.delete(resourceArn);
    this.changed();
  }

  resourcePolicy(resourceArn: string): Policy | undefined {
    return this.resourcePolicies.get(resourceArn);
  }

  /** All resource policies, by ARN. */
  allResourcePolicies(): [string, Policy][] {
    return [...this.resourcePolicies];
  }

  createInstanceProfile(name: string, roleName: string): InstanceProfile {
    this.role(roleName);
    const profile = {
      name,
      id: `AIPA${this.context.letters(17)}`,
      arn: `arn:aws:iam::${this.context.accountId}:instance-profile/${name}`,
      roleName,
    };
    this.profiles.set(name, profile);
    return profile;
  }

  deleteInstanceProfile(name: string): void {
    this.profiles.delete(name);
  }

  /** @param nameOrArn as in launch templates */
  instanceProfile(nameOrArn: string): InstanceProfile {
    const name = nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1);
    const profile = this.profiles.get(name);
    if (!profile)
      throw new AwsError(
        'InvalidParameterValue',
        `Value (${name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name`,
      );
    return profile;
  }

  /** Returns the same credentials for the same role and session. */
  credentials(roleName: string, session: string): Credentials {
    const role = this.role(roleName);
    const key = `${roleName}/${session}`;
    const known = this.sessions.get(key);
    if (known) return known.credentials;
    const credentials = this.newCredentials('ASIA');
    const principal: Principal = {
      accessKeyId: credentials.accessKeyId,
      role: role.logicalId,
      arn: `arn:aws:sts::${this.context.accountId}:assumed-role/${role.name}/${session}`,
      userId: `${role.roleId}:${session}`,
    };
    this.sessions.set(key, { credentials, principal });
    this.principals.set(credentials.accessKeyId, principal);
    this.sessionRoles.set(credentials.accessKeyId, role);
    return credentials;
  }

  /** The principal of a session of the role. */
  session(roleName: string, session: string): Principal {
    return this.resolve(this.credentials(roleName, session).accessKeyId);
  }

  /** The role of a principal's session; undefined for the operator. */
  roleOf(principal: Principal): Role | undefined {
    return this.sessionRoles.get(principal.accessKeyId);
  }

  /** @throws AwsError for an unknown key */
  resolve(accessKeyId: string): Principal {
    const principal = this.principals.get(accessKeyId);
    if (!principal)
      throw new AwsError('UnrecognizedClientException', 'The security token included in the request is invalid.', 403);
    return principal;
  }

  private managedPolicy(arn: string): Policy {
    const policy = this.managedPolicies.get(arn);
    if (!policy)
      throw new Error(
        `The emulation knows the managed policies of the template, not '${arn}'. Put its statements into ` +
          'a policy of the template.',
      );
    return policy;
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }

  private newCredentials(prefix: string): Credentials {
    const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    return {
      accessKeyId: `${prefix}${this.context.letters(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`,
      secretAccessKey: this.context.letters(40, base64),
      sessionToken: this.context.letters(64, base64),
    };
  }
}

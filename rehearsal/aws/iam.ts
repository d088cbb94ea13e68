/**
 * Roles, instance profiles and who is behind an access key. Policies are kept beside their roles; nothing is allowed or refused by them here.
 */
import type { Context } from './context';
import { AwsError, type Credentials, type Principal, type Service } from './types';

export interface PolicyDocument {
  Version?: string;
  Statement: Record<string, any>[];
}

export interface Role {
  /** Logical id in the template. */
  logicalId: string;
  name: string;
  /** `AROA...`: the same for as long as the role exists. */
  roleId: string;
  arn: string;
  trust: PolicyDocument;
  /** By policy name. */
  policies: Map<string, PolicyDocument>;
  managedPolicyArns: string[];
}

export interface InstanceProfile {
  name: string;
  id: string;
  arn: string;
  roleName: string;
}

export class Iam implements Service {
  private readonly roles = new Map<string, Role>();
  private readonly profiles = new Map<string, InstanceProfile>();
  private readonly managedPolicies = new Map<string, PolicyDocument>();
  private readonly sessions = new Map<string, { credentials: Credentials; principal: Principal }>();
  private readonly principals = new Map<string, Principal>();

  /** Whoever deploys: an administrator of the account. */
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

  createRole(input: { logicalId: string; name: string; path?: string; trust: PolicyDocument; policies: Map<string, PolicyDocument>; managedPolicyArns: string[] }): Role {
    if (this.roles.has(input.name)) throw new AwsError('EntityAlreadyExists', `Role with name ${input.name} already exists.`, 409);
    const { path = '/', ...rest } = input;
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    const role: Role = { ...rest, roleId: `AROA${this.context.letters(17)}`, arn: `arn:aws:iam::${this.context.accountId}:role${path}${input.name}` };
    this.roles.set(role.name, role);
    return role;
  }

  deleteRole(name: string): void {
    const inUse = [...this.profiles.values()].find((profile) => profile.roleName === name);
    if (inUse) throw new AwsError('DeleteConflict', 'Cannot delete entity, must remove roles from instance profile first.', 409);
    this.roles.delete(name);
    for (const [key, session] of this.sessions) {
      if (!key.startsWith(`${name}/`)) continue;
      this.sessions.delete(key);
      this.principals.delete(session.credentials.accessKeyId);
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

  createManagedPolicy(name: string, document: PolicyDocument): string {
    const arn = `arn:aws:iam::${this.context.accountId}:policy/${name}`;
    this.managedPolicies.set(arn, document);
    return arn;
  }

  deleteManagedPolicy(arn: string): void {
    this.managedPolicies.delete(arn);
  }

  managedPolicy(arn: string): PolicyDocument | undefined {
    return this.managedPolicies.get(arn);
  }

  createInstanceProfile(name: string, roleName: string): InstanceProfile {
    this.role(roleName);
    const profile = { name, id: `AIPA${this.context.letters(17)}`, arn: `arn:aws:iam::${this.context.accountId}:instance-profile/${name}`, roleName };
    this.profiles.set(name, profile);
    return profile;
  }

  deleteInstanceProfile(name: string): void {
    this.profiles.delete(name);
  }

  /** @param nameOrArn as launch templates give it */
  instanceProfile(nameOrArn: string): InstanceProfile {
    const name = nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1);
    const profile = this.profiles.get(name);
    if (!profile) throw new AwsError('InvalidParameterValue', `Value (${name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name`);
    return profile;
  }

  /** The same for every call with the same role and session. */
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
    return credentials;
  }

  /** @throws AwsError for a key that was never handed out. */
  resolve(accessKeyId: string): Principal {
    const principal = this.principals.get(accessKeyId);
    if (!principal) throw new AwsError('UnrecognizedClientException', 'The security token included in the request is invalid.', 403);
    return principal;
  }

  /** STS. */
  async call(action: string, _input: Record<string, any>, principal: Principal): Promise<Record<string, any>> {
    if (action !== 'GetCallerIdentity') throw new Error(`The emulation does not know the action '${action}' of STS. It knows GetCallerIdentity.`);
    return { UserId: principal.userId, Account: this.context.accountId, Arn: principal.arn };
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

/**
 * The IAM role of nodes. It allows almost nothing: their own mailbox, the agent's bundle, their logs, Session Manager.
 */
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { openSessions, type Statement } from '../core/statements';
import { toPolicyDocument } from '../framework/policy';

export interface NodeRoleProps {
  /**
   * An existing role to use, for example to let containers on the nodes call AWS. It gets the nodes' statements and
   * those of Session Manager in addition to its own. It must be a role of this app, because its unique id is part of
   * the nodes' mailboxes, and EC2 must be allowed to assume it.
   * @default - a new role
   */
  readonly role?: iam.Role;
  /** What nodes may do. The statements of Session Manager are added. */
  readonly statements: Statement[];
}

/**
 * The role and instance profile of all managers, or of all workers. It has no permission for EC2, Auto Scaling or load
 * balancers.
 */
export class NodeRole extends Construct {
  readonly role: iam.Role;
  readonly instanceProfile: iam.InstanceProfile;
  /** Nodes need it from launch to termination, so groups depend on it. */
  readonly policy: iam.Policy;

  constructor(scope: Construct, id: string, props: NodeRoleProps) {
    super(scope, id);
    this.role = props.role ?? new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') });
    this.policy = new iam.Policy(this, 'Policy', {
      roles: [this.role],
      document: toPolicyDocument([...props.statements, openSessions]),
    });
    this.instanceProfile = new iam.InstanceProfile(this, 'InstanceProfile', { role: this.role });
  }
}

/**
 * What an instance may do in AWS: almost nothing. Its own mailbox, the agent's bundle, its logs, and Session Manager.
 */
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { openSessions, type Statement } from '../core/statements';
import { toPolicyDocument } from '../framework/policy';

export interface NodeRoleProps {
  /**
   * The role to use: it gets the nodes' statements and Session Manager in addition to what it has. It must be a role of
   * this app, since its unique id is part of the nodes' mailboxes, and EC2 must be allowed to assume it.
   * @default - a new one
   */
  readonly role?: iam.Role;
  /** What nodes may do, besides being reached by Session Manager. */
  readonly statements: Statement[];
}

/**
 * The role and instance profile of all managers, or of all workers. They hold no permission for EC2, Auto Scaling or
 * load balancers.
 */
export class NodeRole extends Construct {
  readonly role: iam.Role;
  readonly instanceProfile: iam.InstanceProfile;
  /** Must be there while nodes are. */
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

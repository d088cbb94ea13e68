/** A whole swarm: composes the other constructs and decides nothing itself. */
import { Aws, CfnOutput } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Rule } from 'aws-cdk-lib/aws-events';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { CLUSTER_TAG, ROLE_TAG } from '../../protocol/tags';
import { LeaderTokenPublisher } from '../lifecycle/leader-token-publisher';
import { SwarmLoadBalancer, type LoadBalancerOptions } from '../traffic/swarm-load-balancer';
import { ManagerGroup, type ManagerProps } from '../nodes/manager-group';
import type { NodeProps } from '../nodes/node-launch-template';
import { NodeLifecycle, type OnSwarmEventOptions } from '../lifecycle/node-lifecycle';
import { SwarmAlarms, type AlarmOptions } from '../observability/swarm-alarms';
import { SwarmNetwork } from '../network/swarm-network';
import { TargetUpdater } from '../traffic/target-updater';
import { TokenTable } from '../lifecycle/token-table';
import { WorkerGroup, type WorkerProps } from '../nodes/worker-group';

export interface SwarmClusterProps {
  /**
   * The VPC to use. Give it gateway endpoints for DynamoDB and S3.
   * @default - a new VPC with public and private subnets in three zones and gateway endpoints
   */
  readonly vpc?: ec2.IVpc;
  /**
   * The subnets of the nodes.
   * @default - the private subnets with egress of the VPC
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * NAT gateways of the new VPC, about 33 USD a month each (us-east-1). See `SwarmNetworkProps.natGateways`.
   * @default 1
   */
  readonly natGateways?: number;
  /**
   * The security group of all nodes. The rules that nodes need among themselves are added to it.
   * @default - a new one that lets everything out
   */
  readonly nodeSecurityGroup?: ec2.ISecurityGroup;
  /**
   * @default - 3 managers of t4g.small in three zones
   */
  readonly managers?: ManagerProps;
  /**
   * The role of managers.
   * @default - a new role
   */
  readonly managerRole?: iam.Role;
  /**
   * The role of all workers. Must not be the managers'.
   * @default - a new role
   */
  readonly workerRole?: iam.Role;
  /**
   * A customer managed key for the tables and all volumes, 1 USD a month. Nodes, functions and the service role of Auto
   * Scaling get the use of it; the key policy of a key from elsewhere must allow that. The service role
   * AWSServiceRoleForAutoScaling must exist: it does once an account has had any Auto Scaling group.
   * @default - the services' own keys, which cost nothing
   */
  readonly encryptionKey?: kms.IKey;
  /**
   * The image of all nodes; a group's own comes first.
   * @default - the newest Amazon Linux 2023 for each group's architecture
   */
  readonly machineImage?: ec2.IMachineImage;
  /**
   * Keys for `daemon.json` of all nodes; a group's own are laid over them.
   * @default - none
   */
  readonly daemon?: Record<string, unknown>;
  /**
   * Lines of bash for the first boot of all nodes; a group's own follow, in the same bash. See
   * `NodeProps.extraUserData`.
   * @default - none
   */
  readonly extraUserData?: string[];
  /**
   * Networks from which overlay networks get their subnets, outside of the VPC's. Used when the swarm is made, never
   * after.
   * @default ['100.64.0.0/10']
   */
  readonly addressPools?: string[];
  /**
   * Prefix length of each overlay network, from 16 to 29. Used when the swarm is made, never after.
   * @default 24
   */
  readonly addressPoolPrefixLength?: number;
}

/**
 * A Docker swarm that forms by itself.
 *
 * Without props: a VPC over three zones with one NAT gateway, and three managers. All mistakes in what is given are
 * reported together when the app is synthesised. With the defaults about 79 USD a month (us-east-1): 33 for the NAT
 * gateway, 37 for the managers, 7 for their volumes, below 2 for the rest.
 *
 * @example
 * const cluster = new SwarmCluster(this, 'Swarm');
 * cluster.addWorkers('Web', { minCapacity: 2, maxCapacity: 20, labels: { tier: 'web' } });
 */
export class SwarmCluster extends Construct {
  readonly network: SwarmNetwork;
  readonly tables: TokenTable;
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
  readonly managers: ManagerGroup;
  /** In the order in which they were added. */
  readonly workers: WorkerGroup[] = [];
  /** In the order in which they were added. */
  readonly loadBalancers: SwarmLoadBalancer[] = [];
  /**
   * Opens a shell on a manager by Session Manager; whoever runs it needs the AWS CLI with its Session Manager plugin,
   * and permission.
   */
  readonly managerShell: CfnOutput;

  /**
   * For the day on which the quorum is lost for good: asks what would be done to go on with one manager. See
   * docs/quorum-lost.md.
   */
  readonly recoverQuorum: CfnOutput;

  private updater?: TargetUpdater;
  private readonly ofAllNodes: NodeProps;

  constructor(scope: Construct, id: string, props: SwarmClusterProps = {}) {
    super(scope, id);
    this.ofAllNodes = { machineImage: props.machineImage, daemon: props.daemon, extraUserData: props.extraUserData };
    this.network = new SwarmNetwork(this, 'Network', props);
    this.tables = new TokenTable(this, 'Tables', { encryptionKey: props.encryptionKey });
    this.lifecycle = new NodeLifecycle(this, 'Lifecycle', {
      network: this.network,
      tables: this.tables,
      cluster: this,
      managerRole: props.managerRole,
      workerRole: props.workerRole,
      addressPools: props.addressPools,
      addressPoolPrefixLength: props.addressPoolPrefixLength,
    });
    this.leaderToken = new LeaderTokenPublisher(this, 'LeaderToken', { lifecycle: this.lifecycle });
    this.managers = new ManagerGroup(this, 'Managers', {
      ...this.withDefaults(props.managers ?? {}),
      lifecycle: this.lifecycle,
    });

    const filters = [
      `Name=tag:${CLUSTER_TAG},Values=${this.lifecycle.cluster}`,
      `Name=tag:${ROLE_TAG},Values=manager`,
      'Name=instance-state-name,Values=running',
    ];
    this.managerShell = new CfnOutput(this, 'ManagerShell', {
      description: 'Opens a shell on a manager. Needs the AWS CLI with its Session Manager plugin.',
      value:
        `aws ssm start-session --region ${Aws.REGION} --target $(aws ec2 describe-instances --region ${Aws.REGION} ` +
        `--filters ${filters.map((filter) => `'${filter}'`).join(' ')} --query ` +
        `'Reservations[0].Instances[0].InstanceId' --output text)`,
    });
    this.recoverQuorum = new CfnOutput(this, 'RecoverQuorum', {
      description:
        'When the quorum is lost for good: says what going on with the manager of seat 0 would mean. It ' +
        'does nothing yet.',
      value:
        `aws lambda invoke --region ${Aws.REGION} --function-name ${this.lifecycle.nodeLeave.functionName} ` +
        `--cli-read-timeout 90 --cli-binary-format raw-in-base64-out --payload '{"recover":{"seat":0}}' ` +
        '/dev/stdout',
    });
  }

  /**
   * Adds a group of workers. Its id must be none of the cluster's own: Alarms, LeaderToken, Lifecycle, ManagerShell,
   * Managers, Network, RecoverQuorum, Tables, TargetUpdater.
   */
  addWorkers(id: string, props: WorkerProps = {}): WorkerGroup {
    const group = new WorkerGroup(this, id, { ...this.withDefaults(props), managers: this.managers });
    this.workers.push(group);
    return group;
  }

  /**
   * Adds a load balancer in front of the nodes. Its id must be neither a group's nor one of the cluster's own (see
   * {@link addWorkers}).
   */
  addLoadBalancer(id: string, options: LoadBalancerOptions): SwarmLoadBalancer {
    const { lifecycle, leaderToken } = this;
    this.updater ??= new TargetUpdater(this, 'TargetUpdater', { lifecycle, leaderToken });
    const loadBalancer = new SwarmLoadBalancer(this, id, { ...options, updater: this.updater });
    this.loadBalancers.push(loadBalancer);
    return loadBalancer;
  }

  /** A rule for what happens in this cluster. See `NodeLifecycle.onSwarmEvent`. */
  onSwarmEvent(id: string, options: OnSwarmEventOptions = {}): Rule {
    return this.lifecycle.onSwarmEvent(id, options);
  }

  /** Adds alarms about the cluster itself: its quorum, its managers, its functions. About 2.60 USD a month. */
  addAlarms(options: AlarmOptions = {}): SwarmAlarms {
    if (this.node.tryFindChild('Alarms'))
      throw new Error('addAlarms was called before. Call it once, with all actions.');
    return new SwarmAlarms(this, 'Alarms', { ...options, lifecycle: this.lifecycle, leaderToken: this.leaderToken });
  }

  private withDefaults<P extends NodeProps>(props: P): P {
    const { machineImage, daemon, extraUserData } = this.ofAllNodes;
    return {
      ...props,
      machineImage: props.machineImage ?? machineImage,
      daemon: { ...daemon, ...props.daemon },
      extraUserData: [...(extraUserData ?? []), ...(props.extraUserData ?? [])],
    };
  }
}

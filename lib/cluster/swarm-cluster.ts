/** A whole swarm. It composes the other constructs and decides nothing itself. */
import { Aws, CfnOutput } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Rule } from 'aws-cdk-lib/aws-events';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { CLUSTER_TAG, ROLE_TAG } from '../../protocol/tags';
import { LeaderTokenPublisher } from '../lifecycle/leader-token-publisher';
import type { LoadBalancerOptions } from '../traffic/load-balancer-options';
import { SwarmLoadBalancer } from '../traffic/swarm-load-balancer';
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
   * An existing VPC to use. Give it gateway endpoints for DynamoDB and S3. See `SwarmNetworkProps.vpc`.
   * @default - a new VPC with public and private subnets in three zones and gateway endpoints
   */
  readonly vpc?: ec2.IVpc;
  /**
   * The subnets of the nodes. See `SwarmNetworkProps.vpcSubnets`.
   * @default - the private subnets with egress of the VPC
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * The number of NAT gateways of the new VPC, from 0 to 3; about 37 USD a month each (us-east-1). See
   * `SwarmNetworkProps.natGateways`.
   * @default 1
   */
  readonly natGateways?: number;
  /**
   * An existing security group for all nodes. The inbound rules that nodes need from each other are added to it.
   * @default - a new one that allows all outbound traffic
   */
  readonly nodeSecurityGroup?: ec2.ISecurityGroup;
  /**
   * The managers.
   * @default - 3 managers of type t4g.small in three zones
   */
  readonly managers?: ManagerProps;
  /**
   * The role of managers. See `NodeRoleProps.role`.
   * @default - a new role
   */
  readonly managerRole?: iam.Role;
  /**
   * The role of all workers. It must not be the managers' role. See `NodeRoleProps.role`.
   * @default - a new role
   */
  readonly workerRole?: iam.Role;
  /**
   * A customer managed key for the tables and all volumes, 1 USD a month. Nodes, functions and the service-linked role
   * of Auto Scaling are allowed to use it. The key policy of an imported key must already allow that. The
   * service-linked role AWSServiceRoleForAutoScaling must exist: it does once the account has had any Auto Scaling
   * group.
   * @default - the keys of DynamoDB and EBS, which are free
   */
  readonly encryptionKey?: kms.IKey;
  /**
   * The machine image of all nodes. A group's own `machineImage` takes precedence. See `NodeProps.machineImage`.
   * @default - the newest Amazon Linux 2023 for each group's architecture
   */
  readonly machineImage?: ec2.IMachineImage;
  /**
   * Keys for the `daemon.json` of all nodes. A group's own keys take precedence. See `NodeProps.daemon`.
   * @default - none
   */
  readonly daemon?: Record<string, unknown>;
  /**
   * Lines of bash for the first boot of all nodes. A group's own lines follow, in the same bash. See
   * `NodeProps.extraUserData`.
   * @default - none
   */
  readonly extraUserData?: string[];
  /**
   * Networks from which overlay networks get their subnets: 1 to 16, in CIDR notation, outside the VPC's network. They
   * take effect only when the swarm is created.
   * @default ['100.64.0.0/10']
   */
  readonly addressPools?: string[];
  /**
   * Prefix length of each overlay network, from 16 to 29. It takes effect only when the swarm is created.
   * @default 24
   */
  readonly addressPoolPrefixLength?: number;
}

/**
 * A self-assembling, self-healing Docker Swarm.
 *
 * Without props it has a VPC over three zones with one NAT gateway, and three managers. That costs about 83 USD a month
 * (us-east-1): 37 for the NAT gateway with its public address, 37 for the managers, 7 for their volumes, below 2 for
 * the rest.
 *
 * All props are validated at synth; every problem is reported in one error.
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
  /** The worker groups, in the order in which they were added. */
  readonly workers: WorkerGroup[] = [];
  /** The load balancers, in the order in which they were added. */
  readonly loadBalancers: SwarmLoadBalancer[] = [];
  /**
   * A command that opens a shell on a manager through Session Manager. It needs the AWS CLI with the Session Manager
   * plugin, and permission for `ssm:StartSession` and `ec2:DescribeInstances`.
   */
  readonly managerShell: CfnOutput;

  /**
   * A command for the day on which the quorum is lost for good. It says what recovery with the manager of seat 0 would
   * do, and changes nothing. See docs/operations/recover-quorum.md.
   */
  readonly recoverQuorum: CfnOutput;

  private updater?: TargetUpdater;
  private readonly nodeDefaults: NodeProps;

  constructor(scope: Construct, id: string, props: SwarmClusterProps = {}) {
    super(scope, id);
    this.nodeDefaults = { machineImage: props.machineImage, daemon: props.daemon, extraUserData: props.extraUserData };
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
      description: 'Command that opens a shell on a manager. It needs the AWS CLI with the Session Manager plugin.',
      value:
        `aws ssm start-session --region ${Aws.REGION} --target $(aws ec2 describe-instances --region ${Aws.REGION} ` +
        `--filters ${filters.map((filter) => `'${filter}'`).join(' ')} --query ` +
        `'Reservations[0].Instances[0].InstanceId' --output text)`,
    });
    this.recoverQuorum = new CfnOutput(this, 'RecoverQuorum', {
      description:
        'Command for a quorum that is lost for good: it says what recovery with the manager of seat 0 would do, and ' +
        'changes nothing. See docs/operations/recover-quorum.md of cdk-docker-swarm.',
      value:
        `aws lambda invoke --region ${Aws.REGION} --function-name ${this.lifecycle.nodeLeave.functionName} ` +
        `--cli-read-timeout 90 --cli-binary-format raw-in-base64-out --payload '{"recover":{"seat":0}}' ` +
        '/dev/stdout',
    });
  }

  /**
   * Adds a group of workers.
   * @param id must not be one that the cluster itself uses: Alarms, LeaderToken, Lifecycle, ManagerShell, Managers,
   * Network, RecoverQuorum, Tables, TargetUpdater
   */
  addWorkers(id: string, props: WorkerProps = {}): WorkerGroup {
    const group = new WorkerGroup(this, id, { ...this.withDefaults(props), managers: this.managers });
    this.workers.push(group);
    return group;
  }

  /**
   * Adds a Network Load Balancer in front of the nodes. About 16 USD a month, and more for public addresses and
   * traffic: see {@link SwarmLoadBalancer}.
   * @param id must be neither that of a worker group nor one that the cluster itself uses (see {@link addWorkers})
   * @throws Error when an option has a wrong type. All other problems are reported at synth
   */
  addLoadBalancer(id: string, options: LoadBalancerOptions): SwarmLoadBalancer {
    const { lifecycle, leaderToken } = this;
    this.updater ??= new TargetUpdater(this, 'TargetUpdater', { lifecycle, leaderToken });
    const loadBalancer = new SwarmLoadBalancer(this, id, { ...options, updater: this.updater });
    this.loadBalancers.push(loadBalancer);
    return loadBalancer;
  }

  /** Adds an EventBridge rule for events of this cluster. See `NodeLifecycle.onSwarmEvent`. */
  onSwarmEvent(id: string, options: OnSwarmEventOptions = {}): Rule {
    return this.lifecycle.onSwarmEvent(id, options);
  }

  /**
   * Adds alarms about the cluster itself: its quorum, nodes, tasks and functions. About 2.60 USD a month (us-east-1).
   * @throws Error when called twice
   */
  addAlarms(options: AlarmOptions = {}): SwarmAlarms {
    if (this.node.tryFindChild('Alarms'))
      throw new Error('addAlarms was already called. Call it once, with all actions.');
    return new SwarmAlarms(this, 'Alarms', { ...options, lifecycle: this.lifecycle, leaderToken: this.leaderToken });
  }

  private withDefaults<P extends NodeProps>(props: P): P {
    const { machineImage, daemon, extraUserData } = this.nodeDefaults;
    return {
      ...props,
      machineImage: props.machineImage ?? machineImage,
      daemon: { ...daemon, ...props.daemon },
      extraUserData: [...(extraUserData ?? []), ...(props.extraUserData ?? [])],
    };
  }
}

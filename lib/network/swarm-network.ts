/** The network of the nodes: VPC, private subnets in three zones, gateway endpoints, security groups. */
import { Fn, Stack, Token, Tokenization } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct, DependencyGroup, type IDependable } from 'constructs';
import { NAT_GATEWAYS, VPC_CIDR, ZONES } from '../core/defaults';
import { NODE_RULES } from '../core/security-rules';
import { checkNatGateways, checkVpcCidr } from '../core/checks/network';
import { checkAtSynth, known, tryRead } from '../framework/known';

export interface SwarmNetworkProps {
  /**
   * An existing VPC to use. `natGateways` and `cidr` are then ignored, and no endpoints are added. Give the VPC gateway
   * endpoints for DynamoDB and S3, which are free; otherwise the nodes' traffic to both passes through NAT gateways.
   * @default - a new VPC with public and private subnets in three zones
   */
  readonly vpc?: ec2.IVpc;
  /**
   * The subnets of the nodes. They need a route to DynamoDB, S3 and CloudWatch Logs, and to the package repository
   * unless the image has Docker and Node.js 22. Three or more managers need subnets in three zones.
   * @default - the private subnets with egress of the VPC
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * An existing security group for all nodes. The inbound rules that nodes need from each other are added to it; its
   * outbound rules are left alone.
   * @default - a new one that allows all outbound traffic
   */
  readonly nodeSecurityGroup?: ec2.ISecurityGroup;
  /**
   * The number of NAT gateways of the new VPC, from 0 to 3, known at synth. Each costs about 37 USD a month with its
   * public address (0.045 and 0.005 USD an hour, us-east-1) and 0.045 USD per GB. With one, the loss of its zone cuts
   * off outbound traffic in all zones: the swarm keeps running, but nodes cannot pull images. With 0 the nodes' subnets
   * are isolated: the image must have Docker and Node.js 22, and registries, CloudWatch Logs and Session Manager need
   * VPC endpoints.
   * @default 1
   */
  readonly natGateways?: number;
  /**
   * The IPv4 network of the new VPC, from /16 to /25, known at synth.
   * @default '10.0.0.0/16'
   */
  readonly cidr?: string;
}

/**
 * The network of a swarm. Nodes are in private subnets. Only nodes reach nodes: managers accept 2377 (management), and
 * all nodes accept 7946 (gossip), 4789 (overlay networks) and ESP (encrypted overlay networks). No other port is open.
 * Source: https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 *
 * In a stack without an environment, the three zones are the first three that the region offers the account at
 * deployment. For a cluster that keeps state, give the stack an environment (`env`): its zones then never change.
 */
export class SwarmNetwork extends Construct {
  readonly vpc: ec2.IVpc;
  /** The subnets of the nodes. Empty when the VPC has no usable subnet: synth then fails. */
  readonly nodeSubnets: ec2.ISubnet[];
  /** The security group of every node. */
  readonly nodeSecurityGroup: ec2.ISecurityGroup;
  /** The additional security group of managers. */
  readonly managerSecurityGroup: ec2.SecurityGroup;
  /** What must exist from the first node's launch to the last node's end: routes, endpoints, security group rules. */
  readonly ready: IDependable;

  private readonly cidr?: string;

  constructor(scope: Construct, id: string, props: SwarmNetworkProps = {}) {
    super(scope, id);
    const ready = new DependencyGroup();
    this.ready = ready;

    if (props.vpc === undefined) {
      const cidr = props.cidr ?? VPC_CIDR;
      // aws-cdk-lib throws at once on an invalid network; synth reports it together with all other problems.
      this.cidr = checkVpcCidr(known(cidr)).length === 0 ? cidr : VPC_CIDR;
      this.vpc = this.createVpc(this.cidr, props.natGateways ?? NAT_GATEWAYS, ready);
    } else {
      this.vpc = props.vpc;
    }
    this.nodeSubnets = this.selectSubnets(props);
    for (const subnet of this.nodeSubnets) {
      ready.add(subnet.internetConnectivityEstablished);
      const association = subnet.node.tryFindChild('RouteTableAssociation');
      if (association) ready.add(association);
    }

    this.nodeSecurityGroup =
      props.nodeSecurityGroup ??
      new ec2.SecurityGroup(this, 'NodeSecurityGroup', {
        vpc: this.vpc,
        description: 'Nodes of a Docker swarm',
        disableInlineRules: true,
        allowAllOutbound: true,
      });
    this.managerSecurityGroup = new ec2.SecurityGroup(this, 'ManagerSecurityGroup', {
      vpc: this.vpc,
      description: 'Managers of a Docker swarm',
      disableInlineRules: true,
      allowAllOutbound: true,
    });
    const groupIds = {
      nodes: this.nodeSecurityGroup.securityGroupId,
      managers: this.managerSecurityGroup.securityGroupId,
    };
    for (const { id: ruleId, to, protocol, port, description } of NODE_RULES)
      ready.add(
        new ec2.CfnSecurityGroupIngress(this, ruleId, {
          groupId: groupIds[to],
          sourceSecurityGroupId: groupIds.nodes,
          ipProtocol: protocol,
          fromPort: port,
          toPort: port,
          description,
        }),
      );

    if (props.vpc === undefined)
      checkAtSynth(this, () => [
        ...checkNatGateways(known(props.natGateways ?? NAT_GATEWAYS), ZONES),
        ...checkVpcCidr(known(props.cidr ?? VPC_CIDR)),
      ]);
    if (this.nodeSubnets.length === 0) checkAtSynth(this, () => [this.noSubnets(props)]);
  }

  /** One subnet for each zone of the nodes. */
  get zones(): { subnet: ec2.ISubnet; zone: string }[] {
    const byZone = new Map<string, { subnet: ec2.ISubnet; zone: string }>();
    for (const subnet of this.nodeSubnets) {
      const zone = zoneOf(subnet);
      // Two tokens name the same zone when they resolve to the same expression.
      const key = JSON.stringify(Stack.of(this).resolve(subnet instanceof ec2.Subnet ? subnet.availabilityZone : zone));
      if (!byZone.has(key)) byZone.set(key, { subnet, zone });
    }
    return [...byZone.values()];
  }

  /** The names of the zones. Undefined until the VPC look-up has run. */
  get zoneNames(): string[] | undefined {
    const names = this.zones.map(({ subnet }) =>
      Token.isUnresolved(subnet.availabilityZone) ? subnet.node.path : subnet.availabilityZone,
    );
    return names.some(isDummy) ? undefined : names;
  }

  /** The networks of the VPC that are known at synth. */
  get knownCidrs(): string[] {
    if (this.nodeSubnets.some((subnet) => isDummy(subnet.availabilityZone))) return [];
    const cidr =
      this.cidr ??
      (this.vpc.node.defaultChild instanceof ec2.CfnVPC
        ? this.vpc.node.defaultChild.cidrBlock
        : tryRead(() => this.vpc.vpcCidrBlock));
    return cidr === undefined || Token.isUnresolved(cidr) ? [] : [cidr];
  }

  private createVpc(cidr: string, natGateways: number, ready: DependencyGroup): ec2.Vpc {
    const { region, account } = Stack.of(this);
    const hasEnvironment = !Token.isUnresolved(region) && !Token.isUnresolved(account);
    const gateways = checkNatGateways(known(natGateways), ZONES).length === 0 ? natGateways : NAT_GATEWAYS;
    const nodeSubnets = gateways === 0 ? ec2.SubnetType.PRIVATE_ISOLATED : ec2.SubnetType.PRIVATE_WITH_EGRESS;
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(cidr),
      // A stack without an environment cannot look up its zones at synth.
      ...(hasEnvironment
        ? { maxAzs: ZONES }
        : { availabilityZones: Array.from({ length: ZONES }, (_, n) => Fn.select(n, Fn.getAzs())) }),
      natGateways: gateways,
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
        { name: 'Nodes', subnetType: nodeSubnets },
      ],
      // Restricting it takes a custom resource, and nothing here uses the default group.
      restrictDefaultSecurityGroup: false,
    });
    const subnets = [{ subnetType: nodeSubnets }];
    ready.add(
      vpc.addGatewayEndpoint('DynamoDb', { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB, subnets }),
      vpc.addGatewayEndpoint('S3', { service: ec2.GatewayVpcEndpointAwsService.S3, subnets }),
    );
    return vpc;
  }

  private selectSubnets(props: SwarmNetworkProps): ec2.ISubnet[] {
    const isolated = props.vpc === undefined && props.natGateways === 0;
    const selection = props.vpcSubnets ?? {
      subnetType: isolated ? ec2.SubnetType.PRIVATE_ISOLATED : ec2.SubnetType.PRIVATE_WITH_EGRESS,
    };
    // A VPC without such subnets throws at once; synth reports it together with all other problems.
    const selected = tryRead(() => this.vpc.selectSubnets(selection).subnets) ?? [];
    return selected.filter((subnet) => tryRead(() => subnet.availabilityZone) !== undefined && !standsForList(subnet));
  }

  private noSubnets({ vpcSubnets }: SwarmNetworkProps): string {
    const { publicSubnets, privateSubnets, isolatedSubnets } = this.vpc;
    if ([...publicSubnets, ...privateSubnets, ...isolatedSubnets].some(standsForList)) {
      return (
        `The VPC ${known(this.vpc.vpcId) ?? this.vpc.node.path} was imported with its subnets or zones as a list ` +
        'that is known only at deployment, so the nodes cannot be spread over them. Name the subnets one by one, ' +
        'each with its availability zone. Their ids may be tokens, such as Fn.select(0, list), but their number must ' +
        'be known at synth.'
      );
    }
    return (
      `The VPC ${known(this.vpc.vpcId) ?? this.vpc.node.path} has no subnets for nodes ` +
      `${vpcSubnets === undefined ? '(private, with egress)' : 'that `vpcSubnets` selects'}: ` +
      `it has ${publicSubnets.length} public, ${privateSubnets.length} private and ${isolatedSubnets.length} ` +
      'isolated subnets. Set `vpcSubnets` to subnets with a route out, each with its availability zone.'
    );
  }
}

/** The zone of a subnet: of a new one as it is created, of an imported one as its import says. */
function zoneOf(subnet: ec2.ISubnet): string {
  return subnet instanceof ec2.Subnet ? subnet.subnetAvailabilityZone : subnet.availabilityZone;
}

/**
 * Whether a zone is the framework's placeholder for a look-up that has not run: it says nothing about the real zone.
 */
function isDummy(zone: string): boolean {
  return !Token.isUnresolved(zone) && zone.startsWith('dummy');
}

/** Whether the subnet stands for a whole list of unknown length. Such a token is valid only in a list. */
function standsForList(subnet: ec2.ISubnet): boolean {
  return [subnet.subnetId, tryRead(() => subnet.availabilityZone)].some(
    (text) => text !== undefined && Tokenization.reverseList([text]) !== undefined,
  );
}

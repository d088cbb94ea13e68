/** Where the nodes live: VPC, private subnets in three zones, gateway endpoints, security groups. */
import { Fn, Stack, Token, Tokenization } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct, DependencyGroup, type IDependable } from 'constructs';
import { NAT_GATEWAYS, VPC_CIDR, ZONES } from '../core/defaults';
import { NODE_RULES } from '../core/security-rules';
import { checkNatGateways, checkVpcCidr } from '../core/checks/network';
import { checkAtSynth, tryRead, known } from '../framework/known';

export interface SwarmNetworkProps {
  /**
   * The VPC to use. `natGateways` and `cidr` are of no use then, and no endpoints are added: give it gateway endpoints
   * for DynamoDB and S3 (they are free), or what the nodes say and fetch passes the NAT gateways.
   * @default - a new VPC with public and private subnets in three zones
   */
  readonly vpc?: ec2.IVpc;
  /**
   * The subnets of the nodes. They need a way to DynamoDB, S3 and CloudWatch Logs, and, unless the image has Docker and
   * Node.js 22, to the package repository. Three managers or more need three zones.
   * @default - the private subnets with egress of the VPC
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
  /**
   * The security group of all nodes. The rules that nodes need among themselves are added to it; what leaves it is not
   * touched.
   * @default - a new one that lets everything out
   */
  readonly nodeSecurityGroup?: ec2.ISecurityGroup;
  /**
   * NAT gateways of the new VPC. Each costs about 33 USD a month (0.045 USD an hour, us-east-1) and 0.045 USD per GB.
   * With one, the loss of its zone takes the way out from the nodes of all zones: the swarm goes on, images are not
   * pulled. With 0 the nodes' subnets are isolated: the image must have Docker and Node.js 22, and registries,
   * CloudWatch Logs and Session Manager need endpoints of their own.
   * @default 1
   */
  readonly natGateways?: number;
  /**
   * The IPv4 network of the new VPC, from /16 to /25.
   * @default '10.0.0.0/16'
   */
  readonly cidr?: string;
}

/**
 * The network of a swarm: the nodes are in private subnets; 2377 (management) is open from nodes to managers only, 7946
 * (gossip) and 4789 (overlays), and ESP for encrypted overlays, among nodes only; nothing is open to anybody else.
 * Source: https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 *
 * In a stack without an environment the three zones are the first three that the region gives the account at
 * deployment. Give the stack an environment when you keep state: the zones then stay what they were.
 */
export class SwarmNetwork extends Construct {
  readonly vpc: ec2.IVpc;
  /** The subnets of the nodes. Empty when the given VPC has none that can be used: synth fails then. */
  readonly nodeSubnets: ec2.ISubnet[];
  /** Of every node. */
  readonly nodeSecurityGroup: ec2.ISecurityGroup;
  /** Of managers, in addition. */
  readonly managerSecurityGroup: ec2.SecurityGroup;
  /** What must be there before the first node is launched, and until the last one is gone: routes, endpoints, rules. */
  readonly ready: IDependable;

  private readonly cidr?: string;

  constructor(scope: Construct, id: string, props: SwarmNetworkProps = {}) {
    super(scope, id);
    const ready = new DependencyGroup();
    this.ready = ready;

    if (props.vpc === undefined) {
      const wanted = props.cidr ?? VPC_CIDR;
      // aws-cdk-lib would throw on one that cannot be divided, before all mistakes are reported.
      this.cidr = checkVpcCidr(known(wanted)).length === 0 ? wanted : VPC_CIDR;
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

  /** One subnet for every zone, for what is to be spread. */
  get zones(): { subnet: ec2.ISubnet; zone: string }[] {
    const byZone = new Map<string, { subnet: ec2.ISubnet; zone: string }>();
    for (const subnet of this.nodeSubnets) {
      const zone = zoneOf(subnet);
      // Two tokens are the same zone when they resolve to the same expression.
      const key = JSON.stringify(Stack.of(this).resolve(subnet instanceof ec2.Subnet ? subnet.availabilityZone : zone));
      if (!byZone.has(key)) byZone.set(key, { subnet, zone });
    }
    return [...byZone.values()];
  }

  /** The names of the zones; undefined while a look-up has not been made. */
  get zoneNames(): string[] | undefined {
    const names = this.zones.map(({ subnet }) =>
      Token.isUnresolved(subnet.availabilityZone) ? subnet.node.path : subnet.availabilityZone,
    );
    return names.some(isDummy) ? undefined : names;
  }

  /** The networks of the VPC, as far as they are known at synth. */
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
    const pinned = !Token.isUnresolved(region) && !Token.isUnresolved(account);
    const usable = checkNatGateways(known(natGateways), ZONES).length === 0 ? natGateways : NAT_GATEWAYS;
    const nodeSubnets = usable === 0 ? ec2.SubnetType.PRIVATE_ISOLATED : ec2.SubnetType.PRIVATE_WITH_EGRESS;
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(cidr),
      // A stack without an environment cannot ask for its zones at synth.
      ...(pinned
        ? { maxAzs: ZONES }
        : { availabilityZones: Array.from({ length: ZONES }, (_, n) => Fn.select(n, Fn.getAzs())) }),
      natGateways: usable,
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
        { name: 'Nodes', subnetType: nodeSubnets },
      ],
      // Would need a custom resource; nothing here uses the default group.
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
    // A VPC without such subnets throws; said together with all other mistakes instead.
    const selected = tryRead(() => this.vpc.selectSubnets(selection).subnets) ?? [];
    return selected.filter((subnet) => tryRead(() => subnet.availabilityZone) !== undefined && !isOfTokenList(subnet));
  }

  private noSubnets({ vpcSubnets }: SwarmNetworkProps): string {
    const { publicSubnets, privateSubnets, isolatedSubnets } = this.vpc;
    if ([...publicSubnets, ...privateSubnets, ...isolatedSubnets].some(isOfTokenList)) {
      return (
        `The VPC ${known(this.vpc.vpcId) ?? this.vpc.node.path} was given its subnets or zones as a list ` +
        'that is known only at deployment, so the nodes cannot be spread over them. ' +
        'Give the subnets one by one, each with its availability zone: ids may be tokens, such as ' +
        'Fn.select(0, list), but their number must be known at synth.'
      );
    }
    return (
      `The VPC ${known(this.vpc.vpcId) ?? this.vpc.node.path} has no subnets for nodes ` +
      `${vpcSubnets === undefined ? '(private, with egress)' : 'that `vpcSubnets` selects'}: ` +
      `it has ${publicSubnets.length} public, ${privateSubnets.length} private and ` +
      `${isolatedSubnets.length} isolated ones. ` +
      'Give `vpcSubnets` that name subnets with a way out, each with its availability zone.'
    );
  }
}

/** The zone that a subnet is in once it is made; for a subnet from elsewhere, what was said. */
function zoneOf(subnet: ec2.ISubnet): string {
  return subnet instanceof ec2.Subnet ? subnet.subnetAvailabilityZone : subnet.availabilityZone;
}

/** The framework's stand-in while it looks up the real answer. Nothing can be said about it. */
function isDummy(zone: string): boolean {
  return !Token.isUnresolved(zone) && zone.startsWith('dummy');
}

/**
 * Whether the subnet stands for a whole list of them, of which nothing is known: such a text can be used in a list
 * only.
 */
function isOfTokenList(subnet: ec2.ISubnet): boolean {
  return [subnet.subnetId, tryRead(() => subnet.availabilityZone)].some(
    (text) => text !== undefined && Tokenization.reverseList([text]) !== undefined,
  );
}

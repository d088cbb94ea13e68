/**
 * VPCs, subnets, security groups and network interfaces: their addresses, and which of them may not be deleted while in
 * use. Traffic is never filtered.
 */
import { rangeOfCidr } from '../../../lib/core/cidr';
import type { Context } from '../core/context';
import { matchesFilters, tagList, type Tags } from '../core/describe';
import { AwsError } from '../core/types';
import { paged, select, specifiedTags } from './requests';
import {
  permittedBy,
  revokedOutput,
  ruleOutput,
  SecurityGroupRules,
  type Permitted,
  type SecurityGroupRuleView,
} from './rules';

export interface NetworkInterfaceView {
  networkInterfaceId: string;
  status: 'available' | 'in-use';
  privateIpAddress: string;
  subnetId: string;
  instanceId: string | undefined;
  tags: Tags;
}

export interface NetworkInterface extends NetworkInterfaceView {
  groups: string[];
  description: string;
  macAddress: string;
  deleteOnTermination: boolean;
}

interface Vpc {
  id: string;
  cidr: string;
  defaultSecurityGroup: string;
}

export interface Subnet {
  id: string;
  vpcId: string;
  cidr: string;
  availabilityZone: string;
}

interface SecurityGroup {
  id: string;
  vpcId: string;
  name: string;
  tags: Tags;
}

/**
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html : AWS reserves the first four addresses of a
 * subnet and the last.
 */
const RESERVED_FIRST = 4;
const RESERVED_LAST = 1;
const RULE_TYPE = 'security-group-rule';

export class Networks {
  private readonly vpcs = new Map<string, Vpc>();
  private readonly subnets = new Map<string, Subnet>();
  private readonly securityGroups = new Map<string, SecurityGroup>();
  private readonly rules = new SecurityGroupRules();
  private readonly interfaces = new Map<string, NetworkInterface>();

  constructor(private readonly context: Context) {}

  /** The ids of everything that exists. */
  ids(): string[] {
    return [this.vpcs, this.subnets, this.securityGroups, this.interfaces].flatMap((things) => [
      ...(things as Map<string, unknown>).keys(),
    ]);
  }

  /** Undefined for a VPC's default group and for an unknown group. */
  securityGroupTags(groupId: string): Tags | undefined {
    return this.securityGroups.get(groupId)?.tags;
  }

  securityGroupRules(): SecurityGroupRuleView[] {
    return this.rules.views();
  }

  networkInterfaceViews(): NetworkInterfaceView[] {
    return [...this.interfaces.values()];
  }

  createVpc(cidr: string): Vpc {
    const vpc = { id: this.context.id('vpc'), cidr, defaultSecurityGroup: '' };
    this.vpcs.set(vpc.id, vpc);
    vpc.defaultSecurityGroup = this.context.id('sg');
    // https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html
    this.rules.add(vpc.defaultSecurityGroup, false, [
      {
        protocol: '-1',
        fromPort: -1,
        toPort: -1,
        peer: { kind: 'ReferencedGroupId', value: vpc.defaultSecurityGroup },
        description: undefined,
      },
    ]);
    this.rules.allowAllOut(vpc.defaultSecurityGroup);
    return vpc;
  }

  vpc(id: string): Vpc {
    const vpc = this.vpcs.get(id);
    if (!vpc) throw new AwsError('InvalidVpcID.NotFound', `The vpc ID '${id}' does not exist`);
    return vpc;
  }

  hasVpc(id: string): boolean {
    return this.vpcs.has(id);
  }

  deleteVpc(id: string): void {
    const used = [...this.subnets.values(), ...this.securityGroups.values()].some((thing) => thing.vpcId === id);
    if (used) throw new AwsError('DependencyViolation', `The vpc '${id}' has dependencies and cannot be deleted.`);
    const vpc = this.vpcs.get(id);
    if (vpc) this.rules.forget(vpc.defaultSecurityGroup);
    this.vpcs.delete(id);
  }

  createSubnet(vpcId: string, cidr: string, availabilityZone: string): Subnet {
    const vpc = this.vpc(vpcId);
    const range = addressRange(cidr);
    const outer = addressRange(vpc.cidr);
    if (range.first < outer.first || range.last > outer.last)
      throw new AwsError('InvalidSubnet.Range', `The CIDR '${cidr}' is invalid.`);
    for (const other of this.subnets.values()) {
      const { first, last } = addressRange(other.cidr);
      if (other.vpcId === vpcId && range.first <= last && first <= range.last)
        throw new AwsError('InvalidSubnet.Conflict', `The CIDR '${cidr}' conflicts with another subnet`);
    }
    const subnet = { id: this.context.id('subnet'), vpcId, cidr, availabilityZone };
    this.subnets.set(subnet.id, subnet);
    return subnet;
  }

  subnet(id: string): Subnet {
    const subnet = this.subnets.get(id);
    if (!subnet) throw new AwsError('InvalidSubnetID.NotFound', `The subnet ID '${id}' does not exist`);
    return subnet;
  }

  deleteSubnet(id: string): void {
    if ([...this.interfaces.values()].some((eni) => eni.subnetId === id)) {
      throw new AwsError('DependencyViolation', `The subnet '${id}' has dependencies and cannot be deleted.`);
    }
    this.subnets.delete(id);
  }

  createSecurityGroup(vpcId: string, name: string, tags: Tags = {}): SecurityGroup {
    this.vpc(vpcId);
    const group = { id: this.context.id('sg'), vpcId, name, tags };
    this.securityGroups.set(group.id, group);
    this.rules.allowAllOut(group.id);
    return group;
  }

  /** Adds rules as CloudFormation does: egress rules replace the default one of a new group. */
  addRules(groupId: string, egress: boolean, permitted: Permitted[], ruleId?: string): void {
    this.checkSecurityGroup(groupId);
    this.checkPeers(permitted);
    if (egress) this.rules.dropPreset(groupId);
    this.rules.add(groupId, egress, permitted, {}, ruleId);
  }

  removeRule(ruleId: string): void {
    this.rules.remove(ruleId);
  }

  deleteSecurityGroup(id: string): void {
    if ([...this.interfaces.values()].some((eni) => eni.groups.includes(id))) {
      throw new AwsError('DependencyViolation', `resource ${id} has a dependent object`);
    }
    // https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html : not while a rule of another
    // group refers to it.
    if (this.rules.isReferenced(id)) throw new AwsError('DependencyViolation', `resource ${id} has a dependent object`);
    this.rules.forget(id);
    this.securityGroups.delete(id);
  }

  createNetworkInterface(input: {
    subnetId: string;
    privateIpAddress?: string;
    groups?: string[];
    description?: string;
    tags: Tags;
    deleteOnTermination?: boolean;
  }): NetworkInterface {
    const subnet = this.subnet(input.subnetId);
    for (const group of input.groups ?? []) this.checkSecurityGroup(group);
    const address = input.privateIpAddress ?? this.freeAddress(subnet);
    const range = addressRange(subnet.cidr);
    const number = parseAddress(address);
    if (number < range.first + RESERVED_FIRST || number > range.last - RESERVED_LAST) {
      throw new AwsError('InvalidParameterValue', `Address ${address} does not fall within the subnet's address range`);
    }
    if (this.usedAddresses(subnet).has(number))
      throw new AwsError('InvalidIPAddress.InUse', `Address ${address} is in use.`);
    const eni: NetworkInterface = {
      networkInterfaceId: this.context.id('eni'),
      status: 'available',
      privateIpAddress: address,
      subnetId: subnet.id,
      instanceId: undefined,
      tags: input.tags,
      groups: input.groups?.length ? input.groups : [this.vpc(subnet.vpcId).defaultSecurityGroup],
      description: input.description ?? '',
      macAddress: `02:${Array.from({ length: 5 }, () => this.context.letters(2, '0123456789abcdef')).join(':')}`,
      deleteOnTermination: input.deleteOnTermination ?? false,
    };
    this.interfaces.set(eni.networkInterfaceId, eni);
    return eni;
  }

  deleteNetworkInterface(id: string): void {
    const eni = this.interfaces.get(id);
    if (eni?.status === 'in-use')
      throw new AwsError('InvalidParameterValue', `Network interface '${id}' is currently in use.`);
    this.interfaces.delete(id);
  }

  findInterface(id: string): NetworkInterface | undefined {
    return this.interfaces.get(id);
  }

  vpcOfSubnet(id: string): string | undefined {
    return this.subnets.get(id)?.vpcId;
  }

  /** @throws AwsError when there is no such interface */
  networkInterface(id: string): NetworkInterface {
    const eni = this.findInterface(id);
    if (!eni)
      throw new AwsError('InvalidNetworkInterfaceID.NotFound', `The networkInterface ID '${id}' does not exist`);
    return eni;
  }

  /** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html */
  authorizeIngress(input: Record<string, any>): Record<string, any> {
    const groupId = this.ruledGroup('AuthorizeSecurityGroupIngress', input, ['TagSpecifications']);
    const other = (input.TagSpecifications ?? []).find(
      ({ ResourceType }: Record<string, string>) => ResourceType !== RULE_TYPE,
    );
    if (other)
      throw new AwsError(
        'InvalidParameterValue',
        `'${other.ResourceType}' is not a valid taggable resource type for this operation.`,
      );
    const permitted = permittedBy(input);
    this.checkPeers(permitted);
    const rules = this.rules.add(groupId, false, permitted, specifiedTags(input, RULE_TYPE));
    this.context.emit('ec2', 'rules-added', groupId, { rules: rules.map(({ ruleId }) => ruleId) });
    return { Return: true, SecurityGroupRules: rules.map((rule) => this.ruleOutput(rule)) };
  }

  /**
   * In a non-default VPC an unknown rule is an error, and nothing is revoked.
   * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
   */
  revokeIngress(input: Record<string, any>): Record<string, any> {
    const groupId = this.ruledGroup('RevokeSecurityGroupIngress', input, ['SecurityGroupRuleIds']);
    const { SecurityGroupRuleIds: ids } = input;
    const rules = this.rules.revoke(groupId, false, ids?.length ? { ids } : { permitted: permittedBy(input) });
    this.context.emit('ec2', 'rules-revoked', groupId, { rules: rules.map(({ ruleId }) => ruleId) });
    return { Return: true, RevokedSecurityGroupRules: rules.map(revokedOutput) };
  }

  private ruledGroup(action: string, input: Record<string, any>, more: string[]): string {
    const known = ['GroupId', 'IpPermissions', 'IpProtocol', 'FromPort', 'ToPort', 'CidrIp', ...more];
    const unknown = Object.keys(input).filter((name) => input[name] !== undefined && !known.includes(name));
    if (unknown.length > 0)
      throw new Error(`The emulation does not know ${unknown.join(', ')} of ${action}. It knows ${known.join(', ')}.`);
    if (input.GroupId === undefined)
      throw new AwsError('MissingParameter', 'The request must contain the parameter groupName or groupId');
    this.checkSecurityGroup(input.GroupId);
    return input.GroupId;
  }

  private checkPeers(permitted: Permitted[]): void {
    for (const { peer } of permitted) if (peer.kind === 'ReferencedGroupId') this.checkSecurityGroup(peer.value);
  }

  /** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html */
  describeRules(input: Record<string, any>): Record<string, any> {
    const found = select(
      input,
      'SecurityGroupRuleIds',
      'securityGroupRuleIdSet',
      (id) => this.rules.rule(id),
      this.rules.views(),
    ).filter((rule) =>
      matchesFilters(input.Filters, rule.tags, { 'group-id': rule.groupId, 'security-group-rule-id': rule.ruleId }),
    );
    const { items, next } = paged(found, input);
    return { SecurityGroupRules: items.map((rule) => this.ruleOutput(rule)), NextToken: next };
  }

  describeNetworkInterfaces(input: Record<string, any>): Record<string, any> {
    const found = select(input, 'NetworkInterfaceIds', 'networkInterfaceIdSet', (id) => this.networkInterface(id), [
      ...this.interfaces.values(),
    ]).filter((eni) =>
      matchesFilters(input.Filters, eni.tags, {
        'network-interface-id': eni.networkInterfaceId,
        status: eni.status,
        'subnet-id': eni.subnetId,
        'private-ip-address': eni.privateIpAddress,
        'addresses.private-ip-address': eni.privateIpAddress,
        'attachment.instance-id': eni.instanceId,
        'group-id': eni.groups,
        description: eni.description,
      }),
    );
    const { items, next } = paged(found, input);
    return {
      NetworkInterfaces: items.map((eni) => {
        const subnet = this.subnet(eni.subnetId);
        return {
          NetworkInterfaceId: eni.networkInterfaceId,
          Status: eni.status,
          PrivateIpAddress: eni.privateIpAddress,
          PrivateIpAddresses: [{ Primary: true, PrivateIpAddress: eni.privateIpAddress }],
          SubnetId: eni.subnetId,
          VpcId: subnet.vpcId,
          AvailabilityZone: subnet.availabilityZone,
          Description: eni.description,
          InterfaceType: 'interface',
          MacAddress: eni.macAddress,
          OwnerId: this.context.accountId,
          RequesterManaged: false,
          SourceDestCheck: true,
          Groups: this.groupOutput(eni.groups),
          Attachment:
            eni.instanceId === undefined
              ? undefined
              : {
                  InstanceId: eni.instanceId,
                  DeviceIndex: 0,
                  Status: 'attached',
                  DeleteOnTermination: eni.deleteOnTermination,
                },
          TagSet: tagList(eni.tags),
        };
      }),
      NextToken: next,
    };
  }

  groupOutput(ids: string[]): { GroupId: string; GroupName: string }[] {
    return ids.map((GroupId) => ({ GroupId, GroupName: this.securityGroups.get(GroupId)?.name ?? 'default' }));
  }

  /** @throws AwsError when there is no such group */
  checkSecurityGroup(id: string): void {
    const known = this.securityGroups.has(id) || [...this.vpcs.values()].some((vpc) => vpc.defaultSecurityGroup === id);
    if (!known) throw new AwsError('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
  }

  private ruleOutput(rule: SecurityGroupRuleView): Record<string, any> {
    return ruleOutput(rule, this.context.accountId, this.context.arn('ec2', `${RULE_TYPE}/${rule.ruleId}`));
  }

  private usedAddresses(subnet: Subnet): Set<number> {
    return new Set(
      [...this.interfaces.values()]
        .filter((eni) => eni.subnetId === subnet.id)
        .map((eni) => parseAddress(eni.privateIpAddress)),
    );
  }

  /**
   * The lowest free address, so that new instances soon get the addresses of old ones. Software must not confuse the
   * two.
   */
  private freeAddress(subnet: Subnet): string {
    const used = this.usedAddresses(subnet);
    const { first, last } = addressRange(subnet.cidr);
    for (let address = first + RESERVED_FIRST; address <= last - RESERVED_LAST; address += 1) {
      if (!used.has(address)) return formatAddress(address);
    }
    throw new AwsError(
      'InsufficientFreeAddressesInSubnet',
      `There are not enough free addresses in subnet '${subnet.id}' to satisfy the requested number of instances.`,
    );
  }
}

function parseAddress(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

function addressRange(cidr: string): { first: number; last: number } {
  const range = rangeOfCidr(cidr);
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidParameterValue)
  if (range === undefined)
    throw new AwsError(
      'InvalidParameterValue',
      `Value (${cidr}) for parameter cidrBlock is invalid. This is not a valid CIDR block.`,
    );
  return { first: parseAddress(range.first), last: parseAddress(range.last) };
}

/**
 * EC2: networks, interfaces, volumes, launch templates and instances. An instance gets its body from `Machines`; all
 * that AWS itself knows of it is kept here. Networks are kept for their addresses and for what may not be deleted while
 * it is used: traffic is never filtered here.
 */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import { matchesFilters, page, tagList, tagMap, type Tags } from '../core/describe';
import {
  permittedBy,
  revokedOutput,
  ruleOutput,
  SecurityGroupRules,
  type Permitted,
  type SecurityGroupRuleView,
} from './rules';
import type { Iam } from '../iam/iam';
import type { Authorization } from '../iam/authorization';
import type { Ssm } from '../ssm/ssm';
import { AwsError, type Credentials, type Machines, type MachineSpec, type Service } from '../core/types';

export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated';

/** What may be known of an instance from outside. */
export interface InstanceView {
  instanceId: string;
  state: InstanceState;
  privateIpAddress: string;
  availabilityZone: string;
  instanceType: string;
  architecture: 'x86_64' | 'arm64';
  imageId: string;
  lifecycle: 'on-demand' | 'spot';
  subnetId: string;
  launchedAt: number;
  networkInterfaceId: string;
  /** Name of the role of its instance profile. */
  roleName: string | undefined;
  tags: Tags;
  stateReason: string | undefined;
  /** When a spot instance got its notice, in milliseconds since 1970. */
  noticedAt: number | undefined;
}

export interface VolumeView {
  volumeId: string;
  sizeGiB: number;
  availabilityZone: string;
  state: 'available' | 'in-use';
  attachment: { instanceId: string; device: string; state: 'attaching' | 'attached' | 'detaching' } | undefined;
  tags: Tags;
  /** ARN of the customer's key. */
  encryptionKey?: string;
}

export interface NetworkInterfaceView {
  networkInterfaceId: string;
  status: 'available' | 'in-use';
  privateIpAddress: string;
  subnetId: string;
  instanceId: string | undefined;
  tags: Tags;
}

interface Instance extends InstanceView {
  profileArn: string | undefined;
  userData: string;
  /** Everything done to the machine, one after the other. */
  work: Promise<void>;
}

interface Volume extends VolumeView {
  type: string;
  encrypted: boolean;
  createdAt: number;
  attachment: (NonNullable<VolumeView['attachment']> & { at: number }) | undefined;
}

interface NetworkInterface extends NetworkInterfaceView {
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

interface Subnet {
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

/** One version of a template: its `LaunchTemplateData`, and what the template is called. */
export interface LaunchTemplate {
  id: string;
  name: string;
  version: number;
  data: Record<string, any>;
}

export interface LaunchTemplateReference {
  LaunchTemplateId?: string;
  LaunchTemplateName?: string;
  /** A number, `$Latest` or `$Default`. */
  Version?: string;
}

export interface RunRequest {
  template: LaunchTemplate;
  /** Over the template's. */
  instanceType?: string;
  lifecycle: 'on-demand' | 'spot';
  /** Where no interface of the template decides. */
  subnetId?: string;
  availabilityZone?: string;
  tags: Tags;
}

const STATE_CODES: Record<InstanceState, number> = { pending: 0, running: 16, 'shutting-down': 32, terminated: 48 };
/**
 * "a short while" in https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html ; about an hour is
 * seen.
 */
export const TERMINATED_VISIBLE_MS = 3_600_000;
/**
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html : the first four addresses of a subnet and the
 * last are AWS's.
 */
const RESERVED_FIRST = 4;
const RESERVED_LAST = 1;
const DEFAULT_PAGE = 1000;
const RULE_TYPE = 'security-group-rule';
/** Two minutes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
export const SPOT_NOTICE_MS = 120_000;

export class Ec2 implements Service {
  private readonly vpcs = new Map<string, Vpc>();
  private readonly subnets = new Map<string, Subnet>();
  private readonly securityGroups = new Map<string, SecurityGroup>();
  private readonly rules = new SecurityGroupRules();
  private readonly interfaces = new Map<string, NetworkInterface>();
  private readonly volumes = new Map<string, Volume>();
  /** Versions by id, the first first. */
  private readonly templates = new Map<string, LaunchTemplate[]>();
  private readonly machinesById = new Map<string, Instance>();
  private readonly listeners = new Set<(instance: InstanceView) => void>();
  private readonly spotListeners = new Set<(instance: InstanceView) => void>();
  private readonly rebalanceListeners = new Set<(instance: InstanceView) => void>();

  constructor(
    private readonly context: Context,
    private readonly machines: Machines,
    private readonly iam: Iam,
    private readonly authorization: Authorization,
    private readonly ssm: Ssm,
  ) {}

  /** Calls the listener at each change of an instance's state. */
  onState(listener: (instance: InstanceView) => void): void {
    this.listeners.add(listener);
  }

  /** Calls the listener when a spot instance gets its notice. */
  onSpotNotice(listener: (instance: InstanceView) => void): void {
    this.spotListeners.add(listener);
  }

  /** Calls the listener when a spot instance is at an elevated risk of being taken back. */
  onRebalanceRecommendation(listener: (instance: InstanceView) => void): void {
    this.rebalanceListeners.add(listener);
  }

  instances(): InstanceView[] {
    return [...this.machinesById.values()];
  }

  volumeViews(): VolumeView[] {
    return [...this.volumes.values()];
  }

  /** What permissions on an instance, and on a volume, are checked on. */
  instanceTags(instanceId: string): Tags | undefined {
    return this.machinesById.get(instanceId)?.tags;
  }

  /** None of a VPC's own group, and of one that there is not. */
  securityGroupTags(groupId: string): Tags | undefined {
    return this.securityGroups.get(groupId)?.tags;
  }

  securityGroupRules(): SecurityGroupRuleView[] {
    return this.rules.views();
  }

  volumeView(volumeId: string): VolumeView | undefined {
    return this.volumes.get(volumeId);
  }

  networkInterfaceViews(): NetworkInterfaceView[] {
    return [...this.interfaces.values()];
  }

  /** Ids of everything that exists, terminated instances excepted: what a deleted stack may not leave behind. */
  remains(): string[] {
    return [
      ...[...this.machinesById.values()]
        .filter((instance) => instance.state !== 'terminated')
        .map((instance) => instance.instanceId),
      ...[this.vpcs, this.subnets, this.securityGroups, this.interfaces, this.volumes, this.templates].flatMap(
        (things) => [...(things as Map<string, unknown>).keys()],
      ),
    ];
  }

  /** @throws AwsError when there is no such instance any more */
  instance(id: string): InstanceView {
    return this.find(id);
  }

  byAddress(ip: string): InstanceView | undefined {
    return [...this.machinesById.values()].find(
      (instance) => instance.privateIpAddress === ip && instance.state !== 'terminated',
    );
  }

  /**
   * None either where the role does not trust EC2: the instance runs, and its metadata service says so in the role's
   * place.
   * Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
   */
  credentialsFor(instanceId: string): Credentials | undefined {
    const instance = this.machinesById.get(instanceId);
    if (instance?.roleName === undefined || instance.state === 'terminated') return undefined;
    if (!this.authorization.trusts(this.iam.role(instance.roleName), 'ec2.amazonaws.com')) return undefined;
    return this.iam.credentials(instance.roleName, instance.instanceId);
  }

  // Networks

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
    const range = parseCidr(cidr);
    const outer = parseCidr(vpc.cidr);
    if (range.first < outer.first || range.last > outer.last)
      throw new AwsError('InvalidSubnet.Range', `The CIDR '${cidr}' is invalid.`);
    for (const other of this.subnets.values()) {
      const { first, last } = parseCidr(other.cidr);
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

  /** As CloudFormation adds rules: outward ones take the place of what each new group has. */
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
    // group names it.
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
    const range = parseCidr(subnet.cidr);
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

  // Volumes

  async createVolume(input: {
    sizeGiB: number;
    availabilityZone: string;
    type: string;
    encrypted: boolean;
    encryptionKey?: string;
    tags: Tags;
  }): Promise<VolumeView> {
    const volume: Volume = {
      volumeId: this.context.id('vol'),
      state: 'available',
      attachment: undefined,
      createdAt: this.context.clock.now(),
      ...input,
    };
    await this.machines.createVolume(volume.volumeId, volume.sizeGiB);
    this.volumes.set(volume.volumeId, volume);
    return volume;
  }

  async deleteVolume(id: string): Promise<void> {
    const volume = this.volumes.get(id);
    if (!volume) return;
    if (volume.attachment)
      throw new AwsError('VolumeInUse', `Volume ${id} is currently attached to ${volume.attachment.instanceId}`);
    this.volumes.delete(id);
    await this.machines.deleteVolume(id);
  }

  // Launch templates

  createLaunchTemplate(name: string, data: Record<string, any>): LaunchTemplate {
    const template = { id: this.context.id('lt'), name, version: 1, data };
    this.templates.set(template.id, [template]);
    return template;
  }

  /**
   * The first version stays the default:
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/manage-launch-template-versions.html
   */
  addLaunchTemplateVersion(id: string, data: Record<string, any>): LaunchTemplate {
    const versions = this.versions({ LaunchTemplateId: id });
    const next = { ...versions[0]!, version: versions.length + 1, data };
    versions.push(next);
    return next;
  }

  deleteLaunchTemplate(id: string): void {
    this.templates.delete(id);
  }

  launchTemplate(reference: LaunchTemplateReference): LaunchTemplate {
    const versions = this.versions(reference);
    const { Version: version = '$Default' } = reference;
    const template =
      version === '$Latest' ? versions.at(-1) : versions[version === '$Default' ? 0 : Number(version) - 1];
    if (!template)
      throw new AwsError(
        'InvalidLaunchTemplateId.VersionNotFound',
        `Could not find launch template version ${version} for launch template ${versions[0]!.id}`,
      );
    return template;
  }

  private versions({ LaunchTemplateId: id, LaunchTemplateName: name }: LaunchTemplateReference): LaunchTemplate[] {
    const versions = [...this.templates.values()].find(
      ([first]) => first!.id === id || (name !== undefined && first!.name === name),
    );
    if (!versions)
      throw new AwsError(
        'InvalidLaunchTemplateId.NotFoundException',
        `The specified launch template, with template ID ${id ?? name}, does not exist.`,
      );
    return versions;
  }

  // Instances

  /** Takes the interface and makes the instance, which starts by itself. @throws AwsError when it cannot be made. */
  run(request: RunRequest): InstanceView {
    const { data } = request.template;
    const instanceType: string = request.instanceType ?? data.InstanceType;
    const imageId = this.imageId(data.ImageId);
    const architecture = architectureOf(instanceType);
    const imageArchitecture = this.ssm.architectureOf(imageId);
    if (imageArchitecture !== undefined && imageArchitecture !== architecture) {
      throw new AwsError(
        'InvalidParameterValue',
        `The architecture '${architecture}' of the specified instance type does not match the architecture ` +
          `'${imageArchitecture}' of the specified AMI. ` +
          'Specify an instance type and an AMI that have matching architectures, and try again.',
      );
    }
    const profile =
      data.IamInstanceProfile && this.iam.instanceProfile(data.IamInstanceProfile.Arn ?? data.IamInstanceProfile.Name);
    const tags = { ...specifiedTags(data, 'instance'), ...request.tags };
    const eni = this.primaryInterface(data, request);
    const subnet = this.subnet(eni.subnetId);
    if (request.availabilityZone !== undefined && subnet.availabilityZone !== request.availabilityZone) {
      if (eni.deleteOnTermination) this.interfaces.delete(eni.networkInterfaceId);
      throw new AwsError(
        'InvalidParameterValue',
        `The network interface ${eni.networkInterfaceId} is in ${subnet.availabilityZone}, not in ` +
          `${request.availabilityZone}`,
      );
    }
    const instance: Instance = {
      instanceId: this.context.id('i'),
      state: 'pending',
      privateIpAddress: eni.privateIpAddress,
      availabilityZone: subnet.availabilityZone,
      instanceType,
      architecture,
      imageId,
      lifecycle: request.lifecycle,
      subnetId: subnet.id,
      launchedAt: this.context.clock.now(),
      networkInterfaceId: eni.networkInterfaceId,
      roleName: profile?.roleName,
      profileArn: profile?.arn,
      tags,
      stateReason: undefined,
      noticedAt: undefined,
      userData: data.UserData === undefined ? '' : Buffer.from(data.UserData, 'base64').toString('utf8'),
      work: Promise.resolve(),
    };
    eni.status = 'in-use';
    eni.instanceId = instance.instanceId;
    this.machinesById.set(instance.instanceId, instance);
    this.changed(instance);
    this.context.start(() => this.boot(instance, subnet));
    return instance;
  }

  /** Orderly. An instance that is already going or gone is left as it is. */
  terminate(id: string, reason = 'User initiated'): void {
    const instance = this.find(id);
    if (instance.state === 'shutting-down' || instance.state === 'terminated') return;
    instance.state = 'shutting-down';
    instance.stateReason = reason;
    this.changed(instance);
    this.context.start(async () => {
      await this.context.delay('terminate');
      await this.enqueue(instance, async () => {
        await this.machines.terminate(instance.instanceId);
        if (instance.state !== 'terminated') this.gone(instance);
      });
    });
  }

  /** The machine is lost: from now on EC2 says `terminated`. For faults. */
  async kill(id: string): Promise<void> {
    const instance = this.find(id);
    await this.enqueue(instance, async () => {
      await this.machines.terminate(instance.instanceId);
      if (instance.state === 'terminated') return;
      instance.stateReason = 'Server.InternalError: Internal error on instance';
      this.gone(instance);
    });
  }

  hasSpotNotice(id: string): boolean {
    return this.machinesById.get(id)?.noticedAt !== undefined;
  }

  /** Takes a spot instance back, two minutes after its notice. For faults. */
  interruptSpot(id: string): void {
    const instance = this.find(id);
    if (instance.lifecycle !== 'spot')
      throw new Error(`Instance ${id} is ${instance.lifecycle}: only spot instances are interrupted.`);
    if (instance.noticedAt !== undefined) return;
    instance.noticedAt = this.context.clock.now();
    for (const listener of this.spotListeners) listener(instance);
    this.context.after(SPOT_NOTICE_MS, () => {
      if (this.machinesById.has(id)) this.terminate(id, 'Server.SpotInstanceTermination: Spot instance termination');
    });
  }

  /**
   * Earlier than a notice, which may never come.
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
   */
  recommendRebalance(id: string): void {
    const instance = this.find(id);
    if (instance.lifecycle !== 'spot')
      throw new Error(
        `Instance ${id} is ${instance.lifecycle}: only of spot instances EC2 recommends that they are replaced.`,
      );
    for (const listener of this.rebalanceListeners) listener(instance);
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'DescribeInstances':
        return this.describeInstances(input);
      case 'DescribeVolumes':
        return this.describeVolumes(input);
      case 'DescribeSpotInstanceRequests':
        return this.describeSpotRequests(input);
      case 'DescribeNetworkInterfaces':
        return this.describeNetworkInterfaces(input);
      case 'DescribeSecurityGroupRules':
        return this.describeRules(input);
      case 'AuthorizeSecurityGroupIngress':
        return this.authorizeIngress(input);
      case 'RevokeSecurityGroupIngress':
        return this.revokeIngress(input);
      case 'AttachVolume':
        return this.attachVolume(input);
      case 'DetachVolume':
        return this.detachVolume(input);
      case 'TerminateInstances': {
        const instances = (input.InstanceIds as string[]).map((id) => this.find(id));
        return {
          TerminatingInstances: instances.map((instance) => {
            const PreviousState = stateOf(instance);
            this.terminate(instance.instanceId, 'Client.UserInitiatedShutdown: User initiated shutdown');
            return { InstanceId: instance.instanceId, PreviousState, CurrentState: stateOf(instance) };
          }),
        };
      }
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of EC2. It knows DescribeInstances, ` +
            'DescribeVolumes, DescribeSpotInstanceRequests, DescribeNetworkInterfaces, ' +
            'DescribeSecurityGroupRules, AuthorizeSecurityGroupIngress, RevokeSecurityGroupIngress, ' +
            'AttachVolume, DetachVolume, TerminateInstances.',
        );
    }
  }

  /** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html */
  private authorizeIngress(input: Record<string, any>): Record<string, any> {
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
   * In a VPC of one's own a rule that is not there is an error, and nothing is revoked.
   * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
   */
  private revokeIngress(input: Record<string, any>): Record<string, any> {
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
  private describeRules(input: Record<string, any>): Record<string, any> {
    const found = this.select(
      input,
      'SecurityGroupRuleIds',
      'securityGroupRuleIdSet',
      (id) => this.rules.rule(id),
      this.rules.views(),
    ).filter((rule) =>
      matchesFilters(input.Filters, rule.tags, { 'group-id': rule.groupId, 'security-group-rule-id': rule.ruleId }),
    );
    const { items, next } = this.paged(found, input);
    return { SecurityGroupRules: items.map((rule) => this.ruleOutput(rule)), NextToken: next };
  }

  private ruleOutput(rule: SecurityGroupRuleView): Record<string, any> {
    return ruleOutput(rule, this.context.accountId, this.context.arn('ec2', `${RULE_TYPE}/${rule.ruleId}`));
  }

  private imageId(reference: string): string {
    // https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
    return reference.startsWith('resolve:ssm:') ? this.ssm.get(reference.slice('resolve:ssm:'.length)) : reference;
  }

  /** The existing interface that the template names, or a new one that goes with the instance. */
  private primaryInterface(data: Record<string, any>, request: RunRequest): NetworkInterface {
    const described: Record<string, any> | undefined = (data.NetworkInterfaces ?? []).find(
      (eni: Record<string, any>) => Number(eni.DeviceIndex) === 0,
    );
    if (described?.NetworkInterfaceId !== undefined) {
      const id: string = described.NetworkInterfaceId;
      const eni = this.interfaces.get(id);
      if (!eni)
        throw new AwsError('InvalidNetworkInterfaceID.NotFound', `The networkInterface ID '${id}' does not exist`);
      if (eni.status === 'in-use') throw new AwsError('InvalidNetworkInterface.InUse', `Interface: [${id}] in use.`);
      return eni;
    }
    const subnetId: string | undefined = described?.SubnetId ?? request.subnetId;
    if (subnetId === undefined)
      throw new AwsError(
        'VPCIdNotSpecified',
        'No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.',
      );
    const groups: string[] | undefined = described?.Groups ?? data.SecurityGroupIds;
    return this.createNetworkInterface({
      subnetId,
      groups,
      tags: specifiedTags(data, 'network-interface'),
      deleteOnTermination: true,
    });
  }

  private async boot(instance: Instance, subnet: Subnet): Promise<void> {
    await this.context.delay('launch');
    const spec: MachineSpec = {
      instanceId: instance.instanceId,
      privateIpAddress: instance.privateIpAddress,
      subnetCidr: subnet.cidr,
      availabilityZone: instance.availabilityZone,
      instanceType: instance.instanceType,
      architecture: instance.architecture,
      imageId: instance.imageId,
      lifecycle: instance.lifecycle,
      userData: instance.userData,
      tags: { ...instance.tags },
    };
    if (instance.state !== 'pending') return;
    try {
      await this.enqueue(instance, () => this.machines.launch(spec));
    } catch (error) {
      this.context.emit('ec2', 'launch-failed', instance.instanceId, {
        reason: error instanceof Error ? error.message : String(error),
      });
      this.terminate(instance.instanceId, 'Server.InternalError: Internal error on launch');
      return;
    }
    if (instance.state !== 'pending') return;
    instance.state = 'running';
    this.changed(instance);
  }

  /** One thing at a time is done to a machine. */
  private enqueue(instance: Instance, work: () => Promise<void>): Promise<void> {
    const next = instance.work.then(work);
    instance.work = next.catch(() => undefined);
    return next;
  }

  private gone(instance: Instance): void {
    instance.state = 'terminated';
    const eni = this.interfaces.get(instance.networkInterfaceId);
    if (eni?.instanceId === instance.instanceId) {
      eni.status = 'available';
      eni.instanceId = undefined;
      if (eni.deleteOnTermination) this.interfaces.delete(eni.networkInterfaceId);
    }
    for (const volume of this.volumes.values())
      if (volume.attachment?.instanceId === instance.instanceId) this.released(volume);
    this.context.after(TERMINATED_VISIBLE_MS, () => this.machinesById.delete(instance.instanceId));
    this.changed(instance);
  }

  private changed(instance: Instance): void {
    this.context.emit('ec2', instance.state, instance.instanceId, {
      privateIpAddress: instance.privateIpAddress,
      availabilityZone: instance.availabilityZone,
      reason: instance.stateReason,
    });
    for (const listener of [...this.listeners]) listener(instance);
  }

  private attachVolume(input: Record<string, any>): Record<string, any> {
    const { VolumeId: volumeId, InstanceId: instanceId, Device: device } = input;
    const volume = this.volume(volumeId);
    const instance = this.find(instanceId);
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    if (volume.attachment) throw new AwsError('VolumeInUse', `${volumeId} is already attached to an instance`);
    if (instance.state !== 'running')
      throw new AwsError('IncorrectState', `Instance '${instanceId}' is not 'running'.`);
    if (volume.availabilityZone !== instance.availabilityZone) {
      throw new AwsError(
        'InvalidVolume.ZoneMismatch',
        `The volume '${volumeId}' is not in the same availability zone as instance '${instanceId}'`,
      );
    }
    if (
      [...this.volumes.values()].some(
        (other) => other.attachment?.instanceId === instanceId && other.attachment?.device === device,
      )
    ) {
      throw new AwsError(
        'InvalidParameterValue',
        `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`,
      );
    }
    const attachment = {
      instanceId,
      device,
      state: 'attaching' as 'attaching' | 'attached',
      at: this.context.clock.now(),
    };
    volume.state = 'in-use';
    volume.attachment = attachment;
    this.context.start(async () => {
      await this.context.delay('attachVolume');
      if (volume.attachment !== attachment) return;
      try {
        await this.enqueue(instance, async () => {
          if (volume.attachment === attachment && instance.state === 'running')
            await this.machines.attachVolume(instanceId, volumeId, device);
        });
      } catch (error) {
        if (volume.attachment !== attachment) return;
        this.context.emit('ec2', 'attach-failed', volumeId, {
          instanceId,
          reason: error instanceof Error ? error.message : String(error),
        });
        this.released(volume);
        return;
      }
      if (volume.attachment !== attachment || instance.state !== 'running') return;
      attachment.state = 'attached';
      this.context.emit('ec2', 'volume-attached', volumeId, { instanceId, device });
    });
    return attachmentOutput(volume)!;
  }

  private detachVolume(input: Record<string, any>): Record<string, any> {
    const volume = this.volume(input.VolumeId);
    const attachment = volume.attachment;
    if (!attachment || attachment.state === 'detaching') {
      throw new AwsError(
        'IncorrectState',
        `Volume '${volume.volumeId}' is in the '${attachment ? 'detaching' : 'available'}' state.`,
      );
    }
    if (input.InstanceId !== undefined && input.InstanceId !== attachment.instanceId) {
      throw new AwsError(
        'InvalidAttachment.NotFound',
        `The volume '${volume.volumeId}' is not attached to instance '${input.InstanceId}'.`,
      );
    }
    const instance = this.find(attachment.instanceId);
    attachment.state = 'detaching';
    this.context.start(async () => {
      await this.context.delay('detachVolume');
      try {
        await this.enqueue(instance, async () => {
          if (volume.attachment === attachment) await this.machines.detachVolume(instance.instanceId, volume.volumeId);
        });
        if (volume.attachment === attachment) this.released(volume);
      } catch (error) {
        // In EC2 a volume that is still mounted stays attached (`busy`).
        attachment.state = 'attached';
        this.context.emit('ec2', 'detach-failed', volume.volumeId, {
          instanceId: instance.instanceId,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
    });
    return attachmentOutput(volume)!;
  }

  private released(volume: Volume): void {
    const instanceId = volume.attachment?.instanceId;
    volume.attachment = undefined;
    volume.state = 'available';
    this.context.emit('ec2', 'volume-detached', volume.volumeId, { instanceId });
  }

  private describeInstances(input: Record<string, any>): Record<string, any> {
    const found = this.select(input, 'InstanceIds', 'instancesSet', (id) => this.find(id), [
      ...this.machinesById.values(),
    ]).filter((instance) =>
      matchesFilters(input.Filters, instance.tags, {
        'instance-id': instance.instanceId,
        'instance-state-name': instance.state,
        'instance-type': instance.instanceType,
        'instance-lifecycle': instance.lifecycle === 'spot' ? 'spot' : undefined,
        'availability-zone': instance.availabilityZone,
        'private-ip-address': instance.state === 'terminated' ? undefined : instance.privateIpAddress,
        'subnet-id': instance.state === 'terminated' ? undefined : instance.subnetId,
        'vpc-id': instance.state === 'terminated' ? undefined : this.subnets.get(instance.subnetId)?.vpcId,
      }),
    );
    const { items, next } = this.paged(found, input);
    return {
      Reservations: items.map((instance) => ({
        ReservationId: instance.instanceId.replace(/^i-/, 'r-'),
        OwnerId: this.context.accountId,
        Groups: [],
        Instances: [this.instanceOutput(instance)],
      })),
      NextToken: next,
    };
  }

  /**
   * Every spot instance has one. Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
   */
  private describeSpotRequests(input: Record<string, any>): Record<string, any> {
    const requests = [...this.machinesById.values()]
      .filter(({ lifecycle }) => lifecycle === 'spot')
      .map((instance) => ({ instance, ended: instance.state === 'shutting-down' || instance.state === 'terminated' }))
      .map(({ instance, ended }) => ({
        instance,
        state: ended ? 'closed' : 'active',
        code: spotStatus(instance, ended),
      }))
      .filter(({ instance, state, code }) =>
        matchesFilters(input.Filters, {}, { 'instance-id': instance.instanceId, state, 'status-code': code }),
      );
    const { items, next } = this.paged(requests, input);
    return {
      SpotInstanceRequests: items.map(({ instance, state, code }) => ({
        SpotInstanceRequestId: instance.instanceId.replace(/^i-/, 'sir-'),
        InstanceId: instance.instanceId,
        LaunchedAvailabilityZone: instance.availabilityZone,
        State: state,
        Status: { Code: code, UpdateTime: isoTime(instance.noticedAt ?? instance.launchedAt) },
        Type: 'one-time',
      })),
      NextToken: next,
    };
  }

  private instanceOutput(instance: Instance): Record<string, any> {
    const { region } = this.context;
    const eni = this.interfaces.get(instance.networkInterfaceId);
    const here = instance.state !== 'terminated' && eni !== undefined;
    const domain = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
    return {
      InstanceId: instance.instanceId,
      ImageId: instance.imageId,
      InstanceType: instance.instanceType,
      Architecture: instance.architecture,
      State: stateOf(instance),
      StateReason:
        instance.stateReason === undefined
          ? undefined
          : { Code: instance.stateReason.split(':')[0], Message: instance.stateReason },
      LaunchTime: isoTime(instance.launchedAt),
      Placement: { AvailabilityZone: instance.availabilityZone, GroupName: '', Tenancy: 'default' },
      InstanceLifecycle: instance.lifecycle === 'spot' ? 'spot' : undefined,
      IamInstanceProfile: instance.profileArn === undefined ? undefined : { Arn: instance.profileArn },
      Tags: tagList(instance.tags),
      PrivateDnsName: here ? `ip-${instance.privateIpAddress.replaceAll('.', '-')}.${domain}` : '',
      // An instance that is gone has no address, no interfaces and no subnet any more.
      PrivateIpAddress: here ? instance.privateIpAddress : undefined,
      SubnetId: here ? instance.subnetId : undefined,
      VpcId: here ? this.subnet(instance.subnetId).vpcId : undefined,
      SecurityGroups: here ? this.groupOutput(eni.groups) : [],
      NetworkInterfaces: here
        ? [
            {
              NetworkInterfaceId: eni.networkInterfaceId,
              PrivateIpAddress: eni.privateIpAddress,
              SubnetId: eni.subnetId,
              Status: eni.status,
              MacAddress: eni.macAddress,
              Attachment: { DeviceIndex: 0, Status: 'attached', DeleteOnTermination: eni.deleteOnTermination },
            },
          ]
        : [],
      BlockDeviceMappings: [...this.volumes.values()]
        .filter((volume) => volume.attachment?.instanceId === instance.instanceId)
        .map((volume) => ({
          DeviceName: volume.attachment!.device,
          Ebs: { VolumeId: volume.volumeId, Status: volume.attachment!.state, DeleteOnTermination: false },
        })),
    };
  }

  private describeVolumes(input: Record<string, any>): Record<string, any> {
    const found = this.select(input, 'VolumeIds', 'volumeSet', (id) => this.volume(id), [
      ...this.volumes.values(),
    ]).filter((volume) =>
      matchesFilters(input.Filters, volume.tags, {
        'volume-id': volume.volumeId,
        status: volume.state,
        'availability-zone': volume.availabilityZone,
        'attachment.instance-id': volume.attachment?.instanceId,
        'attachment.status': volume.attachment?.state,
        'attachment.device': volume.attachment?.device,
      }),
    );
    const { items, next } = this.paged(found, input);
    return {
      Volumes: items.map((volume) => {
        const attachment = attachmentOutput(volume);
        return {
          VolumeId: volume.volumeId,
          Size: volume.sizeGiB,
          AvailabilityZone: volume.availabilityZone,
          State: volume.state,
          VolumeType: volume.type,
          Encrypted: volume.encrypted,
          SnapshotId: '',
          CreateTime: isoTime(volume.createdAt),
          Attachments: attachment ? [attachment] : [],
          Tags: tagList(volume.tags),
        };
      }),
      NextToken: next,
    };
  }

  private describeNetworkInterfaces(input: Record<string, any>): Record<string, any> {
    const one = (id: string) => {
      const eni = this.interfaces.get(id);
      if (!eni)
        throw new AwsError('InvalidNetworkInterfaceID.NotFound', `The networkInterface ID '${id}' does not exist`);
      return eni;
    };
    const found = this.select(input, 'NetworkInterfaceIds', 'networkInterfaceIdSet', one, [
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
    const { items, next } = this.paged(found, input);
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

  /**
   * The things with the given ids, or all. Pages and ids exclude each other:
   * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
   */
  private select<T>(
    input: Record<string, any>,
    member: string,
    wireName: string,
    one: (id: string) => T,
    all: T[],
  ): T[] {
    const ids: string[] | undefined = input[member];
    if (!ids?.length) return all;
    if (input.MaxResults !== undefined) {
      throw new AwsError(
        'InvalidParameterCombination',
        `The parameter ${wireName} cannot be used with the parameter maxResults`,
      );
    }
    return ids.map(one);
  }

  private paged<T>(items: T[], input: Record<string, any>): { items: T[]; next: string | undefined } {
    const size = input.MaxResults ?? DEFAULT_PAGE;
    if (size < 5 || size > 1000) {
      throw new AwsError(
        'InvalidParameterValue',
        `Value ( ${size} ) for parameter maxResults is invalid. Expecting a value greater than or equal to ` +
          '5 and less than or equal to 1000.',
      );
    }
    return page(items, size, input.NextToken);
  }

  private groupOutput(ids: string[]): { GroupId: string; GroupName: string }[] {
    return ids.map((GroupId) => ({ GroupId, GroupName: this.securityGroups.get(GroupId)?.name ?? 'default' }));
  }

  /** @throws AwsError when there is no such group */
  checkSecurityGroup(id: string): void {
    const known = this.securityGroups.has(id) || [...this.vpcs.values()].some((vpc) => vpc.defaultSecurityGroup === id);
    if (!known) throw new AwsError('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
  }

  private find(id: string): Instance {
    const instance = this.machinesById.get(id);
    if (instance) return instance;
    if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id))
      throw new AwsError('InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
    throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  }

  private volume(id: string): Volume {
    const volume = this.volumes.get(id);
    if (!volume) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
    return volume;
  }

  private usedAddresses(subnet: Subnet): Set<number> {
    return new Set(
      [...this.interfaces.values()]
        .filter((eni) => eni.subnetId === subnet.id)
        .map((eni) => parseAddress(eni.privateIpAddress)),
    );
  }

  /**
   * The lowest free one, so that a new instance soon gets the address of an old one: software must not take one for the
   * other.
   */
  private freeAddress(subnet: Subnet): string {
    const used = this.usedAddresses(subnet);
    const { first, last } = parseCidr(subnet.cidr);
    for (let address = first + RESERVED_FIRST; address <= last - RESERVED_LAST; address += 1) {
      if (!used.has(address)) return formatAddress(address);
    }
    throw new AwsError(
      'InsufficientFreeAddressesInSubnet',
      `There are not enough free addresses in subnet '${subnet.id}' to satisfy the requested number of instances.`,
    );
  }
}

/**
 * Graviton families carry a `g` after their generation (and `a1` was the first). Mac and u- types are not emulated.
 * Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
 */
export function architectureOf(instanceType: string): 'x86_64' | 'arm64' {
  const [, family, attributes] = /^([a-z]+)\d+([a-z-]*)\.[a-z0-9-]+$/.exec(instanceType) ?? [];
  if (family === undefined)
    throw new AwsError(
      'InvalidParameterValue',
      `The following supplied instance types do not exist: [${instanceType}]`,
    );
  return family === 'a' || attributes!.includes('g') ? 'arm64' : 'x86_64';
}

function specifiedTags(data: Record<string, any>, resourceType: string): Tags {
  const specifications: { ResourceType: string; Tags: { Key: string; Value: string }[] }[] =
    data.TagSpecifications ?? [];
  return tagMap(specifications.find((specification) => specification.ResourceType === resourceType)?.Tags);
}

function stateOf(instance: InstanceView): { Code: number; Name: InstanceState } {
  return { Code: STATE_CODES[instance.state], Name: instance.state };
}

function attachmentOutput(volume: Volume): Record<string, any> | undefined {
  const { attachment, volumeId } = volume;
  return (
    attachment && {
      VolumeId: volumeId,
      InstanceId: attachment.instanceId,
      Device: attachment.device,
      State: attachment.state,
      AttachTime: isoTime(attachment.at),
      DeleteOnTermination: false,
    }
  );
}

function parseAddress(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

function parseCidr(cidr: string): { first: number; last: number } {
  const [address = '', length = ''] = cidr.split('/');
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(parseAddress(address) / size) * size;
  return { first, last: first + size - 1 };
}

function spotStatus({ noticedAt }: InstanceView, ended: boolean): string {
  if (noticedAt === undefined) return ended ? 'instance-terminated-by-user' : 'fulfilled';
  return ended ? 'instance-terminated-no-capacity' : 'marked-for-termination';
}

/**
 * EC2: instances, with their networks, volumes and launch templates. `Machines` runs the instances; this keeps what AWS
 * itself knows of them.
 */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import { matchesFilters, tagList, type Tags } from '../core/describe';
import { AwsError, type Credentials, type Machines, type MachineSpec, type Service } from '../core/types';
import type { Authorization } from '../iam/authorization';
import type { Iam } from '../iam/iam';
import type { Ssm } from '../ssm/ssm';
import { paged, select, specifiedTags } from './requests';
import { architectureOf, enqueue, stateOf, type Instance, type InstanceView } from './instance';
import { LaunchTemplates, type LaunchTemplate } from './launch-templates';
import { Networks, type NetworkInterface, type Subnet } from './networks';
import { Volumes } from './volumes';

export interface RunRequest {
  template: LaunchTemplate;
  /** Overrides the template's instance type. */
  instanceType?: string;
  lifecycle: 'on-demand' | 'spot';
  /** Used when the template names no subnet and no interface. */
  subnetId?: string;
  availabilityZone?: string;
  tags: Tags;
}

/**
 * "a short while" in https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html ; in practice about
 * an hour.
 */
export const TERMINATED_VISIBLE_MS = 3_600_000;
/** Two minutes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
export const SPOT_NOTICE_MS = 120_000;

export class Ec2 implements Service {
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly launchTemplates: LaunchTemplates;
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
  ) {
    this.networks = new Networks(context);
    this.volumes = new Volumes(context, machines, (id) => this.find(id));
    this.launchTemplates = new LaunchTemplates(context);
  }

  /** Calls the listener at each change of an instance's state. */
  onState(listener: (instance: InstanceView) => void): void {
    this.listeners.add(listener);
  }

  /** Calls the listener when a spot instance gets its interruption notice. */
  onSpotNotice(listener: (instance: InstanceView) => void): void {
    this.spotListeners.add(listener);
  }

  /** Calls the listener when a spot instance gets a rebalance recommendation. */
  onRebalanceRecommendation(listener: (instance: InstanceView) => void): void {
    this.rebalanceListeners.add(listener);
  }

  instances(): InstanceView[] {
    return [...this.machinesById.values()];
  }

  /** The tags that permissions on an instance depend on. */
  instanceTags(instanceId: string): Tags | undefined {
    return this.machinesById.get(instanceId)?.tags;
  }

  /** Ids of everything that exists, except terminated instances. A deleted stack must leave none. */
  remains(): string[] {
    return [
      ...[...this.machinesById.values()]
        .filter((instance) => instance.state !== 'terminated')
        .map((instance) => instance.instanceId),
      ...this.networks.ids(),
      ...this.volumes.ids(),
      ...this.launchTemplates.ids(),
    ];
  }

  /** @throws AwsError when the instance does not exist */
  instance(id: string): InstanceView {
    return this.find(id);
  }

  byAddress(ip: string): InstanceView | undefined {
    return [...this.machinesById.values()].find(
      (instance) => instance.privateIpAddress === ip && instance.state !== 'terminated',
    );
  }

  /**
   * Undefined when the role does not trust EC2: the instance runs, and its metadata service reports that instead of
   * credentials.
   * Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
   */
  credentialsFor(instanceId: string): Credentials | undefined {
    const instance = this.machinesById.get(instanceId);
    if (instance?.roleName === undefined || instance.state === 'terminated') return undefined;
    if (!this.authorization.trusts(this.iam.role(instance.roleName), 'ec2.amazonaws.com')) return undefined;
    return this.iam.credentials(instance.roleName, instance.instanceId);
  }

  // Instances

  /** Takes the network interface and creates the instance, which starts in the background. @throws AwsError */
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
    const subnet = this.networks.subnet(eni.subnetId);
    if (request.availabilityZone !== undefined && subnet.availabilityZone !== request.availabilityZone) {
      if (eni.deleteOnTermination) this.networks.deleteNetworkInterface(eni.networkInterfaceId);
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

  /** Shuts an instance down in order. Does nothing if it is already shutting down or terminated. */
  terminate(id: string, reason = 'User initiated'): void {
    const instance = this.find(id);
    if (instance.state === 'shutting-down' || instance.state === 'terminated') return;
    instance.state = 'shutting-down';
    instance.stateReason = reason;
    this.changed(instance);
    this.context.start(async () => {
      await this.context.delay('terminate');
      await enqueue(instance, async () => {
        await this.machines.terminate(instance.instanceId);
        if (instance.state !== 'terminated') this.gone(instance);
      });
    });
  }

  /** A fault: kills the machine. EC2 then reports `terminated`. */
  async kill(id: string): Promise<void> {
    const instance = this.find(id);
    await enqueue(instance, async () => {
      await this.machines.terminate(instance.instanceId);
      if (instance.state === 'terminated') return;
      instance.stateReason = 'Server.InternalError: Internal error on instance';
      this.gone(instance);
    });
  }

  hasSpotNotice(id: string): boolean {
    return this.machinesById.get(id)?.noticedAt !== undefined;
  }

  /** A fault: sends a spot instance its interruption notice, and reclaims it two minutes later. */
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
   * A fault: sends a rebalance recommendation, which comes earlier than a notice; the notice may never come.
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
   */
  recommendRebalance(id: string): void {
    const instance = this.find(id);
    if (instance.lifecycle !== 'spot')
      throw new Error(
        `Instance ${id} is ${instance.lifecycle}: EC2 sends rebalance recommendations for spot instances only.`,
      );
    for (const listener of this.rebalanceListeners) listener(instance);
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'DescribeInstances':
        return this.describeInstances(input);
      case 'DescribeVolumes':
        return this.volumes.describe(input);
      case 'DescribeSpotInstanceRequests':
        return this.describeSpotRequests(input);
      case 'DescribeNetworkInterfaces':
        return this.networks.describeNetworkInterfaces(input);
      case 'DescribeSecurityGroupRules':
        return this.networks.describeRules(input);
      case 'AuthorizeSecurityGroupIngress':
        return this.networks.authorizeIngress(input);
      case 'RevokeSecurityGroupIngress':
        return this.networks.revokeIngress(input);
      case 'AttachVolume':
        return this.volumes.attach(input);
      case 'DetachVolume':
        return this.volumes.detach(input);
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

  private imageId(reference: string): string {
    // https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
    return reference.startsWith('resolve:ssm:') ? this.ssm.get(reference.slice('resolve:ssm:'.length)) : reference;
  }

  /** The existing interface that the template names, or a new one that is deleted with the instance. */
  private primaryInterface(data: Record<string, any>, request: RunRequest): NetworkInterface {
    const described: Record<string, any> | undefined = (data.NetworkInterfaces ?? []).find(
      (eni: Record<string, any>) => Number(eni.DeviceIndex) === 0,
    );
    if (described?.NetworkInterfaceId !== undefined) {
      const id: string = described.NetworkInterfaceId;
      const eni = this.networks.networkInterface(id);
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
    return this.networks.createNetworkInterface({
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
      await enqueue(instance, () => this.machines.launch(spec));
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

  private gone(instance: Instance): void {
    instance.state = 'terminated';
    const eni = this.networks.findInterface(instance.networkInterfaceId);
    if (eni?.instanceId === instance.instanceId) {
      eni.status = 'available';
      eni.instanceId = undefined;
      if (eni.deleteOnTermination) this.networks.deleteNetworkInterface(eni.networkInterfaceId);
    }
    this.volumes.releaseAll(instance.instanceId);
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

  private describeInstances(input: Record<string, any>): Record<string, any> {
    const found = select(input, 'InstanceIds', 'instancesSet', (id) => this.find(id), [
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
        'vpc-id': instance.state === 'terminated' ? undefined : this.networks.vpcOfSubnet(instance.subnetId),
      }),
    );
    const { items, next } = paged(found, input);
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
   * Every spot instance has a request. Source:
   * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
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
    const { items, next } = paged(requests, input);
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
    const eni = this.networks.findInterface(instance.networkInterfaceId);
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
      // A terminated instance has no address, no interfaces and no subnet.
      PrivateIpAddress: here ? instance.privateIpAddress : undefined,
      SubnetId: here ? instance.subnetId : undefined,
      VpcId: here ? this.networks.subnet(instance.subnetId).vpcId : undefined,
      SecurityGroups: here ? this.networks.groupOutput(eni.groups) : [],
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
      BlockDeviceMappings: this.volumes.attachedTo(instance.instanceId).map((volume) => ({
        DeviceName: volume.attachment!.device,
        Ebs: { VolumeId: volume.volumeId, Status: volume.attachment!.state, DeleteOnTermination: false },
      })),
    };
  }

  private find(id: string): Instance {
    const instance = this.machinesById.get(id);
    if (instance) return instance;
    if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id))
      throw new AwsError('InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
    throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  }
}

function spotStatus({ noticedAt }: InstanceView, ended: boolean): string {
  if (noticedAt === undefined) return ended ? 'instance-terminated-by-user' : 'fulfilled';
  return ended ? 'instance-terminated-no-capacity' : 'marked-for-termination';
}

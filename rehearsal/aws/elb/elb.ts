/**
 * Elastic Load Balancing v2, as far as a Network Load Balancer in front of EC2 instances needs it. Only CloudFormation
 * creates load balancers; listeners, target groups and targets can also be created by the API. No packets pass here:
 * `views` tells tests and a proxy which targets get new connections.
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/introduction.html
 */
import { isDeepStrictEqual } from 'node:util';
import type { Context } from '../core/context';
import { page, tagList, type Tags } from '../core/describe';
import type { Ec2 } from '../ec2/ec2';
import type { Subnet } from '../ec2/networks';
import {
  loadBalancerOf,
  type Listener,
  type LoadBalancer,
  type LoadBalancerView,
  type Scheme,
  type TargetGroup,
} from './model';
import { groupOutput, listenerOutput, loadBalancerOutput } from './output';
import {
  checkedTags,
  checkFits,
  checkName,
  HEALTH_CHECK_MEMBERS,
  healthCheck,
  inRange,
  listenerProtocol,
  loadBalancerAttributes,
  onlyKnown,
  targetGroupAttributes,
  targetGroupProtocol,
  tlsSettings,
  validation,
} from './settings';
import { registered, Targets } from './targets';
import { AwsError, type Machines, type Service } from '../core/types';

export interface LoadBalancerOptions {
  name: string;
  scheme: Scheme;
  ipAddressType: string;
  subnetIds: string[];
  securityGroups: string[];
  enforcesOnPrivateLink?: string;
  attributes: { Key?: string; Value?: string }[];
  tags: Tags;
}

/** https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html */
const MOST_LISTENERS = 50;
/** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html */
const MOST_DESCRIBED = 20;
/** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetGroups.html */
const MOST_IN_PAGE = 400;

export class LoadBalancers implements Service {
  /** Load balancers by ARN. */
  private readonly loadBalancers = new Map<string, LoadBalancer>();
  private readonly targetGroups = new Map<string, TargetGroup>();
  private readonly targets: Targets;

  constructor(
    private readonly context: Context,
    private readonly ec2: Ec2,
    machines: Machines,
  ) {
    this.targets = new Targets(context, ec2, machines);
    ec2.onState(({ state, instanceId }) => {
      if (state === 'terminated') this.targets.terminated(this.targetGroups.values(), instanceId);
    });
  }

  views(): LoadBalancerView[] {
    return [...this.loadBalancers.values()].map((loadBalancer) => ({
      arn: loadBalancer.arn,
      name: loadBalancer.name,
      dnsName: loadBalancer.dnsName,
      scheme: loadBalancer.scheme,
      zones: loadBalancer.subnets.map(({ zone }) => zone),
      securityGroups: loadBalancer.securityGroups,
      tags: loadBalancer.tags,
      listeners: [...loadBalancer.listeners.values()].map(({ arn, port, protocol, targetGroup }) => ({
        arn,
        port,
        protocol,
        targetGroupArn: targetGroup.arn,
        targets: this.targets.views(targetGroup),
      })),
    }));
  }

  /** Names of everything that exists. A deleted stack must leave none. */
  remains(): string[] {
    return [...this.loadBalancers.values(), ...this.targetGroups.values()].map(({ name }) => name);
  }

  /** The tags that permissions on a load balancer, a listener or a target group depend on. */
  tagsOf(arn: string): Tags | undefined {
    return this.tagged(arn)?.tags;
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    const known = this.actions[action];
    if (!known)
      throw new Error(
        `The emulation does not know the action '${action}' of Elastic Load Balancing. It knows ` +
          `${Object.keys(this.actions).join(', ')}.`,
      );
    onlyKnown(action, input, known.members);
    return known.run(input);
  }

  private readonly actions: Record<
    string,
    { members: string[]; run: (input: Record<string, any>) => Record<string, any> }
  > = {
    DescribeLoadBalancers: {
      members: ['LoadBalancerArns', 'Names', 'Marker', 'PageSize'],
      run: (input) => this.describeLoadBalancers(input),
    },
    DescribeListeners: {
      members: ['LoadBalancerArn', 'ListenerArns', 'Marker', 'PageSize'],
      run: (input) => this.describeListeners(input),
    },
    DescribeTargetGroups: {
      members: ['LoadBalancerArn', 'TargetGroupArns', 'Names', 'Marker', 'PageSize'],
      run: (input) => this.describeTargetGroups(input),
    },
    DescribeTargetGroupAttributes: {
      members: ['TargetGroupArn'],
      run: (input) => ({ Attributes: attributeList(this.targetGroup(input.TargetGroupArn).attributes) }),
    },
    DescribeTags: { members: ['ResourceArns'], run: (input) => this.describeTags(input) },
    DescribeTargetHealth: {
      members: ['TargetGroupArn', 'Targets'],
      run: (input) => ({
        TargetHealthDescriptions: this.targets.describe(this.targetGroup(input.TargetGroupArn), input.Targets),
      }),
    },
    RegisterTargets: {
      members: ['TargetGroupArn', 'Targets'],
      run: (input) => nothing(this.targets.register(this.targetGroup(input.TargetGroupArn), input.Targets ?? [])),
    },
    DeregisterTargets: {
      members: ['TargetGroupArn', 'Targets'],
      run: (input) => nothing(this.targets.deregister(this.targetGroup(input.TargetGroupArn), input.Targets ?? [])),
    },
    CreateTargetGroup: {
      members: ['Name', 'Protocol', 'Port', 'VpcId', 'TargetType', 'IpAddressType', 'Tags', ...HEALTH_CHECK_MEMBERS],
      run: (input) => ({ TargetGroups: [groupOutput(this.createTargetGroup(input))] }),
    },
    ModifyTargetGroup: {
      members: ['TargetGroupArn', ...HEALTH_CHECK_MEMBERS],
      run: (input) => ({ TargetGroups: [groupOutput(this.modifyTargetGroup(input))] }),
    },
    ModifyTargetGroupAttributes: {
      members: ['TargetGroupArn', 'Attributes'],
      run: (input) => ({
        Attributes: attributeList(this.modifyTargetGroupAttributes(input.TargetGroupArn, input.Attributes).attributes),
      }),
    },
    DeleteTargetGroup: {
      members: ['TargetGroupArn'],
      run: (input) => nothing(this.deleteTargetGroup(input.TargetGroupArn)),
    },
    CreateListener: {
      members: [
        'LoadBalancerArn',
        'Protocol',
        'Port',
        'SslPolicy',
        'Certificates',
        'DefaultActions',
        'AlpnPolicy',
        'Tags',
      ],
      run: (input) => ({ Listeners: [listenerOutput(this.createListener(input))] }),
    },
    ModifyListener: {
      members: ['ListenerArn', 'Protocol', 'Port', 'SslPolicy', 'Certificates', 'DefaultActions', 'AlpnPolicy'],
      run: (input) => ({ Listeners: [listenerOutput(this.modifyListener(input))] }),
    },
    DeleteListener: {
      members: ['ListenerArn'],
      run: (input) => nothing(this.deleteListener(this.listener(input.ListenerArn).arn)),
    },
    AddTags: { members: ['ResourceArns', 'Tags'], run: (input) => this.addTags(input) },
    RemoveTags: { members: ['ResourceArns', 'TagKeys'], run: (input) => this.removeTags(input) },
  };

  // Load balancers

  /**
   * Creates a load balancer, which is active at once.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
   */
  createLoadBalancer(options: LoadBalancerOptions): LoadBalancer {
    const { name, scheme } = options;
    checkName('Load balancer', name);
    if ([...this.loadBalancers.values()].some((other) => other.name === name))
      throw new AwsError(
        'DuplicateLoadBalancerName',
        `A load balancer with the same name '${name}' exists, but with different settings`,
      );
    if (options.subnetIds.length === 0) throw validation('At least one subnet must be specified');
    const subnets = options.subnetIds.map((id) => this.subnet(id));
    const zones = subnets.map(({ availabilityZone }) => availabilityZone);
    const [{ vpcId }] = subnets as [(typeof subnets)[number]];
    if (new Set(zones).size < zones.length)
      throw new AwsError(
        'InvalidConfigurationRequest',
        'A load balancer cannot be attached to multiple subnets in the same Availability Zone',
      );
    if (subnets.some((subnet) => subnet.vpcId !== vpcId))
      throw new AwsError('InvalidConfigurationRequest', 'All subnets must belong to the same VPC');
    this.checkSecurityGroups(options.securityGroups);
    const id = this.hex();
    const loadBalancer: LoadBalancer = {
      arn: this.context.arn('elasticloadbalancing', `loadbalancer/net/${name}/${id}`),
      name,
      dnsName: `${name}-${id}.elb.${this.context.region}.amazonaws.com`,
      scheme,
      ipAddressType: options.ipAddressType,
      vpcId,
      subnets: subnets.map((subnet) => ({ zone: subnet.availabilityZone, subnetId: subnet.id })),
      securityGroups: options.securityGroups,
      enforcesOnPrivateLink: options.enforcesOnPrivateLink,
      attributes: loadBalancerAttributes(options.attributes),
      tags: options.tags,
      createdAt: this.context.clock.now(),
      listeners: new Map(),
    };
    this.loadBalancers.set(loadBalancer.arn, loadBalancer);
    return loadBalancer;
  }

  /**
   * Security groups can only be changed on a load balancer that was created with some.
   * Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
   */
  changeLoadBalancer(
    arn: string,
    {
      securityGroups,
      enforcesOnPrivateLink,
      attributes,
      tags,
    }: Pick<LoadBalancerOptions, 'securityGroups' | 'enforcesOnPrivateLink' | 'attributes' | 'tags'>,
  ): LoadBalancer {
    const loadBalancer = this.loadBalancer(arn);
    if (loadBalancer.securityGroups.length === 0 && securityGroups.length > 0) {
      throw new AwsError(
        'InvalidConfigurationRequest',
        'You cannot set security groups on a Network Load Balancer that was created without a security group.',
      );
    }
    this.checkSecurityGroups(securityGroups);
    Object.assign(loadBalancer, {
      securityGroups,
      enforcesOnPrivateLink,
      attributes: loadBalancerAttributes(attributes),
      tags,
    });
    return loadBalancer;
  }

  /**
   * Deletes a load balancer with its listeners. Does nothing if it is already gone.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html
   */
  deleteLoadBalancer(arn: string): void {
    const loadBalancer = this.loadBalancers.get(arn);
    if (!loadBalancer) return;
    if (loadBalancer.attributes['deletion_protection.enabled'] === 'true')
      throw new AwsError(
        'OperationNotPermitted',
        `Load balancer '${arn}' cannot be deleted because deletion protection is enabled`,
      );
    for (const listener of [...loadBalancer.listeners.keys()]) this.deleteListener(listener);
    this.loadBalancers.delete(arn);
  }

  private checkSecurityGroups(ids: string[]): void {
    for (const id of ids) {
      try {
        this.ec2.networks.checkSecurityGroup(id);
      } catch {
        throw new AwsError('InvalidSecurityGroup', `One or more security groups are invalid: ${id}`);
      }
    }
  }

  private subnet(id: string): Subnet {
    try {
      return this.ec2.networks.subnet(id);
    } catch {
      throw new AwsError('SubnetNotFound', `The subnet ID '${id}' does not exist`);
    }
  }

  // Target groups

  /**
   * Idempotent: with the same settings it returns the existing target group.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
   * @param template further settings from a template, which always creates a new one
   */
  createTargetGroup(
    input: Record<string, any>,
    template?: { tags: Tags; attributes: { Key?: string; Value?: string }[] },
  ): TargetGroup {
    const { Name: name, Port: port, VpcId: vpcId, TargetType = 'instance', IpAddressType = 'ipv4' } = input;
    if (TargetType !== 'instance' || IpAddressType !== 'ipv4')
      throw new Error(
        `The emulation does not know target groups of ${TargetType}s with ${IpAddressType}. It knows those ` +
          'of instances with ipv4.',
      );
    checkName('Target group', String(name ?? ''));
    const protocol = targetGroupProtocol(input.Protocol);
    if (port === undefined) throw validation('A port must be specified');
    if (vpcId === undefined) throw validation('A VPC ID must be specified');
    if (!this.ec2.networks.hasVpc(vpcId)) throw validation(`The VPC ID '${vpcId}' is not found`);
    const settings = { protocol, port: inRange('port', port, 1, 65_535), vpcId, healthCheck: healthCheck(input) };
    const tags = template?.tags ?? checkedTags({}, input.Tags);
    const attributes = targetGroupAttributes(protocol, template?.attributes);
    const existing = [...this.targetGroups.values()].find((group) => group.name === name);
    if (existing) {
      const { protocol, port, vpcId, healthCheck } = existing;
      const same = isDeepStrictEqual({ protocol, port, vpcId, healthCheck }, settings);
      if (same && !template) return existing;
      // The words of AWS, e.g. in https://github.com/terraform-aws-modules/terraform-aws-alb/issues/251
      throw new AwsError(
        'DuplicateTargetGroupName',
        `A target group with the same name '${name}' exists, but with different settings`,
      );
    }
    const arn = this.context.arn('elasticloadbalancing', `targetgroup/${name}/${this.hex()}`);
    const group: TargetGroup = { arn, name, ...settings, attributes, tags, targets: new Map(), listeners: new Set() };
    this.targetGroups.set(arn, group);
    return group;
  }

  /**
   * Changes only the given settings.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyTargetGroup.html
   */
  modifyTargetGroup(input: Record<string, any>): TargetGroup {
    const group = this.targetGroup(input.TargetGroupArn);
    group.healthCheck = healthCheck(input, group.healthCheck);
    return group;
  }

  modifyTargetGroupAttributes(arn: string, attributes: { Key?: string; Value?: string }[]): TargetGroup {
    const group = this.targetGroup(arn);
    group.attributes = targetGroupAttributes(group.protocol, attributes, group.attributes);
    return group;
  }

  /** Applies a template's settings; the others return to their defaults. */
  resetTargetGroup(
    arn: string,
    settings: Record<string, any>,
    attributes: { Key?: string; Value?: string }[],
  ): TargetGroup {
    const group = this.targetGroup(arn);
    const changed = {
      healthCheck: healthCheck(settings),
      attributes: targetGroupAttributes(group.protocol, attributes),
    };
    return Object.assign(group, changed);
  }

  /**
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html ; deleting one that
   * is already gone is not an error. AWS's words: https://github.com/pulumi/pulumi-aws/issues/4220
   */
  deleteTargetGroup(arn: string): void {
    const group = this.targetGroups.get(arn);
    if (!group) return;
    if (group.listeners.size > 0)
      throw new AwsError('ResourceInUse', `Target group '${arn}' is currently in use by a listener or a rule`);
    this.targets.forget(group);
    this.targetGroups.delete(arn);
  }

  // Listeners

  /**
   * Idempotent: with the same settings it returns the existing listener.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html . A port has only one
   * listener, whatever its protocol:
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
   */
  createListener(input: Record<string, any>, template?: { tags: Tags }): Listener {
    const loadBalancer = this.loadBalancer(input.LoadBalancerArn);
    const settings = this.listenerSettings(input, loadBalancer);
    const tags = template?.tags ?? checkedTags({}, input.Tags);
    const existing = [...loadBalancer.listeners.values()].find(({ port }) => port === settings.port);
    if (existing) {
      const same = isDeepStrictEqual(summary(existing), summary(settings));
      if (same && !template) return existing;
      // The words of AWS, e.g. in https://github.com/hashicorp/terraform/issues/26407
      throw new AwsError(
        'DuplicateListener',
        `A listener already exists on this port for this load balancer '${loadBalancer.arn}'`,
      );
    }
    if (loadBalancer.listeners.size >= MOST_LISTENERS)
      throw new AwsError(
        'TooManyListeners',
        `The maximum number of listeners per load balancer '${MOST_LISTENERS}' has been reached on load ` +
          `balancer '${loadBalancer.arn}'`,
      );
    this.targets.checkRoom(loadBalancer, new Map([[settings.targetGroup, registered(settings.targetGroup)]]));
    const arn = `${loadBalancer.arn.replace(':loadbalancer/', ':listener/')}/${this.hex()}`;
    const listener: Listener = { arn, loadBalancer, moreCertificates: [], tags, ...settings };
    loadBalancer.listeners.set(arn, listener);
    listener.targetGroup.listeners.add(listener);
    this.targets.useChanged(listener.targetGroup);
    return listener;
  }

  /**
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html : changes only the
   * given settings, but removes certificate and policy if the protocol is no longer TLS.
   */
  modifyListener(input: Record<string, any>): Listener {
    const listener = this.listener(input.ListenerArn);
    const { loadBalancer, targetGroup: previous } = listener;
    const settings = this.listenerSettings(input, loadBalancer, listener);
    // The words of AWS, e.g. in https://github.com/hashicorp/terraform/issues/26407
    if ([...loadBalancer.listeners.values()].some((other) => other !== listener && other.port === settings.port))
      throw new AwsError('DuplicateListener', `Listener port '${settings.port}' is already in use`);
    this.targets.checkRoom(loadBalancer, new Map([[settings.targetGroup, registered(settings.targetGroup)]]));
    Object.assign(listener, settings);
    if (settings.targetGroup !== previous) {
      previous.listeners.delete(listener);
      settings.targetGroup.listeners.add(listener);
      this.targets.useChanged(previous);
      this.targets.useChanged(settings.targetGroup);
    }
    return listener;
  }

  /** Does nothing if the listener is gone: it may have gone with its load balancer. */
  deleteListener(arn: string): void {
    const listener = this.findListener(arn);
    if (!listener) return;
    listener.loadBalancer.listeners.delete(arn);
    listener.targetGroup.listeners.delete(listener);
    this.targets.useChanged(listener.targetGroup);
  }

  /** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddListenerCertificates.html */
  setMoreCertificates(listenerArn: string, certificates: { CertificateArn?: string }[]): void {
    const listener = this.listener(listenerArn);
    if (listener.protocol !== 'TLS')
      throw new AwsError(
        'InvalidConfigurationRequest',
        `A certificate cannot be specified for ${listener.protocol} listeners`,
      );
    listener.moreCertificates = certificates.map(({ CertificateArn }) => String(CertificateArn));
  }

  clearMoreCertificates(listenerArn: string): void {
    const listener = this.findListener(listenerArn);
    if (listener) listener.moreCertificates = [];
  }

  private listenerSettings(
    input: Record<string, any>,
    loadBalancer: LoadBalancer,
    before?: Listener,
  ): Omit<Listener, 'arn' | 'loadBalancer' | 'moreCertificates' | 'tags'> {
    const protocol = listenerProtocol(input.Protocol ?? before?.protocol);
    if (input.Port === undefined && !before) throw validation('A listener port must be specified');
    const port = inRange('port', input.Port ?? before?.port, 1, 65_535);
    const targetGroup =
      input.DefaultActions === undefined && before ? before.targetGroup : this.forwarded(input.DefaultActions);
    checkFits(protocol, targetGroup);
    const user = loadBalancerOf(targetGroup);
    if (user && user !== loadBalancer)
      throw new AwsError(
        'TargetGroupAssociationLimit',
        `The following target groups cannot be associated with more than one load balancer: ${targetGroup.arn}`,
      );
    if (targetGroup.vpcId !== loadBalancer.vpcId)
      throw new AwsError(
        'InvalidConfigurationRequest',
        `The following target groups are not in the same VPC as the load balancer: ${targetGroup.arn}`,
      );
    return { port, protocol, targetGroup, ...tlsSettings(protocol, input, before) };
  }

  /** The single target group that a listener of a Network Load Balancer forwards to. */
  private forwarded(actions: Record<string, any>[] | undefined): TargetGroup {
    if (!actions?.length) throw validation('A default action must be specified');
    const [action] = actions as [Record<string, any>];
    if (actions.length > 1)
      throw new AwsError('TooManyActions', 'You can specify one action per rule of a Network Load Balancer.');
    onlyKnown('an action', action, ['Type', 'TargetGroupArn', 'ForwardConfig', 'Order']);
    if (action.Type !== 'forward')
      throw new AwsError(
        'InvalidLoadBalancerAction',
        `Actions of type '${action.Type}' are not supported for listeners of Network Load Balancers`,
      );
    const groups: string[] = (action.ForwardConfig?.TargetGroups ?? []).map(
      (each: Record<string, any>) => each.TargetGroupArn,
    );
    if (groups.length > 1)
      throw new Error('The emulation does not know an action that forwards to more than one target group.');
    return this.targetGroup(action.TargetGroupArn ?? groups[0]);
  }

  // Tags

  /** https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html */
  private addTags({ ResourceArns = [], Tags }: Record<string, any>): Record<string, any> {
    const changed = (ResourceArns as string[])
      .map((arn) => this.require(arn))
      .map((resource) => ({ resource, tags: checkedTags(resource.tags, Tags) }));
    for (const { resource, tags } of changed) resource.tags = tags;
    return {};
  }

  private removeTags({ ResourceArns = [], TagKeys = [] }: Record<string, any>): Record<string, any> {
    const resources = (ResourceArns as string[]).map((arn) => this.require(arn));
    for (const resource of resources)
      resource.tags = Object.fromEntries(Object.entries(resource.tags).filter(([key]) => !TagKeys.includes(key)));
    return {};
  }

  setTags(arn: string, tags: Tags): void {
    this.require(arn).tags = tags;
  }

  private describeTags({ ResourceArns = [] }: Record<string, any>): Record<string, any> {
    if (ResourceArns.length > MOST_DESCRIBED)
      throw validation(`Cannot have more than ${MOST_DESCRIBED} resources described`);
    return {
      TagDescriptions: (ResourceArns as string[]).map((ResourceArn) => ({
        ResourceArn,
        Tags: tagList(this.require(ResourceArn).tags),
      })),
    };
  }

  // Describe actions

  private describeLoadBalancers(input: Record<string, any>): Record<string, any> {
    const { LoadBalancerArns: arns, Names: names } = input;
    const byName = (name: string) =>
      [...this.loadBalancers.values()].find((loadBalancer) => loadBalancer.name === name);
    const found = arns?.length
      ? (arns as string[]).map((arn) => this.loadBalancer(arn))
      : names?.length
        ? (names as string[]).map(
            (name) => byName(name) ?? fail('LoadBalancerNotFound', `Load balancers '[${name}]' not found`),
          )
        : [...this.loadBalancers.values()];
    return this.paged('LoadBalancers', found.map(loadBalancerOutput), input);
  }

  private describeListeners(input: Record<string, any>): Record<string, any> {
    const { LoadBalancerArn: arn, ListenerArns: arns } = input;
    if (arn === undefined && !arns?.length)
      throw validation('You must specify either listener ARNs or a load balancer ARN');
    const found =
      arn === undefined
        ? (arns as string[]).map((each) => this.listener(each))
        : [...this.loadBalancer(arn).listeners.values()];
    return this.paged('Listeners', found.map(listenerOutput), input);
  }

  private describeTargetGroups(input: Record<string, any>): Record<string, any> {
    const { LoadBalancerArn: arn, TargetGroupArns: arns, Names: names } = input;
    const all = [...this.targetGroups.values()];
    const notFound = () => fail('TargetGroupNotFound', 'One or more target groups not found');
    let found = all;
    if (arns?.length) found = (arns as string[]).map((each) => this.targetGroups.get(each) ?? notFound());
    else if (names?.length)
      found = (names as string[]).map((name) => all.find((group) => group.name === name) ?? notFound());
    else if (arn !== undefined)
      found = [...new Set([...this.loadBalancer(arn).listeners.values()].map(({ targetGroup }) => targetGroup))];
    return this.paged('TargetGroups', found.map(groupOutput), input);
  }

  private paged(
    member: string,
    items: Record<string, any>[],
    { PageSize = MOST_IN_PAGE, Marker }: Record<string, any>,
  ): Record<string, any> {
    const { items: some, next } = page(items, inRange('pageSize', PageSize, 1, MOST_IN_PAGE), Marker);
    return { [member]: some, NextMarker: next };
  }

  // Look-ups

  loadBalancer(arn: string): LoadBalancer {
    return this.loadBalancers.get(arn) ?? fail('LoadBalancerNotFound', `Load balancer '${arn}' not found`);
  }

  targetGroup(arn: string): TargetGroup {
    return this.targetGroups.get(arn) ?? fail('TargetGroupNotFound', `Target group '${arn}' not found`);
  }

  listener(arn: string): Listener {
    return this.findListener(arn) ?? fail('ListenerNotFound', `Listener '${arn}' not found`);
  }

  private findListener(arn: string): Listener | undefined {
    for (const { listeners } of this.loadBalancers.values()) if (listeners.has(arn)) return listeners.get(arn);
    return undefined;
  }

  private tagged(arn: string): { tags: Tags } | undefined {
    return this.loadBalancers.get(arn) ?? this.targetGroups.get(arn) ?? this.findListener(arn);
  }

  private require(arn: string): { tags: Tags } {
    const found = this.tagged(arn);
    if (found) return found;
    if (arn.includes(':targetgroup/')) return this.targetGroup(arn);
    return arn.includes(':listener/') ? this.listener(arn) : this.loadBalancer(arn);
  }

  private hex(): string {
    return this.context.letters(16, '0123456789abcdef');
  }
}

function fail(code: string, message: string): never {
  throw new AwsError(code, message);
}

function nothing(_: void): Record<string, any> {
  return {};
}

/** The settings by which two listeners on one port are compared. */
function summary({
  protocol,
  targetGroup,
  certificate,
  sslPolicy,
  alpnPolicy,
}: Pick<Listener, 'protocol' | 'targetGroup' | 'certificate' | 'sslPolicy' | 'alpnPolicy'>): Record<string, unknown> {
  return { protocol, targetGroup: targetGroup.arn, certificate, sslPolicy, alpnPolicy };
}

function attributeList(attributes: Record<string, string>): { Key: string; Value: string }[] {
  return tagList(attributes);
}

/**
 * Auto Scaling: groups that maintain their capacity, with lifecycle hooks, health checks, suspended processes, and
 * failed launches that are retried.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
 */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import type { Tags } from '../core/describe';
import type { Ec2 } from '../ec2/ec2';
import type { InstanceView } from '../ec2/instance';
import type { LaunchTemplate, LaunchTemplateReference } from '../ec2/launch-templates';
import type { Events } from '../events/events';
import type { Iam } from '../iam/iam';
import type { Authorization } from '../iam/authorization';
import type { Sqs } from '../sqs/sqs';
import { AwsError, type Service } from '../core/types';
import { describeActivities, describeGroups, describeHooks, describeInstances } from './describe';
import {
  hardEndMs,
  heartbeatMs,
  isActive,
  tagsOf,
  type Action,
  type Activity,
  type Group,
  type GroupOptions,
  type GroupView,
  type HookOptions,
  type Member,
  type Result,
  type Transition,
} from './model';

/** https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html */
const PROCESSES = [
  'Launch',
  'Terminate',
  'AddToLoadBalancer',
  'AlarmNotification',
  'AZRebalance',
  'HealthCheck',
  'InstanceRefresh',
  'ReplaceUnhealthy',
  'ScheduledActions',
];
/** How soon the health check notices a lost instance is not published; it is within minutes. */
const HEALTH_CHECK_MS = 30_000;
/** From CONTINUE of a launch hook until the instance is InService. Not published. */
const PROCEED_MS = 2_000;
/** The back-off of failed launches is not published. Ours doubles, within these bounds. */
const BACK_OFF_MS = 30_000;
const BACK_OFF_LIMIT_MS = 900_000;
/**
 * After this time the group's launches are suspended for good:
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
 */
const GIVE_UP_MS = 24 * 3_600_000;

export class AutoScaling implements Service {
  private readonly groups = new Map<string, Group>();

  constructor(
    private readonly context: Context,
    private readonly ec2: Ec2,
    private readonly sqs: Sqs,
    private readonly events: Events,
    private readonly iam: Iam,
    private readonly authorization: Authorization,
  ) {
    ec2.onState((instance) => this.instanceChanged(instance));
    ec2.onRebalanceRecommendation((instance) => this.rebalance(instance));
  }

  groupViews(): GroupView[] {
    return [...this.groups.values()].map((group) => ({
      name: group.name,
      logicalId: group.logicalId,
      min: group.min,
      max: group.max,
      desired: group.desired,
      tags: tagsOf(group),
      suspended: [...group.suspended.keys()],
      instances: [...group.members.values()].map((member) => ({
        instanceId: member.instanceId,
        state: member.state,
        health: member.health,
        openHooks: [...member.actions.keys()],
        templateVersion: member.template.version,
      })),
    }));
  }

  /** The ARN and tags that permissions on a group depend on. */
  taggedGroup(name: string): { arn: string; tags: Tags } | undefined {
    const group = this.groups.get(name);
    return group && { arn: group.arn, tags: tagsOf(group) };
  }

  taggedGroupOf(instanceId: string): { arn: string; tags: Tags } | undefined {
    const group = [...this.groups.values()].find((candidate) => candidate.members.has(instanceId));
    return group && this.taggedGroup(group.name);
  }

  /**
   * Undefined for an instance outside all groups.
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
   */
  targetLifecycleState(instanceId: string): 'InService' | 'Terminated' | undefined {
    const member = [...this.groups.values()]
      .map(({ members }) => members.get(instanceId))
      .find((found) => found !== undefined);
    return member && (isActive(member) ? 'InService' : 'Terminated');
  }

  createGroup(options: GroupOptions): void {
    if (this.groups.has(options.name))
      throw new AwsError(
        'AlreadyExists',
        `AutoScalingGroup by this name already exists - A group with the name ${options.name} already exists`,
      );
    this.check(options);
    const group: Group = {
      ...options,
      arn: this.context.arn(
        'autoscaling',
        `autoScalingGroup:${this.context.clock.uuid()}:autoScalingGroupName/${options.name}`,
      ),
      createdAt: this.context.clock.now(),
      members: new Map(),
      suspended: new Map(),
      failures: undefined,
      activities: [],
      deleting: false,
      emptied: [],
    };
    for (const hook of group.hooks) this.tellTarget(group, hook);
    this.groups.set(group.name, group);
    this.reconcile(group);
  }

  /**
   * Existing instances stay as they are; new ones use the new options. Without a new desired capacity the old one
   * stays, within the new bounds.
   */
  updateGroup(options: Omit<GroupOptions, 'desired' | 'hooks'> & { desired?: number }): void {
    const group = this.group(options.name);
    const desired = options.desired ?? Math.min(Math.max(group.desired, options.min), options.max);
    this.check({ ...options, hooks: group.hooks, desired });
    Object.assign(group, options, { desired });
    this.reconcile(group);
  }

  /** @throws AwsError for options that Auto Scaling would refuse */
  private check(options: GroupOptions): void {
    const invalid = (message: string) => new AwsError('ValidationError', message);
    if (options.min > options.max)
      throw invalid(`Min size (${options.min}) must be less than or equal to max size (${options.max}).`);
    if (options.desired < options.min || options.desired > options.max)
      throw invalid(
        `Desired capacity:${options.desired} must be between the specified min size:${options.min} and max ` +
          `size:${options.max}`,
      );
    if (options.availabilityZones.length === 0 && options.subnetIds.length === 0) {
      throw invalid('At least one Availability Zone or VPC Subnet is required.');
    }
    const template = this.ec2.launchTemplates.get(this.templateReference(options));
    // https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html#change-network-interface : an
    // existing interface determines the subnet and the security groups.
    const named = (template.data.NetworkInterfaces ?? []).some(
      (eni: Record<string, any>) => eni.NetworkInterfaceId !== undefined,
    );
    if (named && options.subnetIds.length > 0)
      throw invalid(
        'Invalid launch template: a network interface ID and VPCZoneIdentifier cannot be specified ' +
          'together; specify AvailabilityZones instead.',
      );
    if (named && template.data.SecurityGroupIds?.length)
      throw invalid(
        'Network interfaces and an instance-level security groups may not be specified on the same request',
      );
    if (!named && options.subnetIds.length === 0)
      throw invalid('No default VPC for this user: specify VPCZoneIdentifier.');
    for (const id of options.subnetIds) this.ec2.networks.subnet(id);
    for (const hook of options.hooks) {
      const { heartbeatSeconds = 3600 } = hook;
      if (heartbeatSeconds < 30 || heartbeatSeconds > 7200)
        throw invalid(`HeartbeatTimeout ${heartbeatSeconds} must be between 30 and 7200 seconds, inclusive`);
      // "Required for new lifecycle hooks":
      // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
      if (hook.notificationTargetArn !== undefined && hook.roleArn === undefined)
        throw invalid(
          `Lifecycle hook ${hook.name} has the notification target ${hook.notificationTargetArn}, and no ` +
            'RoleARN to notify it under.',
        );
    }
  }

  /**
   * A new hook sends its target a test message.
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html#notification-message-example
   */
  private tellTarget(group: Group, hook: HookOptions): void {
    if (hook.notificationTargetArn === undefined) return;
    const sent = this.sendTo(hook, {
      AccountId: this.context.accountId,
      RequestId: this.context.clock.uuid(),
      AutoScalingGroupARN: group.arn,
      AutoScalingGroupName: group.name,
      Service: 'AWS Auto Scaling',
      Event: 'autoscaling:TEST_NOTIFICATION',
      Time: isoTime(this.context.clock.now()),
    });
    if (sent) return;
    // The words of AWS, e.g. in https://github.com/aws/aws-cdk/issues/1212
    throw new AwsError(
      'ValidationError',
      `Unable to publish test message to notification target ${hook.notificationTargetArn} using IAM role ` +
        `${hook.roleArn}. Please check your target and role configuration and try to put lifecycle hook ` +
        'again.',
    );
  }

  /**
   * Deletes a group as CloudFormation does: its instances terminate first, through their hooks. Resolves when the group
   * is gone.
   */
  async deleteGroup(name: string): Promise<void> {
    const group = this.groups.get(name);
    if (!group) return;
    group.deleting = true;
    group.min = 0;
    group.desired = 0;
    group.max = 0;
    this.reconcile(group);
    if (group.members.size > 0) await new Promise<void>((resolve) => group.emptied.push(resolve));
    this.forgetFailures(group);
    this.groups.delete(name);
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'DescribeAutoScalingGroups':
        return describeGroups(this.groups.values(), this.ec2, this.context.accountId, input);
      case 'DescribeAutoScalingInstances':
        return describeInstances(this.groups.values(), input);
      case 'DescribeScalingActivities':
        return describeActivities(this.groups.values(), input);
      case 'DescribeLifecycleHooks':
        return describeHooks(this.group(input.AutoScalingGroupName), input);
      case 'CompleteLifecycleAction':
        return this.complete(input);
      case 'RecordLifecycleActionHeartbeat':
        return this.heartbeat(input);
      case 'SuspendProcesses':
        return this.suspend(input);
      case 'ResumeProcesses':
        return this.resume(input);
      case 'SetInstanceHealth':
        return this.setHealth(input);
      case 'SetDesiredCapacity':
        return this.setDesired(input);
      case 'TerminateInstanceInAutoScalingGroup':
        return this.terminateMember(input);
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of Auto Scaling. It knows ` +
            'DescribeAutoScalingGroups, DescribeAutoScalingInstances, DescribeScalingActivities, ' +
            'DescribeLifecycleHooks, ' +
            'CompleteLifecycleAction, RecordLifecycleActionHeartbeat, SuspendProcesses, ResumeProcesses, ' +
            'SetInstanceHealth, SetDesiredCapacity, TerminateInstanceInAutoScalingGroup.',
        );
    }
  }

  // Capacity

  /**
   * Brings the group towards its desired capacity. Called whenever something may have changed; does nothing if the
   * capacity is right.
   */
  private reconcile(group: Group): void {
    this.replaceUnhealthy(group);
    this.replaceAtRisk(group);
    const active = () => [...group.members.values()].filter(isActive);
    if (!group.suspended.has('Terminate')) {
      const surplus = active().length - this.wanted(group);
      for (const member of this.surplusMembers(active(), surplus)) {
        this.terminate(
          group,
          member,
          'an instance was taken out of service in response to a difference between desired and actual capacity',
        );
      }
    }
    while (
      active().length < this.wanted(group) &&
      !group.suspended.has('Launch') &&
      group.failures?.cancelRetry === undefined &&
      !this.context.stopped
    ) {
      if (!this.launch(group)) return;
    }
  }

  /**
   * How many instances there should be. With a policy that launches before it terminates, unhealthy ones count extra
   * until their replacements are InService.
   */
  private wanted(group: Group): number {
    if (!launchesFirst(group))
      return group.desired + [...group.members.values()].filter((member) => isActive(member) && member.atRisk).length;
    const leaving = [...group.members.values()].filter(
      (member) => isActive(member) && member.health === 'Unhealthy',
    ).length;
    const room = Math.max(
      1,
      Math.floor((group.desired * group.maintenance!.MaxHealthyPercentage) / 100) - group.desired,
    );
    return group.desired + Math.min(leaving, room);
  }

  private replaceUnhealthy(group: Group): void {
    if (group.suspended.has('ReplaceUnhealthy') || group.suspended.has('Terminate')) return;
    for (const member of [...group.members.values()]) {
      if (!isActive(member) || member.health !== 'Unhealthy') continue;
      const serving = [...group.members.values()].filter((other) => other.state === 'InService').length;
      if (launchesFirst(group) && member.state === 'InService' && serving <= group.desired && group.desired > 0)
        continue;
      this.terminate(
        group,
        member,
        'an instance was taken out of service in response to an EC2 health check indicating it has been ' +
          'terminated or stopped, or a user health-check',
      );
    }
  }

  /** Replaces instances at risk once enough others are InService: "after the new instances pass their health check". */
  private replaceAtRisk(group: Group): void {
    if (group.suspended.has('Terminate')) return;
    const others = [...group.members.values()].filter(
      (member) => member.state === 'InService' && !member.atRisk,
    ).length;
    for (const member of [...group.members.values()]) {
      if (member.atRisk && isActive(member) && others >= group.desired)
        this.terminate(
          group,
          member,
          'an instance was taken out of service in response to an EC2 instance rebalance recommendation',
        );
    }
  }

  private rebalance({ instanceId }: InstanceView): void {
    const group = [...this.groups.values()].find(({ members }) => members.has(instanceId));
    if (!group?.capacityRebalance || group.suspended.has('Launch')) return;
    group.members.get(instanceId)!.atRisk = true;
    this.reconcile(group);
  }

  /**
   * From the fullest zone, oldest first:
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
   */
  private surplusMembers(active: Member[], count: number): Member[] {
    const rest = [...active];
    const chosen: Member[] = [];
    for (let n = 0; n < count; n += 1) {
      const crowd = (member: Member) =>
        rest.filter((other) => other.availabilityZone === member.availabilityZone).length;
      const fullest = Math.max(...rest.map(crowd));
      const next = rest.find((member) => crowd(member) === fullest)!;
      chosen.push(next);
      rest.splice(rest.indexOf(next), 1);
    }
    return chosen;
  }

  /** Launches one instance. @returns false when it failed; a retry is then scheduled */
  private launch(group: Group): boolean {
    const { template, instanceType, lifecycle } = this.nextInstance(group);
    const place = this.nextPlace(group);
    let instance: InstanceView;
    try {
      instance = this.ec2.run({
        template,
        instanceType,
        lifecycle,
        ...place,
        tags: this.instanceTags(group, template),
      });
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      this.launchFailed(group, `${error.message.replace(/\.$/, '')}. Launching EC2 instance failed.`);
      return false;
    }
    group.failures = undefined;
    const member: Member = {
      instanceId: instance.instanceId,
      state: 'Pending',
      health: 'Healthy',
      availabilityZone: instance.availabilityZone,
      instanceType: instance.instanceType,
      lifecycle,
      template: { id: template.id, name: template.name, version: template.version },
      actions: new Map(),
      result: 'CONTINUE',
      inServiceAt: undefined,
      launchedAt: this.context.clock.now(),
      running: false,
      cause: undefined,
    };
    group.members.set(member.instanceId, member);
    this.emit(group, 'launching', member.instanceId, {
      availabilityZone: member.availabilityZone,
      instanceType: member.instanceType,
      lifecycle,
    });
    // The hook's message may arrive before EC2 reports the instance as running. Attaching a volume then fails with
    // IncorrectState.
    this.transition(group, member, 'autoscaling:EC2_INSTANCE_LAUNCHING');
    return true;
  }

  private launchFailed(group: Group, message: string): void {
    const now = this.context.clock.now();
    const { count, since } = group.failures ?? { count: 0, since: now };
    this.record(group, 'Launching a new EC2 instance', 'Failed', message);
    this.emit(group, 'launch-failed', group.name, { reason: message });
    if (now - since >= GIVE_UP_MS) {
      group.failures = undefined;
      group.suspended.set(
        'Launch',
        `Administratively suspended at ${isoTime(now)}: no instance could be launched for 24 hours`,
      );
      this.emit(group, 'suspended', group.name, { processes: ['Launch'], reason: 'administrative' });
      return;
    }
    const cancelRetry = this.context.after(Math.min(BACK_OFF_MS * 2 ** Math.min(count, 20), BACK_OFF_LIMIT_MS), () => {
      group.failures = { count: count + 1, since, cancelRetry: undefined };
      this.reconcile(group);
    });
    group.failures = { count: count + 1, since, cancelRetry };
  }

  private templateReference(group: GroupOptions): LaunchTemplateReference {
    const reference = group.launchTemplate ?? group.mixedInstancesPolicy?.LaunchTemplate?.LaunchTemplateSpecification;
    if (!reference)
      throw new AwsError(
        'ValidationError',
        'Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or ' +
          'MixedInstancesPolicy parameter.',
      );
    return reference;
  }

  /** https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-mixed-instances-groups.html */
  private nextInstance(group: Group): {
    template: LaunchTemplate;
    instanceType: string | undefined;
    lifecycle: 'on-demand' | 'spot';
  } {
    const policy = group.mixedInstancesPolicy;
    const template = this.ec2.launchTemplates.get(this.templateReference(group));
    const single = template.data.InstanceMarketOptions?.MarketType === 'spot' ? 'spot' : 'on-demand';
    if (!policy) return { template, instanceType: undefined, lifecycle: single };
    const { OnDemandBaseCapacity: base = 0, OnDemandPercentageAboveBaseCapacity: percentage = 100 } =
      policy.InstancesDistribution ?? {};
    const active = [...group.members.values()].filter(isActive);
    const onDemand = active.filter((member) => member.lifecycle === 'on-demand').length;
    const target = Number(base) + Math.ceil((Math.max(0, active.length + 1 - Number(base)) * Number(percentage)) / 100);
    const override = policy.LaunchTemplate.Overrides?.[0];
    if (override?.InstanceRequirements !== undefined)
      throw new Error('The emulation takes instance types by name, not by InstanceRequirements.');
    return {
      template:
        override?.LaunchTemplateSpecification === undefined
          ? template
          : this.ec2.launchTemplates.get(override.LaunchTemplateSpecification),
      instanceType: override?.InstanceType,
      lifecycle: onDemand < target ? 'on-demand' : 'spot',
    };
  }

  /**
   * The zone with the fewest instances:
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html#arch-AutoScalingMultiAZ
   */
  private nextPlace(group: Group): { subnetId?: string; availabilityZone?: string } {
    const crowd = (zone: string) =>
      [...group.members.values()].filter((member) => isActive(member) && member.availabilityZone === zone).length;
    const least = <T>(places: T[], zone: (place: T) => string) =>
      places.reduce((best, place) => (crowd(zone(place)) < crowd(zone(best)) ? place : best));
    if (group.subnetIds.length === 0) return { availabilityZone: least(group.availabilityZones, (zone) => zone) };
    const subnet = least(
      group.subnetIds.map((id) => this.ec2.networks.subnet(id)),
      (candidate) => candidate.availabilityZone,
    );
    return { subnetId: subnet.id, availabilityZone: subnet.availabilityZone };
  }

  private instanceTags(group: Group, template: { id: string; version: number }): Tags {
    return {
      ...Object.fromEntries(group.tags.filter((tag) => tag.propagate).map((tag) => [tag.key, tag.value])),
      'aws:autoscaling:groupName': group.name,
      'aws:ec2launchtemplate:id': template.id,
      'aws:ec2launchtemplate:version': String(template.version),
    };
  }

  // Lifecycle

  private terminate(group: Group, member: Member, cause: string): void {
    for (const action of member.actions.values()) action.cancel();
    member.actions.clear();
    member.result = 'CONTINUE';
    member.state = 'Terminating';
    member.cause = cause;
    this.emit(group, 'terminating', member.instanceId, { cause });
    this.transition(group, member, 'autoscaling:EC2_INSTANCE_TERMINATING');
  }

  /** Opens the transition's hooks, or proceeds at once if there are none. */
  private transition(group: Group, member: Member, transition: Transition): void {
    const launching = transition === 'autoscaling:EC2_INSTANCE_LAUNCHING';
    const hooks = group.hooks.filter((hook) => hook.transition === transition);
    if (hooks.length === 0) return this.proceed(group, member);
    member.state = launching ? 'Pending:Wait' : 'Terminating:Wait';
    const now = this.context.clock.now();
    for (const hook of hooks) {
      const action: Action = {
        hook,
        token: this.context.clock.uuid(),
        hardEnd: now + hardEndMs(hook),
        cancel: () => undefined,
      };
      member.actions.set(hook.name, action);
      this.restart(group, member, action);
      const message = {
        Origin: launching ? 'EC2' : 'AutoScalingGroup',
        Destination: launching ? 'AutoScalingGroup' : 'EC2',
        LifecycleHookName: hook.name,
        LifecycleTransition: transition,
        AutoScalingGroupName: group.name,
        EC2InstanceId: member.instanceId,
        LifecycleActionToken: action.token,
        ...(hook.notificationMetadata !== undefined && { NotificationMetadata: hook.notificationMetadata }),
      };
      this.sendTo(hook, {
        ...message,
        AccountId: this.context.accountId,
        RequestId: this.context.clock.uuid(),
        Service: 'AWS Auto Scaling',
        Time: isoTime(now),
      });
      this.events.put({
        source: 'aws.autoscaling',
        detailType: launching ? 'EC2 Instance-launch Lifecycle Action' : 'EC2 Instance-terminate Lifecycle Action',
        resources: [group.arn],
        detail: message,
      });
    }
    this.emit(group, launching ? 'pending-wait' : 'terminating-wait', member.instanceId, {
      hooks: hooks.map((hook) => hook.name),
    });
  }

  /** Restarts the heartbeat timeout, up to the hard end. */
  private restart(group: Group, member: Member, action: Action): void {
    action.cancel();
    const now = this.context.clock.now();
    const deadline = Math.min(now + heartbeatMs(action.hook), action.hardEnd);
    action.cancel = this.context.after(deadline - now, () => {
      this.emit(group, 'hook-expired', member.instanceId, {
        hook: action.hook.name,
        result: action.hook.defaultResult ?? 'ABANDON',
      });
      this.finish(group, member, action, action.hook.defaultResult ?? 'ABANDON');
    });
  }

  private finish(group: Group, member: Member, action: Action, result: Result): void {
    action.cancel();
    member.actions.delete(action.hook.name);
    // https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html : ABANDON stops the remaining
    // actions, CONTINUE lets them complete.
    if (result === 'ABANDON') {
      member.result = 'ABANDON';
      for (const other of member.actions.values()) other.cancel();
      member.actions.clear();
    }
    if (member.actions.size === 0) this.proceed(group, member);
  }

  private proceed(group: Group, member: Member): void {
    if (member.state.startsWith('Terminating')) {
      member.state = 'Terminating:Proceed';
      if (this.ec2.instance(member.instanceId).state === 'terminated') return this.leave(group, member);
      this.ec2.terminate(member.instanceId, `Auto Scaling: ${member.cause}`);
      return;
    }
    if (member.result === 'ABANDON') {
      this.record(
        group,
        `Launching a new EC2 instance: ${member.instanceId}`,
        'Failed',
        "Instance failed to complete user's Lifecycle Action: Lifecycle Action was abandoned",
      );
      this.terminate(
        group,
        member,
        'an instance was taken out of service in response to a launch lifecycle action that was abandoned',
      );
      this.reconcile(group);
      return;
    }
    member.state = 'Pending:Proceed';
    if (member.running) this.context.after(PROCEED_MS, () => this.enterService(group, member));
  }

  private enterService(group: Group, member: Member): void {
    if (member.state !== 'Pending:Proceed') return;
    member.state = 'InService';
    member.inServiceAt = this.context.clock.now();
    this.record(group, `Launching a new EC2 instance: ${member.instanceId}`, 'Successful');
    this.emit(group, 'in-service', member.instanceId);
    this.events.put({
      source: 'aws.autoscaling',
      detailType: 'EC2 Instance Launch Successful',
      resources: [group.arn],
      detail: { AutoScalingGroupName: group.name, EC2InstanceId: member.instanceId, StatusCode: 'InProgress' },
    });
    // Now the instance that it replaces can terminate.
    this.reconcile(group);
  }

  private leave(group: Group, member: Member): void {
    group.members.delete(member.instanceId);
    this.record(group, `Terminating EC2 instance: ${member.instanceId}`, 'Successful');
    this.emit(group, 'terminated', member.instanceId);
    this.events.put({
      source: 'aws.autoscaling',
      detailType: 'EC2 Instance Terminate Successful',
      resources: [group.arn],
      detail: { AutoScalingGroupName: group.name, EC2InstanceId: member.instanceId, StatusCode: 'InProgress' },
    });
    if (group.members.size === 0) for (const resolve of group.emptied.splice(0)) resolve();
    this.reconcile(group);
  }

  private instanceChanged(instance: InstanceView): void {
    for (const group of this.groups.values()) {
      const member = group.members.get(instance.instanceId);
      if (!member) continue;
      if (instance.state === 'running') {
        member.running = true;
        this.enterService(group, member);
      } else if (instance.state === 'terminated' && member.state === 'Terminating:Proceed') {
        this.leave(group, member);
      } else if (instance.state !== 'pending' && isActive(member)) {
        this.context.after(HEALTH_CHECK_MS, () => this.checkHealth(group, member));
      }
    }
  }

  /**
   * Any state other than running is unhealthy, even in the grace period:
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
   */
  private checkHealth(group: Group, member: Member): void {
    if (!isActive(member) || group.suspended.has('HealthCheck') || group.members.get(member.instanceId) !== member)
      return;
    member.health = 'Unhealthy';
    this.emit(group, 'unhealthy', member.instanceId, { by: 'EC2 health check' });
    this.reconcile(group);
  }

  // Actions

  private complete(input: Record<string, any>): Record<string, any> {
    const { group, member, action } = this.openAction(input);
    const result = input.LifecycleActionResult;
    if (result !== 'CONTINUE' && result !== 'ABANDON')
      throw new AwsError('ValidationError', `LifecycleActionResult must be CONTINUE or ABANDON, not ${result}`);
    this.emit(group, 'hook-completed', member.instanceId, { hook: action.hook.name, result });
    this.finish(group, member, action, result);
    return {};
  }

  private heartbeat(input: Record<string, any>): Record<string, any> {
    const { group, member, action } = this.openAction(input);
    this.emit(group, 'heartbeat', member.instanceId, { hook: action.hook.name });
    this.restart(group, member, action);
    return {};
  }

  private openAction(input: Record<string, any>): { group: Group; member: Member; action: Action } {
    const group = this.group(input.AutoScalingGroupName);
    const { LifecycleHookName: hookName, InstanceId: instanceId, LifecycleActionToken: token } = input;
    if (instanceId === undefined && token === undefined)
      throw new AwsError('ValidationError', 'Either LifecycleActionToken or InstanceId is required.');
    if (!group.hooks.some((hook) => hook.name === hookName)) {
      throw new AwsError('ValidationError', `No Lifecycle Hook found with name ${hookName}`);
    }
    const named = instanceId === undefined ? [...group.members.values()] : [group.members.get(instanceId) ?? []].flat();
    for (const member of named) {
      const action = member.actions.get(hookName);
      if (action && (token === undefined || action.token === token)) return { group, member, action };
    }
    throw new AwsError(
      'ValidationError',
      token === undefined
        ? `No active Lifecycle Action found with instance ID ${instanceId}`
        : `No active Lifecycle Action found with token ${token}`,
    );
  }

  private suspend(input: Record<string, any>): Record<string, any> {
    const group = this.group(input.AutoScalingGroupName);
    const processes = this.processes(input);
    for (const process of processes)
      group.suspended.set(process, `User suspended at ${isoTime(this.context.clock.now())}`);
    if (group.suspended.has('Launch')) this.forgetFailures(group);
    this.emit(group, 'suspended', group.name, { processes });
    return {};
  }

  private resume(input: Record<string, any>): Record<string, any> {
    const group = this.group(input.AutoScalingGroupName);
    const processes = this.processes(input);
    for (const process of processes) group.suspended.delete(process);
    this.emit(group, 'resumed', group.name, { processes });
    if (processes.includes('HealthCheck')) {
      for (const member of [...group.members.values()]) {
        const { state } = this.ec2.instance(member.instanceId);
        if (isActive(member) && state !== 'running' && state !== 'pending') this.checkHealth(group, member);
      }
    }
    this.reconcile(group);
    return {};
  }

  private forgetFailures(group: Group): void {
    group.failures?.cancelRetry?.();
    group.failures = undefined;
  }

  private processes(input: Record<string, any>): string[] {
    const processes: string[] = input.ScalingProcesses?.length ? input.ScalingProcesses : PROCESSES;
    for (const process of processes) {
      if (!PROCESSES.includes(process))
        throw new AwsError(
          'ValidationError',
          `${process} is not a valid scaling process. Valid processes are: ${PROCESSES.join(', ')}`,
        );
    }
    return processes;
  }

  private setHealth(input: Record<string, any>): Record<string, any> {
    const { group, member } = this.memberOf(input.InstanceId);
    const { HealthStatus: health } = input;
    if (health !== 'Healthy' && health !== 'Unhealthy')
      throw new AwsError('ValidationError', `Valid instance health states are: [Healthy, Unhealthy].`);
    if (health === 'Unhealthy' && (input.ShouldRespectGracePeriod ?? true)) {
      // https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-check-grace-period.html : it starts when the
      // instance is in service.
      const graceEnds = (member.inServiceAt ?? Infinity) + group.healthCheckGraceSeconds * 1000;
      if (group.healthCheckGraceSeconds > 0 && this.context.clock.now() < graceEnds) return {};
    }
    if (isActive(member)) member.health = health;
    if (health === 'Unhealthy') this.emit(group, 'unhealthy', member.instanceId, { by: 'SetInstanceHealth' });
    this.reconcile(group);
    return {};
  }

  private setDesired(input: Record<string, any>): Record<string, any> {
    const group = this.group(input.AutoScalingGroupName);
    const desired: number = input.DesiredCapacity;
    if (desired < group.min)
      throw new AwsError(
        'ValidationError',
        `New SetDesiredCapacity value ${desired} is below min value ${group.min} for the AutoScalingGroup.`,
      );
    if (desired > group.max)
      throw new AwsError(
        'ValidationError',
        `New SetDesiredCapacity value ${desired} is above max value ${group.max} for the AutoScalingGroup.`,
      );
    group.desired = desired;
    this.reconcile(group);
    return {};
  }

  private terminateMember(input: Record<string, any>): Record<string, any> {
    const { group, member } = this.memberOf(input.InstanceId);
    if (input.ShouldDecrementDesiredCapacity) {
      if (group.desired - 1 < group.min) {
        throw new AwsError(
          'ValidationError',
          `Currently, desiredSize equals minSize (${group.min}). Terminating instance without replacement ` +
            `will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to ` +
            `false or lower group's min size.`,
        );
      }
      group.desired -= 1;
    }
    if (isActive(member))
      this.terminate(group, member, 'an instance was taken out of service in response to a user request');
    this.reconcile(group);
    return {
      Activity: {
        ActivityId: this.context.clock.uuid(),
        AutoScalingGroupName: group.name,
        Cause: member.cause,
        StatusCode: 'InProgress',
        StartTime: isoTime(this.context.clock.now()),
      },
    };
  }

  private group(name: string): Group {
    const group = this.groups.get(name);
    if (!group)
      throw new AwsError('ValidationError', `AutoScalingGroup name not found - AutoScalingGroup '${name}' not found`);
    return group;
  }

  private memberOf(instanceId: string): { group: Group; member: Member } {
    for (const group of this.groups.values()) {
      const member = group.members.get(instanceId);
      if (member) return { group, member };
    }
    throw new AwsError(
      'ValidationError',
      `Instance Id not found - No managed instance found for instance ID ${instanceId}`,
    );
  }

  private record(group: Group, description: string, status: Activity['status'], message?: string): void {
    const at = this.context.clock.now();
    group.activities.push({
      id: this.context.clock.uuid(),
      description,
      cause: `At ${isoTime(at)} desired capacity is ${group.desired}.`,
      status,
      message,
      at,
    });
  }

  private emit(group: Group, what: string, subject: string, detail: Record<string, unknown> = {}): void {
    this.context.emit('autoscaling', what, subject, { group: group.name, logicalId: group.logicalId, ...detail });
  }

  /**
   * Sends a message under the hook's role.
   * @returns false when there is no such queue, or the role may not send to it. Such a message is lost, and its hook
   * times out.
   */
  private sendTo({ notificationTargetArn: queueArn, roleArn }: HookOptions, message: Record<string, unknown>): boolean {
    const queue = queueArn === undefined ? undefined : this.sqs.byArn(queueArn);
    if (!queue || roleArn === undefined) return false;
    const role = this.iam.roleByArn(roleArn);
    if (!this.authorization.trusts(role, 'autoscaling.amazonaws.com')) return false;
    const session = this.iam.session(role.name, 'AutoScaling');
    if (!this.authorization.may(session, { action: 'sqs:SendMessage', resource: queue.arn })) return false;
    queue.send(JSON.stringify(message), session.userId);
    return true;
  }
}

function launchesFirst(group: GroupOptions): boolean {
  return (
    group.maintenance !== undefined &&
    group.maintenance.MinHealthyPercentage >= 100 &&
    group.maintenance.MaxHealthyPercentage > 100
  );
}

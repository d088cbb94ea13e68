/** Auto Scaling's data: groups, their instances and open lifecycle actions. */
import type { Tags } from '../core/describe';
import type { LaunchTemplateReference } from '../ec2/launch-templates';

export type LifecycleState =
  | 'Pending'
  | 'Pending:Wait'
  | 'Pending:Proceed'
  | 'InService'
  | 'Terminating'
  | 'Terminating:Wait'
  | 'Terminating:Proceed';

export type Transition = 'autoscaling:EC2_INSTANCE_LAUNCHING' | 'autoscaling:EC2_INSTANCE_TERMINATING';
export type Result = 'CONTINUE' | 'ABANDON';

export interface HookOptions {
  name: string;
  transition: Transition;
  /** @default 3600 */
  heartbeatSeconds?: number;
  /** @default ABANDON */
  defaultResult?: Result;
  /** A queue. Without it only EventBridge is notified. */
  notificationTargetArn?: string;
  /** The role with which Auto Scaling sends its messages. */
  roleArn?: string;
  notificationMetadata?: string;
}

export interface GroupTag {
  key: string;
  value: string;
  propagate: boolean;
}

export interface GroupOptions {
  name: string;
  logicalId: string;
  min: number;
  max: number;
  desired: number;
  availabilityZones: string[];
  subnetIds: string[];
  launchTemplate?: LaunchTemplateReference;
  mixedInstancesPolicy?: Record<string, any>;
  hooks: HookOptions[];
  tags: GroupTag[];
  healthCheckType: string;
  healthCheckGraceSeconds: number;
  /**
   * Percentages.
   * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-maintenance-policy.html
   */
  maintenance?: { MinHealthyPercentage: number; MaxHealthyPercentage: number };
  /** https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html */
  capacityRebalance?: boolean;
}

/** A group, as other code sees it. */
export interface GroupView {
  name: string;
  logicalId: string;
  min: number;
  max: number;
  desired: number;
  tags: Tags;
  suspended: string[];
  instances: {
    instanceId: string;
    state: LifecycleState;
    health: 'Healthy' | 'Unhealthy';
    openHooks: string[];
    templateVersion: number;
  }[];
}

export interface Action {
  hook: HookOptions;
  token: string;
  /** Heartbeats cannot extend the hook beyond this. */
  hardEnd: number;
  cancel: () => void;
}

export interface Member {
  instanceId: string;
  state: LifecycleState;
  health: 'Healthy' | 'Unhealthy';
  availabilityZone: string;
  instanceType: string;
  lifecycle: 'on-demand' | 'spot';
  template: { id: string; name: string; version: number };
  /** Open lifecycle actions by hook name. */
  actions: Map<string, Action>;
  result: Result;
  inServiceAt: number | undefined;
  launchedAt: number;
  running: boolean;
  /** Why it is being terminated. */
  cause: string | undefined;
  /** EC2 has sent a rebalance recommendation, and the group launches a replacement first. */
  atRisk?: true;
}

export interface Activity {
  id: string;
  description: string;
  cause: string;
  status: 'Successful' | 'Failed';
  message: string | undefined;
  at: number;
}

export interface Group extends GroupOptions {
  arn: string;
  createdAt: number;
  members: Map<string, Member>;
  /** The reason by process. */
  suspended: Map<string, string>;
  /** Consecutive failed launches, and the timer for the next attempt. */
  failures: { count: number; since: number; cancelRetry: (() => void) | undefined } | undefined;
  activities: Activity[];
  deleting: boolean;
  emptied: (() => void)[];
}

/**
 * The longest time that heartbeats can keep a hook open.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html#lifecycle-hook-considerations :
 * 48 hours or 100 heartbeats, whichever is shorter.
 */
export function hardEndMs(hook: HookOptions): number {
  return Math.min(48 * 3_600_000, 100 * heartbeatMs(hook));
}

export function heartbeatMs(hook: HookOptions): number {
  return (hook.heartbeatSeconds ?? 3600) * 1000;
}

export function tagsOf(group: GroupOptions): Tags {
  return Object.fromEntries(group.tags.map((tag) => [tag.key, tag.value]));
}

/** Whether it counts towards the capacity: everything that is not terminating. */
export function isActive(member: Member): boolean {
  return !member.state.startsWith('Terminating');
}

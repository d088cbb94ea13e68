/** Workers: instances that run tasks and keep no state. */
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import {
  CREATION_TIMEOUT,
  SUSPENDED_IN_UPDATES,
  WORKER_UPDATE_PAUSE,
  WORKER_INSTANCE_TYPES,
  WORKER_MIN_CAPACITY,
  WORKER_ROOT_VOLUME_SIZE,
  type Architecture,
} from '../core/defaults';
import { instancesDistribution, workerRoll } from '../core/groups';
import { nodeTags } from '../core/tags';
import { checkCapacity, checkSpot } from '../core/checks/workers';
import { checkAtSynth, known } from '../framework/known';
import type { ManagerGroup } from './manager-group';
import { NodeLaunchTemplates, type NodeProps } from './node-launch-template';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';

/**
 * How much of a group is spot. Spot instances cost up to 90 % less; EC2 takes them back with two minutes' notice, or
 * none.
 *
 * On a rebalance recommendation the group launches a replacement before it terminates the instance
 * (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html). Meanwhile it may
 * exceed its maximum by a tenth.
 *
 * If this happens while a deployment rolls the group, CloudFormation may take the replacement for one of its own
 * instances, wait half an hour for an instance that is never launched, and roll the deployment back. Nothing is lost:
 * deploy again. This was seen in simulation.
 */
export interface SpotOptions {
  /**
   * The number of instances that are on demand before any is spot.
   * @default 0
   */
  readonly onDemandBase?: number;
  /**
   * The percentage of on-demand instances above the base: 0 to 100.
   * @default 0
   */
  readonly onDemandPercentage?: number;
}

export interface WorkerProps extends NodeProps {
  /**
   * The minimum number of workers, and the number at creation. CloudFormation waits until this many are Ready in the
   * swarm. Must not exceed `maxCapacity`.
   * @default 1
   */
  readonly minCapacity?: number;
  /**
   * The maximum number of workers, at least 1.
   * @default - minCapacity, or 1 when that is 0
   */
  readonly maxCapacity?: number;
  /**
   * Instance types, the preferred one first, all of one architecture. With spot, name several: the more pools, the
   * fewer interruptions.
   * @default - t4g.small (2 vCPU, 2 GiB, arm64), about 12 USD a month for each instance (us-east-1)
   */
  readonly instanceTypes?: ec2.InstanceType[];
  /**
   * Use spot instances, from the pools with the best price and capacity.
   * @default - on-demand instances only
   */
  readonly spot?: SpotOptions;
}

export interface WorkerGroupProps extends WorkerProps {
  /**
   * The managers of the swarm to join. They must be in the same stack. Workers are launched after all managers are in
   * service.
   */
  readonly managers: ManagerGroup;
}

/**
 * A group of workers in one Auto Scaling group. An instance becomes `InService` when it is Ready in the swarm. When a
 * deployment changes the group, CloudFormation rolls a tenth of it at a time. It never goes below `minCapacity` if
 * `maxCapacity` is greater.
 */
export class WorkerGroup extends Construct {
  /** The Auto Scaling group, for scaling policies, metrics and schedules. */
  readonly autoScalingGroup: autoscaling.IAutoScalingGroup;
  /** The same group as a resource of the template. */
  readonly resource: autoscaling.CfnAutoScalingGroup;
  /** The lifecycle of the cluster. */
  readonly lifecycle: NodeLifecycle;
  readonly launchTemplate: ec2.CfnLaunchTemplate;
  /** The architecture of all instance types of the group. */
  readonly architecture: Architecture;

  constructor(scope: Construct, id: string, props: WorkerGroupProps) {
    super(scope, id);
    const { managers } = props;
    const { lifecycle } = managers;
    const types = props.instanceTypes ?? WORKER_INSTANCE_TYPES.map((type) => new ec2.InstanceType(type));
    const min = props.minCapacity ?? WORKER_MIN_CAPACITY;
    const max = props.maxCapacity ?? (min === 0 ? 1 : min);
    const templates = new NodeLaunchTemplates(this, {
      lifecycle,
      role: 'worker',
      instanceTypes: types,
      defaultRootVolumeSize: WORKER_ROOT_VOLUME_SIZE,
      nodes: props,
    });
    this.architecture = templates.architecture;
    this.launchTemplate = templates.create(this);
    const template = {
      launchTemplateId: this.launchTemplate.ref,
      version: this.launchTemplate.attrLatestVersionNumber,
    };
    const group = new autoscaling.CfnAutoScalingGroup(this, 'Group', {
      minSize: String(min),
      maxSize: String(max),
      vpcZoneIdentifier: lifecycle.network.nodeSubnets.map((subnet) => subnet.subnetId),
      ...(props.spot || types.length > 1
        ? {
            mixedInstancesPolicy: {
              launchTemplate: { launchTemplateSpecification: template, overrides: overrides(types) },
              instancesDistribution: instancesDistribution(props.spot),
            },
          }
        : { launchTemplate: template }),
      ...(props.spot && { capacityRebalance: true }),
      healthCheckType: 'EC2',
      lifecycleHookSpecificationList: lifecycle.hooks('worker'),
      tags: Object.entries(nodeTags(lifecycle.cluster, 'worker')).map(([key, value]) => ({
        key,
        value,
        propagateAtLaunch: true,
      })),
    });
    if (min !== 0) group.cfnOptions.creationPolicy = { resourceSignal: { count: min, timeout: CREATION_TIMEOUT } };
    const [knownMin, knownMax] = [known(min), known(max)];
    group.cfnOptions.updatePolicy = {
      autoScalingRollingUpdate: {
        ...workerRoll(knownMin, knownMax),
        waitOnResourceSignals: true,
        pauseTime: WORKER_UPDATE_PAUSE,
        suspendProcesses: SUSPENDED_IN_UPDATES,
      },
    };
    group.node.addDependency(lifecycle.ready, lifecycle.workerRole.policy);
    // A deployment rolls the workers after all managers, and not at all if the managers fail.
    for (const seat of managers.seats) group.node.addDependency(seat.autoScalingGroup);
    this.resource = group;
    this.lifecycle = lifecycle;
    this.autoScalingGroup = autoscaling.AutoScalingGroup.fromAutoScalingGroupName(this, 'AutoScalingGroup', group.ref);

    checkAtSynth(this, () => [
      ...checkCapacity(knownMin, known(props.maxCapacity)),
      ...checkSpot(known(props.spot?.onDemandBase), known(props.spot?.onDemandPercentage)),
    ]);
  }
}

const overrides = (types: ec2.InstanceType[]) => types.map((type) => ({ instanceType: type.toString() }));

/** Workers: instances that run tasks and keep nothing. */
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
 * How much of a group is spot. Spot instances cost up to 90 % less and are taken back with two minutes' notice, or
 * none. One that is at an elevated risk of it is replaced as soon as EC2 says so, its successor first
 * (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-capacity-rebalancing.html): the group may be
 * a tenth above its maximum meanwhile. A deployment that replaces the group's instances in that very moment may count
 * such a successor for one of its own, wait half an hour for one that is not launched, and be rolled back. Nothing is
 * lost: deploy again. Seen in simulation.
 */
export interface SpotOptions {
  /**
   * So many instances are on demand before any is spot.
   * @default 0
   */
  readonly onDemandBase?: number;
  /**
   * Of what is above the base, so many per cent are on demand: 0 to 100.
   * @default 0
   */
  readonly onDemandPercentage?: number;
}

export interface WorkerProps extends NodeProps {
  /**
   * The fewest workers, and how many there are at first. CloudFormation waits until so many are Ready in the swarm.
   * @default 1
   */
  readonly minCapacity?: number;
  /**
   * The most workers, at least 1.
   * @default - minCapacity, or 1 when that is 0
   */
  readonly maxCapacity?: number;
  /**
   * Instance types, all of one architecture, the preferred first. With spot, give several: the more pools, the fewer
   * interruptions.
   * @default - t4g.small (2 vCPU, 2 GiB, arm64), about 12 USD a month each (us-east-1)
   */
  readonly instanceTypes?: ec2.InstanceType[];
  /**
   * Use spot instances, from the pools where price and capacity are best.
   * @default - on demand only
   */
  readonly spot?: SpotOptions;
}

export interface WorkerGroupProps extends WorkerProps {
  /**
   * The managers of the swarm to join, of the same stack. Workers are launched when the first of them is in service.
   */
  readonly managers: ManagerGroup;
}

/**
 * A group of workers. An instance is `InService` when it is Ready in the swarm. CloudFormation rolls a changed group a
 * tenth at a time, and never below `minCapacity` when `maxCapacity` is greater.
 */
export class WorkerGroup extends Construct {
  /** For scaling policies, metrics and schedules. */
  readonly autoScalingGroup: autoscaling.IAutoScalingGroup;
  /** The same as a resource of the template. */
  readonly resource: autoscaling.CfnAutoScalingGroup;
  /** Of the cluster. */
  readonly lifecycle: NodeLifecycle;
  readonly launchTemplate: ec2.CfnLaunchTemplate;
  /** Of all instance types of the group. */
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
    // Workers are replaced only once all managers are, and not at all when these are not.
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

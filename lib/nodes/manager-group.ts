/** The managers: seats with a fixed address and a volume of their own, each in a group of one. */
import { Annotations, CfnDeletionPolicy, SizeRoundingBehavior, Stack, type Size } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import {
  CREATION_TIMEOUT,
  MANAGER_COUNT,
  MANAGER_INSTANCE_TYPE,
  MANAGER_ROOT_VOLUME_SIZE,
  MANAGER_UPDATE_PAUSE,
  MANAGER_VOLUME_SIZE,
  SUSPENDED_IN_UPDATES,
} from '../core/defaults';
import { nodeTags } from '../core/tags';
import { checkVolumeSize } from '../core/checks/nodes';
import { checkManagerCount, checkVolumeGenerations, checkZones, seatsToBuild } from '../core/checks/managers';
import { checkAtSynth, known } from '../framework/known';
import { NodeLaunchTemplates, tagList, type NodeProps } from './node-launch-template';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';

export interface ManagerProps extends NodeProps {
  /**
   * How many managers: 1, 3, 5 or 7. Three survive the loss of one, five of two; one survives nothing, but comes back
   * with its state.
   * @default 3
   */
  readonly count?: number;
  /**
   * About 12 USD a month each for the default (0.0168 USD an hour, us-east-1).
   * @default - t4g.small (2 vCPU, 2 GiB, arm64)
   */
  readonly instanceType?: ec2.InstanceType;
  /**
   * The volume of each manager for `/var/lib/docker`: whole GiB, gp3, encrypted, 0.08 USD a GiB and month (us-east-1).
   * It outlives the instance and goes with the stack.
   * @default Size.gibibytes(20)
   */
  readonly volumeSize?: Size;
  /**
   * For a volume that is lost: with a greater number its seat gets another, empty one, and its manager joins the swarm
   * anew, once the others are a quorum without it. The old volume, where it is still there, is deleted, and with it
   * whatever containers kept on it. By number of the seat, from 0. What a deployment may lose by this is one manager's
   * state at a time; of a single manager, the swarm.
   * @default - 1 for each seat
   */
  readonly volumeGenerations?: Readonly<Record<string, number>>;
}

export interface ManagerGroupProps extends ManagerProps {
  /** Of the same stack. */
  readonly lifecycle: NodeLifecycle;
}

/** One manager's place. All of it but the instance stays when the instance dies. */
export interface Seat {
  readonly number: number;
  readonly networkInterface: ec2.CfnNetworkInterface;
  /** The private address, the same for the whole life of the seat. */
  readonly address: string;
  readonly volume: ec2.CfnVolume;
  readonly launchTemplate: ec2.CfnLaunchTemplate;
  readonly autoScalingGroup: autoscaling.CfnAutoScalingGroup;
}

/**
 * The managers of a swarm, in seats spread over three zones.
 *
 * A seat is a network interface with a fixed private address, a volume for `/var/lib/docker`, and an Auto Scaling group
 * of exactly one. When the instance dies, its successor gets the same address and the same volume and is the same raft
 * member again: nobody has to join or leave. A changed group is replaced by CloudFormation together with all others,
 * but node-leave lets one manager after the other go, and none while the last one is not back in the swarm: where one
 * does not come back, the others stay as they are, and CloudFormation takes the change back.
 *
 * Interface and volume are deleted with the stack, but kept when CloudFormation replaces them: their construct ids are
 * part of the contract with deployed stacks.
 */
export class ManagerGroup extends Construct {
  readonly lifecycle: NodeLifecycle;
  readonly seats: Seat[] = [];

  constructor(scope: Construct, id: string, props: ManagerGroupProps) {
    super(scope, id);
    this.lifecycle = props.lifecycle;
    const count = known(props.count ?? MANAGER_COUNT);
    const volumeSize = props.volumeSize?.toGibibytes({ rounding: SizeRoundingBehavior.NONE }) ?? MANAGER_VOLUME_SIZE;
    const { network } = props.lifecycle;
    const zones = network.zones;
    const generations = props.volumeGenerations ?? {};
    const templates = new NodeLaunchTemplates(this, {
      lifecycle: props.lifecycle,
      role: 'manager',
      instanceTypes: [props.instanceType ?? new ec2.InstanceType(MANAGER_INSTANCE_TYPE)],
      defaultRootVolumeSize: MANAGER_ROOT_VOLUME_SIZE,
      nodes: props,
    });
    // Without subnets, or in another stack than node-join, which lists the seats, there is nothing to build: a check
    // says so when the app is synthesised.
    const buildable = zones.length > 0 && Stack.of(this) === Stack.of(this.lifecycle);
    for (let number = 0; buildable && number < seatsToBuild(count); number++) {
      const { subnet, zone } = zones[number % zones.length]!;
      this.seats.push(
        this.createSeat(number, subnet, zone, { size: volumeSize, generation: generations[number] ?? 1 }, templates),
      );
    }

    if (count === 1) {
      Annotations.of(this).addWarningV2(
        'cdk-docker-swarm:singleManager',
        'One manager: while its instance is replaced, nothing can be scheduled or changed, and if its ' +
          'volume is lost, so is the swarm. Give 3 managers where this matters.',
      );
    }
    checkAtSynth(this, () => [
      ...checkManagerCount(count),
      ...(count === undefined || checkManagerCount(count).length > 0 ? [] : checkZones(count, network.zoneNames)),
      ...checkVolumeSize('volumeSize', known(volumeSize)),
      ...checkVolumeGenerations(
        props.volumeGenerations,
        known(count) !== undefined && checkManagerCount(known(count)!).length > 0 ? undefined : seatsToBuild(count),
      ),
    ]);
  }

  private createSeat(
    number: number,
    subnet: ec2.ISubnet,
    zone: string,
    state: { size: number; generation: number },
    templates: NodeLaunchTemplates,
  ): Seat {
    const { lifecycle } = this;
    const { network } = lifecycle;
    const scope = new Construct(this, `Seat${number}`);
    const tags = nodeTags(lifecycle.cluster, 'manager', number);
    const networkInterface = new ec2.CfnNetworkInterface(scope, 'NetworkInterface', {
      description: `Address of manager ${number}`,
      subnetId: subnet.subnetId,
      groupSet: [network.nodeSecurityGroup.securityGroupId, network.managerSecurityGroup.securityGroupId],
      tags: tagList(tags),
    });
    const volume = new ec2.CfnVolume(scope, state.generation === 1 ? 'Volume' : `Volume${state.generation}`, {
      availabilityZone: zone,
      size: state.size,
      volumeType: 'gp3',
      encrypted: true,
      kmsKeyId: lifecycle.tables.encryptionKey?.keyArn,
      tags: tagList(tags),
    });
    for (const kept of [networkInterface, volume]) {
      kept.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
      kept.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
    }
    const launchTemplate = templates.create(scope, {
      number,
      volumeId: volume.ref,
      networkInterfaceId: networkInterface.ref,
    });
    const autoScalingGroup = new autoscaling.CfnAutoScalingGroup(scope, 'Group', {
      minSize: '1',
      maxSize: '1',
      desiredCapacity: '1',
      // Instead of subnets: the interface has one.
      // https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html
      availabilityZones: [zone],
      launchTemplate: { launchTemplateId: launchTemplate.ref, version: launchTemplate.attrLatestVersionNumber },
      healthCheckType: 'EC2',
      // The old instance must be gone before the next one can have its interface.
      instanceMaintenancePolicy: { minHealthyPercentage: 0, maxHealthyPercentage: 100 },
      lifecycleHookSpecificationList: lifecycle.hooks('manager'),
      tags: Object.entries(tags).map(([key, value]) => ({ key, value, propagateAtLaunch: true })),
    });
    autoScalingGroup.cfnOptions.creationPolicy = { resourceSignal: { count: 1, timeout: CREATION_TIMEOUT } };
    autoScalingGroup.cfnOptions.updatePolicy = {
      autoScalingRollingUpdate: {
        maxBatchSize: 1,
        minInstancesInService: 0,
        waitOnResourceSignals: true,
        pauseTime: MANAGER_UPDATE_PAUSE,
        suspendProcesses: SUSPENDED_IN_UPDATES,
      },
    };
    autoScalingGroup.node.addDependency(lifecycle.ready, lifecycle.managerRole.policy);
    const address = networkInterface.attrPrimaryPrivateIpAddress;
    lifecycle.addSeat({ seat: number, volumeId: volume.ref, networkInterfaceId: networkInterface.ref, address });
    return { number, networkInterface, address, volume, launchTemplate, autoScalingGroup };
  }
}

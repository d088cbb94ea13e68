/** The managers: seats with a fixed address, a state volume and an Auto Scaling group of one each. */
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
   * The number of managers: 1, 3, 5 or 7, known at synth. Three tolerate the loss of one, five of two. A single manager
   * tolerates none, but comes back with its state.
   * @default 3
   */
  readonly count?: number;
  /**
   * The instance type of each manager. The default costs about 12 USD a month (0.0168 USD an hour, us-east-1).
   * @default - t4g.small (2 vCPU, 2 GiB, arm64)
   */
  readonly instanceType?: ec2.InstanceType;
  /**
   * The size of each manager's state volume, which holds `/var/lib/docker`: a whole number of GiB. The volume is gp3
   * and encrypted, and costs 0.08 USD per GiB and month (us-east-1). It outlives the instance, and is deleted with the
   * stack.
   * @default Size.gibibytes(20)
   */
  readonly volumeSize?: Size;
  /**
   * Replaces the volume of a seat whose volume is lost: raise the number of that seat. Keys are seats, counted from 0;
   * values are whole numbers of at least 1. The seat gets a new, empty volume, and its manager joins the swarm afresh
   * once the other managers are a quorum. The old volume, if it still exists, is deleted with everything that
   * containers kept on it. Raise one seat per deployment, because each loses its manager's state. With a single
   * manager, the swarm is lost.
   * @default - generation 1 for each seat
   */
  readonly volumeGenerations?: Readonly<Record<string, number>>;
}

export interface ManagerGroupProps extends ManagerProps {
  /** The lifecycle that lets the managers in and out. It must be in the same stack. */
  readonly lifecycle: NodeLifecycle;
}

/** One manager's place in the swarm. When the instance dies, everything else of the seat stays. */
export interface Seat {
  readonly number: number;
  readonly networkInterface: ec2.CfnNetworkInterface;
  /** The private address, which never changes. */
  readonly address: string;
  readonly volume: ec2.CfnVolume;
  readonly launchTemplate: ec2.CfnLaunchTemplate;
  readonly autoScalingGroup: autoscaling.CfnAutoScalingGroup;
}

/**
 * The managers of a swarm, in seats spread over three zones.
 *
 * A seat is a network interface with a fixed private address, a volume for `/var/lib/docker`, and an Auto Scaling group
 * of exactly one. When the instance dies, its successor gets the same address and the same volume and is the same Raft
 * member again: no node joins or leaves.
 *
 * When a deployment changes the managers, CloudFormation rolls all groups at once, but node-leave releases one manager
 * after the other, each only when the one before is back in the swarm. If a manager does not come back, the others stay
 * as they are, and CloudFormation rolls the change back.
 *
 * Interface and volume are deleted with the stack, but retained when CloudFormation replaces them. Their construct ids
 * are part of the contract with deployed stacks.
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
    // Without subnets, or outside the stack of node-join, nothing can be built. Synth reports it.
    const canBuild = zones.length > 0 && Stack.of(this) === Stack.of(this.lifecycle);
    for (let number = 0; canBuild && number < seatsToBuild(count); number++) {
      const { subnet, zone } = zones[number % zones.length]!;
      this.seats.push(
        this.createSeat(number, subnet, zone, { size: volumeSize, generation: generations[number] ?? 1 }, templates),
      );
    }

    if (count === 1) {
      Annotations.of(this).addWarningV2(
        'cdk-docker-swarm:singleManager',
        'There is only one manager: while its instance is being replaced, the swarm can schedule and change nothing, ' +
          'and if its volume is lost, the swarm is lost. Use 3 managers where this matters.',
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
    for (const resource of [networkInterface, volume]) {
      resource.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
      resource.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
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
      // A zone instead of subnets: the network interface already has a subnet.
      // https://docs.aws.amazon.com/autoscaling/ec2/userguide/create-launch-template.html
      availabilityZones: [zone],
      launchTemplate: { launchTemplateId: launchTemplate.ref, version: launchTemplate.attrLatestVersionNumber },
      healthCheckType: 'EC2',
      // The old instance must be gone before its successor can have the network interface.
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

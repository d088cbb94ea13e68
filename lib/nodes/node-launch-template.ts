/** What managers and workers have in common: the props of a node, and the launch template. */
import { Aws, CfnParameter, Fn, SizeRoundingBehavior, Stack, type Size } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { NodeRole as Role } from '../../protocol/body';
import type { AgentConfig } from '../../protocol/environment';
import { imageParameter, ROOT_DEVICE, type Architecture } from '../core/defaults';
import { nodeTags } from '../core/tags';
import { renderUserData } from '../core/user-data';
import { checkBridgeNetworks, checkDaemon } from '../core/checks/daemon';
import {
  architectureOf,
  architectureOfImage,
  checkImageCanBeChosen,
  checkInstanceTypes,
  checkLabels,
  checkSameStack,
  checkUserDataSize,
  checkVolumeSize,
} from '../core/checks/nodes';
import { checkAtSynth, known, knownBytes } from '../framework/known';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';

export interface NodeProps {
  /**
   * The machine image: Amazon Linux 2023, or an image with bash, curl, systemd, the AWS CLI, Docker and Node.js 22. Its
   * root device must be /dev/xvda. Required when no instance type is known at synth. If a parameter of the template or
   * a look-up names the image, a new image replaces all nodes at the next deployment.
   * @default - the newest Amazon Linux 2023 for the instance type's architecture, resolved at each launch
   */
  readonly machineImage?: ec2.IMachineImage;
  /**
   * The size of the root volume, a whole number of GiB. The volume is gp3 and encrypted, and is deleted with the
   * instance.
   * @default - 10 GiB for managers, whose state has its own volume; 30 GiB for workers
   */
  readonly rootVolumeSize?: Size;
  /**
   * Engine labels, for placement constraints such as `engine.labels.tier == web`. A key has at most 128 letters,
   * digits, `.`, `-` and `_`, and must not begin with `aws.`, `cdk-docker-swarm.`, `com.docker.`, `io.docker.` or
   * `org.dockerproject.`. A value has at most 256 characters. Every node also has the labels `aws.instance-id`,
   * `aws.availability-zone`, `aws.instance-type` and `aws.lifecycle`.
   * @default - none
   */
  readonly labels?: Record<string, string>;
  /**
   * Keys for `/etc/docker/daemon.json`, merged over the defaults (log rotation). `labels`, `hosts`, `data-root` and
   * `live-restore` cannot be set. Networks in `default-address-pools` and `bip` must not overlap the VPC or the swarm's
   * address pools.
   * Source: https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
   * @default - none
   */
  readonly daemon?: Record<string, unknown>;
  /**
   * Lines of bash for the first boot, after Docker is installed and before it starts. They run in a separate bash
   * (`bash -euo pipefail`), so variables and `exit` do not affect the rest of the boot. They stop at the first command
   * that fails, and the instance is then replaced. All user data together may have 16 KB.
   * @default - none
   */
  readonly extraUserData?: string[];
}

/** What the launch templates of one group are made from. */
export interface NodeDesign {
  readonly lifecycle: NodeLifecycle;
  readonly role: Role;
  /** The launch template has the first of them. */
  readonly instanceTypes: ec2.InstanceType[];
  /** GiB. */
  readonly defaultRootVolumeSize: number;
  readonly nodes: NodeProps;
}

/** What only the launch template of a manager has. */
export interface SeatDesign {
  readonly number: number;
  readonly volumeId: string;
  readonly networkInterfaceId: string;
}

/** Makes the launch templates of one group, and checks the props of its nodes once, even if no template can be made. */
export class NodeLaunchTemplates {
  readonly architecture: Architecture;

  private readonly image: ec2.MachineImageConfig;
  private readonly rootSize: number;
  private userData = '';

  constructor(
    private readonly group: Construct,
    private readonly design: NodeDesign,
  ) {
    const { machineImage, rootVolumeSize } = design.nodes;
    const types = design.instanceTypes.map((type) => known(type.toString()));
    this.architecture =
      types
        .map((type) => (type === undefined ? undefined : architectureOf(type)))
        .find((architecture) => architecture !== undefined) ?? 'arm64';
    this.image = (
      machineImage ?? ec2.MachineImage.resolveSsmParameterAtLaunch(imageParameter(this.architecture))
    ).getImage(group);
    this.rootSize =
      rootVolumeSize?.toGibibytes({ rounding: SizeRoundingBehavior.NONE }) ?? design.defaultRootVolumeSize;
    checkAtSynth(group, () => this.problems(types));
  }

  /**
   * The template has IMDSv2 only, out of reach of containers, an encrypted root volume, and user data that starts the
   * agent.
   */
  create(scope: Construct, seat?: SeatDesign): ec2.CfnLaunchTemplate {
    const { lifecycle, role, instanceTypes, nodes } = this.design;
    const stack = Stack.of(scope);
    const { tables, nodeLogGroup, agent } = lifecycle;
    const nodeRole = role === 'manager' ? lifecycle.managerRole : lifecycle.workerRole;
    const config: AgentConfig = {
      cluster: lifecycle.cluster,
      role,
      roleId: nodeRole.role.roleId,
      region: Aws.REGION,
      tokenTable: tables.tokenTable.tableName,
      reportTable: tables.reportTable.tableName,
      logGroup: nodeLogGroup.logGroupName,
      ...(seat && { seat: { number: seat.number, volumeId: seat.volumeId } }),
      labels: nodes.labels ?? {},
      daemon: nodes.daemon ?? {},
    };
    this.userData = renderUserData({
      role,
      region: Aws.REGION,
      agentBucket: agent.s3BucketName,
      agentKey: agent.s3ObjectKey,
      logGroup: nodeLogGroup.logGroupName,
      agentConfig: stack.toJsonString(config, 1),
      extraLines: nodes.extraUserData ?? [],
    });
    return new ec2.CfnLaunchTemplate(scope, 'LaunchTemplate', {
      launchTemplateData: {
        imageId: this.image.imageId,
        // Without any instance type, synth fails, so this value is never deployed.
        instanceType: String(instanceTypes[0]),
        iamInstanceProfile: { arn: nodeRole.instanceProfile.instanceProfileArn },
        // Containers are one network hop further away than the node, so they cannot read its credentials.
        metadataOptions: { httpEndpoint: 'enabled', httpTokens: 'required', httpPutResponseHopLimit: 1 },
        blockDeviceMappings: [
          {
            deviceName: ROOT_DEVICE,
            ebs: {
              volumeType: 'gp3',
              volumeSize: this.rootSize,
              encrypted: true,
              deleteOnTermination: true,
              kmsKeyId: tables.encryptionKey?.keyArn,
            },
          },
        ],
        // A seat's network interface already has security groups.
        ...(seat
          ? { networkInterfaces: [{ deviceIndex: 0, networkInterfaceId: seat.networkInterfaceId }] }
          : { securityGroupIds: [lifecycle.network.nodeSecurityGroup.securityGroupId] }),
        tagSpecifications: [
          { resourceType: 'instance', tags: tagList(nodeTags(lifecycle.cluster, role, seat?.number)) },
          // Without the seat: the root volume is not the seat's state volume.
          { resourceType: 'volume', tags: tagList(nodeTags(lifecycle.cluster, role)) },
        ],
        userData: Fn.base64(this.userData),
      },
    });
  }

  private problems(types: (string | undefined)[]): string[] {
    const { lifecycle, nodes } = this.design;
    const { machineImage, labels = {}, daemon = {} } = nodes;
    const stack = Stack.of(this.group);
    const pools = lifecycle.addressPools.filter((pool) => known(pool) !== undefined);
    return [
      ...checkSameStack(stack.node.path, Stack.of(lifecycle).node.path),
      ...checkImageCanBeChosen(types, machineImage !== undefined),
      // The default image always fits the first type.
      ...checkInstanceTypes(types, machineImage && architectureOfImage(imageName(stack, this.image.imageId))),
      ...(this.image.osType === ec2.OperatingSystemType.WINDOWS
        ? ['The machine image is for Windows. Use a Linux image.']
        : []),
      ...checkVolumeSize('rootVolumeSize', known(this.rootSize)),
      ...checkLabels(
        Object.fromEntries(
          Object.entries(labels)
            .filter(([key]) => known(key) !== undefined)
            .map(([key, value]) => [key, known(value)]),
        ),
      ),
      ...checkDaemon(daemon),
      ...checkBridgeNetworks(daemon, lifecycle.network.knownCidrs, pools),
      ...checkUserDataSize(knownBytes(stack, this.userData)),
    ];
  }
}

export function tagList(tags: Record<string, string>): { key: string; value: string }[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

/** The image's id, the SSM parameter in it, or the default of the template parameter that it refers to. */
function imageName(stack: Stack, imageId: string): string {
  const resolved: unknown = stack.resolve(imageId);
  if (typeof resolved === 'string') return resolved;
  const parameters = stack.node.findAll().filter((construct) => construct instanceof CfnParameter);
  const referenced = parameters.find(
    (parameter) => JSON.stringify(stack.resolve(parameter.value)) === JSON.stringify(resolved),
  );
  return JSON.stringify(referenced?.default ?? resolved);
}

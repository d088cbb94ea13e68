/** What managers and workers have in common: how an instance is launched, and what a user may say about it. */
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
   * The image: Amazon Linux 2023, or one with bash, curl, systemd, the AWS CLI, Docker and Node.js 22. Its root device
   * must be /dev/xvda. An image that is named by a parameter or look-up of the template replaces all nodes when it
   * changes.
   * @default - the newest Amazon Linux 2023 for the instance type's architecture, looked up anew at each launch. Give
   * one when no instance type is known at synth
   */
  readonly machineImage?: ec2.IMachineImage;
  /**
   * The root volume. Encrypted.
   * @default - 10 GiB for managers, whose state has a volume of its own, 30 GiB for workers
   */
  readonly rootVolumeSize?: Size;
  /**
   * Engine labels, for placement constraints such as `engine.labels.tier == web`. Keys must not begin with `aws.`,
   * `cdk-docker-swarm.`, `com.docker.`, `io.docker.` or `org.dockerproject.`. Every node also has `aws.instance-id`,
   * `aws.availability-zone`, `aws.instance-type` and `aws.lifecycle`.
   * @default - none
   */
  readonly labels?: Record<string, string>;
  /**
   * Keys for `/etc/docker/daemon.json`, over the defaults (logs rotated). Not `labels`, `hosts`, `data-root` or
   * `live-restore`. Networks in `default-address-pools` and `bip` must be outside of the VPC's and of the swarm's
   * address pools.
   * Source: https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
   * @default - none
   */
  readonly daemon?: Record<string, unknown>;
  /**
   * Lines of bash for the first boot, after Docker is installed and before it starts. They run in a bash of their own
   * (`bash -euo pipefail`), so variables and `exit` end with them. They stop at the first command that fails, and the
   * instance is replaced. All user data together may have 16 KB.
   * @default - none
   */
  readonly extraUserData?: string[];
}

/** What the nodes of one group are made from. */
export interface NodeDesign {
  readonly lifecycle: NodeLifecycle;
  readonly role: Role;
  /** The first is the launch template's own. */
  readonly instanceTypes: ec2.InstanceType[];
  /** GiB. */
  readonly defaultRootVolumeSize: number;
  readonly nodes: NodeProps;
}

/** What only a manager's launch template has. */
export interface SeatDesign {
  readonly number: number;
  readonly volumeId: string;
  readonly networkInterfaceId: string;
}

/**
 * Makes the launch templates of one group, and checks what was given for its nodes: once for the group, also when
 * nothing can be laid out.
 */
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

  /** IMDSv2 only and out of reach of containers, an encrypted root volume, and the user data that starts the agent. */
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
        // With none given there is no template to deploy: synth fails.
        instanceType: String(instanceTypes[0]),
        iamInstanceProfile: { arn: nodeRole.instanceProfile.instanceProfileArn },
        // Containers are one hop further away than the node, so they cannot take its credentials.
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
        // The security groups of a seat are its interface's.
        ...(seat
          ? { networkInterfaces: [{ deviceIndex: 0, networkInterfaceId: seat.networkInterfaceId }] }
          : { securityGroupIds: [lifecycle.network.nodeSecurityGroup.securityGroupId] }),
        tagSpecifications: [
          { resourceType: 'instance', tags: tagList(nodeTags(lifecycle.cluster, role, seat?.number)) },
          // The root volume is not the seat's.
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
      // The default image is made for the first type.
      ...checkInstanceTypes(types, machineImage && architectureOfImage(imageName(stack, this.image.imageId))),
      ...(this.image.osType === ec2.OperatingSystemType.WINDOWS
        ? ['The machine image is made for Windows. Give one of Linux.']
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

/** What names the image: its id, the parameter in it, or the default of the template's parameter that it refers to. */
function imageName(stack: Stack, imageId: string): string {
  const resolved: unknown = stack.resolve(imageId);
  if (typeof resolved === 'string') return resolved;
  const parameters = stack.node.findAll().filter((construct) => construct instanceof CfnParameter);
  const named = parameters.find(
    (parameter) => JSON.stringify(stack.resolve(parameter.value)) === JSON.stringify(resolved),
  );
  return JSON.stringify(named?.default ?? resolved);
}

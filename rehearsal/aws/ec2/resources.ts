/** Resource types of EC2. Resources without emulated behaviour (routes, gateways, endpoints) only get an id. */
import type { Context } from '../core/context';
import type { Ec2 } from './ec2';
import { permittedByTemplate, type Permitted } from './rules';
import { onlyThese, type CreatedResource, type ResourceType, type ResourceTypes } from '../core/resource';

/** The properties that security group rules have in both directions. */
const RULE = ['IpProtocol', 'FromPort', 'ToPort', 'CidrIp', 'CidrIpv6', 'Description'];

export function ec2Types({ ec2, context }: { ec2: Ec2; context: Context }): ResourceTypes {
  return {
    'AWS::EC2::VPC': {
      properties: ['CidrBlock', 'EnableDnsHostnames', 'EnableDnsSupport', 'InstanceTenancy', 'Tags'],
      create({ properties }) {
        const vpc = ec2.networks.createVpc(properties.CidrBlock);
        return {
          id: vpc.id,
          attributes: {
            VpcId: vpc.id,
            CidrBlock: vpc.cidr,
            DefaultSecurityGroup: vpc.defaultSecurityGroup,
            DefaultNetworkAcl: context.id('acl'),
          },
        };
      },
      delete: (id) => ec2.networks.deleteVpc(id),
    },
    'AWS::EC2::Subnet': {
      properties: ['VpcId', 'CidrBlock', 'AvailabilityZone', 'MapPublicIpOnLaunch', 'Tags'],
      create({ properties }) {
        const subnet = ec2.networks.createSubnet(properties.VpcId, properties.CidrBlock, properties.AvailabilityZone);
        return {
          id: subnet.id,
          attributes: {
            SubnetId: subnet.id,
            VpcId: subnet.vpcId,
            CidrBlock: subnet.cidr,
            AvailabilityZone: subnet.availabilityZone,
          },
        };
      },
      delete: (id) => ec2.networks.deleteSubnet(id),
    },
    'AWS::EC2::SecurityGroup': {
      properties: ['GroupDescription', 'GroupName', 'VpcId', 'SecurityGroupIngress', 'SecurityGroupEgress', 'Tags'],
      create({ properties, physicalName, tags }) {
        const rules = {
          ingress: inlineRules(properties.SecurityGroupIngress, 'Source'),
          egress: inlineRules(properties.SecurityGroupEgress, 'Destination'),
        };
        const group = ec2.networks.createSecurityGroup(
          properties.VpcId,
          properties.GroupName ?? physicalName(255),
          tags,
        );
        try {
          if (rules.ingress.length > 0) ec2.networks.addRules(group.id, false, rules.ingress);
          if (rules.egress.length > 0) ec2.networks.addRules(group.id, true, rules.egress);
        } catch (error) {
          ec2.networks.deleteSecurityGroup(group.id);
          throw error;
        }
        return { id: group.id, attributes: { GroupId: group.id, VpcId: group.vpcId } };
      },
      delete: (id) => ec2.networks.deleteSecurityGroup(id),
    },
    'AWS::EC2::NetworkInterface': {
      properties: ['SubnetId', 'PrivateIpAddress', 'GroupSet', 'Description', 'Tags'],
      create({ properties, tags }) {
        const eni = ec2.networks.createNetworkInterface({
          subnetId: properties.SubnetId,
          privateIpAddress: properties.PrivateIpAddress,
          groups: properties.GroupSet,
          description: properties.Description,
          tags,
        });
        const id = eni.networkInterfaceId;
        return {
          id,
          attributes: {
            Id: id,
            PrimaryPrivateIpAddress: eni.privateIpAddress,
            VpcId: ec2.networks.subnet(eni.subnetId).vpcId,
          },
        };
      },
      delete: (id) => ec2.networks.deleteNetworkInterface(id),
    },
    'AWS::EC2::Volume': {
      properties: [
        'AvailabilityZone',
        'Size',
        'VolumeType',
        'Encrypted',
        'KmsKeyId',
        'Iops',
        'Throughput',
        'AutoEnableIO',
        'Tags',
      ],
      async create({ properties, tags }) {
        const volume = await ec2.volumes.create({
          sizeGiB: Number(properties.Size),
          availabilityZone: properties.AvailabilityZone,
          type: properties.VolumeType ?? 'gp2',
          encrypted: properties.Encrypted === true || properties.Encrypted === 'true',
          encryptionKey: properties.KmsKeyId,
          tags,
        });
        return { id: volume.volumeId, attributes: { VolumeId: volume.volumeId } };
      },
      delete: (id) => ec2.volumes.delete(id),
    },
    'AWS::EC2::LaunchTemplate': {
      properties: ['LaunchTemplateData', 'LaunchTemplateName', 'TagSpecifications', 'VersionDescription'],
      create({ properties, physicalName }) {
        const template = ec2.launchTemplates.create(
          properties.LaunchTemplateName ?? physicalName(128),
          checkedTemplate(properties.LaunchTemplateData),
        );
        return {
          id: template.id,
          attributes: { LaunchTemplateId: template.id, LatestVersionNumber: '1', DefaultVersionNumber: '1' },
        };
      },
      update({ id, properties, changed }) {
        onlyThese('AWS::EC2::LaunchTemplate', changed, [
          'LaunchTemplateData',
          'TagSpecifications',
          'VersionDescription',
        ]);
        const { version } = ec2.launchTemplates.addVersion(id, checkedTemplate(properties.LaunchTemplateData));
        return {
          id,
          attributes: { LaunchTemplateId: id, LatestVersionNumber: String(version), DefaultVersionNumber: '1' },
        };
      },
      delete: (id) => ec2.launchTemplates.delete(id),
    },
    'AWS::EC2::EIP': {
      properties: ['Domain', 'Tags'],
      create() {
        const AllocationId = context.id('eipalloc');
        // 198.51.100.0/24 is for documentation: RFC 5737.
        const PublicIp = `198.51.100.${1 + Math.floor(context.clock.random() * 254)}`;
        return { id: PublicIp, attributes: { AllocationId, PublicIp } };
      },
    },
    'AWS::EC2::InternetGateway': plain(context, 'igw', ['Tags'], (id) => ({ InternetGatewayId: id })),
    'AWS::EC2::VPCGatewayAttachment': plain(context, 'attachment', ['VpcId', 'InternetGatewayId', 'VpnGatewayId']),
    'AWS::EC2::NatGateway': plain(context, 'nat', ['SubnetId', 'AllocationId', 'ConnectivityType', 'Tags'], (id) => ({
      NatGatewayId: id,
    })),
    'AWS::EC2::RouteTable': plain(context, 'rtb', ['VpcId', 'Tags'], (id) => ({ RouteTableId: id })),
    'AWS::EC2::Route': plain(context, 'route', [
      'RouteTableId',
      'DestinationCidrBlock',
      'DestinationIpv6CidrBlock',
      'GatewayId',
      'NatGatewayId',
      'NetworkInterfaceId',
      'TransitGatewayId',
    ]),
    'AWS::EC2::SubnetRouteTableAssociation': plain(context, 'rtbassoc', ['RouteTableId', 'SubnetId'], (id) => ({
      Id: id,
    })),
    'AWS::EC2::VPCEndpoint': plain(
      context,
      'vpce',
      [
        'VpcId',
        'ServiceName',
        'VpcEndpointType',
        'RouteTableIds',
        'SubnetIds',
        'SecurityGroupIds',
        'PrivateDnsEnabled',
        'Tags',
      ],
      (id) => ({ Id: id }),
    ),
    'AWS::EC2::SecurityGroupIngress': ruleType(context, ec2, 'Source'),
    'AWS::EC2::SecurityGroupEgress': ruleType(context, ec2, 'Destination'),
    'AWS::EC2::FlowLog': plain(
      context,
      'fl',
      [
        'ResourceId',
        'ResourceType',
        'TrafficType',
        'LogDestinationType',
        'LogDestination',
        'LogGroupName',
        'DeliverLogsPermissionArn',
        'MaxAggregationInterval',
        'Tags',
      ],
      (id) => ({ Id: id }),
    ),
  };
}

/** A security group rule as its own resource. */
function ruleType(context: Context, ec2: Ec2, direction: 'Source' | 'Destination'): ResourceType {
  return {
    properties: ['GroupId', ...RULE, ...peers(direction)],
    create({ properties }) {
      const id = context.id('sgr');
      ec2.networks.addRules(
        properties.GroupId,
        direction === 'Destination',
        [permittedByTemplate(properties, direction)],
        id,
      );
      return { id, attributes: { Id: id } };
    },
    delete: (id) => ec2.networks.removeRule(id),
  };
}

function inlineRules(rules: Record<string, any>[] = [], direction: 'Source' | 'Destination'): Permitted[] {
  const known = [...RULE, ...peers(direction)];
  return rules.map((rule) => {
    const unknown = Object.keys(rule).filter((name) => !known.includes(name));
    if (unknown.length > 0)
      throw new Error(
        `The emulation does not know ${unknown.join(', ')} of a rule of a security group. It knows ` +
          `${known.join(', ')}.`,
      );
    return permittedByTemplate(rule, direction);
  });
}

const peers = (direction: 'Source' | 'Destination') => [`${direction}SecurityGroupId`, `${direction}PrefixListId`];

function plain(
  context: Context,
  prefix: string,
  properties: string[],
  attributes?: (id: string) => CreatedResource['attributes'],
): ResourceType {
  return {
    properties,
    create() {
      const id = context.id(prefix);
      return { id, attributes: attributes?.(id) };
    },
  };
}

const TEMPLATE_DATA = [
  'BlockDeviceMappings',
  'EbsOptimized',
  'IamInstanceProfile',
  'ImageId',
  'InstanceMarketOptions',
  'InstanceType',
  'KeyName',
  'MetadataOptions',
  'Monitoring',
  'NetworkInterfaces',
  'SecurityGroupIds',
  'TagSpecifications',
  'UserData',
  'CreditSpecification',
];

/**
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html#instancedata-add-user-data : 16 KB before
 * encoding.
 */
const USER_DATA_BYTES = 16_384;

function checkedTemplate(data: Record<string, any>): Record<string, any> {
  const unknown = Object.keys(data).filter((key) => !TEMPLATE_DATA.includes(key));
  if (unknown.length > 0)
    throw new Error(
      `The emulation does not know ${unknown.join(', ')} of a launch template. It knows ${TEMPLATE_DATA.join(', ')}.`,
    );
  const userData = Buffer.from(data.UserData ?? '', 'base64');
  if (userData.length > USER_DATA_BYTES)
    throw new Error(`User data is limited to ${USER_DATA_BYTES} bytes; this one has ${userData.length}.`);
  return data;
}

/**
 * The permissions that EC2's actions need.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
 */
import type { Context } from '../core/context';
import { given, onKey, requestTag, tagValue, type Input, type Permission, type Permissions } from '../iam/permission';
import type { Ec2 } from './ec2';
import type { Networks } from './networks';
import type { Volumes } from './volumes';

export function ec2Permissions({
  ec2,
  context,
}: {
  ec2: Pick<Ec2, 'instanceTags'> & {
    volumes: Pick<Volumes, 'view'>;
    networks: Pick<Networks, 'securityGroupTags'>;
  };
  context: Pick<Context, 'arn' | 'region'>;
}): Permissions {
  return (action, input) => {
    const onInstance = (id: string): Permission => ({
      action: `ec2:${action}`,
      resource: context.arn('ec2', `instance/${id}`),
      key: (key) => tagValue(ec2.instanceTags(id), key),
    });
    const onVolume = (id: string): Permission => ({
      action: `ec2:${action}`,
      resource: context.arn('ec2', `volume/${id}`),
      key: (key) => tagValue(ec2.volumes.view(id)?.tags, key),
    });
    const onGroup = (id: string): Permission => ({
      action: `ec2:${action}`,
      resource: context.arn('ec2', `security-group/${id}`),
      key: (key) =>
        tagValue(ec2.networks.securityGroupTags(id), key) ??
        tagValue(ec2.networks.securityGroupTags(id), key, 'ec2:resourcetag/'),
    });
    switch (action) {
      case 'DescribeSecurityGroupRules':
      case 'DescribeInstances':
      case 'DescribeSpotInstanceRequests':
      case 'DescribeVolumes':
      case 'DescribeNetworkInterfaces':
        return [{ action: `ec2:${action}`, resource: '*' }];
      case 'AttachVolume':
        return [
          ...given(input.InstanceId).map(onInstance),
          ...given(input.VolumeId).map(onVolume),
          // The grant lets the instance's host decrypt the volume's data key:
          // https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
          ...given(ec2.volumes.view(input.VolumeId)?.encryptionKey).flatMap((key) => [
            onKey('CreateGrant', key, 'ec2', context.region),
            onKey('Decrypt', key, 'ec2', context.region),
          ]),
        ];
      case 'DetachVolume':
        return [
          ...given(input.InstanceId ?? ec2.volumes.view(input.VolumeId)?.attachment?.instanceId).map(onInstance),
          ...given(input.VolumeId).map(onVolume),
        ];
      case 'RevokeSecurityGroupIngress':
        return given(input.GroupId).map(onGroup);
      case 'AuthorizeSecurityGroupIngress':
        return [...given(input.GroupId).map(onGroup), ...taggedRule(action, input, context)];
      case 'TerminateInstances':
        return given(input.InstanceIds).map(onInstance);
      default:
        return undefined;
    }
  };
}

/**
 * Creating rules with tags also needs permission on the new rules, and CreateTags on them.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
 */
function taggedRule(
  action: string,
  { TagSpecifications: specifications }: Input,
  context: Pick<Context, 'arn'>,
): Permission[] {
  if (!specifications?.length) return [];
  const resource = context.arn('ec2', 'security-group-rule/*');
  const request = { Tags: (specifications as Input[]).flatMap(({ Tags = [] }) => Tags) };
  return [
    { action: `ec2:${action}`, resource, key: (key) => requestTag(request, key) },
    {
      action: 'ec2:CreateTags',
      resource,
      key: (key) => (key === 'ec2:createaction' ? [action] : requestTag(request, key)),
    },
  ];
}

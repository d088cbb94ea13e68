import type { VolumeView } from '../../../../rehearsal/aws/ec2/volumes';
import { ec2Permissions } from '../../../../rehearsal/aws/ec2/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = ec2Permissions({
  context,
  ec2: {
    instanceTags: (id) => (id === 'i-1' ? { Team: 'a' } : undefined),
    volumes: {
      view: (id) =>
        id === 'vol-1'
          ? ({ tags: { Team: 'b' }, attachment: { instanceId: 'i-1' } } as unknown as VolumeView)
          : undefined,
    },
    networks: { securityGroupTags: (id) => (id === 'sg-1' ? { Team: 'e' } : undefined) },
  },
});

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
test.each<Needs>([
  ['DescribeVolumes', {}, ['ec2:DescribeVolumes *']],
  ['DescribeSpotInstanceRequests', {}, ['ec2:DescribeSpotInstanceRequests *']],
  [
    'AttachVolume',
    { InstanceId: 'i-1', VolumeId: 'vol-1' },
    ['ec2:AttachVolume arn:aws:ec2:instance/i-1 a', 'ec2:AttachVolume arn:aws:ec2:volume/vol-1 b'],
  ],
  [
    'DetachVolume',
    { VolumeId: 'vol-1' },
    ['ec2:DetachVolume arn:aws:ec2:instance/i-1 a', 'ec2:DetachVolume arn:aws:ec2:volume/vol-1 b'],
  ],
  [
    'TerminateInstances',
    { InstanceIds: ['i-1', 'i-2'] },
    ['ec2:TerminateInstances arn:aws:ec2:instance/i-1 a', 'ec2:TerminateInstances arn:aws:ec2:instance/i-2'],
  ],
  ['DescribeSecurityGroupRules', {}, ['ec2:DescribeSecurityGroupRules *']],
  [
    'RevokeSecurityGroupIngress',
    { GroupId: 'sg-1' },
    ['ec2:RevokeSecurityGroupIngress arn:aws:ec2:security-group/sg-1 e'],
  ],
  [
    'AuthorizeSecurityGroupIngress',
    { GroupId: 'sg-2' },
    ['ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group/sg-2'],
  ],
  [
    'AuthorizeSecurityGroupIngress',
    { GroupId: 'sg-1', TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: [] }] },
    [
      'ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group/sg-1 e',
      'ec2:AuthorizeSecurityGroupIngress arn:aws:ec2:security-group-rule/*',
      'ec2:CreateTags arn:aws:ec2:security-group-rule/*',
    ],
  ],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});

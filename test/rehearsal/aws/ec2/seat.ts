/** One instance with an interface of its template's, beside two volumes. */
import { network, role, template, templateReference, World, type Resources } from '../world';

/** One instance that takes its network interface from the template, and a volume in the same zone. */
export function seat(properties: Record<string, any> = {}): Resources {
  return {
    ...network,
    ...role,
    Eni: {
      Type: 'AWS::EC2::NetworkInterface',
      Properties: { SubnetId: { Ref: 'SubnetA' }, Tags: [{ Key: 'seat', Value: '0' }] },
    },
    Volume: {
      Type: 'AWS::EC2::Volume',
      Properties: { AvailabilityZone: { 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] }, Size: 20, Encrypted: true },
    },
    Elsewhere: {
      Type: 'AWS::EC2::Volume',
      Properties: { AvailabilityZone: { 'Fn::GetAtt': ['SubnetB', 'AvailabilityZone'] }, Size: 1 },
    },
    ...template({ NetworkInterfaces: [{ DeviceIndex: 0, NetworkInterfaceId: { Ref: 'Eni' } }] }),
    Group: {
      Type: 'AWS::AutoScaling::AutoScalingGroup',
      Properties: {
        MinSize: '0',
        MaxSize: '1',
        DesiredCapacity: '1',
        AvailabilityZones: [{ 'Fn::GetAtt': ['SubnetA', 'AvailabilityZone'] }],
        LaunchTemplate: templateReference,
        ...properties,
      },
    },
  };
}

export async function withSeat(options = {}) {
  const world = new World(options);
  await world.create(seat());
  const instanceId = () => world.group().instances[0]!.instanceId;
  const volume = (logicalId = 'Volume') =>
    world.region.volumes().find((candidate) => candidate.volumeId === world.physicalId(logicalId))!;
  const attach = (logicalId = 'Volume', Device = '/dev/sdf') => ({
    VolumeId: world.physicalId(logicalId),
    InstanceId: instanceId(),
    Device,
  });
  return { world, instanceId, volume, attach };
}

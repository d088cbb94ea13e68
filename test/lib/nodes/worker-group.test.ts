/** Worker groups. */
import { Token } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { WorkerProps } from '../../../lib';
import { problems, synthesise, textOf } from '../synthesise';

const withWorkers = (props: WorkerProps) => {
  const synthesised = synthesise({}, (cluster) => cluster.addWorkers('Web', props));
  const of = (type: string) => Object.entries(synthesised.of(type)).find(([id]) => id.includes('Web'))![1];
  return {
    ...synthesised,
    group: of('AWS::AutoScaling::AutoScalingGroup'),
    data: of('AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData,
  };
};
const types = (...names: string[]) => names.map((name) => new ec2.InstanceType(name));

test('workers are in the private subnets, tagged, with hooks, and the group starts at its minimum', () => {
  const { group, cluster, stack } = withWorkers({ minCapacity: 2, maxCapacity: 20 });
  expect(group.Properties).toMatchObject({
    MinSize: '2',
    MaxSize: '20',
    HealthCheckType: 'EC2',
    VPCZoneIdentifier: cluster.network.nodeSubnets.map((subnet) => stack.resolve(subnet.subnetId)),
    Tags: [
      { Key: 'cdk-docker-swarm:cluster', Value: 'Test/Swarm', PropagateAtLaunch: true },
      { Key: 'cdk-docker-swarm:role', Value: 'worker', PropagateAtLaunch: true },
    ],
  });
  expect(group.Properties.DesiredCapacity).toBeUndefined();
  expect(
    group.Properties.LifecycleHookSpecificationList.map(
      ({ LifecycleHookName, DefaultResult, HeartbeatTimeout }: any) => [
        LifecycleHookName,
        DefaultResult,
        HeartbeatTimeout,
      ],
    ),
  ).toEqual([
    ['launch', 'ABANDON', 900],
    ['terminate', 'CONTINUE', 900],
  ]);
});

test('CloudFormation waits until the minimum of workers is in the swarm, and rolls a tenth at a time', () => {
  const { group } = withWorkers({ minCapacity: 2, maxCapacity: 25 });
  expect(group.CreationPolicy).toEqual({ ResourceSignal: { Count: 2, Timeout: 'PT15M' } });
  expect(group.UpdatePolicy.AutoScalingRollingUpdate).toMatchObject({
    MaxBatchSize: 3,
    MinInstancesInService: 2,
    WaitOnResourceSignals: true,
    PauseTime: 'PT30M',
  });
  expect(group.UpdatePolicy.AutoScalingRollingUpdate.SuspendProcesses).not.toContain('Launch');
});

test('a group of a fixed size rolls below its size, because it cannot exceed it', () => {
  expect(withWorkers({ minCapacity: 2 }).group.UpdatePolicy.AutoScalingRollingUpdate).toMatchObject({
    MaxBatchSize: 1,
    MinInstancesInService: 1,
  });
});

test('the creation of a group that may be empty waits for no worker', () => {
  expect(withWorkers({ minCapacity: 0, maxCapacity: 4 }).group.CreationPolicy).toBeUndefined();
});

test('a group that may be empty has a maximum of one worker by default, and rolls below it', () => {
  const { group } = withWorkers({ minCapacity: 0 });
  expect(group.Properties).toMatchObject({ MinSize: '0', MaxSize: '1' });
  expect(group.UpdatePolicy.AutoScalingRollingUpdate).toMatchObject({ MaxBatchSize: 1, MinInstancesInService: 0 });
});

test('a group that could never have a worker is refused, and an invalid minimum is reported once', () => {
  const refused = (props: WorkerProps) => problems({}, (cluster) => cluster.addWorkers('Web', props));
  expect(refused({ minCapacity: 0, maxCapacity: 0 })).toEqual([
    expect.stringContaining('maxCapacity (0) must be at least 1, or the group could never have a worker.'),
  ]);
  expect(refused({ minCapacity: NaN })).toEqual([
    '[Test/Swarm/Web] minCapacity (NaN) must be a whole number of at least 0.',
  ]);
});

test('workers are created and replaced after all managers', () => {
  const { group, of } = withWorkers({});
  const seats = Object.keys(of('AWS::AutoScaling::AutoScalingGroup')).filter((id) => id.includes('Seat'));
  expect(group.DependsOn!.filter((id) => seats.includes(id))).toEqual(seats);
});

test('the launch template has the nodes’ security group, IMDSv2 with one hop, a fitting image, and the labels', () => {
  const { data, cluster } = withWorkers({ instanceTypes: types('m7i.large'), labels: { tier: 'web' } });
  expect(cluster.workers[0]!.architecture).toBe('x86_64');
  expect(data).toMatchObject({
    InstanceType: 'm7i.large',
    ImageId: 'resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64',
    MetadataOptions: { HttpEndpoint: 'enabled', HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
    BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 30, Encrypted: true } }],
  });
  expect(data.NetworkInterfaces).toBeUndefined();
  expect(data.SecurityGroupIds.map(textOf)).toEqual([expect.stringContaining('NodeSecurityGroup')]);
  const script = textOf(data.UserData);
  expect(script).toContain('"role": "worker"');
  expect(script).toContain('"tier": "web"');
  expect(script).not.toContain('"seat"');
  expect(script).not.toContain('ConditionPathIsMountPoint');
});

test('spot instances come from the pools with the best price and capacity', () => {
  const { group } = withWorkers({
    instanceTypes: types('c7g.large', 'm7g.large'),
    spot: { onDemandBase: 1, onDemandPercentage: 20 },
  });
  expect(group.Properties.LaunchTemplate).toBeUndefined();
  expect(group.Properties.MixedInstancesPolicy).toMatchObject({
    LaunchTemplate: { Overrides: [{ InstanceType: 'c7g.large' }, { InstanceType: 'm7g.large' }] },
    InstancesDistribution: {
      OnDemandBaseCapacity: 1,
      OnDemandPercentageAboveBaseCapacity: 20,
      SpotAllocationStrategy: 'price-capacity-optimized',
    },
  });
  expect(group.Properties.CapacityRebalance).toBe(true);
  expect(withWorkers({}).group.Properties.CapacityRebalance).toBeUndefined();
  expect(withWorkers({ spot: {} }).group.Properties.MixedInstancesPolicy.InstancesDistribution).toMatchObject({
    OnDemandBaseCapacity: 0,
    OnDemandPercentageAboveBaseCapacity: 0,
  });
});

test('several types without spot are on-demand instances, the preferred type first', () => {
  expect(
    withWorkers({ instanceTypes: types('c7g.large', 'm7g.large') }).group.Properties.MixedInstancesPolicy
      .InstancesDistribution,
  ).toEqual({
    OnDemandAllocationStrategy: 'prioritized',
    OnDemandPercentageAboveBaseCapacity: 100,
  });
});

test('the group can be scaled with the framework’s own policies', () => {
  const { of } = synthesise({}, (cluster) =>
    cluster
      .addWorkers('Web', { maxCapacity: 9 })
      .autoScalingGroup.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: 60 }),
  );
  expect(Object.values(of('AWS::AutoScaling::ScalingPolicy'))[0]!.Properties.AutoScalingGroupName).toEqual({
    Ref: expect.stringContaining('SwarmWebGroup'),
  });
});

test('capacities that are known only at deployment pass all checks', () => {
  const number = (name: string) => Token.asNumber({ Ref: name });
  expect(
    problems({}, (cluster) =>
      cluster.addWorkers('Web', {
        minCapacity: number('Min'),
        maxCapacity: number('Max'),
        spot: { onDemandBase: number('Base'), onDemandPercentage: number('Share') },
      }),
    ),
  ).toEqual([]);
});

test('problems of a group are reported once, with its path', () => {
  expect(
    problems({}, (cluster) =>
      cluster.addWorkers('Web', { instanceTypes: types('t4g.small', 't3.small'), minCapacity: 3, maxCapacity: 1 }),
    ),
  ).toEqual([
    '[Test/Swarm/Web] Instance type t3.small is x86_64, but t4g.small is arm64: one image cannot run on both. Use ' +
      'types of one architecture, or make two groups.',
    '[Test/Swarm/Web] minCapacity (3) must not exceed maxCapacity (1).',
  ]);
  expect(problems({}, (cluster) => cluster.addWorkers('Web', { instanceTypes: [] }))).toEqual([
    '[Test/Swarm/Web] instanceTypes is empty. Name at least one instance type, or omit it.',
  ]);
});

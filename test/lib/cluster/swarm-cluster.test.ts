/** The whole cluster: its template, the dependencies among its parts, the report of many problems at once. */
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import flags from 'aws-cdk-lib/recommended-feature-flags.json';
import {
  LeaderTokenPublisher,
  ManagerGroup,
  NodeLifecycle,
  SwarmCluster,
  SwarmNetwork,
  TokenTable,
  WorkerGroup,
} from '../../../lib';
import { problems, synthesise, textOf, withoutHashes, type Resource } from '../synthesise';

const reference = (context: Record<string, unknown> = {}) =>
  synthesise({}, (cluster) => cluster.addWorkers('Workers', { minCapacity: 2 }), { context });

test('the template of the reference cluster is as it was', () => {
  expect(withoutHashes(reference().template.toJSON())).toMatchSnapshot();
});

test('logical ids of what holds state never change: CloudFormation would replace addresses and volumes', () => {
  const { of } = synthesise({ managers: { count: 7 } });
  const ids = [
    'AWS::EC2::NetworkInterface',
    'AWS::EC2::Volume',
    'AWS::AutoScaling::AutoScalingGroup',
    'AWS::DynamoDB::Table',
  ].map((type) => [type, Object.keys(of(type))]);
  expect(Object.fromEntries(ids)).toMatchSnapshot();
});

test('more managers change nothing about the existing ones', () => {
  const resources = (count: number) => synthesise({ managers: { count } }).template.toJSON().Resources;
  const [three, five] = [resources(3), resources(5)];
  const changed = Object.keys(three).filter((id) => JSON.stringify(three[id]) !== JSON.stringify(five[id]));
  // Only the environments and roles of node-join and node-leave, which list the seats.
  expect(changed.map((id) => three[id].Type).sort()).toEqual([
    'AWS::IAM::Role',
    'AWS::IAM::Role',
    'AWS::Lambda::Function',
    'AWS::Lambda::Function',
  ]);
});

test('the recommended feature flags change only how resources name the partition, and the form of policies', () => {
  const shape = (resources: Record<string, Resource>) =>
    Object.entries(resources)
      .map(([id, { Type }]) => `${Type} ${id}`)
      .sort();
  const [plain, flagged] = [reference().template.toJSON().Resources, reference(flags).template.toJSON().Resources];
  expect(shape(flagged)).toEqual(shape(plain));
  for (const id of Object.keys(plain).filter((key) =>
    /AutoScaling|Lambda|LaunchTemplate|EC2::Volume|NetworkInterface|DynamoDB|SQS::Queue$/.test(plain[key].Type),
  ))
    expect(flagged[id]).toEqual(plain[id]);
});

test('there is no custom resource, only ordinary ones', () => {
  const types = new Set(
    Object.values(reference().template.toJSON().Resources as Record<string, Resource>).map(({ Type }) => Type),
  );
  expect([...types].sort()).toEqual(
    [
      ...[
        'EIP',
        'InternetGateway',
        'LaunchTemplate',
        'NatGateway',
        'NetworkInterface',
        'Route',
        'RouteTable',
        'SecurityGroup',
        'SecurityGroupEgress',
        'SecurityGroupIngress',
      ],
      ...['Subnet', 'SubnetRouteTableAssociation', 'VPC', 'VPCEndpoint', 'VPCGatewayAttachment', 'Volume'],
    ]
      .map((name) => `AWS::EC2::${name}`)
      .concat([
        'AWS::AutoScaling::AutoScalingGroup',
        'AWS::DynamoDB::Table',
        'AWS::Events::Rule',
        'AWS::IAM::InstanceProfile',
        'AWS::IAM::Policy',
        'AWS::IAM::Role',
      ])
      .concat([
        'AWS::Lambda::EventSourceMapping',
        'AWS::Lambda::Function',
        'AWS::Logs::LogGroup',
        'AWS::SQS::Queue',
        'AWS::SQS::QueuePolicy',
      ])
      .sort(),
  );
});

test('every group is created after all that its nodes and hooks need, and so is deleted before it', () => {
  const resources = reference().template.toJSON().Resources as Record<string, Resource>;
  const needs = (id: string) => {
    const { DependsOn, Properties } = resources[id]!;
    const references = [...JSON.stringify(Properties ?? {}).matchAll(/\{"Ref":"(\w+)"\}|"Fn::GetAtt":\["(\w+)"/g)].map(
      ([, ref, attribute]) => ref ?? attribute!,
    );
    return [...(DependsOn ?? []), ...references].filter((other) => other in resources);
  };
  const closure = (id: string, seen = new Set<string>()): Set<string> => {
    for (const other of needs(id).filter((candidate) => !seen.has(candidate))) closure(other, seen.add(other));
    return seen;
  };
  const ofType = (...types: string[]) => Object.keys(resources).filter((id) => types.includes(resources[id]!.Type));
  const groups = ofType('AWS::AutoScaling::AutoScalingGroup');
  expect(groups).toHaveLength(4);
  const common = [
    ...ofType(
      'AWS::Lambda::Function',
      'AWS::Lambda::EventSourceMapping',
      'AWS::Events::Rule',
      'AWS::Logs::LogGroup',
      'AWS::DynamoDB::Table',
      'AWS::SQS::Queue',
      'AWS::EC2::VPCEndpoint',
    ),
    ...ofType(
      'AWS::SQS::QueuePolicy',
      'AWS::EC2::SecurityGroupIngress',
      'AWS::EC2::NatGateway',
      'AWS::EC2::VPCGatewayAttachment',
      'AWS::EC2::Volume',
      'AWS::EC2::NetworkInterface',
    ).filter((id) => !id.includes('DeadLetters')),
    ...ofType('AWS::EC2::Route', 'AWS::EC2::SubnetRouteTableAssociation').filter((id) => id.includes('Nodes')),
  ];
  for (const group of groups) {
    const needed = closure(group);
    expect(
      [
        ...common,
        Object.keys(resources).find((id) => id.includes(group.includes('Seat') ? 'ManagerPolicy' : 'WorkerPolicy'))!,
      ].filter((id) => !needed.has(id)),
    ).toEqual([]);
    expect(needed).not.toContain(group);
  }
});

test('the output is a command that finds a running manager and opens a shell on it', () => {
  const [output] = Object.values(reference().template.findOutputs('*'));
  expect(textOf(output!.Value)).toBe(
    'aws ssm start-session --region <AWS::Region> --target $(aws ec2 describe-instances --region ' +
      "<AWS::Region> --filters 'Name=tag:cdk-docker-swarm:cluster,Values=Test/Swarm' " +
      "'Name=tag:cdk-docker-swarm:role,Values=manager' 'Name=instance-state-name,Values=running' --query " +
      "'Reservations[0].Instances[0].InstanceId' --output text)",
  );
});

test('all problems are reported together, each once and with its path', () => {
  const props = (stack: Stack) => ({
    vpc: new ec2.Vpc(stack, 'Mine', {
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'P', subnetType: ec2.SubnetType.PUBLIC }],
    }),
    addressPools: ['10.0.0.0/8'],
    managers: {
      count: 4,
      instanceType: new ec2.InstanceType('m5.large'),
      machineImage: ec2.MachineImage.latestAmazonLinux2023({ cpuType: ec2.AmazonLinuxCpuType.ARM_64 }),
      daemon: { hosts: [] },
    },
  });
  const found = problems(props, (cluster) => {
    cluster.addWorkers('Web', { minCapacity: 3, maxCapacity: 1, labels: { 'aws.zone': 'a', 'no good': 'b' } });
    cluster.addWorkers('Batch', { spot: { onDemandPercentage: 200 } });
  });
  expect(found.map((line) => line.replace(/^(\[[^\]]+\] .{0,40}).*$/, '$1'))).toEqual([
    '[Test/Swarm/Network] The VPC Test/Mine has no subnets for nod',
    '[Test/Swarm/Lifecycle] Address pool 10.0.0.0/8 overlaps the VPC',
    '[Test/Swarm/Managers] Instance type m5.large is x86_64, but th',
    "[Test/Swarm/Managers] daemon['hosts'] cannot be set: the agent",
    '[Test/Swarm/Managers] count (4) must be 1, 3, 5 or 7: 4 manage',
    "[Test/Swarm/Web] Label 'aws.zone' begins with 'aws.', whi",
    "[Test/Swarm/Web] Label 'no good' cannot be used in placem",
    '[Test/Swarm/Web] minCapacity (3) must not exceed maxCapac',
    '[Test/Swarm/Batch] spot.onDemandPercentage (200) must be a ',
  ]);
});

test('the parts can be composed without SwarmCluster', () => {
  const stack = new Stack(new App(), 'Composed');
  const tables = new TokenTable(stack, 'Tables');
  const lifecycle = new NodeLifecycle(stack, 'Lifecycle', { network: new SwarmNetwork(stack, 'Network'), tables });
  new LeaderTokenPublisher(stack, 'LeaderToken', { lifecycle });
  const managers = new ManagerGroup(stack, 'Managers', { lifecycle });
  new WorkerGroup(stack, 'Workers', { managers });
  Template.fromStack(stack).resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 4);
  expect(lifecycle.cluster).toBe('Composed/Lifecycle');
});

test('two clusters in one stack have different names', () => {
  const stack = new Stack(new App(), 'Two');
  const clusters = ['Blue', 'Green'].map((id) => new SwarmCluster(stack, id, { managers: { count: 1 } }));
  expect(clusters.map(({ lifecycle }) => lifecycle.cluster)).toEqual(['Two/Blue', 'Two/Green']);
  Template.fromStack(stack).resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 2);
});

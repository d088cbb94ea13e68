import { dependencies, creationOrder, renderCreationOrder } from '../../../rehearsal/assembly/creation-order';
import type { Resource, Template } from '../../../rehearsal/assembly/synth';

const group = (
  over: Partial<Resource>,
  tags: Record<string, string>,
  properties: Record<string, unknown> = {},
): Resource => ({
  Type: 'AWS::AutoScaling::AutoScalingGroup',
  Properties: { MinSize: '1', Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })), ...properties },
  ...over,
});
const manager = (seat: string) => ({ 'cdk-docker-swarm:role': 'manager', 'cdk-docker-swarm:seat': seat });
const template: Template = {
  Resources: {
    Workers: group({ DependsOn: ['Seat0'] }, { 'cdk-docker-swarm:role': 'worker' }, { MinSize: '2' }),
    Seat2: group({ DependsOn: 'Seat1' }, manager('2')),
    Seat1: group({ DependsOn: ['Seat0'] }, manager('1')),
    Seat0: group({ CreationPolicy: { ResourceSignal: { Count: 1, Timeout: 'PT15M' } } }, manager('0'), {
      LaunchTemplate: { Id: { Ref: 'Template' } },
      LifecycleHookSpecificationList: [
        { LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING', HeartbeatTimeout: 900 },
      ],
    }),
    Template: {
      Type: 'AWS::EC2::LaunchTemplate',
      Properties: {
        Data: { 'Fn::Sub': '${Queue.Arn} ${!Literal} ${AWS::Region}' },
        Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
      },
    },
    Queue: { Type: 'AWS::SQS::Queue' },
    Role: { Type: 'AWS::IAM::Role' },
  },
};

test('a resource depends on what it names in every way that templates have', () => {
  expect([...dependencies(template.Resources.Template!, template)].sort()).toEqual(['Queue', 'Role']);
  expect([...dependencies(template.Resources.Seat2!, template)]).toEqual(['Seat1']);
});

test('the plan tells which seat waits for which, in order', () => {
  expect(renderCreationOrder(template)).toEqual([
    '1. seat 0 (manager, 1 instance): after 3 other resources',
    '   waits for 1 success signal(s), at most PT15M; launch hook of 900 s, then ABANDON',
    '2. seat 1 (manager, 1 instance): after 3 other resources, seat 0',
    '   waits for no signal',
    '3. Workers (worker, 2 instances): after 3 other resources, seat 0',
    '   waits for no signal',
    '4. seat 2 (manager, 1 instance): after 3 other resources, seat 1',
    '   waits for no signal',
  ]);
});

test('resources that wait for each other are named', () => {
  const circle: Template = {
    Resources: { A: group({ DependsOn: 'B' }, {}), B: { Type: 'AWS::SQS::Queue', DependsOn: ['A'] } },
  };
  expect(() => creationOrder(circle)).toThrow('A -> B -> A');
});

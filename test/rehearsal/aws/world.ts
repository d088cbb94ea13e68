/**
 * A small emulated region for tests: virtual time, machines and functions that only remember what was done to them, and
 * templates written inline.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmulatedRegion } from '../../../rehearsal/aws/region';
import type {
  AwsEvent,
  Delays,
  FunctionRunner,
  FunctionSpec,
  HealthCheck,
  Machines,
  MachineSpec,
} from '../../../rehearsal/aws/core/types';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';

export const NO_DELAYS: Delays = {
  launch: 0,
  terminate: 0,
  attachVolume: 0,
  detachVolume: 0,
  queue: 0,
  stream: 0,
  registerTarget: 0,
  deregisterTarget: 0,
};
export const MINUTE = 60_000;
export const HOUR = 3_600_000;

export class FakeMachines implements Machines {
  readonly log: string[] = [];
  readonly specs = new Map<string, MachineSpec>();
  /** Called before a machine starts: may wait, or refuse by throwing. */
  beforeLaunch: (spec: MachineSpec) => Promise<void> = async () => undefined;
  /** What instances answer to load balancers: may wait, or throw. */
  onCheck: (instanceId: string, check: HealthCheck) => Promise<boolean> = async () => true;

  async launch(spec: MachineSpec) {
    await this.beforeLaunch(spec);
    this.specs.set(spec.instanceId, spec);
    this.log.push(`launch ${spec.instanceId}`);
  }
  async terminate(instanceId: string) {
    this.log.push(`terminate ${instanceId}`);
  }
  async createVolume(volumeId: string, sizeGiB: number) {
    this.log.push(`create ${volumeId} ${sizeGiB}`);
  }
  async attachVolume(instanceId: string, volumeId: string, device: string) {
    this.log.push(`attach ${volumeId} ${instanceId} ${device}`);
  }
  async detachVolume(instanceId: string, volumeId: string) {
    this.log.push(`detach ${volumeId} ${instanceId}`);
  }
  async deleteVolume(volumeId: string) {
    this.log.push(`delete ${volumeId}`);
  }
  answers(instanceId: string, check: HealthCheck) {
    return this.onCheck(instanceId, check);
  }
}

export class FakeFunctions implements FunctionRunner {
  readonly invocations: { fn: FunctionSpec; event: any; at: number }[] = [];
  /** By logical id. */
  readonly handlers: Record<string, (event: any, fn: FunctionSpec) => Promise<unknown>> = {};
  /** For functions without a handler. */
  otherwise: (event: any, fn: FunctionSpec) => Promise<unknown> = async () => undefined;

  constructor(private readonly clock: VirtualClock) {}

  async invoke(fn: FunctionSpec, event: unknown): Promise<unknown> {
    this.invocations.push({ fn, event, at: this.clock.now() });
    return (this.handlers[fn.logicalId] ?? this.otherwise)(event, fn);
  }

  of(logicalId: string) {
    return this.invocations.filter((invocation) => invocation.fn.logicalId === logicalId);
  }
}

export type Resources = Record<string, Record<string, any>>;

const worlds: World[] = [];

export class World {
  readonly clock: VirtualClock;
  readonly machines = new FakeMachines();
  readonly functions: FakeFunctions;
  readonly region: EmulatedRegion;
  readonly events: AwsEvent[] = [];
  /** Set by a test that makes the emulation itself fail, which would fail every other test. */
  faulty = false;
  /** Set by a test in which something is to be denied, which would fail every other test. */
  denying = false;
  private readonly folder = mkdtempSync(join(tmpdir(), 'emulated-region-'));

  constructor(options: { delays?: Partial<Delays>; seed?: number } = {}) {
    this.clock = new VirtualClock(options.seed);
    this.functions = new FakeFunctions(this.clock);
    this.region = new EmulatedRegion({
      clock: this.clock,
      machines: this.machines,
      functions: this.functions,
      delays: { ...NO_DELAYS, ...options.delays },
    });
    this.region.onEvent((event) => this.events.push(event));
    worlds.push(this);
  }

  /**
   * Writes a cloud assembly around a template. Code assets `code.zip` and file assets `file.txt` are in the bucket
   * `assets`.
   */
  assembly(template: Record<string, any>, stackName = 'Stack'): string {
    const write = (name: string, content: unknown) =>
      writeFileSync(join(this.folder, name), typeof content === 'string' ? content : JSON.stringify(content));
    mkdirSync(join(this.folder, 'code'), { recursive: true });
    write('code/index.js', 'exports.handler = async () => undefined;');
    write('file.txt', 'contents');
    write(`${stackName}.template.json`, template);
    const destination = (objectKey: string) => ({ here: { bucketName: 'assets-${AWS::AccountId}', objectKey } });
    write(`${stackName}.assets.json`, {
      files: {
        code: { source: { path: 'code', packaging: 'zip' }, destinations: destination('code.zip') },
        file: { source: { path: 'file.txt', packaging: 'file' }, destinations: destination('file.txt') },
      },
    });
    write('manifest.json', {
      artifacts: {
        [`${stackName}.assets`]: { type: 'cdk:asset-manifest', properties: { file: `${stackName}.assets.json` } },
        [stackName]: {
          type: 'aws:cloudformation:stack',
          properties: { templateFile: `${stackName}.template.json` },
          dependencies: [`${stackName}.assets`],
        },
      },
    });
    return this.folder;
  }

  /** Starts a creation without letting time pass. */
  begin(resources: Resources, rest: Record<string, any> = {}): Promise<Record<string, string>> {
    const creation = this.region.createStack(this.assembly({ Resources: resources, ...rest }), 'Stack');
    creation.catch(() => undefined);
    return creation;
  }

  create(resources: Resources, rest: Record<string, any> = {}, limit = HOUR): Promise<Record<string, string>> {
    return this.clock.finish(this.begin(resources, rest), limit);
  }

  /** Deploys another template of the same stack. */
  update(resources: Resources, rest: Record<string, any> = {}, limit = HOUR): Promise<Record<string, string>> {
    const change = this.region.updateStack(this.assembly({ Resources: resources, ...rest }), 'Stack');
    change.catch(() => undefined);
    return this.clock.finish(change, limit);
  }

  delete(limit = HOUR): Promise<void> {
    const deletion = this.region.deleteStack('Stack');
    deletion.catch(() => undefined);
    return this.clock.finish(deletion, limit);
  }

  call(service: string, action: string, input: Record<string, any> = {}): Promise<any> {
    return this.region.call({ service, action, input, accessKeyId: this.region.operator.accessKeyId });
  }

  /** What the service refused the call with: `<code>: <message>`. */
  async refusal(service: string, action: string, input: Record<string, any>): Promise<string> {
    return this.call(service, action, input).then(
      () => 'no refusal',
      (error) => `${error.code}: ${error.message}`,
    );
  }

  physicalId(logicalId: string): string {
    return this.region.stackResources('Stack').find((resource) => resource.logicalId === logicalId)!.physicalId!;
  }

  group(logicalId = 'Group') {
    return this.region.groups().find((group) => group.logicalId === logicalId)!;
  }

  what(source: AwsEvent['source']): string[] {
    return this.events.filter((event) => event.source === source).map((event) => event.what);
  }

  /** What IAM denied: `<role or service> <action>`. */
  denials(): string[] {
    return this.events
      .filter(({ source, what }) => source === 'iam' && what === 'denied')
      .map(({ detail }) => `${detail.principal} ${detail.action}`);
  }

  async close(): Promise<void> {
    const stopped = this.region.stop();
    stopped.catch(() => undefined);
    await this.clock.finish(this.faulty ? stopped.catch(() => undefined) : stopped, HOUR);
    rmSync(this.folder, { recursive: true, force: true });
    if (!this.denying && this.denials().length > 0)
      throw new Error(
        `IAM denied what this test needs: ${[...new Set(this.denials())].join(', ')}. Grant it in the ` +
          `test's template, or set world.denying.`,
      );
  }
}

export async function closeWorlds(): Promise<void> {
  for (const world of worlds.splice(0)) await world.close();
}

/** A network with one subnet in each of two zones. */
export const network: Resources = {
  Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.0.0.0/16' } },
  SubnetA: {
    Type: 'AWS::EC2::Subnet',
    Properties: {
      VpcId: { Ref: 'Vpc' },
      CidrBlock: '10.0.0.0/24',
      AvailabilityZone: { 'Fn::Select': [0, { 'Fn::GetAZs': '' }] },
    },
  },
  SubnetB: {
    Type: 'AWS::EC2::Subnet',
    Properties: {
      VpcId: { Ref: 'Vpc' },
      CidrBlock: '10.0.1.0/24',
      AvailabilityZone: { 'Fn::Select': [1, { 'Fn::GetAZs': '' }] },
    },
  },
};

/** The trust policy of a role for services, e.g. `lambda`. */
export function trust(...services: string[]): Record<string, any> {
  return {
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: services.map((service) => `${service}.amazonaws.com`) },
        Action: 'sts:AssumeRole',
      },
    ],
  };
}

/** A policy of the current version, whose statements allow unless they say otherwise. */
export function policy(...statements: Record<string, any>[]): Record<string, any> {
  return {
    Version: '2012-10-17',
    Statement: statements.map((statement) => ({ Effect: 'Allow', Resource: '*', ...statement })),
  };
}

/** What the functions of the tests do: read their queue and stream, write their lines, answer hooks and signal. */
const FUNCTION_ACTIONS = [
  'sqs:ReceiveMessage',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'sqs:SendMessage',
  'dynamodb:DescribeStream',
  'dynamodb:GetRecords',
  'dynamodb:GetShardIterator',
  'dynamodb:ListStreams',
  'logs:CreateLogStream',
  'logs:PutLogEvents',
  'autoscaling:CompleteLifecycleAction',
  'cloudformation:SignalResource',
];

/** A role for functions and instances. */
export const role: Resources = {
  Role: {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: trust('ec2', 'lambda'),
      Policies: [{ PolicyName: 'function', PolicyDocument: policy({ Action: FUNCTION_ACTIONS }) }],
    },
  },
  Profile: { Type: 'AWS::IAM::InstanceProfile', Properties: { Roles: [{ Ref: 'Role' }] } },
};

export function template(data: Record<string, any> = {}): Resources {
  return {
    Template: {
      Type: 'AWS::EC2::LaunchTemplate',
      Properties: {
        LaunchTemplateData: {
          ImageId: 'resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64',
          InstanceType: 't4g.small',
          IamInstanceProfile: { Arn: { 'Fn::GetAtt': ['Profile', 'Arn'] } },
          UserData: { 'Fn::Base64': { 'Fn::Sub': 'region=${AWS::Region}' } },
          ...data,
        },
      },
    },
  };
}

export const templateReference = {
  LaunchTemplateId: { Ref: 'Template' },
  Version: { 'Fn::GetAtt': ['Template', 'LatestVersionNumber'] },
};

/** A group over both subnets, with what it stands on. */
export function group(properties: Record<string, any> = {}, rest: Record<string, any> = {}): Resources {
  return {
    ...network,
    ...role,
    ...template(),
    Group: {
      Type: 'AWS::AutoScaling::AutoScalingGroup',
      Properties: {
        MinSize: '0',
        MaxSize: '10',
        DesiredCapacity: '1',
        VPCZoneIdentifier: [{ Ref: 'SubnetA' }, { Ref: 'SubnetB' }],
        LaunchTemplate: templateReference,
        ...properties,
      },
      ...rest,
    },
  };
}

/** A queue, the role under which hooks send to it, and the policy by which rules do. */
export const queue: Resources = {
  Queue: { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeout: 60 } },
  QueuePolicy: {
    Type: 'AWS::SQS::QueuePolicy',
    Properties: {
      Queues: [{ Ref: 'Queue' }],
      PolicyDocument: policy({
        Principal: { Service: 'events.amazonaws.com' },
        Action: 'sqs:SendMessage',
        Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] },
      }),
    },
  },
  HookRole: {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: trust('autoscaling'),
      Policies: [
        {
          PolicyName: 'hooks',
          PolicyDocument: policy({ Action: 'sqs:SendMessage', Resource: { 'Fn::GetAtt': ['Queue', 'Arn'] } }),
        },
      ],
    },
  },
};

export function hook(name: string, transition: 'LAUNCHING' | 'TERMINATING', options: Record<string, any> = {}) {
  return {
    LifecycleHookName: name,
    LifecycleTransition: `autoscaling:EC2_INSTANCE_${transition}`,
    NotificationTargetARN: { 'Fn::GetAtt': ['Queue', 'Arn'] },
    RoleARN: { 'Fn::GetAtt': ['HookRole', 'Arn'] },
    HeartbeatTimeout: 300,
    ...options,
  };
}

export function lambdaFunction(properties: Record<string, any> = {}): Record<string, any> {
  return {
    Type: 'AWS::Lambda::Function',
    Properties: {
      Code: { S3Bucket: { 'Fn::Sub': 'assets-${AWS::AccountId}' }, S3Key: 'code.zip' },
      Handler: 'index.handler',
      Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
      Runtime: 'nodejs22.x',
      Timeout: 10,
      ...properties,
    },
  };
}

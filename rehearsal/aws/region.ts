/**
 * One emulated AWS region with one account: the services over one clock, the stacks in it, and the ground truth for
 * tests and invariants. It has no network of its own: whoever serves the wire protocols calls {@link
 * EmulatedRegion.call}.
 */
import type { Clock } from '../../protocol/clock';
import { AutoScaling, type GroupView } from './autoscaling/autoscaling';
import { readAssembly } from './cloudformation/assembly';
import { CloudFormation, type StackResourceView } from './cloudformation/engine';
import type { ResourceTypes, Services } from './cloudformation/resource';
import type { Template } from './cloudformation/template';
import { CUSTOM_TYPE, CustomResources } from './cloudformation/custom-resources';
import { autoScalingTypes } from './autoscaling/resources';
import { dataTypes } from './cloudformation/resources/data';
import { ec2Types } from './ec2/resources';
import { iamTypes } from './iam/resources';
import { kmsTypes } from './kms/resources';
import { lambdaTypes } from './lambda/resources';
import { loadBalancingTypes } from './elb/resources';
import { messagingTypes } from './cloudformation/resources/messaging';
import { Context } from './core/context';
import { DynamoDb } from './dynamodb/dynamodb';
import type { Item } from './dynamodb/values';
import { Ec2, type InstanceView, type NetworkInterfaceView, type VolumeView } from './ec2/ec2';
import { LoadBalancers } from './elb/elb';
import type { LoadBalancerView } from './elb/model';
import type { SecurityGroupRuleView } from './ec2/rules';
import { Events } from './events/events';
import { Iam, type Role } from './iam/iam';
import { Authorization, type Transport } from './iam/authorization';
import type { Inventory } from './iam/permissions';
import type { StatementView } from './iam/statements';
import { Lambda, type LambdaFunction } from './lambda/lambda';
import { Logs } from './logs/logs';
import { S3 } from './s3/s3';
import { Sqs, type Queue } from './sqs/sqs';
import { Ssm } from './ssm/ssm';
import type { AwsEvent, Credentials, Delays, FunctionRunner, Machines, Service } from './core/types';

export interface EmulatedRegionOptions {
  clock: Clock;
  /** Gives instances and volumes a body. */
  machines: Machines;
  /** Runs the functions' code. */
  functions: FunctionRunner;
  delays: Delays;
  /** @default us-east-1 */
  region?: string;
  /** @default 123456789012 */
  accountId?: string;
}

export class EmulatedRegion {
  readonly region: string;
  readonly accountId: string;
  /** Whoever deploys: an administrator of the account, for calls that come from no node and no function. */
  readonly operator: Credentials;
  /** CloudWatch Logs as tests read them. */
  readonly logs: Logs;

  private readonly context: Context;
  private readonly services: Services;
  private readonly cloudformation: CloudFormation;
  private readonly customResources: CustomResources;
  private readonly endpoints: Record<string, Service>;
  private readonly inventory: Inventory;

  constructor(options: EmulatedRegionOptions) {
    this.region = options.region ?? 'us-east-1';
    this.accountId = options.accountId ?? '123456789012';
    const context = new Context(options.clock, this.region, this.accountId, options.delays);
    const iam = new Iam(context);
    const authorization = new Authorization(context, iam);
    const ssm = new Ssm();
    const sqs = new Sqs(context);
    const events = new Events(context, sqs, authorization);
    const ec2 = new Ec2(context, options.machines, iam, authorization, ssm);
    const autoscaling = new AutoScaling(context, ec2, sqs, events, iam, authorization);
    const elb = new LoadBalancers(context, ec2, options.machines);
    const lambda = new Lambda(context, iam, authorization, sqs, options.functions);
    const dynamodb = new DynamoDb(options.clock);
    const logs = new Logs(context);
    const s3 = new S3();
    dynamodb.onStreamRecord((tableName, record) => lambda.publish(tableName, { ...record }));
    announceInstances(ec2, events, context);

    this.context = context;
    this.services = {
      context,
      authorization,
      autoscaling,
      dynamodb,
      ec2,
      elb,
      events,
      iam,
      lambda,
      logs,
      s3,
      sqs,
      ssm,
    };
    this.customResources = new CustomResources(this.services);
    this.cloudformation = new CloudFormation(
      context,
      { ...resourceTypes(this.services), [CUSTOM_TYPE]: this.customResources.type },
      ssm,
    );
    this.endpoints = {
      autoscaling,
      cloudformation: this.cloudformation,
      dynamodb,
      ec2,
      elasticloadbalancing: elb,
      events,
      logs,
      s3,
      sqs,
      sts: iam,
    };
    this.inventory = inventoryOf(this.services, this.cloudformation);
    this.operator = iam.operator;
    this.logs = logs;
  }

  /**
   * Where the emulation is reached, e.g. `http://127.0.0.1:4566`. Queue URLs begin with it, because clients of the SDK
   * send to the origin of the queue's URL. To be set before a stack is created. Functions answer for custom resources
   * there, too.
   * @default the addresses that AWS has
   */
  set endpoint(origin: string) {
    this.services.sqs.origin = origin;
    this.customResources.origin = origin;
  }

  /**
   * Deploys a stack of a synthesised cloud assembly: publishes its assets, creates its resources.
   * @param assemblyFolder `cdk.out`
   * @returns the outputs, when the stack is CREATE_COMPLETE
   * @throws Error naming every resource that failed and why, after the rollback
   */
  async createStack(assemblyFolder: string, stackName: string): Promise<Record<string, string>> {
    return this.context.orFault(this.cloudformation.createStack(stackName, this.publish(assemblyFolder, stackName)));
  }

  /**
   * Deploys a stack that is there already: changes what differs, a group's instances by its update policy, then deletes
   * what the new template has no more.
   * @throws Error naming every resource that failed and why, after everything was changed back
   */
  async updateStack(assemblyFolder: string, stackName: string): Promise<Record<string, string>> {
    return this.context.orFault(this.cloudformation.updateStack(stackName, this.publish(assemblyFolder, stackName)));
  }

  private publish(assemblyFolder: string, stackName: string): Template {
    const assembly = readAssembly(assemblyFolder, stackName, this.region, this.accountId);
    for (const asset of assembly.assets) this.services.s3.publish(asset.bucket, asset.key, asset);
    return assembly.template;
  }

  /**
   * Deletes every resource in reverse order of creation; those with a Retain policy stay.
   * @throws Error naming every resource that could not be deleted and why
   */
  async deleteStack(stackName: string): Promise<void> {
    return this.context.orFault(this.cloudformation.deleteStack(stackName));
  }

  /**
   * One request, as its service would answer it, if the caller's policies allow it.
   * @throws AwsError as the service would
   */
  async call(request: {
    service: string;
    action: string;
    input: Record<string, any>;
    accessKeyId: string;
    transport?: Transport;
  }): Promise<Record<string, any>> {
    const service = this.endpoints[request.service];
    if (!service)
      throw new Error(
        `The emulation does not know the service '${request.service}'. It knows ` +
          `${Object.keys(this.endpoints).join(', ')}.`,
      );
    const principal = this.services.iam.resolve(request.accessKeyId);
    this.services.authorization.require(
      principal,
      request.service,
      request.action,
      request.input,
      this.inventory,
      request.transport ?? 'tls',
    );
    return service.call(request.action, request.input, principal);
  }

  /** What a function puts at the address that it was given for its answer about a custom resource. */
  put(url: string, body: string): void {
    this.customResources.answer(url, body);
  }

  /** @returns ends the listening */
  onEvent(listener: (event: AwsEvent) => void): () => void {
    return this.context.onEvent(listener);
  }

  /** The instance that has this private address now. */
  instanceByAddress(ip: string): InstanceView | undefined {
    return this.services.ec2.byAddress(ip);
  }

  /** Of the instance's role, as IMDS hands them out. */
  credentialsFor(instanceId: string): Credentials | undefined {
    return this.services.ec2.credentialsFor(instanceId);
  }

  instances(): InstanceView[] {
    return this.services.ec2.instances();
  }

  groups(): GroupView[] {
    return this.services.autoscaling.groupViews();
  }

  volumes(): VolumeView[] {
    return this.services.ec2.volumeViews();
  }

  networkInterfaces(): NetworkInterfaceView[] {
    return this.services.ec2.networkInterfaceViews();
  }

  /** In the order in which they were made. */
  securityGroupRules(): SecurityGroupRuleView[] {
    return this.services.ec2.securityGroupRules();
  }

  /** With their listeners and targets, and whom new connections go to. */
  loadBalancers(): LoadBalancerView[] {
    return this.services.elb.views();
  }

  functions(): LambdaFunction[] {
    return this.services.lambda.allFunctions();
  }

  roles(): Role[] {
    return this.services.iam.allRoles();
  }

  /**
   * Every statement of the policies that are, or were, in the stacks, and whether it ever allowed something (or, as a
   * Deny, denied it).
   */
  statements(): StatementView[] {
    return this.services.authorization.statements();
  }

  queues(): Queue[] {
    return this.services.sqs.all();
  }

  stackNames(): string[] {
    return this.cloudformation.names();
  }

  stackResources(stackName: string): StackResourceView[] {
    return this.cloudformation.resources(stackName);
  }

  /** Every item of every table. */
  tableItems(): { table: string; item: Item }[] {
    const { dynamodb } = this.services;
    return dynamodb.tableNames().flatMap((table) => dynamodb.items(table).map((item) => ({ table, item })));
  }

  /**
   * Names of what exists beyond terminated instances: empty once every stack is deleted and nothing was to be retained.
   */
  remains(): string[] {
    const { autoscaling, ec2, elb, events, iam, lambda, logs, sqs } = this.services;
    return [
      ...ec2.remains(),
      ...autoscaling.groupViews().map((group) => group.name),
      ...elb.remains(),
      ...events.allRules().map((rule) => rule.name),
      ...iam.allRoles().map((role) => role.name),
      ...lambda.allFunctions().map((fn) => fn.name),
      ...logs.groupNames(),
      ...sqs.all().map((queue) => queue.name),
    ];
  }

  /** Runs a function of the template once, as an operator would. @throws what the function threw */
  async invoke(logicalId: string, event: unknown): Promise<unknown> {
    const fn = this.functions().find((candidate) => candidate.logicalId === logicalId);
    if (!fn)
      throw new Error(
        `No function has the logical id '${logicalId}'. There are ${
          this.functions()
            .map((candidate) => candidate.logicalId)
            .join(', ') || 'none'
        }.`,
      );
    return this.services.lambda.invoke(fn.arn, event);
  }

  /** A fault: the machine is lost at once, and EC2 says so. Its group finds out by its health check. */
  async killInstance(instanceId: string): Promise<void> {
    await this.services.ec2.kill(instanceId);
  }

  /** A fault: a volume that is attached to nobody is gone, with all that was on it. */
  async loseVolume(volumeId: string): Promise<void> {
    await this.services.ec2.deleteVolume(volumeId);
  }

  hasSpotNotice(instanceId: string): boolean {
    return this.services.ec2.hasSpotNotice(instanceId);
  }

  targetLifecycleState(instanceId: string): 'InService' | 'Terminated' | undefined {
    return this.services.autoscaling.targetLifecycleState(instanceId);
  }

  /** A fault: the spot instance gets its notice, and is taken back two minutes later. */
  interruptSpot(instanceId: string): void {
    this.services.ec2.interruptSpot(instanceId);
  }

  /** A fault: EC2 says that a spot instance is at an elevated risk of being taken back. */
  recommendRebalance(instanceId: string): void {
    this.services.ec2.recommendRebalance(instanceId);
  }

  /** Milliseconds slept because of `delays` so far, over everything that slept at once. */
  delayed(): number {
    return this.context.delayed();
  }

  /**
   * Ends schedules, retries and waits, and lets running functions end.
   * @throws Error when something in the emulation itself had failed
   */
  async stop(): Promise<void> {
    await this.context.stop();
  }
}

/** What permissions are checked on. */
function inventoryOf(
  { context, dynamodb, ec2, elb, autoscaling }: Services,
  cloudformation: CloudFormation,
): Inventory {
  return {
    arn: (service, resource) => context.arn(service, resource),
    region: context.region,
    keyOfTable: (tableName) => dynamodb.encryptionKey(tableName),
    keyOfVolume: (volumeId) => ec2.volumeView(volumeId)?.encryptionKey,
    partitionKey: (tableName) => dynamodb.partitionKey(tableName),
    queriedPartition: (input) => dynamodb.queriedPartition(input),
    instanceTags: (instanceId) => ec2.instanceTags(instanceId),
    volume: (volumeId) => {
      const volume = ec2.volumeView(volumeId);
      return volume && { tags: volume.tags, instanceId: volume.attachment?.instanceId };
    },
    securityGroupTags: (groupId) => ec2.securityGroupTags(groupId),
    group: (name) => autoscaling.taggedGroup(name),
    groupOfInstance: (instanceId) => autoscaling.taggedGroupOf(instanceId),
    loadBalancingTags: (arn) => elb.tagsOf(arn),
    stackArn: (nameOrId) => cloudformation.stackArn(nameOrId),
  };
}

function resourceTypes(services: Services): ResourceTypes {
  return {
    ...autoScalingTypes(services),
    ...dataTypes(services),
    ...ec2Types(services),
    ...iamTypes(services),
    ...kmsTypes(services),
    ...lambdaTypes(services),
    ...loadBalancingTypes(services),
    ...messagingTypes(services),
  };
}

/**
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html, and
 * spot-instance-termination-notices.html and rebalance-recommendations.html there
 */
function announceInstances(ec2: Ec2, events: Events, context: Context): void {
  const resources = (instance: InstanceView) => [context.arn('ec2', `instance/${instance.instanceId}`)];
  ec2.onState((instance) =>
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Instance State-change Notification',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId, state: instance.state },
    }),
  );
  ec2.onSpotNotice((instance) => {
    context.emit('ec2', 'spot-notice', instance.instanceId);
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Spot Instance Interruption Warning',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId, 'instance-action': 'terminate' },
    });
  });
  ec2.onRebalanceRecommendation((instance) =>
    events.put({
      source: 'aws.ec2',
      detailType: 'EC2 Instance Rebalance Recommendation',
      resources: resources(instance),
      detail: { 'instance-id': instance.instanceId },
    }),
  );
}

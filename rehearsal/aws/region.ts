/**
 * One emulated AWS region with one account: the services over one clock, the stacks in it, and the ground truth for
 * tests and invariants. It opens no sockets: wire/http.ts serves its API over HTTP, by {@link EmulatedRegion.call}.
 */
import type { Clock } from '../../protocol/clock';
import type { GroupView } from './autoscaling/model';
import { readAssembly } from './cloudformation/assembly';
import type { StackResourceView } from './cloudformation/engine';
import type { Template } from './cloudformation/template';
import { Context } from './core/context';
import type { AwsEvent, Credentials, Delays, FunctionRunner, Machines, Service } from './core/types';
import type { Item } from './dynamodb/values';
import type { InstanceView } from './ec2/instance';
import type { NetworkInterfaceView } from './ec2/networks';
import type { SecurityGroupRuleView } from './ec2/rules';
import type { VolumeView } from './ec2/volumes';
import type { LoadBalancerView } from './elb/model';
import type { Denial, Transport } from './iam/authorization';
import type { Role } from './iam/iam';
import type { Permissions } from './iam/permission';
import type { StatementView } from './iam/statements';
import type { LambdaFunction } from './lambda/lambda';
import type { Logs } from './logs/logs';
import { createServices, SERVICES, type Services } from './services';
import type { Queue } from './sqs/sqs';

export interface EmulatedRegionOptions {
  clock: Clock;
  /** Runs instances and volumes. */
  machines: Machines;
  /** Runs the functions' code. */
  functions: FunctionRunner;
  delays: Delays;
  /** @default us-east-1 */
  region?: string;
  /** @default 123456789012 */
  accountId?: string;
}

/** A service's API. */
interface Endpoint {
  service: Service;
  permissions: Permissions;
  denial: Denial | undefined;
}

export class EmulatedRegion {
  readonly region: string;
  readonly accountId: string;
  /** The administrator who deploys: for calls that come from neither a node nor a function. */
  readonly operator: Credentials;
  /** CloudWatch Logs, for tests. */
  readonly logs: Logs;

  private readonly context: Context;
  private readonly services: Services;
  /** By the name in the credential scope of a request. */
  private readonly endpoints = new Map<string, Endpoint>();

  constructor(options: EmulatedRegionOptions) {
    this.region = options.region ?? 'us-east-1';
    this.accountId = options.accountId ?? '123456789012';
    this.context = new Context(options.clock, this.region, this.accountId, options.delays);
    this.services = createServices(this.context, options.machines, options.functions);
    for (const { name, api } of SERVICES)
      if (api)
        this.endpoints.set(name, {
          service: api.service(this.services),
          permissions: api.permissions(this.services),
          denial: api.denial,
        });
    this.operator = this.services.iam.operator;
    this.logs = this.services.logs;
  }

  /**
   * The origin at which the emulation is served, e.g. `http://127.0.0.1:4566`. Queue URLs start with it, because SDK
   * clients send to the origin of a queue's URL, and functions send their answers for custom resources there. Set it
   * before a stack is created.
   * @default AWS's own addresses
   */
  set endpoint(origin: string) {
    this.services.sqs.origin = origin;
    this.services.customResources.origin = origin;
  }

  /**
   * Deploys a stack of a synthesised cloud assembly: publishes its assets, creates its resources.
   * @param assemblyFolder `cdk.out`
   * @returns the outputs, when the stack is CREATE_COMPLETE
   * @throws Error naming every resource that failed and why, after the rollback
   */
  async createStack(assemblyFolder: string, stackName: string): Promise<Record<string, string>> {
    return this.context.orFault(
      this.services.cloudformation.createStack(stackName, this.publish(assemblyFolder, stackName)),
    );
  }

  /**
   * Updates a stack: changes the resources that differ (a group's instances by its update policy), then deletes those
   * that the new template does not have.
   * @throws Error naming every resource that failed and why, after the rollback
   */
  async updateStack(assemblyFolder: string, stackName: string): Promise<Record<string, string>> {
    return this.context.orFault(
      this.services.cloudformation.updateStack(stackName, this.publish(assemblyFolder, stackName)),
    );
  }

  private publish(assemblyFolder: string, stackName: string): Template {
    const assembly = readAssembly(assemblyFolder, stackName, this.region, this.accountId);
    for (const asset of assembly.assets) this.services.s3.publish(asset.bucket, asset.key, asset);
    return assembly.template;
  }

  /**
   * Deletes every resource in reverse order of creation, except those with a Retain policy.
   * @throws Error naming every resource that could not be deleted and why
   */
  async deleteStack(stackName: string): Promise<void> {
    return this.context.orFault(this.services.cloudformation.deleteStack(stackName));
  }

  /**
   * Answers one request as its service would, if the caller's policies allow it.
   * @throws AwsError as the service would
   */
  async call(request: {
    service: string;
    action: string;
    input: Record<string, any>;
    accessKeyId: string;
    transport?: Transport;
  }): Promise<Record<string, any>> {
    const endpoint = this.endpoints.get(request.service);
    if (!endpoint)
      throw new Error(
        `The emulation does not know the service '${request.service}'. It knows ` +
          `${[...this.endpoints.keys()].join(', ')}.`,
      );
    const { service, permissions, denial } = endpoint;
    const principal = this.services.iam.resolve(request.accessKeyId);
    this.services.authorization.require({
      principal,
      action: `${request.service}:${request.action}`,
      permissions: permissions(request.action, request.input),
      denial,
      transport: request.transport ?? 'tls',
    });
    return service.call(request.action, request.input, principal);
  }

  /** Takes a function's answer for a custom resource, sent to the URL that the function was given. */
  put(url: string, body: string): void {
    this.services.customResources.answer(url, body);
  }

  /** @returns stops listening */
  onEvent(listener: (event: AwsEvent) => void): () => void {
    return this.context.onEvent(listener);
  }

  /** The instance that has this private address now. */
  instanceByAddress(ip: string): InstanceView | undefined {
    return this.services.ec2.byAddress(ip);
  }

  /** The credentials of the instance's role, as IMDS hands them out. */
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
    return this.services.ec2.volumes.views();
  }

  networkInterfaces(): NetworkInterfaceView[] {
    return this.services.ec2.networks.networkInterfaceViews();
  }

  /** In order of creation. */
  securityGroupRules(): SecurityGroupRuleView[] {
    return this.services.ec2.networks.securityGroupRules();
  }

  /** With their listeners, their targets, and which targets get new connections. */
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
   * Every statement of every policy that the stacks have or had, and whether it ever allowed (or, as a Deny, denied)
   * something.
   */
  statements(): StatementView[] {
    return this.services.authorization.statements();
  }

  queues(): Queue[] {
    return this.services.sqs.all();
  }

  stackNames(): string[] {
    return this.services.cloudformation.names();
  }

  stackResources(stackName: string): StackResourceView[] {
    return this.services.cloudformation.resources(stackName);
  }

  /** Every item of every table. */
  tableItems(): { table: string; item: Item }[] {
    const { dynamodb } = this.services;
    return dynamodb.tableNames().flatMap((table) => dynamodb.items(table).map((item) => ({ table, item })));
  }

  /**
   * Names of everything that exists, except terminated instances. Empty once every stack is deleted and nothing is
   * retained.
   */
  remains(): string[] {
    return SERVICES.flatMap(({ remains }) => remains?.(this.services) ?? []);
  }

  /** Invokes a function of the template once, as an operator would. @throws what the function threw */
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

  /** A fault: kills the machine, which EC2 shows at once. Its group notices by its health check. */
  async killInstance(instanceId: string): Promise<void> {
    await this.services.ec2.kill(instanceId);
  }

  /** A fault: destroys an unattached volume and its data. */
  async loseVolume(volumeId: string): Promise<void> {
    await this.services.ec2.volumes.delete(volumeId);
  }

  hasSpotNotice(instanceId: string): boolean {
    return this.services.ec2.hasSpotNotice(instanceId);
  }

  targetLifecycleState(instanceId: string): 'InService' | 'Terminated' | undefined {
    return this.services.autoscaling.targetLifecycleState(instanceId);
  }

  /** A fault: sends a spot instance its interruption notice; EC2 reclaims it two minutes later. */
  interruptSpot(instanceId: string): void {
    this.services.ec2.interruptSpot(instanceId);
  }

  /** A fault: sends a rebalance recommendation for a spot instance. */
  recommendRebalance(instanceId: string): void {
    this.services.ec2.recommendRebalance(instanceId);
  }

  /** Milliseconds slept because of `delays` so far; concurrent sleeps all count. */
  delayed(): number {
    return this.context.delayed();
  }

  /**
   * Cancels schedules, retries and waits, and waits for running functions.
   * @throws Error when the emulation itself failed
   */
  async stop(): Promise<void> {
    await this.context.stop();
  }
}

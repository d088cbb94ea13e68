/**
 * The engine of the emulated CloudFormation: creates or updates every resource as soon as its dependencies are
 * complete, deletes in reverse order, waits for signals, and rolls back failures. It does not support updates that
 * replace a resource. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-overview.html
 */
import { isDeepStrictEqual } from 'node:util';
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import { tagMap } from '../core/describe';
import type { Ssm } from '../ssm/ssm';
import { AwsError, type Service } from '../core/types';
import type { ResourceRequest, ResourceType, ResourceTypes } from '../core/resource';
import { CUSTOM_TYPE, isCustom } from './custom-resources';
import { awaitSignals, Cancellation, duration, Signals } from './signals';
import type { ResourceStatus, Stack, StackResource, StackStatus } from './stack';
import { TemplateReader, type Scope, type Template, type TemplateResource } from './template';

/** A stack's resource, as other code sees it. */
export interface StackResourceView {
  logicalId: string;
  type: string;
  status: ResourceStatus | undefined;
  physicalId: string | undefined;
  reason: string | undefined;
}

/**
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-creationpolicy.html : a creation waits
 * 12 hours at most.
 */
const LONGEST_SIGNAL_WAIT_MS = 12 * 3_600_000;
const DEFAULT_SIGNAL_WAIT = 'PT5M';
/** The Availability Zones of every emulated region. */
const ZONE_LETTERS = ['a', 'b', 'c'];

export class CloudFormation implements Service {
  private readonly stacks = new Map<string, Stack>();

  constructor(
    private readonly context: Context,
    private readonly types: ResourceTypes,
    private readonly ssm: Ssm,
  ) {}

  /** @returns the outputs. @throws Error with every failed resource and its reason, after the rollback */
  async createStack(name: string, template: Template): Promise<Record<string, string>> {
    const existing = this.stacks.get(name);
    if (existing && existing.status !== 'DELETE_COMPLETE')
      throw new AwsError('AlreadyExistsException', `Stack [${name}] already exists`);
    const stack = this.newStack(name, template);
    this.stacks.set(name, stack);
    this.stackStatus(stack, 'CREATE_IN_PROGRESS');
    const failures = await this.createAll(stack);
    if (failures.length > 0) {
      const reason = describe(failures);
      this.stackStatus(
        stack,
        'ROLLBACK_IN_PROGRESS',
        `The following resource(s) failed to create: [${failures.map((resource) => resource.logicalId).join(', ')}].`,
      );
      const stuck = await this.deleteAll(stack, true);
      this.stackStatus(stack, stuck.length > 0 ? 'ROLLBACK_FAILED' : 'ROLLBACK_COMPLETE');
      const left = describe(stuck);
      throw new Error(
        `Stack ${name} could not be created: ${reason}.${left ? ` Rolling back failed too: ${left}.` : ''}`,
      );
    }
    stack.outputs = stack.reader.outputs(stack.scope);
    this.stackStatus(stack, 'CREATE_COMPLETE');
    return stack.outputs;
  }

  /** @throws Error with every resource that could not be deleted, and why. */
  async deleteStack(name: string): Promise<void> {
    const stack = this.stacks.get(name);
    if (!stack || stack.status === 'DELETE_COMPLETE') return;
    if (stack.status.endsWith('IN_PROGRESS'))
      throw new Error(`Stack ${name} is in ${stack.status}: wait for it to end before deleting it.`);
    this.stackStatus(stack, 'DELETE_IN_PROGRESS');
    const stuck = await this.deleteAll(stack, false);
    if (stuck.length > 0) {
      this.stackStatus(
        stack,
        'DELETE_FAILED',
        `The following resource(s) failed to delete: [${stuck.map((resource) => resource.logicalId).join(', ')}].`,
      );
      throw new Error(`Stack ${name} could not be deleted: ${describe(stuck)}.`);
    }
    this.stackStatus(stack, 'DELETE_COMPLETE');
  }

  /** The names of stacks that are not deleted. */
  names(): string[] {
    return [...this.stacks.values()].filter(({ status }) => status !== 'DELETE_COMPLETE').map(({ name }) => name);
  }

  resources(stackName: string): StackResourceView[] {
    return [...(this.stacks.get(stackName)?.resources.values() ?? [])].map((resource) => ({
      logicalId: resource.logicalId,
      type: resource.type,
      status: resource.status,
      physicalId: resource.created?.id,
      reason: resource.reason,
    }));
  }

  /** The ARN of a stack that exists or existed. */
  stackArn(nameOrId: string): string | undefined {
    return (this.stacks.get(nameOrId) ?? [...this.stacks.values()].find((stack) => stack.id === nameOrId))?.id;
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'DescribeStacks':
        return {
          Stacks: (input.StackName === undefined
            ? [...this.stacks.values()].filter((stack) => stack.status !== 'DELETE_COMPLETE')
            : [this.find(input.StackName)]
          ).map(stackOutput),
        };
      case 'DescribeStackResource': {
        const stack = this.find(input.StackName);
        return { StackResourceDetail: this.resourceOutput(stack, this.resource(stack, input.LogicalResourceId)) };
      }
      case 'DescribeStackResources': {
        const stack = this.find(input.StackName);
        return {
          StackResources: [...stack.resources.values()]
            .filter((resource) => resource.status !== undefined)
            .map((resource) => this.resourceOutput(stack, resource)),
        };
      }
      case 'SignalResource':
        return this.signal(input);
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of CloudFormation. It knows DescribeStacks, ` +
            'DescribeStackResource, DescribeStackResources, SignalResource.',
        );
    }
  }

  private newStack(name: string, template: Template): Stack {
    const { region, accountId } = this.context;
    const id = this.context.arn('cloudformation', `stack/${name}/${this.context.clock.uuid()}`);
    const resources = new Map<string, StackResource>();
    const scope: Scope = {
      zones: ZONE_LETTERS.map((letter) => `${region}${letter}`),
      parameters: {
        'AWS::AccountId': accountId,
        'AWS::Region': region,
        'AWS::StackName': name,
        'AWS::StackId': id,
        'AWS::Partition': 'aws',
        'AWS::URLSuffix': 'amazonaws.com',
        'AWS::NotificationARNs': [],
        ...this.parameters(template),
      },
      ssmParameter: (parameter) => this.ssm.get(parameter),
      ref: (logicalId) => existing(logicalId).created!.id,
      attribute: (logicalId, attribute) => {
        const resource = existing(logicalId);
        const value = resource.created!.attributes?.[attribute];
        if (value === undefined)
          throw new Error(
            `The emulation does not know the attribute '${attribute}' of ${resource.type} (${logicalId}).`,
          );
        return value;
      },
    };
    const existing = (logicalId: string): StackResource => {
      const resource = resources.get(logicalId);
      if (!resource?.created) throw new Error(`Unresolved resource dependencies [${logicalId}]`);
      return resource;
    };
    const { reader, dependencies } = this.read(template, scope);
    for (const logicalId of dependencies.keys())
      resources.set(logicalId, notCreated(logicalId, template.Resources[logicalId]!));
    return {
      name,
      id,
      reader,
      scope,
      status: 'CREATE_IN_PROGRESS',
      reason: undefined,
      createdAt: this.context.clock.now(),
      resources,
      dependencies,
      outputs: {},
    };
  }

  private read(template: Template, scope: Scope): Pick<Stack, 'reader' | 'dependencies'> {
    const reader = new TemplateReader(template);
    reader.checkRules(scope);
    const dependencies = reader.dependencies(scope);
    for (const logicalId of dependencies.keys()) {
      const { Type } = template.Resources[logicalId]!;
      if (!this.typeOf(Type))
        throw new Error(
          `The emulation does not know the resource type '${Type}' (${logicalId}). It knows ` +
            `${Object.keys(this.types).join(', ')}.`,
        );
    }
    return { reader, dependencies };
  }

  private typeOf(name: string): ResourceType | undefined {
    return this.types[isCustom(name) ? CUSTOM_TYPE : name];
  }

  /**
   * The defaults of the parameters; SSM types are looked up:
   * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html
   */
  private parameters(template: Template): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(template.Parameters ?? {}).map(([name, { Type: type, Default: value }]) => {
        if (value === undefined)
          throw new Error(`Parameter ${name} has no default, and the emulation gives no other values.`);
        const text = type.startsWith('AWS::SSM::Parameter::Value<') ? this.ssm.get(String(value)) : String(value);
        return [
          name,
          type.includes('List<') || type === 'CommaDelimitedList' ? text.split(',').map((item) => item.trim()) : text,
        ];
      }),
    );
  }

  // Creation

  private async createAll(stack: Stack): Promise<StackResource[]> {
    const cancel = new Cancellation();
    return this.forEach(stack, stack.dependencies, cancel, (resource) => this.createOne(stack, resource, cancel));
  }

  /** @returns the resources that failed themselves. Others that wait are cancelled, and no more are started. */
  private async forEach(
    stack: Stack,
    needs: Graph,
    cancel: Cancellation,
    work: (resource: StackResource) => Promise<boolean>,
  ): Promise<StackResource[]> {
    const failures: StackResource[] = [];
    await inOrder(needs, async (id) => {
      if (cancel.reason !== undefined) return false;
      const resource = stack.resources.get(id)!;
      const ok = await work(resource);
      if (!ok) {
        if (cancel.reason === undefined || resource.reason !== CANCELLED) failures.push(resource);
        cancel.now(CANCELLED);
      }
      return ok;
    });
    return failures;
  }

  private async createOne(stack: Stack, resource: StackResource, cancel: Cancellation): Promise<boolean> {
    try {
      resource.properties = this.resolve(stack, resource.definition);
      const signals = this.signalsOf(resource);
      resource.signals = signals;
      this.resourceStatus(stack, resource, 'CREATE_IN_PROGRESS');
      resource.created = await this.typeOf(resource.type)!.create(this.request(stack, resource, resource.properties));
      if (signals) await awaitSignals(this.context, signals, cancel);
      this.resourceStatus(stack, resource, 'CREATE_COMPLETE');
      return true;
    } catch (error) {
      this.resourceStatus(stack, resource, 'CREATE_FAILED', error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  private resolve(stack: Stack, { Type, Properties = {} }: TemplateResource): Record<string, any> {
    const type = this.typeOf(Type)!;
    const properties = stack.reader.resolve(Properties, stack.scope);
    const { properties: known } = type;
    const unknown = known === 'any' ? [] : Object.keys(properties).filter((property) => !known.includes(property));
    if (known !== 'any' && unknown.length > 0)
      throw new Error(
        `The emulation does not know ${unknown.map((property) => `'${property}'`).join(', ')} of ${Type}. ` +
          `It knows ${known.join(', ')}.`,
      );
    return properties;
  }

  private request(stack: Stack, { logicalId, type }: StackResource, properties: Record<string, any>): ResourceRequest {
    return {
      logicalId,
      stackName: stack.name,
      stackId: stack.id,
      type,
      properties,
      physicalName: (maxLength) => this.physicalName(stack.name, logicalId, maxLength),
      tags: {
        ...(Array.isArray(properties.Tags) ? tagMap(properties.Tags) : {}),
        // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
        'aws:cloudformation:stack-name': stack.name,
        'aws:cloudformation:stack-id': stack.id,
        'aws:cloudformation:logical-id': logicalId,
      },
    };
  }

  private physicalName(stackName: string, logicalId: string, maxLength: number): string {
    const suffix = `-${this.context.letters(12)}`;
    const room = maxLength - suffix.length;
    const whole = `${stackName}-${logicalId}`;
    if (whole.length <= room) return whole + suffix;
    const idRoom = Math.min(logicalId.length, Math.floor(room / 2));
    return `${stackName.slice(0, room - idRoom - 1)}-${logicalId.slice(0, idRoom)}${suffix}`;
  }

  // Changes

  /**
   * Updates what differs, then deletes what the new template does not have.
   * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html
   * @returns the outputs.
   * @throws Error with every failed resource and its reason, after the rollback
   */
  async updateStack(name: string, template: Template): Promise<Record<string, string>> {
    const stack = this.find(name);
    if (!/^(CREATE|UPDATE|UPDATE_ROLLBACK)_COMPLETE$/.test(stack.status))
      throw new AwsError('ValidationError', `Stack:${stack.id} is in ${stack.status} state and can not be updated.`);
    const before = { reader: stack.reader, dependencies: stack.dependencies, parameters: stack.scope.parameters };
    stack.scope.parameters = { ...stack.scope.parameters, ...this.parameters(template) };
    Object.assign(stack, this.read(template, stack.scope));
    for (const logicalId of stack.dependencies.keys())
      if (!stack.resources.has(logicalId))
        stack.resources.set(logicalId, notCreated(logicalId, template.Resources[logicalId]!));
    this.stackStatus(stack, 'UPDATE_IN_PROGRESS');
    const changed = new Set<StackResource>();
    const failures = await this.changeAll(stack, stack.dependencies, changed);
    if (failures.length === 0) {
      this.stackStatus(stack, 'UPDATE_COMPLETE_CLEANUP_IN_PROGRESS');
      await this.forget(stack, before.dependencies, ({ logicalId }) => !stack.dependencies.has(logicalId), false);
      stack.outputs = stack.reader.outputs(stack.scope);
      this.stackStatus(stack, 'UPDATE_COMPLETE');
      return stack.outputs;
    }
    const reason = describe(failures);
    this.stackStatus(
      stack,
      'UPDATE_ROLLBACK_IN_PROGRESS',
      `The following resource(s) failed to update: [${failures.map(({ logicalId }) => logicalId).join(', ')}].`,
    );
    const after = stack.dependencies;
    stack.scope.parameters = before.parameters;
    Object.assign(stack, { reader: before.reader, dependencies: before.dependencies });
    const stuck = await this.changeAll(
      stack,
      among(
        before.dependencies,
        [...changed].map(({ logicalId }) => logicalId),
      ),
      new Set(),
    );
    if (stuck.length === 0) {
      this.stackStatus(stack, 'UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS');
      await this.forget(stack, after, ({ logicalId }) => !before.dependencies.has(logicalId), true);
    }
    this.stackStatus(stack, stuck.length > 0 ? 'UPDATE_ROLLBACK_FAILED' : 'UPDATE_ROLLBACK_COMPLETE');
    throw new Error(
      `Stack ${name} could not be updated: ` +
        `${reason}.${stuck.length > 0 ? ` Rolling back failed too: ${describe(stuck)}.` : ''}`,
    );
  }

  /** @param changed receives every resource that was touched, even if it failed */
  private changeAll(stack: Stack, needs: Graph, changed: Set<StackResource>): Promise<StackResource[]> {
    const cancel = new Cancellation();
    return this.forEach(stack, needs, cancel, (resource) =>
      resource.created ? this.changeOne(stack, resource, cancel, changed) : this.createOne(stack, resource, cancel),
    );
  }

  private async changeOne(
    stack: Stack,
    resource: StackResource,
    cancel: Cancellation,
    changed: Set<StackResource>,
  ): Promise<boolean> {
    try {
      const definition = stack.reader.template.Resources[resource.logicalId]!;
      const properties = this.resolve(stack, definition);
      const previous = resource.properties;
      const names = [...new Set([...Object.keys(properties), ...Object.keys(previous)])].filter(
        (name) => !isDeepStrictEqual(properties[name], previous[name]),
      );
      resource.definition = definition;
      if (names.length === 0) return true;
      const type = this.typeOf(resource.type)!;
      if (!type.update)
        throw new Error(`The emulation does not know how to change ${resource.type}: ${names.join(', ')}.`);
      changed.add(resource);
      this.resourceStatus(stack, resource, 'UPDATE_IN_PROGRESS');
      resource.properties = properties;
      resource.created = await type.update({
        ...this.request(stack, resource, properties),
        id: resource.created!.id,
        changed: names,
        previous,
        updatePolicy: definition.UpdatePolicy,
        awaitSignals: (count, timeout) => {
          resource.signals = new Signals(count, duration(timeout));
          return awaitSignals(this.context, resource.signals, cancel);
        },
      });
      this.resourceStatus(stack, resource, 'UPDATE_COMPLETE');
      return true;
    } catch (error) {
      this.resourceStatus(stack, resource, 'UPDATE_FAILED', error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** Deletes resources in the cleanup phase. Failures leave the resource behind and do not fail the stack. */
  private async forget(
    stack: Stack,
    needs: Graph,
    which: (resource: StackResource) => boolean,
    rollback: boolean,
  ): Promise<void> {
    const gone = [...stack.resources.values()].filter(which);
    await this.deleteThese(stack, needs, rollback, which);
    for (const { logicalId } of gone) stack.resources.delete(logicalId);
  }

  // Signals

  private signalsOf(resource: StackResource): Signals | undefined {
    const policy = resource.definition.CreationPolicy;
    if (policy === undefined) return undefined;
    const other = Object.keys(policy).filter((key) => key !== 'ResourceSignal');
    if (other.length > 0)
      throw new Error(
        `The emulation knows the creation policy ResourceSignal, not '${other.join(', ')}' (${resource.logicalId}).`,
      );
    const { Count: count = 1, Timeout: timeout = DEFAULT_SIGNAL_WAIT } = policy.ResourceSignal ?? {};
    const timeoutMs = duration(timeout);
    if (timeoutMs > LONGEST_SIGNAL_WAIT_MS)
      throw new Error(
        `CreationPolicy timeout ${timeout} of ${resource.logicalId} is longer than the 12 hours that ` +
          'CloudFormation waits.',
      );
    return new Signals(Number(count), timeoutMs);
  }

  /** https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html */
  private signal(input: Record<string, any>): Record<string, any> {
    const stack = this.find(input.StackName);
    if (!/^(CREATE|UPDATE|UPDATE_ROLLBACK)_IN_PROGRESS$/.test(stack.status))
      throw new AwsError('ValidationError', `Stack ${stack.id} is in ${stack.status} state and cannot be signaled`);
    const resource = this.resource(stack, input.LogicalResourceId);
    if (!resource.status?.endsWith('_IN_PROGRESS') || !resource.signals) {
      throw new AwsError(
        'ValidationError',
        `Resource ${resource.logicalId} is in ${resource.status} state and cannot be signaled`,
      );
    }
    const { UniqueId: uniqueId, Status: status } = input;
    if (status !== 'SUCCESS' && status !== 'FAILURE') {
      throw new AwsError(
        'ValidationError',
        `1 validation error detected: Value '${status}' at 'status' failed to satisfy constraint: Member ` +
          'must satisfy enum value set: [FAILURE, SUCCESS]',
      );
    }
    this.context.emit('cloudformation', 'signal', resource.logicalId, { uniqueId, status, stack: stack.name });
    if (status === 'FAILURE') resource.signals.failedBy = uniqueId;
    else resource.signals.received.add(uniqueId);
    resource.signals.onChange();
    return {};
  }

  // Deletion

  private async deleteAll(stack: Stack, rollback: boolean): Promise<StackResource[]> {
    return this.deleteThese(stack, stack.dependencies, rollback, () => true);
  }

  /**
   * Deletes in reverse order of creation.
   * @returns the resources that could not be deleted; their dependencies stay, too
   */
  private async deleteThese(
    stack: Stack,
    needs: Graph,
    rollback: boolean,
    which: (resource: StackResource) => boolean,
  ): Promise<StackResource[]> {
    const failures: StackResource[] = [];
    await inOrder(reversed(needs), async (id) => {
      const resource = stack.resources.get(id)!;
      const ok = !which(resource) || (await this.deleteOne(stack, resource, rollback));
      if (!ok) failures.push(resource);
      return ok;
    });
    return failures;
  }

  private async deleteOne(stack: Stack, resource: StackResource, rollback: boolean): Promise<boolean> {
    if (!resource.created || resource.status === 'DELETE_COMPLETE' || resource.status === 'DELETE_SKIPPED') return true;
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
    const policy = resource.definition.DeletionPolicy;
    if (policy === 'Retain' || (policy === 'RetainExceptOnCreate' && !rollback)) {
      this.resourceStatus(stack, resource, 'DELETE_SKIPPED');
      return true;
    }
    this.resourceStatus(stack, resource, 'DELETE_IN_PROGRESS');
    try {
      await this.typeOf(resource.type)!.delete?.(resource.created.id, resource.properties);
    } catch (error) {
      this.resourceStatus(stack, resource, 'DELETE_FAILED', error instanceof Error ? error.message : String(error));
      return false;
    }
    this.resourceStatus(stack, resource, 'DELETE_COMPLETE');
    return true;
  }

  // Events

  private resourceStatus(stack: Stack, resource: StackResource, status: ResourceStatus, reason?: string): void {
    resource.status = status;
    resource.reason = reason;
    this.context.emit('cloudformation', eventName(status), resource.logicalId, {
      type: resource.type,
      physicalId: resource.created?.id,
      reason,
      stack: stack.name,
    });
  }

  private stackStatus(stack: Stack, status: StackStatus, reason?: string): void {
    stack.status = status;
    stack.reason = reason;
    this.context.emit('cloudformation', eventName(status), stack.name, {
      type: 'AWS::CloudFormation::Stack',
      physicalId: stack.id,
      reason,
      stack: stack.name,
    });
  }

  private find(nameOrId: string): Stack {
    const stack = [...this.stacks.values()].find(
      (candidate) =>
        candidate.id === nameOrId || (candidate.name === nameOrId && candidate.status !== 'DELETE_COMPLETE'),
    );
    if (!stack) throw new AwsError('ValidationError', `Stack with id ${nameOrId} does not exist`);
    return stack;
  }

  private resource(stack: Stack, logicalId: string): StackResource {
    const resource = stack.resources.get(logicalId);
    if (!resource)
      throw new AwsError('ValidationError', `Resource ${logicalId} does not exist for stack ${stack.name}`);
    return resource;
  }

  private resourceOutput(stack: Stack, resource: StackResource): Record<string, any> {
    return {
      StackName: stack.name,
      StackId: stack.id,
      LogicalResourceId: resource.logicalId,
      PhysicalResourceId: resource.created?.id,
      ResourceType: resource.type,
      ResourceStatus: resource.status,
      ResourceStatusReason: resource.reason,
      Timestamp: isoTime(this.context.clock.now()),
      LastUpdatedTimestamp: isoTime(this.context.clock.now()),
    };
  }
}

const CANCELLED = 'Resource creation cancelled';

type Graph = ReadonlyMap<string, Iterable<string>>;

/** Does the work for each id after its dependencies. Skips ids that depend on a failed one. */
async function inOrder(needs: Graph, work: (id: string) => Promise<boolean>): Promise<void> {
  const tasks = new Map<string, Promise<boolean>>();
  const task = (id: string): Promise<boolean> => {
    let started = tasks.get(id);
    if (!started) {
      started = Promise.all([...needs.get(id)!].map(task)).then((done) => done.every(Boolean) && work(id));
      tasks.set(id, started);
    }
    return started;
  };
  await Promise.all([...needs.keys()].map(task));
}

function reversed(needs: Graph): Graph {
  const dependents = new Map<string, string[]>([...needs.keys()].map((id) => [id, []]));
  for (const [id, others] of needs) for (const other of others) dependents.get(other)!.push(id);
  return dependents;
}

/** The graph restricted to these ids. Ids in between are unchanged, so nothing has to wait for them. */
function among(needs: Graph, ids: string[]): Graph {
  return new Map(ids.map((id) => [id, [...needs.get(id)!].filter((other) => ids.includes(other))]));
}

function notCreated(logicalId: string, definition: TemplateResource): StackResource {
  return {
    logicalId,
    type: definition.Type,
    definition,
    status: undefined,
    reason: undefined,
    properties: {},
    created: undefined,
    signals: undefined,
  };
}

/** Lists failed resources with their reasons, without a final full stop. */
function describe(failed: StackResource[]): string {
  return failed
    .map((resource) => `${resource.logicalId} (${resource.type}): ${resource.reason?.replace(/\.$/, '')}`)
    .join('; ');
}

function stackOutput(stack: Stack): Record<string, any> {
  return {
    StackId: stack.id,
    StackName: stack.name,
    CreationTime: isoTime(stack.createdAt),
    StackStatus: stack.status,
    StackStatusReason: stack.reason,
    DisableRollback: false,
    NotificationARNs: [],
    Tags: [],
    Outputs: Object.entries(stack.outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue })),
  };
}

function eventName(status: string): string {
  return status.toLowerCase().replaceAll('_', '-');
}

/**
 * The engine of the emulated CloudFormation: creates every resource as soon as what it depends on is complete, deletes in reverse, waits for signals, and rolls a failed
 * creation back. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-overview.html
 */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../context';
import { tagMap } from '../describe';
import type { Ssm } from '../ssm';
import { AwsError, type Service } from '../types';
import type { CreatedResource, ResourceTypes } from './resource';
import { TemplateReader, type Scope, type Template, type TemplateResource } from './template';

type Phase = 'IN_PROGRESS' | 'COMPLETE' | 'FAILED' | 'SKIPPED';
export type ResourceStatus = `CREATE_${Phase}` | `DELETE_${Phase}`;
export type StackStatus = `CREATE_${Phase}` | `DELETE_${Phase}` | `ROLLBACK_${Phase}`;

interface StackResource {
  logicalId: string;
  type: string;
  definition: TemplateResource;
  status: ResourceStatus | undefined;
  reason: string | undefined;
  /** Resolved, once its creation has begun. */
  properties: Record<string, any>;
  created: CreatedResource | undefined;
  signals: Signals | undefined;
}

interface Stack {
  name: string;
  id: string;
  reader: TemplateReader;
  scope: Scope;
  status: StackStatus;
  reason: string | undefined;
  createdAt: number;
  resources: Map<string, StackResource>;
  dependencies: Map<string, Set<string>>;
  outputs: Record<string, string>;
}

/** What may be known of a stack's resource from outside. */
export interface StackResourceView {
  logicalId: string;
  type: string;
  status: ResourceStatus | undefined;
  physicalId: string | undefined;
  reason: string | undefined;
}

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-creationpolicy.html : a creation waits 12 hours at most. */
const LONGEST_SIGNAL_WAIT_MS = 12 * 3_600_000;
const DEFAULT_SIGNAL_WAIT = 'PT5M';
/** Zones of every region here. */
const ZONE_LETTERS = ['a', 'b', 'c'];

export class CloudFormation implements Service {
  private readonly stacks = new Map<string, Stack>();

  constructor(
    private readonly context: Context,
    private readonly types: ResourceTypes,
    private readonly ssm: Ssm,
  ) {}

  /** @returns the outputs. @throws Error with every failed resource and its reason, after the rollback. */
  async createStack(name: string, template: Template): Promise<Record<string, string>> {
    const existing = this.stacks.get(name);
    if (existing && existing.status !== 'DELETE_COMPLETE') throw new AwsError('AlreadyExistsException', `Stack [${name}] already exists`);
    const stack = this.newStack(name, template);
    this.stacks.set(name, stack);
    this.stackStatus(stack, 'CREATE_IN_PROGRESS');
    const failures = await this.createAll(stack);
    if (failures.length > 0) {
      const reason = describe(failures);
      this.stackStatus(stack, 'ROLLBACK_IN_PROGRESS', `The following resource(s) failed to create: [${failures.map((resource) => resource.logicalId).join(', ')}].`);
      const stuck = await this.deleteAll(stack, true);
      this.stackStatus(stack, stuck.length > 0 ? 'ROLLBACK_FAILED' : 'ROLLBACK_COMPLETE');
      const left = describe(stuck);
      throw new Error(`Stack ${name} could not be created: ${reason}.${left ? ` Rolling back failed too: ${left}.` : ''}`);
    }
    stack.outputs = stack.reader.outputs(stack.scope);
    this.stackStatus(stack, 'CREATE_COMPLETE');
    return stack.outputs;
  }

  /** @throws Error with every resource that could not be deleted, and why. */
  async deleteStack(name: string): Promise<void> {
    const stack = this.stacks.get(name);
    if (!stack || stack.status === 'DELETE_COMPLETE') return;
    if (stack.status.endsWith('IN_PROGRESS')) throw new Error(`Stack ${name} is in ${stack.status}: wait for it to end before deleting it.`);
    this.stackStatus(stack, 'DELETE_IN_PROGRESS');
    const stuck = await this.deleteAll(stack, false);
    if (stuck.length > 0) {
      this.stackStatus(stack, 'DELETE_FAILED', `The following resource(s) failed to delete: [${stuck.map((resource) => resource.logicalId).join(', ')}].`);
      throw new Error(`Stack ${name} could not be deleted: ${describe(stuck)}.`);
    }
    this.stackStatus(stack, 'DELETE_COMPLETE');
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

  /** Of a stack that is, or was, there. */
  stackArn(nameOrId: string): string | undefined {
    return (this.stacks.get(nameOrId) ?? [...this.stacks.values()].find((stack) => stack.id === nameOrId))?.id;
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'DescribeStacks':
        return { Stacks: (input.StackName === undefined ? [...this.stacks.values()].filter((stack) => stack.status !== 'DELETE_COMPLETE') : [this.find(input.StackName)]).map(stackOutput) };
      case 'DescribeStackResource': {
        const stack = this.find(input.StackName);
        return { StackResourceDetail: this.resourceOutput(stack, this.resource(stack, input.LogicalResourceId)) };
      }
      case 'DescribeStackResources': {
        const stack = this.find(input.StackName);
        return { StackResources: [...stack.resources.values()].filter((resource) => resource.status !== undefined).map((resource) => this.resourceOutput(stack, resource)) };
      }
      case 'SignalResource':
        return this.signal(input);
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of CloudFormation. It knows DescribeStacks, DescribeStackResource, DescribeStackResources, SignalResource.`,
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
        if (value === undefined) throw new Error(`The emulation does not know the attribute '${attribute}' of ${resource.type} (${logicalId}).`);
        return value;
      },
    };
    const existing = (logicalId: string): StackResource => {
      const resource = resources.get(logicalId);
      if (!resource?.created) throw new Error(`Unresolved resource dependencies [${logicalId}]`);
      return resource;
    };
    const reader = new TemplateReader(template);
    reader.checkRules(scope);
    const dependencies = reader.dependencies(scope);
    for (const logicalId of dependencies.keys()) {
      const definition = template.Resources[logicalId]!;
      if (!(definition.Type in this.types)) throw new Error(`The emulation does not know the resource type '${definition.Type}' (${logicalId}). It knows ${Object.keys(this.types).join(', ')}.`);
      resources.set(logicalId, { logicalId, type: definition.Type, definition, status: undefined, reason: undefined, properties: {}, created: undefined, signals: undefined });
    }
    return { name, id, reader, scope, status: 'CREATE_IN_PROGRESS', reason: undefined, createdAt: this.context.clock.now(), resources, dependencies, outputs: {} };
  }

  /** Defaults; those of an SSM type are looked up: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html */
  private parameters(template: Template): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(template.Parameters ?? {}).map(([name, { Type: type, Default: value }]) => {
        if (value === undefined) throw new Error(`Parameter ${name} has no default, and the emulation gives no other values.`);
        const text = type.startsWith('AWS::SSM::Parameter::Value<') ? this.ssm.get(String(value)) : String(value);
        return [name, type.includes('List<') || type === 'CommaDelimitedList' ? text.split(',').map((item) => item.trim()) : text];
      }),
    );
  }

  // Creation

  private async createAll(stack: Stack): Promise<StackResource[]> {
    const failures: StackResource[] = [];
    const cancel = new Cancellation();
    const tasks = new Map<string, Promise<boolean>>();
    const task = (resource: StackResource): Promise<boolean> => {
      let started = tasks.get(resource.logicalId);
      if (!started) {
        started = (async () => {
          const needs = [...stack.dependencies.get(resource.logicalId)!].map((id) => task(stack.resources.get(id)!));
          if (!(await Promise.all(needs)).every(Boolean) || cancel.reason !== undefined) return false;
          const ok = await this.createOne(stack, resource, cancel);
          if (!ok) {
            if (cancel.reason === undefined || resource.reason !== CANCELLED) failures.push(resource);
            cancel.now(CANCELLED);
          }
          return ok;
        })();
        tasks.set(resource.logicalId, started);
      }
      return started;
    };
    await Promise.all([...stack.resources.values()].map(task));
    return failures;
  }

  private async createOne(stack: Stack, resource: StackResource, cancel: Cancellation): Promise<boolean> {
    try {
      const type = this.types[resource.type]!;
      resource.properties = stack.reader.resolve(resource.definition.Properties ?? {}, stack.scope);
      const unknown = Object.keys(resource.properties).filter((property) => !type.properties.includes(property));
      if (unknown.length > 0) throw new Error(`The emulation does not know ${unknown.map((property) => `'${property}'`).join(', ')} of ${resource.type}. It knows ${type.properties.join(', ')}.`);
      const signals = this.signalsOf(resource);
      resource.signals = signals;
      this.resourceStatus(stack, resource, 'CREATE_IN_PROGRESS');
      resource.created = await type.create({
        logicalId: resource.logicalId,
        stackName: stack.name,
        stackId: stack.id,
        properties: resource.properties,
        physicalName: (maxLength) => this.physicalName(stack.name, resource.logicalId, maxLength),
        tags: {
          ...(Array.isArray(resource.properties.Tags) ? tagMap(resource.properties.Tags) : {}),
          // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
          'aws:cloudformation:stack-name': stack.name,
          'aws:cloudformation:stack-id': stack.id,
          'aws:cloudformation:logical-id': resource.logicalId,
        },
      });
      if (signals) await this.awaitSignals(signals, cancel);
      this.resourceStatus(stack, resource, 'CREATE_COMPLETE');
      return true;
    } catch (error) {
      this.resourceStatus(stack, resource, 'CREATE_FAILED', error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  private physicalName(stackName: string, logicalId: string, maxLength: number): string {
    const suffix = `-${this.context.letters(12)}`;
    const room = maxLength - suffix.length;
    const whole = `${stackName}-${logicalId}`;
    if (whole.length <= room) return whole + suffix;
    const idRoom = Math.min(logicalId.length, Math.floor(room / 2));
    return `${stackName.slice(0, room - idRoom - 1)}-${logicalId.slice(0, idRoom)}${suffix}`;
  }

  // Signals

  private signalsOf(resource: StackResource): Signals | undefined {
    const policy = resource.definition.CreationPolicy;
    if (policy === undefined) return undefined;
    const other = Object.keys(policy).filter((key) => key !== 'ResourceSignal');
    if (other.length > 0) throw new Error(`The emulation knows the creation policy ResourceSignal, not '${other.join(', ')}' (${resource.logicalId}).`);
    const { Count: count = 1, Timeout: timeout = DEFAULT_SIGNAL_WAIT } = policy.ResourceSignal ?? {};
    const timeoutMs = duration(timeout);
    if (timeoutMs > LONGEST_SIGNAL_WAIT_MS) throw new Error(`CreationPolicy timeout ${timeout} of ${resource.logicalId} is longer than the 12 hours that CloudFormation waits.`);
    return new Signals(Number(count), timeoutMs);
  }

  private awaitSignals(signals: Signals, cancel: Cancellation): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      let forget = () => undefined as void;
      const stop = this.context.after(signals.timeoutMs, () => end(new Error(`Failed to receive ${signals.count - signals.received.size} resource signal(s) within the specified duration`)));
      const end = (error?: Error) => {
        stop();
        forget();
        if (error) reject(error);
        else resolve();
      };
      forget = cancel.onCancel((reason) => end(new Error(reason)));
      signals.onChange = () => {
        if (signals.failedBy !== undefined) end(new Error(`Received FAILURE signal with UniqueId ${signals.failedBy}`));
        else if (signals.received.size >= signals.count) end();
      };
      signals.onChange();
    });
  }

  /** https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html */
  private signal(input: Record<string, any>): Record<string, any> {
    const stack = this.find(input.StackName);
    if (stack.status !== 'CREATE_IN_PROGRESS') throw new AwsError('ValidationError', `Stack ${stack.id} is in ${stack.status} state and cannot be signaled`);
    const resource = this.resource(stack, input.LogicalResourceId);
    if (resource.status !== 'CREATE_IN_PROGRESS' || !resource.signals) {
      throw new AwsError('ValidationError', `Resource ${resource.logicalId} is in ${resource.status} state and cannot be signaled`);
    }
    const { UniqueId: uniqueId, Status: status } = input;
    if (status !== 'SUCCESS' && status !== 'FAILURE') {
      throw new AwsError('ValidationError', `1 validation error detected: Value '${status}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [FAILURE, SUCCESS]`);
    }
    this.context.emit('cloudformation', 'signal', resource.logicalId, { uniqueId, status, stack: stack.name });
    if (status === 'FAILURE') resource.signals.failedBy = uniqueId;
    else resource.signals.received.add(uniqueId);
    resource.signals.onChange();
    return {};
  }

  // Deletion

  private async deleteAll(stack: Stack, rollback: boolean): Promise<StackResource[]> {
    const dependents = new Map<string, string[]>([...stack.resources.keys()].map((id) => [id, []]));
    for (const [id, needs] of stack.dependencies) for (const need of needs) dependents.get(need)!.push(id);
    const failures: StackResource[] = [];
    const tasks = new Map<string, Promise<boolean>>();
    const task = (resource: StackResource): Promise<boolean> => {
      let started = tasks.get(resource.logicalId);
      if (!started) {
        started = (async () => {
          const later = await Promise.all(dependents.get(resource.logicalId)!.map((id) => task(stack.resources.get(id)!)));
          if (!later.every(Boolean)) return false;
          const ok = await this.deleteOne(stack, resource, rollback);
          if (!ok) failures.push(resource);
          return ok;
        })();
        tasks.set(resource.logicalId, started);
      }
      return started;
    };
    await Promise.all([...stack.resources.values()].map(task));
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
      await this.types[resource.type]!.delete?.(resource.created.id, resource.properties);
    } catch (error) {
      this.resourceStatus(stack, resource, 'DELETE_FAILED', error instanceof Error ? error.message : String(error));
      return false;
    }
    this.resourceStatus(stack, resource, 'DELETE_COMPLETE');
    return true;
  }

  // Telling

  private resourceStatus(stack: Stack, resource: StackResource, status: ResourceStatus, reason?: string): void {
    resource.status = status;
    resource.reason = reason;
    this.context.emit('cloudformation', eventName(status), resource.logicalId, { type: resource.type, physicalId: resource.created?.id, reason, stack: stack.name });
  }

  private stackStatus(stack: Stack, status: StackStatus, reason?: string): void {
    stack.status = status;
    stack.reason = reason;
    this.context.emit('cloudformation', eventName(status), stack.name, { type: 'AWS::CloudFormation::Stack', physicalId: stack.id, reason, stack: stack.name });
  }

  private find(nameOrId: string): Stack {
    const stack = [...this.stacks.values()].find((candidate) => candidate.id === nameOrId || (candidate.name === nameOrId && candidate.status !== 'DELETE_COMPLETE'));
    if (!stack) throw new AwsError('ValidationError', `Stack with id ${nameOrId} does not exist`);
    return stack;
  }

  private resource(stack: Stack, logicalId: string): StackResource {
    const resource = stack.resources.get(logicalId);
    if (!resource) throw new AwsError('ValidationError', `Resource ${logicalId} does not exist for stack ${stack.name}`);
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

/** Tells everything that still waits that the creation has failed elsewhere. */
class Cancellation {
  reason: string | undefined;
  private readonly listeners = new Set<(reason: string) => void>();

  now(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    for (const listener of [...this.listeners]) listener(reason);
  }

  onCancel(listener: (reason: string) => void): () => void {
    if (this.reason !== undefined) listener(this.reason);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

class Signals {
  /** Unique ids: a signal that comes twice counts once. */
  readonly received = new Set<string>();
  failedBy: string | undefined;
  onChange: () => void = () => undefined;

  constructor(
    readonly count: number,
    readonly timeoutMs: number,
  ) {}
}

/** Failed resources and their reasons, without a full stop. */
function describe(failed: StackResource[]): string {
  return failed.map((resource) => `${resource.logicalId} (${resource.type}): ${resource.reason?.replace(/\.$/, '')}`).join('; ');
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

/** ISO 8601, as policies give it: `PT1H30M15S`. */
export function duration(text: string): number {
  const [whole, hours = 0, minutes = 0, seconds = 0] = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?$/.exec(text) ?? [];
  if (whole === undefined || whole === 'PT') throw new Error(`'${text}' is not a duration of the form PT#H#M#S.`);
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

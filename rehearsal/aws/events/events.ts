/**
 * EventBridge: rules on the default bus with a schedule or a pattern and queues as targets, and PutEvents for custom
 * events.
 */
import { isoTime } from '../../../protocol/clock';
import type { Context } from '../core/context';
import type { Authorization } from '../iam/authorization';
import { matchesPattern } from './pattern';
import type { Sqs } from '../sqs/sqs';
import { AwsError, type Service } from '../core/types';

export interface RuleTarget {
  id: string;
  arn: string;
  /** Sent literally instead of the event. */
  input?: string;
}

export interface RuleOptions {
  name: string;
  schedule?: string;
  pattern?: Record<string, any>;
  enabled: boolean;
  targets: RuleTarget[];
}

interface Rule extends RuleOptions {
  arn: string;
  cancel: () => void;
}

/** An event of a service. */
export interface BusEvent {
  source: string;
  detailType: string;
  resources: string[];
  detail: Record<string, unknown>;
}

const SERVICE = 'events.amazonaws.com';
const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/**
 * Entries per request, and their total size in bytes.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
 */
const MOST_ENTRIES = 10;
const MOST_BYTES = 256 * 1024;

export class Events implements Service {
  private readonly rules = new Map<string, Rule>();

  constructor(
    private readonly context: Context,
    private readonly sqs: Sqs,
    private readonly authorization: Authorization,
  ) {}

  putRule(options: RuleOptions): { name: string; arn: string } {
    const rule: Rule = { ...options, arn: this.context.arn('events', `rule/${options.name}`), cancel: () => undefined };
    if (options.schedule !== undefined && options.enabled) this.schedule(rule, interval(options.schedule));
    this.rules.set(rule.name, rule);
    return rule;
  }

  deleteRule(name: string): void {
    this.rules.get(name)?.cancel();
    this.rules.delete(name);
  }

  allRules(): readonly RuleOptions[] {
    return [...this.rules.values()];
  }

  /** Sends an event of a service to the targets of every matching rule. */
  put(event: BusEvent): void {
    const full = this.envelope(event);
    for (const rule of this.rules.values()) {
      if (rule.enabled && rule.pattern !== undefined && matchesPattern(rule.pattern, full)) this.fire(rule, full);
    }
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    if (action !== 'PutEvents') throw new Error(`The emulation does not know the action ${action} of EventBridge.`);
    const entries = (input.Entries ?? []) as Entry[];
    if (entries.length === 0 || entries.length > MOST_ENTRIES)
      throw new AwsError(
        'ValidationException',
        `1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have ` +
          `length less than or equal to ${MOST_ENTRIES}`,
      );
    if (entries.reduce((bytes, entry) => bytes + sizeOf(entry), 0) > MOST_BYTES)
      throw new AwsError('ValidationException', 'Total size of the entries in the request is over the limit.');
    const answers = entries.map((entry) => this.take(entry));
    return { FailedEntryCount: answers.filter(({ ErrorCode }) => ErrorCode).length, Entries: answers };
  }

  /**
   * A refused entry does not affect the others.
   * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
   */
  private take({ Source, DetailType, Detail, Resources = [] }: Entry): {
    EventId?: string;
    ErrorCode?: string;
    ErrorMessage?: string;
  } {
    if (!Source || !DetailType || Detail === undefined)
      return { ErrorCode: 'InvalidArgument', ErrorMessage: 'Parameter Source, DetailType or Detail is missing.' };
    if (Source.startsWith('aws.'))
      return { ErrorCode: 'NotAuthorizedForSourceException', ErrorMessage: 'Not authorized for the source.' };
    const detail = parseObject(Detail);
    if (detail === undefined) return { ErrorCode: 'MalformedDetail', ErrorMessage: 'Detail is malformed.' };
    this.context.emit('events', 'put', Source, { detailType: DetailType, ...detail });
    this.put({ source: Source, detailType: DetailType, resources: Resources, detail });
    return { EventId: this.context.clock.uuid() };
  }

  private schedule(rule: Rule, every: number): void {
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
    rule.cancel = this.context.after(every, () => {
      this.schedule(rule, every);
      this.fire(
        rule,
        this.envelope({ source: 'aws.events', detailType: 'Scheduled Event', resources: [rule.arn], detail: {} }),
      );
    });
  }

  private fire(rule: Rule, event: Record<string, unknown>): void {
    this.context.emit('events', 'fired', rule.name, { detailType: event['detail-type'] });
    for (const target of rule.targets) {
      const queue = this.sqs.byArn(target.arn);
      // Only the queue's own policy can allow it, and denied sends are not retried. Sources:
      // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions,
      // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
      const allowed =
        queue &&
        this.authorization.serviceMay(
          { service: SERVICE, sourceArn: rule.arn },
          { action: 'sqs:SendMessage', resource: queue.arn },
        );
      if (allowed) queue.send(target.input ?? JSON.stringify(event), SERVICE);
    }
  }

  private envelope(event: BusEvent): Record<string, unknown> {
    return {
      version: '0',
      id: this.context.clock.uuid(),
      'detail-type': event.detailType,
      source: event.source,
      account: this.context.accountId,
      // Whole seconds: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
      time: isoTime(this.context.clock.now()).replace(/\.\d+Z$/, 'Z'),
      region: this.context.region,
      resources: event.resources,
      detail: event.detail,
    };
  }
}

interface Entry {
  Source?: string;
  DetailType?: string;
  Detail?: string;
  Resources?: string[];
}

function sizeOf(entry: Entry): number {
  return Object.values(entry).reduce((bytes, value) => bytes + Buffer.byteLength(String(value)), 0);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function interval(schedule: string): number {
  const [, count, unit, plural] = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(schedule) ?? [];
  if (unit === undefined) {
    if (schedule.startsWith('cron('))
      throw new Error(`The emulation knows schedules of the form rate(...), not '${schedule}'.`);
    throw new AwsError('ValidationException', 'Parameter ScheduleExpression is not valid.');
  }
  if (Number(count) < 1 || (Number(count) === 1) !== (plural === ''))
    throw new AwsError('ValidationException', 'Parameter ScheduleExpression is not valid.');
  return Number(count) * UNIT_MS[unit]!;
}

/** EventBridge: rules on the default bus, by schedule or by pattern, with queues as targets. */
import { isoTime } from '../../protocol/clock';
import type { Context } from './context';
import type { Authorization } from './iam/authorization';
import { matchesPattern } from './pattern';
import type { Sqs } from './sqs';
import { AwsError } from './types';

export interface RuleTarget {
  id: string;
  arn: string;
  /** Sent as it is, in place of the event. */
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

/** What a service tells the bus. */
export interface BusEvent {
  source: string;
  detailType: string;
  resources: string[];
  detail: Record<string, unknown>;
}

const SERVICE = 'events.amazonaws.com';
const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

export class Events {
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

  /** Sends an event of a service through every rule that matches it. */
  put(event: BusEvent): void {
    const full = this.envelope(event);
    for (const rule of this.rules.values()) {
      if (rule.enabled && rule.pattern !== undefined && matchesPattern(rule.pattern, full)) this.fire(rule, full);
    }
  }

  private schedule(rule: Rule, every: number): void {
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
    rule.cancel = this.context.after(every, () => {
      this.schedule(rule, every);
      this.fire(rule, this.envelope({ source: 'aws.events', detailType: 'Scheduled Event', resources: [rule.arn], detail: {} }));
    });
  }

  private fire(rule: Rule, event: Record<string, unknown>): void {
    this.context.emit('events', 'fired', rule.name, { detailType: event['detail-type'] });
    for (const target of rule.targets) {
      const queue = this.sqs.byArn(target.arn);
      // Only the queue's own policy can allow it, and what is denied is not tried again.
      // Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions, https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
      const allowed = queue && this.authorization.serviceMay({ service: SERVICE, sourceArn: rule.arn }, { action: 'sqs:SendMessage', resource: queue.arn });
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

function interval(schedule: string): number {
  const [, count, unit, plural] = /^rate\((\d+) (minute|hour|day)(s?)\)$/.exec(schedule) ?? [];
  if (unit === undefined) {
    if (schedule.startsWith('cron(')) throw new Error(`The emulation knows schedules of the form rate(...), not '${schedule}'.`);
    throw new AwsError('ValidationException', 'Parameter ScheduleExpression is not valid.');
  }
  if (Number(count) < 1 || (Number(count) === 1) !== (plural === '')) throw new AwsError('ValidationException', 'Parameter ScheduleExpression is not valid.');
  return Number(count) * UNIT_MS[unit]!;
}

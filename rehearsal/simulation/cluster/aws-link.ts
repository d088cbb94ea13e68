/**
 * The link from a program to the emulated AWS. It takes time, and may be slow, cut, throttled or stale. Every request
 * passes through here, so this is also where requests and answers can be observed.
 */
import type { Clock } from '../../../protocol/clock';
import { AwsError } from '../../aws/core/types';
import { NoAnswer, type Answer } from './clients';
import type { Faults } from '../faults';
import type { SimulatedProcess } from './process';

/** A request and its answer. */
export interface Call {
  service: string;
  action: string;
  input: Record<string, any>;
  output: Record<string, any>;
  accessKeyId: string;
}

/** A request that a service answered with an error. */
export type RefusedCall = Omit<Call, 'output'> & { error: AwsError };

export interface Caller {
  process: SimulatedProcess;
  accessKeyId: string;
  /** Whether its requests reach AWS now. */
  connected(): boolean;
  /** Called wherever the program could be killed: before each request, and before each answer arrives. */
  mayDie(): void;
}

/** The round-trip time of a request, in milliseconds. */
const FAST_MS = { least: 5, most: 30 };
const SLOW_MS = { least: 1_000, most: 25_000 };
/** After this time the SDK's clients give up a request and notice that it was lost. */
const GIVEN_UP_MS = 5_000;
/**
 * How stale an answer may be. AWS gives no bound; EC2 speaks of minutes at most, DynamoDB of a second.
 * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
 */
const STALE_MS = { dynamodb: 2_000, others: 30_000 };
/** The reads that are eventually consistent. */
const EVENTUAL = /^(Describe|GetItem$|Query$|BatchGetItem$)/;
const WRITES = /^(PutItem|UpdateItem|DeleteItem|TransactWriteItems)$/;

export class AwsLink {
  private readonly listeners: ((call: Call) => void)[] = [];
  private readonly refusalListeners: ((call: RefusedCall) => void)[] = [];
  private readonly remembered = new Map<string, { at: number; output: Record<string, any> }[]>();
  /** How often each action was called. */
  readonly calls = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly faults: Faults,
    private readonly call: (request: {
      service: string;
      action: string;
      input: Record<string, any>;
      accessKeyId: string;
    }) => Promise<Record<string, any>>,
  ) {}

  /** Calls the listener after each request, as soon as the service has carried it out. */
  onCall(listener: (call: Call) => void): void {
    this.listeners.push(listener);
  }

  /** Calls the listener after each request that a service, or a fault in its place, refused. */
  onRefused(listener: (call: RefusedCall) => void): void {
    this.refusalListeners.push(listener);
  }

  answerTo(caller: Caller): Answer {
    return (service, action, input) => caller.process.whileAlive(this.request(caller, service, action, input));
  }

  /** A request of a node outside its agent, such as an AWS CLI call in user data. @throws NoAnswer */
  async ask(
    { accessKeyId, connected }: Pick<Caller, 'accessKeyId' | 'connected'>,
    service: string,
    action: string,
    input: Record<string, any>,
  ): Promise<Record<string, any>> {
    await this.clock.sleep(between(FAST_MS, this.clock.random()));
    if (!connected()) await this.giveUp();
    return this.perform(accessKeyId, service, action, input);
  }

  private async request(
    caller: Caller,
    service: string,
    action: string,
    input: Record<string, any>,
  ): Promise<Record<string, any>> {
    const { clock, faults } = this;
    caller.mayDie();
    if (caller.process.killed) throw new NoAnswer('It was never sent.');
    const slow = faults.happens('slow-answer');
    const took = slow ? between(SLOW_MS, faults.random('slow-answer')) : between(FAST_MS, clock.random());
    // The request is on its way: it is carried out even if the sender dies.
    await clock.sleep(took / 2);
    if (!caller.connected() || faults.happens('lost-request')) return this.giveUp();
    const { accessKeyId } = caller;
    if (faults.happens('throttled'))
      throw this.refused({ service, action, input, accessKeyId, error: throttling(service) });
    if (service === 'dynamodb' && WRITES.test(action) && faults.happens('conflict'))
      throw this.refused({ service, action, input, accessKeyId, error: conflict(action, input) });
    const output = await this.perform(accessKeyId, service, action, input);
    caller.mayDie();
    if (!caller.connected() || faults.happens('lost-answer')) return this.giveUp();
    await clock.sleep(took / 2);
    return output;
  }

  private async perform(
    accessKeyId: string,
    service: string,
    action: string,
    input: Record<string, any>,
  ): Promise<Record<string, any>> {
    this.calls.set(action, (this.calls.get(action) ?? 0) + 1);
    const old = this.outOfDate(service, action, input);
    if (old !== undefined) return old;
    const output = await this.call({ service, action, input, accessKeyId }).catch((error: unknown) => {
      throw error instanceof AwsError ? this.refused({ service, action, input, accessKeyId, error }) : error;
    });
    for (const listener of this.listeners) listener({ service, action, input, output, accessKeyId });
    this.remember(service, action, input, output);
    return output;
  }

  private refused(call: RefusedCall): AwsError {
    for (const listener of this.refusalListeners) listener(call);
    return call.error;
  }

  private async giveUp(): Promise<never> {
    await this.clock.sleep(GIVEN_UP_MS);
    throw new NoAnswer('The request timed out.');
  }

  private outOfDate(service: string, action: string, input: Record<string, any>): Record<string, any> | undefined {
    if (!this.faults.mayHappen('stale-answer') || !isEventual(action, input)) return undefined;
    const oldest = this.clock.now() - (service === 'dynamodb' ? STALE_MS.dynamodb : STALE_MS.others);
    const known = this.remembered.get(keyOf(service, action, input))?.find(({ at }) => at >= oldest);
    return known !== undefined && this.faults.happens('stale-answer') ? known.output : undefined;
  }

  private remember(service: string, action: string, input: Record<string, any>, output: Record<string, any>): void {
    if (!this.faults.mayHappen('stale-answer') || !isEventual(action, input)) return;
    const key = keyOf(service, action, input);
    const answers = this.remembered.get(key) ?? [];
    this.remembered.set(key, answers);
    answers.push({ at: this.clock.now(), output });
    while (answers[0]!.at < this.clock.now() - STALE_MS.others) answers.shift();
  }
}

const isEventual = (action: string, input: Record<string, any>) =>
  EVENTUAL.test(action) && input.ConsistentRead !== true;

const keyOf = (service: string, action: string, input: Record<string, any>) =>
  `${service} ${action} ${JSON.stringify(input)}`;

const between = ({ least, most }: { least: number; most: number }, random: number) =>
  Math.round(least + random * (most - least));

function throttling(service: string): AwsError {
  switch (service) {
    case 'ec2':
      return new AwsError('RequestLimitExceeded', 'Request limit exceeded.', 503);
    case 'dynamodb':
      return new AwsError('ThrottlingException', 'Throughput exceeds the current capacity of your table or index.');
    default:
      return new AwsError('Throttling', 'Rate exceeded');
  }
}

function conflict(action: string, input: Record<string, any>): AwsError {
  const message = 'Transaction is ongoing for the item';
  if (action !== 'TransactWriteItems') return new AwsError('TransactionConflictException', message);
  const CancellationReasons = (input.TransactItems as unknown[]).map((_, n) =>
    n === 0 ? { Code: 'TransactionConflict', Message: message } : { Code: 'None' },
  );
  return new AwsError(
    'TransactionCanceledException',
    'Transaction cancelled, please refer cancellation reasons for specific reasons ' +
      `[${CancellationReasons.map(({ Code }) => Code).join(', ')}]`,
    400,
    { CancellationReasons },
  );
}

/**
 * Lambda: functions, and event source mappings for queues and table streams. The given runner runs the code; this
 * decides what to invoke when, how often and with what.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
 */
import type { Context } from '../core/context';
import type { Iam } from '../iam/iam';
import type { Authorization } from '../iam/authorization';
import { matchesPattern } from '../events/pattern';
import { md5, receiveAttributes, type Message, type Queue, type Sqs } from '../sqs/sqs';
import { AwsError, type FunctionRunner, type FunctionSpec } from '../core/types';

/** A stream record as functions receive it. */
export interface StreamRecord {
  eventID?: string;
  eventName?: string;
  eventSourceARN?: string;
  dynamodb?: Record<string, any>;
  [member: string]: unknown;
}

export interface LambdaFunction {
  logicalId: string;
  name: string;
  arn: string;
  codePath: string;
  handler: string;
  timeoutMs: number;
  memoryMiB: number;
  environment: Record<string, string>;
  roleName: string;
  logGroup: string;
}

export interface MappingOptions {
  functionName: string;
  eventSourceArn: string;
  enabled: boolean;
  batchSize: number;
  batchingWindowMs: number;
  filters: Record<string, any>[];
  reportBatchItemFailures: boolean;
  /** Queues only. */
  maximumConcurrency?: number;
  /** Streams only; -1 for no limit. */
  maximumRetryAttempts: number;
  /** Streams only; -1 for no limit. */
  maximumRecordAgeMs: number;
  startingPosition?: 'TRIM_HORIZON' | 'LATEST';
  bisectOnError: boolean;
  /** Streams only: ARN of a queue that receives a message about each discarded batch. */
  onFailureArn?: string;
}

interface Mapping {
  id: string;
  options: MappingOptions;
  fn: LambdaFunction;
  stopped: boolean;
  /** Resolves when its last invocation has ended. */
  close(): Promise<void>;
}

/**
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html : a mapping without a maximum concurrency
 * starts with five concurrent batches.
 */
const INITIAL_QUEUE_CONCURRENCY = 5;
/** Streams keep records for 24 hours: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html */
const STREAM_RETENTION_MS = 24 * 3_600_000;
/** The back-off of a failed stream batch is not published. Ours doubles, up to a minute. */
const STREAM_RETRY_MS = 500;
const STREAM_RETRY_LIMIT_MS = 60_000;

/** "A one-minute wait between the first two attempts, and two minutes between the second and third attempts." */
const ASYNCHRONOUS_RETRIES_MS = [60_000, 120_000];

/** What the execution role must allow before a mapping can be created. */
const QUEUE_ACTIONS = ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes'];
/**
 * ListStreams has no resources, but Lambda accepts a role that allows it on the stream only, as roles of the Serverless
 * Framework do.
 */
const STREAM_ACTIONS = ['GetRecords', 'GetShardIterator', 'DescribeStream', 'ListStreams'];
const READ_ACTIONS = ['GetShardIterator', 'GetRecords'];
/** How soon a mapping polls again after a denial is not published. */
const DENIED_RETRY_MS = 30_000;

export class Lambda {
  private readonly functions = new Map<string, LambdaFunction>();
  private readonly mappings = new Map<string, Mapping>();
  /** Records by table name; `first` is the position of the oldest kept one. */
  private readonly streams = new Map<
    string,
    { first: number; records: { at: number; record: StreamRecord }[]; listeners: Set<() => void> }
  >();

  constructor(
    private readonly context: Context,
    private readonly iam: Iam,
    private readonly authorization: Authorization,
    private readonly sqs: Sqs,
    private readonly runner: FunctionRunner,
  ) {}

  createFunction(fn: Omit<LambdaFunction, 'arn'>): LambdaFunction {
    if (this.functions.has(fn.name))
      throw new AwsError('ResourceConflictException', `Function already exist: ${fn.name}`, 409);
    // https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html#permissions-executionrole-trustrelationship
    if (!this.authorization.trusts(this.iam.role(fn.roleName), 'lambda.amazonaws.com')) {
      throw new AwsError(
        'InvalidParameterValueException',
        'The role defined for the function cannot be assumed by Lambda.',
      );
    }
    const created = { ...fn, arn: this.context.arn('lambda', `function:${fn.name}`) };
    this.functions.set(fn.name, created);
    return created;
  }

  /** Changes a function from its next invocation on. */
  updateFunction(name: string, changes: Partial<Omit<LambdaFunction, 'arn' | 'name' | 'logicalId'>>): LambdaFunction {
    return Object.assign(this.fn(name), changes);
  }

  deleteFunction(name: string): void {
    this.functions.delete(name);
  }

  allFunctions(): LambdaFunction[] {
    return [...this.functions.values()];
  }

  /** @param nameOrArn either */
  fn(nameOrArn: string): LambdaFunction {
    const name = nameOrArn.slice(nameOrArn.lastIndexOf(':') + 1);
    const fn = this.functions.get(name);
    if (!fn)
      throw new AwsError(
        'ResourceNotFoundException',
        `Function not found: ${this.context.arn('lambda', `function:${name}`)}`,
        404,
      );
    return fn;
  }

  /** What a runner needs to run the function, including the variables that Lambda itself sets. */
  spec(fn: LambdaFunction): FunctionSpec {
    return {
      logicalId: fn.logicalId,
      name: fn.name,
      codePath: fn.codePath,
      handler: fn.handler,
      timeoutMs: fn.timeoutMs,
      // https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
      environment: {
        ...fn.environment,
        _HANDLER: fn.handler,
        AWS_REGION: this.context.region,
        AWS_DEFAULT_REGION: this.context.region,
        AWS_LAMBDA_FUNCTION_NAME: fn.name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(fn.memoryMiB),
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_LOG_GROUP_NAME: fn.logGroup,
      },
      credentials: this.iam.credentials(fn.roleName, fn.name),
    };
  }

  /** Whether the function's role allows an action. */
  private may(fn: LambdaFunction, action: string, resource: string): boolean {
    return this.authorization.may(this.iam.session(fn.roleName, fn.name), { action, resource });
  }

  /**
   * Lambda writes logs with the function's role. A function that may not log still runs, but its log lines are lost;
   * only the runner keeps them.
   * Source:
   * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-prereqs
   */
  private openLog(fn: LambdaFunction): void {
    const stream = this.context.arn('logs', `log-group:${fn.logGroup}:log-stream:${fn.name}`);
    if (this.may(fn, 'logs:CreateLogStream', stream)) this.may(fn, 'logs:PutLogEvents', stream);
  }

  /** Runs the function once. @throws whatever the runner rejects with */
  async invoke(nameOrArn: string, event: unknown): Promise<unknown> {
    const fn = this.fn(nameOrArn);
    this.openLog(fn);
    const started = this.context.clock.now();
    try {
      const result = await this.runner.invoke(this.spec(fn), event);
      this.context.emit('lambda', 'invoked', fn.name, {
        logicalId: fn.logicalId,
        durationMs: this.context.clock.now() - started,
      });
      return result;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.context.emit('lambda', 'failed', fn.name, {
        logicalId: fn.logicalId,
        durationMs: this.context.clock.now() - started,
        reason,
      });
      throw error;
    }
  }

  /**
   * Invokes a function asynchronously: the caller gets no result, and a failure is retried twice.
   * Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
   */
  invokeLater(nameOrArn: string, event: unknown): void {
    this.context.start(async () => {
      for (const pauseMs of [...ASYNCHRONOUS_RETRIES_MS, undefined]) {
        try {
          await this.invoke(nameOrArn, event);
          return;
        } catch {
          // The event log has the failure.
          if (pauseMs !== undefined) await this.context.sleep(pauseMs);
        }
      }
    });
  }

  /** Takes a stream record of a table. */
  publish(tableName: string, record: StreamRecord): void {
    const stream = this.stream(tableName);
    const now = this.context.clock.now();
    while (stream.records.length > 0 && now - stream.records[0]!.at > STREAM_RETENTION_MS) {
      stream.records.shift();
      stream.first += 1;
    }
    stream.records.push({ at: now, record });
    for (const listener of [...stream.listeners]) listener();
  }

  /** Removes the stream of a deleted table. */
  dropStream(tableName: string): void {
    this.streams.delete(tableName);
  }

  createMapping(options: MappingOptions): string {
    const fn = this.fn(options.functionName);
    const id = this.context.clock.uuid();
    const mapping =
      options.eventSourceArn.split(':')[2] === 'sqs'
        ? this.queueMapping(id, fn, options)
        : this.streamMapping(id, fn, options);
    this.mappings.set(id, mapping);
    return id;
  }

  async deleteMapping(id: string): Promise<void> {
    const mapping = this.mappings.get(id);
    this.mappings.delete(id);
    await mapping?.close();
  }

  private queueMapping(id: string, fn: LambdaFunction, options: MappingOptions): Mapping {
    const queue = this.sqs.byArn(options.eventSourceArn);
    if (!queue) {
      throw new AwsError(
        'InvalidParameterValueException',
        'Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS ' +
          `Error Message: The specified queue does not exist: ${options.eventSourceArn}`,
      );
    }
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    if (queue.visibilityTimeoutMs < fn.timeoutMs) {
      throw new AwsError(
        'InvalidParameterValueException',
        `Queue visibility timeout: ${queue.visibilityTimeoutMs / 1000} seconds is less than Function ` +
          `timeout: ${fn.timeoutMs / 1000} seconds`,
      );
    }
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions ; AWS's words:
    // https://github.com/aws/aws-cdk/issues/6770
    const missing = QUEUE_ACTIONS.find((action) => !this.may(fn, `sqs:${action}`, queue.arn));
    if (missing)
      throw new AwsError(
        'InvalidParameterValueException',
        `The provided execution role does not have permissions to call ${missing} on SQS`,
      );
    if (
      options.maximumConcurrency !== undefined &&
      (options.maximumConcurrency < 2 || options.maximumConcurrency > 1000)
    ) {
      throw new AwsError(
        'InvalidParameterValueException',
        `MaximumConcurrency must be between 2 and 1000, not ${options.maximumConcurrency}`,
      );
    }
    const bound = options.maximumConcurrency ?? INITIAL_QUEUE_CONCURRENCY;
    const pollers = new Counter();
    const poll = async () => {
      await this.context.delay('queue');
      if (options.batchingWindowMs > 0 && queue.counts().visible < options.batchSize)
        await this.context.sleep(options.batchingWindowMs);
      while (!mapping.stopped && !this.context.stopped) {
        if (!this.may(fn, 'sqs:ReceiveMessage', queue.arn)) return this.context.sleep(DENIED_RETRY_MS);
        const batch = queue.receive(options.batchSize);
        if (batch.length === 0) return;
        await this.deliverMessages(queue, fn, options, batch);
      }
    };
    const wake = () => {
      if (!options.enabled || mapping.stopped || pollers.count >= bound || queue.counts().visible === 0) return;
      this.context.start(async () => {
        await pollers.during(poll);
        // A message may have arrived since this poller's last look.
        wake();
      });
    };
    const forget = queue.onAvailable(wake);
    const mapping: Mapping = {
      id,
      options,
      fn,
      stopped: false,
      close: () => {
        mapping.stopped = true;
        forget();
        return pollers.none();
      },
    };
    wake();
    return mapping;
  }

  /**
   * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html : messages are deleted on success;
   * after a failure they reappear when the visibility timeout ends.
   */
  private async deliverMessages(
    queue: Queue,
    fn: LambdaFunction,
    options: MappingOptions,
    batch: Message[],
  ): Promise<void> {
    const wanted = batch.filter(
      (message) =>
        options.filters.length === 0 ||
        options.filters.some((filter) => matchesPattern(filter, { body: parsed(message.body) })),
    );
    const handles = new Map(batch.map((message) => [message.id, message.receiptHandle!]));
    const forget = (message: Message) => {
      if (this.may(fn, 'sqs:DeleteMessage', queue.arn)) queue.delete(handles.get(message.id)!);
    };
    for (const message of batch) if (!wanted.includes(message)) forget(message);
    if (wanted.length === 0) return;
    const event = {
      Records: wanted.map((message) => ({
        messageId: message.id,
        receiptHandle: message.receiptHandle,
        body: message.body,
        attributes: receiveAttributes(message),
        messageAttributes: {},
        md5OfBody: md5(message.body),
        eventSource: 'aws:sqs',
        eventSourceARN: queue.arn,
        awsRegion: this.context.region,
      })),
    };
    let result: unknown;
    try {
      result = await this.invoke(fn.arn, event);
    } catch {
      // The event log has the failure; the messages stay in the queue.
      return;
    }
    const failed = options.reportBatchItemFailures ? failedItems(result) : new Set<string>();
    for (const message of wanted) if (!failed.has(message.id)) forget(message);
  }

  private streamMapping(id: string, fn: LambdaFunction, options: MappingOptions): Mapping {
    const [, tableName] = /:table\/([^/]+)\/stream\//.exec(options.eventSourceArn) ?? [];
    if (!tableName)
      throw new Error(
        `The emulation maps functions to queues and to table streams, not to '${options.eventSourceArn}'.`,
      );
    if (options.startingPosition === undefined)
      throw new AwsError(
        'InvalidParameterValueException',
        '1 validation error detected: Value null at startingPosition failed to satisfy constraint: Member ' +
          'must not be null.',
      );
    // https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#services-dynamodb-eventsourcemapping ; AWS's words:
    // https://github.com/aws-samples/lambda-refarch-webapp/issues/7
    if (!STREAM_ACTIONS.every((action) => this.may(fn, `dynamodb:${action}`, options.eventSourceArn))) {
      throw new AwsError(
        'InvalidParameterValueException',
        `Cannot access stream ${options.eventSourceArn}. Please ensure the role can perform the ` +
          'GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.',
      );
    }
    const stream = this.stream(tableName);
    let position = options.startingPosition === 'LATEST' ? stream.first + stream.records.length : stream.first;
    const readers = new Counter();
    const read = async () => {
      await this.context.delay('stream');
      if (options.batchingWindowMs > 0) await this.context.sleep(options.batchingWindowMs);
      for (;;) {
        position = Math.max(position, stream.first);
        const batch = stream.records.slice(position - stream.first, position - stream.first + options.batchSize);
        if (batch.length === 0 || mapping.stopped) return;
        if (!READ_ACTIONS.every((action) => this.may(fn, `dynamodb:${action}`, options.eventSourceArn)))
          return this.context.sleep(DENIED_RETRY_MS);
        const next = position + batch.length;
        const wanted = batch.filter(
          ({ record }) =>
            options.filters.length === 0 || options.filters.some((filter) => matchesPattern(filter, record)),
        );
        await this.deliverRecords(mapping, wanted);
        position = Math.max(position, next);
      }
    };
    const wake = () => {
      // One shard, in order: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
      if (!options.enabled || mapping.stopped || readers.count > 0 || position >= stream.first + stream.records.length)
        return;
      this.context.start(async () => {
        await readers.during(read);
        wake();
      });
    };
    stream.listeners.add(wake);
    const mapping: Mapping = {
      id,
      options,
      fn,
      stopped: false,
      close: () => {
        mapping.stopped = true;
        stream.listeners.delete(wake);
        return readers.none();
      },
    };
    wake();
    return mapping;
  }

  /**
   * https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-errors.html : the shard blocks until the batch succeeds,
   * or reaches its maximum retries or record age.
   */
  private async deliverRecords(mapping: Mapping, batch: { at: number; record: StreamRecord }[]): Promise<void> {
    const { options, fn } = mapping;
    const discard = (reason: string, records: typeof batch) => {
      this.context.emit('lambda', 'discarded', fn.name, { logicalId: fn.logicalId, records: records.length, reason });
      const queue = options.onFailureArn === undefined ? undefined : this.sqs.byArn(options.onFailureArn);
      // https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html : the function's role must be
      // allowed to send to the destination.
      if (!queue || !this.may(fn, 'sqs:SendMessage', queue.arn)) return;
      queue.send(
        JSON.stringify({
          requestContext: { functionArn: fn.arn, condition: reason },
          DDBStreamBatchInfo: { batchSize: records.length, streamArn: options.eventSourceArn },
        }),
        'lambda',
      );
    };
    let rest = batch;
    for (let attempt = 0; !mapping.stopped; attempt += 1) {
      const limit = options.maximumRecordAgeMs;
      const tooOld = limit < 0 ? [] : rest.filter(({ at }) => this.context.clock.now() - at > limit);
      if (tooOld.length > 0) discard('RecordAgeExceeded', tooOld);
      rest = rest.filter((entry) => !tooOld.includes(entry));
      if (rest.length === 0) return;
      try {
        const result = await this.invoke(fn.arn, { Records: rest.map(({ record }) => record) });
        const failed = options.reportBatchItemFailures ? failedItems(result) : new Set<string>();
        const from = rest.findIndex(({ record }) => failed.has(String(record.dynamodb?.SequenceNumber)));
        if (from < 0) return;
        if (from > 0) attempt = -1;
        rest = rest.slice(from);
      } catch {
        // The event log has the failure; the batch is retried below.
      }
      if (options.maximumRetryAttempts >= 0 && attempt >= options.maximumRetryAttempts)
        return discard('RetryAttemptsExhausted', rest);
      if (options.bisectOnError && rest.length > 1) {
        const middle = Math.ceil(rest.length / 2);
        await this.deliverRecords(mapping, rest.slice(0, middle));
        return this.deliverRecords(mapping, rest.slice(middle));
      }
      await this.context.sleep(
        Math.min(STREAM_RETRY_MS * 2 ** Math.min(Math.max(attempt, 0), 10), STREAM_RETRY_LIMIT_MS),
      );
    }
  }

  private stream(tableName: string) {
    let stream = this.streams.get(tableName);
    if (!stream) this.streams.set(tableName, (stream = { first: 0, records: [], listeners: new Set() }));
    return stream;
  }
}

/** Counts running work, and resolves when none is left. */
class Counter {
  count = 0;
  private waiting: (() => void)[] = [];

  async during(work: () => Promise<void>): Promise<void> {
    this.count += 1;
    try {
      await work();
    } finally {
      this.count -= 1;
      if (this.count === 0) for (const resolve of this.waiting.splice(0)) resolve();
    }
  }

  none(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.waiting.push(resolve));
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/example_serverless_SQS_Lambda_batch_item_failures_section.html */
function failedItems(result: unknown): Set<string> {
  const failures =
    (result as { batchItemFailures?: { itemIdentifier: string }[] } | null | undefined)?.batchItemFailures ?? [];
  return new Set(failures.map((failure) => failure.itemIdentifier));
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

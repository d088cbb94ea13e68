/**
 * SQS standard queues: visibility, receive counts, delays, redrive to a dead-letter queue. Messages keep their order,
 * and each is delivered at least once.
 */
import { createHash } from 'node:crypto';
import type { Context } from '../core/context';
import { AwsError, type Principal, type Service } from '../core/types';

export interface QueueAttributes {
  /** Seconds. @default 30 */
  visibilityTimeout?: number;
  /** Seconds. @default 0 */
  delay?: number;
  /** Seconds. @default 345600 (4 days) */
  retention?: number;
  redrive?: { deadLetterTargetArn: string; maxReceiveCount: number };
}

export interface Message {
  id: string;
  body: string;
  sentAt: number;
  senderId: string;
  receiveCount: number;
  firstReceivedAt: number | undefined;
  /** When it becomes visible (again). */
  visibleAt: number;
  receiptHandle: string | undefined;
  wake: () => void;
}

/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html : 1 MiB */
const MAX_BODY_BYTES = 1_048_576;

export class Queue {
  readonly arn: string;
  readonly visibilityTimeoutMs: number;
  private readonly delayMs: number;
  private readonly retentionMs: number;
  private readonly messages = new Set<Message>();
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly context: Context,
    readonly name: string,
    readonly attributes: QueueAttributes,
    private readonly deadLetterQueue: (arn: string) => Queue | undefined,
  ) {
    this.arn = context.arn('sqs', name);
    this.visibilityTimeoutMs = (attributes.visibilityTimeout ?? 30) * 1000;
    this.delayMs = (attributes.delay ?? 0) * 1000;
    this.retentionMs = (attributes.retention ?? 345_600) * 1000;
  }

  send(body: string, senderId: string, delayMs = this.delayMs): Message {
    if (Buffer.byteLength(body) > MAX_BODY_BYTES) {
      throw new AwsError(
        'InvalidParameterValue',
        `One or more parameters are invalid. Reason: Message must be shorter than ${MAX_BODY_BYTES} bytes.`,
      );
    }
    const message: Message = {
      id: this.context.clock.uuid(),
      body,
      sentAt: this.context.clock.now(),
      senderId,
      receiveCount: 0,
      firstReceivedAt: undefined,
      visibleAt: this.context.clock.now(),
      receiptHandle: undefined,
      wake: () => undefined,
    };
    this.messages.add(message);
    this.hide(message, delayMs);
    return message;
  }

  /**
   * Receives up to `max` visible messages and hides them for the visibility timeout. Messages that were received too
   * often go to the dead-letter queue instead.
   */
  receive(max: number, visibilityMs = this.visibilityTimeoutMs): Message[] {
    const now = this.context.clock.now();
    const received: Message[] = [];
    for (const message of this.messages) {
      if (received.length >= max) break;
      if (now - message.sentAt > this.retentionMs) {
        this.remove(message);
        continue;
      }
      if (message.visibleAt > now) continue;
      const { redrive } = this.attributes;
      const deadLetters =
        redrive && message.receiveCount >= redrive.maxReceiveCount
          ? this.deadLetterQueue(redrive.deadLetterTargetArn)
          : undefined;
      if (deadLetters) {
        this.remove(message);
        deadLetters.adopt(message);
        this.context.emit('sqs', 'dead-lettered', message.id, {
          queue: this.name,
          deadLetterQueue: deadLetters.name,
          receiveCount: message.receiveCount,
        });
        continue;
      }
      message.receiveCount += 1;
      message.firstReceivedAt ??= now;
      message.receiptHandle = this.context.clock.uuid();
      received.push(message);
    }
    for (const message of received) this.hide(message, visibilityMs);
    return received;
  }

  /** Deletes by receipt handle. An old handle of a message that was received again deletes nothing. */
  delete(receiptHandle: string): void {
    const message = this.byReceipt(receiptHandle);
    if (message) this.remove(message);
  }

  changeVisibility(receiptHandle: string, ms: number): void {
    const message = this.byReceipt(receiptHandle);
    if (!message) {
      throw new AwsError(
        'ReceiptHandleIsInvalid',
        `The input receipt handle "${receiptHandle}" is not a valid receipt handle.`,
      );
    }
    this.hide(message, ms);
  }

  /** Calls the listener when there may be messages to receive. */
  onAvailable(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  counts(): { visible: number; hidden: number } {
    const now = this.context.clock.now();
    const visible = [...this.messages].filter((message) => message.visibleAt <= now).length;
    return { visible, hidden: this.messages.size - visible };
  }

  /** The messages in the queue, oldest first; for tests. */
  peek(): readonly Message[] {
    return [...this.messages];
  }

  close(): void {
    for (const message of [...this.messages]) this.remove(message);
    this.listeners.clear();
  }

  /** Takes a message of another queue, which keeps its id and the time it was first sent. */
  private adopt(message: Message): void {
    const adopted: Message = { ...message, receiveCount: 0, firstReceivedAt: undefined, receiptHandle: undefined };
    this.messages.add(adopted);
    this.hide(adopted, 0);
  }

  private hide(message: Message, ms: number): void {
    message.wake();
    message.visibleAt = this.context.clock.now() + ms;
    if (ms <= 0) return this.notify();
    message.wake = this.context.after(ms, () => this.notify());
  }

  private remove(message: Message): void {
    message.wake();
    this.messages.delete(message);
  }

  private notify(): void {
    for (const listener of [...this.listeners]) listener();
  }

  private byReceipt(receiptHandle: string): Message | undefined {
    return [...this.messages].find((message) => message.receiptHandle === receiptHandle);
  }
}

export class Sqs implements Service {
  /** The origin of queue URLs. SDK clients send to it unless their code sets another endpoint. */
  origin: string;
  private readonly queues = new Map<string, Queue>();

  constructor(private readonly context: Context) {
    this.origin = `https://sqs.${context.region}.amazonaws.com`;
  }

  createQueue(name: string, attributes: QueueAttributes): Queue {
    if (this.queues.has(name))
      throw new AwsError(
        'QueueNameExists',
        'A queue already exists with the same name and a different value for attributes',
      );
    const queue = new Queue(this.context, name, attributes, (arn) => this.byArn(arn));
    this.queues.set(name, queue);
    return queue;
  }

  deleteQueue(name: string): void {
    this.queues.get(name)?.close();
    this.queues.delete(name);
  }

  url(queue: Queue): string {
    return `${this.origin}/${this.context.accountId}/${queue.name}`;
  }

  byArn(arn: string): Queue | undefined {
    return [...this.queues.values()].find((queue) => queue.arn === arn);
  }

  byUrl(url: string): Queue {
    const [, account, name] = /\/(\d{12})\/([\w-]+)$/.exec(url ?? '') ?? [];
    const queue = account === this.context.accountId ? this.queues.get(name ?? '') : undefined;
    if (!queue) throw new AwsError('QueueDoesNotExist', 'The specified queue does not exist.');
    return queue;
  }

  all(): Queue[] {
    return [...this.queues.values()];
  }

  async call(action: string, input: Record<string, any>, principal: Principal): Promise<Record<string, any>> {
    switch (action) {
      case 'SendMessage': {
        const message = this.byUrl(input.QueueUrl).send(
          input.MessageBody,
          principal.userId,
          input.DelaySeconds === undefined ? undefined : input.DelaySeconds * 1000,
        );
        return { MessageId: message.id, MD5OfMessageBody: md5(message.body) };
      }
      case 'ReceiveMessage':
        return this.receive(this.byUrl(input.QueueUrl), input);
      case 'DeleteMessage':
        this.byUrl(input.QueueUrl).delete(input.ReceiptHandle);
        return {};
      case 'ChangeMessageVisibility':
        this.byUrl(input.QueueUrl).changeVisibility(input.ReceiptHandle, input.VisibilityTimeout * 1000);
        return {};
      case 'GetQueueUrl': {
        const queue = this.queues.get(input.QueueName);
        if (!queue) throw new AwsError('QueueDoesNotExist', 'The specified queue does not exist.');
        return { QueueUrl: this.url(queue) };
      }
      case 'GetQueueAttributes': {
        const queue = this.byUrl(input.QueueUrl);
        const { visible, hidden } = queue.counts();
        const all: Record<string, string> = {
          QueueArn: queue.arn,
          VisibilityTimeout: String(queue.visibilityTimeoutMs / 1000),
          ApproximateNumberOfMessages: String(visible),
          ApproximateNumberOfMessagesNotVisible: String(hidden),
          ...(queue.attributes.redrive && { RedrivePolicy: JSON.stringify(queue.attributes.redrive) }),
        };
        const wanted: string[] = input.AttributeNames ?? [];
        return {
          Attributes: Object.fromEntries(
            Object.entries(all).filter(([name]) => wanted.includes('All') || wanted.includes(name)),
          ),
        };
      }
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of SQS. It knows SendMessage, ` +
            'ReceiveMessage, DeleteMessage, ChangeMessageVisibility, GetQueueUrl, GetQueueAttributes.',
        );
    }
  }

  private async receive(queue: Queue, input: Record<string, any>): Promise<Record<string, any>> {
    const max = input.MaxNumberOfMessages ?? 1;
    if (max < 1 || max > 10) {
      throw new AwsError(
        'InvalidParameterValue',
        `Value ${max} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`,
      );
    }
    const visibilityMs = input.VisibilityTimeout === undefined ? undefined : input.VisibilityTimeout * 1000;
    let messages = queue.receive(max, visibilityMs);
    if (messages.length === 0 && input.WaitTimeSeconds > 0) {
      await new Promise<void>((resolve) => {
        const done = () => {
          forget();
          cancel();
          resolve();
        };
        const forget = queue.onAvailable(done);
        const cancel = this.context.after(input.WaitTimeSeconds * 1000, done);
      });
      messages = queue.receive(max, visibilityMs);
    }
    if (messages.length === 0) return {};
    return {
      Messages: messages.map((message) => ({
        MessageId: message.id,
        ReceiptHandle: message.receiptHandle,
        Body: message.body,
        MD5OfBody: md5(message.body),
        Attributes: receiveAttributes(message),
      })),
    };
  }
}

export function receiveAttributes(message: Message): Record<string, string> {
  return {
    SenderId: message.senderId,
    SentTimestamp: String(message.sentAt),
    ApproximateReceiveCount: String(message.receiveCount),
    ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
  };
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

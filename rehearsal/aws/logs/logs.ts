/** CloudWatch Logs: groups, streams and their lines, in memory. */
import type { Context } from '../core/context';
import { AwsError, type Service } from '../core/types';

export interface LogLine {
  timestamp: number;
  message: string;
}

/**
 * Limits of one PutLogEvents:
 * https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
 */
const MAX_EVENTS = 10_000;
const MAX_BYTES = 1_048_576;
const BYTES_PER_EVENT = 26;

export class Logs implements Service {
  private readonly groups = new Map<string, Map<string, LogLine[]>>();

  constructor(private readonly context: Context) {}

  createGroup(name: string): void {
    if (this.groups.has(name))
      throw new AwsError('ResourceAlreadyExistsException', 'The specified log group already exists');
    this.groups.set(name, new Map());
  }

  deleteGroup(name: string): void {
    this.groups.delete(name);
  }

  groupNames(): string[] {
    return [...this.groups.keys()];
  }

  streamNames(group: string): string[] {
    return [...(this.groups.get(group)?.keys() ?? [])];
  }

  /** The lines of a stream; empty if the stream does not exist. */
  lines(group: string, stream: string): LogLine[] {
    return [...(this.groups.get(group)?.get(stream) ?? [])];
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    switch (action) {
      case 'CreateLogStream':
        return this.createStream(input.logGroupName, input.logStreamName);
      case 'PutLogEvents':
        return this.put(input.logGroupName, input.logStreamName, input.logEvents ?? []);
      case 'GetLogEvents':
        return {
          events: this.stream(input.logGroupName, input.logStreamName).map((line) => ({
            ...line,
            ingestionTime: line.timestamp,
          })),
        };
      default:
        throw new Error(
          `The emulation does not know the action '${action}' of CloudWatch Logs. It knows ` +
            'CreateLogStream, PutLogEvents, GetLogEvents.',
        );
    }
  }

  private createStream(groupName: string, name: string): Record<string, any> {
    const group = this.group(groupName);
    // ':' and '*' are not allowed in a stream's name:
    // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html
    if (!/^[^:*]{1,512}$/.test(name)) {
      throw new AwsError(
        'InvalidParameterException',
        `1 validation error detected: Value '${name}' at 'logStreamName' failed to satisfy constraint: ` +
          'Member must satisfy regular expression pattern: [^:*]*',
      );
    }
    if (group.has(name))
      throw new AwsError('ResourceAlreadyExistsException', 'The specified log stream already exists');
    group.set(name, []);
    return {};
  }

  private put(groupName: string, streamName: string, events: LogLine[]): Record<string, any> {
    const stream = this.stream(groupName, streamName);
    const bytes = events.reduce((sum, event) => sum + Buffer.byteLength(event.message) + BYTES_PER_EVENT, 0);
    if (events.length < 1 || events.length > MAX_EVENTS || bytes > MAX_BYTES) {
      throw new AwsError(
        'InvalidParameterException',
        `Upload too large: ${bytes} bytes exceeds limit of ${MAX_BYTES}, or not between 1 and ` +
          `${MAX_EVENTS} events: ${events.length}`,
      );
    }
    if (events.some((event, n) => n > 0 && event.timestamp < events[n - 1]!.timestamp)) {
      throw new AwsError(
        'InvalidParameterException',
        'Log events in a single PutLogEvents request must be in chronological order.',
      );
    }
    stream.push(...events.map(({ timestamp, message }) => ({ timestamp, message })));
    return { nextSequenceToken: this.context.letters(56, '0123456789') };
  }

  private group(name: string): Map<string, LogLine[]> {
    const group = this.groups.get(name);
    if (!group) throw new AwsError('ResourceNotFoundException', 'The specified log group does not exist.');
    return group;
  }

  private stream(groupName: string, name: string): LogLine[] {
    const stream = this.group(groupName).get(name);
    if (!stream) throw new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
    return stream;
  }
}

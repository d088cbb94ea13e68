/** The queues that wake the functions. A message means "look again", and nothing else. */
import { Duration } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { FUNCTIONS, MESSAGE_MAPPING, VISIBILITY_TIMEOUT_FACTOR, WORK_QUEUE, type FunctionName } from '../core/defaults';

/** Creates a queue with a dead-letter queue: a message that the function cannot process must not block the others. */
export function createWorkQueue(scope: Construct, name: string, consumer: FunctionName): sqs.Queue {
  const common: sqs.QueueProps = { encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true };
  return new sqs.Queue(scope, `${name}Queue`, {
    ...common,
    visibilityTimeout: Duration.seconds(VISIBILITY_TIMEOUT_FACTOR * FUNCTIONS[consumer].timeout),
    deadLetterQueue: {
      queue: new sqs.Queue(scope, `${name}DeadLetters`, {
        ...common,
        retentionPeriod: Duration.days(WORK_QUEUE.deadLetterDays),
      }),
      maxReceiveCount: WORK_QUEUE.maxReceiveCount,
    },
  });
}

export function mapMessages(
  scope: Construct,
  name: string,
  target: lambda.IFunction,
  queue: sqs.Queue,
): lambda.EventSourceMapping {
  return new lambda.EventSourceMapping(scope, `${name}Messages`, {
    target,
    eventSourceArn: queue.queueArn,
    ...MESSAGE_MAPPING,
  });
}

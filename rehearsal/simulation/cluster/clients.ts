/**
 * The SDK's clients without a network: commands and exceptions are the SDK's own, but `send` is answered in this
 * process. Retries and idempotency tokens, which the real client handles in between, are handled here.
 * Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
 */
import * as autoScaling from '@aws-sdk/client-auto-scaling';
import * as cloudFormation from '@aws-sdk/client-cloudformation';
import * as dynamodb from '@aws-sdk/client-dynamodb';
import * as ec2 from '@aws-sdk/client-ec2';
import * as elb from '@aws-sdk/client-elastic-load-balancing-v2';
import * as eventBridge from '@aws-sdk/client-eventbridge';
import * as sqs from '@aws-sdk/client-sqs';
import { parseRfc3339DateTimeWithOffset } from '@smithy/core/serde';
import type { Clock } from '../../../protocol/clock';
import { AWS_ATTEMPTS } from '../../../protocol/environment';
import { AwsError } from '../../aws/core/types';

/**
 * Answers one request, in the SDK's shapes.
 * @throws AwsError as the service would; {@link NoAnswer} when no answer comes
 */
export type Answer = (service: string, action: string, input: Record<string, any>) => Promise<Record<string, any>>;

/** The request or its answer was lost, so the caller cannot know whether it was carried out. */
export class NoAnswer extends Error {
  override readonly name = 'TimeoutError';
}

const BACK_OFF_MS = 100;
/**
 * Source:
 * https://github.com/smithy-lang/smithy-typescript/blob/main/packages/service-error-classification/src/constants.ts
 */
const RETRYABLE =
  /Throttl|TooManyRequests|RequestLimitExceeded|ProvisionedThroughputExceeded|TransactionInProgress|InternalServerError|InternalFailure|ServiceUnavailable|Unavailable/;

type ServiceException = new (options: {
  name: string;
  $fault: 'client' | 'server';
  message: string;
  $metadata: object;
}) => Error;
type ModeledException = new (options: { message: string; $metadata: object }) => Error;

/** The exceptions of one client. */
interface Exceptions {
  base: ServiceException;
  /** The classes of modelled errors, by error code. */
  modeled?(code: string): ModeledException | undefined;
}

const DYNAMODB_MODELED: Record<string, ModeledException> = {
  ConditionalCheckFailedException: dynamodb.ConditionalCheckFailedException,
  TransactionCanceledException: dynamodb.TransactionCanceledException,
  TransactionConflictException: dynamodb.TransactionConflictException,
};

/** By service name (as in `aws/services.ts`), for the services that functions and agents call. */
const EXCEPTIONS: Record<string, Exceptions> = {
  autoscaling: { base: autoScaling.AutoScalingServiceException },
  cloudformation: { base: cloudFormation.CloudFormationServiceException },
  dynamodb: { base: dynamodb.DynamoDBServiceException, modeled: (code) => DYNAMODB_MODELED[code] },
  ec2: { base: ec2.EC2ServiceException },
  elasticloadbalancing: {
    base: elb.ElasticLoadBalancingV2ServiceException,
    // Most errors have a class named after the code.
    modeled: (code) => (elb as unknown as Record<string, ModeledException | undefined>)[`${code}Exception`],
  },
  events: { base: eventBridge.EventBridgeServiceException },
  sqs: { base: sqs.SQSServiceException },
};

export interface Clients {
  autoScaling: autoScaling.AutoScalingClient;
  cloudFormation: cloudFormation.CloudFormationClient;
  dynamodb: dynamodb.DynamoDBClient;
  ec2: ec2.EC2Client;
  elasticLoadBalancing: elb.ElasticLoadBalancingV2Client;
  eventBridge: eventBridge.EventBridgeClient;
  sqs: sqs.SQSClient;
}

export function inProcessClients(clock: Clock, answer: Answer): Clients {
  // An instance of the client's class, since the SDK's paginators accept nothing else; never constructed, so that it
  // has no credentials, no sockets and no configuration.
  const client = <T extends object>({ prototype }: { prototype: T }, service: string): T =>
    Object.assign(Object.create(prototype), {
      send: (command: { schema: unknown[]; input: Record<string, any> }) => send(clock, answer, service, command),
    });
  return {
    autoScaling: client(autoScaling.AutoScalingClient, 'autoscaling'),
    cloudFormation: client(cloudFormation.CloudFormationClient, 'cloudformation'),
    dynamodb: client(dynamodb.DynamoDBClient, 'dynamodb'),
    ec2: client(ec2.EC2Client, 'ec2'),
    elasticLoadBalancing: client(elb.ElasticLoadBalancingV2Client, 'elasticloadbalancing'),
    eventBridge: client(eventBridge.EventBridgeClient, 'events'),
    sqs: client(sqs.SQSClient, 'sqs'),
  };
}

async function send(
  clock: Clock,
  answer: Answer,
  service: string,
  { schema, input }: { schema: unknown[]; input: Record<string, any> },
): Promise<Record<string, any>> {
  const action = String(schema[2]);
  const asked = asSent(input) as Record<string, any>;
  // The only idempotency token among our calls. The client creates it once for all attempts.
  if (action === 'TransactWriteItems') asked.ClientRequestToken ??= clock.uuid();
  for (let attempt = 1; ; attempt++) {
    try {
      const output = await answer(service, action, asked);
      return service === 'dynamodb' ? output : withMoments(output);
    } catch (error) {
      const again =
        error instanceof NoAnswer || (error instanceof AwsError && (RETRYABLE.test(error.code) || error.status >= 500));
      if (!again || attempt === AWS_ATTEMPTS) throw error instanceof AwsError ? exception(service, error) : error;
      await clock.sleep(clock.random() * BACK_OFF_MS * 2 ** attempt);
    }
  }
}

/** A copy without undefined members, as it goes over the wire. */
function asSent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asSent);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) if (member !== undefined) copy[name] = asSent(member);
  return copy;
}

/**
 * Converts timestamps to the client's type, in place: every answer is a new object, and those for a fleet are large.
 * DynamoDB's answers have no timestamps.
 */
function withMoments(output: Record<string, any>): Record<string, any> {
  for (const name in output) {
    const value: unknown = output[name];
    if (typeof value === 'object' && value !== null) withMoments(value);
    else if (typeof value === 'string' && name.endsWith('Time') && /^\d{4}-\d\d-\d\dT/.test(value))
      output[name] = parseRfc3339DateTimeWithOffset(value);
  }
  return output;
}

function exception(service: string, { code, message, status, members }: AwsError): Error {
  const $metadata = { httpStatusCode: status, attempts: 1 };
  const { base: Base, modeled } = EXCEPTIONS[service]!;
  const Modeled = modeled?.(code);
  if (Modeled !== undefined) return new Modeled({ ...members, message, $metadata });
  return Object.assign(
    new Base({ name: code, $fault: status < 500 ? 'client' : 'server', message, $metadata }),
    members,
  );
}

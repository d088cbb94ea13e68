/**
 * The SDK's clients without a network: the commands are the SDK's own, and so are the exceptions, but `send` is
 * answered in this process. What the real client does between the two (attempts, idempotency tokens) is done here.
 * Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
 */
import { AutoScalingServiceException } from '@aws-sdk/client-auto-scaling';
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationServiceException, type CloudFormationClient } from '@aws-sdk/client-cloudformation';
import {
  ConditionalCheckFailedException,
  DynamoDBServiceException,
  TransactionCanceledException,
  TransactionConflictException,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { EC2ServiceException, type EC2Client } from '@aws-sdk/client-ec2';
import * as elb from '@aws-sdk/client-elastic-load-balancing-v2';
import { EventBridgeServiceException, type EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SQSServiceException, type SQSClient } from '@aws-sdk/client-sqs';
import { parseRfc3339DateTimeWithOffset } from '@smithy/core/serde';
import type { Clock } from '../../protocol/clock';
import { AWS_ATTEMPTS } from '../../protocol/environment';
import { AwsError } from '../aws/core/types';

/** Answers one request, in the SDK's shapes. @throws AwsError as the service would; {@link NoAnswer} when none comes */
export type Answer = (service: string, action: string, input: Record<string, any>) => Promise<Record<string, any>>;

/** Whoever asked hears nothing: the request, or its answer, was lost. Nobody knows whether it was carried out. */
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

const modeled: Record<string, ModeledException> = {
  ConditionalCheckFailedException,
  TransactionCanceledException,
  TransactionConflictException,
};
const exceptions: Record<string, ServiceException> = {
  autoscaling: AutoScalingServiceException,
  cloudformation: CloudFormationServiceException,
  dynamodb: DynamoDBServiceException,
  ec2: EC2ServiceException,
  elasticloadbalancing: elb.ElasticLoadBalancingV2ServiceException,
  events: EventBridgeServiceException,
  sqs: SQSServiceException,
};

export interface Clients {
  autoScaling: AutoScalingClient;
  cloudFormation: CloudFormationClient;
  dynamodb: DynamoDBClient;
  ec2: EC2Client;
  elasticLoadBalancing: elb.ElasticLoadBalancingV2Client;
  eventBridge: EventBridgeClient;
  sqs: SQSClient;
}

export function inProcessClients(clock: Clock, answer: Answer): Clients {
  const client = (service: string) => ({
    send: (command: { schema: unknown[]; input: Record<string, any> }) => send(clock, answer, service, command),
  });
  return {
    autoScaling: client('autoscaling') as unknown as AutoScalingClient,
    cloudFormation: client('cloudformation') as unknown as CloudFormationClient,
    dynamodb: client('dynamodb') as unknown as DynamoDBClient,
    ec2: client('ec2') as unknown as EC2Client,
    elasticLoadBalancing: client('elasticloadbalancing') as unknown as elb.ElasticLoadBalancingV2Client,
    eventBridge: client('events') as unknown as EventBridgeClient,
    sqs: client('sqs') as unknown as SQSClient,
  };
}

/** The client of load balancers knows most errors by a class of their own, named after the code. */
function modeledBy(service: string, code: string): ModeledException | undefined {
  if (service === 'dynamodb') return modeled[code];
  return service === 'elasticloadbalancing'
    ? (elb as unknown as Record<string, ModeledException | undefined>)[`${code}Exception`]
    : undefined;
}

async function send(
  clock: Clock,
  answer: Answer,
  service: string,
  { schema, input }: { schema: unknown[]; input: Record<string, any> },
): Promise<Record<string, any>> {
  const action = String(schema[2]);
  const asked = asSent(input) as Record<string, any>;
  // The one idempotency token among what we call: the client makes it, the same for all attempts.
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

/** A copy without what is undefined, as it goes over the wire. */
function asSent(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asSent);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) if (member !== undefined) copy[name] = asSent(member);
  return copy;
}

/**
 * Makes moments of the type that the client makes of them. In place: a service makes each answer anew, and those of a
 * fleet are large. What DynamoDB answers has none.
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
  const Modeled = modeledBy(service, code);
  if (Modeled !== undefined) return new Modeled({ ...members, message, $metadata });
  return Object.assign(
    new exceptions[service]!({ name: code, $fault: status < 500 ? 'client' : 'server', message, $metadata }),
    members,
  );
}

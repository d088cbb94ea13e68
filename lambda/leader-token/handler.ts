/** Builds leader-token from its parts: the real clients (`index.ts`), or those of a simulation. */
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBStreamEvent } from 'aws-lambda';
import type { Clock } from '../../protocol/clock';
import { PARTITION_KEY } from '../../protocol/keys';
import { Environment, type Variables } from '../shared/environment';
import type { Log } from '../../protocol/log';
import { publish, type Publisher } from './publish';

export interface LeaderTokenParts {
  clock: Clock;
  log: Log;
  variables: Variables;
  dynamodb: DynamoDBClient;
  sqs: SQSClient;
}

/** @throws Error with the name of a missing environment variable */
export function leaderToken({
  clock,
  log,
  variables,
  dynamodb,
  sqs,
}: LeaderTokenParts): (event: DynamoDBStreamEvent) => Promise<void> {
  const environment = new Environment(variables);
  const publisher: Publisher = {
    clock,
    log,
    dynamodb,
    sqs,
    tokenTable: environment.tokenTable(),
    reportTable: environment.reportTable(),
    managerRoleId: environment.roleIds().manager,
    joinQueueUrl: environment.joinQueueUrl(),
    targetsQueueUrl: environment.targetsQueueUrl(),
  };
  return async (event) => {
    const mailboxes = new Set(event.Records.map(({ dynamodb }) => dynamodb?.Keys?.[PARTITION_KEY]?.S ?? ''));
    const outcomes = await Promise.allSettled([...mailboxes].map((mailboxKey) => publish(publisher, mailboxKey)));
    // A report that fails blocks no other, but the invocation must fail so that it is retried.
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  };
}

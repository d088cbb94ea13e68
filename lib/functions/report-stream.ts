/** Wakes a function when an item of one kind is written in the report table. */
import { Duration } from 'aws-cdk-lib';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

/**
 * Few retries and a short age: what is late is found by the sweep, and a bad record must not hold up the good ones
 * behind it.
 */
export function mapReports(
  scope: Construct,
  id: string,
  target: lambda.IFunction,
  reportTable: dynamodb.ITable,
  filter: Record<string, unknown>,
): lambda.EventSourceMapping {
  return new lambda.EventSourceMapping(scope, id, {
    target,
    eventSourceArn: reportTable.tableStreamArn,
    startingPosition: lambda.StartingPosition.TRIM_HORIZON,
    batchSize: 100,
    retryAttempts: 2,
    maxRecordAge: Duration.seconds(60),
    filters: [lambda.FilterCriteria.filter(filter)],
  });
}

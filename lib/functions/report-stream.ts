/** Wakes a function when an item that matches the filter is written to the report table. */
import { Duration } from 'aws-cdk-lib';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { REPORT_MAPPING } from '../core/defaults';

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
    batchSize: REPORT_MAPPING.batchSize,
    retryAttempts: REPORT_MAPPING.retryAttempts,
    maxRecordAge: Duration.seconds(REPORT_MAPPING.maxRecordAge),
    filters: [lambda.FilterCriteria.filter(filter)],
  });
}

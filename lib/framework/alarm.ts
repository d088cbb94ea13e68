/** Turns the alarms of `lib/core/alarms.ts`, which are data, into the framework's classes. */
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import type { Alarm } from '../core/alarms';

export function createAlarm(
  scope: Construct,
  { id, description, comparison, threshold, periods, missing }: Omit<Alarm, 'watches'>,
  metric: cloudwatch.IMetric,
): cloudwatch.Alarm {
  return new cloudwatch.Alarm(scope, id, {
    alarmDescription: description,
    metric,
    threshold,
    evaluationPeriods: periods,
    comparisonOperator:
      comparison === 'below'
        ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        : cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    treatMissingData:
      missing === 'breaching' ? cloudwatch.TreatMissingData.BREACHING : cloudwatch.TreatMissingData.NOT_BREACHING,
  });
}

/** Every alarm of this construct takes these actions when it goes off and when it ends. */
export function addActions(scope: Construct, actions: readonly cloudwatch.IAlarmAction[]): void {
  if (actions.length === 0) return;
  for (const alarm of scope.node.children.filter((child) => child instanceof cloudwatch.Alarm)) {
    alarm.addAlarmAction(...actions);
    alarm.addOkAction(...actions);
  }
}

/** Resource types of CloudWatch. Alarms exist but never fire. */
import type { Context } from '../core/context';
import type { ResourceTypes } from '../core/resource';

export function cloudWatchTypes({ context }: { context: Context }): ResourceTypes {
  return {
    'AWS::CloudWatch::Alarm': {
      properties: [
        'ActionsEnabled',
        'AlarmActions',
        'AlarmDescription',
        'AlarmName',
        'ComparisonOperator',
        'DatapointsToAlarm',
        'Dimensions',
        'EvaluationPeriods',
        'ExtendedStatistic',
        'InsufficientDataActions',
        'MetricName',
        'Metrics',
        'Namespace',
        'OKActions',
        'Period',
        'Statistic',
        'Tags',
        'Threshold',
        'TreatMissingData',
        'Unit',
      ],
      create({ properties, physicalName }) {
        const name: string = properties.AlarmName ?? physicalName(255);
        return { id: name, attributes: { Arn: context.arn('cloudwatch', `alarm:${name}`) } };
      },
    },
  };
}

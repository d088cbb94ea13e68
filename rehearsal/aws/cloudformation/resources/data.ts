/** Resource types of DynamoDB, CloudWatch Logs and Systems Manager, and those that only watch or describe. */
import type { ResourceTypes, Services } from '../resource';

const TABLE_PROPERTIES = [
  'AttributeDefinitions',
  'BillingMode',
  'ContributorInsightsSpecification',
  'DeletionProtectionEnabled',
  'KeySchema',
  'OnDemandThroughput',
  'PointInTimeRecoverySpecification',
  'SSESpecification',
  'StreamSpecification',
  'TableClass',
  'TableName',
  'Tags',
  'TimeToLiveSpecification',
  'WarmThroughput',
];

export function dataTypes({ dynamodb, lambda, logs, ssm, context }: Services): ResourceTypes {
  return {
    'AWS::DynamoDB::Table': {
      properties: TABLE_PROPERTIES,
      create({ properties, physicalName }) {
        const tableName: string = properties.TableName ?? physicalName(255);
        const tableArn = context.arn('dynamodb', `table/${tableName}`);
        const key = (type: string): string | undefined =>
          properties.KeySchema.find((element: { KeyType: string }) => element.KeyType === type)?.AttributeName;
        const stream = properties.StreamSpecification?.StreamViewType;
        dynamodb.createTable({
          tableName,
          tableArn,
          stream,
          partitionKey: key('HASH')!,
          sortKey: key('RANGE'),
          encryptionKey: properties.SSESpecification?.KMSMasterKeyId,
        });
        return {
          id: tableName,
          attributes: { Arn: tableArn, StreamArn: dynamodb.streamArn(tableName) },
        };
      },
      delete(tableName, properties) {
        if (String(properties.DeletionProtectionEnabled ?? false) === 'true') {
          throw new Error(
            'Resource cannot be deleted as it is currently protected against deletion. Disable deletion ' +
              'protection first.',
          );
        }
        dynamodb.deleteTable(tableName);
        lambda.dropStream(tableName);
      },
    },
    'AWS::Logs::LogGroup': {
      properties: ['DataProtectionPolicy', 'KmsKeyId', 'LogGroupClass', 'LogGroupName', 'RetentionInDays', 'Tags'],
      create({ properties, physicalName }) {
        const name: string = properties.LogGroupName ?? physicalName(512);
        logs.createGroup(name);
        return { id: name, attributes: { Arn: context.arn('logs', `log-group:${name}:*`) } };
      },
      delete: (name) => logs.deleteGroup(name),
    },
    'AWS::SSM::Parameter': {
      properties: ['AllowedPattern', 'DataType', 'Description', 'Name', 'Tags', 'Tier', 'Type', 'Value'],
      create({ properties, physicalName }) {
        const name: string = properties.Name ?? physicalName(512);
        ssm.put(name, String(properties.Value));
        return { id: name, attributes: { Type: properties.Type, Value: String(properties.Value) } };
      },
      delete: (name) => ssm.delete(name),
    },
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
    // Written by `cdk synth` for the CDK team's own statistics: no resource of anybody's.
    'AWS::CDK::Metadata': { properties: ['Analytics'], create: ({ logicalId }) => ({ id: logicalId }) },
  };
}

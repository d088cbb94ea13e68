/** Resource types of DynamoDB. */
import type { Context } from '../core/context';
import type { ResourceTypes } from '../core/resource';
import type { Lambda } from '../lambda/lambda';
import type { DynamoDb } from './dynamodb';

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

export function dynamoDbTypes({
  dynamodb,
  lambda,
  context,
}: {
  dynamodb: DynamoDb;
  lambda: Lambda;
  context: Context;
}): ResourceTypes {
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
  };
}

/**
 * The permissions that DynamoDB's actions need. A table with a customer managed key needs permission on the key, too:
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
 */
import type { Context } from '../core/context';
import { given, onKey, type Input, type Permission, type Permissions } from '../iam/permission';
import type { DynamoDb } from './dynamodb';

interface Tables {
  dynamodb: Pick<DynamoDb, 'encryptionKey' | 'partitionKey' | 'queriedPartition'>;
  context: Pick<Context, 'arn' | 'region'>;
}

/** `{ S: 'text' }`, as in requests. */
type AttributeValue = object;

export function dynamoDbPermissions(tables: Tables): Permissions {
  return (action, input) => {
    const permissions = onTables(action, input, tables);
    const keys = (permissions ?? []).flatMap(
      ({ resource }) => tables.dynamodb.encryptionKey(resource.split('/')[1]!) ?? [],
    );
    return (
      permissions && [
        ...permissions,
        ...[...new Set(keys)].map((key) => onKey('Decrypt', key, 'dynamodb', tables.context.region)),
      ]
    );
  };
}

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html */
function onTables(action: string, input: Input, { dynamodb, context }: Tables): Permission[] | undefined {
  const on = (permission: string, table: string, partitions: () => (AttributeValue | undefined)[]): Permission => ({
    action: `dynamodb:${permission}`,
    resource: table.startsWith('arn:') ? table : context.arn('dynamodb', `table/${table}`),
    key: (key) => (key === 'dynamodb:leadingkeys' ? leadingKeys(partitions()) : undefined),
  });
  const partition = (table: string, item: Input | undefined): AttributeValue | undefined =>
    item?.[dynamodb.partitionKey(table) ?? ''];
  const onItem = (permission: string, { TableName: table, Key, Item }: Input): Permission[] =>
    given(table).map((name) => on(permission, name, () => [partition(name, Key ?? Item)]));
  switch (action) {
    case 'GetItem':
    case 'PutItem':
    case 'UpdateItem':
    case 'DeleteItem':
      return onItem(action, input);
    case 'Query':
      return given(input.TableName).map((table) => on(action, table, () => [dynamodb.queriedPartition(input)]));
    case 'Scan':
      return given(input.TableName).map((table) => on(action, table, () => []));
    case 'BatchGetItem':
      return Object.entries<Input>(input.RequestItems ?? {}).map(([table, { Keys = [] }]) =>
        on(action, table, () => Keys.map((key: Input) => partition(table, key))),
      );
    case 'BatchWriteItem':
      return Object.entries<Input[]>(input.RequestItems ?? {}).map(([table, requests]) =>
        on(action, table, () =>
          requests.map((request) => partition(table, request.PutRequest?.Item ?? request.DeleteRequest?.Key)),
        ),
      );
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    case 'TransactGetItems':
      return (input.TransactItems ?? []).flatMap((operation: Input) => onItem('GetItem', operation.Get ?? {}));
    case 'TransactWriteItems':
      return (input.TransactItems ?? []).flatMap((operation: Input) =>
        Object.entries<Input | undefined>(operation).flatMap(([kind, write]) =>
          onItem(kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`, write ?? {}),
        ),
      );
    default:
      return undefined;
  }
}

/** Partition key values as text: `a` for `{ S: 'a' }`. A request without a partition (a Scan) has no leading keys. */
function leadingKeys(partitions: (AttributeValue | undefined)[]): string[] {
  return partitions.flatMap((value) => (value === undefined ? [] : Object.values(value).map(String)));
}

import { dynamoDbPermissions } from '../../../../rehearsal/aws/dynamodb/permissions';
import { context, needed, type Needs } from '../permissions';

const permissions = dynamoDbPermissions({
  context,
  dynamodb: {
    encryptionKey: (table) => (table === 'secret' ? 'KEY' : undefined),
    partitionKey: () => 'pk',
    queriedPartition: () => ({ S: 'queried' }),
  },
});
const Key = { pk: { S: 'a' }, sk: { S: 'b' } };
const Item = { pk: { N: '1' }, sk: { S: 'b' } };

// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
test.each<Needs>([
  ['GetItem', { TableName: 't', Key }, ['dynamodb:GetItem arn:aws:dynamodb:table/t a']],
  ['PutItem', { TableName: 't', Item }, ['dynamodb:PutItem arn:aws:dynamodb:table/t 1']],
  ['GetItem', { TableName: 'secret', Key }, ['dynamodb:GetItem arn:aws:dynamodb:table/secret a', 'kms:Decrypt KEY']],
  ['GetItem', {}, []],
  ['Query', { TableName: 't' }, ['dynamodb:Query arn:aws:dynamodb:table/t queried']],
  ['Scan', { TableName: 't' }, ['dynamodb:Scan arn:aws:dynamodb:table/t']],
  [
    'BatchGetItem',
    { RequestItems: { t: { Keys: [Key, Item] }, u: { Keys: [Key] } } },
    ['dynamodb:BatchGetItem arn:aws:dynamodb:table/t a 1', 'dynamodb:BatchGetItem arn:aws:dynamodb:table/u a'],
  ],
  [
    'BatchWriteItem',
    { RequestItems: { t: [{ PutRequest: { Item } }, { DeleteRequest: { Key } }] } },
    ['dynamodb:BatchWriteItem arn:aws:dynamodb:table/t 1 a'],
  ],
  [
    'TransactGetItems',
    { TransactItems: [{ Get: { TableName: 't', Key } }] },
    ['dynamodb:GetItem arn:aws:dynamodb:table/t a'],
  ],
  [
    'TransactWriteItems',
    {
      TransactItems: [
        { Put: { TableName: 't', Item } },
        { Update: { TableName: 'u', Key } },
        { Delete: { TableName: 't', Key } },
        { ConditionCheck: { TableName: 't', Key } },
      ],
    },
    [
      'dynamodb:PutItem arn:aws:dynamodb:table/t 1',
      'dynamodb:UpdateItem arn:aws:dynamodb:table/u a',
      'dynamodb:DeleteItem arn:aws:dynamodb:table/t a',
      'dynamodb:ConditionCheckItem arn:aws:dynamodb:table/t a',
    ],
  ],
  ['ListTables', {}, undefined],
])('%s of %j needs %j', (action, input, expected) => {
  expect(needed(permissions, action, input)).toEqual(expected);
});

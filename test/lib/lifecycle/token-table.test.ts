/** The two tables. */
import * as kms from 'aws-cdk-lib/aws-kms';
import { synthesise } from '../synthesise';

const tables = (props: Parameters<typeof synthesise>[0] = {}) => {
  const all = Object.entries(synthesise(props).of('AWS::DynamoDB::Table'));
  const find = (name: string) => all.find(([id]) => id.includes(name))![1];
  return { tokens: find('Tokens'), reports: find('Reports'), count: all.length };
};

test('there are two tables, on demand, keyed as the protocol says, and deleted with the stack', () => {
  const { tokens, reports, count } = tables();
  expect(count).toBe(2);
  for (const table of [tokens, reports]) {
    expect(table.Properties).toMatchObject({
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    });
    expect(table.DeletionPolicy).toBe('Delete');
  }
});

test('no copy of a join token exists: the token table has no stream and no point-in-time recovery', () => {
  const { tokens } = tables();
  expect(tokens.Properties.StreamSpecification).toBeUndefined();
  expect(tokens.Properties.PointInTimeRecoverySpecification).toBeUndefined();
});

test("the report table's stream carries keys only", () => {
  expect(tables().reports.Properties.StreamSpecification).toEqual({ StreamViewType: 'KEYS_ONLY' });
});

test('a customer managed key encrypts both tables', () => {
  const { tokens, reports } = tables((stack) => ({ encryptionKey: new kms.Key(stack, 'Key') }));
  for (const table of [tokens, reports])
    expect(table.Properties.SSESpecification).toMatchObject({ SSEEnabled: true, SSEType: 'KMS' });
});

/** The two tables in which functions and nodes meet. What lies in them: `protocol/`. */
import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { PARTITION_KEY, SORT_KEY } from '../../protocol/keys';

export interface TokenTableProps {
  /**
   * A customer managed key for both tables.
   * @default - DynamoDB's own key, which costs nothing
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * The token table, which functions write, and the report table, which nodes write.
 *
 * The token table holds the swarm's join tokens. It therefore has neither a stream nor point-in-time recovery: tokens
 * are to be in no copy. A node can read nothing in it but what is meant for itself. The report table has a stream of
 * keys only, which wakes the functions. Both are made anew from the running swarm, so both are deleted with the stack.
 * On demand: about 0.65 USD per million writes (us-east-1), a node at rest writes one small item in a few seconds.
 */
export class TokenTable extends Construct {
  /** What functions tell nodes: leader record, lease, commands. */
  readonly tokenTable: dynamodb.Table;
  /** What nodes say of themselves. */
  readonly reportTable: dynamodb.Table;
  readonly encryptionKey?: kms.IKey;

  constructor(scope: Construct, id: string, props: TokenTableProps = {}) {
    super(scope, id);
    this.encryptionKey = props.encryptionKey;
    const common: dynamodb.TableProps = {
      partitionKey: { name: PARTITION_KEY, type: dynamodb.AttributeType.STRING },
      sortKey: { name: SORT_KEY, type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(props.encryptionKey && {
        encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryptionKey: props.encryptionKey,
      }),
    };
    this.tokenTable = new dynamodb.Table(this, 'Tokens', common);
    this.reportTable = new dynamodb.Table(this, 'Reports', { ...common, stream: dynamodb.StreamViewType.KEYS_ONLY });
  }
}

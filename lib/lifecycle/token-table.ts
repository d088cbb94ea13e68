/** The two tables in which functions and nodes meet. `protocol/` defines their items. */
import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { PARTITION_KEY, SORT_KEY } from '../../protocol/keys';

export interface TokenTableProps {
  /**
   * A customer managed key for both tables, 1 USD a month.
   * @default - an AWS owned key, which is free
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * The token table, which functions write, and the report table, which nodes write.
 *
 * The token table holds the swarm's join tokens. It has neither a stream nor point-in-time recovery, so that no copy of
 * a token exists. A node can read only the items meant for itself. The report table has a stream with keys only, which
 * wakes the functions. The content of both is rebuilt from the running swarm, so both are deleted with the stack. They
 * are billed on demand: about 0.65 USD per million writes (us-east-1). An idle node writes one small item every few
 * seconds.
 */
export class TokenTable extends Construct {
  /** Written by functions: leader record, lease, commands for nodes. */
  readonly tokenTable: dynamodb.Table;
  /** Written by nodes: heartbeats and reports. */
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

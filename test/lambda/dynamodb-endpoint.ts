/** The emulated DynamoDB behind real SDK clients over loopback, with the cluster's two tables in it. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../protocol/clock';
import { PARTITION_KEY, SORT_KEY } from '../../protocol/keys';
import { DynamoDb } from '../../rehearsal/aws/dynamodb/dynamodb';
import { serveAws } from '../../rehearsal/aws/wire/http';
import type { Principal } from '../../rehearsal/aws/core/types';

export const TOKEN_TABLE = 'tokens';
export const REPORT_TABLE = 'reports';

const anybody: Principal = {
  accessKeyId: 'test',
  role: 'Test',
  arn: 'arn:aws:sts::000000000000:assumed-role/Test/test',
  userId: 'AROATEST:test',
};

/** @param others answers for calls of other services */
export async function startDynamoDb(
  clock: Clock,
  others?: (service: string, action: string, input: Record<string, any>) => Record<string, any>,
): Promise<{
  client: DynamoDBClient;
  clientOptions: { region: string; endpoint: string; credentials: { accessKeyId: string; secretAccessKey: string } };
  calls: string[];
  close(): Promise<void>;
}> {
  const dynamodb = new DynamoDb(clock);
  for (const tableName of [TOKEN_TABLE, REPORT_TABLE]) {
    dynamodb.createTable({
      tableName,
      tableArn: `arn:aws:dynamodb:eu-west-1:000000000000:table/${tableName}`,
      partitionKey: PARTITION_KEY,
      sortKey: SORT_KEY,
    });
  }
  const calls: string[] = [];
  const server = await serveAws(
    {
      call: async ({ service, action, input }) => {
        calls.push(action);
        if (service === 'dynamodb') return dynamodb.call(action, input, anybody);
        if (others) return others(service, action, input);
        throw new Error(`No answer to ${service} ${action} was given.`);
      },
    },
    { host: '127.0.0.1', port: 0 },
  );
  const clientOptions = {
    region: 'eu-west-1',
    endpoint: server.url,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const client = new DynamoDBClient(clientOptions);
  return {
    client,
    clientOptions,
    calls,
    async close() {
      client.destroy();
      await server.close();
    },
  };
}

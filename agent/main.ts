/**
 * Starts the agent: reads its configuration, asks IMDS for its identity, and connects clients, host and engine. systemd
 * starts it, and restarts it when it ends.
 */
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { fromInstanceMetadata } from '@smithy/credential-provider-imds';
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { systemClock as clock } from '../protocol/clock';
import {
  AGENT_CONFIG_PATH,
  AGENT_LOG_PATH,
  agentConfigSchema,
  AWS_ATTEMPTS,
  BOOT_LOG_PATH,
  HEALTH_PORT,
} from '../protocol/environment';
import { mailbox } from '../protocol/keys';
import { jsonLog } from '../protocol/log';
import { Agent } from './agent';
import { DockerSocket } from './docker-socket';
import { Health } from './health';
import { linuxHost } from './host';
import { instanceMetadata, readIdentity } from './identity';
import { shipLogs } from './log-shipper';
import { Mailbox } from './mailbox';

const log = jsonLog(clock);

async function main(): Promise<void> {
  const config = v.parse(agentConfigSchema, JSON.parse(await readFile(AGENT_CONFIG_PATH, 'utf8')));
  const identity = await readIdentity();
  log('info', 'The agent starts.', { instanceId: identity.instanceId, role: config.role, node: process.version });
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

  const client = {
    region: config.region,
    maxAttempts: AWS_ATTEMPTS,
    credentials: fromInstanceMetadata({ maxRetries: 5 }),
  };
  const engine = new DockerSocket();
  const health = new Health((timeoutMs) => engine.ping(timeoutMs), clock);
  // If another program has the port, load balancers consider this node unhealthy. Everything else works.
  health.listen(HEALTH_PORT).on('error', (error) =>
    log('error', 'Load balancers cannot check the health of this node: its port cannot be opened.', {
      port: HEALTH_PORT,
      error: error.message,
    }),
  );
  const agent = new Agent({
    config,
    identity,
    clock,
    log,
    engine,
    health,
    host: linuxHost,
    metadata: instanceMetadata(),
    mailbox: new Mailbox(new DynamoDBClient(client), config, mailbox(config.roleId, identity.instanceId)),
  });
  const logs = shipLogs(
    {
      client: new CloudWatchLogsClient(client),
      clock,
      logGroup: config.logGroup,
      files: [
        { path: BOOT_LOG_PATH, stream: `${identity.instanceId}/boot` },
        { path: AGENT_LOG_PATH, stream: `${identity.instanceId}/agent` },
      ],
      offsets: '/run/cdk-docker-swarm',
    },
    stop.signal,
  );
  await Promise.all([agent.run(stop.signal), logs]);
  log('info', 'The agent stops.');
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    log('error', 'The agent could not start. systemd tries again.', {
      error: error instanceof Error ? error.message : String(error),
    });
    process.exit(1);
  },
);

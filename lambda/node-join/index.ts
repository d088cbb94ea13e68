/**
 * node-join: brings every instance that waits at its launch hook into the swarm.
 *
 * Life cycle: woken by its queue (launch hooks, the sweep each minute, leader-token) and by nodes' reports (the report
 * table's stream). An event only means "look again": what it says is not read. Takes the lease, looks, decides by all
 * rules in turn (`admit` is the one about joining), acts, and looks again until nothing is left to do.
 *
 * Traps: two may run at once (the lease orders them); an instance may die at any line; an event may come twice, late or
 * never (the sweep).
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { systemClock } from '../../protocol/clock';
import { AWS_ATTEMPTS as maxAttempts } from '../../protocol/environment';
import { jsonLog } from '../../protocol/log';
import { nodeJoin } from './handler';

export const handler = nodeJoin({
  clock: systemClock,
  log: jsonLog(systemClock),
  variables: process.env,
  dynamodb: new DynamoDBClient({ maxAttempts }),
  ec2: new EC2Client({ maxAttempts }),
  autoScaling: new AutoScalingClient({ maxAttempts }),
  cloudFormation: new CloudFormationClient({ maxAttempts }),
  // Nobody waits for it.
  eventBridge: new EventBridgeClient({
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
  }),
});

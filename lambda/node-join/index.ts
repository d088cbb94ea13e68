/**
 * node-join: brings every instance that waits at its launch hook into the swarm.
 *
 * Life cycle: invoked by its queue (launch hooks, the one-minute sweep, leader-token) and by reports of nodes (the
 * report table's stream). An event only means "look again"; its contents are ignored. The function takes the lease,
 * observes, runs all rules in order (`admit` is the one about joining), acts, and repeats until nothing is left to do.
 *
 * Traps: two invocations may overlap (the lease serialises them); an instance may die at any line; an event may come
 * twice, late or never (the sweep makes up for it).
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
  // Nothing depends on the events: one short attempt.
  eventBridge: new EventBridgeClient({
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
  }),
});

/**
 * node-leave: takes instances that Auto Scaling terminates out of the swarm.
 *
 * Life cycle: invoked by its queue (terminate hooks, spot and rebalance notices, the one-minute sweep). Every worker at
 * its terminate hook gets a tombstone at once, whoever holds the lease, so that it can never join any more. The rest is
 * the same as in node-join: under the lease, all rules in order; `release` and `reap` are those about leaving.
 *
 * Traps: a hook's message may come twice or never; the hook may be completed already; node-join may be about to command
 * the same instance (either the tombstone comes first, or the command is refused).
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { systemClock } from '../../protocol/clock';
import { AWS_ATTEMPTS as maxAttempts } from '../../protocol/environment';
import { jsonLog } from '../../protocol/log';
import { nodeLeave } from './handler';

export const handler = nodeLeave({
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

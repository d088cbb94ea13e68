/**
 * node-leave: lets go of instances that Auto Scaling terminates.
 *
 * Life cycle: woken by its queue (terminate hooks, spot and rebalance notices, the sweep each minute). Every instance whose terminate hook waits gets a tombstone, so that it never
 * joins any more, and its hook is completed. Both may be done again and change nothing else, so it needs no lease.
 *
 * Traps: the message of a hook may come twice or never; a hook may be completed already; node-join may be about to command the very instance (the tombstone comes first or
 * its command is refused).
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { systemClock } from '../../protocol/clock';
import { AWS_ATTEMPTS as maxAttempts } from '../../protocol/environment';
import { jsonLog } from '../log';
import { nodeLeave } from './handler';

export const handler = nodeLeave({
  clock: systemClock,
  log: jsonLog(systemClock),
  variables: process.env,
  dynamodb: new DynamoDBClient({ maxAttempts }),
  autoScaling: new AutoScalingClient({ maxAttempts }),
});

/**
 * target-update: sees to it that the targets of the load balancers are the nodes that may be sent work, and that load
 * balancers which follow published ports have a listener for each.
 *
 * Life cycle: woken by its queue (events of Auto Scaling and of this cluster, leader-token, the sweep each minute). An
 * event only means "look again". Takes a lease of its own, looks at nodes, instances and targets, registers and
 * deregisters what differs, and looks again until nothing differs. CloudFormation invokes it, too, when a load balancer
 * begins or ceases to follow (custom-resource.ts).
 *
 * Traps: two may run at once (the lease); a request with one target that is refused fails whole; what an answer of AWS
 * lacks may be late, so the last healthy targets are never taken away.
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SQSClient } from '@aws-sdk/client-sqs';
import { systemClock } from '../../protocol/clock';
import { AWS_ATTEMPTS as maxAttempts } from '../../protocol/environment';
import { jsonLog } from '../../protocol/log';
import { respondByHttp } from './custom-resource';
import { targetUpdate } from './handler';

export const handler = targetUpdate({
  clock: systemClock,
  log: jsonLog(systemClock),
  variables: process.env,
  dynamodb: new DynamoDBClient({ maxAttempts }),
  autoScaling: new AutoScalingClient({ maxAttempts }),
  elasticLoadBalancing: new ElasticLoadBalancingV2Client({ maxAttempts }),
  sqs: new SQSClient({ maxAttempts }),
  ec2: new EC2Client({ maxAttempts }),
  // Nobody waits for it.
  eventBridge: new EventBridgeClient({
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
  }),
  respond: respondByHttp,
});

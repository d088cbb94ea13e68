/**
 * target-update: keeps the load balancers' targets equal to the nodes that may receive work, and gives load balancers
 * that follow published ports a listener for each port.
 *
 * Life cycle: invoked by its queue (events of Auto Scaling and of this cluster, leader-token, the one-minute sweep). An
 * event only means "look again". The function takes its own lease, observes nodes, instances and targets, registers and
 * deregisters the difference, and repeats until there is none. CloudFormation also invokes it when a load balancer
 * starts or stops following (custom-resource.ts).
 *
 * Traps: two invocations may overlap (the lease serialises them); one refused target fails a whole request; an answer
 * of AWS may lack what is recent, so the last healthy targets are never removed.
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
  // Nothing depends on the events: one short attempt.
  eventBridge: new EventBridgeClient({
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
  }),
  respond: respondByHttp,
});

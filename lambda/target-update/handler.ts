/** Builds target-update from its parts: the real clients (`index.ts`), or those of a simulation. */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import type { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { Clock } from '../../protocol/clock';
import type { LoadBalancerSettings } from '../../protocol/following';
import { TARGETS_LEASE_KEY } from '../../protocol/keys';
import { Environment, type Variables } from '../shared/environment';
import type { Log } from '../../protocol/log';
import { LeaseRow } from '../shared/lease';
import { answer, parseRequest, type Respond } from './custom-resource';
import { observe } from './observe';
import { update } from './update';

export interface TargetUpdateParts {
  clock: Clock;
  log: Log;
  variables: Variables;
  dynamodb: DynamoDBClient;
  autoScaling: AutoScalingClient;
  ec2: EC2Client;
  elasticLoadBalancing: ElasticLoadBalancingV2Client;
  sqs: SQSClient;
  eventBridge: EventBridgeClient;
  /** Answers CloudFormation. */
  respond: Respond;
}

/** @throws Error with the name of a missing environment variable */
export function targetUpdate({ variables, respond, ...parts }: TargetUpdateParts): (event: unknown) => Promise<void> {
  const environment = new Environment(variables);
  const observer = {
    ...parts,
    cluster: environment.cluster(),
    tokenTable: environment.tokenTable(),
    joinQueueUrl: environment.joinQueueUrl(),
    loadBalancers: environment.loadBalancers(),
  };
  const lease = new LeaseRow(parts.dynamodb, observer.tokenTable, parts.clock, TARGETS_LEASE_KEY);
  const updater = { ...observer, lease, observe: (closing?: LoadBalancerSettings) => observe(observer, closing) };
  return (event) => {
    const request = parseRequest(event);
    return request ? answer(updater, respond, request) : update(updater);
  };
}

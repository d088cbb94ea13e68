/**
 * Builds the membership loop from the parts that a function is given. node-join and node-leave are invoked by different
 * events but then do the same: whichever holds the lease does the work.
 */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import type { Clock } from '../../protocol/clock';
import { Environment, type Variables } from '../shared/environment';
import type { Log } from '../../protocol/log';
import type { Converger } from './converge';
import { LeaseRow } from '../shared/lease';
import { observe, type Observer } from './observe';
import { plan } from './plan';

export interface MembershipParts {
  clock: Clock;
  log: Log;
  variables: Variables;
  dynamodb: DynamoDBClient;
  ec2: EC2Client;
  autoScaling: AutoScalingClient;
  cloudFormation: CloudFormationClient;
  eventBridge: EventBridgeClient;
}

/** @throws Error with the name of a missing environment variable */
export function wire({ variables, ...parts }: MembershipParts): Observer & Converger {
  const environment = new Environment(variables);
  const observer = {
    ...parts,
    cluster: environment.cluster(),
    tokenTable: environment.tokenTable(),
    reportTable: environment.reportTable(),
    roleIds: environment.roleIds(),
    seats: environment.seats(),
    settings: environment.swarmSettings(),
    loadBalanced: environment.loadBalanced(),
  };
  return {
    ...observer,
    lease: new LeaseRow(parts.dynamodb, observer.tokenTable, parts.clock),
    observe: () => observe(observer),
    plan: (observed) => plan(observed, () => parts.clock.uuid()),
  };
}

/** node-join, made of what it is given: the real clients (`index.ts`) or a simulation's. */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { Clock } from '../../protocol/clock';
import { Environment, type Variables } from '../environment';
import type { Log } from '../log';
import { converge, type Converger } from '../membership/converge';
import { LeaseRow } from '../membership/lease';
import { observe } from '../membership/observe';
import { plan } from '../membership/plan';

export interface NodeJoinParts {
  clock: Clock;
  log: Log;
  variables: Variables;
  dynamodb: DynamoDBClient;
  ec2: EC2Client;
  autoScaling: AutoScalingClient;
  cloudFormation: CloudFormationClient;
}

/** @throws Error naming an environment variable that is missing */
export function nodeJoin({ variables, ...parts }: NodeJoinParts): () => Promise<void> {
  const environment = new Environment(variables);
  const shared = { ...parts, tokenTable: environment.tokenTable(), roleIds: environment.roleIds() };
  const observer = { ...shared, cluster: environment.cluster(), reportTable: environment.reportTable(), seats: environment.seats(), settings: environment.swarmSettings() };
  const converger: Converger = {
    ...shared,
    lease: new LeaseRow(parts.dynamodb, shared.tokenTable, parts.clock),
    observe: () => observe(observer),
    plan: (observed) => plan(observed, () => parts.clock.uuid()),
  };
  return () => converge(converger);
}

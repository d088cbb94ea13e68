/**
 * node-join: brings every instance that waits at its launch hook into the swarm.
 *
 * Life cycle: woken by its queue (launch hooks, the sweep each minute, leader-token) and by nodes' reports (the report table's stream). An event only means
 * "look again": what it says is not read. Takes the lease, looks, decides by the rule `admit`, acts, and looks again until nothing is left to do.
 *
 * Traps: two may run at once (the lease orders them); an instance may die at any line; an event may come twice, late or never (the sweep).
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EC2Client } from '@aws-sdk/client-ec2';
import { systemClock } from '../../protocol/clock';
import { environment } from '../environment';
import { jsonLog } from '../log';
import { admit } from '../membership/admit';
import { converge, type Converger } from '../membership/converge';
import { LeaseRow } from '../membership/lease';
import { observe } from '../membership/observe';

const clock = systemClock;
const log = jsonLog(clock);
const dynamodb = new DynamoDBClient();
const ec2 = new EC2Client();
const autoScaling = new AutoScalingClient();
const tokenTable = environment.tokenTable();
const roleIds = { manager: environment.managerRoleId(), worker: environment.workerRoleId() };
const observer = {
  clock,
  log,
  dynamodb,
  ec2,
  autoScaling,
  cluster: environment.cluster(),
  tokenTable,
  reportTable: environment.reportTable(),
  roleIds,
  seats: environment.seats(),
  settings: environment.swarmSettings(),
};
const converger: Converger = {
  clock,
  log,
  dynamodb,
  ec2,
  autoScaling,
  cloudFormation: new CloudFormationClient(),
  tokenTable,
  roleIds,
  lease: new LeaseRow(dynamodb, tokenTable, clock),
  observe: () => observe(observer),
  plan: (observed) => admit(observed, () => clock.uuid()),
};

export async function handler(): Promise<void> {
  await converge(converger);
}

/**
 * leader-token: publishes which swarm this is, how to join it, and which nodes it has.
 *
 * Life cycle: woken by the report table's stream when a manager writes its swarm report. The stream carries keys only: the report is read afresh. What passes
 * the checks of `plan.ts` becomes the leader record and the node list, in one transaction that demands a greater epoch than is published. The epoch is a
 * version index that the reporting leader committed through raft, so a leader that lost its quorum cannot publish, and needs no lease to be kept out.
 * Then the node is told to erase the tokens from its report, and node-join to look again when anything but the hour changed.
 *
 * Traps: a report may be half written (chunks of two epochs: the last chunk's event follows); events come twice and late; reports may be forged by a stolen manager,
 * which holds the tokens anyway, but never by a worker: only mailboxes of the manager role count.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBStreamEvent } from 'aws-lambda';
import { systemClock } from '../../protocol/clock';
import { PARTITION_KEY } from '../../protocol/keys';
import { environment } from '../environment';
import { jsonLog } from '../log';
import { publish, type Publisher } from './publish';

const publisher: Publisher = {
  clock: systemClock,
  log: jsonLog(systemClock),
  dynamodb: new DynamoDBClient(),
  sqs: new SQSClient(),
  tokenTable: environment.tokenTable(),
  reportTable: environment.reportTable(),
  managerRoleId: environment.managerRoleId(),
  joinQueueUrl: environment.joinQueueUrl(),
};

export async function handler(event: DynamoDBStreamEvent): Promise<void> {
  const mailboxes = new Set(event.Records.map(({ dynamodb }) => dynamodb?.Keys?.[PARTITION_KEY]?.S ?? ''));
  const outcomes = await Promise.allSettled([...mailboxes].map((box) => publish(publisher, box)));
  // One that fails keeps no other from being published, but is tried again.
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

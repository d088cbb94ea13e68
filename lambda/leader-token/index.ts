/**
 * leader-token: publishes which swarm this is, how to join it, and which nodes it has.
 *
 * Life cycle: woken by the report table's stream when a manager writes its swarm report. The stream carries keys only:
 * the report is read afresh. What passes the checks of `plan.ts` becomes the leader record and the node list, in one
 * transaction that demands that what is published, of a smaller epoch, is still what was read. The epoch is a version
 * index that the reporting leader committed through raft, so a leader that lost its quorum cannot publish, and needs no
 * lease to be kept out. Then the node is told to erase the tokens from its report, and node-join to look again when
 * anything but the hour changed.
 *
 * Traps: a report may be half written (chunks of two epochs: the last chunk's event follows); events come twice and
 * late; reports may be forged by a stolen manager, which holds the tokens anyway, but never by a worker: only mailboxes
 * of the manager role count.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import { systemClock } from '../../protocol/clock';
import { AWS_ATTEMPTS as maxAttempts } from '../../protocol/environment';
import { jsonLog } from '../../protocol/log';
import { leaderToken } from './handler';

export const handler = leaderToken({
  clock: systemClock,
  log: jsonLog(systemClock),
  variables: process.env,
  dynamodb: new DynamoDBClient({ maxAttempts }),
  sqs: new SQSClient({ maxAttempts }),
});

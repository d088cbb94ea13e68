/**
 * leader-token: publishes the identity of the swarm, its join tokens, and its node list.
 *
 * Life cycle: the report table's stream invokes it when a manager writes its swarm report. The stream carries keys
 * only, so the report is read from the table. A report that passes the checks in `plan.ts` becomes the leader record
 * and the node list, in one transaction on the condition that the published record is still the one that was read, with
 * a smaller epoch. The epoch is a version index that the reporting leader committed through raft. A leader without a
 * quorum therefore cannot publish, and no lease is needed. Finally the node is told to erase the tokens from its
 * report, and node-join is woken if anything but the time changed.
 *
 * Traps: a report may be half written (chunks of two epochs: the event of the last chunk follows); events come twice or
 * late; a stolen manager may forge reports, but it holds the tokens anyway; a worker cannot, because only mailboxes of
 * the manager role count.
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

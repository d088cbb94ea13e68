/** The function that turns the leader's swarm report into the leader record, which holds the join tokens. */
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ClusterFunction } from '../functions/cluster-function';
import { leaderTokenEnvironment, wakingTargetUpdate } from '../core/environments';
import { swarmReportWritten } from '../core/event-patterns';
import { leaderTokenStatements, readStream, sendMessages } from '../core/statements';
import type { NodeLifecycle } from './node-lifecycle';
import { mapReports } from '../functions/report-stream';

export interface LeaderTokenPublisherProps {
  readonly lifecycle: NodeLifecycle;
}

/**
 * The function `leader-token`. The report of the leader's agent wakes it. It publishes the swarm id, the join tokens
 * and the node list in the token table, and wakes node-join.
 */
export class LeaderTokenPublisher extends Construct {
  readonly function: lambda.Function;

  private readonly publisher: ClusterFunction;

  constructor(scope: Construct, id: string, { lifecycle }: LeaderTokenPublisherProps) {
    super(scope, id);
    const { tokenTable, reportTable } = lifecycle.tables;
    this.publisher = new ClusterFunction(this, 'LeaderToken', {
      name: 'leader-token',
      description: 'Publishes the swarm id, join tokens and node list that the leader reports.',
      environment: leaderTokenEnvironment({
        cluster: lifecycle.cluster,
        tokenTable: tokenTable.tableName,
        reportTable: reportTable.tableName,
        managerRoleId: lifecycle.managerRole.role.roleId,
        workerRoleId: lifecycle.workerRole.role.roleId,
        joinQueueUrl: lifecycle.joinQueue.queueUrl,
      }),
      statements: [
        ...leaderTokenStatements({
          tokenTable: tokenTable.tableArn,
          reportTable: reportTable.tableArn,
          joinQueue: lifecycle.joinQueue.queueArn,
        }),
        readStream(reportTable.tableStreamArn!),
        ...lifecycle.keyStatements,
      ],
    });
    this.function = this.publisher.function;
    lifecycle.nodesNeed(mapReports(this, 'SwarmReports', this.function, reportTable, swarmReportWritten));
  }

  /** Makes leader-token wake target-update as well when the nodes of the swarm change. */
  wakeTargetUpdate(queue: sqs.IQueue): void {
    this.publisher.addEnvironment(wakingTargetUpdate(queue.queueUrl));
    this.publisher.allow({ ...sendMessages([queue.queueArn]), sid: 'WakeTargetUpdate' });
  }
}

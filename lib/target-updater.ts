/** The function that keeps the targets of the cluster's load balancers what they should be, and what wakes it. */
import { Aws, Duration, Lazy, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { environmentVariables as env } from '../protocol/environment';
import { ClusterFunction } from './cluster-function';
import { instanceEvents, SWEEP_MINUTES } from './core/event-patterns';
import { receiveMessages, sendMessages, targetUpdateStatements } from './core/statements';
import type { LeaderTokenPublisher } from './leader-token-publisher';
import type { NodeLifecycle } from './node-lifecycle';
import { placeOf } from './policy';
import { createWorkQueue, mapMessages } from './work-queue';

export interface TargetUpdaterProps {
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
}

/**
 * `target-update`: woken when a node becomes Ready, leaves or is drained, and each minute; looks at all load balancers of the cluster, registers and deregisters what differs. One for all of them, below 1 USD a month
 * (us-east-1) at rest.
 */
export class TargetUpdater extends Construct {
  readonly lifecycle: NodeLifecycle;
  readonly function: lambda.Function;
  /** Fed by Auto Scaling's events, leader-token, and the sweep. */
  readonly queue: sqs.Queue;

  private readonly loadBalancers: string[] = [];

  constructor(scope: Construct, id: string, { lifecycle, leaderToken }: TargetUpdaterProps) {
    super(scope, id);
    this.lifecycle = lifecycle;
    const { tokenTable } = lifecycle.tables;
    this.queue = createWorkQueue(this, 'Target', 'target-update');
    this.function = new ClusterFunction(this, 'TargetUpdate', {
      name: 'target-update',
      description: 'Keeps the targets of load balancers what they should be.',
      environment: {
        [env.cluster]: lifecycle.cluster,
        [env.tokenTable]: tokenTable.tableName,
        [env.joinQueueUrl]: lifecycle.joinQueue.queueUrl,
        // Load balancers are added after this construct is made.
        [env.loadBalancers]: Lazy.string({ produce: () => Stack.of(this).toJsonString(this.loadBalancers) }),
      },
      statements: [...targetUpdateStatements(tokenTable.tableArn, lifecycle.cluster, placeOf(this)), sendMessages([lifecycle.joinQueue.queueArn]), receiveMessages(this.queue.queueArn), ...lifecycle.keyStatements],
    }).function;
    const wake = { targets: [new targets.SqsQueue(this.queue)] };
    const sweep = new events.Rule(this, 'Sweep', { description: 'Looks at all targets again.', schedule: events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)), ...wake });
    const instances = new events.Rule(this, 'Instances', { description: 'Instances that are in service, leave or are gone.', eventPattern: instanceEvents(Aws.STACK_NAME), ...wake });
    leaderToken.wakeTargetUpdate(this.queue);
    for (const membership of [lifecycle.nodeJoin, lifecycle.nodeLeave]) membership.addEnvironment(env.loadBalanced, 'true');
    lifecycle.nodesNeed(sweep, instances, mapMessages(this, 'Target', this.function, this.queue), this.queue.node.findChild('Policy'));
  }

  /** Makes a load balancer known to the function. */
  add(loadBalancerArn: string): void {
    this.loadBalancers.push(loadBalancerArn);
  }
}

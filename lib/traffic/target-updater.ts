/** The function that keeps the targets of the cluster's load balancers what they should be, and what wakes it. */
import { Aws, Duration, Lazy, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { LoadBalancerSettings } from '../../protocol/following';
import { ClusterFunction } from '../functions/cluster-function';
import { loadBalancedEnvironment, targetUpdateEnvironment } from '../core/environments';
import { instanceEvents, SWEEP_MINUTES } from '../core/event-patterns';
import {
  followStatements,
  receiveMessages,
  sendMessages,
  targetUpdateStatements,
  unfollowStatements,
} from '../core/statements';
import { checkAtSynth, knownBytes } from '../framework/known';
import type { LeaderTokenPublisher } from '../lifecycle/leader-token-publisher';
import type { NodeLifecycle } from '../lifecycle/node-lifecycle';
import { placeOf } from '../framework/policy';
import { createWorkQueue, mapMessages } from '../functions/work-queue';

export interface TargetUpdaterProps {
  readonly lifecycle: NodeLifecycle;
  readonly leaderToken: LeaderTokenPublisher;
}

/** Of all variables of a function. Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const ENVIRONMENT_BYTES = 4 * 1024;
/** Of a load balancer: its ARN, its security group and its VPC, which a deployment names. */
const NAMES_BYTES = 150;

/**
 * `target-update`: woken when a node becomes Ready, leaves or is drained, and each minute; looks at all load balancers
 * of the cluster, registers and deregisters what differs. One for all of them, below 1 USD a month (us-east-1) at rest.
 */
export class TargetUpdater extends Construct {
  readonly lifecycle: NodeLifecycle;
  readonly function: lambda.Function;
  /** Fed by Auto Scaling's events, leader-token, and the sweep. */
  readonly queue: sqs.Queue;

  private readonly loadBalancers: LoadBalancerSettings[] = [];
  private readonly updating: ClusterFunction;

  constructor(scope: Construct, id: string, { lifecycle, leaderToken }: TargetUpdaterProps) {
    super(scope, id);
    this.lifecycle = lifecycle;
    const { tokenTable } = lifecycle.tables;
    this.queue = createWorkQueue(this, 'Target', 'target-update');
    this.updating = new ClusterFunction(this, 'TargetUpdate', {
      name: 'target-update',
      description: 'Keeps the targets of load balancers what they should be.',
      environment: targetUpdateEnvironment({
        cluster: lifecycle.cluster,
        tokenTable: tokenTable.tableName,
        joinQueueUrl: lifecycle.joinQueue.queueUrl,
        // Load balancers are added after this construct is made.
        loadBalancers: Lazy.string({ produce: () => Stack.of(this).toJsonString(this.loadBalancers) }),
      }),
      statements: [
        ...targetUpdateStatements(tokenTable.tableArn, lifecycle.cluster, placeOf(this)),
        // Also where nothing is followed: it may have been before.
        ...unfollowStatements(
          lifecycle.cluster,
          placeOf(this),
          this.securityGroupArns(() => true),
        ),
        sendMessages([lifecycle.joinQueue.queueArn]),
        receiveMessages(this.queue.queueArn),
        ...lifecycle.keyStatements,
      ],
    });
    this.function = this.updating.function;
    checkAtSynth(this, () => {
      const bytes =
        knownBytes(Stack.of(this), Stack.of(this).toJsonString(this.loadBalancers)) +
        this.loadBalancers.length * NAMES_BYTES;
      return bytes < ENVIRONMENT_BYTES
        ? []
        : [
            `The settings of all load balancers have about ${bytes} bytes, and a function's environment ` +
              `takes ${ENVIRONMENT_BYTES}. Give fewer \`clients\` to those that follow published ports (a ` +
              'prefix list is one), or have fewer of these.',
          ];
    });
    const wake = { targets: [new targets.SqsQueue(this.queue)] };
    const sweep = new events.Rule(this, 'Sweep', {
      description: 'Looks at all targets again.',
      schedule: events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
      ...wake,
    });
    const instances = new events.Rule(this, 'Instances', {
      description: 'Instances that are in service, leave or are gone.',
      eventPattern: instanceEvents(Aws.STACK_NAME),
      ...wake,
    });
    leaderToken.wakeTargetUpdate(this.queue);
    lifecycle.addMembershipEnvironment(loadBalancedEnvironment);
    lifecycle.nodesNeed(
      sweep,
      instances,
      mapMessages(this, 'Target', this.function, this.queue),
      this.queue.node.findChild('Policy'),
    );
  }

  /** Makes a load balancer known to the function. */
  add(loadBalancer: LoadBalancerSettings): void {
    const isFirst = ({ follows }: LoadBalancerSettings) =>
      follows !== undefined && !this.loadBalancers.some((one) => one.follows);
    if (isFirst(loadBalancer)) {
      const following = ({ follows }: LoadBalancerSettings) => follows !== undefined;
      const arns = Lazy.list({ produce: () => this.loadBalancers.filter(following).map(({ arn }) => arn) });
      for (const statement of followStatements(this.lifecycle.cluster, placeOf(this), {
        loadBalancers: arns,
        securityGroups: this.securityGroupArns(following),
      }))
        this.updating.allow(statement);
    }
    this.loadBalancers.push(loadBalancer);
  }

  private securityGroupArns(which: (loadBalancer: LoadBalancerSettings) => boolean): string[] {
    const arn = ({ securityGroupId }: LoadBalancerSettings) =>
      Stack.of(this).formatArn({ service: 'ec2', resource: 'security-group', resourceName: securityGroupId });
    return Lazy.list({ produce: () => this.loadBalancers.filter(which).map(arn) });
  }
}

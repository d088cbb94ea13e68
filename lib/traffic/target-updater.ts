/** The function that registers and deregisters the targets of the cluster's load balancers, and what wakes it. */
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

/**
 * Maximum size of a function's environment. Source:
 * https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
const ENVIRONMENT_BYTES = 4 * 1024;
/** Estimated bytes that a deployment fills in for each load balancer: its ARN, security group id and VPC id. */
const NAMES_BYTES = 150;

/**
 * The function `target-update`. It is woken each minute, and when a node becomes Ready, leaves or is drained. It looks
 * at all load balancers of the cluster, and registers or deregisters the targets that differ. One function serves all
 * load balancers. It costs below 1 USD a month (us-east-1) at rest.
 */
export class TargetUpdater extends Construct {
  readonly lifecycle: NodeLifecycle;
  readonly function: lambda.Function;
  /** Receives from Auto Scaling events, leader-token and the sweep. */
  readonly queue: sqs.Queue;

  private readonly loadBalancers: LoadBalancerSettings[] = [];
  private readonly clusterFunction: ClusterFunction;

  constructor(scope: Construct, id: string, { lifecycle, leaderToken }: TargetUpdaterProps) {
    super(scope, id);
    this.lifecycle = lifecycle;
    const { tokenTable } = lifecycle.tables;
    this.queue = createWorkQueue(this, 'Target', 'target-update');
    this.clusterFunction = new ClusterFunction(this, 'TargetUpdate', {
      name: 'target-update',
      description: 'Registers and deregisters the targets of load balancers.',
      environment: targetUpdateEnvironment({
        cluster: lifecycle.cluster,
        tokenTable: tokenTable.tableName,
        joinQueueUrl: lifecycle.joinQueue.queueUrl,
        // Lazy, because load balancers are added later.
        loadBalancers: Lazy.string({ produce: () => Stack.of(this).toJsonString(this.loadBalancers) }),
      }),
      statements: [
        ...targetUpdateStatements(tokenTable.tableArn, lifecycle.cluster, placeOf(this)),
        // Needed even if nothing is followed now: an earlier deployment may have followed ports.
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
    this.function = this.clusterFunction.function;
    checkAtSynth(this, () => {
      const bytes =
        knownBytes(Stack.of(this), Stack.of(this).toJsonString(this.loadBalancers)) +
        this.loadBalancers.length * NAMES_BYTES;
      return bytes < ENVIRONMENT_BYTES
        ? []
        : [
            `The settings of all load balancers take about ${bytes} bytes, but a function's environment holds ` +
              `${ENVIRONMENT_BYTES}. Name fewer \`clients\` for load balancers that follow published ports (a prefix ` +
              'list counts as one), or use fewer such load balancers.',
          ];
    });
    const wake = { targets: [new targets.SqsQueue(this.queue)] };
    const sweep = new events.Rule(this, 'Sweep', {
      description: 'Wakes target-update to look at all targets.',
      schedule: events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
      ...wake,
    });
    const instances = new events.Rule(this, 'Instances', {
      description: 'Instances that come into service, leave or are terminated.',
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

  /**
   * Adds a load balancer to the function's environment, and the permissions to follow ports with the first that does.
   */
  add(loadBalancer: LoadBalancerSettings): void {
    const following = ({ follows }: LoadBalancerSettings) => follows !== undefined;
    if (following(loadBalancer) && !this.loadBalancers.some(following)) {
      const arns = Lazy.list({ produce: () => this.loadBalancers.filter(following).map(({ arn }) => arn) });
      for (const statement of followStatements(this.lifecycle.cluster, placeOf(this), {
        loadBalancers: arns,
        securityGroups: this.securityGroupArns(following),
      }))
        this.clusterFunction.allow(statement);
    }
    this.loadBalancers.push(loadBalancer);
  }

  private securityGroupArns(which: (loadBalancer: LoadBalancerSettings) => boolean): string[] {
    const arn = ({ securityGroupId }: LoadBalancerSettings) =>
      Stack.of(this).formatArn({ service: 'ec2', resource: 'security-group', resourceName: securityGroupId });
    return Lazy.list({ produce: () => this.loadBalancers.filter(which).map(arn) });
  }
}

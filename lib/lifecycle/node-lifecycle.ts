/**
 * The life of a node from launch to termination: the queues that lifecycle hooks, spot notices and the sweep fill, the
 * functions node-join and node-leave that read them, and the roles of the nodes. Capacity is up to the groups.
 */
import { Duration, Lazy, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, DependencyGroup, type IDependable } from 'constructs';
import type { NodeRole as Role } from '../../protocol/body';
import type { Seats, SwarmSettings } from '../../protocol/environment';
import { EVENT_SOURCE, swarmEvents, type SwarmEvent } from '../../protocol/events';
import { ClusterFunction } from '../functions/cluster-function';
import { agentBundle } from '../core/bundles';
import { ADDRESS_POOL_PREFIX_LENGTH, ADDRESS_POOLS } from '../core/defaults';
import { membershipEnvironment } from '../core/environments';
import { nodeReportWritten, spotNotices, SWEEP_MINUTES } from '../core/event-patterns';
import { lifecycleHooks } from '../core/hooks';
import {
  attachVolume,
  autoScalingRoleArn,
  autoScalingUsesKey,
  membershipStatements,
  nodeStatements,
  readStream,
  receiveMessages,
  sendMessages,
  useKeyOfTables,
  useKeyOfVolumes,
  type Statement,
} from '../core/statements';
import { checkClusterTag, checkNames } from '../core/checks/names';
import { checkAddressPools } from '../core/checks/network';
import { checkAtSynth, known } from '../framework/known';
import { NodeRole } from './node-role';
import { placeOf, toPolicyDocument, toPolicyStatement } from '../framework/policy';
import { mapReports } from '../functions/report-stream';
import type { SwarmNetwork } from '../network/swarm-network';
import type { TokenTable } from './token-table';
import { createWorkQueue, mapMessages } from '../functions/work-queue';

export interface NodeLifecycleProps {
  readonly network: SwarmNetwork;
  readonly tables: TokenTable;
  /**
   * The construct that names the cluster in tags: `<stack name>/<path of the construct>`.
   * @default - this construct
   */
  readonly cluster?: Construct;
  /**
   * The role of managers, for example to let containers on them call AWS. What nodes need is added to it.
   * @default - a new role
   */
  readonly managerRole?: iam.Role;
  /**
   * The role of workers. It must not be the managers' role: a worker could then read what is meant for managers.
   * @default - a new role
   */
  readonly workerRole?: iam.Role;
  /**
   * Networks from which overlay networks get their subnets: 1 to 16, in CIDR notation, outside the VPC's network. They
   * take effect only when the swarm is created.
   * Source: https://docs.docker.com/reference/cli/docker/swarm/init/#default-addr-pool
   * @default ['100.64.0.0/10']
   */
  readonly addressPools?: string[];
  /**
   * Prefix length of each overlay network, from 16 to 29. It takes effect only when the swarm is created.
   * @default 24
   */
  readonly addressPoolPrefixLength?: number;
}

export type { SwarmEvent } from '../../protocol/events';

export interface OnSwarmEventOptions extends events.OnEventOptions {
  /**
   * The events to match, for example `['nodeLost', 'quorumAtRisk']`.
   * @default - all events
   */
  readonly events?: SwarmEvent[];
}

/**
 * Joins nodes to the swarm and removes them from it.
 *
 * A launched instance waits at its launch hook until node-join has seen it Ready in the swarm. A terminating instance
 * waits at its terminate hook until node-leave releases it. Events mean "look again", and a sweep looks again once a
 * minute anyway: a lost event costs at most a minute, and a duplicate costs nothing. The queues, functions and sweep of
 * an idle cluster cost below 1 USD a month (us-east-1).
 */
export class NodeLifecycle extends Construct {
  readonly network: SwarmNetwork;
  readonly tables: TokenTable;
  /** The value of the tag on the cluster's groups, instances, volumes and network interfaces. */
  readonly cluster: string;
  readonly managerRole: NodeRole;
  readonly workerRole: NodeRole;
  /** Receives from launch hooks, the sweep, leader-token and target-update. */
  readonly joinQueue: sqs.Queue;
  /** Receives from terminate hooks, spot notices and the sweep. */
  readonly leaveQueue: sqs.Queue;
  readonly nodeJoin: lambda.Function;
  readonly nodeLeave: lambda.Function;
  /** Logs of the nodes, kept for a month: streams `<instance id>/boot` and `<instance id>/agent`. */
  readonly nodeLogGroup: logs.LogGroup;
  /** The agent's bundle. */
  readonly agent: assets.Asset;
  /** The networks from which overlay networks get their subnets. */
  readonly addressPools: string[];
  /** What every function needs to use the key of the tables. Empty without a customer managed key. */
  readonly keyStatements: Statement[];
  /**
   * What must exist before the first node is launched and until the last one has left. Groups depend on it: otherwise,
   * when the stack is deleted, hooks would wait for functions that no longer exist.
   */
  readonly ready: IDependable;

  /** The scope of the users' rules, so that their ids cannot clash with those of this construct. */
  private readonly rules: Construct;
  private readonly dependencies = new DependencyGroup();
  private readonly hookRole: iam.Role;
  private readonly join: ClusterFunction;
  private readonly leave: ClusterFunction;
  private readonly seats: Seats = [];

  constructor(scope: Construct, id: string, props: NodeLifecycleProps) {
    super(scope, id);
    this.network = props.network;
    this.tables = props.tables;
    this.ready = this.dependencies;
    this.rules = new Construct(this, 'Events');
    const stack = Stack.of(this);
    const place = placeOf(this);
    const { tokenTable, reportTable, encryptionKey } = props.tables;
    this.addressPools = props.addressPools ?? ADDRESS_POOLS;
    const settings: SwarmSettings = {
      addressPools: this.addressPools,
      addressPoolPrefixLength: props.addressPoolPrefixLength ?? ADDRESS_POOL_PREFIX_LENGTH,
    };
    const namedAfter = props.cluster ?? this;
    this.cluster = `${stack.stackName}/${namedAfter.node.scopes
      .slice(stack.node.scopes.length)
      .map((part) => part.node.id)
      .join('/')}`;
    this.keyStatements = encryptionKey ? [useKeyOfTables(encryptionKey.keyArn, place)] : [];

    this.agent = new assets.Asset(this, 'Agent', { path: agentBundle() });
    this.nodeLogGroup = new logs.LogGroup(this, 'NodeLogs', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const statementsOfNodes = nodeStatements({
      tokenTable: tokenTable.tableArn,
      reportTable: reportTable.tableArn,
      agentObjects: this.agent.bucket.arnForObjects('*.cjs'),
      logGroup: this.nodeLogGroup.logGroupArn,
    });
    this.managerRole = new NodeRole(this, 'Manager', {
      role: props.managerRole,
      statements: [...statementsOfNodes, ...this.keyStatements],
    });
    this.workerRole = new NodeRole(this, 'Worker', {
      role: props.workerRole,
      statements: [...statementsOfNodes, ...this.keyStatements],
    });

    this.joinQueue = createWorkQueue(this, 'Join', 'node-join');
    this.leaveQueue = createWorkQueue(this, 'Leave', 'node-leave');
    this.hookRole = new iam.Role(this, 'HookRole', {
      assumedBy: new iam.ServicePrincipal('autoscaling.amazonaws.com'),
      inlinePolicies: { Hooks: toPolicyDocument([sendMessages([this.joinQueue.queueArn, this.leaveQueue.queueArn])]) },
    });

    // Both functions run the same rules, whichever is woken.
    const environment = membershipEnvironment({
      cluster: this.cluster,
      tokenTable: tokenTable.tableName,
      reportTable: reportTable.tableName,
      managerRoleId: this.managerRole.role.roleId,
      workerRoleId: this.workerRole.role.roleId,
      // Lazy, because seats are added later.
      seats: Lazy.string({ produce: () => stack.toJsonString(this.seats) }),
      swarmSettings: stack.toJsonString(settings),
    });
    const statements = [
      ...membershipStatements(
        { tokenTable: tokenTable.tableArn, reportTable: reportTable.tableArn },
        this.cluster,
        place,
      ),
      ...this.keyStatements,
      ...(encryptionKey ? useKeyOfVolumes(encryptionKey.keyArn, place) : []),
    ];
    this.join = new ClusterFunction(this, 'NodeJoin', {
      name: 'node-join',
      description: 'Joins launched instances to the swarm.',
      environment,
      statements: [...statements, receiveMessages(this.joinQueue.queueArn), readStream(reportTable.tableStreamArn!)],
    });
    this.leave = new ClusterFunction(this, 'NodeLeave', {
      name: 'node-leave',
      description: 'Removes terminating instances from the swarm.',
      environment,
      statements: [...statements, receiveMessages(this.leaveQueue.queueArn)],
    });
    this.nodeJoin = this.join.function;
    this.nodeLeave = this.leave.function;

    const sweep = new events.Rule(this, 'Sweep', {
      description: 'Wakes node-join and node-leave to look at the whole cluster.',
      schedule: events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
      targets: [new targets.SqsQueue(this.joinQueue), new targets.SqsQueue(this.leaveQueue)],
    });
    const notices = new events.Rule(this, 'SpotNotices', {
      description: 'Spot interruption notices and rebalance recommendations.',
      eventPattern: spotNotices,
      targets: [new targets.SqsQueue(this.leaveQueue)],
    });
    this.nodesNeed(
      sweep,
      notices,
      mapMessages(this, 'Join', this.nodeJoin, this.joinQueue),
      mapMessages(this, 'Leave', this.nodeLeave, this.leaveQueue),
      mapReports(this, 'NodeReports', this.nodeJoin, reportTable, nodeReportWritten),
      this.joinQueue.node.findChild('Policy'),
      this.leaveQueue.node.findChild('Policy'),
      props.network.ready,
    );

    // This changes the policy only of a key of this app. The owner of an imported key must allow the same.
    if (encryptionKey) {
      const autoScaling = new iam.ArnPrincipal(autoScalingRoleArn(place));
      for (const statement of autoScalingUsesKey)
        encryptionKey.addToResourcePolicy(toPolicyStatement(statement, [autoScaling]), true);
    }

    checkAtSynth(this, () => [
      ...checkAddressPools(
        this.addressPools.map((pool) => known(pool)),
        known(settings.addressPoolPrefixLength),
        props.network.knownCidrs,
      ),
      ...checkClusterTag(known(this.cluster)),
      ...(props.managerRole !== undefined && props.managerRole === props.workerRole
        ? [
            `Managers and workers have the same role, ${props.managerRole.node.path}: a worker could read what is ` +
              'meant for managers. Use two roles, or omit both.',
          ]
        : []),
    ]);
  }

  /**
   * Adds an EventBridge rule for events of this cluster: nodes that become Ready, leave, are lost or replaced, a quorum
   * that is at risk or safe again, a published port that cannot be followed. The event's `detail` has the cluster, the
   * instance id and the reason in words (`protocol/events.ts`). Delivery is best effort, as always with EventBridge,
   * and an event may come twice: alarms (`addAlarms`) do not depend on events. Below 0.01 USD a month. An unknown event
   * fails synth.
   */
  onSwarmEvent(id: string, { events: names, target, eventPattern, ...props }: OnSwarmEventOptions = {}): events.Rule {
    const all = Object.keys(swarmEvents) as SwarmEvent[];
    const chosen = names ?? all;
    const problems = checkNames(`events of ${id}`, chosen, all);
    checkAtSynth(this, () => problems);
    // With a problem, which synth reports, the rule matches all events.
    const kinds = problems.length > 0 ? all : chosen;
    return new events.Rule(this.rules, id, {
      ...props,
      targets: target && [target],
      eventPattern: {
        ...eventPattern,
        source: [EVENT_SOURCE],
        detailType: kinds.map((kind) => swarmEvents[kind]),
        detail: { ...eventPattern?.detail, cluster: [this.cluster] },
      },
    });
  }

  /** Adds to {@link ready} what must exist as long as there are nodes. */
  nodesNeed(...dependencies: IDependable[]): void {
    this.dependencies.add(...dependencies);
  }

  /** Adds environment variables to node-join and node-leave. */
  addMembershipEnvironment(environment: Record<string, string>): void {
    for (const membership of [this.join, this.leave]) membership.addEnvironment(environment);
  }

  /** Adds a seat to the environment of node-join and node-leave, and lets them attach the seat's volume. */
  addSeat(seat: Seats[number]): void {
    this.seats.push(seat);
    const statement = attachVolume(seat.seat, seat.volumeId, placeOf(this));
    for (const membership of [this.join, this.leave]) membership.allow(statement);
  }

  /**
   * The lifecycle hooks of a group, for its `LifecycleHookSpecificationList`: the first instances would miss hooks that
   * are created after the group.
   */
  hooks(role: Role): autoscaling.CfnAutoScalingGroup.LifecycleHookSpecificationProperty[] {
    const queues = { 'node-join': this.joinQueue, 'node-leave': this.leaveQueue };
    return lifecycleHooks(role).map(({ name, transition, defaultResult, heartbeatTimeout, notifies }) => ({
      lifecycleHookName: name,
      lifecycleTransition: transition,
      defaultResult,
      heartbeatTimeout,
      notificationTargetArn: queues[notifies].queueArn,
      roleArn: this.hookRole.roleArn,
    }));
  }
}

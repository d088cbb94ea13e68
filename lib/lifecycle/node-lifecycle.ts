/**
 * The life of a node between launch and termination: the queues that hooks, notices and the sweep fill, the functions
 * node-join and node-leave behind them, and the roles of the nodes. It decides nothing about capacity: groups are added
 * to it.
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
   * The construct after which the cluster is named, in tags: `<stack name>/<path of the construct>`.
   * @default - this construct
   */
  readonly cluster?: Construct;
  /**
   * The role of managers, e.g. to let what runs on them call AWS. It gets what nodes need in addition.
   * @default - a new role
   */
  readonly managerRole?: iam.Role;
  /**
   * The role of workers. Must not be the managers': a worker could read what is meant for them.
   * @default - a new role
   */
  readonly workerRole?: iam.Role;
  /**
   * Networks from which overlay networks get their subnets, in CIDR notation; from 1 to 16, outside of the VPC's. Used
   * when the swarm is made, never after.
   * Source: https://docs.docker.com/reference/cli/docker/swarm/init/#default-addr-pool
   * @default ['100.64.0.0/10']
   */
  readonly addressPools?: string[];
  /**
   * Prefix length of each overlay network, from 16 to 29. Used when the swarm is made, never after.
   * @default 24
   */
  readonly addressPoolPrefixLength?: number;
}

export type { SwarmEvent } from '../../protocol/events';

export interface OnSwarmEventOptions extends events.OnEventOptions {
  /**
   * Which events, e.g. `['nodeLost', 'quorumAtRisk']`.
   * @default - all
   */
  readonly events?: SwarmEvent[];
}

/**
 * Brings nodes into the swarm and out of it.
 *
 * A launching instance waits in its launch hook until node-join has seen it Ready in the swarm; a leaving one waits in
 * its terminate hook for node-leave. Events mean "look again", and a sweep once a minute looks again anyway: a lost
 * event costs a minute, a doubled one nothing. Queue, functions and sweep of a cluster at rest cost below 1 USD a month
 * (us-east-1).
 */
export class NodeLifecycle extends Construct {
  readonly network: SwarmNetwork;
  readonly tables: TokenTable;
  /** The value of the tag that groups, instances, volumes and interfaces of this cluster carry. */
  readonly cluster: string;
  readonly managerRole: NodeRole;
  readonly workerRole: NodeRole;
  /** Fed by launch hooks, the sweep, and leader-token. */
  readonly joinQueue: sqs.Queue;
  /** Fed by terminate hooks, spot notices, and the sweep. */
  readonly leaveQueue: sqs.Queue;
  readonly nodeJoin: lambda.Function;
  readonly nodeLeave: lambda.Function;
  /** What nodes log: streams `<instance id>/boot` and `<instance id>/agent`. Kept for a month. */
  readonly nodeLogGroup: logs.LogGroup;
  /** The agent's bundle. */
  readonly agent: assets.Asset;
  /** The networks from which overlay networks get their subnets. */
  readonly addressPools: string[];
  /** What any function needs to use the tables' key. */
  readonly keyStatements: Statement[];
  /**
   * What must be there before the first node is launched and until the last one has left, so that creation and deletion
   * of the stack work: otherwise hooks would wait for functions that are gone.
   */
  readonly ready: IDependable;

  /** Users' rules, whatever their ids. */
  private readonly rules: Construct;
  private readonly needed = new DependencyGroup();
  private readonly hookRole: iam.Role;
  private readonly join: ClusterFunction;
  private readonly leave: ClusterFunction;
  private readonly seats: Seats = [];

  constructor(scope: Construct, id: string, props: NodeLifecycleProps) {
    super(scope, id);
    this.network = props.network;
    this.tables = props.tables;
    this.ready = this.needed;
    this.rules = new Construct(this, 'Events');
    const stack = Stack.of(this);
    const place = placeOf(this);
    const { tokenTable, reportTable, encryptionKey } = props.tables;
    this.addressPools = props.addressPools ?? ADDRESS_POOLS;
    const settings: SwarmSettings = {
      addressPools: this.addressPools,
      addressPoolPrefixLength: props.addressPoolPrefixLength ?? ADDRESS_POOL_PREFIX_LENGTH,
    };
    const named = props.cluster ?? this;
    this.cluster = `${stack.stackName}/${named.node.scopes
      .slice(stack.node.scopes.length)
      .map((part) => part.node.id)
      .join('/')}`;
    this.keyStatements = encryptionKey ? [useKeyOfTables(encryptionKey.keyArn, place)] : [];

    this.agent = new assets.Asset(this, 'Agent', { path: agentBundle() });
    this.nodeLogGroup = new logs.LogGroup(this, 'NodeLogs', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const ofNodes = nodeStatements({
      tokenTable: tokenTable.tableArn,
      reportTable: reportTable.tableArn,
      agentObjects: this.agent.bucket.arnForObjects('*.cjs'),
      logGroup: this.nodeLogGroup.logGroupArn,
    });
    this.managerRole = new NodeRole(this, 'Manager', {
      role: props.managerRole,
      statements: [...ofNodes, ...this.keyStatements],
    });
    this.workerRole = new NodeRole(this, 'Worker', {
      role: props.workerRole,
      statements: [...ofNodes, ...this.keyStatements],
    });

    this.joinQueue = createWorkQueue(this, 'Join', 'node-join');
    this.leaveQueue = createWorkQueue(this, 'Leave', 'node-leave');
    this.hookRole = new iam.Role(this, 'HookRole', {
      assumedBy: new iam.ServicePrincipal('autoscaling.amazonaws.com'),
      inlinePolicies: { Hooks: toPolicyDocument([sendMessages([this.joinQueue.queueArn, this.leaveQueue.queueArn])]) },
    });

    // The same rules run in both, whichever of them is woken.
    const environment = membershipEnvironment({
      cluster: this.cluster,
      tokenTable: tokenTable.tableName,
      reportTable: reportTable.tableName,
      managerRoleId: this.managerRole.role.roleId,
      workerRoleId: this.workerRole.role.roleId,
      // Seats are added after this construct is made.
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
      description: 'Brings launched instances into the swarm.',
      environment,
      statements: [...statements, receiveMessages(this.joinQueue.queueArn), readStream(reportTable.tableStreamArn!)],
    });
    this.leave = new ClusterFunction(this, 'NodeLeave', {
      name: 'node-leave',
      description: 'Takes leaving instances out of the swarm.',
      environment,
      statements: [...statements, receiveMessages(this.leaveQueue.queueArn)],
    });
    this.nodeJoin = this.join.function;
    this.nodeLeave = this.leave.function;

    const sweep = new events.Rule(this, 'Sweep', {
      description: 'Looks at the whole cluster again.',
      schedule: events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
      targets: [new targets.SqsQueue(this.joinQueue), new targets.SqsQueue(this.leaveQueue)],
    });
    const notices = new events.Rule(this, 'SpotNotices', {
      description: 'Spot instances that are about to be taken back.',
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

    // Only where the key is of this app: the policy of another key is its owner's, who must allow the same.
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
            `Managers and workers have the same role, ${props.managerRole.node.path}: a worker could read ` +
              'what is meant for managers. Give two roles, or none.',
          ]
        : []),
    ]);
  }

  /**
   * A rule for what happens in this cluster: nodes that become Ready, leave, are lost or replaced, and a quorum that is
   * at risk. The event's `detail` has the cluster, the instance's id and the reason in words (`protocol/events.ts`). It
   * may come twice, and, as all of EventBridge's, it is best effort: alarms (`addAlarms`) do not depend on it. Below
   * 0.01 USD a month.
   */
  onSwarmEvent(id: string, { events: asked, target, eventPattern, ...props }: OnSwarmEventOptions = {}): events.Rule {
    const all = Object.keys(swarmEvents) as SwarmEvent[];
    const given = asked ?? all;
    checkAtSynth(this, () => checkNames(`events of ${id}`, given, all));
    // One that has a mistake hears of everything, until the mistake is told.
    const kinds = checkNames('events', given, all).length > 0 ? all : given;
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

  /** Adds something that must be there while nodes are. */
  nodesNeed(...needed: IDependable[]): void {
    this.needed.add(...needed);
  }

  /** Adds to the environment of node-join and node-leave. */
  tellMembership(environment: Record<string, string>): void {
    for (const membership of [this.join, this.leave]) membership.tell(environment);
  }

  /** Makes a seat known to the functions, and lets them attach the seat's volume. */
  addSeat(seat: Seats[number]): void {
    this.seats.push(seat);
    const statement = attachVolume(seat.seat, seat.volumeId, placeOf(this));
    for (const membership of [this.join, this.leave]) membership.allow(statement);
  }

  /**
   * The hooks of a group, for its own `LifecycleHookSpecificationList`: the first instances would miss hooks that are
   * made after it.
   */
  hooks(role: Role): autoscaling.CfnAutoScalingGroup.LifecycleHookSpecificationProperty[] {
    const queues = { 'node-join': this.joinQueue, 'node-leave': this.leaveQueue };
    return lifecycleHooks(role).map(({ name, transition, defaultResult, heartbeatTimeout, tells }) => ({
      lifecycleHookName: name,
      lifecycleTransition: transition,
      defaultResult,
      heartbeatTimeout,
      notificationTargetArn: queues[tells].queueArn,
      roleArn: this.hookRole.roleArn,
    }));
  }
}

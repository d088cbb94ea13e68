/**
 * Plans which targets to register and deregister: the difference between the nodes that may receive work and a target
 * group's targets. Pure.
 *
 * - An instance is registered if it is in service, at its launch hook or just past it; its node is Ready and not
 *   drained by the leader's list; and the target group serves its kind of node.
 * - A leaving instance first fails its health check, which a load balancer notices within seconds; a deregistration
 *   takes it minutes. So where the agent answers the check, a leaving target is deregistered only when it is no longer
 *   healthy and its connections have had their time.
 * - A healthy target is removed only while another healthy one stays, so traffic continues even if the node list is
 *   wrong. While no target is known to be healthy, no instance of the cluster is removed: one may be healthy by now,
 *   because AWS's answer may be old.
 * - The instances that receive connections are published (`traffic`), for the functions that complete lifecycle hooks.
 * - Right after a change of leader no node's state is known: registered targets stay, and none are added.
 */
import { HEALTH_PORT } from '../../protocol/environment';
import type { SwarmNode } from '../../protocol/swarm';
import type { ServedBy, Traffic } from '../../protocol/targets';
import type { GroupMember } from '../shared/groups';

/** The rest follows when these are gone. */
const MAX_NAMED = 2_000;

export interface Observed {
  /** False while no quorum reports. The node list then means nothing. */
  quorumVisible: boolean;
  nodes: readonly SwarmNode[];
  /** Members of the cluster's Auto Scaling groups. */
  instances: readonly GroupMember[];
  targetGroups: readonly TargetGroup[];
}

export interface TargetGroup {
  arn: string;
  servedBy: ServedBy;
  /** The port on which targets receive connections. */
  port: number;
  /** A number, or `traffic-port`. */
  healthCheckPort: string;
  /** Present on target groups made for a published port. */
  followed?: { name: string; digest: string };
  targets: readonly Target[];
}

export interface Target {
  instanceId: string;
  port: number;
  /**
   * As Elastic Load Balancing names it: `initial`, `healthy`, `unhealthy`, `draining`, `unused`, ... A target in
   * `unhealthy.draining` gets no new connections and keeps the existing ones for some time; then it is `unhealthy`.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#target-health-states
   */
  state: string;
}

/** The changes to one target group. */
export interface Change {
  arn: string;
  register: { instanceId: string; port: number }[];
  deregister: { instanceId: string; port: number; reason: string }[];
  /** Healthy targets that should be removed, but stay because no other one is healthy. */
  kept: { instanceId: string; reason: string }[];
  /** Targets that wait for their health check to fail, or for their connections to end. */
  waiting: string[];
  /** Targets on another port, or whose instance is in no group of the cluster. */
  foreign: string[];
}

export interface Plan {
  /** One entry for each target group with something to do or to log. */
  changes: Change[];
  traffic: Traffic;
  /** Instances wait at their hooks for load balancers, so another round should follow soon. */
  hasWaiting: boolean;
  /** Followed ports where no healthy node answers or is about to. */
  unanswered: number[];
}

/**
 * Whether a target group has no healthy target yet but is about to: targets are to be registered, or are in their first
 * checks.
 */
export function isFresh(group: TargetGroup, change: Change | undefined): boolean {
  return (
    !hasHealthy(group) &&
    ((change?.register.length ?? 0) > 0 || group.targets.some(({ state }) => state === 'initial' || state === 'unused'))
  );
}

const hasHealthy = ({ targets }: TargetGroup) => targets.some(({ state }) => state === 'healthy');

export function plan(observed: Observed): Plan {
  const members = membersOf(observed);
  const traffic = trafficOf(observed, members);
  const arriving = [...members.values()].filter(
    ({ instance, mayServe }) => isArriving(instance) && mayServe === true,
  ).length;
  const leaving = observed.instances.filter(({ lifecycleState }) => lifecycleState === 'Terminating:Wait').length;
  const changes = changesOf(observed, members);
  const unanswered = observed.targetGroups
    .filter(
      (group) =>
        group.followed &&
        !hasHealthy(group) &&
        !isFresh(
          group,
          changes.find(({ arn }) => arn === group.arn),
        ),
    )
    .map(({ port }) => port);
  return {
    changes,
    traffic,
    hasWaiting: arriving > traffic.arrived.length || leaving > traffic.left.length,
    unanswered,
  };
}

/** Which instances at their hooks receive connections, and which no longer do. */
function trafficOf({ targetGroups }: Observed, members: ReadonlyMap<string, Member>): Traffic {
  const behind = targetGroups.map((group) => ({
    group,
    targets: new Map(
      group.targets.filter(({ port }) => port === group.port).map((target) => [target.instanceId, target]),
    ),
    anyHealthy: hasHealthy(group),
  }));
  const traffic: Traffic = { arrived: [], left: [] };
  for (const [instanceId, { instance, mayServe }] of members) {
    if (isArriving(instance) && mayServe === true) {
      const served = behind.every(
        ({ group, targets, anyHealthy }) =>
          !belongsBehind(group, instance) || !anyHealthy || isServed(group, targets.get(instanceId)),
      );
      if (served) traffic.arrived.push(instanceId);
    }
    if (
      instance.lifecycleState === 'Terminating:Wait' &&
      behind.every(({ group, targets }) => isOut(group, targets.get(instanceId)))
    )
      traffic.left.push(instanceId);
  }
  return { arrived: traffic.arrived.slice(0, MAX_NAMED).sort(), left: traffic.left.slice(0, MAX_NAMED).sort() };
}

/** A port in host mode answers only on nodes with a task. The other nodes are not waited for. */
function isServed({ followed, healthCheckPort }: TargetGroup, target: Target | undefined): boolean {
  const state = target?.state ?? '';
  return (
    /^(healthy|unused)$/.test(state) ||
    (followed !== undefined && healthCheckPort !== String(HEALTH_PORT) && /^unhealthy/.test(state))
  );
}

/**
 * The target is gone, or it fails its health check and its connections have had their time. If the agent does not
 * answer the check, the target is deregistered while healthy, and its connections continue until the delay is over.
 */
function isOut({ healthCheckPort }: TargetGroup, target: Target | undefined): boolean {
  return (
    target === undefined ||
    target.state === 'unhealthy' ||
    target.state === 'unused' ||
    (target.state === 'draining' && healthCheckPort === String(HEALTH_PORT))
  );
}

function changesOf(observed: Observed, members: ReadonlyMap<string, Member>): Change[] {
  return observed.targetGroups
    .map((group) => changeOf(group, members))
    .filter(({ arn: _, ...lists }) => Object.values(lists).some((list) => list.length > 0));
}

/** An instance of the cluster, and whether it may receive work: undefined while unknown. */
interface Member {
  instance: GroupMember;
  mayServe: boolean | undefined;
}

function membersOf({ quorumVisible, nodes, instances }: Observed): Map<string, Member> {
  // By the node's own label, which can be forged. A forger gains nothing: the instance that is registered is the other
  // one.
  const byInstance = new Map<string, SwarmNode[]>();
  for (const node of nodes)
    if (node.instanceId !== undefined)
      byInstance.set(node.instanceId, [...(byInstance.get(node.instanceId) ?? []), node]);
  const mayServe = ({ instanceId, lifecycleState }: GroupMember) => {
    if (lifecycleState !== 'InService' && !isComing(lifecycleState)) return false;
    if (!quorumVisible) return undefined;
    const undrained = (byInstance.get(instanceId) ?? []).filter(({ availability }) => availability !== 'drain');
    return (
      undrained.some(({ state }) => state === 'ready') ||
      (undrained.some(({ state }) => state === 'unknown') ? undefined : false)
    );
  };
  return new Map(instances.map((instance) => [instance.instanceId, { instance, mayServe: mayServe(instance) }]));
}

function changeOf(group: TargetGroup, members: ReadonlyMap<string, Member>): Change {
  const { arn, port } = group;
  const change: Change = { arn, register: [], deregister: [], kept: [], waiting: [], foreign: [] };
  const registered = group.targets.filter(({ state }) => state !== 'draining');
  const present = new Set(registered.filter((target) => target.port === port).map(({ instanceId }) => instanceId));
  for (const [instanceId, { instance, mayServe }] of members) {
    if (mayServe === true && !present.has(instanceId) && belongsBehind(group, instance))
      change.register.push({ instanceId, port });
  }
  const going = registered.flatMap((target) => {
    const reason = reasonToDeregister(group, target, members.get(target.instanceId));
    return reason === undefined ? [] : [{ ...target, reason }];
  });
  const healthyStay =
    registered.filter(({ state }) => state === 'healthy').length -
    going.filter(({ state }) => state === 'healthy').length;
  for (const { instanceId, port: at, state, reason } of going) {
    const member = members.get(instanceId);
    if (at !== port || !member) change.foreign.push(instanceId);
    if (healthyStay === 0 && state === 'healthy') change.kept.push({ instanceId, reason });
    // It may be healthy by now.
    else if (healthyStay === 0 && member) continue;
    else if (
      /^(healthy|unhealthy\.draining)$/.test(state) &&
      member &&
      isLeaving(member.instance) &&
      group.healthCheckPort === String(HEALTH_PORT)
    )
      change.waiting.push(instanceId);
    else change.deregister.push({ instanceId, port: at, reason });
  }
  return change;
}

function reasonToDeregister(group: TargetGroup, target: Target, member: Member | undefined): string | undefined {
  if (target.port !== group.port)
    return `It is registered on port ${target.port}, but the target group's port is ${group.port}.`;
  if (!member) return 'Its instance is in no group of the cluster.';
  if (!belongsBehind(group, member.instance)) return 'This target group does not serve its Auto Scaling group.';
  if (isLeaving(member.instance)) return 'Its instance is leaving.';
  return member.mayServe === false ? 'Its node is not Ready or is drained.' : undefined;
}

function belongsBehind({ servedBy }: TargetGroup, { group: { role, stack } }: GroupMember): boolean {
  if (typeof servedBy === 'object')
    return role === 'worker' && stack !== undefined && servedBy.groups.includes(stack.logicalId);
  return servedBy === 'all' || servedBy === (role === 'manager' ? 'managers' : 'workers');
}

const isLeaving = ({ lifecycleState }: GroupMember) =>
  lifecycleState.startsWith('Terminating') || lifecycleState === 'Terminated';
/** At its launch hook, or past it and about to be in service, which may be visible for some moments. */
const isComing = (lifecycleState: string) => lifecycleState === 'Pending:Wait' || lifecycleState === 'Pending:Proceed';
const isArriving = ({ lifecycleState }: GroupMember) => lifecycleState === 'Pending:Wait';

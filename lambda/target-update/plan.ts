/**
 * Which targets to register and to deregister: the difference between the nodes that may be sent work and the targets
 * that a target group has. Pure.
 *
 * - Registered is whoever is in service, waits at its launch hook or has just left it, is Ready and not drained by the
 *   leader's list, and belongs to the nodes that stand behind the target group.
 * - An instance that leaves fails its health check first, which a load balancer hears of within seconds, while what is
 *   said by deregistering takes it minutes. So where the agent answers the check, a target that is still healthy, or
 *   keeps its connections for some time yet, is waited for.
 * - A healthy target goes only while another healthy one stays. When a list of nodes is wrong, traffic goes on. Of the
 *   cluster's instances none goes while nobody is known to be healthy: one of them may be by now, for what AWS says of
 *   targets may be old.
 * - Who lets instances in and out is told which of those that wait at their hooks are sent connections (`traffic`).
 * - Right after a change of leader nobody's state is known: who is registered stays so, and nobody is added.
 */
import { HEALTH_PORT } from '../../protocol/environment';
import type { SwarmNode } from '../../protocol/swarm';
import type { ServedBy, Traffic } from '../../protocol/targets';
import type { GroupMember } from '../shared/groups';

/** Further ones are told when these have gone. */
const MAX_NAMED = 2_000;

export interface Observed {
  /** False while no quorum reports: then the list of nodes says nothing. */
  quorumVisible: boolean;
  nodes: readonly SwarmNode[];
  /** Members of the cluster's Auto Scaling groups. */
  instances: readonly GroupMember[];
  targetGroups: readonly TargetGroup[];
}

export interface TargetGroup {
  arn: string;
  servedBy: ServedBy;
  /** Where targets get what they are sent. */
  port: number;
  /** A number, or `traffic-port`. */
  healthCheckPort: string;
  /** Present on those that were made for a published port. */
  followed?: { name: string; digest: string };
  targets: readonly Target[];
}

export interface Target {
  instanceId: string;
  port: number;
  /**
   * As Elastic Load Balancing names it: `initial`, `healthy`, `unhealthy`, `draining`, `unused`, ... One that is
   * `unhealthy.draining` is sent no new connections, and keeps those that it has for some time; then it is `unhealthy`.
   * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html#target-health-states
   */
  state: string;
}

/** What is to change in one target group. */
export interface Change {
  arn: string;
  register: { instanceId: string; port: number }[];
  deregister: { instanceId: string; port: number; reason: string }[];
  /** Healthy targets that would have gone, and stay since no other is healthy. */
  kept: { instanceId: string; reason: string }[];
  /** Targets that wait for their health check to fail, or for their connections to end. */
  waiting: string[];
  /** Targets at another port, or of an instance of no group of the cluster (any more). */
  foreign: string[];
}

export interface Plan {
  /** One for each target group in which something is to be done or to be said. */
  changes: Change[];
  traffic: Traffic;
  /** Some wait at their hooks for what load balancers make of it: it is worth looking again soon. */
  hasWaiting: boolean;
  /** Followed ports at which no healthy node answers, nor is about to. */
  unanswered: number[];
}

/**
 * Whether a target group has no healthy target yet, and is about to: some are to be registered, or are being checked
 * for the first time.
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

/** Who waits at a hook, and what becomes of its connections. */
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

/** What a service publishes in host mode answers on nodes that have a task of it only: nobody waits for the others. */
function isServed({ followed, healthCheckPort }: TargetGroup, target: Target | undefined): boolean {
  const state = target?.state ?? '';
  return (
    /^(healthy|unused)$/.test(state) ||
    (followed !== undefined && healthCheckPort !== String(HEALTH_PORT) && /^unhealthy/.test(state))
  );
}

/**
 * Gone, or failing its health check, and its connections have had their time. Where the check is not the agent's, it is
 * deregistered while it is healthy, and they go on until the delay is over.
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

/** An instance of the cluster, and whether it may be sent work: undefined while nobody can tell. */
interface Member {
  instance: GroupMember;
  mayServe: boolean | undefined;
}

function membersOf({ quorumVisible, nodes, instances }: Observed): Map<string, Member> {
  // By its own label, which may be false: whoever claims to be another gets nothing by it, since what is registered is
  // the other.
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
    return `It is registered at port ${target.port}, and the target group has ${group.port}.`;
  if (!member) return 'Its instance is in none of the groups of the cluster.';
  if (!belongsBehind(group, member.instance)) return 'Its Auto Scaling group does not stand behind this target group.';
  if (isLeaving(member.instance)) return 'Its instance leaves.';
  return member.mayServe === false ? 'Its node is not Ready, or is drained.' : undefined;
}

function belongsBehind({ servedBy }: TargetGroup, { group: { role, stack } }: GroupMember): boolean {
  if (typeof servedBy === 'object')
    return role === 'worker' && stack !== undefined && servedBy.groups.includes(stack.logicalId);
  return servedBy === 'all' || servedBy === (role === 'manager' ? 'managers' : 'workers');
}

const isLeaving = ({ lifecycleState }: GroupMember) =>
  lifecycleState.startsWith('Terminating') || lifecycleState === 'Terminated';
/** At its launch hook, or past it and about to be in service: that may be known for some moments already by then. */
const isComing = (lifecycleState: string) => lifecycleState === 'Pending:Wait' || lifecycleState === 'Pending:Proceed';
const isArriving = ({ lifecycleState }: GroupMember) => lifecycleState === 'Pending:Wait';

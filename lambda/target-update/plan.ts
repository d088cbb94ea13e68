/**
 * Which targets to register and to deregister: the difference between the nodes that may be sent work and the targets that a target group has. Pure.
 *
 * - Registered is whoever is in service, is Ready and not drained by the leader's list, and belongs to the nodes that stand behind the target group.
 * - An instance that leaves fails its health check first, which a load balancer hears of within seconds, while what is said by deregistering takes it minutes. So where the agent answers the check, a target that is
 *   still healthy is waited for.
 * - A healthy target goes only while another healthy one stays. When a list of nodes is wrong, traffic goes on.
 * - Right after a change of leader nobody's state is known: who is registered stays so, and nobody is added.
 */
import { HEALTH_PORT } from '../../protocol/environment';
import type { SwarmNode } from '../../protocol/swarm';
import type { ServedBy } from '../../protocol/targets';
import type { Instance } from '../membership/observation';

export interface Observed {
  /** False while no quorum reports: then the list of nodes says nothing. */
  quorumVisible: boolean;
  nodes: readonly SwarmNode[];
  /** Members of the cluster's Auto Scaling groups. */
  instances: readonly Instance[];
  targetGroups: readonly TargetGroup[];
}

export interface TargetGroup {
  arn: string;
  servedBy: ServedBy;
  /** Where targets get what they are sent. */
  port: number;
  /** A number, or `traffic-port`. */
  healthCheckPort: string;
  targets: readonly Target[];
}

export interface Target {
  instanceId: string;
  port: number;
  /** As Elastic Load Balancing names it: `initial`, `healthy`, `unhealthy`, `draining`, `unused`, ... */
  state: string;
}

/** What is to change in one target group. */
export interface Change {
  arn: string;
  register: { instanceId: string; port: number }[];
  deregister: { instanceId: string; port: number; reason: string }[];
  /** Healthy targets that would have gone, and stay since no other is healthy. */
  kept: { instanceId: string; reason: string }[];
  /** Targets that wait for their health check to fail. */
  waiting: string[];
  /** Targets that nobody here has registered: another port, or an instance of no group of the cluster. */
  strange: string[];
}

/** @returns one for each target group in which something is to be done or to be said */
export function plan(observed: Observed): Change[] {
  const members = membersOf(observed);
  return observed.targetGroups.map((group) => changeOf(group, members)).filter(({ arn: _, ...lists }) => Object.values(lists).some((list) => list.length > 0));
}

/** An instance of the cluster, and whether it may be sent work: undefined while nobody can tell. */
interface Member {
  instance: Instance;
  mayServe: boolean | undefined;
}

function membersOf({ quorumVisible, nodes, instances }: Observed): Map<string, Member> {
  // By its own label, which may be false: whoever claims to be another gets nothing by it, since what is registered is the other.
  const byInstance = new Map<string, SwarmNode[]>();
  for (const node of nodes) if (node.instanceId !== undefined) byInstance.set(node.instanceId, [...(byInstance.get(node.instanceId) ?? []), node]);
  const mayServe = ({ instanceId, lifecycleState }: Instance) => {
    if (lifecycleState !== 'InService') return false;
    if (!quorumVisible) return undefined;
    const undrained = (byInstance.get(instanceId) ?? []).filter(({ availability }) => availability !== 'drain');
    return undrained.some(({ state }) => state === 'ready') || (undrained.some(({ state }) => state === 'unknown') ? undefined : false);
  };
  return new Map(instances.map((instance) => [instance.instanceId, { instance, mayServe: mayServe(instance) }]));
}

function changeOf(group: TargetGroup, members: ReadonlyMap<string, Member>): Change {
  const { arn, port } = group;
  const change: Change = { arn, register: [], deregister: [], kept: [], waiting: [], strange: [] };
  const registered = group.targets.filter(({ state }) => state !== 'draining');
  const present = new Set(registered.filter((target) => target.port === port).map(({ instanceId }) => instanceId));
  for (const [instanceId, { instance, mayServe }] of members) {
    if (mayServe === true && !present.has(instanceId) && stands(group, instance)) change.register.push({ instanceId, port });
  }
  const going = registered.flatMap((target) => {
    const reason = whyToGo(group, target, members.get(target.instanceId));
    return reason === undefined ? [] : [{ ...target, reason }];
  });
  const healthyStay = registered.filter(({ state }) => state === 'healthy').length - going.filter(({ state }) => state === 'healthy').length;
  for (const { instanceId, port: at, state, reason } of going) {
    const member = members.get(instanceId);
    if (at !== port || !member) change.strange.push(instanceId);
    if (state !== 'healthy') change.deregister.push({ instanceId, port: at, reason });
    else if (healthyStay === 0) change.kept.push({ instanceId, reason });
    else if (member && isLeaving(member.instance) && group.healthCheckPort === String(HEALTH_PORT)) change.waiting.push(instanceId);
    else change.deregister.push({ instanceId, port: at, reason });
  }
  return change;
}

function whyToGo(group: TargetGroup, target: Target, member: Member | undefined): string | undefined {
  if (target.port !== group.port) return `It is registered at port ${target.port}, and the target group has ${group.port}.`;
  if (!member) return 'Its instance is in none of the groups of the cluster.';
  if (!stands(group, member.instance)) return 'Its Auto Scaling group does not stand behind this target group.';
  if (isLeaving(member.instance)) return 'Its instance leaves.';
  return member.mayServe === false ? 'Its node is not Ready, or is drained.' : undefined;
}

function stands({ servedBy }: TargetGroup, { group: { role, stack } }: Instance): boolean {
  if (typeof servedBy === 'object') return role === 'worker' && stack !== undefined && servedBy.groups.includes(stack.logicalId);
  return servedBy === 'all' || servedBy === (role === 'manager' ? 'managers' : 'workers');
}

const isLeaving = ({ lifecycleState }: Instance) => lifecycleState.startsWith('Terminating') || lifecycleState === 'Terminated';

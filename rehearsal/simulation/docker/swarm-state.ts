/**
 * What raft has committed, as an immutable value: every change makes a new value that shares the rest with the old one.
 * A cut-off manager keeps its old value. Pure, except for the random numbers it is given.
 */
import type { Clock } from '../../../protocol/clock';
import { DRAINED_FOR_LABEL, IDLE_FOR_LABEL } from '../../../protocol/labels';
import type { PublishedPort, SwarmNode } from '../../../protocol/swarm';

/** A raft member. */
export interface Member {
  raftId: number;
  nodeId: string;
  address: string;
}

/** A node object: its desired state and its observed state. */
export interface NodeObject {
  id: string;
  version: number;
  /**
   * The desired role; `role` is the role of its next certificate.
   * https://github.com/moby/swarmkit/blob/master/manager/role_manager.go
   */
  desiredRole: SwarmNode['role'];
  role: SwarmNode['role'];
  availability: SwarmNode['availability'];
  labels?: Readonly<Record<string, string>>;
  /** When it was drained. */
  drainedAt?: number;
  state: SwarmNode['state'];
  /** Empty until the node's first session. */
  hostname: string;
  address?: string;
  instanceId?: string;
}

export interface SwarmState {
  readonly swarmId: string;
  /**
   * Term and index of the last entry. Of two logs, the one with the higher term is newer, then the one with the higher
   * index.
   */
  readonly term: number;
  readonly index: number;
  /** `Cluster.Version.Index`. */
  readonly version: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly tokens: { readonly manager: string; readonly worker: string };
  readonly members: ReadonlyMap<number, Member>;
  readonly nodes: ReadonlyMap<string, NodeObject>;
  /** Removed nodes, whose certificates are refused for ever. */
  readonly removed: ReadonlySet<string>;
  /** The ports that services publish. */
  readonly ports: readonly PublishedPort[];
}

/** How many entries Docker writes to create a swarm, which gives the first version that callers see. Measured. */
const FIRST_INDEX = 10;

export function newSwarm(
  clock: Clock,
  first: { swarmId: string; nodeId: string; raftId: number; address: string; hostname: string; instanceId?: string },
): SwarmState {
  const digest = base36(clock, 50);
  const node: NodeObject = {
    id: first.nodeId,
    version: FIRST_INDEX,
    desiredRole: 'manager',
    role: 'manager',
    availability: 'active',
    state: 'ready',
    hostname: first.hostname,
    address: first.address,
    ...(first.instanceId !== undefined && { instanceId: first.instanceId }),
  };
  return {
    swarmId: first.swarmId,
    term: 1,
    index: FIRST_INDEX,
    version: FIRST_INDEX,
    labels: {},
    tokens: newTokens(clock, digest),
    members: new Map([[first.raftId, { raftId: first.raftId, nodeId: first.nodeId, address: first.address }]]),
    nodes: new Map([[node.id, node]]),
    removed: new Set(),
    ports: [],
  };
}

/** Applies a change to a state; undefined when there is nothing to write. Throws to refuse. */
export type Change = (state: SwarmState) => SwarmState | undefined;

const next = (state: SwarmState, what: Partial<SwarmState>): SwarmState => ({
  ...state,
  index: state.index + 1,
  ...what,
});

/** An empty entry, which a new leader commits first. */
export const nothing: Change = (state) => next(state, {});

/** Every write of the cluster object increases its version. */
export function changeCluster(
  state: SwarmState,
  what: { labels?: Record<string, string>; removed?: ReadonlySet<string>; tokens?: SwarmState['tokens'] },
): SwarmState {
  return next(state, { ...what, version: state.index + 1 });
}

/** New join tokens of the same certificate authority. */
export const rotatedTokens = (clock: Clock, { manager }: SwarmState['tokens']) =>
  newTokens(clock, manager.split('-')[2]!);

function newTokens(clock: Clock, digest: string): SwarmState['tokens'] {
  return { manager: `SWMTKN-1-${digest}-${base36(clock, 25)}`, worker: `SWMTKN-1-${digest}-${base36(clock, 25)}` };
}

export function changePorts(state: SwarmState, ports: readonly PublishedPort[]): SwarmState {
  return next(state, { ports });
}

/** Writes a node object; undefined when it is unchanged or gone. */
export function changeNode(state: SwarmState, id: string, what: Partial<NodeObject>): SwarmState | undefined {
  const node = state.nodes.get(id);
  if (!node || Object.entries(what).every(([key, value]) => node[key as keyof NodeObject] === value)) return undefined;
  return next(state, { nodes: new Map(state.nodes).set(id, { ...node, ...what, version: state.index + 1 }) });
}

export function addNode(state: SwarmState, id: string, role: SwarmNode['role']): SwarmState {
  const node: NodeObject = {
    id,
    version: state.index + 1,
    desiredRole: role,
    role,
    availability: 'active',
    state: 'unknown',
    hostname: '',
  };
  return next(state, { nodes: new Map(state.nodes).set(id, node) });
}

/** Removes a node, whose certificate is refused from then on. Writes two entries: the node's and the cluster's. */
export function removeNode(state: SwarmState, id: string): SwarmState {
  const nodes = new Map(state.nodes);
  nodes.delete(id);
  return { ...changeCluster(state, { removed: new Set(state.removed).add(id) }), nodes };
}

export function addMember(state: SwarmState, member: Member): SwarmState {
  return next(state, { members: new Map(state.members).set(member.raftId, member) });
}

export function removeMember(state: SwarmState, raftId: number): SwarmState {
  const members = new Map(state.members);
  members.delete(raftId);
  return next(state, { members });
}

/** The state after `--force-new-cluster`: one member, which is a quorum of its own. */
export function loneMember(state: SwarmState, raftId: number): SwarmState {
  return next(state, { members: new Map([[raftId, state.members.get(raftId)!]]) });
}

export function memberOf(state: SwarmState, nodeId: string): Member | undefined {
  for (const member of state.members.values()) if (member.nodeId === nodeId) return member;
  return undefined;
}

/** Whether a log has all entries of another one. */
export const isUpToDate = (log: SwarmState, other: SwarmState): boolean =>
  log.term > other.term || (log.term === other.term && log.index >= other.index);

export const quorumOf = (members: number): number => Math.floor(members / 2) + 1;

/**
 * The node list that the leader returns.
 *
 * @param isReachable whether the leader reaches a member's address
 */
export function listNodes(
  state: SwarmState,
  leader: string | undefined,
  isReachable: (member: Member) => boolean,
): SwarmNode[] {
  const members = new Map([...state.members.values()].map((member) => [member.nodeId, member]));
  const nodes = [...state.nodes.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return nodes.map(({ id, desiredRole, availability, hostname, address, instanceId, labels, state: status }) => {
    const { [DRAINED_FOR_LABEL]: drainedFor, [IDLE_FOR_LABEL]: idleFor } = labels ?? {};
    const member = members.get(id);
    return {
      id,
      hostname,
      role: desiredRole,
      availability,
      state: status,
      ...(instanceId !== undefined && { instanceId }),
      ...(address !== undefined && { address }),
      ...(drainedFor !== undefined && { drainedFor }),
      ...(idleFor !== undefined && { idleFor }),
      ...(member && {
        manager: {
          leader: id === leader,
          reachability: isReachable(member) ? ('reachable' as const) : ('unreachable' as const),
          address: `${member.address}:2377`,
        },
      }),
    };
  });
}

/**
 * Whether the remaining reachable members would be a majority of the remaining ones. Permits 3 -> 2 -> 1.
 * https://github.com/moby/swarmkit/blob/master/manager/state/raft/raft.go (CanRemoveMember)
 */
export function canRemoveMember(state: SwarmState, raftId: number, isReachable: (member: Member) => boolean): boolean {
  const left = [...state.members.values()].filter((member) => member.raftId !== raftId);
  return left.filter(isReachable).length >= quorumOf(left.length);
}

/** 25 characters of base 36: https://github.com/moby/swarmkit/blob/master/identity/randomid.go */
export const newId = (clock: Clock): string => base36(clock, 25);

/** 63 bits in swarmkit; 52 here, which a JavaScript number holds exactly. */
export const newRaftId = (clock: Clock): number => 1 + Math.floor(clock.random() * 2 ** 52);

function base36(clock: Clock, length: number): string {
  return Array.from({ length }, () => Math.floor(clock.random() * 36).toString(36)).join('');
}

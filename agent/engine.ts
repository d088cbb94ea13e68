/**
 * The Docker engine of this node, as far as the agent needs it. Implemented by the real one (`docker-socket.ts`) and by
 * the simulation's.
 */
import type { PublishedPort, SwarmNode } from '../protocol/swarm';
import type { Report } from '../protocol/report';

/** The engine's own part in a swarm, as it reports it. */
export type LocalSwarm = NonNullable<Report['swarm']>;

export interface EngineInfo {
  version: string;
  swarm: LocalSwarm;
}

export interface SwarmState {
  swarmId: string;
  /** `Cluster.Version.Index`: grows with every change of the cluster object. */
  version: number;
  labels: Record<string, string>;
  tokens: { manager: string; worker: string };
}

/** The changes that an operator may make to a node; omitted fields stay. */
export type NodeChange = Partial<Pick<SwarmNode, 'role' | 'availability'>> & {
  /** Labels to set; null removes one. */ labels?: Record<string, string | null>;
};

/** @param changes null removes a label */
export function changedLabels(
  labels: Readonly<Record<string, string>>,
  changes: NodeChange['labels'] = {},
): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ ...labels, ...changes }).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

/** An error answered by the engine. `message` is Docker's own. */
export class EngineError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Somebody else changed the object first: read it again. */
export function isOutOfSequence(error: unknown): boolean {
  return error instanceof EngineError && error.message.includes('update out of sequence');
}

export interface Engine {
  /** @throws Error when no engine answers */
  info(): Promise<EngineInfo>;
  initSwarm(options: {
    advertiseAddress: string;
    addressPools: string[];
    addressPoolPrefixLength: number;
  }): Promise<void>;
  /** Docker tries one address for 20 s, then answers with an error and continues in the background. */
  joinSwarm(options: { remote: string; token: string; advertiseAddress: string }): Promise<void>;
  /**
   * Makes a manager without a quorum the only member of the same swarm, with all its state. The other managers stay in
   * the list but are no longer members of raft.
   */
  recoverSwarm(options: { advertiseAddress: string }): Promise<void>;
  /** @throws EngineError when this node is a manager and force is not set: its raft member would be left behind */
  leaveSwarm(options: { force: boolean }): Promise<void>;
  /** For managers only, like everything below. */
  swarm(): Promise<SwarmState>;
  /**
   * Commits labels through raft.
   * @throws EngineError "update out of sequence" when the version is not the current one
   */
  labelSwarm(version: number, labels: Record<string, string>): Promise<void>;
  /**
   * Rotates the join tokens and commits labels with them.
   * @throws EngineError "update out of sequence" when the version is not the current one
   */
  rotateTokens(version: number, labels: Record<string, string>): Promise<void>;
  nodes(): Promise<SwarmNode[]>;
  isLeader(nodeId: string): Promise<boolean>;
  /**
   * A change of role is carried out later, and may silently fail: only the node's membership in raft shows its result.
   */
  updateNode(nodeId: string, change: NodeChange): Promise<void>;
  /** Docker refuses it for a member of raft, and without `force` for a node that is not down. */
  removeNode(nodeId: string, options: { force: boolean }): Promise<void>;
  /** The number of tasks on each node that have not ended, by node id. On a node that is down they never end. */
  unfinishedTasks(nodeIds: string[]): Promise<Map<string, number>>;
  /**
   * The number of tasks that should run but have no node yet. Lists all tasks of the swarm: too expensive for every
   * pass.
   */
  pendingTasks(): Promise<number>;
  /**
   * Published ports of all services, sorted. Leaves out host-mode ports without a fixed number, which differ from node
   * to node.
   */
  publishedPorts(): Promise<PublishedPort[]>;
  /** Calls back on every event of a node or service, until the signal aborts or the engine ends the stream. */
  watch(onEvent: (about: 'node' | 'service') => void, signal: AbortSignal): Promise<void>;
}

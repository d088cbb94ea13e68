/**
 * The Docker engine of this node, as far as the agent needs it. Two engines answer to it: the real one
 * (`docker-socket.ts`) and, in simulations, a simulated one.
 */
import type { PublishedPort, SwarmNode } from '../protocol/swarm';
import type { Report } from '../protocol/report';

/** What the engine says of its own part in a swarm. */
export type LocalSwarm = NonNullable<Report['swarm']>;

export interface EngineInfo {
  version: string;
  swarm: LocalSwarm;
}

export interface SwarmState {
  swarmId: string;
  /** `Cluster.Version.Index`: moves with every change of the cluster object. */
  version: number;
  labels: Record<string, string>;
  tokens: { manager: string; worker: string };
}

/** What an operator may change of a node; what is left out stays. */
export type NodeChange = Partial<Pick<SwarmNode, 'role' | 'availability'>> & {
  /** Labels to set, and with null, to take off. */ labels?: Record<string, string | null>;
};

/** @param changes null takes a label off */
export function changedLabels(
  labels: Readonly<Record<string, string>>,
  changes: NodeChange['labels'] = {},
): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ ...labels, ...changes }).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

/** An answer of the engine that is an error. `message` is Docker's own sentence. */
export class EngineError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Somebody else changed what was to be changed: what it is now has to be read anew. */
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
  /** Docker tries one remote only, for 20 s, then answers with an error and goes on in the background. */
  joinSwarm(options: { remote: string; token: string; advertiseAddress: string }): Promise<void>;
  /**
   * A manager without a quorum goes on as the only member of the same swarm, with all that it has; the others are
   * managers in the list, and no members any more.
   */
  recoverSwarm(options: { advertiseAddress: string }): Promise<void>;
  /** @throws EngineError without force, when this node is a manager: it would leave its raft member behind */
  leaveSwarm(options: { force: boolean }): Promise<void>;
  /** Managers only, as all that follow. */
  swarm(): Promise<SwarmState>;
  /**
   * Commits labels through raft.
   * @throws EngineError "update out of sequence" when the version is not the present one
   */
  labelSwarm(version: number, labels: Record<string, string>): Promise<void>;
  /**
   * Makes other join tokens, and commits labels with them.
   * @throws EngineError "update out of sequence" when the version is not the present one
   */
  rotateTokens(version: number, labels: Record<string, string>): Promise<void>;
  nodes(): Promise<SwarmNode[]>;
  isLeader(nodeId: string): Promise<boolean>;
  /**
   * A change of role is carried out later, and without a word when it cannot be: the node's membership in raft tells.
   */
  updateNode(nodeId: string, change: NodeChange): Promise<void>;
  /** Refused for every member of raft, and without `force` for a node that is not down. */
  removeNode(nodeId: string, options: { force: boolean }): Promise<void>;
  /**
   * How many tasks on each of these nodes have not come to their end, by node id. Of a node that is down they never do.
   */
  unfinishedTasks(nodeIds: string[]): Promise<Map<string, number>>;
  /**
   * How many tasks should run and have no node yet. A list of all tasks of the swarm: not to be asked for at each look.
   */
  pendingTasks(): Promise<number>;
  /**
   * Of all services, in the order of their numbers. A port in host mode without a number of its own is another one on
   * each node, and is left out.
   */
  publishedPorts(): Promise<PublishedPort[]>;
  /** Calls back on every event of a node or of a service, until the signal aborts or the engine ends it. */
  watch(onEvent: (about: 'node' | 'service') => void, signal: AbortSignal): Promise<void>;
}

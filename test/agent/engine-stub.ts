/**
 * A Docker engine for tests of the agent. By itself it is the only node of its swarm and leads it; a test changes its
 * fields. It answers as Docker does: a version index that moves with every change of the swarm, a fence in labels, and
 * errors in Docker's own words.
 */
import { EngineError, type Engine, type LocalSwarm, type NodeChange } from '../../agent/engine';
import { DRAINED_FOR_LABEL, FENCE_COUNTER_LABEL, IDLE_FOR_LABEL } from '../../protocol/labels';
import type { PublishedPort, SwarmNode } from '../../protocol/swarm';

export const instanceId = 'i-00000000000000001';
export const swarmId = 's'.repeat(25);
export const nodeId = 'n'.repeat(25);
export const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};

export const nodeOf = (id: string, change: Partial<SwarmNode> = {}): SwarmNode => ({
  id,
  hostname: id,
  role: 'worker',
  availability: 'active',
  state: 'ready',
  ...change,
});

/** A member of raft. The one named `a` leads. */
export const memberOf = (
  id: string,
  change: Partial<SwarmNode> = {},
  reachability: 'reachable' | 'unreachable' = 'reachable',
): SwarmNode =>
  nodeOf(id, { role: 'manager', manager: { leader: id === 'a', reachability, address: '10.0.0.1:2377' }, ...change });

export class EngineStub implements Engine {
  running = false;
  /** As after SIGSTOP: it runs and does not answer. */
  hangs = false;
  /** Whether it hangs again after it was killed. */
  hangsAgain = false;
  kills = 0;

  local: LocalSwarm = { state: 'inactive', controlAvailable: false };
  version = 10;
  labels: Record<string, string> = {};
  /** How often somebody else changes the swarm right before our own change. */
  othersChange = 0;

  /** What its disk says that it is, and how often it still fails to be that when it starts. */
  certified = false;
  failingStarts = 0;
  inits = 0;
  /** As an engine that was killed while it formed the swarm. */
  stillborn = false;
  joins: string[] = [];
  joinWorks = true;
  recovered: string[] = [];
  left = 0;
  rotations = 0;

  /** Itself, as the list of nodes shows it. Undefined where a test gives the whole list. */
  self: SwarmNode | undefined = nodeOf(nodeId, {
    hostname: 'm',
    role: 'manager',
    instanceId,
    manager: { leader: true, reachability: 'reachable', address: '10.0.0.1:2377' },
  });
  otherNodes: SwarmNode[] = [];
  leads = true;
  /** Nodes that cannot be changed. */
  stuck = new Set<string>();
  /** Whether a manager that is demoted leaves raft; with Docker it may not. */
  leavesRaft = () => true;
  /** What was done to other nodes, each behind the number of its fence. */
  done: string[] = [];

  /** Tasks that have not ended, by node. */
  tasks = new Map<string, number>();
  /** Tasks without a node; undefined where the engine does not say. */
  pending: number | undefined = 0;
  pendingAsked = 0;
  /** Undefined where the engine does not say. */
  ports: PublishedPort[] | undefined = [];
  portsAsked = 0;
  /** Tells the agent of an event. */
  tell: (about: 'node' | 'service') => void = () => undefined;

  /** How many fences were committed. */
  get fences(): number {
    return Number(this.labels[FENCE_COUNTER_LABEL] ?? 0);
  }

  start() {
    this.running = true;
    if (this.certified)
      this.local =
        this.failingStarts-- > 0
          ? { state: 'error', controlAvailable: false }
          : { state: 'active', nodeId, swarmId, controlAvailable: true };
  }

  kill() {
    this.kills++;
    this.running = false;
    this.hangs = this.hangsAgain;
  }

  async info() {
    if (!this.running) throw new Error('connect ENOENT');
    if (this.hangs) throw new Error('The Docker engine did not answer GET /info within 30 s.');
    return { version: '25.0.8', swarm: this.local };
  }

  async initSwarm() {
    this.inits++;
    this.local = { state: 'active', nodeId, swarmId, controlAvailable: true };
  }

  async joinSwarm({ remote }: { remote: string }) {
    this.joins.push(remote);
    if (!this.joinWorks)
      throw new EngineError(503, `rpc error: code = Unavailable desc = connection error, ${tokens.worker}`);
    this.local = { state: 'active', nodeId, controlAvailable: false };
  }

  async recoverSwarm({ advertiseAddress }: { advertiseAddress: string }) {
    this.recovered.push(advertiseAddress);
    this.local = { ...this.local, swarmId };
  }

  async leaveSwarm() {
    this.left++;
    this.stillborn = false;
    this.local = { state: 'inactive', controlAvailable: false };
  }

  async swarm() {
    return { swarmId, version: this.version, labels: { ...this.labels }, tokens };
  }

  async labelSwarm(version: number, labels: Record<string, string>) {
    if (this.stillborn)
      throw new EngineError(
        500,
        'rpc error: code = InvalidArgument desc = there must be at least one valid, reachable external CA ' +
          'corresponding to the current CA certificate',
      );
    if (this.othersChange-- > 0) this.version++;
    if (version !== this.version) throw new EngineError(500, 'rpc error: code = Unknown desc = update out of sequence');
    Object.assign(this.labels, labels);
    this.version++;
  }

  async rotateTokens(version: number, labels: Record<string, string>) {
    await this.labelSwarm(version, labels);
    this.rotations++;
  }

  async nodes() {
    return structuredClone([...this.otherNodes, ...(this.self ? [this.self] : [])]);
  }

  async isLeader() {
    return this.leads;
  }

  async updateNode(id: string, { role, availability, labels = {} }: NodeChange) {
    if (this.stuck.has(id)) throw new Error('rpc error: code = DeadlineExceeded');
    const node = this.otherNodes.find((one) => one.id === id)!;
    this.done.push(`${this.fences}: ${[role, availability, ...Object.keys(labels)].filter(Boolean).join(' ')} ${id}`);
    if (role) node.role = role;
    if (availability) node.availability = availability;
    for (const [label, key] of [[DRAINED_FOR_LABEL, 'drainedFor'] as const, [IDLE_FOR_LABEL, 'idleFor'] as const])
      if (label in labels) node[key] = labels[label] ?? undefined;
    if (role === 'worker' && this.leavesRaft()) delete node.manager;
  }

  async removeNode(id: string, { force }: { force: boolean }) {
    this.done.push(`${this.fences}: remove ${id}${force ? ' by force' : ''}`);
    this.otherNodes = this.otherNodes.filter((one) => one.id !== id);
  }

  async unfinishedTasks(nodeIds: string[]) {
    return new Map([...this.tasks].filter(([id]) => nodeIds.includes(id)));
  }

  async pendingTasks() {
    this.pendingAsked++;
    if (this.pending === undefined) throw new Error('The Docker engine answered with more than 67108864 bytes.');
    return this.pending;
  }

  async publishedPorts() {
    this.portsAsked++;
    if (this.ports === undefined) throw new Error('The Docker engine did not answer GET /services within 3 s.');
    return this.ports;
  }

  watch(onEvent: (about: 'node' | 'service') => void, signal: AbortSignal) {
    this.tell = onEvent;
    return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  }
}

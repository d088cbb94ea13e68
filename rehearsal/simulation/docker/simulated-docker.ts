/**
 * The universe of simulated Docker engines: one network, every swarm that was ever created, and the ground truth about
 * each for the invariants.
 */
import type { Clock } from '../../../protocol/clock';
import type { PublishedPort, SwarmNode } from '../../../protocol/swarm';
import { Agenda } from './agenda';
import { SimulatedDaemon, type DaemonOptions, type EngineUniverse } from './daemon';
import type { Leadership } from './leadership';
import { SimulatedNetwork } from './network';
import type { DockerEventKind, NodeRunner, SwarmGroup } from './node-runner';
import { RaftGroup, type Peer } from './raft';
import { listNodes, type NodeObject, type SwarmState } from './swarm-state';

export interface DockerEvent {
  at: number;
  what: DockerEventKind;
  swarmId: string;
  nodeId?: string;
  address?: string;
}

export interface SwarmTruth {
  swarmId: string;
  members: { raftId: number; nodeId: string; address: string; alive: boolean }[];
  /** The node id of the leader with a quorum. */
  leader: string | undefined;
  /** Whether a majority of members reach each other. */
  hasQuorum: boolean;
  /** The committed nodes. */
  nodes: SwarmNode[];
  version: number;
  /** The ports that services publish. */
  ports: readonly PublishedPort[];
  managerToken: string;
}

export class SimulatedDocker implements EngineUniverse {
  readonly network: SimulatedNetwork;
  readonly agenda: Agenda;
  /** How long tasks on a drained node take to end, in milliseconds; undefined while there is no service. */
  tasksEndMs: number | undefined;
  private readonly groups = new Map<string, SwarmGroup>();
  private readonly daemons = new Map<string, SimulatedDaemon>();
  private readonly listeners = new Set<(event: DockerEvent) => void>();
  private readonly lists = new WeakMap<SwarmState, { key: string; nodes: SwarmNode[] }>();
  private settling = false;

  /** @param betweenSteps called after every effect that outlives an engine; may kill that engine, or any other */
  constructor(
    readonly clock: Clock,
    private readonly betweenSteps?: (daemon: SimulatedDaemon, step: string) => void,
  ) {
    this.agenda = new Agenda(clock);
    this.network = new SimulatedNetwork(clock, () => this.settle());
  }

  /** Whether tasks on a node still run. Managers learn of their end only from its engine. */
  hasTasks(node: NodeObject | undefined): boolean {
    if (this.tasksEndMs === undefined || !node) return false;
    return node.state === 'down' || node.drainedAt === undefined || this.clock.now() < node.drainedAt + this.tasksEndMs;
  }

  daemon(options: DaemonOptions): SimulatedDaemon {
    return new SimulatedDaemon(this, options);
  }

  onEvent(listener: (event: DockerEvent) => void): void {
    this.listeners.add(listener);
  }

  /** Every swarm that was ever created. */
  swarms(): SwarmTruth[] {
    return [...this.groups.values()].map((group) => {
      const { committed, peers } = group.raft;
      const leader = [...peers.values()].find((peer) => peer.leadership && group.raft.hasQuorum(peer));
      return {
        swarmId: committed.swarmId,
        members: [...committed.members.values()].map((member) => ({
          ...member,
          alive: peers.get(member.nodeId)?.deaf === false && !this.network.isSilent(member.address),
        })),
        leader: leader?.nodeId,
        hasQuorum: [...peers.values()].some((peer) => committed.members.has(peer.raftId) && group.raft.hasQuorum(peer)),
        nodes: listNodes(committed, leader?.nodeId, ({ nodeId }) => peers.has(nodeId)),
        version: committed.version,
        ports: committed.ports,
        managerToken: committed.tokens.manager,
      };
    });
  }

  // For the engines

  started(daemon: SimulatedDaemon): void {
    const other = this.daemons.get(daemon.address);
    if (other !== undefined && other !== daemon) throw new Error(`Two engines run at the address ${daemon.address}.`);
    this.daemons.set(daemon.address, daemon);
    this.network.reset(daemon.address);
  }

  ended(daemon: SimulatedDaemon): void {
    this.daemons.delete(daemon.address);
  }

  /** Gives the swarm's first state: the given one, unless the swarm is known already. */
  bootstrap(address: string, state: SwarmState): SwarmState {
    const known = this.groups.get(state.swarmId);
    if (known) return known.raft.committed;
    const raft = new RaftGroup(
      {
        clock: this.clock,
        agenda: this.agenda,
        carries: (a, b) => this.network.carries(a, b),
        onElected: (peer) => this.tell('elected', state.swarmId, peer.nodeId, peer.host.address),
        onLeaderLost: (peer) => this.tell('leader-lost', state.swarmId, peer.nodeId, peer.host.address),
        onRole: (nodeId, role) => this.tell(role === 'manager' ? 'promoted' : 'demoted', state.swarmId, nodeId),
        onCommitted: (before, after) => this.committed(before, after),
        onSettled: () => this.settleAgents(state.swarmId),
      },
      state,
    );
    this.groups.set(state.swarmId, { raft, agents: new Map(), maximumVersion: state.version });
    this.tell('bootstrapped', state.swarmId, undefined, address);
    return state;
  }

  group(swarmId: string): SwarmGroup {
    return this.groups.get(swarmId)!;
  }

  /** A manager that answers at an address, as far as `from` can tell. */
  managerAt(from: string, address: string): NodeRunner | undefined {
    const runner = this.daemons.get(address)?.runner;
    return runner?.peer && this.network.connected(from, address) ? runner : undefined;
  }

  /** The leader that a node without a manager of its own finds through any manager that it knows. */
  leadershipInReach(group: SwarmGroup, from: string, managers: readonly string[]): Leadership<Peer> | undefined {
    for (const address of managers) {
      const runner = this.managerAt(from, address);
      const leadership = runner?.group === group ? group.raft.leadershipSeenBy(runner.peer!) : undefined;
      if (leadership) return leadership;
    }
    return undefined;
  }

  /** The leader's node list; the same object while nothing has changed. */
  listNodes({ peer, state }: Leadership<Peer>): SwarmNode[] {
    const { raft } = this.group(state.swarmId);
    const key =
      [...state.members.values()].map((member) => (raft.callsReachable(peer, member) ? '+' : '-')).join('') +
      peer.nodeId;
    const known = this.lists.get(state);
    if (known?.key === key) return known.nodes;
    const nodes = listNodes(state, peer.nodeId, (member) => raft.callsReachable(peer, member));
    this.lists.set(state, { key, nodes });
    return nodes;
  }

  step(address: string, step: string): void {
    const daemon = this.daemons.get(address);
    if (daemon) this.betweenSteps?.(daemon, step);
  }

  tell(what: DockerEventKind, swarmId: string, nodeId?: string, address?: string): void {
    const event: DockerEvent = {
      at: this.clock.now(),
      what,
      swarmId,
      ...(nodeId !== undefined && { nodeId }),
      ...(address !== undefined && { address }),
    };
    for (const listener of this.listeners) listener(event);
  }

  private committed(before: SwarmState, after: SwarmState): void {
    const group = this.group(after.swarmId);
    if (after.version < group.maximumVersion) throw new Error('The version of a simulated swarm went backwards.');
    group.maximumVersion = after.version;
    if (before.members !== after.members) {
      for (const { raftId, nodeId, address } of after.members.values())
        if (!before.members.has(raftId)) this.tell('raft-member-added', after.swarmId, nodeId, address);
      for (const { raftId, nodeId, address } of before.members.values())
        if (!after.members.has(raftId)) this.tell('raft-member-removed', after.swarmId, nodeId, address);
    }
  }

  private settle(): void {
    for (const group of this.groups.values()) group.raft.settle();
  }

  /** Makes agents look for the leader again. Not nested: what one finds changes nothing for the others. */
  private settleAgents(swarmId: string): void {
    if (this.settling) return;
    this.settling = true;
    for (const runner of [...this.group(swarmId).agents.values()]) runner.settleAgent();
    this.settling = false;
  }
}

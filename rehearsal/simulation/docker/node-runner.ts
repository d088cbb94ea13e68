/**
 * The swarm component of a running engine: how it creates or joins a swarm, comes back from its disk, changes its role
 * and ends. The universe may kill the engine between any two effects that outlive it.
 * Source: https://github.com/moby/moby/blob/v20.10.24/daemon/cluster/noderunner.go,
 * https://github.com/moby/swarmkit/blob/master/node/node.go
 */
import type { Clock } from '../../../protocol/clock';
import type { SwarmNode } from '../../../protocol/swarm';
import { Agent, type AgentHost } from './agent-session';
import type { Agenda } from './agenda';
import type { Disk, DockerState } from './disk';
import type { Leadership } from './leadership';
import type { SimulatedNetwork } from './network';
import { Peer, type PeerHost, type RaftGroup } from './raft';
import { connectionRefused, noLeader, wrongToken } from './sentences';
import { addMember, addNode, loneMember, memberOf, newId, newRaftId, newSwarm, type SwarmState } from './swarm-state';

/** How long each step takes on an idle machine. Measured. */
const INIT_MS = 530;
const CERTIFICATE_MS = 30;
const MANAGER_START_MS = 50;
/** The same on a busy machine, where the agent may have its session earlier. */
const MOST_MANAGER_START_MS = 400;
/**
 * The longest time from when raft counts a new member until the member has stored the leader's first entries. Measured.
 */
const UNHEARD_MS = 750;
/**
 * The longest time until an engine that comes back deaf has its own manager. In about half of all cases its agent finds
 * another manager first.
 */
const MOST_DEAF_START_MS = 200;
const RECOVER_MS = 500;
const RENEW_MS = 50;
/** The pause between two attempts to get a certificate from a manager that does not answer. */
const RETRY_MS = 2_000;
const TRIES = 5;
/** How long a remote may be silent. Measured. */
const SILENCE_MS = 35_000;
/**
 * How long a manager that was removed from raft waits to become a worker; it waits twice.
 * https://github.com/moby/swarmkit/blob/master/node/node.go (roleChangeTimeout)
 */
const ROLE_CHANGE_MS = 16_000;
/** The leader must reach a new member's address within this time. */
const DIAL_MS = 5_000;
/** A new member that finds no manager gives up within this time. Measured. */
const NOBODY_MS = 20_000;

/** One swarm: its managers' raft, and the agents of all its nodes. */
export interface SwarmGroup {
  raft: RaftGroup;
  agents: Map<Agent, NodeRunner>;
  maximumVersion: number;
}

export type DockerEventKind =
  | 'bootstrapped'
  | 'node-created'
  | 'node-removed'
  | 'raft-member-added'
  | 'raft-member-removed'
  | 'promoted'
  | 'demoted'
  | 'elected'
  | 'leader-lost';

/** The universe as a swarm component sees it. */
export interface Universe {
  readonly clock: Clock;
  readonly agenda: Agenda;
  readonly network: SimulatedNetwork;
  /** The first state of the swarm: the given one, unless the swarm already exists. */
  bootstrap(address: string, state: SwarmState): SwarmState;
  group(swarmId: string): SwarmGroup;
  /** The manager at an address, if it answers `from`. */
  managerAt(from: string, address: string): NodeRunner | undefined;
  /** The leader that a node without a manager of its own finds through any manager that it knows. */
  leadershipInReach(group: SwarmGroup, from: string, managers: readonly string[]): Leadership<Peer> | undefined;
  /**
   * Called after an effect that outlives the engine. The universe may kill the engine at this address, or any other.
   */
  step(address: string, step: string): void;
  tell(what: DockerEventKind, swarmId: string, nodeId?: string, address?: string): void;
}

/** The engine around the component. */
export interface EngineHost {
  readonly address: string;
  readonly hostname: string;
  readonly instanceId: string | undefined;
  readonly disk: Disk;
  readonly docker: Universe;
  kill(): void;
  tellWatchers(about: 'node' | 'service'): void;
}

/** The engine was killed or left the swarm meanwhile. */
class Ended extends Error {}

export class NodeRunner implements PeerHost, AgentHost {
  status: 'pending' | 'active' | 'error' = 'pending';
  /** Known once the node has its certificate. */
  nodeId: string | undefined;
  peer: Peer | undefined;
  group: SwarmGroup | undefined;
  /** Resolves when the node works in the swarm; rejects when the component fails first. */
  readonly ready: Promise<void>;
  private agent: Agent | undefined;
  private ended = false;
  private settleReady!: { resolve(): void; reject(error: Error): void };

  constructor(private readonly daemon: EngineHost) {
    this.ready = new Promise((resolve, reject) => (this.settleReady = { resolve, reject }));
    this.ready.catch(() => undefined);
  }

  get address(): string {
    return this.daemon.address;
  }

  get hostname(): string {
    return this.daemon.hostname;
  }

  get instanceId(): string | undefined {
    return this.daemon.instanceId;
  }

  private get docker() {
    return this.daemon.docker;
  }

  private get disk(): DockerState {
    return this.daemon.disk.docker!;
  }

  /** Creates a swarm. */
  init(advertiseAddress: string): void {
    this.write({ local: { advertiseAddress, joinInProgress: false }, managers: [] });
    this.go(async () => {
      await this.pause(INIT_MS);
      this.write({
        ...this.disk,
        certificate: { nodeId: newId(this.docker.clock), swarmId: newId(this.docker.clock), role: 'manager' },
      });
      await this.run();
    });
  }

  /** Joins a swarm. */
  join(remote: string, token: string, advertiseAddress: string): void {
    this.write({ local: { advertiseAddress, remote, joinInProgress: true }, managers: [remote] });
    this.go(async () => {
      await this.requestCertificate(remote, token);
      await this.run();
    });
  }

  /** Comes back with the identity on the disk. */
  resume(): void {
    this.go(() => this.run());
  }

  /** Goes on as the only member of the same swarm, with its whole state. */
  async recover(): Promise<void> {
    const { raftId, term, state, log } = this.disk.raft!;
    this.group!.raft.remove(this.peer!);
    this.peer = undefined;
    await this.pause(RECOVER_MS);
    this.write({ ...this.disk, raft: { raftId, term, state: loneMember(log ?? state, raftId) } });
    this.startPeer();
  }

  /** Ends silently: it writes nothing and notifies no other node. */
  abandon(): void {
    this.ended = true;
    this.agent?.end();
    this.group?.agents.delete(this.agent!);
    if (this.peer) this.group?.raft.remove(this.peer);
    this.peer = undefined;
  }

  /** The leader that this manager's control API forwards to. */
  findLeadership(): Promise<Leadership<Peer>> {
    return this.group!.raft.findLeadership(this.peer!);
  }

  leadership(): Leadership<Peer> | undefined {
    // It asks only its own manager, which cannot answer. Measured: it has no session, unless it got one before its own
    // manager started.
    if (this.peer?.deaf && !this.agent?.inSession) return undefined;
    const own = this.peer && this.group!.raft.leadershipSeenBy(this.peer);
    return own ?? (this.group && this.docker.leadershipInReach(this.group, this.address, this.disk.managers));
  }

  settleAgent(): void {
    this.agent?.settle();
  }

  onState(state: SwarmState): void {
    const before = this.disk.raft!;
    this.daemon.disk.docker = {
      ...this.disk,
      raft: { raftId: before.raftId, term: this.peer?.term ?? before.term, state },
    };
    if (before.state.nodes !== state.nodes) this.daemon.tellWatchers('node');
    if (before.state.ports !== state.ports) this.daemon.tellWatchers('service');
  }

  onAppended(log: SwarmState): void {
    this.daemon.disk.docker = { ...this.disk, raft: { ...this.disk.raft!, log } };
  }

  onRemoved(): void {
    this.go(async () => {
      this.stopPeer();
      await this.pause(2 * ROLE_CHANGE_MS);
      // Still not a worker, so it must have been promoted again.
      if (this.disk.certificate!.role === 'manager' && !this.peer) await this.becomeMember(this.disk.managers);
    });
  }

  onManagers(state: SwarmState): void {
    this.guard(() => this.write({ ...this.disk, managers: [...state.members.values()].map(({ address }) => address) }));
  }

  onSession(state: SwarmState): void {
    this.onManagers(state);
    this.guard(() => {
      if (this.disk.certificate!.role !== state.nodes.get(this.nodeId!)?.role) this.onRoleChanged();
      if (this.status === 'active' || this.waitsForPeer()) return;
      this.becomeActive();
    });
  }

  onRoleChanged(): void {
    this.go(async () => {
      await this.pause(RENEW_MS);
      const role = this.group!.raft.committed.nodes.get(this.nodeId!)?.role;
      if (role === undefined || role === this.disk.certificate!.role) return;
      this.write({ ...this.disk, certificate: { ...this.disk.certificate!, role } });
      if (role === 'worker') {
        this.stopPeer();
        if (this.agent?.inSession && this.status === 'pending') this.becomeActive();
      } else await this.becomeMember(this.disk.managers);
    });
  }

  /**
   * Requests a certificate from the remote: up to five times if it refuses, for up to 35 s if it does not answer.
   * https://github.com/moby/swarmkit/blob/master/ca/certificates.go (RequestAndSaveNewCertificates)
   */
  private async requestCertificate(remote: string, token: string): Promise<void> {
    const end = this.docker.clock.now() + SILENCE_MS;
    for (let tries = 1; ;) {
      if (!this.docker.network.connected(this.address, remote)) {
        if (this.docker.clock.now() >= end) throw new Error('context deadline exceeded');
        await this.pause(RETRY_MS);
        continue;
      }
      try {
        return await this.requestOnce(remote, token);
      } catch (error) {
        if (error instanceof Ended) throw error;
        await this.pause(RETRY_MS);
        if (tries++ === TRIES) throw error;
      }
    }
  }

  private async requestOnce(remote: string, token: string): Promise<void> {
    const manager = this.docker.managerAt(this.address, remote);
    if (!manager) throw connectionRefused(remote);
    const leadership = manager.group!.raft.leadershipSeenBy(manager.peer!);
    if (!leadership) throw noLeader();
    const role = roleOf(leadership.state, token);
    if (!role) throw wrongToken();
    const nodeId = newId(this.docker.clock);
    await this.alive(leadership.propose((state) => addNode(state, nodeId, role)));
    this.docker.tell('node-created', leadership.state.swarmId, nodeId, this.address);
    this.docker.step(leadership.peer.host.address, 'node object created');
    await this.pause(CERTIFICATE_MS);
    this.write({ ...this.disk, certificate: { nodeId, swarmId: leadership.state.swarmId, role } });
  }

  /** Runs the node that the certificate names. */
  private async run(): Promise<void> {
    const { certificate, local, managers, raft } = this.disk;
    if (certificate!.role === 'manager' && !raft && !local.joinInProgress && managers.length === 0) this.bootstrap();
    this.group = this.docker.group(certificate!.swarmId);
    this.nodeId = certificate!.nodeId;
    this.startAgent();
    if (certificate!.role === 'worker') return;
    if (!raft && this.disk.raft) return this.startPeer();
    if (raft && !local.joinInProgress) {
      await this.pause(
        raft.unheard ? this.docker.clock.random() * MOST_DEAF_START_MS : this.group!.raft.redialAfter(this.nodeId!),
      );
      this.startPeer(raft.unheard);
    } else await this.becomeMember(local.joinInProgress ? [local.remote!] : managers);
  }

  /** Becomes the first raft member: it knows no other manager, and was not told to join one. */
  private bootstrap(): void {
    const { certificate, local } = this.disk;
    const { hostname, instanceId } = this;
    const first = {
      swarmId: certificate!.swarmId,
      nodeId: certificate!.nodeId,
      raftId: newRaftId(this.docker.clock),
      address: local.advertiseAddress,
      hostname,
      ...(instanceId !== undefined && { instanceId }),
    };
    // The root certificate makes the swarm. If the engine is killed before raft's first write, it goes on creating the
    // same swarm.
    const state = this.docker.bootstrap(this.address, newSwarm(this.docker.clock, first));
    const [member] = state.members.values();
    this.write({ ...this.disk, raft: { raftId: member!.raftId, term: 1, state } });
  }

  private startAgent(): void {
    this.agent = new Agent(this.docker.clock, this.docker.agenda, this, this.nodeId!);
    this.group!.agents.set(this.agent, this);
    this.agent.settle();
  }

  /**
   * Asks the leader, through the first manager that answers, to add this node to raft. A node that is already a member
   * gets its old raft id.
   */
  private async becomeMember(remotes: readonly string[]): Promise<void> {
    const manager = remotes.map((remote) => this.docker.managerAt(this.address, remote)).find(Boolean);
    if (!manager)
      throw await this.late(`failed to join the cluster: no manager answers at ${remotes.join(', ')}`, NOBODY_MS);
    await this.pause(MANAGER_START_MS + this.docker.clock.random() * (MOST_MANAGER_START_MS - MANAGER_START_MS));
    const leadership = await this.alive(manager.findLeadership());
    // Meanwhile its session has made it a worker.
    if (this.disk.certificate!.role === 'worker') return;
    const { advertiseAddress } = this.disk.local;
    if (
      !this.docker.network.connected(leadership.peer.host.address, advertiseAddress) ||
      advertiseAddress !== this.address
    )
      throw await this.late(
        'could not connect to prospective new cluster member using its advertised address',
        DIAL_MS,
      );
    if (leadership.state.removed.has(this.nodeId!)) throw new Error('certificate was blacklisted');
    const known = memberOf(leadership.state, this.nodeId!);
    // The others count on entries that this member has lost: raft makes the whole engine exit. Measured.
    if (known && !this.disk.raft && this.group!.raft.hasRun(known.raftId)) return this.daemon.kill();
    let member = known;
    if (known?.address !== advertiseAddress) {
      const wanted = {
        raftId: known?.raftId ?? newRaftId(this.docker.clock),
        nodeId: this.nodeId!,
        address: advertiseAddress,
      };
      // Joins are serialised: meanwhile a request that this node sent before its engine died may have been carried out.
      // https://github.com/moby/swarmkit/blob/master/manager/state/raft/raft.go (membershipLock)
      const state = await this.alive(
        leadership.propose((now) =>
          memberOf(now, wanted.nodeId)?.address === wanted.address ? undefined : addMember(now, wanted),
        ),
      );
      member = memberOf(state, wanted.nodeId)!;
      this.docker.step(leadership.peer.host.address, 'raft member added');
    }
    const { raftId } = member!;
    this.write({ ...this.disk, raft: { raftId, term: leadership.peer.term, state: leadership.state, unheard: true } });
    this.startPeer();
    this.go(async () => {
      await this.pause(this.docker.clock.random() * UNHEARD_MS);
      if (this.peer && this.disk.raft?.unheard) this.onState(this.peer.state);
    });
  }

  private startPeer(deaf = false): void {
    const { raftId, term, state, log } = this.disk.raft!;
    this.peer = new Peer(this, this.nodeId!, raftId, state, log, term, this.docker.clock.now(), deaf);
    this.group!.raft.add(this.peer);
    this.agent?.settle();
    if (this.agent?.inSession && this.status === 'pending') this.becomeActive();
  }

  private stopPeer(): void {
    const { peer } = this;
    if (!peer) return;
    this.peer = undefined;
    this.group!.raft.remove(peer);
    this.write({ ...this.disk, raft: undefined });
    this.agent?.settle();
  }

  private waitsForPeer(): boolean {
    return this.disk.certificate!.role === 'manager' && !this.peer;
  }

  private becomeActive(): void {
    this.write({ ...this.disk, local: { ...this.disk.local, joinInProgress: false } });
    this.status = 'active';
    this.settleReady.resolve();
  }

  /** Ends the swarm component; the engine goes on without it. */
  private fail(error: Error): void {
    if (this.ended) return;
    this.abandon();
    this.nodeId = undefined;
    this.status = 'error';
    this.settleReady.reject(error);
  }

  /** Writes to the disk. The engine may be killed right after. */
  private write(state: DockerState): void {
    if (this.ended) throw new Ended();
    this.daemon.disk.docker = state;
    this.docker.step(this.address, Object.keys(state).join(' '));
    if (this.ended) throw new Ended();
  }

  private go(work: () => Promise<void>): void {
    work().catch((error: Error) => {
      if (!(error instanceof Ended)) this.fail(error);
    });
  }

  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
    }
  }

  private async pause(ms: number): Promise<void> {
    await this.alive(this.docker.clock.sleep(ms));
  }

  private async late(sentence: string, ms: number): Promise<Error> {
    await this.pause(ms);
    return new Error(sentence);
  }

  /** Waits for work of another. An engine that was killed meanwhile does not continue. */
  private async alive<T>(work: Promise<T>): Promise<T> {
    const result = await work;
    if (this.ended) throw new Ended();
    return result;
  }
}

function roleOf(state: SwarmState, token: string): SwarmNode['role'] | undefined {
  if (token === state.tokens.manager) return 'manager';
  return token === state.tokens.worker ? 'worker' : undefined;
}

/**
 * One simulated Docker engine, as the agent sees it. Like dockerd it first starts its swarm component, for at most 20
 * s, and answers nothing before that.
 * Source: https://github.com/moby/moby/blob/v20.10.24/daemon/cluster/swarm.go, cluster.go, nodes.go
 */
import {
  changedLabels,
  EngineError,
  type Engine,
  type EngineInfo,
  type NodeChange,
  type SwarmState as SwarmInfo,
} from '../../../agent/engine';
import { INSTANCE_ID_LABEL } from '../../../protocol/labels';
import type { PublishedPort, SwarmNode } from '../../../protocol/swarm';
import type { Disk } from './disk';
import type { Leadership } from './leadership';
import { NodeRunner, type EngineHost, type Universe } from './node-runner';
import type { Peer } from './raft';
import * as sentences from './sentences';
import {
  changeCluster,
  changeNode,
  changePorts,
  memberOf,
  removeNode,
  rotatedTokens,
  type NodeObject,
  type SwarmState,
} from './swarm-state';

const VERSION = '20.10.24+dfsg1';
/** How soon an engine outside a swarm answers. Measured: 0.6 s with containerd. */
const START_MS = 500;
/** https://github.com/moby/moby/blob/v20.10.24/daemon/cluster/cluster.go (swarmConnectTimeout) */
const CONNECT_MS = 20_000;
/** How long a manager takes to stop. Measured. */
const MANAGER_STOP_MS = 2_300;
/**
 * How long systemd waits for a unit to stop before it kills it:
 * https://www.freedesktop.org/software/systemd/man/latest/systemd-system.conf.html#DefaultTimeoutStartSec=
 */
const STOP_TIMEOUT_MS = 90_000;
/** The request timeout of the agent's client (`docker-socket.ts`). */
const CLIENT_TIMEOUT_MS = 30_000;

/** From the start of the process to its end. */
interface Life {
  /** Resolves when the API answers. */
  served: Promise<void>;
  /** Pending calls, which fail when the engine is killed. */
  calls: Set<(error: Error) => void>;
  watchers: Set<(about: 'node' | 'service') => void>;
  /** SIGSTOP: the engine accepts connections, but answers nothing. */
  hung: boolean;
}

export interface DaemonOptions {
  /** The private address of its machine. */
  address: string;
  hostname: string;
  disk: Disk;
  /** The labels in daemon.json, read at start. */
  labels: () => Record<string, string>;
}

/** The universe as engines see it. */
export interface EngineUniverse extends Universe {
  started(daemon: SimulatedDaemon): void;
  ended(daemon: SimulatedDaemon): void;
  /** The leader's node list. */
  listNodes(leadership: Leadership<Peer>): SwarmNode[];
  /** Whether tasks on a node are still running. */
  hasTasks(node: NodeObject | undefined): boolean;
}

export class SimulatedDaemon implements Engine, EngineHost {
  readonly address: string;
  readonly hostname: string;
  readonly disk: Disk;
  instanceId: string | undefined;
  runner: NodeRunner | undefined;
  private life: Life | undefined;
  /** One request to init, join or leave at a time. */
  private control = Promise.resolve();

  constructor(
    readonly docker: EngineUniverse,
    private readonly options: DaemonOptions,
  ) {
    ({ address: this.address, hostname: this.hostname, disk: this.disk } = options);
  }

  get running(): boolean {
    return this.life !== undefined;
  }

  /** Starts the engine with the identity on its disk. Does nothing while it runs. */
  start(): void {
    if (this.life) return;
    const life: Life = { served: Promise.resolve(), calls: new Set(), watchers: new Set(), hung: false };
    this.life = life;
    this.control = Promise.resolve();
    this.instanceId = this.options.labels()[INSTANCE_ID_LABEL];
    this.docker.started(this);
    life.served = this.comeUp(life);
  }

  /** SIGKILL: everything in memory is gone. */
  kill(): void {
    const { life } = this;
    if (!life) return;
    this.life = undefined;
    this.runner?.abandon();
    this.runner = undefined;
    this.docker.ended(this);
    for (const fail of life.calls) fail(sentences.hungUp());
  }

  /** SIGSTOP: the process hangs until it is killed. */
  hang(): void {
    const { life } = this;
    if (!life || life.hung) return;
    life.hung = true;
    this.docker.network.silence(this.address);
    const { calls } = life;
    const open = [...calls];
    this.docker.clock.after(CLIENT_TIMEOUT_MS, () =>
      open.forEach((fail) => calls.has(fail) && fail(sentences.noAnswer())),
    );
  }

  /** SIGTERM. The others are not notified; they miss its heartbeats as if it were killed. */
  async stop(): Promise<void> {
    const manager = this.runner?.peer !== undefined;
    if (this.life?.hung) await this.docker.clock.sleep(STOP_TIMEOUT_MS);
    else if (manager) await this.docker.clock.sleep(MANAGER_STOP_MS);
    this.kill();
  }

  /** `GET /_ping`. @throws Error when no engine answers within the timeout */
  async ping(timeoutMs: number): Promise<void> {
    const late = this.docker.clock.sleep(timeoutMs).then(() => Promise.reject(sentences.noAnswer()));
    await Promise.race([this.call(async () => undefined), late]);
  }

  info(): Promise<EngineInfo> {
    return this.call(async () => {
      const { runner } = this;
      if (!runner) return { version: VERSION, swarm: { state: 'inactive', controlAvailable: false } };
      const swarmId =
        runner.peer &&
        (await runner.findLeadership().then(
          ({ state }) => state.swarmId,
          () => undefined,
        ));
      return {
        version: VERSION,
        swarm: {
          state: runner.status,
          ...(runner.nodeId && { nodeId: runner.nodeId }),
          ...(swarmId && { swarmId }),
          controlAvailable: runner.peer !== undefined,
        },
      };
    });
  }

  initSwarm(options: {
    advertiseAddress: string;
    addressPools: string[];
    addressPoolPrefixLength: number;
  }): Promise<void> {
    return this.controlCall(async () => {
      const runner = this.newRunner();
      runner.init(options.advertiseAddress);
      await this.firstReady(runner);
    });
  }

  joinSwarm(options: { remote: string; token: string; advertiseAddress: string }): Promise<void> {
    return this.controlCall(async () => {
      if (!/^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/.test(options.token)) throw new EngineError(500, 'invalid join token');
      const runner = this.newRunner();
      runner.join(options.remote, options.token, options.advertiseAddress);
      const late = this.docker.clock.sleep(CONNECT_MS).then(() => 'late' as const);
      if ((await Promise.race([runner.ready.catch(() => undefined), late])) === 'late') throw sentences.joinTimeout();
      await this.firstReady(runner);
    });
  }

  recoverSwarm(_: { advertiseAddress: string }): Promise<void> {
    return this.controlCall(async () => {
      // Docker itself would create a swarm if there is none. Our code must never make such a call.
      if (!this.runner?.peer) throw sentences.notManager();
      await this.runner.recover();
    });
  }

  leaveSwarm({ force }: { force: boolean }): Promise<void> {
    return this.controlCall(async () => {
      const { runner } = this;
      if (!runner) throw sentences.notInSwarm();
      const manager = runner.peer !== undefined;
      if (manager && !force) throw sentences.managerMayNotLeave();
      runner.abandon();
      if (manager) await this.docker.clock.sleep(MANAGER_STOP_MS);
      if (this.runner !== runner) return;
      this.runner = undefined;
      delete this.disk.docker;
      this.docker.step(this.address, 'state cleared');
    });
  }

  swarm(): Promise<SwarmInfo> {
    return this.managerCall(async ({ state: { swarmId, version, labels, tokens } }) => ({
      swarmId,
      version,
      labels: { ...labels },
      tokens: { ...tokens },
    }));
  }

  labelSwarm(version: number, labels: Record<string, string>): Promise<void> {
    return this.managerCall(async (leadership) => {
      await leadership.propose((state) => {
        if (state.version !== version) throw sentences.outOfSequence();
        return changeCluster(state, { labels: { ...state.labels, ...labels } });
      });
      this.docker.step(leadership.peer.host.address, 'cluster updated');
    });
  }

  rotateTokens(version: number, labels: Record<string, string>): Promise<void> {
    return this.managerCall(async (leadership) => {
      await leadership.propose((state) => {
        if (state.version !== version) throw sentences.outOfSequence();
        return changeCluster(state, {
          labels: { ...state.labels, ...labels },
          tokens: rotatedTokens(this.docker.clock, state.tokens),
        });
      });
      this.docker.step(leadership.peer.host.address, 'cluster updated');
    });
  }

  nodes(): Promise<SwarmNode[]> {
    return this.managerCall(async (leadership) => this.docker.listNodes(leadership));
  }

  isLeader(nodeId: string): Promise<boolean> {
    return this.managerCall(async (leadership) => {
      if (!leadership.state.nodes.has(nodeId)) throw sentences.nodeNotFound(nodeId);
      return leadership.peer.nodeId === nodeId && leadership.state.members.has(leadership.peer.raftId);
    });
  }

  updateNode(nodeId: string, change: NodeChange): Promise<void> {
    return this.managerCall(async (leadership) => {
      const before = leadership.state.nodes.get(nodeId);
      if (!before) throw sentences.nodeNotFound(nodeId);
      await leadership.propose((state) => {
        const node = state.nodes.get(nodeId);
        if (!node) throw sentences.nodeNotFound(nodeId);
        if (node.desiredRole === 'manager' && change.role === 'worker') refuseDemotion(state, nodeId, leadership);
        if (node.version !== before.version) throw sentences.outOfSequence();
        const availability = change.availability ?? node.availability;
        const labels = changedLabels(node.labels ?? {}, change.labels);
        return changeNode(state, nodeId, {
          desiredRole: change.role ?? node.desiredRole,
          availability,
          labels,
          drainedAt: availability === 'drain' ? (node.drainedAt ?? this.docker.clock.now()) : undefined,
        });
      });
      this.docker.step(leadership.peer.host.address, 'node updated');
      leadership.reconcileRole(nodeId);
    });
  }

  removeNode(nodeId: string, options: { force: boolean }): Promise<void> {
    return this.managerCall(async (leadership) => {
      await leadership.propose((state) => {
        const node = state.nodes.get(nodeId);
        if (!node) throw sentences.nodeNotFound(nodeId);
        if (node.desiredRole === 'manager' && memberOf(state, nodeId)) throw sentences.memberNotRemovable(nodeId);
        if (!options.force && node.state === 'ready') throw sentences.notDown(nodeId);
        return removeNode(state, nodeId);
      });
      this.docker.tell('node-removed', leadership.state.swarmId, nodeId);
      leadership.dispatcher.remove(nodeId);
      this.docker.step(leadership.peer.host.address, 'node removed');
    });
  }

  /** No service has pending tasks. */
  pendingTasks(): Promise<number> {
    return this.managerCall(async () => 0);
  }

  unfinishedTasks(nodeIds: string[]): Promise<Map<string, number>> {
    return this.managerCall(
      async ({ state }) =>
        new Map(nodeIds.flatMap((id) => (this.docker.hasTasks(state.nodes.get(id)) ? [[id, 1] as const] : []))),
    );
  }

  publishedPorts(): Promise<PublishedPort[]> {
    return this.managerCall(async ({ state }) => [...state.ports].sort((a, b) => a.port - b.port));
  }

  /** What operators do by creating, changing and removing services: sets the ports that services publish. */
  publish(ports: readonly PublishedPort[]): Promise<void> {
    return this.managerCall(async (leadership) => {
      await leadership.propose((state) => changePorts(state, ports));
      this.docker.step(leadership.peer.host.address, 'services updated');
    });
  }

  watch(onEvent: (about: 'node' | 'service') => void, signal: AbortSignal): Promise<void> {
    return this.call(
      () =>
        new Promise((_, reject) => {
          const { watchers } = this.life!;
          watchers.add(onEvent);
          const end = () => {
            watchers.delete(onEvent);
            reject(new Error('The operation was aborted'));
          };
          if (signal.aborted) end();
          else signal.addEventListener('abort', end, { once: true });
        }),
    );
  }

  /** Called by the raft member in this engine. Watchers are notified once its current work is done. */
  tellWatchers(about: 'node' | 'service'): void {
    const { life } = this;
    if (!life || life.watchers.size === 0) return;
    void Promise.resolve().then(() => {
      if (this.life === life) for (const watcher of [...life.watchers]) watcher(about);
    });
  }

  private async comeUp(life: Life): Promise<void> {
    await this.docker.clock.sleep(START_MS);
    if (this.life !== life) return;
    // A join without a certificate is forgotten.
    if (!this.disk.docker?.certificate) return void delete this.disk.docker;
    this.runner = new NodeRunner(this);
    this.runner.resume();
    await Promise.race([this.runner.ready.catch(() => undefined), this.docker.clock.sleep(CONNECT_MS)]);
  }

  private newRunner(): NodeRunner {
    if (this.runner) throw sentences.alreadyInSwarm();
    return (this.runner = new NodeRunner(this));
  }

  /** If the first attempt fails, nothing remains of it. */
  private async firstReady(runner: NodeRunner): Promise<void> {
    try {
      await runner.ready;
    } catch (error) {
      if (this.runner === runner) {
        this.runner = undefined;
        delete this.disk.docker;
      }
      throw error;
    }
  }

  private managerCall<T>(work: (leadership: Leadership<Peer>) => Promise<T>): Promise<T> {
    return this.call(async () => {
      const { runner } = this;
      if (!runner?.nodeId) throw sentences.notManager();
      if (!runner.peer) throw sentences.workerOnly();
      return work(await runner.findLeadership());
    });
  }

  private controlCall(work: () => Promise<void>): Promise<void> {
    return this.call(() => {
      const turn = this.control.then(work);
      this.control = turn.catch(() => undefined);
      return turn;
    });
  }

  /** A call over the socket: refused when no engine runs, cut when the engine is killed before it answers. */
  private call<T>(work: () => Promise<T>): Promise<T> {
    const { life } = this;
    if (!life) return Promise.reject(sentences.refused());
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        life.calls.delete(fail);
        reject(error);
      };
      life.calls.add(fail);
      if (life.hung) return void this.docker.clock.after(CLIENT_TIMEOUT_MS, () => fail(sentences.noAnswer()));
      life.served
        .then(() => (this.life === life ? work() : Promise.reject(sentences.hungUp())))
        .then((result) => {
          if (life.hung) return;
          life.calls.delete(fail);
          if (this.life === life) resolve(result);
          else reject(sentences.hungUp());
        })
        .catch((error: Error) => life.hung || fail(error));
    });
  }
}

function refuseDemotion(state: SwarmState, nodeId: string, leadership: Leadership<Peer>): void {
  if ([...state.nodes.values()].filter(({ role }) => role === 'manager').length === 1) throw sentences.lastManager();
  const member = memberOf(state, nodeId);
  if (!member) throw sentences.notInMemberList();
  if (!leadership.canRemove(member.raftId)) throw sentences.quorumGuard();
}

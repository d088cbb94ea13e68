/** The real engine, through its Unix socket. API: https://docs.docker.com/reference/api/engine/version/v1.44/ */
import { request, type IncomingMessage } from 'node:http';
import { CERTIFICATE_LABEL, DRAINED_FOR_LABEL, IDLE_FOR_LABEL, INSTANCE_ID_LABEL } from '../protocol/labels';
import { localNodeStates } from '../protocol/report';
import { MAX_CERTIFICATE, MAX_PORTS, type PublishedPort, type SwarmNode } from '../protocol/swarm';
import type { Node, PortConfig, Service, Swarm, SwarmInfo, SystemInfo, Task } from './docker-api';
import {
  changedLabels,
  EngineError,
  isOutOfSequence,
  type Engine,
  type EngineInfo,
  type LocalSwarm,
  type NodeChange,
  type SwarmState,
} from './engine';

/**
 * Longer than the 20 s that Docker allows a join, and that a starting engine without a quorum may leave requests
 * unanswered.
 */
const TIMEOUT_MS = 30_000;
/** Size limit of an answer: a list of 20,000 nodes has about 40 MB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Nodes per request for tasks: a task has about 3 KB, and Docker keeps five ended tasks for each replica. */
const NODES_ASKED = 20;
/** Timeout for optional information: the leader's agent does nothing else meanwhile. */
const COUNT_TIMEOUT_MS = 3_000;
/** Final states of a task. https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/ */
const TASK_ENDS = new Set(['complete', 'failed', 'shutdown', 'rejected', 'orphaned', 'remove']);
/**
 * The port on which every swarm listens.
 * https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 */
const SWARM_PORT = 2377;

export class DockerSocket implements Engine {
  /**
   * The highest version that the engine supports. Docker refuses versions below its minimum, and ours needs none in
   * particular.
   */
  private apiVersion: string | undefined;

  constructor(private readonly socketPath = '/var/run/docker.sock') {}

  /** @throws Error when no engine answers in time */
  async ping(timeoutMs: number): Promise<void> {
    const answer = await this.send('GET', '/_ping', undefined, undefined, timeoutMs);
    const text = await readAll(answer);
    if (answer.statusCode !== 200) throw new EngineError(answer.statusCode ?? 0, text);
  }

  async info(): Promise<EngineInfo> {
    const info = await this.json<SystemInfo>('GET', '/info');
    return { version: String(info.ServerVersion), swarm: localSwarm(info.Swarm ?? {}) };
  }

  async initSwarm(options: {
    advertiseAddress: string;
    addressPools: string[];
    addressPoolPrefixLength: number;
  }): Promise<void> {
    await this.json('POST', '/swarm/init', {
      ListenAddr: `0.0.0.0:${SWARM_PORT}`,
      AdvertiseAddr: options.advertiseAddress,
      DefaultAddrPool: options.addressPools,
      SubnetSize: options.addressPoolPrefixLength,
    });
  }

  async joinSwarm(options: { remote: string; token: string; advertiseAddress: string }): Promise<void> {
    await this.json('POST', '/swarm/join', {
      ListenAddr: `0.0.0.0:${SWARM_PORT}`,
      AdvertiseAddr: options.advertiseAddress,
      RemoteAddrs: [`${options.remote}:${SWARM_PORT}`],
      JoinToken: options.token,
    });
  }

  async recoverSwarm(options: { advertiseAddress: string }): Promise<void> {
    await this.json('POST', '/swarm/init', {
      ListenAddr: `0.0.0.0:${SWARM_PORT}`,
      AdvertiseAddr: options.advertiseAddress,
      ForceNewCluster: true,
    });
  }

  async leaveSwarm({ force }: { force: boolean }): Promise<void> {
    await this.json('POST', `/swarm/leave?force=${force}`);
  }

  async swarm(): Promise<SwarmState> {
    const swarm = await this.json<Swarm>('GET', '/swarm');
    return {
      swarmId: swarm.ID,
      version: swarm.Version.Index,
      labels: swarm.Spec.Labels ?? {},
      tokens: { manager: swarm.JoinTokens.Manager, worker: swarm.JoinTokens.Worker },
    };
  }

  async labelSwarm(version: number, labels: Record<string, string>): Promise<void> {
    await this.updateSwarm(`version=${version}`, labels);
  }

  async rotateTokens(version: number, labels: Record<string, string>): Promise<void> {
    await this.updateSwarm(`version=${version}&rotateWorkerToken=true&rotateManagerToken=true`, labels);
  }

  private async updateSwarm(query: string, labels: Record<string, string>): Promise<void> {
    const { Spec } = await this.json<Swarm>('GET', '/swarm');
    await this.json('POST', `/swarm/update?${query}`, { ...Spec, Labels: { ...Spec.Labels, ...labels } });
  }

  async nodes(): Promise<SwarmNode[]> {
    return (await this.json<Node[]>('GET', '/nodes')).map(toNode);
  }

  async isLeader(nodeId: string): Promise<boolean> {
    const node = await this.json<Node>('GET', `/nodes/${nodeId}`);
    return node.ManagerStatus?.Leader === true;
  }

  /**
   * Docker itself updates a node whenever its state, certificate or membership changes. The change is then repeated on
   * the current version.
   */
  async updateNode(nodeId: string, change: NodeChange, attempts = 5): Promise<void> {
    const { Spec, Version } = await this.json<Node>('GET', `/nodes/${nodeId}`);
    try {
      await this.json('POST', `/nodes/${nodeId}/update?version=${Version.Index}`, {
        ...Spec,
        Role: change.role ?? Spec.Role,
        Availability: change.availability ?? Spec.Availability,
        Labels: changedLabels(Spec.Labels ?? {}, change.labels),
      });
    } catch (error) {
      if (attempts === 1 || !isOutOfSequence(error)) throw error;
      await this.updateNode(nodeId, change, attempts - 1);
    }
  }

  async removeNode(nodeId: string, options: { force: boolean }): Promise<void> {
    await this.json('DELETE', `/nodes/${nodeId}?force=${options.force}`);
  }

  async unfinishedTasks(nodeIds: string[]): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let n = 0; n < nodeIds.length; n += NODES_ASKED) {
      const filters = encodeURIComponent(JSON.stringify({ node: nodeIds.slice(n, n + NODES_ASKED) }));
      const tasks = await this.json<Task[]>('GET', `/tasks?filters=${filters}`);
      for (const { NodeID, Status } of tasks)
        if (NodeID && !TASK_ENDS.has(Status.State)) found.set(NodeID, (found.get(NodeID) ?? 0) + 1);
    }
    return found;
  }

  async pendingTasks(): Promise<number> {
    const filters = encodeURIComponent(JSON.stringify({ 'desired-state': ['running'] }));
    const tasks = await this.json<Task[]>('GET', `/tasks?filters=${filters}`, undefined, COUNT_TIMEOUT_MS);
    return tasks.filter(({ Status }) => Status.State === 'pending').length;
  }

  async publishedPorts(): Promise<PublishedPort[]> {
    const services = await this.json<Service[]>('GET', '/services', undefined, COUNT_TIMEOUT_MS);
    const order = (a: PublishedPort, b: PublishedPort) =>
      a.port - b.port || a.protocol.localeCompare(b.protocol) || a.service.localeCompare(b.service);
    return services.flatMap(portsOf).sort(order).slice(0, MAX_PORTS);
  }

  async watch(onEvent: (about: 'node' | 'service') => void, signal: AbortSignal): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ type: ['node', 'service'] }));
    const answer = await this.send('GET', await this.versioned(`/events?filters=${filters}`), undefined, signal, 0);
    if (answer.statusCode !== 200) throw new EngineError(answer.statusCode ?? 0, await readAll(answer));
    for await (const events of answer) onEvent(String(events).includes('"Type":"service"') ? 'service' : 'node');
  }

  /** `T` is what Docker documents; the answer is not checked against it. */
  private async json<T>(method: string, path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<T> {
    const answer = await this.send(method, await this.versioned(path), body, undefined, timeoutMs);
    const text = await readAll(answer);
    if ((answer.statusCode ?? 0) >= 400) throw new EngineError(answer.statusCode!, messageOf(text));
    return (text ? JSON.parse(text) : undefined) as T;
  }

  private async versioned(path: string): Promise<string> {
    if (!this.apiVersion) {
      const ping = await this.send('GET', '/_ping', undefined, undefined, TIMEOUT_MS);
      await readAll(ping);
      const version = ping.headers['api-version'];
      if (typeof version !== 'string' || !/^\d+\.\d+$/.test(version))
        throw new Error('The Docker engine did not report its API version.');
      this.apiVersion = version;
    }
    return `/v${this.apiVersion}${path}`;
  }

  private send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
    timeout: number,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const headers = payload
        ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
        : {};
      const sent = request({ socketPath: this.socketPath, method, path, headers, signal, timeout }, resolve);
      sent.on('timeout', () =>
        sent.destroy(
          new Error(`The Docker engine did not answer ${method} ${path.split('?')[0]} within ${timeout / 1000} s.`),
        ),
      );
      sent.on('error', reject);
      sent.end(payload);
    });
  }
}

async function readAll(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer) {
    size += part.length;
    if (size > MAX_ANSWER_BYTES)
      throw new Error(`The Docker engine answered with more than ${MAX_ANSWER_BYTES} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function messageOf(text: string): string {
  try {
    return String(JSON.parse(text).message ?? text);
  } catch {
    return text;
  }
}

function localSwarm(swarm: SwarmInfo): LocalSwarm {
  const state = localNodeStates.find((known) => known === swarm.LocalNodeState) ?? 'error';
  return {
    state,
    ...(swarm.NodeID && { nodeId: swarm.NodeID }),
    ...(swarm.Cluster?.ID && { swarmId: swarm.Cluster.ID }),
    controlAvailable: swarm.ControlAvailable === true,
  };
}

/**
 * A port chosen by the engine is in the endpoint. A port chosen by the service is also in its specification, from the
 * start.
 */
function portsOf({ Spec, Endpoint }: Service): PublishedPort[] {
  const certificate: unknown = Spec.Labels?.[CERTIFICATE_LABEL];
  const ports: PortConfig[] = [...(Endpoint?.Ports ?? []), ...(Spec.EndpointSpec?.Ports ?? [])];
  const found = ports.flatMap(
    ({ PublishedPort: port, Protocol: protocol = 'tcp', PublishMode: mode = 'ingress' }): PublishedPort[] => {
      if (!port) return [];
      return [
        {
          service: String(Spec.Name).slice(0, 64),
          port,
          protocol,
          mode,
          ...(typeof certificate === 'string' && { certificate: certificate.slice(0, MAX_CERTIFICATE) }),
        },
      ];
    },
  );
  return [...new Map(found.map((one) => [`${one.port} ${one.protocol}`, one])).values()];
}

function toNode(node: Node): SwarmNode {
  const instanceId = node.Description?.Engine?.Labels?.[INSTANCE_ID_LABEL];
  const { [DRAINED_FOR_LABEL]: drainedFor, [IDLE_FOR_LABEL]: idleFor } = node.Spec.Labels ?? {};
  return {
    id: node.ID,
    hostname: String(node.Description?.Hostname ?? '').slice(0, 255),
    role: node.Spec.Role,
    availability: node.Spec.Availability,
    state: node.Status.State,
    ...(instanceId && { instanceId: String(instanceId).slice(0, 32) }),
    ...(node.Status.Addr && { address: node.Status.Addr }),
    ...(drainedFor && { drainedFor: String(drainedFor).slice(0, 32) }),
    ...(idleFor && { idleFor: String(idleFor).slice(0, 32) }),
    ...(node.ManagerStatus && {
      manager: {
        leader: node.ManagerStatus.Leader === true,
        reachability: node.ManagerStatus.Reachability,
        address: node.ManagerStatus.Addr,
      },
    }),
  };
}

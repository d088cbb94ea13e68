/**
 * The swarm's node list as its leader sees it. The leader's agent writes it (`swarm#n` in the report table);
 * leader-token checks it and keeps a copy (`nodes#n` in the token table). It is compressed and split into chunks,
 * because an item is limited to 400 KB and a swarm may have thousands of nodes.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as v from 'valibot';
import { nodeRoleSchema, PROTOCOL_VERSION, swarmIdSchema, text, nonNegativeInteger, type Decoded } from './body';

/** Published ports in one report. A load balancer has 50 listeners; further ports are left out. */
export const MAX_PORTS = 1_000;
/** Characters of a certificate label; certificate ARNs have about 100. */
export const MAX_CERTIFICATE = 256;

export const nodeSchema = v.object({
  id: swarmIdSchema,
  hostname: text(255),
  role: nodeRoleSchema,
  availability: v.picklist(['active', 'pause', 'drain']),
  state: v.picklist(['unknown', 'down', 'ready', 'disconnected']),
  /** The engine's own label. A node can forge it, so it counts only together with that instance's own report. */
  instanceId: v.optional(text(32)),
  address: v.optional(text(64)),
  /**
   * The instance for which we drained the node, and the instance whose tasks on it have all ended since. An operator's
   * own drain sets neither label.
   */
  drainedFor: v.optional(text(32)),
  idleFor: v.optional(text(32)),
  /** Present while the node is a member of raft. */
  manager: v.optional(
    v.object({
      leader: v.boolean(),
      reachability: v.picklist(['unknown', 'unreachable', 'reachable']),
      address: text(64),
    }),
  ),
});
export type SwarmNode = v.InferOutput<typeof nodeSchema>;

/**
 * Whether a manager is reachable and has a session with the leader. A deaf member also counts as reachable for the
 * leader; if it has a session too, only its own report reveals it.
 */
export function isWorkingManager({ role, state, manager }: SwarmNode): boolean {
  return role === 'manager' && state === 'ready' && manager?.reachability === 'reachable';
}

/** The quorum of a raft group of this size. */
export function quorumOf(members: number): number {
  return Math.floor(members / 2) + 1;
}

/** A port that a service publishes, on every node (`ingress`) or only on nodes with a task (`host`). */
export const publishedPortSchema = v.object({
  service: text(64),
  port: v.pipe(nonNegativeInteger, v.minValue(1), v.maxValue(65_535)),
  protocol: v.picklist(['tcp', 'udp', 'sctp']),
  mode: v.picklist(['ingress', 'host']),
  /** The service's label `swarm.loadbalancer.certificate`, unchecked. */
  certificate: v.optional(text(MAX_CERTIFICATE)),
});
export type PublishedPort = v.InferOutput<typeof publishedPortSchema>;

export const swarmReportSchema = v.object({
  swarmId: swarmIdSchema,
  /** The raft fence: `Cluster.Version.Index` after the leader committed its label. It only grows. */
  epoch: nonNegativeInteger,
  /** Id of the last rotation of the join tokens. */
  rotation: v.optional(text(64)),
  /** Tasks that should run but have no node yet. Counted once a minute at most. */
  tasksPending: v.optional(nonNegativeInteger),
  /** Sorted by port; absent if the engine did not answer. */
  ports: v.optional(v.pipe(v.array(publishedPortSchema), v.maxLength(MAX_PORTS))),
  nodes: v.pipe(v.array(nodeSchema), v.maxLength(20_000)),
});
export type SwarmReport = v.InferOutput<typeof swarmReportSchema>;

/** Size limits: characters in one chunk's body, and bytes that a whole report may inflate to. */
export const CHUNK_CHARACTERS = 256 * 1024;
const INFLATED_BYTES = 8 * 1024 * 1024;
export const MAX_CHUNKS = 64;

/** The attributes of one table item. `epoch` and `chunks` show which items belong to one report. */
export interface SwarmChunk {
  v: number;
  epoch: number;
  chunks: number;
  body: string;
}

export function encodeSwarmReport(report: SwarmReport): SwarmChunk[] {
  const packed = deflateRawSync(JSON.stringify(v.parse(swarmReportSchema, report))).toString('base64');
  const chunks = Math.ceil(packed.length / CHUNK_CHARACTERS);
  return Array.from({ length: chunks }, (_, n) => ({
    v: PROTOCOL_VERSION,
    epoch: report.epoch,
    chunks,
    body: packed.slice(n * CHUNK_CHARACTERS, (n + 1) * CHUNK_CHARACTERS),
  }));
}

/** @param items the chunks found, sorted by number; leftovers of a longer, older report may follow */
export function decodeSwarmReport(items: Record<string, unknown>[]): Decoded<SwarmReport> {
  const first = items[0];
  if (first === undefined) return { ok: false, refusal: 'missing' };
  if (first.v !== PROTOCOL_VERSION) return { ok: false, refusal: 'version' };
  const count = first.chunks;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MAX_CHUNKS)
    return { ok: false, refusal: 'schema' };
  const chunks = items.slice(0, count);
  // The report is being written: chunks have different epochs, or some are missing.
  if (chunks.length < count || chunks.some((chunk) => chunk.epoch !== first.epoch || chunk.chunks !== count))
    return { ok: false, refusal: 'missing' };
  let packed = '';
  for (const { body } of chunks) {
    if (typeof body !== 'string' || body.length > CHUNK_CHARACTERS) return { ok: false, refusal: 'size' };
    packed += body;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(
      inflateRawSync(Buffer.from(packed, 'base64'), { maxOutputLength: INFLATED_BYTES }).toString('utf8'),
    );
  } catch {
    return { ok: false, refusal: 'syntax' };
  }
  const result = v.safeParse(swarmReportSchema, parsed, { abortEarly: true });
  if (!result.success || result.output.epoch !== first.epoch) return { ok: false, refusal: 'schema' };
  return { ok: true, value: result.output };
}

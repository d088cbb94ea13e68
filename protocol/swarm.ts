/**
 * The swarm's own node list, as its leader sees it: written by the leader's agent (`swarm#n` in the report table) and,
 * once checked, kept by leader-token (`nodes#n` in the token table). Compressed and cut into chunks, since an item may
 * have 400 KB at most and a swarm may have thousands of nodes.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as v from 'valibot';
import { nodeRoleSchema, PROTOCOL_VERSION, swarmIdSchema, text, nonNegativeInteger, type Decoded } from './body';

/** Published ports of one report. A load balancer has 50 listeners; further ports are not reported. */
export const MAX_PORTS = 1_000;
/** Characters of a certificate's label; ARNs of certificates have about 100. */
export const MAX_CERTIFICATE = 256;

export const nodeSchema = v.object({
  id: swarmIdSchema,
  hostname: text(255),
  role: nodeRoleSchema,
  availability: v.picklist(['active', 'pause', 'drain']),
  state: v.picklist(['unknown', 'down', 'ready', 'disconnected']),
  /**
   * The engine's own label; false labels are possible, so it counts only together with the report of that very
   * instance.
   */
  instanceId: v.optional(text(32)),
  address: v.optional(text(64)),
  /**
   * The instance for which we drained it, and the one whose tasks on it have all ended since. An operator's own drain
   * has no such label.
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
 * A manager that the leader reaches, and that has a session with it. The leader counts a member that is deaf among
 * those that it reaches; should it have a session all the same, only its own report tells.
 */
export function isWorkingManager({ role, state, manager }: SwarmNode): boolean {
  return role === 'manager' && state === 'ready' && manager?.reachability === 'reachable';
}

/** How many of so many members of raft are a quorum. */
export function quorumOf(members: number): number {
  return Math.floor(members / 2) + 1;
}

/** A port at which a service is published, on every node (`ingress`) or on those that have a task (`host`). */
export const publishedPortSchema = v.object({
  service: text(64),
  port: v.pipe(nonNegativeInteger, v.minValue(1), v.maxValue(65_535)),
  protocol: v.picklist(['tcp', 'udp', 'sctp']),
  mode: v.picklist(['ingress', 'host']),
  /** The service's label `swarm.loadbalancer.certificate`, as it was given. */
  certificate: v.optional(text(MAX_CERTIFICATE)),
});
export type PublishedPort = v.InferOutput<typeof publishedPortSchema>;

export const swarmReportSchema = v.object({
  swarmId: swarmIdSchema,
  /** The raft fence: `Cluster.Version.Index` after the leader committed its label. Only ever grows. */
  epoch: nonNegativeInteger,
  /** Under which id the join tokens were rotated last. */
  rotation: v.optional(text(64)),
  /** Tasks that should run and have no node yet. Counted now and then. */
  tasksPending: v.optional(nonNegativeInteger),
  /** In the order of their numbers; absent where the engine did not tell. */
  ports: v.optional(v.pipe(v.array(publishedPortSchema), v.maxLength(MAX_PORTS))),
  nodes: v.pipe(v.array(nodeSchema), v.maxLength(20_000)),
});
export type SwarmReport = v.InferOutput<typeof swarmReportSchema>;

/** The most characters of one chunk's body, and the most bytes a whole report may inflate to. */
export const CHUNK_CHARACTERS = 256 * 1024;
const INFLATED_BYTES = 8 * 1024 * 1024;
export const MAX_CHUNKS = 64;

/** One table item's attributes. `epoch` and `chunks` tell which items make up one report. */
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

/** @param items the chunks found, in order of their number; left-overs of a longer, older report may follow. */
export function decodeSwarmReport(items: Record<string, unknown>[]): Decoded<SwarmReport> {
  const first = items[0];
  if (first === undefined) return { ok: false, refusal: 'missing' };
  if (first.v !== PROTOCOL_VERSION) return { ok: false, refusal: 'version' };
  const count = first.chunks;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > MAX_CHUNKS)
    return { ok: false, refusal: 'schema' };
  const chunks = items.slice(0, count);
  // A report in the middle of being written: chunks of two epochs, or too few.
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

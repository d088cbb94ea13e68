/** What a node reports about itself. Untrusted, but a stolen worker can only misreport itself. */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import {
  codec,
  instanceIdSchema,
  ipv4Schema,
  joinTokenSchema,
  nodeRoleSchema,
  swarmIdSchema,
  text,
  nonNegativeInteger,
} from './body';

/** States of an engine in a swarm, as Docker names them (`docker info`, Swarm.LocalNodeState). */
export const localNodeStates = ['inactive', 'pending', 'active', 'error', 'locked'] as const;

/** `interruption`: EC2 reclaims this spot instance. `termination`: its group terminates it. */
export const notices = ['interruption', 'termination'] as const;
export type Notice = (typeof notices)[number];

export const reportSchema = v.object({
  instanceId: instanceIdSchema,
  role: nodeRoleSchema,
  /** The seat that this manager was launched for. */
  seat: v.optional(v.pipe(nonNegativeInteger, v.maxValue(6))),
  /** The address at which other nodes reach this one. */
  address: ipv4Schema,
  /** A manager's state volume: `waiting` until its device appears, then `mounted`. */
  volume: v.optional(v.object({ id: text(64), state: v.picklist(['waiting', 'mounted']) })),
  /** Absent until the Docker engine answers. */
  engine: v.optional(v.object({ version: text(64) })),
  /** Absent until the Docker engine answers. */
  swarm: v.optional(
    v.object({
      state: v.picklist(localNodeStates),
      nodeId: v.optional(swarmIdSchema),
      /** Known to managers only, and only while they see a leader. */
      swarmId: v.optional(swarmIdSchema),
      controlAvailable: v.boolean(),
    }),
  ),
  /**
   * How long a manager's engine has reported no leader in every answer, in seconds. Grows in steps; absent before the
   * first. It stands still in a stale report.
   */
  leaderless: v.optional(nonNegativeInteger),
  /**
   * The notice of termination that the instance received. Functions do not act on it; it makes them ask AWS, in case
   * AWS's own event was lost.
   */
  notice: v.optional(v.picklist(notices)),
  /** Outcome of the last command. `error` is Docker's message, truncated. */
  lastCommand: v.optional(
    v.object({ id: text(64), outcome: v.picklist(['done', 'failed', 'refused']), error: v.optional(text(500)) }),
  ),
  /** Only in the report of the manager that publishes them, and only until they are published. */
  tokens: v.optional(v.object({ manager: joinTokenSchema, worker: joinTokenSchema })),
});
export type Report = v.InferOutput<typeof reportSchema>;
export type JoinTokens = NonNullable<Report['tokens']>;
export const reportCodec = codec(reportSchema, 4 * 1024);

export const heartbeatSchema = v.object({
  /** Milliseconds since 1970, by the node's clock. */
  at: nonNegativeInteger,
  /** Whether the Docker engine answered. */
  engine: v.boolean(),
});
export type Heartbeat = v.InferOutput<typeof heartbeatSchema>;
export const heartbeatCodec = codec(heartbeatSchema, 256);

/**
 * Identifies a pair of tokens without revealing them: their secrets have 130 bits, so the digest cannot be searched.
 */
export function tokensDigest(tokens: JoinTokens): string {
  return createHash('sha256').update(`${tokens.manager}\n${tokens.worker}`).digest('hex').slice(0, 32);
}

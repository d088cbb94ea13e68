/** What a node says of itself. Untrusted: a stolen worker can lie, but only about itself. */
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

/** States of an engine's swarm part, as Docker names them (`docker info`, Swarm.LocalNodeState). */
export const localNodeStates = ['inactive', 'pending', 'active', 'error', 'locked'] as const;

/** `interruption`: EC2 takes this spot instance back. `termination`: its group terminates it. */
export const notices = ['interruption', 'termination'] as const;
export type Notice = (typeof notices)[number];

export const reportSchema = v.object({
  instanceId: instanceIdSchema,
  role: nodeRoleSchema,
  /** The seat this manager was launched for. */
  seat: v.optional(v.pipe(nonNegativeInteger, v.maxValue(6))),
  /** The address others reach it at. */
  address: ipv4Schema,
  /** A manager's state volume: `waiting` until the device is there, then `mounted`. */
  volume: v.optional(v.object({ id: text(64), state: v.picklist(['waiting', 'mounted']) })),
  /** Absent until the Docker engine answers. */
  engine: v.optional(v.object({ version: text(64) })),
  /** Absent until the Docker engine answers. */
  swarm: v.optional(
    v.object({
      state: v.picklist(localNodeStates),
      nodeId: v.optional(swarmIdSchema),
      /** Known to managers only. */
      swarmId: v.optional(swarmIdSchema),
      controlAvailable: v.boolean(),
    }),
  ),
  /**
   * For how long all answers of a manager's engine have named no leader, in seconds: in steps, absent before the first.
   * An old report does not grow.
   */
  leaderless: v.optional(nonNegativeInteger),
  /**
   * What the instance was told of its own end. Nobody acts on the word itself: it makes functions look what AWS says,
   * should its own event be lost.
   */
  notice: v.optional(v.picklist(notices)),
  /** How the last command fared. `error` is Docker's own sentence, cut. */
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
 * Names a pair of tokens without giving them away: the tokens' secrets have 130 bits, so the digest cannot be searched.
 */
export function tokensDigest(tokens: JoinTokens): string {
  return createHash('sha256').update(`${tokens.manager}\n${tokens.worker}`).digest('hex').slice(0, 32);
}

/**
 * Commands from functions to one node, in the node's own `commands` item. No other node can read it. A join token is
 * erased once the node has joined.
 */
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

/** Fields of every command. An agent refuses a command that is meant for another instance or has expired. */
const common = {
  /** Unique. The agent reports the outcome under this id. */
  id: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/)),
  instanceId: instanceIdSchema,
  /** Milliseconds since 1970. */
  expiresAt: nonNegativeInteger,
  /** Prose, for logs. */
  reason: text(500),
};

export const commandSchema = v.variant('kind', [
  v.object({
    ...common,
    kind: v.literal('init'),
    /** The only volume on which the swarm may be created: its state shows whether that happened before. */
    volumeId: text(64),
    advertiseAddress: ipv4Schema,
    /** Address pools for overlay networks, in CIDR notation, and the prefix length of each overlay. */
    addressPools: v.pipe(v.array(text(32)), v.minLength(1), v.maxLength(16)),
    addressPoolPrefixLength: v.pipe(nonNegativeInteger, v.minValue(16), v.maxValue(29)),
  }),
  v.object({
    ...common,
    kind: v.literal('join'),
    role: nodeRoleSchema,
    token: joinTokenSchema,
    /** The swarm to join. A node that finds itself in another swarm reports that and does nothing. */
    swarmId: text(64),
    /** Private addresses of all managers, the leader's first. */
    managers: v.pipe(v.array(ipv4Schema), v.minLength(1), v.maxLength(7)),
  }),
  /**
   * For the leader: demote a manager that it cannot reach, wait until it has left raft, and remove its node, which
   * never returns. `inSession`: the list shows the node at work, because it still has a session, but the node itself
   * has reported no leader for long.
   */
  v.object({ ...common, kind: v.literal('remove'), nodeId: swarmIdSchema, inSession: v.optional(v.literal(true)) }),
  /**
   * For the leader: demote a working manager whose instance leaves for good. It may be the leader itself. The node
   * stays, as a worker.
   */
  v.object({
    ...common,
    kind: v.literal('retire'),
    nodeId: swarmIdSchema,
    /** Must match the node's own label. */ leavingInstanceId: instanceIdSchema,
  }),
  /**
   * For a node that no leader reaches: leave the swarm, with force. Nothing is lost: it is no longer part of the swarm,
   * or never was.
   */
  v.object({ ...common, kind: v.literal('leave') }),
  /**
   * For the only manager there ever was, which lost its quorum to a second manager that never started: go on alone,
   * with all its state.
   */
  v.object({ ...common, kind: v.literal('recover'), nodeId: swarmIdSchema, advertiseAddress: ipv4Schema }),
]);
export type Command = v.InferOutput<typeof commandSchema>;
export type CommandOf<K extends Command['kind']> = Extract<Command, { kind: K }>;

export const commandsSchema = v.object({
  /** The current command for this node, or null. */
  command: v.nullable(commandSchema),
});
export type Commands = v.InferOutput<typeof commandsSchema>;
export const commandsCodec = codec(commandsSchema, 8 * 1024);

/**
 * Attribute of the `commands` item, next to `body`: digest of the join tokens that leader-token has published from this
 * node's report. When the agent sees it, it erases those tokens from its report.
 */
export const PUBLISHED_TOKENS_ATTRIBUTE = 'publishedTokens';

/**
 * Attribute of the `commands` item and of the `report` item: since when this instance is leaving (milliseconds since
 * 1970). Set by node-leave, never removed. While it is set, no command can be written for the instance, and no report
 * by it.
 */
export const TOMBSTONE_ATTRIBUTE = 'tombstone';

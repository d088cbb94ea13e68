/**
 * What functions tell one node, in its own `commands` item. Only the node itself can read it; a join token is erased
 * once the node has joined.
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

/** What every command carries. An agent refuses a command for another instance, and one past its expiry. */
const common = {
  /** Unique: an agent reports how it fared under this id. */
  id: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/)),
  instanceId: instanceIdSchema,
  /** Milliseconds since 1970. */
  expiresAt: nonNegativeInteger,
  /** In words, for logs. */
  reason: text(500),
};

export const commandSchema = v.variant('kind', [
  v.object({
    ...common,
    kind: v.literal('init'),
    /** The swarm may only be made on this volume: its state decides whether one was made before. */
    volumeId: text(64),
    advertiseAddress: ipv4Schema,
    /** Networks for overlays, in CIDR notation, and the prefix length of each overlay. */
    addressPools: v.pipe(v.array(text(32)), v.minLength(1), v.maxLength(16)),
    addressPoolPrefixLength: v.pipe(nonNegativeInteger, v.minValue(16), v.maxValue(29)),
  }),
  v.object({
    ...common,
    kind: v.literal('join'),
    role: nodeRoleSchema,
    token: joinTokenSchema,
    /** The swarm to join; a node that finds itself in another one reports it and does nothing. */
    swarmId: text(64),
    /** Private addresses of all managers, the leader's first. */
    managers: v.pipe(v.array(ipv4Schema), v.minLength(1), v.maxLength(7)),
  }),
  /**
   * The leader is to take a manager that it cannot reach out of raft, and its node out of the swarm: it never returns.
   * `inSession`: the list shows it at work, since its node has a session, but by its own word it has not seen a leader
   * for long.
   */
  v.object({ ...common, kind: v.literal('remove'), nodeId: swarmIdSchema, inSession: v.optional(v.literal(true)) }),
  /**
   * The leader, which may be that very manager, is to take a working one out of raft, for its instance leaves for good.
   * Its node stays, as a worker.
   */
  v.object({
    ...common,
    kind: v.literal('retire'),
    nodeId: swarmIdSchema,
    /** The node's own label must say the same. */ leavingInstanceId: instanceIdSchema,
  }),
  /**
   * A node that no leader reaches is to forget whom it was. Nothing is lost with it: it is no part of the swarm any
   * more, or never was.
   */
  v.object({ ...common, kind: v.literal('leave') }),
  /**
   * The only manager that there ever was, left without a quorum by a second one that never got that far, is to go on
   * alone, with all that it has.
   */
  v.object({ ...common, kind: v.literal('recover'), nodeId: swarmIdSchema, advertiseAddress: ipv4Schema }),
]);
export type Command = v.InferOutput<typeof commandSchema>;
export type CommandOf<K extends Command['kind']> = Extract<Command, { kind: K }>;

export const commandsSchema = v.object({
  /** The one thing this node is to do now, or null. */
  command: v.nullable(commandSchema),
});
export type Commands = v.InferOutput<typeof commandsSchema>;
export const commandsCodec = codec(commandsSchema, 8 * 1024);

/**
 * Attribute of the `commands` item, beside `body`: digest of the join tokens that leader-token has published from this
 * node's report. The agent erases the tokens from its report when it sees their digest here.
 */
export const PUBLISHED_TOKENS_ATTRIBUTE = 'publishedTokens';

/**
 * Attribute of the `commands` item, and of the `report` item: since when this instance is leaving, in milliseconds
 * since 1970. Set by node-leave, never removed. Where it stands no command to join can be written, and no report any
 * more.
 */
export const TOMBSTONE_ATTRIBUTE = 'tombstone';

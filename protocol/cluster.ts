/** The cluster's own records in the token table. Only functions read and write them. */
import * as v from 'valibot';
import { codec, instanceIdSchema, joinTokenSchema, swarmIdSchema, text, nonNegativeInteger } from './body';
import { ordersSchema } from './orders';

/**
 * `leader`: the identity of the swarm, and how to join it. Only leader-token writes it, and only with a greater epoch
 * or a greater generation than it has (attributes `epoch` and `generation`).
 */
export const leaderSchema = v.object({
  swarmId: swarmIdSchema,
  /** The raft fence of the report that this record was made from. */
  epoch: nonNegativeInteger,
  /**
   * How many times a quorum had been recovered. The surviving manager may have been behind, so the record with the
   * greater generation is the newer one; within a generation, the one with the greater epoch.
   */
  generation: v.optional(nonNegativeInteger),
  /** The manager that led the swarm at that time. */
  instanceId: instanceIdSchema,
  tokens: v.object({ manager: joinTokenSchema, worker: joinTokenSchema }),
  /** Id of the last rotation of the join tokens, from the swarm's own label. */
  rotation: v.optional(text(64)),
  /** Milliseconds since 1970, by the function's clock. */
  updatedAt: nonNegativeInteger,
});
export type LeaderRecord = v.InferOutput<typeof leaderSchema>;
export const leaderCodec = codec(leaderSchema, 4 * 1024);
/** The leader's agent reports every 30 s, changed or not. After three missed reports no quorum counts as visible. */
export const LEADER_STALE_MS = 90_000;

/** `membership`: what the functions have set in motion. Written as a whole, and only under the lease. */
export const membershipSchema = v.object({
  /**
   * The instance that was told to create the swarm. Never erased: at most one swarm is ever created. Only an instance
   * with the same volume may take over.
   */
  bootstrap: v.nullable(
    v.object({ seat: nonNegativeInteger, instanceId: instanceIdSchema, volumeId: text(64), commandId: text(64) }),
  ),
  /**
   * The one change of managers in flight, or null: its seat, and the command. `remove`, `retire` and `recover` are sent
   * to another instance than the seat's own. `overAtEpoch`: the epoch of the leader's list when a join was found to
   * have failed.
   */
  managerChange: v.nullable(
    v.object({
      kind: v.picklist(['init', 'join', 'remove', 'retire', 'leave', 'recover']),
      seat: nonNegativeInteger,
      instanceId: instanceIdSchema,
      commandId: text(64),
      expiresAt: nonNegativeInteger,
      nodeId: v.optional(swarmIdSchema),
      overAtEpoch: v.optional(nonNegativeInteger),
    }),
  ),
  /**
   * Managers suspected of being deaf, or of no longer being in the swarm, by node id: since when (milliseconds since
   * 1970), and how long their engines had reported no leader at that time (seconds).
   */
  suspects: v.optional(
    v.record(swarmIdSchema, v.object({ since: nonNegativeInteger, leaderless: nonNegativeInteger })),
    {},
  ),
  /** Workers that were told to join and are not Ready yet. */
  workerJoins: v.record(instanceIdSchema, v.object({ commandId: text(64), expiresAt: nonNegativeInteger })),
  /**
   * Ready nodes whose launch hook is not completed yet, or whose stack is not signalled yet. An entry is removed when
   * both are done.
   */
  admissions: v.record(instanceIdSchema, v.object({ group: text(255) })),
  /**
   * Instances that missed their launch deadline while no quorum reported, and until when they are kept (milliseconds
   * since 1970).
   */
  extensions: v.optional(v.record(instanceIdSchema, nonNegativeInteger), {}),
  /** Instances in service that are down in the swarm, and since when (milliseconds since 1970). */
  hung: v.optional(v.record(instanceIdSchema, nonNegativeInteger), {}),
  /** Seat groups whose `Launch` process was suspended here, by name, and since when (milliseconds since 1970). */
  held: v.optional(v.record(text(255), nonNegativeInteger), {}),
  /**
   * Managers at their terminate hook, and workers whose node is to be released. `since`: first seen; `drainingSince`:
   * drain ordered; `prolongedAt`: last heartbeat of the hook; `letGoAt`: a manager's hook completed (milliseconds since
   * 1970).
   */
  departures: v.optional(
    v.record(
      instanceIdSchema,
      v.object({
        since: nonNegativeInteger,
        drainingSince: v.optional(nonNegativeInteger),
        prolongedAt: v.optional(nonNegativeInteger),
        letGoAt: v.optional(nonNegativeInteger),
      }),
    ),
    {},
  ),
  /** The orders now in the mailbox of the manager that carries them out. */
  orders: v.optional(v.nullable(v.object({ instanceId: instanceIdSchema, ...ordersSchema.entries })), null),
  /**
   * When the join tokens were last rotated, since when the next rotation is due, and the rotation now ordered: its id,
   * its expiry, and a digest of the tokens that it replaces (times in milliseconds since 1970).
   */
  rotation: v.optional(
    v.nullable(
      v.object({
        at: nonNegativeInteger,
        dueSince: v.optional(nonNegativeInteger),
        asked: v.optional(v.object({ id: text(64), expiresAt: nonNegativeInteger, instead: text(64) })),
      }),
    ),
    null,
  ),
  /**
   * Recovery of a lost quorum, confirmed by a person. `seat`: the seat that survives; `volumes`: volumes given up for
   * it; `instances`: instances to terminate first; `freeSince`: since when no instance holds any of the volumes
   * (milliseconds since 1970); `told`: the surviving manager has its command; `dead`: nodes to remove from the swarm
   * afterwards.
   */
  recovery: v.optional(
    v.nullable(
      v.object({
        seat: nonNegativeInteger,
        volumes: v.array(text(64)),
        instances: v.array(instanceIdSchema),
        freeSince: v.optional(nonNegativeInteger),
        told: v.optional(v.literal(true)),
        dead: v.array(v.object({ nodeId: swarmIdSchema, seat: nonNegativeInteger })),
      }),
    ),
    null,
  ),
  /** How many times a quorum was recovered, and the surviving seat of the last recovery. */
  generation: v.optional(v.nullable(v.object({ number: nonNegativeInteger, seat: nonNegativeInteger })), null),
  /** All volumes ever given up in a recovery. They are never attached again. */
  abandonedVolumes: v.optional(v.array(text(64)), []),
  /**
   * Whether the last event said that the quorum was at risk. Absent until a quorum first existed that could lose a
   * manager.
   */
  quorumAtRisk: v.optional(v.boolean()),
});
export type Membership = v.InferOutput<typeof membershipSchema>;
export const membershipCodec = codec(membershipSchema, 128 * 1024);

export const emptyMembership: Membership = {
  bootstrap: null,
  managerChange: null,
  suspects: {},
  workerJoins: {},
  admissions: {},
  extensions: {},
  hung: {},
  held: {},
  departures: {},
  orders: null,
  rotation: null,
  recovery: null,
  generation: null,
  abandonedVolumes: [],
};

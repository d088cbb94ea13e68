/** The cluster's own records in the token table. Written and read by functions only. */
import * as v from 'valibot';
import { codec, instanceIdSchema, joinTokenSchema, swarmIdSchema, text, nonNegativeInteger } from './body';
import { ordersSchema } from './orders';

/**
 * `leader`: which swarm this is and how to join it. Written by leader-token alone, and only with a greater epoch than
 * it has, or a greater generation (attributes `epoch` and `generation`).
 */
export const leaderSchema = v.object({
  swarmId: swarmIdSchema,
  /** The raft fence of the report this record was made from. */
  epoch: nonNegativeInteger,
  /**
   * How often a quorum was recovered before. The manager that went on may have been behind: of two records, the one of
   * the greater generation is the newer, then the one of the greater epoch.
   */
  generation: v.optional(nonNegativeInteger),
  /** The manager that led the swarm then. */
  instanceId: instanceIdSchema,
  tokens: v.object({ manager: joinTokenSchema, worker: joinTokenSchema }),
  /** Under which id the join tokens were rotated last, by the swarm's own label. */
  rotation: v.optional(text(64)),
  /** Milliseconds since 1970, by the function's clock. */
  updatedAt: nonNegativeInteger,
});
export type LeaderRecord = v.InferOutput<typeof leaderSchema>;
export const leaderCodec = codec(leaderSchema, 4 * 1024);
/** The leader's agent reports every 30 s, changed or not; three missed reports mean that no quorum is visible. */
export const LEADER_STALE_MS = 90_000;

/** `membership`: what functions have set in motion. Written only under the lease, whole. */
export const membershipSchema = v.object({
  /**
   * Who was told to make the swarm. Never erased: at most one swarm is ever made. Only an instance with the very same
   * volume may take it over.
   */
  bootstrap: v.nullable(
    v.object({ seat: nonNegativeInteger, instanceId: instanceIdSchema, volumeId: text(64), commandId: text(64) }),
  ),
  /**
   * The one change of managers in flight, or null: of which seat, and who was told what. `remove`, `retire` and
   * `recover` are told to another than the seat's own instance. `overAtEpoch`: a join was found to have come to nothing
   * when the leader's list had this epoch.
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
   * Managers that seem to be deaf, or to be in the swarm no more: node ids, since when (milliseconds since 1970), and
   * for how long their engines had named no leader by then, by their own word (seconds).
   */
  suspects: v.optional(
    v.record(swarmIdSchema, v.object({ since: nonNegativeInteger, leaderless: nonNegativeInteger })),
    {},
  ),
  /** Workers that were told to join and are not yet Ready. */
  workerJoins: v.record(instanceIdSchema, v.object({ commandId: text(64), expiresAt: nonNegativeInteger })),
  /**
   * Nodes found Ready whose launch hook is still to be continued and whose stack is still to be told. An entry goes
   * when both are done.
   */
  admissions: v.record(instanceIdSchema, v.object({ group: text(255) })),
  /** Until when (milliseconds since 1970) instances that were late while no quorum reported are not given up. */
  extensions: v.optional(v.record(instanceIdSchema, nonNegativeInteger), {}),
  /** Instances in service that are down for the swarm, and since when that was seen (milliseconds since 1970). */
  hung: v.optional(v.record(instanceIdSchema, nonNegativeInteger), {}),
  /** Groups of seats whose `Launch` was suspended here, by name, and since when (milliseconds since 1970). */
  held: v.optional(v.record(text(255), nonNegativeInteger), {}),
  /**
   * Managers that wait at their terminate hook, and workers whose node is to be released: since when that was seen,
   * since when its tasks are to end, when the hook was last prolonged, and when a manager was let go (milliseconds
   * since 1970).
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
  /** What lies in the mailbox of the manager that is to carry it out. */
  orders: v.optional(v.nullable(v.object({ instanceId: instanceIdSchema, ...ordersSchema.entries })), null),
  /**
   * When the join tokens were rotated last, since when they are to be rotated again, and how it was asked for: under
   * which id, until when, and instead of which tokens (milliseconds since 1970, a digest).
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
   * A person has said that the quorum is lost for good: the seat that goes on alone, the volumes that were given up for
   * it, the instances that have to go first, since when nobody holds one of the volumes (milliseconds since 1970),
   * whether the manager was told, and who is to be taken out of the swarm afterwards.
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
  /** How often a quorum was recovered, and with which seat the last time. */
  generation: v.optional(v.nullable(v.object({ number: nonNegativeInteger, seat: nonNegativeInteger })), null),
  /** Volumes that were ever given up so: never to be attached again. */
  abandonedVolumes: v.optional(v.array(text(64)), []),
  /**
   * Whether it was told that one manager less would be no quorum any more. Absent until there is a quorum that can do
   * without one.
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

/**
 * What the leader's agent is to do about other nodes: an item of its own in the leader's mailbox, at most one in the
 * whole cluster. It is the whole list each time: what is no longer in it is no longer to be done. Each order may be
 * carried out again, by another leader too.
 */
import * as v from 'valibot';
import { codec, instanceIdSchema, swarmIdSchema, text } from './body';

/** Orders that may be open at a time. Further nodes wait for their turn. */
export const MAX_ORDERS = 200;

export const orderKinds = ['release', 'reap', 'drain', 'restore'] as const;

export const orderSchema = v.object({
  /**
   * `release`: its instance leaves. Drain it, wait until its tasks have ended, remove it. `reap`: its instance is no
   * more. Remove it, if it is down. `drain`: its instance leaves, and another will be this node. Drain it, wait until
   * its tasks have ended, say so. `restore`: another instance is this node now. Undo our drain; an operator's own
   * stays.
   */
  kind: v.picklist(orderKinds),
  nodeId: swarmIdSchema,
  /** The node's own label must say the same. */
  instanceId: instanceIdSchema,
});
export type Order = v.InferOutput<typeof orderSchema>;

export const ordersSchema = v.object({
  orders: v.pipe(v.array(orderSchema), v.maxLength(MAX_ORDERS)),
  /** The join tokens are to be rotated, unless the swarm says that they were, under this id. */
  rotation: v.optional(text(64)),
});
export type Orders = v.InferOutput<typeof ordersSchema>;
export const ordersCodec = codec(ordersSchema, 32 * 1024);

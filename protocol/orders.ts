/**
 * Orders to the leader's agent about other nodes: one item in the leader's mailbox, at most one in the cluster. The
 * list is always complete: an order that is missing from it is no longer wanted. Each order may be carried out twice,
 * even by two leaders.
 */
import * as v from 'valibot';
import { codec, instanceIdSchema, swarmIdSchema, text } from './body';

/** The number of open orders. Further nodes wait for their turn. */
export const MAX_ORDERS = 200;

export const orderKinds = ['release', 'reap', 'drain', 'restore'] as const;

export const orderSchema = v.object({
  /**
   * - `release`: the instance leaves. Drain the node, wait until its tasks have ended, remove it.
   * - `reap`: the instance is gone. Remove the node if it is down.
   * - `drain`: the instance leaves, and its successor will be this node. Drain it, wait until its tasks have ended,
   *   mark it idle.
   * - `restore`: the successor is this node now. Undo our drain; an operator's own drain stays.
   */
  kind: v.picklist(orderKinds),
  nodeId: swarmIdSchema,
  /** Must match the node's own label. */
  instanceId: instanceIdSchema,
});
export type Order = v.InferOutput<typeof orderSchema>;

export const ordersSchema = v.object({
  orders: v.pipe(v.array(orderSchema), v.maxLength(MAX_ORDERS)),
  /** Id of a rotation of the join tokens. Rotate them, unless the swarm's label already has this id. */
  rotation: v.optional(text(64)),
});
export type Orders = v.InferOutput<typeof ordersSchema>;
export const ordersCodec = codec(ordersSchema, 32 * 1024);

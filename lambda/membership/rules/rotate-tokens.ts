/**
 * Rule `rotate-tokens`: rotates the join tokens at intervals, and whenever a manager was let go, because it knew them.
 *
 * Between the order and the publication of the new tokens nobody is told to join, and no manager may be joining when
 * the order is given. Workers that are joining are waited for, up to a limit; one whose token became invalid is told to
 * join again. The order may be carried out twice, even by two leaders: the swarm's label keeps its id. The tokens of a
 * stack that is being deleted are not rotated.
 *
 * Pure: reads the observation, adds to the draft what to write.
 */
import { tokensDigest } from '../../../protocol/report';
import { COMMAND_MS, type Draft } from '../draft';
import type { Facts } from '../facts';

/** The age at which join tokens are rotated. */
export const ROTATION_MS = 30 * 24 * 3_600_000;
/** How long a rotation waits for workers that are joining. */
export const PATIENCE_MS = 15 * 60_000;

export function rotateTokens(draft: Draft, facts: Facts): void {
  const { observed, membership, newId } = draft;
  const { now, leader } = observed;
  if (!leader || observed.stacksLeaving.size > 0) return;
  const rotation = (membership.rotation ??= { at: now });
  const { asked } = rotation;
  if (asked && leader.rotation === asked.id && tokensDigest(leader.tokens) !== asked.instead)
    membership.rotation = { at: asked.expiresAt - COMMAND_MS };
  else if (asked && now >= asked.expiresAt) delete rotation.asked;
  if (asked) return;
  const letGo = Math.max(...Object.values(membership.departures).map(({ letGoAt = 0 }) => letGoAt));
  if (now - rotation.at >= ROTATION_MS || letGo > rotation.at) rotation.dueSince ??= now;
  const workersJoin = Object.keys(membership.workerJoins).length > 0 && now - (rotation.dueSince ?? now) < PATIENCE_MS;
  if (
    rotation.dueSince === undefined ||
    membership.managerChange ||
    workersJoin ||
    !facts.quorumVisible ||
    !facts.isAlive(leader.instanceId)
  )
    return;
  rotation.asked = { id: newId(), expiresAt: now + COMMAND_MS, instead: tokensDigest(leader.tokens) };
}

/**
 * Rule `rotate-tokens`: the swarm gets other join tokens now and then, and whenever a manager was let go, which knew
 * them.
 *
 * Nobody is told to join between the order and the publication of the new tokens, and no manager joins when the order
 * is given. Workers that join then are waited for, but not for ever: one whose token is no good any more is told to
 * join again. The order may be carried out again, by another leader too: the swarm itself keeps its id. A stack that
 * goes as a whole takes its tokens along.
 *
 * Pure: reads what was observed, adds to the plan what to write.
 */
import { tokensDigest } from '../../../protocol/report';
import { COMMAND_MS, type Draft } from '../draft';
import type { Facts } from '../facts';

/** How old join tokens become. */
export const ROTATION_MS = 30 * 24 * 3_600_000;
/** How long workers that join are waited for. */
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

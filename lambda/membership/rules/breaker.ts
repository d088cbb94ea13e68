/**
 * The breaker: where very many nodes of a role are down at once, it is not the nodes. A broken network, a bad
 * configuration or a poisoned list would have all of them replaced, and the work on them lost. Then nothing is
 * replaced, and somebody is told.
 */

/** More than this share of a role, and more than one node. */
export const BREAKER_SHARE = 0.2;

export function isTripped(down: number, all: number): boolean {
  return down > 1 && down > all * BREAKER_SHARE;
}

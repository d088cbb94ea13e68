/**
 * The circuit breaker of rule `replace-hung`. When very many nodes of a role are down at once, the cause is not the
 * nodes: a broken network, a bad configuration or a poisoned list would get all of them replaced, and their work lost.
 * The breaker then stops all replacements and raises an alarm.
 */

/** The breaker trips above this share of a role, and above one node. */
export const BREAKER_SHARE = 0.2;

export function isTripped(down: number, all: number): boolean {
  return down > 1 && down > all * BREAKER_SHARE;
}

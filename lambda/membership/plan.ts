/** Decides what to do about an observation: runs all rules in their order. Pure. */
import { Draft, type Plan } from './draft';
import { Facts } from './facts';
import type { Observation } from './observation';
import { rules } from './rules';

export function plan(observed: Observation, newId: () => string): Plan {
  const draft = new Draft(observed, newId);
  const facts = new Facts(observed);
  for (const rule of rules) rule(draft, facts);
  return draft.plan();
}

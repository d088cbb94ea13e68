/** node-join, made of what it is given: the real clients (`index.ts`) or a simulation's. */
import { converge } from '../membership/converge';
import { wire, type MembershipParts } from '../membership/wire';

/** @throws Error naming an environment variable that is missing */
export function nodeJoin(parts: MembershipParts): () => Promise<void> {
  const membership = wire(parts);
  return () => converge(membership);
}

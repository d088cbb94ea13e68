/** Builds node-join from its parts: the real clients (`index.ts`), or those of a simulation. */
import { converge } from '../membership/converge';
import { wire, type MembershipParts } from '../membership/wire';

/** @throws Error with the name of a missing environment variable */
export function nodeJoin(parts: MembershipParts): () => Promise<void> {
  const membership = wire(parts);
  return () => converge(membership);
}

/** What to do about an observation: all rules in turn. Pure. */
import { admit } from './rules/admit';
import { Draft, type Plan } from './draft';
import { Facts } from './facts';
import { handBack } from './rules/hand-back';
import { holdLaunch } from './rules/hold-launch';
import type { Observation } from './observation';
import { reap } from './rules/reap';
import { recoverQuorum } from './rules/recover-quorum';
import { release } from './rules/release';
import { rotateTokens } from './rules/rotate-tokens';
import { replaceHung } from './rules/replace-hung';
import { retireSeat } from './rules/retire-seat';
import { returnSeat } from './rules/return-seat';
import { watchQuorum } from './rules/watch-quorum';

export function plan(observed: Observation, newId: () => string): Plan {
  const draft = new Draft(observed, newId);
  const facts = new Facts(observed);
  recoverQuorum(draft, facts);
  returnSeat(draft, facts);
  retireSeat(draft, facts);
  release(draft, facts);
  reap(draft);
  handBack(draft);
  holdLaunch(draft);
  replaceHung(draft, facts);
  rotateTokens(draft, facts);
  admit(draft, facts);
  watchQuorum(draft, facts);
  return draft.plan();
}

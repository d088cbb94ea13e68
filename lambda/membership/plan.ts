/** What to do about an observation: all rules in turn. Pure. */
import { admit } from './admit';
import { Draft, type Plan } from './draft';
import { Facts } from './facts';
import { handBack } from './hand-back';
import { holdLaunch } from './hold-launch';
import type { Observation } from './observation';
import { reap } from './reap';
import { recoverQuorum } from './recover-quorum';
import { release } from './release';
import { rotateTokens } from './rotate-tokens';
import { replaceHung } from './replace-hung';
import { retireSeat } from './retire-seat';
import { returnSeat } from './return-seat';
import { watchQuorum } from './watch-quorum';

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

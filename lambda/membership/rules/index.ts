/**
 * The rules, in the order in which they run. Each reads the observation, and sees in the draft what the rules before it
 * decided. Only one change of managers may be in flight, so the first rule that wants one takes it.
 *
 * To add a rule: write one file here and its test, and add one line to this list with the reason for its place.
 */
import type { Draft } from '../draft';
import type { Facts } from '../facts';
import { admit } from './admit';
import { handBack } from './hand-back';
import { holdLaunch } from './hold-launch';
import { reap } from './reap';
import { recoverQuorum } from './recover-quorum';
import { release } from './release';
import { replaceHung } from './replace-hung';
import { retireSeat } from './retire-seat';
import { returnSeat } from './return-seat';
import { rotateTokens } from './rotate-tokens';
import { watchQuorum } from './watch-quorum';

/** Adds to the draft; otherwise pure. */
export type Rule = (draft: Draft, facts: Facts) => void;

export const rules: readonly Rule[] = [
  // First: a recovery requested by a person overrides any other change of managers. It also decides which volumes are
  // given up, which several rules below ask.
  recoverQuorum,
  // Before all other rules that change managers: a member of raft that will never work again must be removed before a
  // working one retires or another one joins.
  returnSeat,
  // Before `release`, which drains the node once it is a worker, and completes no manager's hook while this change is
  // in flight.
  retireSeat,
  // After the rules that start a change of managers, so that no plan both starts a change and lets a manager go. Before
  // `rotate-tokens` and `admit`, which ask whether a manager was let go.
  release,
  // After `release`: both share the limit on orders to the leader. Draining has a deadline; a dead node can wait.
  reap,
  // Anywhere: reads only the observation, and no rule reads its result.
  handBack,
  // Anywhere: no other rule reads or writes the suspended launches.
  holdLaunch,
  // After the rules that start a change with a member of raft: a hung manager waits while another seat's change is in
  // flight.
  replaceHung,
  // After `release` and the rules that change managers: it starts when a manager was let go, but not during a change.
  // Before `admit`, which hands out no token while a rotation is ordered.
  rotateTokens,
  // After all of these: a node joins only with valid tokens, and a manager only while no change is in flight and none
  // was let go. Commands are limited, and those of the rules above matter more.
  admit,
  // Anywhere: judges the quorum as observed, not as this plan will change it. Last, because it only announces.
  watchQuorum,
];

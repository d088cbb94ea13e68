/**
 * The rules, in the order in which they run. Each reads the observation, and in the draft what the rules before it have
 * decided: one change of managers may be in flight at a time, so whoever comes first takes it.
 *
 * To add a rule: one file here, its test, one line in this list with the reason for its place.
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

/** Adds to the draft. Pure but for that. */
export type Rule = (draft: Draft, facts: Facts) => void;

export const rules: readonly Rule[] = [
  // First: a person's recovery of the quorum overrides any other change of managers, and it decides which volumes are
  // given up, which several rules below ask.
  recoverQuorum,
  // Before the rules below change managers: a member of raft that will never work again is removed before a working one
  // is retired or another one joins.
  returnSeat,
  // Before `release`, which drains the node once it is a worker, and lets no manager go while this change is in flight.
  retireSeat,
  // After the rules that begin a change of managers, so that one plan never begins a change and lets a manager go.
  // Before `rotate-tokens` and `admit`, which ask whether a manager was let go.
  release,
  // After `release`: both give orders to the leader, whose number is bounded. Draining has a deadline, a dead node can
  // wait.
  reap,
  // Anywhere: reads the observation only, and nothing reads what it adds.
  handBack,
  // Anywhere: no other rule reads or writes which launches are suspended.
  holdLaunch,
  // After the rules that begin a change with a member of raft: a hung manager waits while another seat's change is in
  // flight.
  replaceHung,
  // After `release` and the rules that change managers: it waits for a change to end, and starts as soon as a manager
  // was let go. Before `admit`, which hands out no token while a rotation is asked for.
  rotateTokens,
  // After all that: a node joins with valid tokens only, a manager only while no change is in flight and no manager is
  // let go. Commands are bounded, too, and those of the rules above matter more.
  admit,
  // Anywhere: judges the quorum as observed, not what this plan will make of it. Last, since it only announces.
  watchQuorum,
];

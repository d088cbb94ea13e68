/**
 * The loop of a membership function: under the lease, look, decide, act, and look again until there is nothing left to
 * do and nobody asked for another look. Killed between any two effects, the next look finds the rest: everything is
 * decided from what is there.
 */
import type { Membership } from '../../protocol/cluster';
import { ALARM_METRIC } from '../../protocol/census';
import { announce, type Announcer } from '../shared/announce';
import { announcementOf } from './announcements';
import { carryOut, write, type Actor } from './act';
import { census } from './census';
import { countActions } from './action-counts';
import type { Effect, Plan } from './draft';
import type { Lease, LeaseRow } from '../shared/lease';
import type { Observation } from './observation';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 50;
/** Requests to AWS that are under way at a time. */
const PARALLEL = 25;

export interface Converger extends Actor, Announcer {
  lease: LeaseRow;
  observe(): Promise<Observation>;
  plan(observed: Observation): Plan;
}

export async function converge(dependencies: Converger): Promise<void> {
  const lease = await dependencies.lease.acquireOrAsk();
  if (!lease) {
    dependencies.log('info', 'Another look is under way; it was asked to look again.');
    return;
  }
  let released = false;
  /** Found out by the tombstone in their mailbox: Auto Scaling may be slower to tell. */
  const leaving = new Set<string>();
  try {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const observed = await dependencies.observe();
      if (round === 0) dependencies.log('info', 'The cluster as it is seen.', { ...census(observed) });
      observed.instances = observed.instances.filter(({ instanceId }) => !leaving.has(instanceId));
      const plan = dependencies.plan(observed);
      for (const { instanceId, reason } of plan.alarms)
        dependencies.log('error', reason, { metric: ALARM_METRIC, instanceId });
      const progress = await carryOutPlan(dependencies, lease, observed, plan, leaving);
      if (progress === 'lost') break;
      released = progress === 'none' && (await dependencies.lease.release(lease));
      if (released) return;
      if (!(await dependencies.lease.renew(lease))) break;
    }
    dependencies.log(
      'warn',
      'The lease was lost, or there is more to do than one invocation may. The next look goes on.',
    );
  } finally {
    // Otherwise the next events would be handed to a holder that is no more.
    if (!released) await dependencies.lease.giveUp(lease);
  }
}

/** What a plan changed: nothing, something that is worth another look, or that the lease is no longer ours. */
async function carryOutPlan(
  dependencies: Converger,
  lease: Lease,
  observed: Observation,
  plan: Plan,
  leaving: Set<string>,
): Promise<'none' | 'some' | 'lost'> {
  let changed = false;
  if (plan.membership !== observed.membership || plan.commands.length > 0 || plan.orders.length > 0) {
    const written = await write(dependencies, lease, plan);
    if (written === 'lost') return 'lost';
    if (written !== 'written') {
      for (const instanceId of written.leaving) leaving.add(instanceId);
      return 'some';
    }
    changed = true;
  }
  // What is asked of AWS knows no condition on the lease: at least it was ours a moment ago.
  if (plan.effects.length > 0 && !(await dependencies.lease.renew(lease))) return 'lost';
  const carriedOut: Effect[] = [];
  for (let n = 0; n < plan.effects.length; n += PARALLEL) {
    const batch = plan.effects.slice(n, n + PARALLEL);
    const done = await Promise.all(batch.map((effect) => carryOut(dependencies, effect)));
    carriedOut.push(...batch.filter((_, k) => done[k]));
  }
  const counted = countActions(observed, plan, carriedOut);
  if (counted) dependencies.log('info', 'What was done.', { ...counted });
  const admitted = carriedOut.filter(({ kind }) => kind === 'admit').map(({ instanceId }) => instanceId);
  if (admitted.length > 0) {
    const settled: Membership = structuredClone(plan.membership);
    for (const instanceId of admitted) delete settled.admissions[instanceId];
    if ((await write(dependencies, lease, { membership: settled, commands: [], orders: [] })) === 'lost') return 'lost';
  }
  await announce(dependencies, [
    ...plan.announcements,
    ...carriedOut.flatMap((effect) => announcementOf(effect) ?? []),
  ]);
  return changed || admitted.length > 0 ? 'some' : 'none';
}

/**
 * The loop of a membership function: under the lease, observe, plan, act, and repeat until nothing is left to do and
 * nobody has asked for another round. Every round decides from what it observes, so a function that is killed between
 * any two effects loses nothing: the next round finds the rest.
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

/** Rounds in one invocation. The next event or sweep continues. */
const MAX_ROUNDS = 50;
/** Concurrent requests to AWS. */
const PARALLEL = 25;

export interface Converger extends Actor, Announcer {
  lease: LeaseRow;
  observe(): Promise<Observation>;
  plan(observed: Observation): Plan;
}

export async function converge(dependencies: Converger): Promise<void> {
  const lease = await dependencies.lease.acquireOrAsk();
  if (!lease) {
    dependencies.log('info', 'Another function holds the lease. It was asked for another round.');
    return;
  }
  let released = false;
  /** Instances found to be leaving by the tombstone in their mailbox: Auto Scaling may report it later. */
  const leaving = new Set<string>();
  try {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const observed = await dependencies.observe();
      if (round === 0) dependencies.log('info', 'Census of the cluster.', { ...census(observed) });
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
    dependencies.log('warn', 'The lease was lost, or the work exceeds one invocation. The next invocation continues.');
  } finally {
    // Otherwise other invocations would keep asking an owner that no longer runs.
    if (!released) await dependencies.lease.giveUp(lease);
  }
}

/** What a plan changed: nothing, something that needs another round, or nothing more because the lease was lost. */
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
  // AWS requests cannot be conditional on the lease. Renewing it here at least proves that it was ours a moment ago.
  if (plan.effects.length > 0 && !(await dependencies.lease.renew(lease))) return 'lost';
  const carriedOut: Effect[] = [];
  for (let n = 0; n < plan.effects.length; n += PARALLEL) {
    const batch = plan.effects.slice(n, n + PARALLEL);
    const done = await Promise.all(batch.map((effect) => carryOut(dependencies, effect)));
    carriedOut.push(...batch.filter((_, k) => done[k]));
  }
  const counted = countActions(observed, plan, carriedOut);
  if (counted) dependencies.log('info', 'Actions taken.', { ...counted });
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

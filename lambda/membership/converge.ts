/**
 * The loop of a membership function: under the lease, look, decide, act, and look again until there is nothing left to do and nobody asked for another look.
 * Killed between any two effects, the next look finds the rest: everything is decided from what is there.
 */
import type { Clock } from '../../protocol/clock';
import type { Membership } from '../../protocol/cluster';
import { carryOut, write, type Actor } from './act';
import type { Plan } from './admit';
import type { Lease, LeaseRow } from './lease';
import type { Observation } from './observation';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 50;

export interface Converger extends Actor {
  clock: Clock;
  lease: LeaseRow;
  observe(): Promise<Observation>;
  plan(observed: Observation): Plan;
}

export async function converge(by: Converger): Promise<void> {
  const lease = await by.lease.acquireOrAsk();
  if (!lease) {
    by.log('info', 'Another look is under way; it was asked to look again.');
    return;
  }
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const observed = await by.observe();
    const plan = by.plan(observed);
    for (const { instanceId, reason } of plan.alarms) by.log('error', reason, { metric: 'MembershipAlarms', instanceId });
    const progress = await carryOutPlan(by, lease, observed, plan);
    if (progress === 'lost') break;
    if (progress === 'none' && (await by.lease.release(lease))) return;
    if (!(await by.lease.renew(lease))) break;
  }
  by.log('warn', 'The lease was lost, or there is more to do than one invocation may. The next look goes on.');
}

/** What a plan changed: nothing, something that is worth another look, or that the lease is no longer ours. */
async function carryOutPlan(by: Converger, lease: Lease, observed: Observation, plan: Plan): Promise<'none' | 'some' | 'lost'> {
  let changed = false;
  if (plan.membership !== observed.membership || plan.commands.length > 0) {
    if (!(await write(by, lease, plan.membership, plan.commands))) return 'lost';
    changed = true;
  }
  const outcomes = await Promise.all(plan.effects.map(async (effect) => ({ effect, done: await carryOut(by, effect) })));
  const admitted = outcomes.filter(({ effect, done }) => effect.kind === 'admit' && done).map(({ effect }) => effect.instanceId);
  if (admitted.length > 0) {
    const settled: Membership = structuredClone(plan.membership);
    for (const instanceId of admitted) delete settled.admissions[instanceId];
    if (!(await write(by, lease, settled, []))) return 'lost';
  }
  return changed || admitted.length > 0 ? 'some' : 'none';
}

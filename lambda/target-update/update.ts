/** The loop of target-update: under a lease of its own, look, decide, act, and look again while anything changes or somebody asks for another look. Killed at any line, the next look finds the rest. */
import type { Lease, LeaseRow } from '../membership/lease';
import { carryOut, type Actor } from './act';
import { plan, type Observed } from './plan';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 10;

export interface Updater extends Actor {
  lease: LeaseRow;
  observe(): Promise<Observed>;
}

export async function update(by: Updater): Promise<void> {
  const lease = await by.lease.acquireOrAsk();
  if (!lease) return by.log('info', 'Another look is under way; it was asked to look again.');
  let released = false;
  try {
    for (let round = 0; round < MAX_ROUNDS && !released; round++) {
      const changed = await updateOnce(by, lease);
      if (changed === 'lost') break;
      released = !changed && (await by.lease.release(lease));
      if (!released && !(await by.lease.renew(lease))) break;
    }
    if (!released) by.log('warn', 'The lease was lost, or there is more to do than one invocation may. The next look goes on.');
  } finally {
    if (!released) await by.lease.giveUp(lease);
  }
}

/** Two that decide from different answers of AWS could each take away what the other leaves: so the lease is renewed right before. */
async function updateOnce(by: Updater, lease: Lease): Promise<boolean | 'lost'> {
  const changes = plan(await by.observe());
  if (changes.length === 0) return false;
  if (!(await by.lease.renew(lease))) return 'lost';
  const changed = await Promise.all(changes.map((change) => carryOut(by, change)));
  return changed.includes(true);
}

/** The loop of target-update: under a lease of its own, look, decide, act, and look again while anything changes or somebody asks for another look. Killed at any line, the next look finds the rest. */
import type { Traffic } from '../../protocol/targets';
import type { Lease, LeaseRow } from '../lease';
import { carryOut, tellTraffic, type Actor } from './act';
import type { Observation } from './observe';
import { plan } from './plan';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 20;
/** Nobody tells when a health check fails or passes: while instances wait for that it is looked again so soon, and for so long. */
const PAUSE_MS = 5_000;
const PATIENCE_MS = 40_000;

export interface Updater extends Actor {
  lease: LeaseRow;
  observe(): Promise<Observation>;
}

export async function update(by: Updater): Promise<void> {
  const lease = await by.lease.acquireOrAsk();
  if (!lease) return by.log('info', 'Another look is under way; it was asked to look again.');
  const end = by.clock.now() + PATIENCE_MS;
  let released = false;
  try {
    for (let round = 0; round < MAX_ROUNDS && !released; round++) {
      const { progress, someWait } = await updateOnce(by, lease);
      if (progress === 'lost') break;
      const patient = progress === 'none' && someWait && by.clock.now() < end;
      if (patient) await by.clock.sleep(PAUSE_MS);
      released = progress === 'none' && !patient && (await by.lease.release(lease));
      if (!released && !(await by.lease.renew(lease))) break;
    }
    if (!released) by.log('warn', 'The lease was lost, or there is more to do than one invocation may. The next look goes on.');
  } finally {
    if (!released) await by.lease.giveUp(lease);
  }
}

/** Two that decide from different answers of AWS could each take away what the other leaves: so the lease is renewed right before. */
async function updateOnce(by: Updater, lease: Lease): Promise<{ progress: 'none' | 'some' | 'lost'; someWait: boolean }> {
  const observed = await by.observe();
  const { changes, traffic, someWait } = plan(observed);
  const isNews = JSON.stringify(traffic) !== JSON.stringify(observed.told ?? NOBODY);
  if (changes.length === 0 && !isNews) return { progress: 'none', someWait };
  if (!(await by.lease.renew(lease))) return { progress: 'lost', someWait };
  const changed = await Promise.all(changes.map((change) => carryOut(by, change)));
  if (isNews) await tellTraffic(by, traffic);
  return { progress: isNews || changed.includes(true) ? 'some' : 'none', someWait };
}

const NOBODY: Traffic = { arrived: [], left: [] };

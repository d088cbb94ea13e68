/** The loop of target-update: under a lease of its own, look, decide, act, and look again while anything changes or somebody asks for another look. Killed at any line, the next look finds the rest. */
import { isDeepStrictEqual } from 'node:util';
import { PORTS_METRIC } from '../../protocol/census';
import type { Following, LoadBalancerSettings } from '../../protocol/following';
import type { Traffic } from '../../protocol/targets';
import { announce, type Announcer } from '../announce';
import type { Lease, LeaseRow } from '../lease';
import { carryOut, tellFollowing, tellTraffic, type Actor } from './act';
import { follow, isEmpty } from './follow';
import { carryOutFollowing, type Maker } from './listeners';
import type { Observation } from './observe';
import { isFresh, plan } from './plan';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 20;
/** Nobody tells when a health check fails or passes: while instances wait for that it is looked again so soon, and for so long. */
const PAUSE_MS = 5_000;
const PATIENCE_MS = 40_000;

/** How often it is tried to get the lease for a load balancer that is made, changed or deleted, which cannot be left to whoever holds it. */
const LEASE_ATTEMPTS = 20;
const LEASE_PAUSE_MS = 2_000;

export interface Updater extends Actor, Maker, Announcer {
  lease: LeaseRow;
  observe(closing?: LoadBalancerSettings): Promise<Observation>;
}

export async function update(by: Updater): Promise<void> {
  const lease = await by.lease.acquireOrAsk();
  if (!lease) return by.log('info', 'Another look is under way; it was asked to look again.');
  await underLease(by, lease, async () => {
    const end = by.clock.now() + PATIENCE_MS;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { progress, someWait } = await updateOnce(by, lease);
      if (progress === 'lost') break;
      const patient = progress === 'none' && someWait && by.clock.now() < end;
      if (patient) await by.clock.sleep(PAUSE_MS);
      if (progress === 'none' && !patient && (await by.lease.release(lease))) return true;
      if (!(await by.lease.renew(lease))) break;
    }
    by.log('warn', 'The lease was lost, or there is more to do than one invocation may. The next look goes on.');
    return false;
  });
}

/** A load balancer begins to follow, or does so by other settings: what is declared now has nothing in its way when this ends. @throws Error when it has */
export async function reopen(by: Updater, { arn, follows }: LoadBalancerSettings): Promise<void> {
  await settle(by, undefined, (following) => following.filter((one) => one !== arn), ({ followed }) => {
    const one = followed.find((each) => each.arn === arn);
    const inTheWay = one ? follow({ ...one, follows }, undefined, () => false).atOnce : { listeners: [], rules: [], groups: [] };
    return [...inTheWay.listeners, ...inTheWay.rules];
  });
}

/** A load balancer follows nothing any more: all that was made for it is gone when this ends. @throws Error when something is left */
export async function close(by: Updater, closing: LoadBalancerSettings): Promise<void> {
  const { arn, securityGroupId } = closing;
  await settle(by, { arn, securityGroupId }, (closed) => [...closed.filter((one) => one !== arn), arn].slice(-MOST_CLOSED), ({ followed }) => followed.flatMap((one) => (one.arn === arn ? one.groups.map((group) => group.arn) : [])));
}

/** Looks until nothing is left of what should be gone. */
async function settle(by: Updater, closing: LoadBalancerSettings | undefined, closedAfter: (closed: string[]) => string[], left: (observed: Observation) => string[]): Promise<void> {
  const lease = await leaseInTime(by);
  await underLease(by, lease, async () => {
    let rest: string[] = [];
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const observed = await by.observe(closing);
      const following = { ...observed.following, closed: closedAfter(observed.following.closed) };
      if (!isDeepStrictEqual(following, observed.following)) await tellFollowing(by, following);
      rest = left(observed);
      if (rest.length === 0) return by.lease.release(lease);
      if (!(await by.lease.renew(lease))) break;
      const { progress } = await updateOnce(by, lease, closing);
      if (progress !== 'some') await by.clock.sleep(PAUSE_MS);
    }
    throw new Error(`These could not be removed: ${rest.join(', ')}`);
  });
}

async function leaseInTime(by: Updater): Promise<Lease> {
  for (let attempt = 0; attempt < LEASE_ATTEMPTS; attempt++) {
    const lease = await by.lease.acquireOrAsk();
    if (lease) return lease;
    await by.clock.sleep(LEASE_PAUSE_MS);
  }
  throw new Error('Another look has been under way for too long.');
}

/** @param work resolves with whether it has let go of the lease */
async function underLease(by: Updater, lease: Lease, work: () => Promise<boolean>): Promise<void> {
  let released = false;
  try {
    released = await work();
  } finally {
    if (!released) await by.lease.giveUp(lease);
  }
}

/** Two that decide from different answers of AWS could each take away what the other leaves: so the lease is renewed right before. */
async function updateOnce(by: Updater, lease: Lease, closing?: LoadBalancerSettings): Promise<{ progress: 'none' | 'some' | 'lost'; someWait: boolean }> {
  const observed = await by.observe(closing);
  const { changes, traffic, someWait } = plan(observed);
  const freshGroups = new Set(observed.targetGroups.filter((group) => isFresh(group, changes.find(({ arn }) => arn === group.arn))).map(({ arn }) => arn));
  const follows = observed.followed.map((there) => ({ there, plan: follow(there, observed.ports, (arn) => freshGroups.has(arn)) }));
  const toFollow = follows.filter(({ plan: { steps, atOnce, later } }) => steps.length > 0 || !isEmpty(atOnce) || !isEmpty(later));
  const isNews = JSON.stringify(traffic) !== JSON.stringify(observed.told ?? NOBODY);
  const refused = follows.flatMap(({ plan: { refused } }) => refused);
  const waits = someWait || follows.some(({ plan: { holds } }) => holds);
  if (changes.length === 0 && !isNews && toFollow.length === 0) {
    await tellRefused(by, observed, refused);
    return { progress: 'none', someWait: waits };
  }
  if (!(await by.lease.renew(lease))) return { progress: 'lost', someWait: waits };
  const changed = await Promise.all(changes.map((change) => carryOut(by, change)));
  const followed = await Promise.all(toFollow.map(({ there, plan }) => carryOutFollowing(by, there, plan)));
  if (isNews) await tellTraffic(by, traffic);
  const moves = isNews || changed.includes(true) || followed.some((one) => one.changed);
  // What was in the way may just have gone.
  if (!moves) await tellRefused(by, observed, [...refused, ...followed.flatMap((one) => one.refused)]);
  return { progress: moves ? 'some' : 'none', someWait: waits };
}

/** Once for each reason, and in the log for as long as it is so. While nobody knows what is published, nothing is known of that either. */
async function tellRefused(by: Updater, { following, ports }: Observation, found: Following['refused']): Promise<void> {
  if (ports === undefined) return;
  const refused = found.slice(0, MOST_REFUSED);
  if (refused.length > 0) by.log('warn', 'Published ports are not followed.', { metric: PORTS_METRIC, ports: found.length, reason: refused[0]!.reason });
  if (isDeepStrictEqual(refused, following.refused)) return;
  const news = refused.filter((one) => !following.refused.some((before) => isDeepStrictEqual(before, one)));
  await announce(by, news.map((one) => ({ event: 'portNotFollowed', ...one })));
  await tellFollowing(by, { ...following, refused });
}

const NOBODY: Traffic = { arrived: [], left: [] };
const MOST_REFUSED = 100;
const MOST_CLOSED = 100;

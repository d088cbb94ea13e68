/**
 * The loop of target-update: under a lease of its own, look, decide, act, and look again while anything changes or
 * somebody asks for another look. Killed at any line, the next look finds the rest.
 */
import { isDeepStrictEqual } from 'node:util';
import { PORTS_METRIC, UNANSWERED_METRIC } from '../../protocol/census';
import type { Following, LoadBalancerSettings } from '../../protocol/following';
import type { Traffic } from '../../protocol/targets';
import { announce, type Announcer } from '../shared/announce';
import type { Lease, LeaseRow } from '../shared/lease';
import { carryOut, saveFollowing, publishTraffic, type Actor, type Outcome } from './act';
import { follow, isEmpty, type Followed, type FollowPlan } from './follow';
import { carryOutFollowing, type Maker } from './listeners';
import type { Observation } from './observe';
import { isFresh, plan, type Change } from './plan';

/** Rounds of one invocation. What is left then is taken up by the next event or sweep. */
const MAX_ROUNDS = 20;
/**
 * Nobody tells when a health check fails or passes: while instances wait for that it is looked again so soon, and for
 * so long.
 */
const PAUSE_MS = 5_000;
const PATIENCE_MS = 40_000;

const LEASE_PAUSE_MS = 2_000;

export interface Updater extends Actor, Maker, Announcer {
  lease: LeaseRow;
  observe(closing?: LoadBalancerSettings): Promise<Observation>;
}

export async function update(dependencies: Updater): Promise<void> {
  // In between the lease is free: a deployment may wait for it.
  for (
    const end = dependencies.clock.now() + PATIENCE_MS;
    (await look(dependencies)) && dependencies.clock.now() < end;
  )
    await dependencies.clock.sleep(PAUSE_MS);
}

/** Until nothing changes any more. @returns whether it is worth looking again soon */
async function look(dependencies: Updater): Promise<boolean> {
  const lease = await dependencies.lease.acquireOrAsk();
  if (!lease) {
    dependencies.log('info', 'Another look is under way; it was asked to look again.');
    return false;
  }
  let waits = false;
  await underLease(dependencies, lease, async () => {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { progress, hasWaiting } = await updateOnce(dependencies, lease);
      if (progress === 'lost') break;
      waits = progress === 'none' && hasWaiting;
      if (progress === 'none' && (await dependencies.lease.release(lease))) return true;
      if (!(await dependencies.lease.renew(lease))) break;
    }
    waits = false;
    dependencies.log(
      'warn',
      'The lease was lost, or there is more to do than one invocation may. The next look goes on.',
    );
    return false;
  });
  return waits;
}

/**
 * A load balancer begins to follow, or does so by other settings: what is declared now has nothing in its way when this
 * ends.
 * @throws Error when it has at the deadline
 */
export async function reopen(
  dependencies: Updater,
  { arn, follows }: LoadBalancerSettings,
  deadline: number,
): Promise<void> {
  await settle(
    dependencies,
    deadline,
    undefined,
    (closed) => closed.filter((one) => one !== arn),
    ({ followed }) => {
      const one = followed.find((each) => each.arn === arn);
      const { listeners, rules } = one
        ? follow({ ...one, follows }, undefined, () => false).atOnce
        : { listeners: [], rules: [] };
      return [...listeners, ...rules];
    },
  );
}

/**
 * A load balancer follows nothing any more: all that was made for it is gone when this ends.
 * @param stays whether it is there still, with its security group: of one that goes the rules go with that
 * @throws Error when something is left at the deadline
 */
export async function close(
  dependencies: Updater,
  closing: LoadBalancerSettings,
  stays: boolean,
  deadline: number,
): Promise<void> {
  const { arn, securityGroupId } = closing;
  await settle(
    dependencies,
    deadline,
    { arn, securityGroupId },
    (closed) => [...closed.filter((one) => one !== arn), arn].slice(-MAX_CLOSED),
    ({ followed }) => {
      const one = followed.find((each) => each.arn === arn);
      const { listeners, rules } = one ? follow(one, undefined, () => false).atOnce : { listeners: [], rules: [] };
      return [...listeners, ...(one?.groups ?? []).map((group) => group.arn), ...(stays ? rules : [])];
    },
  );
}

/** Looks until nothing is left of what should be gone. */
async function settle(
  dependencies: Updater,
  deadline: number,
  closing: LoadBalancerSettings | undefined,
  closedAfter: (closed: string[]) => string[],
  left: (observed: Observation) => string[],
): Promise<void> {
  const lease = await leaseInTime(dependencies, deadline);
  await underLease(dependencies, lease, async () => {
    for (;;) {
      const observed = await dependencies.observe(closing);
      const following = { ...observed.following, closed: closedAfter(observed.following.closed) };
      if (!isDeepStrictEqual(following, observed.following)) await saveFollowing(dependencies, following);
      const rest = left(observed);
      if (rest.length === 0) return dependencies.lease.release(lease);
      if (dependencies.clock.now() >= deadline) throw new Error(`These could not be removed: ${rest.join(', ')}`);
      if (!(await dependencies.lease.renew(lease))) throw new Error('The lease was lost.');
      const { progress } = await updateOnce(dependencies, lease, closing);
      if (progress !== 'some') await dependencies.clock.sleep(PAUSE_MS);
    }
  });
}

async function leaseInTime(dependencies: Updater, deadline: number): Promise<Lease> {
  for (;;) {
    const lease = await dependencies.lease.acquire();
    if (lease) return lease;
    if (dependencies.clock.now() >= deadline) throw new Error('Another look has been under way for too long.');
    await dependencies.clock.sleep(LEASE_PAUSE_MS);
  }
}

/** @param work resolves with whether it has let go of the lease */
async function underLease(dependencies: Updater, lease: Lease, work: () => Promise<boolean>): Promise<void> {
  let released = false;
  try {
    released = await work();
  } finally {
    if (!released) await dependencies.lease.giveUp(lease);
  }
}

/**
 * Two that decide from different answers of AWS could each take away what the other leaves: so the lease is renewed
 * right before.
 */
async function updateOnce(
  dependencies: Updater,
  lease: Lease,
  closing?: LoadBalancerSettings,
): Promise<{ progress: 'none' | 'some' | 'lost'; hasWaiting: boolean }> {
  const observed = await dependencies.observe(closing);
  const { changes, traffic, hasWaiting, unanswered } = plan(observed);
  // Of declared listeners AWS's own metrics tell; those of target groups that were made meanwhile nobody can have named
  // in an alarm.
  if (unanswered.length > 0)
    dependencies.log('warn', 'No healthy node answers at ports that are followed.', {
      metric: UNANSWERED_METRIC,
      ports: unanswered.length,
      which: unanswered.join(', '),
    });
  const trafficChanged = JSON.stringify(traffic) !== JSON.stringify(observed.lastTraffic ?? NO_TRAFFIC);
  const before = followAll(observed, changes, []);
  const waits = hasWaiting || before.some(({ plan: { holds } }) => holds);
  if (changes.length === 0 && !trafficChanged && before.every(isNothing)) {
    await announceRefused(
      dependencies,
      observed,
      before.flatMap(({ plan: { refused } }) => refused),
    );
    return { progress: 'none', hasWaiting: waits };
  }
  if (!(await dependencies.lease.renew(lease))) return { progress: 'lost', hasWaiting: waits };
  const outcomes = await Promise.all(changes.map((change) => carryOut(dependencies, change)));
  const follows = followAll(observed, changes, outcomes);
  const made = await Promise.all(
    follows
      .filter((one) => !isNothing(one))
      .map(({ existing, plan }) =>
        carryOutFollowing(dependencies, existing, plan, () => dependencies.lease.renew(lease)),
      ),
  );
  if (trafficChanged) await publishTraffic(dependencies, traffic);
  const moves = trafficChanged || outcomes.some(({ changed }) => changed) || made.some(({ changed }) => changed);
  // What was in the way may just have gone.
  if (!moves)
    await announceRefused(dependencies, observed, [
      ...follows.flatMap(({ plan: { refused } }) => refused),
      ...made.flatMap(({ refused }) => refused),
      ...follows.flatMap(({ existing }) => fullGroups(existing, observed, outcomes)),
    ]);
  return { progress: moves ? 'some' : 'none', hasWaiting: waits };
}

/**
 * A target group that takes no more targets will not be served the sooner for waiting: what is published no more may
 * make room.
 */
function followAll(
  observed: Observation,
  changes: readonly Change[],
  outcomes: readonly Outcome[],
): { existing: Followed; plan: FollowPlan }[] {
  const isFull = (arn: string) => outcomes.some((one) => one.arn === arn && one.full !== undefined);
  const fresh = new Set(
    observed.targetGroups
      .filter(
        (group) =>
          !isFull(group.arn) &&
          isFresh(
            group,
            changes.find(({ arn }) => arn === group.arn),
          ),
      )
      .map(({ arn }) => arn),
  );
  return observed.followed.map((existing) => ({
    existing,
    plan: follow(existing, observed.ports, (arn) => fresh.has(arn)),
  }));
}

const isNothing = ({ plan: { steps, atOnce, later } }: { plan: FollowPlan }) =>
  steps.length === 0 && isEmpty(atOnce) && isEmpty(later);

function fullGroups(
  { arn: loadBalancer, groups }: Followed,
  { targetGroups }: Observation,
  outcomes: readonly Outcome[],
): Following['refused'] {
  return groups.flatMap(({ arn }) => {
    const full = outcomes.find((one) => one.arn === arn)?.full;
    const port = targetGroups.find((group) => group.arn === arn)?.port;
    return full === undefined || port === undefined
      ? []
      : [{ loadBalancer, port, reason: `Not all nodes are behind port ${port}: ${full}`.slice(0, 500) }];
  });
}

/**
 * Once for each reason, and in the log for as long as it is so. While nobody knows what is published, nothing is known
 * of that either.
 */
async function announceRefused(
  dependencies: Updater,
  { following, ports }: Observation,
  found: Following['refused'],
): Promise<void> {
  if (ports === undefined) return;
  const refused = found.slice(0, MAX_REFUSED);
  if (refused.length > 0)
    dependencies.log('warn', 'Published ports are not followed.', {
      metric: PORTS_METRIC,
      ports: found.length,
      reason: refused[0]!.reason,
    });
  if (isDeepStrictEqual(refused, following.refused)) return;
  const news = refused.filter((one) => !following.refused.some((before) => isDeepStrictEqual(before, one)));
  await announce(
    dependencies,
    news.map((one) => ({ event: 'portNotFollowed', ...one })),
  );
  await saveFollowing(dependencies, { ...following, refused });
}

const NO_TRAFFIC: Traffic = { arrived: [], left: [] };
const MAX_REFUSED = 100;
const MAX_CLOSED = 100;

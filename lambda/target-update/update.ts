/**
 * The loop of target-update: under its own lease, observe, plan, act, and repeat while anything changes or somebody has
 * asked for another round. A function killed at any line loses nothing: the next round finds the rest.
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

/** Rounds in one invocation. The next event or sweep continues. */
const MAX_ROUNDS = 20;
/**
 * No event tells when a health check passes or fails. While instances wait for that, another round follows after this
 * pause, for this long in total.
 */
const PAUSE_MS = 5_000;
const PATIENCE_MS = 40_000;

const LEASE_PAUSE_MS = 2_000;

export interface Updater extends Actor, Maker, Announcer {
  lease: LeaseRow;
  observe(closing?: LoadBalancerSettings): Promise<Observation>;
}

export async function update(dependencies: Updater): Promise<void> {
  // Releases the lease in between: a deployment may be waiting for it.
  for (
    const end = dependencies.clock.now() + PATIENCE_MS;
    (await runRounds(dependencies)) && dependencies.clock.now() < end;
  )
    await dependencies.clock.sleep(PAUSE_MS);
}

/** Repeats until nothing changes. @returns whether to try again soon */
async function runRounds(dependencies: Updater): Promise<boolean> {
  const lease = await dependencies.lease.acquireOrAsk();
  if (!lease) {
    dependencies.log('info', 'Another function holds the lease. It was asked for another round.');
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
    dependencies.log('warn', 'The lease was lost, or the work exceeds one invocation. The next invocation continues.');
    return false;
  });
  return waits;
}

/**
 * A load balancer starts to follow, or follows with other settings. When this ends, nothing blocks the listeners that
 * are declared now.
 * @throws Error if something still does at the deadline
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
 * A load balancer no longer follows. When this ends, everything made for it is gone.
 * @param stays whether the load balancer still exists with its security group; otherwise its rules go with the group
 * @throws Error if something is left at the deadline
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

/** Repeats until nothing is left that should be gone. */
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
      if (dependencies.clock.now() >= deadline)
        throw new Error(`Could not remove ${rest.join(', ')} in time. Deploy again.`);
      if (!(await dependencies.lease.renew(lease))) throw new Error('Another function took the lease in the meantime.');
      const { progress } = await updateOnce(dependencies, lease, closing);
      if (progress !== 'some') await dependencies.clock.sleep(PAUSE_MS);
    }
  });
}

async function leaseInTime(dependencies: Updater, deadline: number): Promise<Lease> {
  for (;;) {
    const lease = await dependencies.lease.acquire();
    if (lease) return lease;
    if (dependencies.clock.now() >= deadline)
      throw new Error('Another function held the lease for too long. Deploy again.');
    await dependencies.clock.sleep(LEASE_PAUSE_MS);
  }
}

/** @param work resolves with whether it has released the lease */
async function underLease(dependencies: Updater, lease: Lease, work: () => Promise<boolean>): Promise<void> {
  let released = false;
  try {
    released = await work();
  } finally {
    if (!released) await dependencies.lease.giveUp(lease);
  }
}

/**
 * Renews the lease right before acting: two functions with different answers from AWS could each remove what the other
 * one leaves.
 */
async function updateOnce(
  dependencies: Updater,
  lease: Lease,
  closing?: LoadBalancerSettings,
): Promise<{ progress: 'none' | 'some' | 'lost'; hasWaiting: boolean }> {
  const observed = await dependencies.observe(closing);
  const { changes, traffic, hasWaiting, unanswered } = plan(observed);
  // AWS has metrics for declared listeners. Nobody can have an alarm on target groups that were made at run time, so
  // they are logged.
  if (unanswered.length > 0)
    dependencies.log('warn', 'No healthy node answers on followed ports.', {
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
  // What blocked a port may just have been removed.
  if (!moves)
    await announceRefused(dependencies, observed, [
      ...follows.flatMap(({ plan: { refused } }) => refused),
      ...made.flatMap(({ refused }) => refused),
      ...follows.flatMap(({ existing }) => fullGroups(existing, observed, outcomes)),
    ]);
  return { progress: moves ? 'some' : 'none', hasWaiting: waits };
}

/**
 * Waiting does not help a target group that takes no more targets, but removing what is no longer published may make
 * room.
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
      : [{ loadBalancer, port, reason: `Port ${port} does not reach all nodes: ${full}`.slice(0, 500) }];
  });
}

/**
 * Announces each reason once, and logs it for as long as it lasts. While the published ports are unknown, so are the
 * refusals.
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

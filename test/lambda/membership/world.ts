/**
 * A cluster to observe, for tests of the membership rules: healthy unless a test changes it. Instances 0, 1 and 2 are
 * the managers in seats 0, 1 and 2; instances 10, 11 and 12 are workers.
 */
import { Draft, type Effect, type Plan } from '../../../lambda/membership/draft';
import { Facts } from '../../../lambda/membership/facts';
import type { Instance, Observation, Volume } from '../../../lambda/membership/observation';
import { plan } from '../../../lambda/membership/plan';
import type { Group } from '../../../lambda/shared/groups';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord, type Membership } from '../../../protocol/cluster';
import type { Report } from '../../../protocol/report';
import type { SwarmNode } from '../../../protocol/swarm';

export const NOW = 10_000_000_000;
export const SWARM_ID = 's'.repeat(25);
export const STACK_ID = 'arn:aws:cloudformation:us-east-1:123456789012:stack/Test/1';
export const LEAVING = 'Terminating:Wait';

export const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
export const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
export const addressOf = (seat: number) => `10.0.${seat}.10`;
export const numbers = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

export const seatsOf = (count: number): Observation['seats'] =>
  numbers(0, count).map((seat) => ({
    seat,
    volumeId: `vol-${seat}`,
    networkInterfaceId: `eni-${seat}`,
    address: addressOf(seat),
  }));
export const seats = seatsOf(3);

/** A pair of join tokens; another letter makes another pair. */
export const tokensOf = (letter: string) => ({
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(24)}${letter}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(24)}${letter}`,
});
export const tokens = tokensOf('x');

/** The manager of seat 0 leads, and reported a second ago. */
export const leader: LeaderRecord = {
  swarmId: SWARM_ID,
  epoch: 20,
  instanceId: idOf(0),
  tokens,
  updatedAt: NOW - 1_000,
};
/** It has not reported for so long that no quorum is visible. */
export const silentLeader: LeaderRecord = { ...leader, updatedAt: NOW - LEADER_STALE_MS };

export const seatGroup = (seat: number, change: Partial<Group> = {}): Group => ({
  name: `seat-${seat}`,
  role: 'manager',
  seat,
  stack: { stackId: STACK_ID, logicalId: `Seat${seat}` },
  ...change,
});
export const web: Group = { name: 'web', role: 'worker', stack: { stackId: STACK_ID, logicalId: 'Web' } };

/** What an engine says of its part in the swarm. */
type EngineSays = NonNullable<Report['swarm']>;
export const seesLeader = (n: number): EngineSays => ({
  state: 'active',
  nodeId: nodeIdOf(n),
  swarmId: SWARM_ID,
  controlAvailable: true,
});
export const seesNoLeader = (n: number): EngineSays => ({
  state: 'active',
  nodeId: nodeIdOf(n),
  controlAvailable: true,
});
/** Raft sends to it, and it does not hear. */
export const deaf = (n: number): EngineSays => ({ state: 'pending', nodeId: nodeIdOf(n), controlAvailable: true });
export const worksAsWorker = (n: number): EngineSays => ({
  state: 'active',
  nodeId: nodeIdOf(n),
  controlAvailable: false,
});
export const inNoSwarm: EngineSays = { state: 'inactive', controlAvailable: false };

/** @param report what its report says besides; null when it has never reported */
export function instance(
  n: number,
  group: Group,
  lifecycleState = 'InService',
  report: Partial<Report> | null = {},
): Instance {
  const { role, seat } = group;
  const address = seat === undefined ? `10.0.9.${n % 250}` : addressOf(seat);
  return {
    instanceId: idOf(n),
    group,
    lifecycleState,
    ec2: { state: 'running', address, launchedAt: NOW - 30_000 },
    ...(report && {
      report: {
        instanceId: idOf(n),
        role,
        address,
        ...(seat !== undefined && { seat, volume: { id: `vol-${seat}`, state: 'mounted' as const } }),
        engine: { version: '25.0.8' },
        swarm: inNoSwarm,
        ...report,
      },
    }),
  };
}

/** The manager of this seat: at work with its volume, and it sees the leader. */
export const manager = (n: number, lifecycleState?: string, report: Partial<Report> | null = {}): Instance =>
  instance(n, seatGroup(n), lifecycleState, report && { swarm: seesLeader(n), ...report });

/** A worker. Nobody reads the report of one that does not wait at its launch hook. */
export const worker = (n: number, lifecycleState?: string, report: Partial<Report> | null = null): Instance =>
  instance(n, web, lifecycleState, report);

/** It waits at its launch hook; its engine runs and is in no swarm. */
export const waiting = (
  n: number,
  group: Group,
  report: Partial<Report> | null = {},
  change: Partial<Instance> = {},
): Instance => ({ ...instance(n, group, 'Pending:Wait', report), ...change });

/** The member of raft in this seat, as the leader lists it: ready, with no tasks. Number 0 leads. */
export const member = (
  n: number,
  change: Partial<SwarmNode> = {},
  reachability: 'reachable' | 'unreachable' = 'reachable',
): SwarmNode => ({
  id: nodeIdOf(n),
  hostname: `node-${n}`,
  role: 'manager',
  availability: 'active',
  state: 'ready',
  instanceId: idOf(n),
  address: addressOf(n),
  manager: { leader: n === 0, reachability, address: `${addressOf(n)}:2377` },
  ...change,
});
export const lostMember = (n: number): SwarmNode => member(n, { state: 'down' }, 'unreachable');

export const workerNode = (n: number, change: Partial<SwarmNode> = {}): SwarmNode =>
  member(n, { role: 'worker', address: `10.0.9.${n % 250}`, manager: undefined, ...change });

/** The volume of this seat, attached to the seat's manager or to another instance. */
export const attached = (seat: number, to = seat): Volume => ({
  volumeId: `vol-${seat}`,
  state: 'in-use',
  attachedTo: idOf(to),
});
export const available = (seat: number): Volume => ({ volumeId: `vol-${seat}`, state: 'available' });

export const managers = [manager(0), manager(1), manager(2)];
export const members = [member(0), member(1), member(2)];

/** In what a cluster differs from the healthy one. */
export type Changes = Partial<Omit<Observation, 'membership'>> & { membership?: Partial<Membership> };

/** What is observed of the healthy cluster, or of what a test makes of it. */
export function observation({ membership, ...change }: Changes = {}): Observation {
  const { seats: configured = seats } = change;
  return {
    now: NOW,
    seats: configured,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: [...members, workerNode(10), workerNode(11), workerNode(12)],
    membership: { ...emptyMembership, rotation: { at: NOW }, ...membership },
    groups: [...configured.map(({ seat }) => seatGroup(seat)), web],
    instances: [...managers, worker(10), worker(11), worker(12)],
    interfaces: configured.map(({ networkInterfaceId }) => ({ networkInterfaceId, status: 'in-use' })),
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    volumes: configured.map(({ seat }) => attached(seat)),
    ...change,
  };
}
/** Before a swarm was made: no leader ever reported, and nobody is here. */
export const unformed = { leader: undefined, nodes: [], instances: [] } satisfies Changes;

let commands = 0;
const newId = () => `command-${++commands}`;

/** What all rules together do about it. */
export const planned = (change: Changes = {}, ids = newId): Plan => plan(observation(change), ids);

/** What one rule alone does about it. */
export function plannedBy(rule: (draft: Draft, facts: Facts) => void, change: Changes = {}): Plan {
  const observed = observation(change);
  const draft = new Draft(observed, newId);
  rule(draft, new Facts(observed));
  return draft.plan();
}

/** Whom the plan does this to. */
export const idsOf = ({ effects }: Plan, kind: Effect['kind']): string[] =>
  effects.filter((effect) => effect.kind === kind).map(({ instanceId }) => instanceId);

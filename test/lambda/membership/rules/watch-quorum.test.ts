import type { Observation } from '../../../../lambda/membership/observation';
import { plan } from '../../../../lambda/membership/plan';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord } from '../../../../protocol/cluster';
import type { SwarmNode } from '../../../../protocol/swarm';

const NOW = 100_000_000;
const tokens = {
  manager: `SWMTKN-1-${'a'.repeat(50)}-${'m'.repeat(25)}`,
  worker: `SWMTKN-1-${'a'.repeat(50)}-${'w'.repeat(25)}`,
};
const leader: LeaderRecord = {
  swarmId: 's'.repeat(25),
  epoch: 20,
  instanceId: 'i-00000000000000000',
  tokens,
  updatedAt: NOW,
};

/** @param managers one letter for each member of raft: `w` works, `d` is down */
function told(managers: string, quorumAtRisk: boolean | 'never' = false, silent = false, seats = managers.length) {
  const nodes = [...managers].map((state, n): SwarmNode => ({
    id: `n${String(n).padStart(24, '0')}`,
    hostname: `node-${n}`,
    role: 'manager',
    availability: 'active',
    state: state === 'w' ? 'ready' : 'down',
    instanceId: `i-${String(n).padStart(17, '0')}`,
    manager: {
      leader: n === 0,
      reachability: state === 'w' ? 'reachable' : 'unreachable',
      address: `10.0.${n}.10:2377`,
    },
  }));
  const observed: Observation = {
    now: silent ? NOW + LEADER_STALE_MS : NOW,
    seats: Array.from({ length: seats }, (_, seat) => ({
      seat,
      volumeId: `vol-${seat}`,
      networkInterfaceId: `eni-${seat}`,
      address: `10.0.${seat}.10`,
    })),
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes,
    membership: { ...emptyMembership, ...(quorumAtRisk !== 'never' && { quorumAtRisk }) },
    instances: [],
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    volumes: [],
  };
  const { announcements, membership } = plan(observed, () => 'c');
  return {
    events: announcements.map(({ event }) => event),
    reason: announcements[0]?.reason,
    quorumAtRisk: membership.quorumAtRisk,
  };
}

/** Of three seats, before there was ever a quorum that can do without one. */
function planless(managers: string) {
  const { events, quorumAtRisk } = told(managers, 'never', false, 3);
  return { events, quorumAtRisk };
}

test.each([
  ['www', []],
  ['wwd', ['quorumAtRisk']],
  ['wdd', ['quorumAtRisk']],
  ['wwwww', []],
  ['wwwwd', []],
  ['wwwdd', ['quorumAtRisk']],
  ['ww', ['quorumAtRisk']],
  ['wd', ['quorumAtRisk']],
  ['w', []],
])('of managers %s is told %j', (managers, events) => {
  expect(told(managers).events).toEqual(events);
});

test('it is told once, and once more when it is over', () => {
  expect(told('wwd')).toMatchObject({ quorumAtRisk: true, reason: '2 of 3 managers work, and the quorum is 2.' });
  expect(told('wwd', true)).toEqual({ events: [], reason: undefined, quorumAtRisk: true });
  expect(told('www', true)).toMatchObject({ events: ['quorumSafe'], quorumAtRisk: false });
});

test('while the first managers join nothing is at risk, and nothing is told when they have', () => {
  expect(planless('w')).toEqual({ events: [], quorumAtRisk: undefined });
  expect(planless('ww')).toEqual({ events: [], quorumAtRisk: undefined });
  expect(planless('www')).toEqual({ events: [], quorumAtRisk: false });
});

test('a leader that is silent is a risk, too', () => {
  expect(told('www', false, true)).toMatchObject({
    events: ['quorumAtRisk'],
    reason: 'No leader of the swarm reports: it may have lost its quorum.',
  });
  expect(told('www', true, true).events).toEqual([]);
});

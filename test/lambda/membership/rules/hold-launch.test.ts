import { HELD_MS, holdLaunch } from '../../../../lambda/membership/rules/hold-launch';
import type { Observation } from '../../../../lambda/membership/observation';
import { LEADER_STALE_MS, type Membership } from '../../../../protocol/cluster';
import { instance, LEAVING, manager, NOW, plannedBy, seatGroup, seatsOf, STACK_ID, web, worker } from '../world';

const interfaces = (ofSeat0: string) => [
  { networkInterfaceId: 'eni-0', status: ofSeat0 },
  { networkInterfaceId: 'eni-1', status: 'in-use' },
];

/** Two seats. The instance of seat 0 is leaving, unless a test says otherwise. */
function planned(change: Partial<Observation>, held: Membership['held'] = {}) {
  const { effects, membership, alarms } = plannedBy(holdLaunch, {
    seats: seatsOf(2),
    interfaces: interfaces('in-use'),
    instances: [manager(0, LEAVING), manager(1)],
    ...change,
    membership: { held },
  });
  return {
    effects: effects.map((effect) => ('group' in effect ? `${effect.kind} ${effect.group}` : effect.kind)),
    held: membership.held,
    alarms: alarms.map(({ reason }) => reason),
  };
}

const suspended = [seatGroup(0, { launchSuspended: true }), seatGroup(1), web];
const nobodyInSeat0 = [manager(1)];

it.each(['Terminating:Wait', 'Terminating:Proceed', 'Terminating'])(
  'suspends launches of a seat while an instance in state %s has its interface, and records it first',
  (state) => {
    expect(planned({ instances: [manager(0, state), manager(1)] })).toEqual({
      effects: ['suspend-launch seat-0'],
      held: { 'seat-0': NOW },
      alarms: [],
    });
  },
);

it('looks at the interface of each seat alone', () => {
  const instances = [manager(0), manager(1, LEAVING)];
  expect(planned({ instances, interfaces: interfaces('available') }).effects).toEqual(['suspend-launch seat-1']);
});

it('suspends nothing twice, and forgets nothing while the interface is in use', () => {
  expect(planned({ groups: suspended }, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: [],
    held: { 'seat-0': NOW - 1_000 },
  });
  expect(planned({ groups: suspended, instances: nobodyInSeat0 }, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: [],
    held: { 'seat-0': NOW - 1_000 },
  });
});

it('suspends again, and counts from then on, if the record says suspended and the group does not', () => {
  expect(planned({}, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: ['suspend-launch seat-0'],
    held: { 'seat-0': NOW },
  });
});

it.each<[string, Partial<Observation>]>([
  ['the interface is free', { instances: nobodyInSeat0, interfaces: interfaces('available') }],
  ['the interface is free, though Auto Scaling still lists the old instance', { interfaces: interfaces('available') }],
  [
    'another instance already has the interface',
    { instances: [instance(7, seatGroup(0), 'Pending:Wait'), ...nobodyInSeat0] },
  ],
])('resumes launches when %s', (_, change) => {
  expect(planned({ groups: suspended, ...change }, { 'seat-0': NOW - 1_000 }).effects).toEqual([
    'resume-launch seat-0',
  ]);
});

it('forgets a seat once it launches again, but only when no stale answer can be meant', () => {
  const forgotten = (ms: number) =>
    planned({ instances: nobodyInSeat0, interfaces: interfaces('available') }, { 'seat-0': NOW - ms }).held;
  expect(forgotten(LEADER_STALE_MS - 1)).not.toEqual({});
  expect(forgotten(LEADER_STALE_MS)).toEqual({});
});

it.each<[string, Partial<Observation>]>([
  ['the interface is free because the instance died', { interfaces: interfaces('available') }],
  ['the old instance has ended', { instances: [manager(0, 'Terminated'), manager(1)] }],
  ['the whole stack is leaving', { stacksLeaving: new Set([STACK_ID]) }],
  ['somebody else suspended it', { groups: suspended }],
  ['only workers are leaving', { instances: [worker(8, LEAVING), ...nobodyInSeat0] }],
])('suspends nothing when %s', (_, change) => {
  expect(planned(change)).toEqual({ effects: [], held: {}, alarms: [] });
});

it('does not resume what somebody else suspended', () => {
  expect(planned({ groups: suspended, instances: nobodyInSeat0, interfaces: interfaces('available') }).effects).toEqual(
    [],
  );
});

it('raises an alarm about a seat that has launched nobody for too long', () => {
  const held = (ms: number) => planned({ groups: suspended, instances: nobodyInSeat0 }, { 'seat-0': NOW - ms }).alarms;
  expect(held(HELD_MS - 1)).toEqual([]);
  expect(held(HELD_MS)).toEqual([expect.stringContaining('Seat 0 has had no working instance for 30 minutes')]);
});

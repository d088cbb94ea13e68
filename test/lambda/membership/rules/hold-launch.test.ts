import { Draft } from '../../../../lambda/membership/draft';
import { HELD_MS, holdLaunch } from '../../../../lambda/membership/rules/hold-launch';
import type { Group } from '../../../../lambda/shared/groups';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { emptyMembership, LEADER_STALE_MS, type Membership } from '../../../../protocol/cluster';

const NOW = 100_000_000;
const STACK = 'arn:aws:cloudformation:us-east-1:123456789012:stack/Test/1';
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const seats = [0, 1].map((seat) => ({
  seat,
  volumeId: `vol-${seat}`,
  networkInterfaceId: `eni-${seat}`,
  address: `10.0.${seat}.10`,
}));
const seatGroup = (seat: number, launchSuspended = false): Group => ({
  name: `seat-${seat}`,
  role: 'manager',
  seat,
  stack: { stackId: STACK, logicalId: `Seat${seat}` },
  ...(launchSuspended && { launchSuspended: true }),
});
const web: Group = { name: 'web', role: 'worker' };
const instance = (n: number, group: Group, lifecycleState: string): Instance => ({
  instanceId: idOf(n),
  group,
  lifecycleState,
});
const interfaces = (status: string) => [
  { networkInterfaceId: 'eni-0', status },
  { networkInterfaceId: 'eni-1', status: 'in-use' },
];

function planned(over: Partial<Observation>, held: Membership['held'] = {}) {
  const observed: Observation = {
    now: NOW,
    seats,
    settings: { addressPools: [], addressPoolPrefixLength: 24 },
    nodes: [],
    membership: { ...emptyMembership, held },
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    volumes: [],
    groups: [seatGroup(0), seatGroup(1), web],
    interfaces: interfaces('in-use'),
    instances: [instance(0, seatGroup(0), 'Terminating:Wait'), instance(1, seatGroup(1), 'InService')],
    ...over,
  };
  const draft = new Draft(observed, () => 'c');
  holdLaunch(draft);
  return {
    effects: draft.effects.map((effect) => ('group' in effect ? `${effect.kind} ${effect.group}` : effect.kind)),
    held: draft.membership.held,
    alarms: draft.alarms.map(({ reason }) => reason),
  };
}

const suspended = [seatGroup(0, true), seatGroup(1), web];
const noBodyOfSeat0 = [instance(1, seatGroup(1), 'InService')];

it.each(['Terminating:Wait', 'Terminating:Proceed', 'Terminating'])(
  'a seat launches nobody while an instance that is %s has its interface, and that is written down first',
  (state) => {
    expect(planned({ instances: [instance(0, seatGroup(0), state), instance(1, seatGroup(1), 'InService')] })).toEqual({
      effects: ['suspend-launch seat-0'],
      held: { 'seat-0': NOW },
      alarms: [],
    });
  },
);

it('nothing is suspended twice, nor forgotten while the interface is held', () => {
  expect(planned({ groups: suspended }, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: [],
    held: { 'seat-0': NOW - 1_000 },
  });
  expect(planned({ groups: suspended, instances: noBodyOfSeat0 }, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: [],
    held: { 'seat-0': NOW - 1_000 },
  });
});

it('it is done again where it was written down, and not done, or has launched since, and counts from then on', () => {
  expect(planned({}, { 'seat-0': NOW - 1_000 })).toMatchObject({
    effects: ['suspend-launch seat-0'],
    held: { 'seat-0': NOW },
  });
});

it.each<[string, Partial<Observation>]>([
  ['the interface is free', { instances: noBodyOfSeat0, interfaces: interfaces('available') }],
  ['the interface is free, though Auto Scaling still shows the old instance', { interfaces: interfaces('available') }],
  [
    'another instance has the interface already',
    { instances: [instance(7, seatGroup(0), 'Pending:Wait'), ...noBodyOfSeat0] },
  ],
])('it launches again when %s', (_, over) => {
  expect(planned({ groups: suspended, ...over }, { 'seat-0': NOW - 1_000 }).effects).toEqual(['resume-launch seat-0']);
});

it('it is forgotten when it launches again, but not so soon that an old answer could be meant', () => {
  const forgotten = (ms: number) =>
    planned({ instances: noBodyOfSeat0, interfaces: interfaces('available') }, { 'seat-0': NOW - ms }).held;
  expect(forgotten(LEADER_STALE_MS - 1)).not.toEqual({});
  expect(forgotten(LEADER_STALE_MS)).toEqual({});
});

it.each<[string, Partial<Observation>]>([
  ['the interface is free: the instance died', { interfaces: interfaces('available') }],
  ['its whole stack goes', { stacksLeaving: new Set([STACK]) }],
  ['somebody else has suspended it', { groups: suspended }],
  ['only workers leave', { instances: [instance(8, web, 'Terminating:Wait'), ...noBodyOfSeat0] }],
])('nothing is suspended when %s', (_, over) => {
  expect(planned(over)).toEqual({ effects: [], held: {}, alarms: [] });
});

it('what somebody else has suspended is not resumed', () => {
  expect(planned({ groups: suspended, instances: noBodyOfSeat0, interfaces: interfaces('available') }).effects).toEqual(
    [],
  );
});

it('somebody is told of a seat that launches nobody for long', () => {
  const held = (ms: number) => planned({ groups: suspended, instances: noBodyOfSeat0 }, { 'seat-0': NOW - ms }).alarms;
  expect(held(HELD_MS - 1)).toEqual([]);
  expect(held(HELD_MS)).toEqual([expect.stringContaining('Seat 0 has had no working instance for 30 minutes')]);
});

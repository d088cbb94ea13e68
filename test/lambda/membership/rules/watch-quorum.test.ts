import { lostMember, member, planned, seatsOf, silentLeader, unformed } from '../world';

/** @param managers one letter for each member of raft: `w` works, `d` is down */
function told(managers: string, quorumAtRisk: boolean | 'never' = false, silent = false, seats = managers.length) {
  const { announcements, membership } = planned({
    seats: seatsOf(seats),
    nodes: [...managers].map((state, n) => (state === 'w' ? member(n) : lostMember(n))),
    instances: [],
    membership: quorumAtRisk === 'never' ? {} : { quorumAtRisk },
    ...(silent && { leader: silentLeader }),
  });
  return {
    events: announcements.map(({ event }) => event),
    reason: announcements[0]?.reason,
    quorumAtRisk: membership.quorumAtRisk,
  };
}

/** Of three seats, before there was ever a quorum that could spare a manager. */
function whileForming(managers: string) {
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
])('managers in states %s cause the events %j', (managers, events) => {
  expect(told(managers).events).toEqual(events);
});

test('a quorum at risk is announced once, and once more when it is safe again', () => {
  expect(told('wwd')).toMatchObject({ quorumAtRisk: true, reason: '2 of 3 managers work; the quorum is 2.' });
  expect(told('wwd', true)).toEqual({ events: [], reason: undefined, quorumAtRisk: true });
  expect(told('www', true)).toMatchObject({ events: ['quorumSafe'], quorumAtRisk: false });
});

test('nothing is announced while the first managers join, nor when they have joined', () => {
  expect(whileForming('w')).toEqual({ events: [], quorumAtRisk: undefined });
  expect(whileForming('ww')).toEqual({ events: [], quorumAtRisk: undefined });
  expect(whileForming('www')).toEqual({ events: [], quorumAtRisk: false });
});

test('nothing is announced before a swarm is formed', () => {
  const { announcements, membership } = planned(unformed);
  expect([announcements, membership.quorumAtRisk]).toEqual([[], undefined]);
});

test('a silent leader puts the quorum at risk', () => {
  expect(told('www', false, true)).toMatchObject({
    events: ['quorumAtRisk'],
    reason: 'No leader reports: the swarm may have lost its quorum.',
  });
  expect(told('www', true, true).events).toEqual([]);
});

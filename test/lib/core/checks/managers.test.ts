import { checkManagerCount, checkZones, seatsToBuild } from '../../../../lib/core/checks/managers';

test.each([1, 3, 5, 7])('%i managers are accepted', (count) => {
  expect(checkManagerCount(count)).toEqual([]);
  expect(seatsToBuild(count)).toBe(count);
});

test.each([
  [0, 'count (0) must be 1, 3, 5 or 7.'],
  [2, 'count (2) must be 1, 3, 5 or 7: 2 managers tolerate no more failures than 1.'],
  [4, 'count (4) must be 1, 3, 5 or 7: 4 managers tolerate no more failures than 3.'],
  [9, 'count (9) must be 1, 3, 5 or 7: more than 7 managers only slow down every change.'],
  [-1, 'count (-1) must be 1, 3, 5 or 7.'],
  [NaN, 'count (NaN) must be 1, 3, 5 or 7.'],
  [1.5, 'count (1.5) must be 1, 3, 5 or 7.'],
])('%d managers are refused', (count, sentence) => {
  expect(checkManagerCount(count)).toEqual([sentence]);
  expect(seatsToBuild(count)).toBe(1);
});

test('a number of managers that is known only at deployment is refused, because seats are resources', () => {
  expect(checkManagerCount(undefined)).toEqual([expect.stringContaining('must be known at synth')]);
});

test.each([
  [1, ['a'], 0],
  [3, ['a', 'b', 'c'], 0],
  [7, ['a', 'b', 'c'], 0],
  [3, ['a', 'b'], 1],
  [5, ['a'], 1],
  [3, undefined, 0],
  [3, [], 0],
])('%i managers in zones %j: %i problems', (managers, zones, count) => {
  expect(checkZones(managers, zones)).toHaveLength(count);
});

test('too few zones are refused with their names', () => {
  expect(checkZones(3, ['eu-west-1a', 'eu-west-1b'])).toEqual([
    '3 managers need subnets in 3 zones, so that the loss of one zone leaves a quorum, but there are only 2: ' +
      'eu-west-1a, eu-west-1b. Add subnets in more zones, or use one manager.',
  ]);
});

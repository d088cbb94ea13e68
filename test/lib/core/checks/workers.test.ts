import { checkCapacity, checkSpot } from '../../../../lib/core/checks/workers';

test.each([
  [0, 1, []],
  [0, 0, ['maxCapacity (0) must be at least 1, or the group could never have a worker. To have none, omit the group.']],
  [2, 2, []],
  [undefined, 1, []],
  [3, undefined, []],
  [3, 1, ['minCapacity (3) must not exceed maxCapacity (1).']],
  [-1, 2, ['minCapacity (-1) must be a whole number of at least 0.']],
  [0, 1.5, ['maxCapacity (1.5) must be a whole number of at least 1.']],
])('capacity from %s to %s', (min, max, sentences) => {
  expect(checkCapacity(min, max)).toEqual(sentences);
});

test('the on-demand base and percentage are bounded', () => {
  expect(checkSpot(undefined, undefined)).toEqual([]);
  expect(checkSpot(2, 100)).toEqual([]);
  expect(checkSpot(-1, 101)).toEqual([
    'spot.onDemandBase (-1) must be a whole number of at least 0.',
    'spot.onDemandPercentage (101) must be a whole number from 0 to 100.',
  ]);
});

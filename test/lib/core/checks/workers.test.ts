import { checkCapacity, checkSpot } from '../../../../lib/core/checks/workers';

test.each([
  [0, 1, []],
  [0, 0, ['maxCapacity is 0, so the group could never have a worker. Give at least 1, or leave the group out.']],
  [2, 2, []],
  [undefined, 1, []],
  [3, undefined, []],
  [3, 1, ['minCapacity is 3, more than maxCapacity, which is 1. Give a minimum up to the maximum.']],
  [-1, 2, ['minCapacity is -1. Give a whole number, 0 or more.']],
  [0, 1.5, ['maxCapacity is 1.5. Give a whole number, 0 or more.']],
])('capacity from %s to %s', (min, max, sentences) => {
  expect(checkCapacity(min, max)).toEqual(sentences);
});

test('shares of spot are bounded', () => {
  expect(checkSpot(undefined, undefined)).toEqual([]);
  expect(checkSpot(2, 100)).toEqual([]);
  expect(checkSpot(-1, 101)).toEqual([
    'spot.onDemandBase is -1. Give a whole number of instances, 0 or more.',
    'spot.onDemandPercentage is 101. Give a whole number from 0 to 100.',
  ]);
});

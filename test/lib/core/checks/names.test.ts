import { checkClusterTag } from '../../../../lib/core/checks/names';

test('the name of the cluster must be a valid tag value', () => {
  expect(checkClusterTag('Stack/Swarm')).toEqual([]);
  expect(checkClusterTag(undefined)).toEqual([]);
  expect(checkClusterTag('Stack/Schwärm')).toHaveLength(1);
  expect(checkClusterTag('x'.repeat(257))).toHaveLength(1);
});

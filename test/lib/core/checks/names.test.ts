import { checkClusterTag } from '../../../../lib/core/checks/names';

test('the tag that names the cluster must be a tag', () => {
  expect(checkClusterTag('Stack/Swarm')).toEqual([]);
  expect(checkClusterTag(undefined)).toEqual([]);
  expect(checkClusterTag('Stack/Schwärm')).toHaveLength(1);
  expect(checkClusterTag('x'.repeat(257))).toHaveLength(1);
});

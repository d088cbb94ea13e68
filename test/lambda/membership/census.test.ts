import { census } from '../../../lambda/membership/census';
import {
  type Changes,
  leader,
  LEAVING,
  lostMember,
  manager,
  member,
  NOW,
  observation,
  unformed,
  waiting,
  web,
  worker,
  workerNode,
} from './world';

const healthy = {
  metric: 'Census',
  seats: 3,
  managersWorking: 3,
  managersMissing: 0,
  workersReady: 3,
  nodesDown: 0,
  instancesWaiting: 0,
  instancesLeaving: 0,
  launchesHeld: 0,
  leaderAgeSeconds: 1,
};

test('a healthy cluster is counted', () => {
  expect(census(observation())).toStrictEqual(healthy);
});

test.each<[string, Changes, object]>([
  ['a manager that is lost', { nodes: [member(0), member(1), lostMember(2)] }, { managersWorking: 2, nodesDown: 1 }],
  [
    'a worker that raft still counts is no worker',
    { nodes: [member(0), member(1, { role: 'worker' })] },
    { managersWorking: 1, workersReady: 0 },
  ],
  [
    'a manager that never joined raft is no worker',
    { nodes: [member(0, { manager: undefined })] },
    { workersReady: 0 },
  ],
  [
    'a worker that is not Ready',
    { nodes: [workerNode(10), workerNode(11, { state: 'down' }), workerNode(12, { state: 'unknown' })] },
    { workersReady: 1, nodesDown: 1 },
  ],
  [
    'more managers than seats',
    { nodes: [0, 1, 2, 3].map((n) => member(n)) },
    { managersWorking: 4, managersMissing: 0 },
  ],
  [
    'instances at their hooks',
    { instances: [manager(0), waiting(1, web), waiting(2, web), worker(3, LEAVING), worker(4, 'Terminating')] },
    { instancesWaiting: 2, instancesLeaving: 1 },
  ],
  ['launches that are suspended', { membership: { held: { 'seat-0': NOW, 'seat-1': NOW } } }, { launchesHeld: 2 }],
  ['tasks that have no node', { tasksPending: 0 }, { tasksPending: 0 }],
  ['the age of the last report', { leader: { ...leader, updatedAt: NOW - 89_600 } }, { leaderAgeSeconds: 90 }],
  ['a report from the future', { leader: { ...leader, updatedAt: NOW + 5_000 } }, { leaderAgeSeconds: 0 }],
])('%s', (_, changes, expected) => {
  const counted = census(observation(changes));
  expect(counted).toMatchObject(expected);
});

test('managers that are missing are counted against the seats', () => {
  expect(census(observation({ nodes: [member(0)] })).managersMissing).toBe(2);
});

test('before a swarm was formed nobody leads', () => {
  expect(census(observation(unformed))).not.toHaveProperty('leaderAgeSeconds');
});

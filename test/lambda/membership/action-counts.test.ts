import { countActions } from '../../../lambda/membership/action-counts';
import type { Effect, Plan } from '../../../lambda/membership/draft';
import { emptyMembership, type Membership } from '../../../protocol/cluster';
import { observation } from './world';

const of = (effect: Partial<Effect> & { kind: Effect['kind'] }) =>
  ({ instanceId: 'i-00000000000000001', group: 'web', reason: 'So it is.', ...effect }) as Effect;
const counted = (
  done: Effect[],
  { membership = emptyMembership, commands = [] }: { membership?: Membership; commands?: object[] } = {},
) => {
  return countActions(
    observation({ membership: { rotation: null } }),
    { membership, commands, orders: [], effects: done, alarms: [], announcements: [] } as unknown as Plan,
    done,
  );
};
const nothing = {
  metric: 'Deeds',
  nodesReady: 0,
  nodesLeft: 0,
  nodesLost: 0,
  nodesReplaced: 0,
  hookDeadlines: 0,
  managersRemoved: 0,
  rotations: 0,
};

test('nothing is counted of a look that did nothing', () => {
  expect(counted([])).toBeUndefined();
  expect(counted([of({ kind: 'extend-hook' })])).toBeUndefined();
});

test('effects that were carried out are counted', () => {
  const left = of({ kind: 'let-go', role: 'worker', event: 'nodeLeft' });
  expect(
    counted([
      of({ kind: 'admit' }),
      of({ kind: 'admit' }),
      left,
      { ...left, late: true } as Effect,
      of({ kind: 'abandon' }),
      of({ kind: 'let-go', role: 'manager', event: 'nodeLost' }),
      of({ kind: 'replace' }),
    ]),
  ).toEqual({
    ...nothing,
    nodesReady: 2,
    nodesLeft: 2,
    nodesLost: 1,
    nodesReplaced: 1,
    hookDeadlines: 2,
  });
});

test('managers ordered out and rotations ordered are counted', () => {
  expect(
    counted([], {
      commands: [
        { command: { kind: 'remove' } },
        { command: { kind: 'retire' } },
        { command: { kind: 'join' } },
        { command: null },
      ],
    }),
  ).toEqual({ ...nothing, managersRemoved: 2 });
  const membership = { ...emptyMembership, rotation: { at: 0, asked: { id: 'r', expiresAt: 1, instead: 'd' } } };
  expect(counted([], { membership })).toEqual({ ...nothing, rotations: 1 });
});

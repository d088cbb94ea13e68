import { handBack } from '../../../../lambda/membership/rules/hand-back';
import { Draft } from '../../../../lambda/membership/draft';
import type { Instance, Observation } from '../../../../lambda/membership/observation';
import { emptyMembership } from '../../../../protocol/cluster';

const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const worker = (n: number, lifecycleState: string): Instance => ({
  instanceId: idOf(n),
  lifecycleState,
  group: { name: 'web', role: 'worker', spot: true },
});

function terminated(instances: Instance[], interrupted: string[]): string[] {
  const observed: Observation = {
    now: 0,
    seats: [],
    settings: { addressPools: [], addressPoolPrefixLength: 24 },
    nodes: [],
    membership: emptyMembership,
    instances,
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(interrupted),
    groups: [],
    interfaces: [],
    volumes: [],
  };
  const draft = new Draft(observed, () => 'c');
  handBack(draft);
  return draft.effects.map(({ kind, instanceId }) => `${kind} ${instanceId}`);
}

it('spot instances in service that EC2 takes back are terminated through their group, all at once', () => {
  expect(
    terminated([worker(1, 'InService'), worker(2, 'InService'), worker(3, 'InService')], [idOf(1), idOf(3)]),
  ).toEqual([`terminate ${idOf(1)}`, `terminate ${idOf(3)}`]);
});

it('one that leaves already, is still launched, or is of nobody here is left alone', () => {
  expect(terminated([worker(1, 'Terminating:Wait'), worker(2, 'Pending:Wait')], [idOf(1), idOf(2), idOf(9)])).toEqual(
    [],
  );
});

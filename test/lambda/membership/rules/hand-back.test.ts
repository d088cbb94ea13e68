import { handBack } from '../../../../lambda/membership/rules/hand-back';
import { idOf, instance, LEAVING, plannedBy, web } from '../world';

const spot = (n: number, lifecycleState?: string) => instance(n, { ...web, spot: true }, lifecycleState);

function terminated(instances: ReturnType<typeof spot>[], interrupted: string[]): string[] {
  const { effects } = plannedBy(handBack, { instances, interrupted: new Set(interrupted) });
  return effects.map(({ kind, instanceId }) => `${kind} ${instanceId}`);
}

it('terminates every spot instance in service that EC2 is taking back, all at once, through its group', () => {
  expect(terminated([spot(1), spot(2), spot(3)], [idOf(1), idOf(3)])).toEqual([
    `terminate ${idOf(1)}`,
    `terminate ${idOf(3)}`,
  ]);
});

it('leaves alone an instance that is leaving, launching, or not one of ours', () => {
  expect(terminated([spot(1, LEAVING), spot(2, 'Pending:Wait')], [idOf(1), idOf(2), idOf(9)])).toEqual([]);
});

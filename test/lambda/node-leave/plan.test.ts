import { plan } from '../../../lambda/node-leave/plan';
import type { Instance } from '../../../lambda/membership/observation';

const instance = (lifecycleState: string): Instance => ({ instanceId: 'i-00000000000000001', lifecycleState, group: { name: 'workers', role: 'worker' } });

describe('terminate hooks', () => {
  it('are completed where one waits', () => {
    expect(plan([instance('Terminating:Wait')])).toMatchObject([{ instanceId: 'i-00000000000000001', group: 'workers' }]);
  });

  it.each(['Pending', 'Pending:Wait', 'InService', 'Terminating', 'Terminating:Proceed'])('are not where the instance is %s', (state) => {
    expect(plan([instance(state)])).toEqual([]);
  });
});

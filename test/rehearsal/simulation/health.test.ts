/** What load balancers hear of simulated nodes. */
import { HEALTH_PORT } from '../../../protocol/environment';
import type { HealthCheck } from '../../../rehearsal/aws/types';
import { Scenario } from './support';

jest.setTimeout(60_000);

const HEALTH: HealthCheck = { protocol: 'HTTP', port: HEALTH_PORT, path: '/health' };

test('a node answers what its agent would, and on other ports as long as it runs', async () => {
  const scenario = await Scenario.begin({ managers: 1, workers: 1 });
  const { clock, machines } = scenario.cluster;
  const answers = (instanceId: string, check: Partial<HealthCheck> = {}) => clock.finish(machines.answers(instanceId, { ...HEALTH, ...check }), 5_000);
  await scenario.until(() => machines.nodes.size > 0);
  const [booting] = [...machines.nodes.keys()];
  expect(await answers(booting!)).toBe(false);
  expect(await answers(booting!, { port: 80 })).toBe(true);

  await scenario.whole();
  const node = [...machines.nodes.values()].find(({ role }) => role === 'worker')!;
  const { instanceId } = node.identity;
  expect(await answers(instanceId)).toBe(true);
  expect(await answers(instanceId, { protocol: 'TCP', path: undefined })).toBe(true);
  expect(await answers(instanceId, { path: '/' })).toBe(false);
  expect(await answers(instanceId, { protocol: 'HTTPS' })).toBe(false);

  node.killAgent();
  expect(await answers(instanceId)).toBe(false);
  await scenario.pass(30_000);
  expect(await answers(instanceId)).toBe(true);

  node.hangEngine();
  await scenario.pass(2_000);
  expect(await answers(instanceId)).toBe(false);
  expect(await answers(instanceId, { port: 80 })).toBe(true);

  machines.lose(instanceId);
  expect(await answers(instanceId, { port: 80 })).toBe(false);
});

/** What load balancers hear of simulated nodes. */
import { HEALTH_PORT } from '../../../protocol/environment';
import type { HealthCheck } from '../../../rehearsal/aws/core/types';
import { Story } from './support';

jest.setTimeout(60_000);

const HEALTH: HealthCheck = { protocol: 'HTTP', port: HEALTH_PORT, path: '/health' };

test('a node answers what its agent would, and on other ports as long as it runs', async () => {
  const story = await Story.begin({ managers: 1, workers: 1 });
  const { clock, machines } = story.cluster;
  const answers = (instanceId: string, check: Partial<HealthCheck> = {}) =>
    clock.finish(machines.answers(instanceId, { ...HEALTH, ...check }), 5_000);
  await story.until(() => machines.nodes.size > 0);
  const [booting] = [...machines.nodes.keys()];
  expect(await answers(booting!)).toBe(false);
  expect(await answers(booting!, { port: 80 })).toBe(true);

  await story.whole();
  const node = [...machines.nodes.values()].find(({ role }) => role === 'worker')!;
  const { instanceId } = node.identity;
  expect(await answers(instanceId)).toBe(true);
  expect(await answers(instanceId, { protocol: 'TCP', path: undefined })).toBe(true);
  expect(await answers(instanceId, { path: '/' })).toBe(false);
  expect(await answers(instanceId, { protocol: 'HTTPS' })).toBe(false);

  node.killAgent();
  expect(await answers(instanceId)).toBe(false);
  await story.pass(30_000);
  expect(await answers(instanceId)).toBe(true);

  node.hangEngine();
  await story.pass(2_000);
  expect(await answers(instanceId)).toBe(false);
  expect(await answers(instanceId, { port: 80 })).toBe(true);

  machines.lose(instanceId);
  expect(await answers(instanceId, { port: 80 })).toBe(false);
});

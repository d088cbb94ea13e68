/** What EventBridge is told while a cluster forms, loses nodes, and replaces managers; and what a node that finds out about its own end is good for. */
import { MINUTE, Scenario } from './support';

jest.setTimeout(60_000);

const told = ({ events }: Scenario) => events.filter(({ source, what }) => source === 'events' && what === 'put').map(({ subject, detail }) => ({ source: subject, event: String(detail.detailType), ...(detail as { cluster: string; reason: string; instanceId?: string }) }));

async function formed(workers = 1, options = {}): Promise<Scenario> {
  const scenario = await Scenario.begin({ managers: 3, workers }, options);
  await scenario.whole();
  return scenario;
}

test('each node that becomes Ready is told once, with the cluster and the reason', async () => {
  const scenario = await formed(2);
  const events = told(scenario);
  expect(events.map(({ event }) => event)).toEqual(Array(5).fill('Swarm Node Ready'));
  expect(new Set(events.map(({ instanceId }) => instanceId))).toEqual(new Set(scenario.cluster.machines.nodes.keys()));
  expect(events[0]).toMatchObject({ source: 'cdk-docker-swarm', reason: 'The leader reports it Ready, in its role and under its own instance id.' });
  expect(new Set(events.map(({ cluster }) => cluster)).size).toBe(1);
});

test('a worker that is lost, and its successor', async () => {
  const scenario = await formed();
  const before = told(scenario).length;
  const { instanceId } = scenario.workers()[0]!.identity;
  scenario.cluster.loseInstance(instanceId);
  await scenario.pass(MINUTE);
  await scenario.whole();
  const events = told(scenario).slice(before);
  expect([...new Set(events.map(({ event }) => event))]).toEqual(['Swarm Node Lost', 'Swarm Node Ready']);
  expect(events[0]).toMatchObject({ instanceId, reason: 'EC2 has ended it already.' });
});

test('a manager that leaves: the quorum is at risk until its successor is there', async () => {
  const scenario = await formed();
  const before = told(scenario).length;
  scenario.terminate(scenario.seat(1)!);
  await scenario.pass(MINUTE);
  await scenario.whole();
  await scenario.pass(MINUTE);
  const events = told(scenario).slice(before).map(({ event }) => event);
  expect([...new Set(events)].sort()).toEqual(['Swarm Node Left', 'Swarm Node Ready', 'Swarm Quorum At Risk', 'Swarm Quorum Safe']);
  expect(events.indexOf('Swarm Quorum At Risk')).toBeLessThan(events.indexOf('Swarm Quorum Safe'));
});

test('a cluster that cannot tell anything forms all the same', async () => {
  const scenario = await formed(1, {
    tamper: (_service: string, action: string, input: Record<string, any>) => (action === 'PutEvents' ? { Entries: Array(11).fill(input.Entries[0]) } : input),
  });
  expect(told(scenario)).toEqual([]);
  expect(scenario.logs.some((line) => line.includes('EventBridge took no events.'))).toBe(true);
});

test('a worker whose group terminates it says so itself: though neither hook nor sweep are heard, it is drained within seconds', async () => {
  let quiet = false;
  // What is in the queues is lost: what is left is the stream of the nodes' reports.
  const scenario = await formed(1, { hears: (_: string, { Records }: { Records: { eventSource: string }[] }) => !quiet || Records[0]!.eventSource === 'aws:dynamodb' });
  const worker = scenario.workers()[0]!;
  const { instanceId } = worker.identity;
  quiet = true;
  const begun = scenario.cluster.clock.now();
  scenario.terminate(worker);
  const said = (...parts: string[]) => scenario.logs.some((line) => parts.every((part) => line.includes(part)));
  await scenario.until(() => said('"notice":"termination"') && said('Ordered to release.', instanceId), MINUTE);
  expect(scenario.cluster.clock.now() - begun).toBeLessThan(10_000);
});

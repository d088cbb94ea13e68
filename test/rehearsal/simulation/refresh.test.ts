/** A whole fleet on other instances: CloudFormation rolls three managers and 1,000 workers, a tenth of these at a time. */
import { assemblies, MINUTE, otherInstances, Scenario } from './support';

const WORKERS = 1_000;
const HOUR = 60 * MINUTE;

test(`${WORKERS} workers and three managers are replaced, with no moment below the quorum`, async () => {
  const setup = { managers: 3, workers: WORKERS };
  const scenario = Scenario.of(await assemblies.of(setup));
  while (scenario.missing().length > 0) await scenario.pass(5_000);
  const { docker, machines, clock } = scenario.cluster;
  const before = new Set(machines.nodes.keys());
  const members = docker.swarms()[0]!.members.map(({ nodeId }) => nodeId).sort();
  let most = 0;
  docker.onEvent(() => (most = Math.max(most, docker.swarms()[0]!.members.filter(({ alive }) => !alive).length)));
  const started = clock.now();
  scenario.deploy(await assemblies.changed(setup, 'other-instances', otherInstances));
  // What a thousand nodes are like is looked at now and then.
  for (const end = started + 2 * HOUR; (scenario.stack === 'creating' || scenario.missing().length > 0) && scenario.invariants.breaches.length === 0 && clock.now() < end; ) await scenario.pass(5_000);
  process.stdout.write(`  replaced in ${((clock.now() - started) / MINUTE).toFixed(0)} virtual minutes\n`);
  expect(scenario.invariants.breaches).toEqual([]);
  expect(scenario.stack).toBe('created');
  expect([...machines.nodes.keys()].filter((instanceId) => before.has(instanceId))).toEqual([]);
  expect(machines.nodes.size).toBe(WORKERS + 3);
  expect(docker.swarms()[0]!.members.map(({ nodeId }) => nodeId).sort()).toEqual(members);
  expect(most).toBe(1);
}, 600_000);

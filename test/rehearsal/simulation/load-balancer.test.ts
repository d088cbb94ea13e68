/** A load balancer in front of simulated clusters: who its targets are while nodes come, go and are drained, and while its function is killed, doubled or deaf. */
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import { runOf } from '../../../rehearsal/simulation/shrink';
import { otherInstances, setupOf } from '../../../rehearsal/simulation/setup';
import { simulate, type Act } from '../../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES, MINUTE, Scenario } from './support';

jest.setTimeout(180_000);

const SETUP = { managers: 3, workers: 2, balanced: true };

const targets = (scenario: Scenario) => scenario.cluster.region.loadBalancers().flatMap(({ listeners }) => listeners.flatMap((listener) => listener.targets));
const idOf = ({ identity }: SimulatedNode) => identity.instanceId;
const told = (scenario: Scenario, node: SimulatedNode) => scenario.events.filter(({ source, subject }) => source === 'elb' && subject === idOf(node)).map(({ what }) => what);
/** A manager's own word for each node of the swarm. */
const nodeIdOf = (scenario: Scenario, node: SimulatedNode) => scenario.cluster.docker.swarms()[0]!.nodes.find(({ instanceId }) => instanceId === idOf(node))!.id;
const isUpdater = (origin: string) => origin.includes('TargetUpdate');

async function formed(options: Parameters<typeof Scenario.begin>[1] = {}): Promise<Scenario> {
  const scenario = await Scenario.begin(SETUP, options);
  await scenario.whole();
  return scenario;
}

test('all nodes that are in service become its targets, and healthy', async () => {
  const scenario = await formed();
  expect(targets(scenario).map(({ state, routed }) => `${state} ${routed}`)).toEqual(Array(5).fill('healthy true'));
});

test('a node that leaves fails its health check before it is deregistered, and its successor takes its place', async () => {
  const scenario = await formed();
  const [worker] = scenario.workers();
  scenario.terminate(worker!);
  await scenario.pass(1_000);
  await scenario.whole();
  const since = told(scenario, worker!).slice(told(scenario, worker!).indexOf('healthy') + 1);
  expect(since.indexOf('unhealthy')).toBeGreaterThanOrEqual(0);
  expect(since.indexOf('unhealthy')).toBeLessThan(since.indexOf('draining'));
  expect(targets(scenario).some(({ instanceId, state }) => instanceId === idOf(worker!) && state !== 'draining')).toBe(false);
});

test('its tasks end only when it is sent nothing more, and its successor is in service when it is sent connections', async () => {
  const scenario = await formed();
  const [worker, other] = scenario.workers();
  scenario.terminate(worker!);
  const routed = (node: SimulatedNode) => targets(scenario).some(({ instanceId, routed: to }) => instanceId === idOf(node) && to);
  await scenario.until(() => scenario.logs.some((line) => line.includes('"Ordered to release.') && line.includes(idOf(worker!))), 3 * MINUTE);
  expect(routed(worker!)).toBe(false);
  const inService: string[] = [];
  scenario.cluster.region.onEvent(({ source, what, subject }) => {
    if (source === 'autoscaling' && what === 'in-service') inService.push(`${subject} ${targets(scenario).some(({ instanceId, routed: to }) => instanceId === subject && to)}`);
  });
  await scenario.whole();
  const successor = scenario.workers().find((node) => node !== other)!;
  expect(inService).toEqual([`${idOf(successor)} true`]);
});

test('a deployment that replaces all workers never leaves the load balancer with fewer healthy ones than the group has', async () => {
  const setup = { managers: 1, workers: 4, balanced: true };
  const scenario = await Scenario.begin(setup);
  await scenario.whole();
  let fewest = Number.POSITIVE_INFINITY;
  const count = () => {
    fewest = Math.min(fewest, targets(scenario).filter(({ routed }) => routed).length);
  };
  scenario.cluster.region.onEvent(({ source }) => void (source === 'elb' && count()));
  scenario.deploy(await assemblies.changed(setup, 'other-instances', otherInstances));
  await scenario.whole(3 * 60 * MINUTE);
  // A group of a fixed size rolls one at a time, below its size; beside it the manager goes.
  expect(fewest).toBeGreaterThanOrEqual(3);
});

test('one that dies without notice gets no connections as soon as its health check has failed, and is deregistered', async () => {
  const scenario = await formed();
  const [worker] = scenario.workers();
  scenario.cluster.loseInstance(idOf(worker!));
  await scenario.until(() => !targets(scenario).some(({ instanceId, routed }) => instanceId === idOf(worker!) && routed), MINUTE);
  await scenario.whole();
});

test('one that an operator drains is deregistered, and registered again when it is active again', async () => {
  const scenario = await formed();
  const [worker] = scenario.workers();
  const change = (availability: 'drain' | 'active') => scenario.leader().daemon.updateNode(nodeIdOf(scenario, worker!), { availability });
  const registered = () => targets(scenario).some(({ instanceId, state }) => instanceId === idOf(worker!) && state !== 'draining');
  await scenario.cluster.clock.finish(change('drain'), MINUTE);
  await scenario.until(() => !registered(), 3 * MINUTE);
  await scenario.cluster.clock.finish(change('active'), MINUTE);
  await scenario.until(registered, 3 * MINUTE);
  await scenario.whole();
});

test('while all nodes are drained, those that are healthy stay: traffic goes on', async () => {
  const scenario = await formed();
  for (const { id } of scenario.cluster.docker.swarms()[0]!.nodes) await scenario.cluster.clock.finish(scenario.leader().daemon.updateNode(id, { availability: 'drain' }), MINUTE);
  await scenario.pass(5 * MINUTE);
  expect(scenario.invariants.breaches).toEqual([]);
  expect(targets(scenario).filter(({ state, routed }) => state === 'healthy' && routed).length).toBeGreaterThanOrEqual(1);
});

test('while the quorum is lost nobody is taken away on the word of an old list', async () => {
  const scenario = await formed();
  const before = targets(scenario).length;
  const cut = [0, 1].map((seat) => scenario.seat(seat)!);
  for (const manager of cut) manager.hangEngine();
  const workers = scenario.workers().map(idOf);
  await scenario.pass(4 * MINUTE);
  expect(targets(scenario).filter(({ instanceId, state }) => workers.includes(instanceId) && state === 'healthy')).toHaveLength(2);
  expect(before).toBe(5);
});

test('targets that somebody else registered are taken away, and those that somebody took away come back', async () => {
  const scenario = await formed();
  const { region } = scenario.cluster;
  const { targetGroupArn } = region.loadBalancers()[0]!.listeners[0]!;
  const [first, second] = scenario.workers().map(idOf);
  const asked = (action: string, Targets: object[]) => region.call({ service: 'elasticloadbalancing', action, input: { TargetGroupArn: targetGroupArn, Targets }, accessKeyId: region.operator.accessKeyId });
  await asked('RegisterTargets', [{ Id: first, Port: 8080 }]);
  await asked('DeregisterTargets', [{ Id: second }]);
  await scenario.pass(2 * MINUTE);
  await scenario.whole();
  expect(targets(scenario).filter(({ port, state }) => port !== 80 && state !== 'draining')).toEqual([]);
  expect(scenario.logs.some((line) => line.includes('targets that are none of the cluster'))).toBe(true);
});

test('its function may be killed at any of its requests: the next look finds the rest', async () => {
  const killed = new Set<string>();
  for (let nth = 1; nth <= 12; nth++) {
    let asked = 0;
    let dead = false;
    const scenario = await Scenario.begin(SETUP, {
      tamper: (service, action, input) => {
        if (service !== 'elasticloadbalancing' || dead || ++asked !== nth) return input;
        dead = true;
        killed.add(action);
        throw new Error('The function was killed here.');
      },
    });
    await scenario.whole();
    await scenario.cluster.stop();
  }
  expect([...killed].sort()).toEqual(['DescribeListeners', 'DescribeTags', 'DescribeTargetGroups', 'DescribeTargetHealth', 'RegisterTargets']);
});

test('two at once do what one does', async () => {
  const scenario = await formed();
  const { region, clock } = scenario.cluster;
  const updater = region.functions().find(({ logicalId }) => isUpdater(logicalId))!;
  scenario.cluster.loseInstance(idOf(scenario.workers()[0]!));
  await clock.finish(Promise.all([1, 2, 3].map(() => region.invoke(updater.logicalId, {}))), MINUTE);
  await scenario.whole();
});

test('without its function nobody would be registered: the cluster is not whole', async () => {
  const scenario = await Scenario.begin(SETUP, { hears: (name) => name !== 'target-update' });
  await scenario.until(() => scenario.stack === 'created' && scenario.missing().every((sentence) => sentence.startsWith('The targets of port 80 are none')));
  await scenario.pass(5 * MINUTE);
  expect(scenario.missing()).toEqual([expect.stringContaining('The targets of port 80 are none')]);
});

test.each<[Act, number]>([['forming', 8], ['healing', 12]])('%s while things go wrong, from seeds: %i of them', async (act, count) => {
  for (let seed = 1; seed <= count; seed++) {
    const setup = { ...setupOf(seed, act), balanced: true };
    const run = runOf(seed, act, setup);
    const { breaches, unfinished } = await simulate({ ...run, assembly: await assemblies.of(setup), next: await assemblies.next(seed, setup, run.faults), bundles: BUNDLES });
    expect({ seed, breaches, unfinished }).toEqual({ seed, breaches: [], unfinished: [] });
  }
});

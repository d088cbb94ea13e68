/**
 * A load balancer in front of simulated clusters: who its targets are while nodes come, go and are drained, and while
 * its function is killed, doubled or deaf.
 */
import type { SimulatedNode } from '../../../rehearsal/simulation/cluster/node';
import { otherInstances } from '../../../rehearsal/simulation/setup';
import { assemblies, MINUTE, Story } from './support';

jest.setTimeout(180_000);

const SETUP = { managers: 3, workers: 2, balanced: true };

const targets = (story: Story) =>
  story.cluster.region.loadBalancers().flatMap(({ listeners }) => listeners.flatMap((listener) => listener.targets));
const idOf = ({ identity }: SimulatedNode) => identity.instanceId;
const told = (story: Story, node: SimulatedNode) =>
  story.events.filter(({ source, subject }) => source === 'elb' && subject === idOf(node)).map(({ what }) => what);
/** A manager's own word for each node of the swarm. */
const nodeIdOf = (story: Story, node: SimulatedNode) =>
  story.cluster.docker.swarms()[0]!.nodes.find(({ instanceId }) => instanceId === idOf(node))!.id;
const isUpdater = (origin: string) => origin.includes('TargetUpdate');

async function formed(options: Parameters<typeof Story.begin>[1] = {}): Promise<Story> {
  const story = await Story.begin(SETUP, options);
  await story.whole();
  return story;
}

test('all nodes that are in service become its targets, and healthy', async () => {
  const story = await formed();
  expect(targets(story).map(({ state, routed }) => `${state} ${routed}`)).toEqual(Array(5).fill('healthy true'));
});

test('a leaving node fails its health check before it is deregistered, and its successor takes its place', async () => {
  const story = await formed();
  const [worker] = story.workers();
  story.terminate(worker!);
  await story.pass(1_000);
  await story.whole();
  const since = told(story, worker!).slice(told(story, worker!).indexOf('healthy') + 1);
  expect(since.indexOf('unhealthy')).toBeGreaterThanOrEqual(0);
  expect(since.indexOf('unhealthy')).toBeLessThan(since.indexOf('draining'));
  expect(targets(story).some(({ instanceId, state }) => instanceId === idOf(worker!) && state !== 'draining')).toBe(
    false,
  );
});

test(
  'its tasks end only when it is sent nothing more, and its successor is in service when it is sent ' + 'connections',
  async () => {
    const story = await formed();
    const [worker, other] = story.workers();
    story.terminate(worker!);
    const routed = (node: SimulatedNode) =>
      targets(story).some(({ instanceId, routed: to }) => instanceId === idOf(node) && to);
    await story.until(
      () => story.logs.some((line) => line.includes('"Ordered to release.') && line.includes(idOf(worker!))),
      3 * MINUTE,
    );
    expect(routed(worker!)).toBe(false);
    const inService: string[] = [];
    story.cluster.region.onEvent(({ source, what, subject }) => {
      if (source === 'autoscaling' && what === 'in-service')
        inService.push(
          `${subject} ${targets(story).some(({ instanceId, routed: to }) => instanceId === subject && to)}`,
        );
    });
    await story.whole();
    const successor = story.workers().find((node) => node !== other)!;
    expect(inService).toEqual([`${idOf(successor)} true`]);
  },
);

test(
  'a deployment that replaces all workers never leaves the load balancer with fewer healthy ones than the ' +
    'group has',
  async () => {
    const setup = { managers: 1, workers: 4, balanced: true };
    const story = await Story.begin(setup);
    await story.whole();
    let fewest = Number.POSITIVE_INFINITY;
    const count = () => {
      fewest = Math.min(fewest, targets(story).filter(({ routed }) => routed).length);
    };
    story.cluster.region.onEvent(({ source }) => void (source === 'elb' && count()));
    story.deploy(await assemblies.changed(setup, 'other-instances', otherInstances));
    await story.whole(3 * 60 * MINUTE);
    // A group of a fixed size rolls one at a time, below its size; beside it the manager goes.
    expect(fewest).toBeGreaterThanOrEqual(3);
  },
);

test(
  'one that dies without notice gets no connections as soon as its health check has failed, and is ' + 'deregistered',
  async () => {
    const story = await formed();
    const [worker] = story.workers();
    story.cluster.loseInstance(idOf(worker!));
    await story.until(
      () => !targets(story).some(({ instanceId, routed }) => instanceId === idOf(worker!) && routed),
      MINUTE,
    );
    await story.whole();
  },
);

test('one that an operator drains is deregistered, and registered again when it is active again', async () => {
  const story = await formed();
  const [worker] = story.workers();
  const change = (availability: 'drain' | 'active') =>
    story.leader().daemon.updateNode(nodeIdOf(story, worker!), { availability });
  const registered = () =>
    targets(story).some(({ instanceId, state }) => instanceId === idOf(worker!) && state !== 'draining');
  await story.cluster.clock.finish(change('drain'), MINUTE);
  await story.until(() => !registered(), 3 * MINUTE);
  await story.cluster.clock.finish(change('active'), MINUTE);
  await story.until(registered, 3 * MINUTE);
  await story.whole();
});

test('while all nodes are drained, those that are healthy stay: traffic goes on', async () => {
  const story = await formed();
  for (const { id } of story.cluster.docker.swarms()[0]!.nodes)
    await story.cluster.clock.finish(story.leader().daemon.updateNode(id, { availability: 'drain' }), MINUTE);
  await story.pass(5 * MINUTE);
  expect(story.invariants.breaches).toEqual([]);
  expect(targets(story).filter(({ state, routed }) => state === 'healthy' && routed).length).toBeGreaterThanOrEqual(1);
});

test('while the quorum is lost nobody is taken away on the word of an old list', async () => {
  const story = await formed();
  const before = targets(story).length;
  const cut = [0, 1].map((seat) => story.seat(seat)!);
  for (const manager of cut) manager.hangEngine();
  const workers = story.workers().map(idOf);
  await story.pass(4 * MINUTE);
  expect(
    targets(story).filter(({ instanceId, state }) => workers.includes(instanceId) && state === 'healthy'),
  ).toHaveLength(2);
  expect(before).toBe(5);
});

test('targets that somebody else registered are taken away, and those that somebody took away come back', async () => {
  const story = await formed();
  const { region } = story.cluster;
  const { targetGroupArn } = region.loadBalancers()[0]!.listeners[0]!;
  const [first, second] = story.workers().map(idOf);
  const asked = (action: string, Targets: object[]) =>
    region.call({
      service: 'elasticloadbalancing',
      action,
      input: { TargetGroupArn: targetGroupArn, Targets },
      accessKeyId: region.operator.accessKeyId,
    });
  await asked('RegisterTargets', [{ Id: first, Port: 8080 }]);
  await asked('DeregisterTargets', [{ Id: second }]);
  await story.pass(2 * MINUTE);
  await story.whole();
  expect(targets(story).filter(({ port, state }) => port !== 80 && state !== 'draining')).toEqual([]);
  expect(story.logs.some((line) => line.includes('targets on another port or from outside the cluster'))).toBe(true);
});

test('its function may be killed at any of its requests: the next look finds the rest', async () => {
  const killed = new Set<string>();
  for (let nth = 1; nth <= 12; nth++) {
    let asked = 0;
    let dead = false;
    const story = await Story.begin(SETUP, {
      tamper: (service, action, input) => {
        if (service !== 'elasticloadbalancing' || dead || ++asked !== nth) return input;
        dead = true;
        killed.add(action);
        throw new Error('The function was killed here.');
      },
    });
    await story.whole();
    await story.cluster.stop();
  }
  expect([...killed].sort()).toEqual([
    'DescribeListeners',
    'DescribeTags',
    'DescribeTargetGroups',
    'DescribeTargetHealth',
    'RegisterTargets',
  ]);
});

test('two at once do what one does', async () => {
  const story = await formed();
  const { region, clock } = story.cluster;
  const updater = region.functions().find(({ logicalId }) => isUpdater(logicalId))!;
  story.cluster.loseInstance(idOf(story.workers()[0]!));
  await clock.finish(Promise.all([1, 2, 3].map(() => region.invoke(updater.logicalId, {}))), MINUTE);
  await story.whole();
});

test('without its function nobody would be registered: the cluster is not whole', async () => {
  const story = await Story.begin(SETUP, { hears: (name) => name !== 'target-update' });
  await story.until(
    () =>
      story.stack === 'created' &&
      story.missing().every((sentence) => sentence.startsWith('The targets of port 80 are none')),
  );
  await story.pass(5 * MINUTE);
  expect(story.missing()).toEqual([expect.stringContaining('The targets of port 80 are none')]);
});

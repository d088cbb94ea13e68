/**
 * A whole fleet on other instances: CloudFormation rolls three managers and 1,000 workers, a tenth of these at a time.
 */
import { SimulatedCluster } from '../../rehearsal/simulation/cluster/cluster';
import { Faults } from '../../rehearsal/simulation/faults';
import { Invariants } from '../../rehearsal/simulation/invariants/invariants';
import { unfinished } from '../../rehearsal/simulation/invariants/converged';
import { otherInstances } from '../../rehearsal/simulation/setup';
import { assemblies, BUNDLES, MINUTE } from '../rehearsal/simulation/support';

const WORKERS = 1_000;
const HOUR = 60 * MINUTE;
/** What a thousand nodes are like is looked at now and then. */
const STEP_MS = 5_000;

test(`${WORKERS} workers and three managers are replaced, with no moment below the quorum`, async () => {
  const setup = { managers: 3, workers: WORKERS };
  // A Story keeps whatever happens, which is too much of it here.
  const delays = {
    launch: 5_000,
    terminate: 5_000,
    attachVolume: 1_000,
    detachVolume: 1_000,
    queue: 100,
    stream: 100,
    registerTarget: 60_000,
    deregisterTarget: 30_000,
  };
  const cluster = new SimulatedCluster({
    seed: 1,
    bundles: BUNDLES,
    delays,
    faults: new Faults(1, []),
    onLog: (origin, line) => invariants.onLog(origin, line),
    onEffect: (node, effect, argument) => invariants.onEffect(node, effect, argument),
  });
  const invariants = new Invariants(cluster);
  const { region, docker, machines, clock } = cluster;
  let stack: 'creating' | 'created' | Error = 'creating';
  const whole = async (deployment: Promise<unknown>) => {
    stack = 'creating';
    deployment.then(
      () => (stack = 'created'),
      (error: Error) => (stack = error),
    );
    for (
      const end = clock.now() + 2 * HOUR;
      unfinished({ stack, ...cluster }).length > 0 && invariants.breaches.length === 0 && clock.now() < end;
      invariants.check()
    )
      await clock.advance(STEP_MS);
    expect(invariants.breaches).toEqual([]);
    expect(unfinished({ stack, ...cluster })).toEqual([]);
    expect(stack).toBe('created');
  };
  const [before, after] = [
    await assemblies.of(setup),
    await assemblies.changed(setup, 'other-instances', otherInstances),
  ];
  await whole(region.createStack(before.folder, before.stackName));
  const [old, members] = [
    new Set(machines.nodes.keys()),
    docker
      .swarms()[0]!
      .members.map(({ nodeId }) => nodeId)
      .sort(),
  ];
  let most = 0;
  docker.onEvent(({ what }) => {
    if (/leader|elected/.test(what))
      most = Math.max(most, docker.swarms()[0]!.members.filter(({ alive }) => !alive).length);
  });
  const started = clock.now();
  await whole(region.updateStack(after.folder, after.stackName));
  process.stdout.write(
    `  ${WORKERS + 3} nodes replaced in ${((clock.now() - started) / MINUTE).toFixed(0)} virtual minutes\n`,
  );
  expect([...machines.nodes.keys()].filter((instanceId) => old.has(instanceId))).toEqual([]);
  expect(machines.nodes.size).toBe(WORKERS + 3);
  expect(
    docker
      .swarms()[0]!
      .members.map(({ nodeId }) => nodeId)
      .sort(),
  ).toEqual(members);
  expect(most).toBeLessThanOrEqual(1);
  await cluster.stop();
}, 3_600_000);

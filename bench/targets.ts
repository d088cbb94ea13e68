/**
 * What target-update costs for 1,000 workers in ten groups behind ten listeners: in virtual time, on simulated engines,
 * without faults.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { plan, type Observed } from '../lambda/target-update/plan';
import { SwarmCluster } from '../lib';
import { SimulatedCluster } from '../rehearsal/simulation/cluster/cluster';
import { Faults } from '../rehearsal/simulation/faults';
import { unfinished } from '../rehearsal/simulation/invariants/converged';
import { DELAYS } from './fleet';
import { Meter } from './meter';
import { ROOT } from './region';
import { median, milliseconds } from './statistics';

const GROUPS = 10;
const WORKERS_IN_GROUP = 100;
const LIMIT_MS = 60 * 60_000;
const REST_MS = 10 * 60_000;
const RUNS = 9;

export async function benchTargets(): Promise<void> {
  planning();
  const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-targets-'));
  const cluster = new SimulatedCluster({
    seed: 1,
    bundles: join(ROOT, 'dist/lambda'),
    delays: DELAYS,
    faults: new Faults(1, []),
    onLog: () => undefined,
    onEffect: () => undefined,
  });
  try {
    await fleet(cluster, synthesise(temporary));
  } finally {
    await cluster.stop();
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Gives each listener its own group of workers, so that no load balancer exceeds AWS's limit of targets in a zone. */
function synthesise(outdir: string): string {
  process.env.CDK_VALIDATION ??= 'false';
  const app = new App({ outdir });
  const cluster = new SwarmCluster(new Stack(app, 'Targets'), 'Swarm');
  const groups = Array.from({ length: GROUPS }, (_, n) =>
    cluster.addWorkers(`Workers${n}`, { minCapacity: WORKERS_IN_GROUP }),
  );
  cluster.addLoadBalancer('Public', {
    listeners: groups.map((group, n) => ({ port: 8000 + n, nodes: [group] })),
    crossZone: false,
  });
  return app.synth().directory;
}

async function fleet(cluster: SimulatedCluster, folder: string): Promise<void> {
  const { clock, region } = cluster;
  const meter = new Meter(cluster);
  await clock.finish(region.createStack(folder, 'Targets'), LIMIT_MS);
  const healthy = () =>
    region
      .loadBalancers()
      .flatMap(({ listeners }) =>
        listeners.flatMap(({ targets }) => targets.filter(({ state }) => state === 'healthy')),
      ).length;
  // Not every node is behind every listener here, so the general check of the targets does not apply.
  const converged = () =>
    healthy() === GROUPS * WORKERS_IN_GROUP &&
    unfinished({ stack: 'created', ...cluster }).every((sentence) => sentence.startsWith('The targets of port'));
  for (const end = clock.now() + LIMIT_MS; !converged(); await clock.advance(1_000))
    if (clock.now() >= end)
      throw new Error(`Only ${healthy()} targets are healthy after ${LIMIT_MS / 60_000} virtual minutes.`);
  print(`until ${GROUPS * WORKERS_IN_GROUP} workers were healthy targets of ${GROUPS} target groups`, meter, 1);
  await clock.advance(REST_MS);
  const sweeps = print('at rest, for each look of target-update', meter, undefined);
  if (sweeps === 0) throw new Error('target-update was never woken.');
}

/** Prints only the requests to Elastic Load Balancing: bench/fleet.ts counts the others. */
function print(title: string, meter: Meter, times: number | undefined): number {
  const { calls, invocations } = meter.take();
  const looks = [...invocations].find(([name]) => name.includes('TargetUpdate'))?.[1] ?? 0;
  const requests = [...calls]
    .filter(([name]) => name.startsWith('elasticloadbalancing:'))
    .map(([name, call]) => `${name} ${(call.times.length / (times ?? looks)).toFixed(times === undefined ? 1 : 0)}`);
  console.log(`${title}: ${requests.sort().join(', ')}; looks ${looks}`);
  return looks;
}

function planning(): void {
  const observed = atRest();
  const timed = (work: () => unknown) => median(Array.from({ length: RUNS }, () => milliseconds(work)));
  const [planned, cloned] = [timed(() => plan(observed)), timed(() => structuredClone(observed))];
  console.log(
    `plan of targets for ${observed.nodes.length} nodes and ${observed.targetGroups.length} target groups ` +
      `(${plan(observed).changes.length} changes), median of ${RUNS}: ${planned.toFixed(2)} ms, clone of the ` +
      `observation ${cloned.toFixed(2)} ms, ratio ${(planned / cloned).toFixed(2)}`,
  );
}

/** An observation at rest: every node is a target of every target group. */
function atRest(): Observed {
  const ids = Array.from({ length: GROUPS * WORKERS_IN_GROUP }, (_, n) => `i-${String(n).padStart(17, '0')}`);
  return {
    quorumVisible: true,
    nodes: ids.map((instanceId, n) => ({
      id: `n${String(n).padStart(24, '0')}`,
      hostname: `node-${n}`,
      role: 'worker',
      availability: 'active',
      state: 'ready',
      instanceId,
    })),
    instances: ids.map((instanceId) => ({
      instanceId,
      lifecycleState: 'InService',
      group: { name: 'workers', role: 'worker' },
    })),
    targetGroups: Array.from({ length: GROUPS }, (_, n) => ({
      arn: `group-${n}`,
      servedBy: 'all',
      port: 80,
      healthCheckPort: '2378',
      targets: ids.map((instanceId) => ({ instanceId, port: 80, state: 'healthy' })),
    })),
  };
}

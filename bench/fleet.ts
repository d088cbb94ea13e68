/**
 * Simulates 1,000 workers that join at once, and clusters at rest: in virtual time, on simulated engines, without
 * faults. The real functions and agents run, so their requests to AWS and the charges are real. Computation takes no
 * virtual time: `npm run bench -- planning` measures it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../protocol/clock';
import { ROLE_TAG } from '../protocol/tags';
import type { AwsEvent, Delays } from '../rehearsal/aws/core/types';
import { SimulatedCluster } from '../rehearsal/simulation/cluster/cluster';
import { Faults } from '../rehearsal/simulation/faults';
import { Assemblies, type Setup } from '../rehearsal/simulation/setup';
import { unfinished } from '../rehearsal/simulation/invariants/converged';
import { costsAtRest, fewestTokens, Meter, peak, tableCosts, type Usage } from './meter';
import { ROOT } from './region';

const WORKERS = 1_000;
const SMALL: Setup = { managers: 3, workers: 10 };
const LARGE: Setup = { managers: 3, workers: WORKERS };
const PLAIN: Setup = { managers: 3, workers: 2 };
/** USD a month. */
const GOALS = { small: 5, large: 60 };

/** Typical delays of AWS, in milliseconds. */
export const DELAYS: Delays = {
  launch: 15_000,
  terminate: 30_000,
  attachVolume: 2_000,
  detachVolume: 2_000,
  queue: 100,
  stream: 250,
  registerTarget: 120_000,
  deregisterTarget: 60_000,
};
const STEP_MS = 1_000;
const LIMIT_MS = 30 * 60_000;
/** Long enough for the last command to be erased and the last report to be read. */
const SETTLE_MS = 2 * 60_000;
/** A multiple of the period of everything that repeats at rest. */
const REST_MS = 10 * 60_000;
const DAY_MS = 24 * 3_600_000;
const MONTH_MS = 30.4 * DAY_MS;

/**
 * The request bucket of each paged and filtered Describe action of EC2, for a whole account. For Auto Scaling, AWS only
 * says that all actions share one bucket.
 * Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html and
 * https://docs.aws.amazon.com/autoscaling/ec2/APIReference/Welcome.html
 */
const DESCRIBE_BUCKET = { size: 100, refill: 20 };

interface Fleet {
  cluster: SimulatedCluster;
  meter: Meter;
  /** Virtual milliseconds until the cluster had converged. */
  formedMs: number;
  /** Virtual milliseconds from the launch of the first worker until the last was in service. */
  workersMs: number;
  /** Real milliseconds that forming took on this machine. */
  wallMs: number;
}

export async function benchFleet(): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-fleet-'));
  const assemblies = new Assemblies(ROOT, temporary);
  try {
    await withFleet(assemblies, PLAIN, async (fleet) => printSpeed(PLAIN, fleet));
    await withFleet(assemblies, SMALL, (fleet) => rest(SMALL, fleet, GOALS.small));
    await withFleet(assemblies, LARGE, async (fleet) => {
      printJoin(fleet);
      printSpeed(LARGE, fleet);
      await rest(LARGE, fleet, GOALS.large);
    });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

async function withFleet(assemblies: Assemblies, setup: Setup, work: (fleet: Fleet) => Promise<void>): Promise<void> {
  const { folder, stackName } = await assemblies.of(setup);
  const cluster = new SimulatedCluster({
    seed: 1,
    bundles: join(ROOT, 'dist/lambda'),
    delays: DELAYS,
    faults: new Faults(1, []),
    onLog: () => undefined,
    onEffect: () => undefined,
  });
  try {
    await work(await form(cluster, folder, stackName));
  } finally {
    await cluster.stop();
  }
}

async function form(cluster: SimulatedCluster, folder: string, stackName: string): Promise<Fleet> {
  const { clock, region } = cluster;
  const [wallStart, start] = [systemClock.now(), clock.now()];
  const meter = new Meter(cluster);
  const workers = watchWorkers(cluster);
  await clock.finish(region.createStack(folder, stackName), LIMIT_MS);
  for (
    let missing: string[];
    (missing = unfinished({ stack: 'created', ...cluster })).length > 0;
    await clock.advance(STEP_MS)
  ) {
    if (clock.now() - start > LIMIT_MS)
      throw new Error(
        `The cluster has not converged after ${LIMIT_MS / 60_000} virtual minutes. ${missing.slice(0, 5).join(' ')}`,
      );
  }
  return {
    cluster,
    meter,
    formedMs: clock.now() - start,
    workersMs: workers.servedAt - workers.launchedAt,
    wallMs: systemClock.now() - wallStart,
  };
}

/** Records when the first worker is launched, and when the last one comes into service. */
function watchWorkers({ clock, region }: SimulatedCluster): { launchedAt: number; servedAt: number } {
  const times = { launchedAt: Number.POSITIVE_INFINITY, servedAt: 0 };
  region.onEvent(({ source, what, detail }: AwsEvent) => {
    if (source !== 'autoscaling' || (what !== 'launching' && what !== 'in-service')) return;
    if (region.groups().find(({ name }) => name === detail.group)?.tags[ROLE_TAG] !== 'worker') return;
    if (what === 'launching') times.launchedAt = Math.min(times.launchedAt, clock.now());
    else times.servedAt = clock.now();
  });
  return times;
}

function printJoin({ workersMs, formedMs, meter }: Fleet): void {
  const usage = meter.take();
  console.log(
    `${WORKERS} workers at once: all in service and Ready ${seconds(workersMs)} after the launch of the ` +
      `first; the whole cluster with its 3 managers after ${seconds(formedMs)} (virtual)`,
  );
  printCalls('calls until then', usage);
  for (const [name, { times, furtherPages }] of usage.calls) {
    if (/^(ec2|autoscaling):/.test(name)) {
      const bucket = /^ec2:Describe/.test(name)
        ? `, fewest tokens left of ${DESCRIBE_BUCKET.size} (${DESCRIBE_BUCKET.refill}/s) ` +
          `${fewestTokens(times, DESCRIBE_BUCKET)}`
        : '';
      console.log(
        `  ${name}: ${times.length} requests, ${furtherPages} of them for a further page, peak ` +
          `${peak(times)} in one second${bucket}`,
      );
    }
  }
  const shared = [...usage.calls].filter(([name]) => name.startsWith('autoscaling:')).flatMap(([, { times }]) => times);
  console.log(
    '  all of Auto Scaling, which share one bucket of unpublished size: peak ' +
      `${peak(shared.sort((a, b) => a - b))} in one second`,
  );
  console.log(
    `  DynamoDB: ${Math.round(usage.units.reads)} read and ${Math.round(usage.units.writes)} write request ` +
      `units, ${tableCosts(usage).toFixed(3)} USD`,
  );
}

function printSpeed({ managers, workers }: Setup, { formedMs, wallMs }: Fleet): void {
  console.log(
    `formation of ${managers} managers and ${workers} workers: ${(formedMs / wallMs).toFixed(1)} simulated ` +
      `seconds per second (${seconds(formedMs)} in ${seconds(wallMs)})`,
  );
}

/** Prints what the control plane of a cluster at rest costs a month, without nodes, volumes, gateways and logs. */
async function rest({ managers, workers }: Setup, { cluster, meter }: Fleet, goal: number): Promise<void> {
  await cluster.clock.advance(SETTLE_MS);
  meter.take();
  await cluster.clock.advance(REST_MS);
  const usage = meter.take();
  // Lambda polls the queues of the functions all the time, but not the dead-letter queues.
  const queues = cluster.region.queues().filter(({ name }) => !/DeadLetters/.test(name)).length;
  const costs = costsAtRest(usage, queues, MONTH_MS);
  const sum = Object.values(costs).reduce((total, cost) => total + cost, 0);
  printCalls(`${managers} managers and ${workers} workers at rest, calls a day`, usage, DAY_MS / REST_MS);
  const parts = Object.entries(costs).map(([service, cost]) => `${service} ${cost.toFixed(2)}`);
  console.log(
    `  USD a month: ${parts.join(', ')}; together ${sum.toFixed(2)} (goal < ${goal}). EventBridge and ` +
      'streams are free. An invocation takes as long as its round trips to AWS, at least 100 ms',
  );
}

function printCalls(title: string, { calls, invocations }: Usage, times = 1): void {
  const requests = [...calls].map(([name, call]) => `${name} ${Math.round(call.times.length * times)}`);
  const invoked = [...invocations].map(
    ([logicalId, count]) =>
      `${logicalId.replace(/^Swarm(Lifecycle)?|Function[0-9A-F]*$/g, '')} ${Math.round(count * times)}`,
  );
  console.log(`${title}: ${requests.sort().join(', ')}; invocations: ${invoked.sort().join(', ')}`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

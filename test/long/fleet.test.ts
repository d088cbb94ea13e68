/**
 * Many workers join at once while AWS throttles. 300 of them, not 1,000 as in `npm run bench -- fleet`, so that it is
 * quick; pages are smaller in the same measure.
 */
import { WORKER_JOINS } from '../../lambda/membership/rules/admit';
import { commandsCodec } from '../../protocol/commands';
import { plainAttributes } from '../../protocol/items';
import { COMMANDS_KEY, PARTITION_KEY, parseMailbox, SORT_KEY } from '../../protocol/keys';
import type { Call, RefusedCall } from '../../rehearsal/simulation/cluster/aws-link';
import { SimulatedCluster } from '../../rehearsal/simulation/cluster/cluster';
import { Faults } from '../../rehearsal/simulation/faults';
import { Invariants } from '../../rehearsal/simulation/invariants/invariants';
import { unfinished } from '../../rehearsal/simulation/invariants/converged';
import { assemblies, BUNDLES, MINUTE } from '../rehearsal/simulation/support';

const WORKERS = 300;
/** As pages of 1,000 are to 1,000 workers and more. */
const PAGE = 100;
/** Of every hundred requests, so many are throttled. */
const THROTTLED = 50;
/** Virtual. */
const LIMIT_MS = 15 * MINUTE;

const faults = new Faults(1, ['throttled'], {}, { throttled: THROTTLED / 100 });
const cluster = new SimulatedCluster({
  seed: 1,
  bundles: BUNDLES,
  delays: {
    launch: 15_000,
    terminate: 5_000,
    attachVolume: 2_000,
    detachVolume: 2_000,
    queue: 100,
    stream: 250,
    registerTarget: 120_000,
    deregisterTarget: 60_000,
  },
  faults,
  tamper: (_service, action, input) => ({
    ...input,
    ...(action === 'DescribeInstances' && { MaxResults: PAGE }),
    ...(action === 'DescribeAutoScalingGroups' && { MaxRecords: 1 }),
  }),
  onLog: (origin, line) => {
    logs.push(line);
    invariants.onLog(origin, line);
  },
  onEvent: (name, event) => invariants.onEvent(name, event),
  onEffect: (node, effect) => invariants.onEffect(node, effect),
});
const invariants = new Invariants(cluster);
const calls: Call[] = [];
const logs: string[] = [];
const throttled: RefusedCall[] = [];
/** When each request was asked: its attempts share one input. */
const attempts = new Map<object, number[]>();
/** When EC2 was asked to describe something, with what was throttled. */
const describes: number[] = [];
/** Workers whose mailbox holds a command, and the most there ever were. */
const commanded = new Set<string>();
let mostCommanded = 0;

function watch(): void {
  cluster.link.onCall((call) => {
    calls.push(call);
    invariants.onCall(call);
    noteAttempt(call);
    if (call.action === 'TransactWriteItems') {
      for (const { Update } of call.input.TransactItems as Record<string, any>[]) noteCommand(Update);
      mostCommanded = Math.max(mostCommanded, commanded.size);
    }
  });
  cluster.link.onRefused((call) => {
    noteAttempt(call);
    if (/Throttl|RequestLimitExceeded/.test(call.error.code)) throttled.push(call);
  });
}

function noteAttempt({ service, action, input }: Pick<Call, 'service' | 'action' | 'input'>): void {
  const now = cluster.clock.now();
  attempts.set(input, [...(attempts.get(input) ?? []), now]);
  if (service === 'ec2' && action.startsWith('Describe')) describes.push(now);
}

function noteCommand(update: Record<string, any> | undefined): void {
  if (update?.Key[SORT_KEY].S !== COMMANDS_KEY || !update.ExpressionAttributeValues[':body']) return;
  const box = parseMailbox(update.Key[PARTITION_KEY].S)!;
  if (cluster.machines.nodes.get(box.instanceId)?.role !== 'worker') return;
  const { ':v': v, ':body': body } = update.ExpressionAttributeValues;
  const commands = commandsCodec.decode(plainAttributes({ v, body }));
  if (commands.ok && commands.value.command) commanded.add(box.instanceId);
  else commanded.delete(box.instanceId);
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const furtherPages = (action: string) =>
  calls.filter((call) => call.action === action && call.input.NextToken !== undefined);

beforeAll(async () => {
  watch();
  const { folder, stackName } = await assemblies.of({ managers: 3, workers: WORKERS });
  await cluster.clock.finish(cluster.region.createStack(folder, stackName), LIMIT_MS);
  for (
    const end = cluster.clock.now() + MINUTE;
    unfinished({ stack: 'created', ...cluster }).length > 0 && cluster.clock.now() < end;
  ) {
    await cluster.clock.advance(1_000);
    invariants.check();
  }
  // What is to be asked again now is asked within this time.
  faults.stop();
  await cluster.clock.advance(5_000);
}, 120_000);

afterAll(() => cluster.stop());

describe(`${WORKERS} workers join at once while AWS throttles ${THROTTLED} of 100 requests`, () => {
  test(`all are Ready and in service within ${LIMIT_MS / MINUTE} minutes`, () => {
    expect(unfinished({ stack: 'created', ...cluster })).toEqual([]);
    expect(invariants.breaches).toEqual([]);
  });

  test('every service throttled, and what its clients gave up was taken up by a later look', () => {
    expect([...new Set(throttled.map(({ service }) => service))]).toEqual(
      expect.arrayContaining(['dynamodb', 'ec2', 'autoscaling', 'cloudformation']),
    );
    expect(logs.filter((line) => line.includes('Failed: admit. The next round tries again.')).length).toBeGreaterThan(
      0,
    );
  });

  test('what was throttled was asked again, after pauses that grow', () => {
    const times = throttled.map(({ input }) => attempts.get(input)!);
    expect(times.filter(({ length }) => length === 1)).toEqual([]);
    const thrice = times.filter(({ length }) => length === 3) as [number, number, number][];
    expect(thrice.length).toBeGreaterThan(100);
    expect(mean(thrice.map(([, second, third]) => third - second))).toBeGreaterThan(
      mean(thrice.map(([first, second]) => second - first)),
    );
  });

  test('EC2 is not asked for more than its bucket allows, whatever is throttled', () => {
    // The bucket of a Describe action holds 100 tokens and gets 20 a second:
    // https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    for (const [n, time] of describes.entries())
      expect(describes[n + 100] ?? Number.POSITIVE_INFINITY).toBeGreaterThan(time + 1_000);
  });

  test('descriptions come in pages, and every page is asked for', () => {
    expect(furtherPages('DescribeInstances').length).toBeGreaterThan(0);
    expect(furtherPages('DescribeAutoScalingGroups').length).toBeGreaterThan(0);
    for (const { action, input, output } of calls)
      if (action === 'DescribeInstances' && input.NextToken === undefined)
        expect(output.Reservations.length).toBeLessThanOrEqual(PAGE);
  });

  test('joins go on in parallel, and never more of them than is allowed', () => {
    expect(mostCommanded).toBeGreaterThan(WORKER_JOINS / 4);
    expect(mostCommanded).toBeLessThanOrEqual(WORKER_JOINS);
    expect(commanded.size).toBe(0);
  });
});

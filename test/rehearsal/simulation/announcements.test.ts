/**
 * What EventBridge is told while a cluster forms, loses nodes, and replaces managers; and what a node that finds out
 * about its own end is good for.
 */
import { MINUTE, Story } from './support';

jest.setTimeout(60_000);

const told = ({ events }: Story) =>
  events
    .filter(({ source, what }) => source === 'events' && what === 'put')
    .map(({ subject, detail }) => ({
      source: subject,
      event: String(detail.detailType),
      ...(detail as { cluster: string; reason: string; instanceId?: string }),
    }));

async function formed(workers = 1, options = {}): Promise<Story> {
  const story = await Story.begin({ managers: 3, workers }, options);
  await story.whole();
  return story;
}

test('each node that becomes Ready is told once, with the cluster and the reason', async () => {
  const story = await formed(2);
  const events = told(story);
  expect(events.map(({ event }) => event)).toEqual(Array(5).fill('Swarm Node Ready'));
  expect(new Set(events.map(({ instanceId }) => instanceId))).toEqual(new Set(story.cluster.machines.nodes.keys()));
  expect(events[0]).toMatchObject({
    source: 'cdk-docker-swarm',
    reason: 'The leader lists it as Ready, in its role and with its own instance id.',
  });
  expect(new Set(events.map(({ cluster }) => cluster)).size).toBe(1);
});

test('a worker that is lost, and its successor', async () => {
  const story = await formed();
  const before = told(story).length;
  const { instanceId } = story.workers()[0]!.identity;
  story.cluster.loseInstance(instanceId);
  await story.pass(MINUTE);
  await story.whole();
  const events = told(story).slice(before);
  expect([...new Set(events.map(({ event }) => event))]).toEqual(['Swarm Node Lost', 'Swarm Node Ready']);
  expect(events[0]).toMatchObject({ instanceId, reason: 'EC2 reports that it has already ended.' });
});

test('a manager that leaves: the quorum is at risk until its successor is there', async () => {
  const story = await formed();
  const before = told(story).length;
  story.terminate(story.seat(1)!);
  await story.pass(MINUTE);
  await story.whole();
  await story.pass(MINUTE);
  const events = told(story)
    .slice(before)
    .map(({ event }) => event);
  expect([...new Set(events)].sort()).toEqual([
    'Swarm Node Left',
    'Swarm Node Ready',
    'Swarm Quorum At Risk',
    'Swarm Quorum Safe',
  ]);
  expect(events.indexOf('Swarm Quorum At Risk')).toBeLessThan(events.indexOf('Swarm Quorum Safe'));
});

test('a cluster that cannot tell anything forms all the same', async () => {
  const story = await formed(1, {
    tamper: (_service: string, action: string, input: Record<string, any>) =>
      action === 'PutEvents' ? { Entries: Array(11).fill(input.Entries[0]) } : input,
  });
  expect(told(story)).toEqual([]);
  expect(story.logs.some((line) => line.includes('Events could not be sent to EventBridge.'))).toBe(true);
});

test(
  'a worker whose group terminates it says so itself: though neither hook nor sweep are heard, it is drained ' +
    'within seconds',
  async () => {
    let quiet = false;
    // What is in the queues is lost: what is left is the stream of the nodes' reports.
    const story = await formed(1, {
      hears: (_: string, { Records }: { Records: { eventSource: string }[] }) =>
        !quiet || Records[0]!.eventSource === 'aws:dynamodb',
    });
    const worker = story.workers()[0]!;
    const { instanceId } = worker.identity;
    quiet = true;
    const begun = story.cluster.clock.now();
    story.terminate(worker);
    const said = (...parts: string[]) => story.logs.some((line) => parts.every((part) => line.includes(part)));
    await story.until(() => said('"notice":"termination"') && said('Ordered to release.', instanceId), MINUTE);
    expect(story.cluster.clock.now() - begun).toBeLessThan(10_000);
  },
);

/**
 * 200 spot workers get their notice in the same moment: each is drained, and its hook completed, before EC2 takes it
 * back.
 */
import { TERMINATE_HOOK } from '../../protocol/hooks';
import { assemblies, MINUTE, Story } from '../rehearsal/simulation/support';

const WORKERS = 200;
/** From the notice until the instance is gone. */
const NOTICE_MS = 2 * MINUTE;

// Notices and terminate hooks are events of node-leave. Without them, what the agents say wakes node-join.
test(
  `${WORKERS} workers are drained, and let go, within two minutes of a notice that all of them get at once, ` +
    'though node-leave hears of nothing',
  async () => {
    const story = Story.of(await assemblies.of({ managers: 3, workers: WORKERS, spot: true }), {
      hears: (name) => name !== 'node-leave',
    });
    await story.until(() => story.missing().length === 0, 30 * MINUTE);
    const { clock, docker, region } = story.cluster;
    const workers = story.workers().map(({ identity }) => identity.instanceId);
    expect(workers).toHaveLength(WORKERS);
    const noticed = clock.now();
    const letGo = new Map<string, { afterMs: number; drained: boolean }>();
    region.onEvent(({ what, subject, detail }) => {
      if (what !== 'hook-completed' || detail.hook !== TERMINATE_HOOK) return;
      letGo.set(subject, {
        afterMs: clock.now() - noticed,
        drained: !docker.swarms()[0]!.nodes.some(({ instanceId }) => instanceId === subject),
      });
    });
    for (const instanceId of workers) region.interruptSpot(instanceId);
    await story.pass(NOTICE_MS);
    const times = [...letGo.values()].map(({ afterMs }) => afterMs);
    process.stdout.write(
      `  let go ${(Math.min(...times) / 1000).toFixed(0)} to ${(Math.max(...times) / 1000).toFixed(0)} s ` +
        `after the notice\n`,
    );
    expect([...letGo.keys()].sort()).toEqual(workers.sort());
    expect([...letGo.values()].filter(({ drained }) => !drained)).toEqual([]);
    await story.until(() => story.missing().length === 0, 30 * MINUTE);
    expect(story.invariants.breaches).toEqual([]);
  },
  300_000,
);

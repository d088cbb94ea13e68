/**
 * A load balancer in front of real engines (`npm run rehearse` plays all of its scenarios): HAProxy in its place,
 * configured from the emulated targets, and constant requests by hey. One after the other, since requests are counted:
 * what else the machine does could make one fail. For the same reason a scenario that fails is played again, which is
 * said on standard error.
 */
import { lackingPrograms } from '../../rehearsal/nodes/preflight';
import { SCENARIOS } from '../../rehearsal/scenarios/scenarios';
import { formSwarm, machineState, testOnRealNodes } from './support';

const DEADLINE_MS = 5 * 60_000;
const TRIES = 3;

const REHEARSED = ['balanced-worker-killed', 'published-port'];

for (const name of REHEARSED) {
  const { title, managers, workers, needs = {} } = SCENARIOS[name]!;
  const absent = lackingPrograms(needs);
  if (absent.length > 0)
    process.stderr.write(
      `SKIPPED: ${name} needs ${absent.join(' and ')}. On Debian: apt-get install ` +
        `${absent.map((program) => needs[program]).join(' ')}\n`,
    );
  (absent.length > 0 ? test.skip : testOnRealNodes)(
    `${name}: ${title}`,
    async () => {
      const before = machineState();
      const { moments, remarks, deleted } = await tried(TRIES, () =>
        formSwarm(managers, workers, [], DEADLINE_MS, name),
      );
      process.stdout.write(
        `  ${name}: ` +
          `${moments.map(({ what, ms }) => `${what} after ${(ms / 1000).toFixed(1)} s`).join(', ')}. ` +
          `${remarks.join(' ')}\n`,
      );
      expect(moments.at(-1)?.what).toBe('the cluster has converged');
      expect(deleted.kept).toEqual([]);
      expect(machineState()).toEqual(before);
    },
    TRIES * (DEADLINE_MS + 60_000),
  );
}

async function tried<T>(times: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (times === 1) throw error;
    process.stderr.write(`It failed, and is played again: ${(error as Error).message.slice(0, 1_000)}\n`);
    return tried(times - 1, work);
  }
}

import { systemClock } from '../protocol/clock';

/** One run repeats its work for this long: the clock knows whole milliseconds only. */
const RUN_MS = 100;

/** The middle value; of an even number of values, the upper one of the two in the middle. */
export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** What one call takes, of as many as fit into a run. */
export function milliseconds(work: () => unknown): number {
  const begin = systemClock.now();
  let calls = 0;
  for (;;) {
    work();
    calls++;
    const passed = systemClock.now() - begin;
    if (passed >= RUN_MS) return passed / calls;
  }
}

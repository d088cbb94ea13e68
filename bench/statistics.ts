import { systemClock } from '../protocol/clock';

/** A run repeats its work for this long, because the clock has a resolution of one millisecond. */
const RUN_MS = 100;

/** The middle value. Of an even number of values, the upper one of the two in the middle. */
export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** The mean time of one call, over as many calls as fit into a run. */
export function milliseconds(work: () => unknown): number {
  const start = systemClock.now();
  let calls = 0;
  for (;;) {
    work();
    calls++;
    const passed = systemClock.now() - start;
    if (passed >= RUN_MS) return passed / calls;
  }
}

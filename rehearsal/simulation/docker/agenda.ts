/**
 * The timers of one simulation, rounded up to tenths of a second and fired together: a thousand nodes that come back at
 * once cost a hundred turns of the clock, not thousands. The real dispatcher batches its updates in the same way.
 */
import type { Clock } from '../../../protocol/clock';

/** Source: https://github.com/moby/swarmkit/blob/master/manager/dispatcher/dispatcher.go (maxBatchInterval) */
const BATCH_MS = 100;

export class Agenda {
  private readonly batches = new Map<number, Set<() => void>>();

  constructor(private readonly clock: Clock) {}

  /** Runs `work` once after `ms` milliseconds, or up to a tenth of a second later. @returns cancels it */
  after(ms: number, work: () => void): () => void {
    const at = Math.ceil((this.clock.now() + ms) / BATCH_MS) * BATCH_MS;
    let batch = this.batches.get(at);
    if (!batch) {
      batch = new Set();
      this.batches.set(at, batch);
      this.clock.after(at - this.clock.now(), () => this.ring(at));
    }
    // Each timer is a separate entry, even if two share their work.
    const entry = () => work();
    batch.add(entry);
    return () => batch.delete(entry);
  }

  private ring(at: number): void {
    const batch = this.batches.get(at)!;
    this.batches.delete(at);
    for (const work of batch) work();
  }
}

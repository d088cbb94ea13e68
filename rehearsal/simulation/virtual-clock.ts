/**
 * Virtual time. It only moves when told to, so that a cluster's hours pass in milliseconds, and a seed always gives the
 * same order of events. Everything that is ready runs before time moves on; for that, lint lets this file yield to the
 * event loop.
 */
import { setImmediate as onNextTurn } from 'node:timers';
import type { Clock } from '../../protocol/clock';

interface Alarm {
  at: number;
  order: number;
  /** Undefined once cancelled. */
  work: (() => void) | undefined;
}

export class VirtualClock implements Clock {
  private alarms: Alarm[] = [];
  private order = 0;
  private state: number;

  /**
   * @param seed determines every random number and identifier
   * @param time milliseconds since 1970 at which the clock starts
   * @default time 2026-01-01T00:00:00Z
   */
  constructor(
    seed = 1,
    private time = 1_767_225_600_000,
  ) {
    this.state = seed >>> 0;
  }

  now(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.after(ms, done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  after(ms: number, work: () => void): () => void {
    const alarm: Alarm = { at: this.time + Math.max(0, Math.ceil(ms)), order: this.order++, work };
    // Sorted by time, then by age.
    let low = 0;
    let high = this.alarms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.alarms[middle]!.at <= alarm.at) low = middle + 1;
      else high = middle;
    }
    this.alarms.splice(low, 0, alarm);
    return () => {
      alarm.work = undefined;
    };
  }

  /** mulberry32: 32 bits of state, good enough to vary schedules. */
  random(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  uuid(): string {
    const hex = (digits: number) =>
      Array.from({ length: digits }, () => Math.floor(this.random() * 16).toString(16)).join('');
    return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
  }

  /** The number of pending alarms. */
  pending(): number {
    return this.alarms.filter((alarm) => alarm.work !== undefined).length;
  }

  /** Runs everything that can run without time moving on. Costs one turn of the event loop: a few microseconds. */
  settle(): Promise<void> {
    return new Promise((resolve) => onNextTurn(resolve));
  }

  /** Moves time on by `ms` milliseconds, stopping at every alarm on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await this.settle();
    while (await this.step(end));
    this.time = end;
    await this.settle();
  }

  /**
   * Moves time on until the condition holds.
   * @throws Error when it does not hold within `limit` milliseconds, or when nothing is scheduled that could change it
   */
  async run(until: () => boolean, limit: number): Promise<void> {
    const end = this.time + limit;
    await this.settle();
    while (!until()) {
      if (!(await this.step(end))) {
        throw new Error(
          `The condition does not hold after ${limit} virtual ` +
            `milliseconds${this.pending() ? '' : ', and nothing is scheduled'}: ${until}`,
        );
      }
    }
  }

  /** Moves time on until the promise settles. @returns its value */
  async finish<T>(promise: Promise<T>, limit: number): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    await this.run(() => settled, limit);
    return promise;
  }

  /** Runs the next alarm at or before `end`. @returns false when there is none */
  private async step(end: number): Promise<boolean> {
    while (this.alarms.length > 0 && this.alarms[0]!.work === undefined) this.alarms.shift();
    const next = this.alarms[0];
    if (next === undefined || next.at > end) return false;
    this.alarms.shift();
    this.time = next.at;
    next.work!();
    await this.settle();
    return true;
  }
}

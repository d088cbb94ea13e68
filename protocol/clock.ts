/**
 * The only access to time and randomness. Code that needs the time, a pause, a timer or a random value takes a `Clock`,
 * so that a whole cluster can run in virtual time from a seed. Lint forbids `Date`, timers and random sources in every
 * other file.
 */
import { randomUUID } from 'node:crypto';

export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number;
  /** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `work` once after `ms` milliseconds; the returned function cancels it. */
  after(ms: number, work: () => void): () => void;
  /** A number in [0, 1). */
  random(): number;
  /** A fresh identifier, unique among all callers. */
  uuid(): string;
}

/** The system clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    }),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  uuid: () => randomUUID(),
};

/** True when `moment` is less than `ms` in the past. False for a moment in the future: the clock was set back since. */
export function isRecent(moment: number, now: number, ms: number): boolean {
  return moment <= now && now - moment < ms;
}

/** Parses a date and time into milliseconds since 1970; NaN when the text is none. */
export function parseTime(text: string): number {
  return Date.parse(text);
}

/** Formats a moment as ISO 8601, for logs and items that people read. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

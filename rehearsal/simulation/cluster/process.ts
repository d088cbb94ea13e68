/**
 * A program in simulated time: an agent, or one invocation of a function. A kill stops it between two lines, as SIGKILL
 * does: its waits never end, and the requests it has sent go on without it.
 */
import type { Clock } from '../../../protocol/clock';

export class SimulatedProcess {
  /** The process's own clock, which may be wrong. It never fires once the process is dead. */
  readonly clock: Clock;
  private dead = false;
  private readonly cancels = new Set<() => void>();
  private readonly listeners: (() => void)[] = [];

  /** @param skew how far its clock is ahead, in milliseconds */
  constructor(base: Clock, skew: () => number = () => 0) {
    this.clock = {
      now: () => base.now() + Math.round(skew()),
      sleep: (ms, signal) => this.whileAlive(base.sleep(ms, signal)),
      after: (ms, work) => {
        const cancel = base.after(ms, () => {
          this.cancels.delete(cancel);
          if (!this.dead) work();
        });
        this.cancels.add(cancel);
        return cancel;
      },
      random: () => base.random(),
      uuid: () => base.uuid(),
    };
  }

  get killed(): boolean {
    return this.dead;
  }

  kill(): void {
    if (this.dead) return;
    this.dead = true;
    for (const cancel of this.cancels) cancel();
    for (const listener of this.listeners) listener();
  }

  /** Calls the listener as soon as the process is killed. */
  onKilled(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** The promise as this process sees it: it never settles once the process is dead. */
  whileAlive<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => {
          if (!this.dead) resolve(value);
        },
        (error: unknown) => {
          if (!this.dead) reject(error);
        },
      );
    });
  }
}

/**
 * What every emulated service shares: the clock, the account, identifiers, delays, events, and background work that can
 * be stopped. Services start promises that nothing awaits, and set timers, only through it.
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../../protocol/clock';
import type { AwsEvent, Delays } from './types';

/** Ends background work when the region stops. */
class Stopped extends Error {
  constructor() {
    super('The emulated region was stopped.');
  }
}

export class Context {
  private readonly listeners = new Set<(event: AwsEvent) => void>();
  private readonly cancels = new Set<() => void>();
  private readonly running = new Set<Promise<void>>();
  private readonly abort = new AbortController();
  private fault: Error | undefined;
  private readonly faultListeners = new Set<(error: Error) => void>();
  private slept = 0;

  constructor(
    readonly clock: Clock,
    readonly region: string,
    readonly accountId: string,
    private readonly delays: Delays,
  ) {
    // Every sleep adds a listener.
    setMaxListeners(0, this.abort.signal);
  }

  /** An identifier in EC2's form: a prefix and 17 hexadecimal digits. */
  id(prefix: string): string {
    return `${prefix}-${this.letters(17, '0123456789abcdef')}`;
  }

  letters(length: number, alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'): string {
    return Array.from({ length }, () => alphabet[Math.floor(this.clock.random() * alphabet.length)]).join('');
  }

  arn(service: string, resource: string): string {
    return `arn:aws:${service}:${this.region}:${this.accountId}:${resource}`;
  }

  emit(source: AwsEvent['source'], what: string, subject: string, detail: Record<string, unknown> = {}): void {
    const event: AwsEvent = { at: this.clock.now(), source, what, subject, detail };
    for (const listener of [...this.listeners]) listener(event);
  }

  onEvent(listener: (event: AwsEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get stopped(): boolean {
    return this.abort.signal.aborted;
  }

  /** Sleeps as long as AWS would take. */
  async delay(kind: keyof Delays): Promise<void> {
    const started = this.clock.now();
    await this.sleep(this.delays[kind]);
    if (this.delays[kind] > 0) this.slept += this.clock.now() - started;
  }

  /** Milliseconds slept in {@link delay}; concurrent sleeps all count. */
  delayed(): number {
    return this.slept;
  }

  async sleep(ms: number): Promise<void> {
    if (this.stopped) throw new Stopped();
    if (ms <= 0) return;
    await this.clock.sleep(ms, this.abort.signal);
    if (this.stopped) throw new Stopped();
  }

  /** The result of the work, or undefined if it takes longer; the work goes on. */
  within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new Stopped());
      const onStop = () => {
        cancel();
        reject(new Stopped());
      };
      const cancel = this.clock.after(ms, () => {
        this.abort.signal.removeEventListener('abort', onStop);
        resolve(undefined);
      });
      this.abort.signal.addEventListener('abort', onStop, { once: true });
      work.then(resolve, reject).finally(() => {
        cancel();
        this.abort.signal.removeEventListener('abort', onStop);
      });
    });
  }

  /** A timer that a stop cancels. */
  after(ms: number, work: () => void): () => void {
    if (this.stopped) return () => undefined;
    const cancel = this.clock.after(ms, () => {
      this.cancels.delete(forget);
      work();
    });
    const forget = () => {
      this.cancels.delete(forget);
      cancel();
    };
    this.cancels.add(forget);
    return forget;
  }

  /**
   * Starts background work. It may only fail because of a stop: any other failure is a fault of the emulation, and
   * fails everything that waits in {@link orFault}.
   */
  start(work: () => Promise<void>): void {
    if (this.stopped) return;
    const promise = work()
      .catch((error: unknown) => {
        if (error instanceof Stopped) return;
        this.fault ??= error instanceof Error ? error : new Error(String(error));
        for (const listener of [...this.faultListeners]) listener(this.fault);
      })
      .finally(() => this.running.delete(promise));
    this.running.add(promise);
  }

  /** Waits for the work, or fails as soon as the emulation has a fault or is stopped. */
  orFault<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const onFault = (error: Error) => reject(error);
      const onStop = () => reject(new Stopped());
      const done = () => {
        this.faultListeners.delete(onFault);
        this.abort.signal.removeEventListener('abort', onStop);
      };
      if (this.fault !== undefined) return reject(this.fault);
      if (this.stopped) return onStop();
      this.faultListeners.add(onFault);
      this.abort.signal.addEventListener('abort', onStop, { once: true });
      work.then(resolve, reject).finally(done);
    });
  }

  /** Cancels timers, ends sleeps and waits for running work. @throws Error the first fault of the emulation, if any */
  async stop(): Promise<void> {
    this.abort.abort();
    for (const cancel of [...this.cancels]) cancel();
    while (this.running.size > 0) await Promise.all(this.running);
    if (this.fault !== undefined) throw this.fault;
  }
}

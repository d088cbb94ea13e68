/** The success signals that a resource waits for, and how to cancel the wait. */
import type { Context } from '../core/context';

/** Cancels everything that still waits when the work has failed elsewhere. */
export class Cancellation {
  reason: string | undefined;
  private readonly listeners = new Set<(reason: string) => void>();

  now(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    for (const listener of [...this.listeners]) listener(reason);
  }

  onCancel(listener: (reason: string) => void): () => void {
    if (this.reason !== undefined) listener(this.reason);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

export class Signals {
  /** Unique ids: a repeated signal counts once. */
  readonly received = new Set<string>();
  failedBy: string | undefined;
  onChange: () => void = () => undefined;

  constructor(
    readonly count: number,
    readonly timeoutMs: number,
  ) {}
}

/** @throws Error when too few signals came in time, one was FAILURE, or the wait was cancelled */
export function awaitSignals(context: Context, signals: Signals, cancel: Cancellation): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    let forget = () => undefined as void;
    const stop = context.after(signals.timeoutMs, () =>
      end(
        new Error(
          `Failed to receive ${signals.count - signals.received.size} resource signal(s) within the specified duration`,
        ),
      ),
    );
    const end = (error?: Error) => {
      stop();
      forget();
      if (error) reject(error);
      else resolve();
    };
    forget = cancel.onCancel((reason) => end(new Error(reason)));
    signals.onChange = () => {
      if (signals.failedBy !== undefined) end(new Error(`Received FAILURE signal with UniqueId ${signals.failedBy}`));
      else if (signals.received.size >= signals.count) end();
    };
    signals.onChange();
  });
}

/** Milliseconds of an ISO 8601 duration such as `PT1H30M15S`. */
export function duration(text: string): number {
  const [whole, hours = 0, minutes = 0, seconds = 0] = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?$/.exec(text) ?? [];
  if (whole === undefined || whole === 'PT') throw new Error(`'${text}' is not a duration of the form PT#H#M#S.`);
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

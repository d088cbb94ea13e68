/**
 * Which private addresses reach each other. A cut drops packets silently in both directions, like a security group or a
 * broken route. Once it heals, new connections work at once; an old connection works again only when TCP retransmits,
 * with growing pauses.
 */
import type { Clock } from '../../../protocol/clock';

/**
 * The first retransmission comes after 0.2 s; each pause is twice as long as the one before, up to 120 s.
 * https://man7.org/linux/man-pages/man7/tcp.7.html, RFC 6298
 */
const FIRST_RETRY_MS = 200;
const MOST_RETRY_MS = 120_000;

export class SimulatedNetwork {
  /** Since when each pair is cut. */
  private readonly cuts = new Map<string, number>();
  /** Pairs whose open connections still stall. The value cancels their timer. */
  private readonly stalled = new Map<string, () => void>();

  /** Addresses of engines that neither receive nor send anything. */
  private readonly silent = new Set<string>();

  /** @param onChange called after every change */
  constructor(
    private readonly clock: Clock,
    private readonly onChange: () => void,
  ) {}

  cut(a: string, b: string): void {
    const key = pair(a, b);
    if (this.cuts.has(key)) return;
    this.cuts.set(key, this.clock.now());
    this.recover(key);
    this.onChange();
  }

  heal(a: string, b: string): void {
    if (this.healed(pair(a, b))) this.onChange();
  }

  /** Silences an address until its engine restarts. */
  silence(address: string): void {
    this.silent.add(address);
    this.onChange();
  }

  isSilent(address: string): boolean {
    return this.silent.has(address);
  }

  healAll(): void {
    for (const key of [...this.cuts.keys()]) this.healed(key);
    this.onChange();
  }

  connected(a: string, b: string): boolean {
    if (this.silent.size > 0 && a !== b && (this.silent.has(a) || this.silent.has(b))) return false;
    return this.cuts.size === 0 || !this.cuts.has(pair(a, b));
  }

  /** Whether an open connection carries data. */
  carries(a: string, b: string): boolean {
    return this.connected(a, b) && (this.stalled.size === 0 || !this.stalled.has(pair(a, b)));
  }

  /** The engine at this address restarts, so all its connections are new. */
  reset(address: string): void {
    this.silent.delete(address);
    for (const key of [...this.stalled.keys()]) if (key.split(' ').includes(address)) this.recover(key);
  }

  private healed(key: string): boolean {
    const since = this.cuts.get(key);
    if (since === undefined) return false;
    this.cuts.delete(key);
    const cancel = this.clock.after(retryAfter(this.clock.now() - since), () => {
      this.stalled.delete(key);
      this.onChange();
    });
    this.stalled.set(key, cancel);
    return true;
  }

  private recover(key: string): void {
    this.stalled.get(key)?.();
    this.stalled.delete(key);
  }
}

/** The time from the end of a cut to the next retransmission. */
function retryAfter(cutFor: number): number {
  let at = 0;
  for (let wait = FIRST_RETRY_MS; at < cutFor; wait = Math.min(2 * wait, MOST_RETRY_MS)) at += wait;
  return at - cutFor;
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/**
 * Which private addresses reach each other. A cut is silent and in both directions, as a security group or a broken
 * route makes it: nobody is refused, packets are lost. New connections are there as soon as it is healed; one that was
 * open before carries nothing until TCP tries again, and it tries ever more rarely.
 */
import type { Clock } from '../../../protocol/clock';

/**
 * The first retransmission comes after 0.2 s, and each waits twice as long as the one before, 120 s at most.
 * https://man7.org/linux/man-pages/man7/tcp.7.html, RFC 6298
 */
const FIRST_RETRY_MS = 200;
const MOST_RETRY_MS = 120_000;

export class SimulatedNetwork {
  /** By pair: since when. */
  private readonly cuts = new Map<string, number>();
  /** By pair: open connections carry nothing yet. The value cancels their timer. */
  private readonly stalled = new Map<string, () => void>();

  /** Addresses at which an engine is, and neither hears nor says anything. */
  private readonly silent = new Set<string>();

  /** @param onChange told after every change */
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

  /** Until its engine starts anew. */
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

  /** Whether a connection that is kept open carries anything. */
  carries(a: string, b: string): boolean {
    return this.connected(a, b) && (this.stalled.size === 0 || !this.stalled.has(pair(a, b)));
  }

  /** Whoever has this address starts anew: none of its connections is an old one. */
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

/** How long after the end of a cut the next retransmission comes. */
function retryAfter(cutFor: number): number {
  let at = 0;
  for (let wait = FIRST_RETRY_MS; at < cutFor; wait = Math.min(2 * wait, MOST_RETRY_MS)) at += wait;
  return at - cutFor;
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

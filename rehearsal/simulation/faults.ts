/**
 * The faults of a simulation, and when they happen. Every kind of fault has its own stream of random numbers, so that
 * removing one kind changes no decision about the others. That is how a failing seed is shrunk.
 */

export const FAULT_KINDS = [
  'kill-instance',
  'kill-engine',
  'kill-agent',
  'kill-function',
  'terminate-instance',
  'slow-answer',
  'stale-answer',
  'throttled',
  'conflict',
  'lost-request',
  'lost-answer',
  'lost-event',
  'doubled-event',
  'late-event',
  'partition',
  'isolation',
  'outage',
  'clock-step',
  'forged-report',
  'hang-engine',
  'break-instance',
  'spot-notice',
  'zone-loss',
  'spot-wave',
  'operator',
  'refresh',
  'resize',
  'volume-loss',
  'rebalance',
] as const;
/** What the cluster does when faults begin: it forms from nothing, or it has formed without faults. */
export type Act = 'forming' | 'healing';

export type FaultKind = (typeof FAULT_KINDS)[number];

/** Faults that only a formed swarm has to survive. */
export const OF_HEALING: readonly FaultKind[] = [
  'hang-engine',
  'break-instance',
  'spot-notice',
  'zone-loss',
  'spot-wave',
  'operator',
  'refresh',
  'resize',
  'volume-loss',
  'rebalance',
];

/**
 * Deployments: all instances replaced, more or fewer managers, a new volume in place of a lost one. At most one in a
 * run.
 */
export const DEPLOYMENTS = ['refresh', 'resize', 'volume-loss'] as const satisfies readonly FaultKind[];
export type Deployment = (typeof DEPLOYMENTS)[number];
/** The share of runs with a deployment. They take long. */
export const DEPLOYMENT_SHARE = 0.06;

export function isDeployment(kind: FaultKind): kind is Deployment {
  return DEPLOYMENTS.includes(kind as Deployment);
}

/**
 * The probability of a fault wherever it could happen (an AWS call, an effect, an event). The other faults strike at
 * intervals.
 */
const CHANCE: Partial<Record<FaultKind, number>> = {
  'kill-instance': 0.002,
  'kill-engine': 0.01,
  'kill-agent': 0.01,
  'kill-function': 0.02,
  'slow-answer': 0.02,
  'stale-answer': 0.1,
  throttled: 0.03,
  conflict: 0.05,
  'lost-request': 0.02,
  'lost-answer': 0.03,
  'lost-event': 0.2,
  'doubled-event': 0.3,
  'late-event': 0.3,
};

/** The average interval of the other faults, in milliseconds. */
export const INTERVAL_MS: Partial<Record<FaultKind, number>> = {
  'kill-instance': 120_000,
  'terminate-instance': 150_000,
  partition: 45_000,
  isolation: 60_000,
  outage: 240_000,
  'clock-step': 60_000,
  'forged-report': 60_000,
  'hang-engine': 120_000,
  'break-instance': 180_000,
  'spot-notice': 90_000,
  'zone-loss': 180_000,
  'spot-wave': 180_000,
  rebalance: 120_000,
  operator: 45_000,
  refresh: 30_000,
  resize: 30_000,
  'volume-loss': 30_000,
};

export class Faults {
  /** How often each kind was injected. */
  readonly injected = new Map<FaultKind, number>();
  private readonly streams = new Map<FaultKind, number>();
  private readonly kinds: ReadonlySet<FaultKind>;
  private over = false;

  /**
   * @param kinds the kinds that may happen
   * @param limits how often each kind may happen at most; no entry means no limit
   * @param chances overrides the probabilities above
   */
  constructor(
    private readonly seed: number,
    kinds: Iterable<FaultKind>,
    private readonly limits: Partial<Record<FaultKind, number>> = {},
    private readonly chances: Partial<Record<FaultKind, number>> = {},
    private readonly intervalsMs: Partial<Record<FaultKind, number>> = {},
  ) {
    this.kinds = new Set(kinds);
  }

  /** From now on no fault happens. */
  stop(): void {
    this.over = true;
  }

  goOn(): void {
    this.over = false;
  }

  get stopped(): boolean {
    return this.over;
  }

  /** Whether the fault may still happen. */
  mayHappen(kind: FaultKind): boolean {
    return !this.over && this.kinds.has(kind);
  }

  /** Whether the fault happens now. If so, it is counted. */
  happens(kind: FaultKind): boolean {
    if (!this.mayHappen(kind)) return false;
    if (this.random(kind) >= (this.chances[kind] ?? CHANCE[kind] ?? 0)) return false;
    return this.count(kind);
  }

  /** The pause until the next fault of a kind that strikes at intervals; undefined when none comes. */
  pause(kind: FaultKind): number | undefined {
    const interval = this.intervalsMs[kind] ?? INTERVAL_MS[kind];
    if (this.over || interval === undefined || !this.kinds.has(kind)) return undefined;
    return -Math.log(1 - this.random(kind)) * interval;
  }

  /** Counts a fault that strikes at intervals. @returns false when it must not happen again */
  count(kind: FaultKind): boolean {
    const so = this.injected.get(kind) ?? 0;
    if (this.over || so >= (this.limits[kind] ?? Number.POSITIVE_INFINITY)) return false;
    this.injected.set(kind, so + 1);
    return true;
  }

  /** A random number in [0, 1) from the kind's own stream. */
  random(kind: FaultKind): number {
    const drawn = (this.streams.get(kind) ?? 0) + 1;
    this.streams.set(kind, drawn);
    return hash(this.seed, FAULT_KINDS.indexOf(kind) + 1, drawn);
  }

  pick<T>(kind: FaultKind, from: readonly T[]): T | undefined {
    return from[Math.floor(this.random(kind) * from.length)];
  }
}

/** A number in [0, 1) that depends only on its arguments (the finaliser of MurmurHash3 over each). */
export function hash(...numbers: number[]): number {
  let state = 0x9e3779b9;
  for (const number of numbers) {
    state = Math.imul(state ^ number, 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    state ^= state >>> 16;
  }
  return (state >>> 0) / 0x1_0000_0000;
}

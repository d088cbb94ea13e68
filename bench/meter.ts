/** Counts the requests of a simulated cluster to AWS within a span of time, and what AWS charges for them. */
import type { AwsEvent } from '../rehearsal/aws/core/types';
import type { RefusedCall } from '../rehearsal/simulation/cluster/aws-link';
import type { SimulatedCluster } from '../rehearsal/simulation/cluster/cluster';
import { LAMBDA_GB_SECOND, LAMBDA_REQUEST, READ_REQUEST_UNIT, SQS_REQUEST, WRITE_REQUEST_UNIT } from './prices';
import { TableUnits } from './table-units';

export interface Usage {
  /** Virtual milliseconds. */
  spanMs: number;
  /** By service and action: when each request was made, and how many requests were for a further page. */
  calls: Map<string, { times: number[]; furtherPages: number }>;
  /** By function. */
  invocations: Map<string, number>;
  /** Lambda's GB-seconds. */
  gigabyteSeconds: number;
  /** DynamoDB's request units. */
  units: { reads: number; writes: number };
}

/** Computation takes no virtual time, so no invocation counts as shorter than this. */
const LEAST_INVOCATION_MS = 100;
/**
 * While a queue is empty, Lambda polls it with five connections that wait for 20 s each.
 * Source: https://aws.amazon.com/blogs/compute/aws-lambda-adds-amazon-simple-queue-service-to-supported-event-sources/
 */
const EMPTY_RECEIVES_A_MINUTE = 15;

export class Meter {
  private usage: Usage;
  private units: TableUnits;
  private startedAt: number;

  constructor(private readonly cluster: SimulatedCluster) {
    const { link, region, clock } = cluster;
    this.usage = nothing();
    this.units = new TableUnits(region);
    this.startedAt = clock.now();
    link.onCall((call) => {
      this.count(call);
      if (call.service === 'dynamodb') this.units.carriedOut(call);
    });
    link.onRefused((call) => {
      this.count(call);
      if (call.service === 'dynamodb') this.units.refused(call);
    });
    region.onEvent((event) => this.onEvent(event));
  }

  /** The usage since the last call. */
  take(): Usage {
    const now = this.cluster.clock.now();
    const { reads, writes } = this.units;
    const usage = { ...this.usage, spanMs: now - this.startedAt, units: { reads, writes } };
    this.usage = nothing();
    this.units.reads = this.units.writes = 0;
    this.startedAt = now;
    return usage;
  }

  private count({ service, action, input }: Omit<RefusedCall, 'error'>): void {
    const name = `${service}:${action}`;
    const counted = this.usage.calls.get(name) ?? { times: [], furtherPages: 0 };
    this.usage.calls.set(name, counted);
    counted.times.push(this.cluster.clock.now());
    if (input.NextToken !== undefined || input.ExclusiveStartKey !== undefined) counted.furtherPages += 1;
  }

  private onEvent({ source, what, detail }: AwsEvent): void {
    if (source !== 'lambda' || (what !== 'invoked' && what !== 'failed')) return;
    const { logicalId, durationMs } = detail as { logicalId: string; durationMs: number };
    const { memoryMiB } = this.cluster.region.functions().find((fn) => fn.logicalId === logicalId)!;
    this.usage.invocations.set(logicalId, (this.usage.invocations.get(logicalId) ?? 0) + 1);
    this.usage.gigabyteSeconds += (memoryMiB / 1024) * (Math.max(durationMs, LEAST_INVOCATION_MS) / 1000);
  }
}

function nothing(): Usage {
  return { spanMs: 0, calls: new Map(), invocations: new Map(), gigabyteSeconds: 0, units: { reads: 0, writes: 0 } };
}

export function tableCosts({ units }: Usage): number {
  return units.reads * READ_REQUEST_UNIT + units.writes * WRITE_REQUEST_UNIT;
}

/** USD for this many milliseconds at rest. @param usage of a span in which the cluster was at rest */
export function costsAtRest(usage: Usage, queues: number, ms: number): Record<'DynamoDB' | 'Lambda' | 'SQS', number> {
  const times = ms / usage.spanMs;
  const invocations = [...usage.invocations.values()].reduce((sum, count) => sum + count, 0);
  return {
    DynamoDB: times * tableCosts(usage),
    Lambda: times * (invocations * LAMBDA_REQUEST + usage.gigabyteSeconds * LAMBDA_GB_SECOND),
    // At rest an invocation has at most one message, which is sent, received and deleted.
    SQS: (queues * EMPTY_RECEIVES_A_MINUTE * (ms / 60_000) + times * 3 * invocations) * SQS_REQUEST,
  };
}

/** The most requests within any one second. */
export function peak(times: number[]): number {
  let first = 0;
  let most = 0;
  times.forEach((time, n) => {
    while (times[first]! <= time - 1000) first++;
    most = Math.max(most, n - first + 1);
  });
  return most;
}

/** The fewest tokens that were left in a bucket. Below zero, AWS would have throttled. */
export function fewestTokens(times: number[], { size, refill }: { size: number; refill: number }): number {
  let tokens = size;
  let fewest = size;
  times.forEach((time, n) => {
    tokens = Math.min(size, tokens + ((time - (times[n - 1] ?? time)) / 1000) * refill) - 1;
    fewest = Math.min(fewest, tokens);
  });
  return Math.floor(fewest);
}

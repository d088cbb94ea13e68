/**
 * Constant requests from a load generator (hey, https://github.com/rakyll/hey). Each uses its own connection, because a
 * Network Load Balancer forwards connections.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Clients per generator, requests a second per client, and generators. These start one after another within a second,
 * so that they do not all send at the same moment.
 */
export interface Load {
  clients: number;
  eachASecond: number;
  generators: number;
}
/** 250 requests a second. */
const STEADY: Load = { clients: 10, eachASecond: 25, generators: 1 };
/**
 * 300 requests a second: even if many clients wait for a dead worker, enough others still send. The clients of one
 * generator send at the same moment, so there are few.
 */
export const MANY_CLIENTS: Load = { clients: 5, eachASecond: 1, generators: 60 };
/** A request that takes longer has failed. */
const TIMEOUT_SECONDS = 5;
/** It is always stopped long before. */
const LONGEST_SECONDS = 1_800;

/** The results of the requests. */
export interface Requests {
  sent: number;
  answered: number;
  failed: number;
  seconds: number;
}

export class Traffic {
  private readonly generators: Generator[];

  constructor(url: string, load: Load = STEADY) {
    this.generators = Array.from({ length: load.generators }, (_, n) => new Generator(url, load, n / load.generators));
  }

  async end(): Promise<Requests> {
    const all = await Promise.all(this.generators.map((generator) => generator.end()));
    const sum = (what: 'sent' | 'answered' | 'failed') => all.reduce((total, one) => total + one[what], 0);
    return {
      sent: sum('sent'),
      answered: sum('answered'),
      failed: sum('failed'),
      seconds: Math.max(...all.map(({ seconds }) => seconds)),
    };
  }
}

class Generator {
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private said = '';

  /** @param waits seconds before it begins */
  constructor(url: string, { clients, eachASecond }: Load, waits: number) {
    const limits = [
      '-z',
      `${LONGEST_SECONDS}s`,
      '-c',
      String(clients),
      '-q',
      String(eachASecond),
      '-t',
      String(TIMEOUT_SECONDS),
    ];
    this.process = spawn(
      'sh',
      ['-c', 'sleep "$1"; shift; exec hey "$@"', 'sh', String(waits), ...limits, '-disable-keepalive', url],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.process.stdout!.setEncoding('utf8').on('data', (part: string) => (this.said += part));
    this.ended = new Promise((resolve, reject) => {
      this.process.once('close', () => resolve());
      this.process.once('error', reject);
    });
    this.ended.catch(() => undefined);
  }

  /** Interrupts the generator, which then prints its summary. */
  async end(): Promise<Requests> {
    this.process.kill('SIGINT');
    await this.ended;
    return readSummary(this.said);
  }
}

/** @throws Error when the text is not a summary */
export function readSummary(text: string): Requests {
  const seconds = Number(/^\s*Total:\s+([\d.]+) secs$/m.exec(text)?.[1]);
  if (!Number.isFinite(seconds)) throw new Error(`The load generator printed no summary: ${text.trim().slice(0, 500)}`);
  const counts = (pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, first, second]) => [Number(first), Number(second)] as const);
  const statuses = counts(/^\s*\[(\d{3})\]\s+(\d+) responses$/gm);
  const errors = counts(/^\s*\[(\d+)\]\s+(?!\d+ responses$)\S.*$/gm).map(([count]) => count);
  const total = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0);
  const answered = total(statuses.flatMap(([status, count]) => (status === 200 ? [count] : [])));
  const sent = total(statuses.map(([, count]) => count)) + total(errors);
  return { sent, answered, failed: sent - answered, seconds };
}

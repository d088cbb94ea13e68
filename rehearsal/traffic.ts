/** Constant requests from a load generator of its own (hey, https://github.com/rakyll/hey): each on a connection of its own, since that is what a Network Load Balancer passes on. */
import { spawn, type ChildProcess } from 'node:child_process';

/** So many at a time, each so many a second: 250 in all. */
const CLIENTS = 10;
const EACH_A_SECOND = 25;
/** Whoever waits longer was not served. */
const TIMEOUT_SECONDS = 5;
/** It is stopped long before. */
const LONGEST_SECONDS = 1_800;

/** What became of the requests. */
export interface Requests {
  sent: number;
  answered: number;
  failed: number;
  seconds: number;
}

export class Traffic {
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private said = '';

  constructor(url: string) {
    const limits = ['-z', `${LONGEST_SECONDS}s`, '-c', String(CLIENTS), '-q', String(EACH_A_SECOND), '-t', String(TIMEOUT_SECONDS)];
    this.process = spawn('hey', [...limits, '-disable-keepalive', url], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process.stdout!.setEncoding('utf8').on('data', (part: string) => (this.said += part));
    this.ended = new Promise((resolve, reject) => {
      this.process.once('close', () => resolve());
      this.process.once('error', reject);
    });
    this.ended.catch(() => undefined);
  }

  /** It says what became of them when it is interrupted. */
  async end(): Promise<Requests> {
    this.process.kill('SIGINT');
    await this.ended;
    return readSummary(this.said);
  }
}

/** @throws Error when it is none */
export function readSummary(text: string): Requests {
  const seconds = Number(/^\s*Total:\s+([\d.]+) secs$/m.exec(text)?.[1]);
  if (!Number.isFinite(seconds)) throw new Error(`The load generator did not say how it went: ${text.trim().slice(0, 500)}`);
  const counts = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, first, second]) => [Number(first), Number(second)] as const);
  const statuses = counts(/^\s*\[(\d{3})\]\s+(\d+) responses$/gm);
  const errors = counts(/^\s*\[(\d+)\]\s+(?!\d+ responses$)\S.*$/gm).map(([count]) => count);
  const total = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0);
  const answered = total(statuses.flatMap(([status, count]) => (status === 200 ? [count] : [])));
  const sent = total(statuses.map(([, count]) => count)) + total(errors);
  return { sent, answered, failed: sent - answered, seconds };
}

/**
 * Functions as processes: the built bundles with the template's environment, credentials that stand for the template's
 * roles, and the SDK pointed at the emulated AWS. A process handles one event at a time and stays warm; concurrent
 * events get further processes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Clock } from '../../protocol/clock';
import type { FunctionRunner, FunctionSpec } from '../aws/core/types';
import type { Invocation, Outcome } from './lambda-runtime';

/** How many log lines of a function are kept. */
const KEPT_LINES = 1_000;

export interface FunctionProcessesProps {
  clock: Clock;
  /** The bundle of lambda-runtime.ts. */
  runtime: string;
  /** The Node.js binary. */
  node: string;
  /** Where the emulated AWS answers. */
  endpoint: string;
  /** Gets every line that a function writes. */
  onLog?(functionName: string, line: string): void;
}

interface Sandbox {
  fn: FunctionSpec;
  process: ChildProcess;
  /** The event it is handling. */
  pending?: { id: string; settle(outcome: Outcome | Error): void };
}

/** How long an invocation waits for a busy process before it gets a new one, in milliseconds. */
const PATIENCE_MS = 250;

export class FunctionProcesses implements FunctionRunner {
  /** By edition, as {@link waiting}. */
  private readonly idle = new Map<string, Sandbox[]>();
  private readonly waiting = new Map<string, ((sandbox: Sandbox) => void)[]>();
  private readonly all = new Set<Sandbox>();
  private readonly lines = new Map<string, string[]>();

  constructor(private readonly props: FunctionProcessesProps) {}

  async invoke(fn: FunctionSpec, event: unknown): Promise<unknown> {
    const sandbox = await this.take(fn);
    const id = this.props.clock.uuid();
    const outcome = await new Promise<Outcome | Error>((resolve) => {
      const seconds = (fn.timeoutMs / 1000).toFixed(2);
      const cancel = this.props.clock.after(fn.timeoutMs, () =>
        sandbox.pending?.settle(new Error(`${fn.logicalId}: Task timed out after ${seconds} seconds`)),
      );
      sandbox.pending = {
        id,
        settle: (result) => {
          cancel();
          delete sandbox.pending;
          resolve(result);
        },
      };
      const invocation: Invocation = { id, event, timeoutMs: fn.timeoutMs };
      // If the process has just died, its exit handler reports it.
      sandbox.process.send(invocation, () => undefined);
    });
    if (outcome instanceof Error) {
      // Lambda discards an environment whose invocation timed out or died.
      sandbox.process.kill('SIGKILL');
      throw outcome;
    }
    this.giveBack(editionOf(fn), sandbox);
    if ('error' in outcome) {
      const error = new Error(outcome.error.message);
      error.name = outcome.error.name;
      if (outcome.error.stack !== undefined) error.stack = outcome.error.stack;
      throw error;
    }
    return outcome.result;
  }

  /** An idle process, one that becomes idle soon (starting one takes longer than most invocations), or a new one. */
  private async take(fn: FunctionSpec): Promise<Sandbox> {
    const edition = editionOf(fn);
    const idle = this.idleOf(edition).pop();
    if (idle) return idle;
    if (![...this.all].some((sandbox) => editionOf(sandbox.fn) === edition)) return this.start(fn);
    return new Promise((resolve) => {
      const waiting = this.waiting.get(edition) ?? [];
      this.waiting.set(edition, waiting);
      const given = (sandbox: Sandbox) => {
        cancel();
        resolve(sandbox);
      };
      const cancel = this.props.clock.after(PATIENCE_MS, () => {
        waiting.splice(waiting.indexOf(given), 1);
        resolve(this.start(fn));
      });
      waiting.push(given);
    });
  }

  private giveBack(edition: string, sandbox: Sandbox): void {
    const next = this.waiting.get(edition)?.shift();
    if (next) next(sandbox);
    else this.idleOf(edition).push(sandbox);
  }

  /** Logical id of the function that has this access key, if any. */
  caller(accessKeyId: string): string | undefined {
    return [...this.all].find(({ fn }) => fn.credentials.accessKeyId === accessKeyId)?.fn.logicalId;
  }

  /**
   * A fault: kills every process that handles an event of the function, as when the machine below it dies.
   * @returns how many
   */
  kill(logicalId: string): number {
    const busy = [...this.all].filter(({ fn, pending }) => fn.logicalId === logicalId && pending !== undefined);
    return busy.filter((sandbox) => sandbox.process.kill('SIGKILL')).length;
  }

  /** The last log lines of a function. */
  log(functionName: string): string[] {
    return this.lines.get(functionName) ?? [];
  }

  /** Names of the functions that have logged. */
  names(): string[] {
    return [...this.lines.keys()];
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    this.idle.clear();
    await Promise.all(
      [...this.all].map(
        (sandbox) =>
          new Promise<void>((resolve) => {
            if (sandbox.process.exitCode !== null || sandbox.process.signalCode !== null) return resolve();
            sandbox.process.once('exit', () => resolve());
            sandbox.process.kill('SIGKILL');
          }),
      ),
    );
  }

  private idleOf(edition: string): Sandbox[] {
    if (!this.idle.has(edition)) this.idle.set(edition, []);
    return this.idle.get(edition)!;
  }

  private start(fn: FunctionSpec): Sandbox {
    const { runtime, node, endpoint } = this.props;
    const { accessKeyId, secretAccessKey, sessionToken } = fn.credentials;
    const child = spawn(node, [runtime, fn.codePath, fn.handler], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Nothing of this machine's environment: Lambda functions do not have it either.
      env: {
        PATH: process.env.PATH,
        ...fn.environment,
        AWS_ENDPOINT_URL: endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_SESSION_TOKEN: sessionToken,
      },
    });
    const sandbox: Sandbox = { fn, process: child };
    this.all.add(sandbox);
    for (const stream of [child.stdout!, child.stderr!]) this.collect(fn.name, stream);
    child.on('message', (outcome: Outcome) => {
      if (sandbox.pending?.id === outcome.id) sandbox.pending.settle(outcome);
    });
    const ended = (why: string) => {
      this.all.delete(sandbox);
      const idle = this.idleOf(editionOf(fn));
      if (idle.includes(sandbox)) idle.splice(idle.indexOf(sandbox), 1);
      sandbox.pending?.settle(
        new Error(`${fn.logicalId}: the function's process ended (${why}). ${this.log(fn.name).slice(-5).join(' | ')}`),
      );
    };
    // 'close' comes after its last line has been read.
    child.once('close', (code, signal) => ended(signal ?? `exit code ${code}`));
    child.once('error', (error) => ended(error.message));
    return sandbox;
  }

  private collect(name: string, stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      const parts = (rest + part).split('\n');
      rest = parts.pop()!;
      const kept = this.lines.get(name) ?? [];
      this.lines.set(name, kept);
      for (const line of parts) {
        kept.push(line);
        if (kept.length > KEPT_LINES) kept.shift();
        this.props.onLog?.(name, line);
      }
    });
  }
}

/** Once a function has changed, its old processes handle no further events. */
const editionOf = ({ name, codePath, environment }: FunctionSpec) => JSON.stringify([name, codePath, environment]);

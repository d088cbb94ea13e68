/**
 * The template's functions in this process: the same handlers as in the bundles, with the template's environment, role
 * and timeout. Each invocation is a separate program that may be killed at any point; events may be lost, doubled or
 * late.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../protocol/clock';
import { leaderToken } from '../../../lambda/leader-token/handler';
import { jsonLog } from '../../../protocol/log';
import { nodeJoin } from '../../../lambda/node-join/handler';
import { nodeLeave } from '../../../lambda/node-leave/handler';
import type { Respond } from '../../../lambda/target-update/custom-resource';
import { targetUpdate } from '../../../lambda/target-update/handler';
import type { FunctionRunner, FunctionSpec } from '../../aws/core/types';
import type { AwsLink } from './aws-link';
import { inProcessClients, type Clients } from './clients';
import { hash, type Faults } from '../faults';
import { SimulatedProcess } from './process';

interface Parts extends Clients {
  clock: Clock;
  log: ReturnType<typeof jsonLog>;
  variables: Record<string, string>;
  respond: Respond;
}

/** By bundle folder: the handler that its `index.ts` wires. */
const HANDLERS: Record<string, (parts: Parts) => (event: any) => Promise<unknown>> = {
  'leader-token': leaderToken,
  'node-join': nodeJoin,
  'node-leave': nodeLeave,
  'target-update': targetUpdate,
};

/** The name of the function in each code folder. Cloud assemblies do not change, so this is cached. */
const NAMES = new Map<string, string>();

/** A late event arrives within this time, in milliseconds. */
const LATE_MS = 90_000;
/** Lambda's clocks are accurate, but not to the millisecond. */
const SKEW_MS = 1_000;
/** A cold start takes this long. */
const COLD_START_MS = 300;
/** An answer to CloudFormation takes this long. */
const ANSWER_MS = 20;

const isCustomResource = (event: unknown) => typeof event === 'object' && event !== null && 'ResponseURL' in event;

export interface SimulatedFunctionsProps {
  clock: Clock;
  faults: Faults;
  link: AwsLink;
  /** The folder with the built bundles, by which the template's functions are recognised. */
  bundles: string;
  /** Receives a function's answer about a custom resource. */
  respond(url: string, body: string): void;
  /** See `ClusterOptions`. */
  hears?(name: string, event: unknown): boolean;
  /** Gets every event that a function is given. */
  onEvent?(functionName: string, event: unknown): void;
  /** Called with every line that a function logs. */
  onLog(functionName: string, line: string): void;
}

export class SimulatedFunctions implements FunctionRunner {
  private invocations = 0;
  /** Running invocations. */
  private readonly running = new Set<{ name: string; end(error: Error): void }>();

  constructor(private readonly props: SimulatedFunctionsProps) {}

  async invoke(fn: FunctionSpec, event: unknown): Promise<unknown> {
    const { clock, faults } = this.props;
    // CloudFormation waits for an answer, so its request always arrives, perhaps twice.
    if (
      !isCustomResource(event) &&
      (this.props.hears?.(this.nameOf(fn), event) === false || faults.happens('lost-event'))
    )
      return undefined;
    if (!isCustomResource(event) && faults.happens('late-event'))
      await clock.sleep(faults.random('late-event') * LATE_MS);
    if (faults.happens('doubled-event')) void this.run(fn, event).catch(() => undefined);
    return this.run(fn, event);
  }

  /** A fault: kills every running invocation of the function. */
  kill(name: string): void {
    for (const invocation of [...this.running])
      if (invocation.name === name) invocation.end(new Error(`${name}: Runtime exited with error: signal: killed`));
  }

  private run(fn: FunctionSpec, event: unknown): Promise<unknown> {
    const { clock, faults, link, onLog } = this.props;
    const name = this.nameOf(fn);
    this.props.onEvent?.(fn.logicalId, event);
    this.invocations += 1;
    const skew = Math.round((hash(this.invocations) - 0.5) * 2 * SKEW_MS);
    const process = new SimulatedProcess(clock, () => skew);
    return new Promise((resolve, reject) => {
      const end = (error: Error) => {
        process.kill();
        reject(error);
      };
      const invocation = { name, end };
      this.running.add(invocation);
      process.onKilled(() => this.running.delete(invocation));
      const cancel = clock.after(fn.timeoutMs, () =>
        end(new Error(`${fn.logicalId}: Task timed out after ${(fn.timeoutMs / 1000).toFixed(2)} seconds`)),
      );
      process.onKilled(cancel);
      const mayDie = () => {
        if (!process.killed && faults.happens('kill-function'))
          end(new Error(`${fn.logicalId}: Runtime exited with error: signal: killed`));
      };
      const caller = { process, accessKeyId: fn.credentials.accessKeyId, connected: () => true, mayDie };
      const clients = inProcessClients(process.clock, link.answerTo(caller));
      const work = async () => {
        await process.clock.sleep(clock.random() * COLD_START_MS);
        return HANDLERS[name]!({
          ...clients,
          clock: process.clock,
          log: jsonLog(process.clock, (line) => onLog(fn.logicalId, line)),
          variables: fn.environment,
          respond: (url, body) => process.whileAlive(this.respond(process, url, body)),
        })(event);
      };
      process.whileAlive(work()).then(
        (result) => {
          this.running.delete(invocation);
          cancel();
          resolve(result);
        },
        (error: unknown) => {
          this.running.delete(invocation);
          cancel();
          // Lambda writes it to the function's log.
          onLog(fn.logicalId, error instanceof Error ? `${error.name}: ${error.message}` : String(error));
          reject(error);
        },
      );
    });
  }

  private async respond({ clock }: SimulatedProcess, url: string, body: string): Promise<void> {
    await clock.sleep(ANSWER_MS);
    this.props.respond(url, body);
  }

  private nameOf({ codePath, logicalId }: FunctionSpec): string {
    const known = NAMES.get(codePath);
    if (known !== undefined) return known;
    const code = readFileSync(join(codePath, 'index.js'), 'utf8');
    const name = readdirSync(this.props.bundles).find(
      (folder) => readFileSync(join(this.props.bundles, folder, 'index.js'), 'utf8') === code,
    );
    if (name === undefined || HANDLERS[name] === undefined)
      throw new Error(
        `The function ${logicalId} is not this library's, so it cannot be simulated. If the assembly is from ` +
          'another version, synthesise it again.',
      );
    NAMES.set(codePath, name);
    return name;
  }
}

/**
 * `cdk-docker-swarm start`: synthesises the app of the current folder and forms its swarm on this machine, with real
 * engines where that is possible. This process owns the terminal and the clean-up; the swarm lives in namespaces below
 * its own process (rehearsal.ts).
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { systemClock } from '../../protocol/clock';
import { SEAT_TAG } from '../../protocol/tags';
import type { Deleted, Formed, Logs, Moment } from '../display/results';
import type { RehearsalOrder, Message } from './messages';
import { endRegion, Janitor, makeRunGroups, startRegion } from '../nodes/namespaces';
import { creationOrder, renderCreationOrder } from '../assembly/creation-order';
import { findProgram, lackingPrograms, missing, searchPath, thisMachine } from '../nodes/preflight';
import { Progress, type Screen } from '../display/progress';
import { SCENARIOS } from '../scenarios/scenarios';
import { formSimulated } from '../simulation/form';
import { readStack, synthesise, type Stack } from '../assembly/synth';
import { checkStack } from '../assembly/template-checks';
import { renderTable, renderTimeline, seconds, type NodeTimeline } from '../display/timeline';

export interface StartOptions {
  /** Context values for the app. @default the app's own */
  managers?: number;
  workers?: number;
  /** One JSON document on standard output, everything else on standard error. */
  json: boolean;
  /** A folder for the logs of nodes and functions. */
  keepLogs?: string;
  /**
   * What happens to the cluster once it has formed: a name in `scenarios.ts`, which also sets the cluster's size. Needs
   * real engines.
   */
  scenario?: string;
}

export interface StartEnvironment {
  /** The folder with `cdk.json`. */
  folder: string;
  /** The folder with the built bundles. */
  dist: string;
  /** How to run this program: the command line up to its first argument. */
  self: string[];
  stdout: Screen;
  stderr: Screen;
}

/** How many lines of each log are shown when a formation fails. */
const SHOWN_LINES = 25;

/** @returns the exit code */
export async function start(options: StartOptions, environment: StartEnvironment): Promise<number> {
  return new Run(options, environment).start();
}

/** @throws Error when the app does not have the requested size */
function checkSize(
  { Resources }: Stack['template'],
  { managers, workers }: Pick<StartOptions, 'managers' | 'workers'>,
): void {
  const groups = Object.values(Resources).filter(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup');
  const isSeat = (group: (typeof groups)[number]) =>
    (group.Properties?.Tags as { Key: string }[] | undefined)?.some(({ Key }) => Key === SEAT_TAG);
  const seats = groups.filter(isSeat).length;
  const others = groups
    .filter((group) => !isSeat(group))
    .reduce((sum, group) => sum + Number(group.Properties?.MinSize), 0);
  const refused = (what: string, asked: number, made: number) =>
    new Error(
      `--${what} is ${asked}, but the app has ${made} ${what}: it does not read the context value "${what}". ` +
        'Read it as bin/app.ts of cdk-docker-swarm does, or leave out the option.',
    );
  if (managers !== undefined && seats !== managers) throw refused('managers', managers, seats);
  if (workers !== undefined && others !== workers) throw refused('workers', workers, others);
}

class Interrupted extends Error {}

class Run {
  private readonly id = `${process.pid}-${systemClock.uuid().slice(0, 8)}`;
  private readonly out: Screen;
  private readonly progress: Progress;
  private readonly interrupted: Promise<never>;
  /** The process that runs now: the app or the region. */
  private child: ChildProcess | undefined;
  /** Once set, nothing new may start. */
  private over = false;

  constructor(
    private readonly options: StartOptions,
    private readonly environment: StartEnvironment,
  ) {
    this.out = options.json ? environment.stderr : environment.stdout;
    this.progress = new Progress(options.json ? { write: (text) => environment.stderr.write(text) } : this.out);
    this.interrupted = new Promise((_, reject) => {
      // Further signals change nothing: everything is already being killed.
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
        process.on(signal, () => reject(new Interrupted()));
    });
    this.interrupted.catch(() => undefined);
  }

  async start(): Promise<number> {
    process.env.PATH = searchPath(process.env);
    const lacks = await missing(thisMachine());
    const temporary = mkdtempSync(join(tmpdir(), 'cdk-docker-swarm-'));
    const groups = lacks.length === 0 ? makeRunGroups(this.id) : [];
    const janitor = new Janitor(this.id, temporary, groups);
    let code: number;
    try {
      code = await Promise.race([this.work(temporary, groups, lacks), this.interrupted]);
    } catch (error) {
      this.progress.erase();
      const interrupted = error instanceof Interrupted;
      this.environment.stderr.write(
        interrupted ? 'Stopped.\n' : `${error instanceof Error ? error.message : String(error)}\n`,
      );
      if (!interrupted) this.document({ ok: false, error: error instanceof Error ? error.message : String(error) });
      code = interrupted ? 130 : 1;
    }
    this.over = true;
    try {
      if (this.child !== undefined) await endRegion(this.child);
      await janitor.clean();
    } catch (error) {
      this.environment.stderr.write(`${(error as Error).message}\n`);
      return code === 0 ? 1 : code;
    }
    if (groups.length > 0) this.out.write('Nothing is left on this machine.\n');
    return code;
  }

  private async work(temporary: string, groups: string[], lacks: string[]): Promise<number> {
    const { scenario } = this.options;
    if (scenario !== undefined && lacks.length > 0)
      throw new Error(
        [
          'Scenarios need real engines, which this machine cannot run:',
          ...lacks.map((sentence) => `  - ${sentence}`),
        ].join('\n'),
      );
    const {
      managers,
      workers,
      spot,
      listener,
      follow,
      needs = {},
      next,
    } = scenario === undefined
      ? { ...this.options, spot: undefined, listener: undefined, follow: undefined, needs: undefined, next: undefined }
      : SCENARIOS[scenario]!;
    const absent = lackingPrograms(needs);
    if (absent.length > 0)
      throw new Error(
        `This needs ${absent.join(' and ')}. On Debian: apt-get install ` +
          `${absent.map((program) => needs[program]).join(' ')}`,
      );
    this.say('Synthesising the app ...');
    const sized = { ...(managers !== undefined && { managers }), ...(workers !== undefined && { workers }) };
    const stack = await this.synthesise(
      join(temporary, 'cdk.out'),
      { ...sized, ...(spot && { spot }), ...(listener && { listener }), ...(follow && { follow, nodes: 'workers' }) },
      groups,
    );
    const nextStack =
      next && (await this.synthesise(join(temporary, 'cdk.out.next'), { ...next, ...(spot && { spot }) }, groups));
    return lacks.length === 0 ? this.form(stack, nextStack, temporary, groups) : this.formSimulated(stack, lacks);
  }

  private async synthesise(
    assembly: string,
    context: Pick<StartOptions, 'managers' | 'workers'>,
    groups: string[],
  ): Promise<Stack> {
    await synthesise(this.environment.folder, assembly, context, groups, (app) => (this.child = app));
    this.child = undefined;
    if (this.over) throw new Interrupted();
    const stack = readStack(assembly);
    checkSize(stack.template, context);
    return stack;
  }

  /**
   * Everything that needs neither root nor Docker: checks the template, and forms its swarm on simulated engines in
   * virtual time.
   */
  private async formSimulated(stack: Stack, lacks: string[]): Promise<number> {
    const { passed, failed } = await checkStack(stack);
    this.say(
      '',
      'SIMULATED ENGINES: this machine cannot run real nodes.',
      ...lacks.map((sentence) => `  - ${sentence}`),
      '',
      `The template of ${stack.name}:`,
      ...[...passed.map((line) => `  ok      ${line}`), ...failed.map((line) => `  FAILED  ${line}`)],
      '',
      'The nodes form in this order:',
      ...renderCreationOrder(stack.template),
      '',
      `Forming ${stack.name} on simulated engines in virtual time: its own functions, agents and ` +
        'policies, an emulated AWS, no Docker ...',
    );
    const { formed, deleted, error, rows, logs } = await formSimulated(
      { assembly: stack.assembly, name: stack.name },
      join(this.environment.dist, 'lambda'),
    );
    if (this.options.keepLogs !== undefined) this.keep(logs, resolve(this.options.keepLogs));
    if (formed !== undefined) this.showFormed(formed, 'virtual seconds');
    if (deleted !== undefined) this.showDeleted(deleted, 'virtual seconds');
    if (error !== undefined) this.showFailure(error, rows, logs, '');
    const ok = failed.length === 0 && error === undefined;
    this.say(
      '',
      'SKIPPED: forming the swarm on real engines (see above). ' +
        `${ok ? 'Everything else passed.' : 'Something else failed.'}`,
    );
    const document = {
      ok,
      engines: 'simulated',
      missing: lacks,
      stack: stack.name,
      checks: { passed, failed },
      creationOrder: creationOrder(stack.template),
    };
    this.document({ ...document, ...(error !== undefined && { error }), ...formed, ...deleted });
    return ok ? 0 : 1;
  }

  private async form(stack: Stack, next: Stack | undefined, temporary: string, groups: string[]): Promise<number> {
    const { dist, self } = this.environment;
    const node = process.env.CDK_DOCKER_SWARM_NODE ?? process.execPath;
    if (!isAbsolute(node) || !existsSync(node))
      throw new Error(`CDK_DOCKER_SWARM_NODE must be the absolute path of a Node.js binary, not "${node}".`);
    const order: RehearsalOrder = {
      run: this.id,
      assembly: stack.assembly,
      stackName: stack.name,
      folder: join(temporary, 'region'),
      node,
      dockerd: findProgram('dockerd', process.env.PATH ?? '')!,
      lambdaRuntime: join(dist, 'rehearsal/lambda-runtime.js'),
      awsStandIn: join(dist, 'rehearsal/stand-ins/aws.js'),
      scenario: this.options.scenario,
      nextAssembly: next?.assembly,
      deadlineMs: this.options.scenario === undefined ? undefined : SCENARIOS[this.options.scenario]!.deadlineMs,
    };
    this.say(`Forming ${stack.name} on real engines (${Object.keys(stack.template.Resources).length} resources) ...`);
    const child = startRegion(groups, [...self, 'region', JSON.stringify(order)], ['ignore', 'pipe', 'pipe', 'ipc'], {
      ...process.env,
      TMPDIR: temporary,
    });
    this.child = child;
    let complaints = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (part: string) => (complaints = (complaints + part).slice(-10_000)));
    let formed: Formed | undefined;
    let moments: Moment[] | undefined;
    let remarks: string[] = [];
    let end: Extract<Message, { kind: 'deleted' | 'failed' }> | undefined;
    child.on('message', (message: Message) => {
      if (message.kind === 'milestone')
        this.progress.milestone(message.node, message.milestone, message.rows, message.atMs);
      else if (message.kind === 'formed') this.showFormed((formed = message.formed), 's');
      else if (message.kind === 'moment') this.showMoment(message.moment);
      else if (message.kind === 'played') this.showPlayed(({ moments, remarks } = message));
      else end = message;
    });
    await new Promise<void>((done) => child.once('close', () => done()));
    this.progress.erase();
    if (end === undefined) throw new Error(`The rehearsal ended unexpectedly.\n${complaints.trim()}`);
    if (this.options.keepLogs !== undefined) this.keep(end.logs, resolve(this.options.keepLogs));
    if (end.kind === 'failed') {
      this.showFailure(end.error, end.rows, end.logs, complaints);
      this.document({ ok: false, formed: formed !== undefined, error: end.error, nodes: end.rows, ...formed });
      return 1;
    }
    this.showDeleted(end.deleted, 's');
    this.document({
      ok: true,
      engines: 'real',
      stack: stack.name,
      ...formed,
      ...(moments && { moments, remarks }),
      ...end.deleted,
    });
    return 0;
  }

  private showFormed({ nodes, swarm, formationMs, delayedMs }: Formed, unit: string): void {
    this.progress.erase();
    const leaderFirst = [...swarm].sort((a, b) => Number(b.manager === 'leader') - Number(a.manager === 'leader'));
    this.say(
      '',
      'Timeline in seconds (`launched` counts from the start of the deployment, the others from the ' +
        "instance's launch; the node reports `joined`, the leader reports `Ready`)",
      ...renderTimeline(nodes),
      '',
      "The swarm's own node list",
      ...renderTable(
        [
          ['ID', 'HOSTNAME', 'ROLE', 'STATUS', 'AVAILABILITY', 'MANAGER STATUS', 'ADDRESS', 'ENGINE'],
          ...leaderFirst.map((node) => [
            node.id,
            node.hostname,
            node.role,
            node.state,
            node.availability,
            node.manager,
            node.address,
            node.engine,
          ]),
        ],
        8,
      ),
      '',
      `${swarm.length} node${swarm.length === 1 ? '' : 's'} Ready after ${seconds(formationMs)} ` +
        `${unit}${delayedMs > 0 ? `, including ${seconds(delayedMs)} of emulated AWS delays` : ''}. ` +
        `${this.options.scenario === undefined ? 'Deleting the stack ...' : SCENARIOS[this.options.scenario]!.title}`,
    );
  }

  private showMoment({ what, ms }: Moment): void {
    this.progress.erase();
    this.say(`  ${seconds(ms).padStart(7)} s  ${what}`);
  }

  private showPlayed({ remarks }: { remarks: string[] }): void {
    this.progress.erase();
    this.say(...remarks.map((remark) => `  ${remark}`), '', 'Deleting the stack ...');
  }

  private showDeleted({ deletionMs, kept }: Deleted, unit: string): void {
    this.say(
      `The stack is deleted (${seconds(deletionMs)} ${unit}). ${kept.length > 0 ? `On AWS, its template retains ${kept.join(', ')}; here they are gone too.` : ''}`.trim(),
    );
  }

  private showFailure(error: string, rows: NodeTimeline[], logs: Logs, complaints: string): void {
    const concerned = rows
      .filter((row) => row.milestones.hook === undefined || row.milestones.ready === undefined)
      .map(({ instanceId }) => instanceId);
    const show = (name: string) => {
      const [instanceId, file] = name.split('/');
      if (file === undefined) return true;
      return concerned.length === 0 || concerned.includes(instanceId!);
    };
    this.say('', ...renderTimeline(rows));
    for (const [name, text] of Object.entries(logs))
      if (show(name))
        this.say(
          '',
          `Last lines of ${name}:`,
          ...text
            .trimEnd()
            .split('\n')
            .slice(-SHOWN_LINES)
            .map((line) => `  ${line}`),
        );
    if (complaints.trim() !== '') this.say('', 'The emulated AWS said:', complaints.trim());
    this.environment.stderr.write(`\nFAILED: ${error}\n`);
  }

  private keep(logs: Logs, folder: string): void {
    for (const [name, text] of Object.entries(logs)) {
      const file = join(folder, name.includes('/') ? name : `${name}.log`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${text.trimEnd()}\n`);
    }
    this.say(`Logs of nodes and functions: ${folder}`);
  }

  private say(...lines: string[]): void {
    for (const line of lines) this.progress.line(line);
  }

  private document(value: Record<string, unknown>): void {
    if (this.options.json) this.environment.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }
}

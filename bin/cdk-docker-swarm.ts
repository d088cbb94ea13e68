#!/usr/bin/env node
/** The command `cdk-docker-swarm`. It reads the command line; rehearsal/ does the work. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runRehearsal } from '../rehearsal/run/rehearsal';
import type { RehearsalOrder } from '../rehearsal/run/messages';
import { rehearse, type RehearseOptions } from '../rehearsal/run/rehearse';
import { SCENARIOS } from '../rehearsal/scenarios/scenarios';
import { start, type StartOptions } from '../rehearsal/run/start';

const NAME_WIDTH = Math.max(...Object.keys(SCENARIOS).map(({ length }) => length));

const USAGE = `Usage: cdk-docker-swarm start [--managers N] [--workers N | --scenario NAME] [--json] [--keep-logs FOLDER]
       cdk-docker-swarm rehearse --scenario NAME | --all [--times N] [--at-once N] [--write FILE]

"start" synthesises the app that ./cdk.json names, forms its swarm on this machine, and deletes it again. The template's
own user data, agent and functions run on real Docker engines in namespaces, against an emulated AWS. This needs Linux,
root and Docker. Without them it says what is missing, checks the template, and forms the same swarm on simulated
engines, in virtual time.

  --managers N         the app's context value "managers": 1, 3, 5 or 7
  --workers N          the app's context value "workers": 0 to 50
  --scenario NAME      play a scenario once the swarm has formed (listed below); it sets the size of the swarm
  --json               write one JSON document to standard output, and progress to standard error
  --keep-logs FOLDER   write the logs of all nodes and functions to this folder
  --help               print this text

"rehearse" plays one scenario, or all of them, on real engines.

  --times N            play each scenario N times, 1 to 99 (default: 1)
  --at-once N          play N scenarios at the same time, 1 to 8 (default: 1). This is quicker, but the measured times
                       get longer. A scenario that counts requests always plays alone.
  --write FILE         write the measured times to this file, as Markdown

Scenarios:

${Object.entries(SCENARIOS)
  .map(([name, { title }]) => `  ${name.padEnd(NAME_WIDTH)} ${title}`)
  .join('\n')}

The environment variable CDK_DOCKER_SWARM_NODE names the Node.js binary that runs nodes and functions. The default is
the one that runs this command.

Exit codes: 0 success, 1 failure, 2 wrong arguments, 130 interrupted.`;

class UsageError extends Error {}

/** @throws UsageError */
export function parseStart(args: string[]): StartOptions | 'help' {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      options: {
        managers: { type: 'string' },
        workers: { type: 'string' },
        json: { type: 'boolean' },
        'keep-logs': { type: 'string' },
        scenario: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { managers, workers, json = false, 'keep-logs': keepLogs, scenario, help = false } = parsed.values;
  if (help) return 'help';
  if (managers !== undefined && !/^[1357]$/.test(managers))
    throw new UsageError(
      `--managers is "${managers}", but must be 1, 3, 5 or 7: an even number tolerates no more failures, and more ` +
        'than seven only slow Raft down.',
    );
  if (workers !== undefined && !/^([0-9]|[1-4][0-9]|50)$/.test(workers))
    throw new UsageError(`--workers is "${workers}", but must be a whole number from 0 to 50.`);
  if (scenario !== undefined) {
    checkScenario(scenario);
    if (managers !== undefined || workers !== undefined)
      throw new UsageError('A scenario sets the size of the cluster itself: omit --managers and --workers.');
  }
  if (keepLogs === '') throw new UsageError('--keep-logs needs the name of a folder.');
  return {
    ...(managers === undefined ? {} : { managers: Number(managers) }),
    ...(workers === undefined ? {} : { workers: Number(workers) }),
    json,
    ...(keepLogs === undefined ? {} : { keepLogs }),
    ...(scenario === undefined ? {} : { scenario }),
  };
}

/** @throws UsageError */
export function parseRehearse(args: string[]): RehearseOptions | 'help' {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        scenario: { type: 'string' },
        all: { type: 'boolean' },
        times: { type: 'string' },
        'at-once': { type: 'string' },
        write: { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { scenario, all = false, times = '1', 'at-once': atOnce = '1', write, help = false } = values;
  if (help) return 'help';
  if ((scenario === undefined) !== all) throw new UsageError('Use either --scenario NAME or --all.');
  if (scenario !== undefined) checkScenario(scenario);
  if (!/^[1-9]\d?$/.test(times))
    throw new UsageError(`--times is "${times}", but must be a whole number from 1 to 99.`);
  if (!/^[1-8]$/.test(atOnce))
    throw new UsageError(`--at-once is "${atOnce}", but must be a whole number from 1 to 8.`);
  if (write === '') throw new UsageError('--write needs the name of a file.');
  return {
    scenarios: scenario === undefined ? Object.keys(SCENARIOS) : [scenario],
    times: Number(times),
    atOnce: Number(atOnce),
    ...(write === undefined ? {} : { write }),
  };
}

function checkScenario(name: string): void {
  if (!Object.hasOwn(SCENARIOS, name))
    throw new UsageError(`There is no scenario "${name}". The scenarios are ${Object.keys(SCENARIOS).join(', ')}.`);
}

/** A reader of the output may close it early (`| head`). The run must be cleaned up all the same. */
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

/** The command line of this program, up to its first argument. */
const self = [process.execPath, __filename];

async function main([command, ...args]: string[]): Promise<number> {
  switch (command) {
    case 'start': {
      const options = parseStart(args);
      if (options === 'help') break;
      return start(options, {
        folder: process.cwd(),
        dist: join(__dirname, '..'),
        self,
        stdout: process.stdout,
        stderr: process.stderr,
      });
    }
    case 'rehearse': {
      const options = parseRehearse(args);
      if (options === 'help') break;
      return rehearse(options, { self, stdout: process.stdout });
    }
    // Not for people: `start` runs this program again inside the namespaces.
    case 'region':
      await runRehearsal(JSON.parse(args[0]!) as RehearsalOrder);
      return 0;
    case '--help':
    case 'help':
      break;
    default:
      throw new UsageError(
        command === undefined
          ? 'The command is missing: use start or rehearse.'
          : `There is no command "${command}": use start or rehearse.`,
      );
  }
  process.stdout.write(`${USAGE}\n`);
  return 0;
}

if (require.main === module) {
  main(process.argv.slice(2)).then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(
        error instanceof UsageError
          ? `${error.message}\n\n${USAGE}\n`
          : `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
      process.exit(error instanceof UsageError ? 2 : 1);
    },
  );
}

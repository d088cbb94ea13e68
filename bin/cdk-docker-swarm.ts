#!/usr/bin/env node
/** The command `cdk-docker-swarm`. Reads the command line; the work is done in rehearsal/. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runRehearsal } from '../rehearsal/run/rehearsal';
import type { RehearsalOrder } from '../rehearsal/run/messages';
import { rehearse, type RehearseOptions } from '../rehearsal/run/rehearse';
import { SCENARIOS } from '../rehearsal/scenarios/scenarios';
import { start, type StartOptions } from '../rehearsal/run/start';

const USAGE = `Usage: cdk-docker-swarm start [--managers N] [--workers N | --scenario NAME] [--json] [--keep-logs FOLDER]
       cdk-docker-swarm rehearse --scenario NAME | --all [--times N] [--at-once N] [--write FILE]

Synthesises the app that ./cdk.json names and forms its swarm on this machine: the template's own user data, agent and
functions, on real Docker engines in namespaces, against an emulated AWS. Then deletes it again. Needs Linux, root and
Docker; without them it says so, checks the template and forms the same swarm on simulated engines, in virtual time.

  --managers N         context value "managers" for the app: an odd number from 1 to 7
  --workers N          context value "workers" for the app: 0 to 50
  --scenario NAME      once it has formed, something happens to it: see below
  --json               one JSON document on standard output, progress on standard error
  --keep-logs FOLDER   writes the logs of all nodes and functions there
  --help               this text

"rehearse" does that for one scenario or for all of them, one after the other, on real engines.

  --times N            each of them so often, by default once
  --at-once N          so many runs beside each other, by default one: quicker, and what comes when is later then (where requests are
                       counted nothing else runs)
  --write FILE         writes what came when as a page of Markdown

${Object.entries(SCENARIOS)
  .map(([name, { title }]) => `  ${name.padEnd(20)} ${title}`)
  .join('\n')}

The environment variable CDK_DOCKER_SWARM_NODE names the Node.js binary that nodes and functions run on, by default this one.

Exit codes: 0 formed, 1 failed, 2 wrong arguments, 130 stopped.`;

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
      `--managers is "${managers}", but must be 1, 3, 5 or 7: raft needs an odd number, and more than ` +
        'seven only slow it down.',
    );
  if (workers !== undefined && !/^([0-9]|[1-4][0-9]|50)$/.test(workers))
    throw new UsageError(`--workers is "${workers}", but must be a whole number from 0 to 50.`);
  if (scenario !== undefined) {
    checkScenario(scenario);
    if (managers !== undefined || workers !== undefined)
      throw new UsageError('A scenario says itself how large the cluster is: leave --managers and --workers out.');
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
  if ((scenario === undefined) !== all) throw new UsageError('Give either --scenario NAME or --all.');
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
    throw new UsageError(`There is no scenario "${name}". There are: ${Object.keys(SCENARIOS).join(', ')}.`);
}

/** Whoever reads our output may go early (`| head`): the run is cleaned up all the same. */
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

/** How this very program is run: the command line up to its first argument. */
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
    // Not for people: how `start` runs itself again inside the namespaces.
    case 'region':
      await runRehearsal(JSON.parse(args[0]!) as RehearsalOrder);
      return 0;
    case '--help':
    case 'help':
      break;
    default:
      throw new UsageError(command === undefined ? 'No command is given.' : `There is no command "${command}".`);
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

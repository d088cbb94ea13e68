/**
 * Measures what the agents of a manager and of a worker use at rest, beside their engines: forms the stack on real
 * engines, waits until it is quiet, and samples the processes. Runs inside a region's namespaces; prints the samples as
 * JSON.
 */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { systemClock as clock } from '../protocol/clock';
import { AGENT_SERVICE } from '../protocol/environment';
import { ROLE_TAG } from '../protocol/tags';
import { serveAws } from '../rehearsal/aws/wire/http';
import { imdsHandler } from '../rehearsal/aws/imds/imds';
import { EmulatedRegion } from '../rehearsal/aws/region';
import { FunctionProcesses } from '../rehearsal/functions/function-processes';
import { METADATA_ADDRESS } from '../rehearsal/nodes/network';
import { RealMachines } from '../rehearsal/nodes/real-machines';
import { run } from '../rehearsal/nodes/shell';
import type { RegionOrder } from './region';
import { median } from './statistics';

export interface AgentOrder extends RegionOrder {
  assembly: string;
  stackName: string;
  lambdaRuntime: string;
}

export interface Usage {
  /** Of the process and the programs that it ran. */
  cpuSecondsPerMinute: number;
  /** The median of one sample a second. */
  residentMegabytes: number;
  /** The median as well. Divides shared memory among its processes. Absent if the kernel does not report it. */
  proportionalMegabytes?: number;
}

/** By role. `engineAlone` is measured with the agent stopped, because the engine also works to answer the agent. */
export type AtRest = Record<string, { agent: Usage; engine: Usage; engineAlone: Usage }>;

const PORT = 8000;
const ENDPOINT = `http://${METADATA_ADDRESS}:${PORT}`;
const QUIET_MS = 10_000;
const SAMPLES = 30;
const SAMPLE_MS = 1_000;
/**
 * The unit of times in /proc: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html . It is 100 on x86-64 and
 * arm64.
 */
const TICKS_PER_SECOND = 100;

async function main(order: AgentOrder): Promise<AtRest> {
  const machines = await startMachines(order);
  const region = await serveRegion(order, machines);
  await region.createStack(order.assembly, order.stackName);
  await clock.sleep(QUIET_MS);
  const nodes = region.instances().filter(({ state }) => state === 'running');
  return Object.fromEntries(
    await Promise.all(
      nodes.map(async ({ instanceId, tags }) => [tags[ROLE_TAG]!, await atRest(machines, instanceId)] as const),
    ),
  );
}

async function startMachines(order: AgentOrder): Promise<RealMachines> {
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  mkdirSync('/run/rehearsal');
  return RealMachines.start({ ...order, clock, folder: '/run/rehearsal', endpoint: ENDPOINT });
}

async function serveRegion({ lambdaRuntime, node }: AgentOrder, machines: RealMachines): Promise<EmulatedRegion> {
  const functions = new FunctionProcesses({ clock, runtime: lambdaRuntime, node, endpoint: ENDPOINT });
  const region = new EmulatedRegion({
    clock,
    machines,
    functions,
    delays: {
      launch: 0,
      terminate: 0,
      attachVolume: 0,
      detachVolume: 0,
      queue: 0,
      stream: 0,
      registerTarget: 0,
      deregisterTarget: 0,
    },
  });
  region.endpoint = ENDPOINT;
  await serveAws(region, { host: '0.0.0.0', port: PORT });
  const metadata = createServer(
    imdsHandler((address) => {
      const instance = region.instanceByAddress(address);
      const credentials = instance && region.credentialsFor(instance.instanceId);
      if (instance?.roleName === undefined || credentials === undefined) return undefined;
      return {
        ...instance,
        roleName: instance.roleName,
        region: region.region,
        instanceLifeCycle: instance.lifecycle,
        credentials,
        userData: '',
      };
    }),
  );
  await new Promise<void>((resolve) => metadata.listen(80, METADATA_ADDRESS, resolve));
  return region;
}

async function atRest(machines: RealMachines, instanceId: string): Promise<AtRest[string]> {
  const [agentId, engineId] = (await Promise.all(
    [AGENT_SERVICE, 'docker'].map(async (unit) => (await machines.serviceProcess(instanceId, unit))!.id),
  )) as [string, string];
  const [agent, engine] = (await Promise.all([agentId, engineId].map((id) => sample(machines, instanceId, id)))) as [
    Usage,
    Usage,
  ];
  await machines.exec(instanceId, ['kill', '-STOP', agentId]);
  return { agent, engine, engineAlone: await sample(machines, instanceId, engineId) };
}

async function sample(machines: RealMachines, instanceId: string, processId: string): Promise<Usage> {
  const read = async (file: string) => (await machines.readFile(instanceId, `/proc/${processId}/${file}`)) ?? '';
  const began = clock.now();
  const before = cpuSeconds(await read('stat'));
  const memory: { resident: number; proportional: number }[] = [];
  for (let n = 0; n < SAMPLES; n++) {
    await clock.sleep(SAMPLE_MS);
    memory.push({
      resident: megabytes('VmRSS', await read('status')),
      proportional: megabytes('Pss', await read('smaps_rollup')),
    });
  }
  const cpu = cpuSeconds(await read('stat')) - before;
  const proportional = median(memory.map((sizes) => sizes.proportional));
  return {
    cpuSecondsPerMinute: (cpu * 60_000) / (clock.now() - began),
    residentMegabytes: median(memory.map(({ resident }) => resident)),
    ...(proportional > 0 && { proportionalMegabytes: proportional }),
  };
}

/**
 * CPU time of the process and of the children it has waited for: fields 14 to 17. Field 2, a name, may hold anything.
 */
function cpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / TICKS_PER_SECOND;
}

/** 0 if the kernel does not report it. */
function megabytes(name: string, text: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) / 1024;
}

main(JSON.parse(process.argv[2]!) as AgentOrder).then(
  (atRest) => process.stdout.write(JSON.stringify(atRest), () => process.exit(0)),
  (error: Error) => process.stderr.write(`${error.message}\n`, () => process.exit(1)),
);

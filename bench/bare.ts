/**
 * The baseline for formation: a bare script that starts the same engines, in the same kind of namespaces and in the
 * same order, and runs `docker swarm init` and `join`. Seat 0 comes first; then the other managers one after the other,
 * and at the same time all workers at once. Runs inside a region's namespaces; prints the milliseconds from no node
 * until every node is Ready.
 */
import { mkdirSync } from 'node:fs';
import { systemClock as clock } from '../protocol/clock';
import type { MachineSpec } from '../rehearsal/aws/core/types';
import { RealMachines } from '../rehearsal/nodes/real-machines';
import { run } from '../rehearsal/nodes/shell';
import { STAND_INS } from '../rehearsal/stand-ins/install';
import type { RegionOrder } from './region';

interface Order extends RegionOrder {
  managers: number;
  workers: number;
}

const DEADLINE_MS = 120_000;
const SUBNET = '10.0.0.0/16';

function machine(number: number): MachineSpec {
  return {
    instanceId: `i-${String(number).padStart(17, '0')}`,
    privateIpAddress: `10.0.0.${10 + number}`,
    subnetCidr: SUBNET,
    availabilityZone: 'us-east-1a',
    instanceType: 't3.small',
    architecture: 'x86_64',
    imageId: 'ami-00000000',
    lifecycle: 'on-demand',
    userData: `#!/bin/bash\nexec /${STAND_INS}/dockerd\n`,
    tags: {},
  };
}

async function until<T>(goal: string, condition: () => Promise<T | undefined>): Promise<T> {
  const deadline = clock.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition().catch(() => undefined);
    if (value !== undefined) return value;
    if (clock.now() > deadline) throw new Error(`Timed out after ${DEADLINE_MS / 1000} s waiting for: ${goal}`);
    await clock.sleep(10);
  }
}

async function main(order: Order): Promise<number> {
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  mkdirSync('/run/rehearsal');
  const machines = await RealMachines.start({
    clock,
    folder: '/run/rehearsal',
    endpoint: 'http://127.0.0.1:1',
    ...order,
  });
  const startEngine = async (spec: MachineSpec) => {
    await machines.launch(spec);
    await until(`the engine of ${spec.privateIpAddress}`, () => machines.engine(spec.instanceId, '/info'));
  };
  const docker = (spec: MachineSpec, ...args: string[]) => machines.exec(spec.instanceId, ['docker', ...args]);

  const started = clock.now();
  const all = Array.from({ length: order.managers + order.workers }, (_, n) => machine(n));
  const [first, ...others] = all.slice(0, order.managers) as [MachineSpec, ...MachineSpec[]];
  await startEngine(first);
  await docker(first, 'swarm', 'init', '--advertise-addr', first.privateIpAddress);
  const token = async (role: string) => (await docker(first, 'swarm', 'join-token', '--quiet', role)).trim();
  const [managerToken, workerToken] = await Promise.all([token('manager'), token('worker')]);
  const join = async (spec: MachineSpec, joinToken: string) => {
    await startEngine(spec);
    await docker(
      spec,
      'swarm',
      'join',
      '--token',
      joinToken,
      '--advertise-addr',
      spec.privateIpAddress,
      `${first.privateIpAddress}:2377`,
    );
  };
  const managers = async () => {
    for (const spec of others) await join(spec, managerToken);
  };
  await Promise.all([managers(), ...all.slice(order.managers).map((spec) => join(spec, workerToken))]);
  await until('all nodes Ready', async () => {
    const nodes = (await machines.engine(first.instanceId, '/nodes')) as {
      Status: { State: string };
      ManagerStatus?: { Reachability: string };
    }[];
    const ready = nodes.filter(
      ({ Status, ManagerStatus }) =>
        Status.State === 'ready' && (!ManagerStatus || ManagerStatus.Reachability === 'reachable'),
    );
    return ready.length === all.length ? ready : undefined;
  });
  return clock.now() - started;
}

main(JSON.parse(process.argv[2]!) as Order).then(
  (ms) => {
    process.stdout.write(`${ms}\n`);
    process.exit(0);
  },
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);

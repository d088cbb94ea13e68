/**
 * Runs as the first process of a region, for conformance.test.ts: engines without agents, one a node, and what may
 * befall them. Takes orders over its IPC channel. A partition drops packets in a node's own network namespace, so that
 * connections which exist go silent as they would in a VPC.
 */
import { mkdirSync } from 'node:fs';
import { systemClock as clock } from '../../protocol/clock';
import { INSTANCE_ID_LABEL } from '../../protocol/labels';
import type { MachineSpec } from '../../rehearsal/aws/core/types';
import { RealMachines } from '../../rehearsal/nodes/real-machines';
import { run } from '../../rehearsal/nodes/shell';
import { STAND_INS } from '../../rehearsal/stand-ins/install';

/** The orders, as conformance-engines.ts sends them. */
export interface Order {
  id: number;
  verb: Exclude<keyof Engines, 'machines'>;
  args: unknown[];
}

export interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

const START_MS = 60_000;
const POLL_MS = 20;
/** Where an engine leaves its process id and that of its containerd. */
const PID_FILES = '/var/run/docker.pid /var/run/docker/containerd/containerd.pid';
const [runId, dockerd, awsStandIn] = process.argv.slice(2) as [string, string, string];

export class Engines {
  private readonly launched = new Set<number>();

  constructor(private readonly machines: RealMachines) {}

  /**
   * Starts the engine, in a new node if it has none yet. Its socket lies in the one folder of a node that other mount
   * namespaces see too.
   */
  async start(engine: number, address: string): Promise<void> {
    if (!this.launched.has(engine)) await this.machines.launch(machine(engine, address));
    this.launched.add(engine);
    const options =
      '--host unix:///var/run/docker.sock --host unix:///var/lib/docker.sock --label ' +
      `${INSTANCE_ID_LABEL}=${instanceId(engine)}`;
    await this.sh(
      engine,
      `rm -f /var/run/docker.sock /var/lib/docker.sock; setsid /${STAND_INS}/dockerd ${options} >> ` +
        '/var/log/docker.log 2>&1 < /dev/null &',
    );
    const deadline = clock.now() + START_MS;
    while (!(await this.answers(engine))) {
      if (clock.now() > deadline)
        throw new Error(`Engine ${engine} does not answer: ${(await this.log(engine)).slice(-2_000)}`);
      await clock.sleep(POLL_MS);
    }
  }

  /** Ends the engine at once, without a word to anybody. Its containerd ends with it or right after. */
  async kill(engine: number): Promise<void> {
    await this.sh(
      engine,
      `for file in ${PID_FILES}; do read -r pid rest < $file; while kill -KILL $pid 2> /dev/null; do sleep ` +
        '0.01; done; done',
    );
  }

  /** Ends the engine as an operating system does. */
  async stop(engine: number): Promise<void> {
    await this.sh(
      engine,
      `read -r pid rest < ${PID_FILES.split(' ')[0]}; kill -TERM $pid && while kill -0 $pid 2> /dev/null; ` +
        'do sleep 0.02; done',
    );
  }

  async cut(engine: number, address: string): Promise<void> {
    await this.sh(engine, `iptables -w -I INPUT -s ${address} -j DROP; iptables -w -I OUTPUT -d ${address} -j DROP`);
  }

  async heal(engine: number, address: string): Promise<void> {
    await this.sh(
      engine,
      `while iptables -w -D INPUT -s ${address} -j DROP 2> /dev/null; do :; done; while iptables -w -D ` +
        `OUTPUT -d ${address} -j DROP 2> /dev/null; do :; done`,
    );
  }

  async changeAddress(engine: number, from: string, to: string): Promise<void> {
    await this.sh(
      engine,
      `ip address add ${to}/16 dev eth0; ip address delete ${from}/16 dev eth0; ip address replace ` +
        `${to}/16 dev eth0; ip route replace default via 10.0.0.1`,
    );
  }

  async log(engine: number): Promise<string> {
    return (await this.machines.readFile(instanceId(engine), '/var/log/docker.log')) ?? '';
  }

  async sh(engine: number, script: string): Promise<string> {
    return this.machines.exec(instanceId(engine), ['/bin/bash', '-c', script]);
  }

  private answers(engine: number): Promise<boolean> {
    return this.machines.engine(instanceId(engine), '/version').then(
      () => true,
      () => false,
    );
  }
}

const instanceId = (engine: number) => `i-${String(engine).padStart(17, '0')}`;

function machine(engine: number, privateIpAddress: string): MachineSpec {
  return {
    instanceId: instanceId(engine),
    privateIpAddress,
    subnetCidr: '10.0.0.0/16',
    availabilityZone: 'us-east-1a',
    instanceType: 't3.small',
    architecture: 'x86_64',
    imageId: 'ami-00000000',
    lifecycle: 'on-demand',
    userData: '#!/bin/sh\n',
    tags: {},
  };
}

async function main(): Promise<void> {
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  mkdirSync('/run/region');
  const machines = await RealMachines.start({
    clock,
    run: runId,
    folder: '/run/region',
    endpoint: 'http://127.0.0.1:1',
    node: process.execPath,
    dockerd,
    awsStandIn,
  });
  const engines = new Engines(machines);
  process.on('message', ({ id, verb, args }: Order) => {
    const work = (engines[verb] as (...given: unknown[]) => Promise<unknown>).apply(engines, args);
    work.then(
      (result) => process.send!({ id, result } satisfies Answer),
      (error: Error) => process.send!({ id, error: error.message } satisfies Answer),
    );
  });
  process.once('disconnect', () => process.exit(0));
  process.send!({ id: 0 } satisfies Answer);
}

void main();

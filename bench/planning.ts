/** How long the plan of all rules takes for a cluster of 1,000 workers, compared with a clone of the observation. */
import { ADMISSION_DEADLINE_MS, WORKER_JOINS } from '../lambda/membership/rules/admit';
import { COMMAND_MS } from '../lambda/membership/draft';
import type { Group } from '../lambda/shared/groups';
import type { Instance, Observation } from '../lambda/membership/observation';
import { plan } from '../lambda/membership/plan';
import { systemClock } from '../protocol/clock';
import { emptyMembership, LEADER_STALE_MS, type LeaderRecord, type Membership } from '../protocol/cluster';
import type { Report } from '../protocol/report';
import type { SwarmNode } from '../protocol/swarm';
import { median, milliseconds } from './statistics';

const WORKERS = 1_000;
const GOAL_MS = 100;
const RUNS = 9;

const NOW = systemClock.now();
const LAUNCHED_AT = NOW - 30_000;
const swarmId = 's'.repeat(25);
const joinToken = (secret: string) => `SWMTKN-1-${'a'.repeat(50)}-${secret.repeat(25)}`;
const idOf = (n: number) => `i-${String(n).padStart(17, '0')}`;
const nodeIdOf = (n: number) => `n${String(n).padStart(24, '0')}`;
const stack = { stackId: 'arn:aws:cloudformation:us-east-1:123456789012:stack/DockerSwarm/1', logicalId: 'Workers' };
const workers: Group = { name: 'workers', role: 'worker', stack };
const seats = [0, 1, 2].map((seat) => ({
  seat,
  volumeId: `vol-${seat}`,
  networkInterfaceId: `eni-${seat}`,
  address: `10.0.${seat}.10`,
}));
const leader: LeaderRecord = {
  swarmId,
  epoch: 20,
  instanceId: idOf(0),
  tokens: { manager: joinToken('m'), worker: joinToken('w') },
  updatedAt: NOW - 1_000,
};
const membership: Membership = {
  ...emptyMembership,
  bootstrap: { seat: 0, instanceId: idOf(0), volumeId: 'vol-0', commandId: 'first' },
};
const inService = { lifecycleState: 'InService' };

/** Managers have the first numbers, workers the following ones. */
const workerNumbers = Array.from({ length: WORKERS }, (_, n) => n + seats.length);
const managers = seats.map(({ seat, address }): Instance => ({
  instanceId: idOf(seat),
  group: { name: `seat-${seat}`, role: 'manager', seat, stack },
  ...inService,
  ec2: { state: 'running', address, launchedAt: LAUNCHED_AT },
}));
const managerNodes = seats.map(({ seat, address }) =>
  node(seat, {
    role: 'manager',
    manager: { leader: seat === 0, reachability: 'reachable', address: `${address}:2377` },
  }),
);
const workerNodes = workerNumbers.map((n) => node(n, {}));

function node(n: number, change: Partial<SwarmNode>): SwarmNode {
  return {
    id: nodeIdOf(n),
    hostname: `node-${n}`,
    role: 'worker',
    availability: 'active',
    state: 'ready',
    instanceId: idOf(n),
    address: addressOf(n),
    ...change,
  };
}

function addressOf(n: number): string {
  return `10.0.${10 + Math.floor(n / 250)}.${n % 250}`;
}

function worker(n: number, change: Partial<Instance>): Instance {
  return {
    instanceId: idOf(n),
    group: workers,
    lifecycleState: 'Pending:Wait',
    ec2: { state: 'running', address: addressOf(n), launchedAt: LAUNCHED_AT },
    ...change,
  };
}

function report(n: number, swarm: Report['swarm']): Report {
  return { instanceId: idOf(n), role: 'worker', address: addressOf(n), engine: { version: '25.0.8' }, swarm };
}

const inactive = (n: number) => report(n, { state: 'inactive', controlAvailable: false });

function observed(workerInstances: Instance[], change: Partial<Observation> = {}): Observation {
  return {
    now: NOW,
    seats,
    settings: { addressPools: ['100.64.0.0/10'], addressPoolPrefixLength: 24 },
    leader,
    nodes: managerNodes,
    stacksLeaving: new Set(),
    gone: new Set(),
    interrupted: new Set(),
    groups: [],
    interfaces: [],
    membership,
    instances: [...managers, ...workerInstances],
    volumes: seats.map(({ seat, volumeId }) => ({ volumeId, state: 'in-use', attachedTo: idOf(seat) })),
    ...change,
  };
}

/** The maximum number of joins in flight. */
const workerJoins = Object.fromEntries(
  workerNumbers
    .slice(0, WORKER_JOINS)
    .map((n) => [idOf(n), { commandId: `command-${n}`, expiresAt: NOW + COMMAND_MS }]),
);
const late = { state: 'running', launchedAt: NOW - ADMISSION_DEADLINE_MS };

const cases: Record<string, Observation> = {
  'at rest': observed(
    workerNumbers.map((n) => worker(n, inService)),
    { nodes: [...managerNodes, ...workerNodes] },
  ),
  'all wait to join': observed(workerNumbers.map((n) => worker(n, { report: inactive(n) }))),
  'all wait to be admitted': observed(
    workerNumbers.map((n) =>
      worker(n, { report: report(n, { state: 'active', nodeId: nodeIdOf(n), swarmId, controlAvailable: false }) }),
    ),
    {
      nodes: [...managerNodes, ...workerNodes],
      membership: { ...membership, workerJoins },
    },
  ),
  'all past their deadline, no quorum': observed(
    workerNumbers.map((n) => worker(n, { ec2: late, report: inactive(n) })),
    { leader: { ...leader, updatedAt: NOW - LEADER_STALE_MS } },
  ),
};

export async function benchPlanning(): Promise<void> {
  for (const [name, observation] of Object.entries(cases)) {
    const work = () => plan(observation, systemClock.uuid);
    const times: Record<'plan' | 'clone', number[]> = { plan: [], clone: [] };
    for (let n = 0; n < RUNS; n++) {
      times.plan.push(milliseconds(work));
      times.clone.push(milliseconds(() => structuredClone(observation)));
    }
    const [planned, cloned] = [median(times.plan), median(times.clone)];
    const { commands, effects } = work();
    console.log(
      `plan for ${WORKERS} workers, ${name} (${commands.length} commands, ${effects.length} effects), ` +
        `median of ${RUNS}: ${planned.toFixed(2)} ms (goal < ${GOAL_MS}), clone of the observation ` +
        `${cloned.toFixed(2)} ms, ratio ${(planned / cloned).toFixed(2)}`,
    );
  }
}

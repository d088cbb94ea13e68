/**
 * The agent, the engine and a function are killed at each step of a formation in turn, and the swarm still forms, every
 * time. Kills of one run are those that do not hide each other: at the moment of each, what the one before has killed
 * must run again. A function that dies with the lease costs up to a minute (the lease's 20 s, then the sweep), so
 * formations run beside each other.
 */
import type { Kill, KillDone } from '../../rehearsal/scenarios/formation-kills';
import { formSwarm, machineState, testBesideOthers } from './support';

/** Formations that go on at a time. */
const PARALLEL = 5;
/** All of them, whatever the machine is busy with. */
const TIMEOUT_MS = 20 * 60_000;
/**
 * An engine of a later seat that dies on its way into raft may come back deaf, and its seat is taken out and joins
 * afresh (rule `return-seat`): that begins two and a half minutes after the command, at a sweep, and takes another one
 * or two where the quorum was lost with it.
 */
const DEAF_MS = 900_000;

type NodeKill = Extract<Kill, { what: 'agent' | 'engine' }>;
type Steps = NodeKill['at'][];

interface Case {
  managers: 1 | 3;
  kills: Kill[];
}

const agent = (node: string, steps: Steps): Kill[] => steps.map((at) => ({ what: 'agent', node, at }));
const engine = (node: string, steps: Steps): Kill[] => steps.map((at) => ({ what: 'engine', node, at }));
const engineAfter = (node: string, afterMs: number): Kill => ({ what: 'engine', node, at: 'command', afterMs });

/**
 * An agent is away for more than a second, in which the node may get further without it: steps that follow each other
 * like this are in different runs. Workers have no volume.
 */
const agentSteps: Steps[] = [['launched', 'ready'], ['userData', 'engine', 'joined'], ['volume', 'command'], ['hook']];
const agentStepsOfWorker = agentSteps.map((some) => some.filter((step) => step !== 'volume'));
/**
 * At `volume` (a worker: `userData`) the engine dies while it starts. No more than two in a run: systemd starts it
 * three times a minute at most.
 */
const engineSteps: Steps[] = [['volume', 'ready'], ['engine', 'hook'], ['command'], ['joined']];
const engineStepsOfWorker = engineSteps.map((some) => some.map((step) => (step === 'volume' ? 'userData' : step)));

const formation = (managers: 1 | 3, ...kills: Kill[][]): Case => ({ managers, kills: kills.flat() });

/**
 * Seats and workers die at all these steps, in each run at other ones than their neighbours. Those that take longest
 * come first.
 */
const nodeCases: Case[] = [
  formation(3, engine('seat 1', ['unheard'])),
  formation(3, engine('seat 2', ['unheard'])),
  formation(
    3,
    agent('seat 0', agentSteps[0]!),
    agent('seat 1', agentSteps[1]!),
    agent('seat 2', agentSteps[3]!),
    agent('worker 1', agentStepsOfWorker[2]!),
  ),
  formation(
    3,
    agent('seat 0', agentSteps[1]!),
    agent('seat 1', agentSteps[0]!),
    agent('seat 2', agentSteps[2]!),
    agent('worker 1', agentStepsOfWorker[3]!),
  ),
  formation(1, agent('seat 0', agentSteps[2]!), agent('worker 1', agentStepsOfWorker[0]!)),
  formation(1, agent('seat 0', agentSteps[3]!), agent('worker 1', agentStepsOfWorker[1]!)),
  formation(
    3,
    engine('seat 0', engineSteps[0]!),
    engine('seat 1', engineSteps[1]!),
    engine('seat 2', engineSteps[2]!),
    engine('worker 1', engineStepsOfWorker[2]!),
  ),
  formation(
    3,
    engine('seat 0', engineSteps[1]!),
    engine('seat 1', engineSteps[0]!),
    engine('seat 2', engineSteps[3]!),
    engine('worker 1', engineStepsOfWorker[3]!),
  ),
  formation(3, engine('seat 1', engineSteps[2]!), engine('seat 2', engineSteps[0]!)),
  formation(3, engine('seat 1', engineSteps[3]!), engine('seat 2', engineSteps[1]!)),
  formation(1, engine('seat 0', engineSteps[2]!), engine('worker 1', engineStepsOfWorker[0]!)),
  formation(1, engine('seat 0', engineSteps[3]!), engine('worker 1', engineStepsOfWorker[1]!)),
];

/**
 * node-join or node-leave, whichever does it: both look when a group is made, and both do what there is to do.
 * The first transaction tells seat 0 to make the swarm; the first of leader-token publishes it. The simulation kills
 * functions at any other call, too.
 */
const functionCases: Case[] = (
  [
    ['LifecycleNode', 'after', 'AttachVolume'],
    ['LifecycleNode', 'before', 'TransactWriteItems'],
    ['LifecycleNode', 'after', 'TransactWriteItems'],
    ['LifecycleNode', 'after', 'CompleteLifecycleAction'],
    ['LifecycleNode', 'after', 'SignalResource'],
    ['LeaderToken', 'after', 'TransactWriteItems'],
    ['LeaderToken', 'after', 'SendMessage'],
  ] as const
).map(([name, at, call]) => ({ managers: 1, kills: [{ what: 'function', function: name, at, call }] }));

function describeKill(kill: Kill): string {
  if (kill.what === 'function') return `${kill.function} ${kill.at} ${kill.call}`;
  return `${kill.what} of ${kill.node} ${kill.afterMs === undefined ? 'at' : `${kill.afterMs} ms after`} ${kill.at}`;
}

/** Whether it was running already when its moment came. */
function ran({ kill }: KillDone): boolean {
  if (kill.what === 'function') return true;
  const before: Steps = kill.what === 'agent' ? ['launched', 'userData'] : ['launched', 'userData', 'volume'];
  return !before.includes(kill.at);
}

let free = PARALLEL;
const queue: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => queue.push(resolve));
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next) next();
    else free++;
  }
}

async function expectFormation({ managers, kills: planned }: Case): Promise<void> {
  const before = machineState();
  const { formed, evidence, deleted } = await inTurn(() => formSwarm(managers, 1, planned, DEAF_MS));
  const said = evidence.kills
    .map(({ kill, killedMs }) => `${describeKill(kill)} (${(killedMs / 1000).toFixed(1)} s)`)
    .join(', ');
  process.stdout.write(`  formed after ${(formed.formationMs / 1000).toFixed(1)} s: ${said}\n`);
  expect(formed.swarm.map(({ role, state }) => `${role} ${state}`).sort()).toEqual([
    ...Array(managers).fill('manager ready'),
    'worker ready',
  ]);
  expect(evidence.published).toHaveLength(1);
  expect(evidence.joined).toEqual(evidence.published);
  expect(evidence.kills.map(({ kill }) => describeKill(kill)).sort()).toEqual(planned.map(describeKill).sort());
  expect(evidence.kills.filter((done) => ran(done) && !done.prompt)).toEqual([]);
  expect(deleted.kept).toEqual([]);
  expect(machineState()).toEqual(before);
}

for (const one of [...nodeCases, ...functionCases]) {
  testBesideOthers(
    `a swarm forms, once, though these are killed: ${one.kills.map(describeKill).join(', ')}`,
    () => expectFormation(one),
    TIMEOUT_MS,
  );
}

testBesideOthers(
  'an agent that dies six times in a row is started again all the same: systemd does not give it up',
  () => expectFormation({ managers: 1, kills: agent('seat 0', Array(6).fill('launched')) }),
  TIMEOUT_MS,
);

/**
 * Docker takes some 200 ms to make a swarm. Killed at 130 ms, it has a swarm without a key to its certificates, which
 * nobody can ever join.
 */
for (const afterMs of [130, 150]) {
  testBesideOthers(
    `an engine that dies ${afterMs} ms after it is to make the swarm makes it in the end`,
    () => expectFormation({ managers: 1, kills: [engineAfter('seat 0', afterMs)] }),
    TIMEOUT_MS,
  );
}

/**
 * Killed in the middle of its join, an engine may come back as another node than the one that the swarm has made a
 * certificate for; nobody is behind the first one then.
 */
for (const afterMs of [50, 200]) {
  testBesideOthers(
    `an engine that dies ${afterMs} ms after it is to join joins in the end`,
    () => expectFormation({ managers: 1, kills: [engineAfter('worker 1', afterMs)] }),
    TIMEOUT_MS,
  );
}

testBesideOthers(
  'a formation fails when the moment of a kill never comes',
  async () => {
    const kills: Kill[] = [{ what: 'engine', node: 'worker 2', at: 'ready' }];
    await expect(inTurn(() => formSwarm(1, 1, kills))).rejects.toThrow(
      `The swarm has formed without the moments of these kills: ${JSON.stringify(kills)}`,
    );
  },
  TIMEOUT_MS,
);

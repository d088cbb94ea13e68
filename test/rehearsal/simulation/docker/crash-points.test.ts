/** An engine may be killed between any two effects that outlive it. What must hold then does not depend on where. */
import { SimulatedDocker } from '../../../../rehearsal/simulation/docker/simulated-docker';
import type { SimulatedDaemon } from '../../../../rehearsal/simulation/docker/daemon';
import { VirtualClock } from '../../../../rehearsal/simulation/virtual-clock';

const LIMIT_MS = 120_000;
const MOST_STEPS = 40;

/** A universe in which the engine at an address is killed after its n-th effect, once. */
function universe(seed: number, killAt: () => { address: string; effect: number }) {
  const clock = new VirtualClock(seed);
  const steps: string[] = [];
  let killed: SimulatedDaemon | undefined;
  const docker = new SimulatedDocker(clock, (daemon, step) => {
    const { address, effect } = killAt();
    if (daemon.address !== address || killed) return;
    steps.push(step);
    if (steps.length !== effect) return;
    killed = daemon;
    daemon.kill();
  });
  const daemon = (n: number) =>
    docker.daemon({
      address: `10.0.0.${n}`,
      hostname: `ip-10-0-0-${n}`,
      disk: {},
      labels: () => ({ 'aws.instance-id': `i-${n}` }),
    });
  const finish = <T>(work: Promise<T>) => clock.finish(work, LIMIT_MS);
  const init = (engine: SimulatedDaemon) =>
    finish(engine.initSwarm({ advertiseAddress: engine.address, addressPools: [], addressPoolPrefixLength: 24 }));
  const join = (engine: SimulatedDaemon, remote: SimulatedDaemon, token: string) =>
    finish(engine.joinSwarm({ remote: remote.address, token, advertiseAddress: engine.address }));
  return { clock, docker, steps, daemon, finish, init, join, killed: () => killed };
}

/** Runs a play with a kill after its first, second, ... effect, until it has no more. Gives the number of effects. */
async function everywhere(play: (effect: number) => Promise<boolean>): Promise<number> {
  for (let effect = 1; effect <= MOST_STEPS; effect++) if (!(await play(effect))) return effect - 1;
  throw new Error(`More than ${MOST_STEPS} effects.`);
}

test('an engine killed anywhere in its init, and started again, has made no swarm or leads the only one', async () => {
  const effects = await everywhere(async (effect) => {
    const { docker, daemon, finish, init, killed } = universe(effect, () => ({ address: '10.0.0.1', effect }));
    const engine = daemon(1);
    const made: unknown[] = [];
    docker.onEvent(({ what, swarmId }) => what === 'bootstrapped' && made.push(swarmId));
    engine.start();
    await init(engine).catch(() => undefined);
    engine.start();
    const { swarm } = await finish(engine.info());
    expect(docker.swarms()).toHaveLength(swarm.state === 'inactive' ? 0 : 1);
    if (swarm.state !== 'inactive')
      expect(swarm).toMatchObject({ state: 'active', swarmId: docker.swarms()[0]!.swarmId, controlAvailable: true });
    if (swarm.state === 'inactive') await init(engine);
    expect(made).toEqual([docker.swarms()[0]!.swarmId]);
    expect(docker.swarms().map(({ leader }) => leader)).toEqual([(await finish(engine.info())).swarm.nodeId]);
    return killed() !== undefined;
  });
  expect(effects).toBeGreaterThanOrEqual(4);
});

test.each(['manager', 'worker'] as const)(
  'a %s killed anywhere in its join, and started again, is nothing, or the one node that it was to be, or ' +
    'the member of raft that it was to be, and deaf',
  async (role) => {
    const effects = await everywhere(async (effect) => {
      const { clock, docker, daemon, finish, init, join, killed } = universe(effect, () => ({
        address: '10.0.0.3',
        effect,
      }));
      const [first, second, joiner] = [daemon(1), daemon(2), daemon(3)] as const;
      for (const engine of [first, second, joiner]) engine.start();
      await init(first);
      const { tokens } = await finish(first.swarm());
      await join(second, first, tokens.manager);
      await join(joiner, first, tokens[role]).catch(() => undefined);
      joiner.start();
      await finish(joiner.info());
      await clock.advance(30_000);
      const { swarm } = await finish(joiner.info());
      const [truth, ...others] = docker.swarms();
      expect(others).toEqual([]);
      expect(truth!.members).toHaveLength(role === 'manager' && swarm.state !== 'inactive' ? 3 : 2);
      if (role === 'manager' && swarm.state === 'pending') {
        expect(truth!.members.find(({ nodeId }) => nodeId === swarm.nodeId)).toMatchObject({
          address: '10.0.0.3',
          alive: false,
        });
        expect(swarm).toEqual({ state: 'pending', nodeId: expect.any(String), controlAvailable: true });
      } else if (swarm.state === 'inactive')
        expect(truth!.nodes.filter(({ state }) => state === 'ready')).toHaveLength(2);
      else
        expect(truth!.nodes.find(({ id }) => id === swarm.nodeId)).toMatchObject({
          role,
          state: 'ready',
          address: '10.0.0.3',
        });
      return killed() !== undefined;
    });
    expect(effects).toBeGreaterThanOrEqual(role === 'manager' ? 5 : 4);
  },
);

test(
  'a leader killed anywhere while it takes in a manager has a successor, and the manager becomes a member or ' +
    'nothing at all',
  async () => {
    await everywhere(async (effect) => {
      let victim = '';
      const { clock, docker, daemon, finish, init, join, killed } = universe(effect, () => ({
        address: victim,
        effect,
      }));
      const [first, second, third, joiner] = [daemon(1), daemon(2), daemon(3), daemon(4)] as const;
      for (const engine of [first, second, third, joiner]) engine.start();
      await init(first);
      const { tokens } = await finish(first.swarm());
      for (const engine of [second, third]) await join(engine, first, tokens.manager);
      victim = first.address;
      await join(joiner, second, tokens.manager).catch(() => undefined);
      await clock.advance(60_000);
      first.start();
      await clock.advance(60_000);
      const [truth] = docker.swarms();
      expect(truth!.leader).toBeDefined();
      const { swarm } = await finish(joiner.info());
      expect(truth!.members.map(({ nodeId }) => nodeId).includes(swarm.nodeId ?? '')).toBe(swarm.state === 'active');
      return killed() !== undefined;
    });
  },
);

test('the same seed gives the same history', async () => {
  const history = async () => {
    const { clock, docker, daemon, finish, init, join } = universe(42, () => ({ address: '', effect: 0 }));
    const events: unknown[] = [];
    docker.onEvent((event) => events.push(event));
    const engines = [1, 2, 3].map(daemon);
    for (const engine of engines) engine.start();
    await init(engines[0]!);
    const { tokens } = await finish(engines[0]!.swarm());
    for (const engine of engines.slice(1)) await join(engine, engines[0]!, tokens.manager);
    engines[0]!.kill();
    await clock.advance(90_000);
    return { events, truth: docker.swarms() };
  };
  const first = await history();
  expect(first.truth[0]!.leader).toBeDefined();
  expect(await history()).toEqual(first);
});

test('a swarm of 1,003 nodes at rest costs nothing, and its list is made once', async () => {
  const { clock, daemon, finish, init, join } = universe(3, () => ({ address: '', effect: 0 }));
  const managers = [1, 2, 3].map(daemon);
  const workers = Array.from({ length: 1_000 }, (_, n) => daemon(1_000 + n));
  for (const engine of [...managers, ...workers]) engine.start();
  await init(managers[0]!);
  const { tokens } = await finish(managers[0]!.swarm());
  for (const engine of managers.slice(1)) await join(engine, managers[0]!, tokens.manager);
  await finish(
    Promise.all(
      workers.map((engine) =>
        engine.joinSwarm({ remote: '10.0.0.1', token: tokens.worker, advertiseAddress: engine.address }),
      ),
    ),
  );
  await clock.advance(60_000);
  const nodes = await finish(managers[2]!.nodes());
  expect(nodes.filter(({ state }) => state === 'ready')).toHaveLength(1_003);
  expect(clock.pending()).toBe(0);
  await clock.advance(86_400_000);
  expect(await finish(managers[2]!.nodes())).toBe(nodes);
});

/**
 * What is true of Docker engines, simulated and real: the one suite for both, so that the simulation cannot drift from
 * Docker. Each scene has engines of its own, and several play at the same time, since most of their time passes in
 * waiting. Times are bounds that hold for both: the least as they are, the most on a machine with nothing else to do.
 */
import { EngineError, type Engine } from '../../../../agent/engine';
import { joinTokenSchema, swarmIdSchema } from '../../../../protocol/body';
import { DRAINED_FOR_LABEL, IDLE_FOR_LABEL } from '../../../../protocol/labels';
import type { PublishedPort, SwarmNode } from '../../../../protocol/swarm';
import * as v from 'valibot';

export interface Engines {
  /** How many times as long as on a machine with nothing else to do something may take. */
  readonly patience: number;
  /** Engines are numbered from 1; two of one number are the same. */
  engine(number: number): Engine;
  /** Whether its disk holds the certificate of a node. */
  isCertified(number: number): Promise<boolean>;
  address(number: number): string;
  /** Resolves once the engine answers. */
  start(number: number): Promise<void>;
  /** SIGKILL. */
  kill(number: number): Promise<void>;
  /** SIGTERM. */
  stop(number: number): Promise<void>;
  /** Loses every packet between two, without a word to either. */
  cut(a: number, b: number): Promise<void>;
  heal(a: number, b: number): Promise<void>;
  /**
   * Joins a manager through another one, which may lead, and kills it when it is a member of raft that has not written
   * down anything of the leader's yet. On real engines that moment is met by chance, so it may have come too late.
   */
  joinUnheard(number: number, remote: number, token: string): Promise<void>;
  /** As an operator does on a manager: from now on services publish these ports, each service one, and no others. */
  publish(number: number, ports: PublishedPort[]): Promise<void>;
  /** The engine does not run meanwhile. */
  changeAddress(number: number, address: string): Promise<void>;
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface Harness {
  begin(): Promise<Engines>;
  /** Waits for what the engines do; virtual time must be moved on for it. */
  finish<T>(work: Promise<T>): Promise<T>;
  end(): Promise<void>;
  /** How many scenes play at the same time. */
  atOnce: number;
  /** How often a scene may be played, on new engines each time, until it holds. */
  tries: number;
  /** Plain `test`, or one that says why it did nothing. */
  test: (sentence: string, body: () => Promise<void>) => void;
}

type Cases = [sentence: string, body: () => Promise<void>][];
type Scene = (stage: Stage) => Cases;

const POLL_MS = 50;
const PATIENCE_MS = 60_000;
const ALREADY =
  'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.';
const NO_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node ' +
  'to swarm and try again.';
const WORKER =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please " +
  'run this command on a manager node or promote the current node to a manager.';
const NO_LEADER =
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers " +
  'are online. Make sure more than half of the managers are online.';

/** So many at a time, in the order they came. */
class Turns {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}

/** A scene's engines, numbered from 1 in the scene, and what scenes do with them. */
class Stage {
  tokens!: { manager: string; worker: string };

  constructor(
    private readonly all: () => Engines,
    private readonly offset: number,
    private readonly turns: Turns,
  ) {}

  engine(number: number): Engine {
    return this.all().engine(this.offset + number);
  }

  address(number: number): string {
    return this.all().address(this.offset + number);
  }

  isCertified(number: number): Promise<boolean> {
    return this.all().isCertified(this.offset + number);
  }

  start(...numbers: number[]): Promise<unknown> {
    return Promise.all(numbers.map((number) => this.all().start(this.offset + number)));
  }

  kill(...numbers: number[]): Promise<unknown> {
    return Promise.all(numbers.map((number) => this.all().kill(this.offset + number)));
  }

  stop(number: number): Promise<void> {
    return this.all().stop(this.offset + number);
  }

  async cut(number: number, ...others: number[]): Promise<void> {
    for (const other of others) await this.all().cut(this.offset + number, this.offset + other);
  }

  async heal(number: number, ...others: number[]): Promise<void> {
    for (const other of others) await this.all().heal(this.offset + number, this.offset + other);
  }

  /** Joins a manager that comes back deaf. */
  async joinDeaf(number: number, remote: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.all().joinUnheard(this.offset + number, this.offset + remote, this.tokens.manager);
      await this.start(number);
      const { state, nodeId } = (await this.engine(number).info()).swarm;
      if (state === 'pending') return;
      if (tries === 16) throw new Error(`Sixteen times it was killed too late, or too early: it is ${state}.`);
      if (state === 'inactive') continue;
      await this.until(
        'it is reachable',
        async () => (await this.node(remote, nodeId!))?.manager?.reachability === 'reachable',
        30_000,
      );
      await this.engine(remote).updateNode(nodeId!, { role: 'worker' });
      await this.until(
        'it serves no longer',
        async () => !(await this.engine(number).info()).swarm.controlAvailable,
        20_000,
      );
      await this.engine(number).leaveSwarm({ force: true });
      await this.engine(remote).removeNode(nodeId!, { force: true });
    }
  }

  publish(number: number, ports: PublishedPort[]): Promise<void> {
    return this.all().publish(this.offset + number, ports);
  }

  changeAddress(number: number, address: string): Promise<void> {
    return this.all().changeAddress(this.offset + number, address);
  }

  sleep(ms: number): Promise<void> {
    return this.all().sleep(ms);
  }

  init(number: number): Promise<void> {
    return this.engine(number).initSwarm({
      advertiseAddress: this.address(number),
      addressPools: ['172.16.0.0/12'],
      addressPoolPrefixLength: 24,
    });
  }

  join(number: number, remote: number, token: string): Promise<void> {
    return this.engine(number).joinSwarm({
      remote: this.address(remote),
      token,
      advertiseAddress: this.address(number),
    });
  }

  /** The first start of a scene's engines. */
  prepare(...numbers: number[]): Promise<unknown> {
    return this.turns.take(() => this.start(...numbers));
  }

  /** Managers 1, 2, ... and workers after them. */
  form(managers: number, workers: number): Promise<void> {
    return this.turns.take(() => this.formNow(managers, workers));
  }

  private async formNow(managers: number, workers: number): Promise<void> {
    const all = Array.from({ length: managers + workers }, (_, n) => n + 1);
    await this.start(...all);
    await this.init(1);
    this.tokens = (await this.engine(1).swarm()).tokens;
    for (const number of all.slice(1))
      await this.join(number, 1, number <= managers ? this.tokens.manager : this.tokens.worker);
    await this.until(
      'all are ready',
      async () => (await this.engine(1).nodes()).filter(({ state }) => state === 'ready').length === all.length,
    );
  }

  async id(number: number): Promise<string> {
    return (await this.engine(number).info()).swarm.nodeId!;
  }

  async state(number: number): Promise<string> {
    return (await this.engine(number).info()).swarm.state;
  }

  /** What the engine `at` says of the node that `id` names. */
  async node(at: number, id: string): Promise<SwarmNode | undefined> {
    return (await this.engine(at).nodes()).find((node) => node.id === id);
  }

  /** Which of these engines leads, by the word of one of them. */
  async leader(at: number, ...numbers: number[]): Promise<number | undefined> {
    for (const number of numbers) if (await this.engine(at).isLeader(this.ids.get(number)!)) return number;
    return undefined;
  }

  /** Node ids, once remembered: an engine that does not run cannot be asked. */
  readonly ids = new Map<number, string>();
  async remember(...numbers: number[]): Promise<void> {
    for (const number of numbers) this.ids.set(number, await this.id(number));
  }

  /** What may take so long on a machine with nothing else to do may take this long here. */
  most(ms: number): number {
    return ms * this.all().patience;
  }

  /** @returns the milliseconds until the condition held; an error in it counts as not yet. */
  async until(what: string, condition: () => Promise<boolean | undefined>, limit = PATIENCE_MS): Promise<number> {
    const from = this.all().now();
    while (!(await condition().catch(() => false))) {
      if (this.all().now() - from > this.most(limit))
        throw new Error(`Not within ${this.most(limit) / 1000} s: ${what}`);
      await this.sleep(POLL_MS);
    }
    return this.all().now() - from;
  }

  async timed<T>(work: Promise<T>): Promise<{ error?: Error; ms: number }> {
    const from = this.all().now();
    const error = await work.then(
      () => undefined,
      (reason: Error) => reason,
    );
    return { ...(error && { error }), ms: this.all().now() - from };
  }

  /** The status and sentence of a refusal, and how long it took. */
  async refusal(work: Promise<unknown>): Promise<[status: number, sentence: string]> {
    const { error } = await this.timed(work);
    if (!(error instanceof EngineError))
      throw new Error(`Not refused by the engine: ${error?.message ?? 'it succeeded'}`);
    return [error.status, error.message];
  }
}

/** One manager after the other, a worker, and what may be asked of them. */
const sentences: Scene = (on) => [
  [
    'an engine outside of any swarm says so',
    async () => {
      await on.prepare(1, 2, 3, 4);
      expect((await on.engine(1).info()).swarm).toEqual({ state: 'inactive', controlAvailable: false });
      expect(await on.refusal(on.engine(1).swarm())).toEqual([503, NO_MANAGER]);
      expect(await on.refusal(on.engine(1).nodes())).toEqual([503, NO_MANAGER]);
      expect(await on.refusal(on.engine(1).leaveSwarm({ force: true }))).toEqual([
        503,
        'This node is not part of a swarm',
      ]);
      expect(await on.isCertified(1)).toBe(false);
    },
  ],
  [
    'init makes a swarm of one manager that leads, and it is all there when the call returns',
    async () => {
      await on.init(1);
      const { swarm } = await on.engine(1).info();
      const state = await on.engine(1).swarm();
      on.tokens = state.tokens;
      expect(await on.isCertified(1)).toBe(true);
      expect(swarm).toEqual({
        state: 'active',
        nodeId: expect.any(String),
        swarmId: state.swarmId,
        controlAvailable: true,
      });
      for (const id of [swarm.nodeId, swarm.swarmId]) expect(v.is(swarmIdSchema, id)).toBe(true);
      for (const token of Object.values(state.tokens)) expect(v.is(joinTokenSchema, token)).toBe(true);
      expect(state.labels).toEqual({});
      const address = on.address(1);
      const [node, ...others] = await on.engine(1).nodes();
      expect(node).toEqual({
        id: swarm.nodeId,
        hostname: `ip-${address.replaceAll('.', '-')}`,
        role: 'manager',
        availability: 'active',
        state: 'ready',
        instanceId: expect.stringMatching(/^i-/),
        address,
        manager: { leader: true, reachability: 'reachable', address: `${address}:2377` },
      });
      expect(others).toEqual([]);
      expect(await on.engine(1).isLeader(swarm.nodeId!)).toBe(true);
    },
  ],
  [
    'the version of a new swarm stays as it is',
    async () => {
      const { version } = await on.engine(1).swarm();
      await on.sleep(3_000);
      expect((await on.engine(1).swarm()).version).toBe(version);
    },
  ],
  [
    'a second init and a join of a member are refused',
    async () => {
      expect(await on.refusal(on.init(1))).toEqual([503, ALREADY]);
      expect(await on.refusal(on.join(1, 2, on.tokens.worker))).toEqual([503, ALREADY]);
    },
  ],
  [
    'a worker joins at once; it is not told which swarm it is in, and may not read it',
    async () => {
      const { error, ms } = await on.timed(on.join(4, 1, on.tokens.worker));
      expect(error).toBeUndefined();
      expect(ms).toBeLessThan(on.most(15_000));
      expect((await on.engine(4).info()).swarm).toEqual({
        state: 'active',
        nodeId: expect.any(String),
        controlAvailable: false,
      });
      expect(await on.refusal(on.engine(4).nodes())).toEqual([503, WORKER]);
      expect(await on.node(1, await on.id(4))).toMatchObject({
        role: 'worker',
        state: 'ready',
        availability: 'active',
        address: on.address(4),
      });
      expect((await on.node(1, await on.id(4)))!.manager).toBeUndefined();
    },
  ],
  [
    'managers join, also through a manager that does not lead',
    async () => {
      await on.join(2, 1, on.tokens.manager);
      await on.join(3, 2, on.tokens.manager);
      await on.remember(1, 2, 3, 4);
      await on.until(
        'both are reachable',
        async () =>
          (await on.engine(3).nodes()).filter(
            ({ manager, state }) => manager?.reachability === 'reachable' && state === 'ready',
          ).length === 3,
      );
      const { swarmId } = await on.engine(1).swarm();
      expect((await on.engine(3).info()).swarm).toEqual({
        state: 'active',
        nodeId: on.ids.get(3),
        swarmId,
        controlAvailable: true,
      });
    },
  ],
  [
    'every manager says who leads, and knows no node that there is not',
    async () => {
      for (const at of [1, 2, 3]) expect(await on.leader(at, 1, 2, 3)).toBe(1);
      expect(await on.refusal(on.engine(2).isLeader('zzzzzzzzzzzzzzzzzzzzzzzzz'))).toEqual([
        404,
        'node zzzzzzzzzzzzzzzzzzzzzzzzz not found',
      ]);
    },
  ],
  [
    'the version index moves with labels, the same value again included, and not with joins, drains, ' +
      'promotions and demotions',
    async () => {
      const version = async () => (await on.engine(2).swarm()).version;
      const first = await version();
      await on.engine(2).updateNode(on.ids.get(4)!, { availability: 'drain' });
      expect((await on.node(3, on.ids.get(4)!))!.availability).toBe('drain');
      await on.engine(2).updateNode(on.ids.get(4)!, { availability: 'active' });
      await on.engine(1).updateNode(on.ids.get(4)!, { role: 'manager' });
      await on.until('it is a member of raft', async () => (await on.node(1, on.ids.get(4)!))!.manager !== undefined);
      await on.until(
        'it is reachable',
        async () =>
          (await on.node(1, on.ids.get(4)!))!.manager?.reachability === 'reachable' &&
          (await on.engine(4).info()).swarm.swarmId !== undefined,
      );
      expect(await on.refusal(on.engine(1).removeNode(on.ids.get(4)!, { force: true }))).toEqual([
        400,
        `rpc error: code = FailedPrecondition desc = node ${on.ids.get(4)} is a cluster manager and is a ` +
          'member of the raft cluster. It must be demoted to worker before removal',
      ]);
      await on.engine(1).updateNode(on.ids.get(4)!, { role: 'worker' });
      await on.until('it has left raft', async () => (await on.node(1, on.ids.get(4)!))!.manager === undefined, 10_000);
      await on.until('it serves no longer', async () => !(await on.engine(4).info()).swarm.controlAvailable, 10_000);
      expect(await version()).toBe(first);
      await on.engine(2).labelSwarm(first, { counter: '1' });
      const second = await version();
      expect(second).toBeGreaterThan(first);
      expect((await on.engine(3).swarm()).labels).toEqual({ counter: '1' });
      await on.engine(2).labelSwarm(second, { counter: '1' });
      expect(await version()).toBeGreaterThan(second);
    },
  ],
  [
    'labels of a node are set and taken off with or without its availability, and nothing else of it changes',
    async () => {
      const id = on.ids.get(4)!;
      const before = await on.node(1, id);
      await on
        .engine(1)
        .updateNode(id, { availability: 'drain', labels: { [DRAINED_FOR_LABEL]: 'i-1', other: 'kept' } });
      expect(await on.node(2, id)).toEqual({ ...before, availability: 'drain', drainedFor: 'i-1' });
      await on.engine(2).updateNode(id, { labels: { [IDLE_FOR_LABEL]: 'i-2' } });
      expect(await on.node(3, id)).toEqual({ ...before, availability: 'drain', drainedFor: 'i-1', idleFor: 'i-2' });
      await on.engine(1).updateNode(id, {
        availability: 'active',
        labels: { [DRAINED_FOR_LABEL]: null, [IDLE_FOR_LABEL]: null, unheard: null },
      });
      expect(await on.node(1, id)).toEqual(before);
    },
  ],
  [
    'rotated join tokens take the place of those that there were, which are good for nothing any more, and ' +
      'labels are committed with them',
    async () => {
      const before = await on.engine(2).swarm();
      expect(await on.refusal(on.engine(2).rotateTokens(before.version - 1, { turn: '1' }))).toEqual([
        500,
        'rpc error: code = Unknown desc = update out of sequence',
      ]);
      expect(await on.engine(1).swarm()).toEqual(before);
      await on.engine(2).rotateTokens(before.version, { turn: '1' });
      const { tokens, labels, version } = await on.engine(1).swarm();
      expect(labels).toEqual({ ...before.labels, turn: '1' });
      expect(version).toBeGreaterThan(before.version);
      for (const role of ['manager', 'worker'] as const) {
        expect(v.is(joinTokenSchema, tokens[role])).toBe(true);
        expect(tokens[role]).not.toBe(before.tokens[role]);
      }
      on.tokens = tokens;
    },
  ],
  [
    'a stale version is refused and changes nothing',
    async () => {
      const { version, labels } = await on.engine(1).swarm();
      expect(await on.refusal(on.engine(2).labelSwarm(version - 1, { counter: '2' }))).toEqual([
        500,
        'rpc error: code = Unknown desc = update out of sequence',
      ]);
      expect(await on.engine(1).swarm()).toMatchObject({ version, labels });
    },
  ],
  [
    'a node that is ready is removed by force only; that moves the version; the node itself is not told',
    async () => {
      // Afresh, so that it never was a manager.
      await on.engine(4).leaveSwarm({ force: false });
      await on.join(4, 1, on.tokens.worker);
      await on.remember(4);
      const id = on.ids.get(4)!;
      expect(await on.refusal(on.engine(1).removeNode(id, { force: false }))).toEqual([
        400,
        `rpc error: code = FailedPrecondition desc = node ${id} is not down and can't be removed`,
      ]);
      const { version } = await on.engine(1).swarm();
      await on.engine(1).removeNode(id, { force: true });
      expect((await on.engine(1).swarm()).version).toBeGreaterThan(version);
      expect(await on.node(2, id)).toBeUndefined();
      await on.sleep(3_000);
      expect((await on.engine(4).info()).swarm).toEqual({ state: 'active', nodeId: id, controlAvailable: false });
    },
  ],
  [
    'a removed node that is started again stays pending for good; it may leave and join anew',
    async () => {
      await on.kill(4);
      await on.start(4);
      expect((await on.engine(4).info()).swarm).toEqual({
        state: 'pending',
        nodeId: on.ids.get(4),
        controlAvailable: false,
      });
      expect(await on.node(1, on.ids.get(4)!)).toBeUndefined();
      await on.engine(4).leaveSwarm({ force: false });
      expect(await on.state(4)).toBe('inactive');
      expect(await on.isCertified(4)).toBe(false);
      await on.join(4, 3, on.tokens.worker);
      expect(await on.id(4)).not.toBe(on.ids.get(4));
    },
  ],
];

/** Joins that find nobody, or the wrong one. */
const failedJoins: Scene = (on) => [
  [
    'a token of the wrong form is refused at once, one of the right form after 10 s; nothing of it stays',
    async () => {
      await on.form(1, 1);
      await on.prepare(3, 4);
      expect(await on.refusal(on.join(3, 1, 'SWMTKN-1-x'))).toEqual([500, 'invalid join token']);
      const wrong = on.tokens.worker.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
      const { error, ms } = await on.timed(on.join(3, 1, wrong));
      expect(error).toMatchObject({
        status: 400,
        message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
      });
      expect(ms).toBeGreaterThan(8_000);
      expect(ms).toBeLessThan(on.most(15_000));
      expect((await on.engine(3).info()).swarm).toEqual({ state: 'inactive', controlAvailable: false });
      expect(await on.engine(1).nodes()).toHaveLength(2);
    },
  ],
  [
    'a remote that is a worker refuses: after 10 s the join has failed, and may be tried again',
    async () => {
      const { error, ms } = await on.timed(on.join(3, 2, on.tokens.manager));
      expect(error).toMatchObject({
        status: 503,
        message: expect.stringMatching(/^rpc error: code = Unavailable desc = connection error: .*connection refused/),
      });
      expect(ms).toBeGreaterThan(8_000);
      expect(ms).toBeLessThan(on.most(15_000));
      expect(await on.state(3)).toBe('inactive');
    },
  ],
  [
    'a remote that is silent: an error after 20 s, then the join goes on in the background, and a second ' +
      'one is refused',
    async () => {
      await on.cut(3, 1);
      const { error, ms } = await on.timed(on.join(3, 1, on.tokens.worker));
      expect(error).toMatchObject({
        status: 503,
        message: expect.stringMatching(
          /^Timeout was reached before node joined\. The attempt to join the swarm will continue in the background\./,
        ),
      });
      expect(ms).toBeGreaterThan(19_000);
      expect(ms).toBeLessThan(on.most(23_000));
      expect((await on.engine(3).info()).swarm).toEqual({ state: 'pending', controlAvailable: false });
      expect(await on.isCertified(3)).toBe(false);
      expect(await on.refusal(on.join(3, 1, on.tokens.worker))).toEqual([503, ALREADY]);
    },
  ],
  [
    'the join in the background succeeds once the remote answers',
    async () => {
      await on.heal(3, 1);
      await on.until('it has joined', async () => (await on.state(3)) === 'active', 12_000);
      expect(await on.node(1, await on.id(3))).toMatchObject({ role: 'worker', state: 'ready' });
    },
  ],
  [
    'the join in the background ends with an error after 35 s; only leaving helps then',
    async () => {
      await on.cut(4, 1);
      const join = on.timed(on.join(4, 1, on.tokens.worker));
      const ms = await on.until('the error', async () => (await on.state(4)) === 'error');
      expect(ms).toBeGreaterThan(30_000);
      expect(ms).toBeLessThan(on.most(42_000));
      await join;
      await on.heal(4, 1);
      await on.sleep(5_000);
      expect((await on.engine(4).info()).swarm).toEqual({ state: 'error', controlAvailable: false });
      expect(await on.isCertified(4)).toBe(false);
      expect(await on.refusal(on.join(4, 1, on.tokens.worker))).toEqual([503, ALREADY]);
      await on.engine(4).leaveSwarm({ force: false });
      await on.join(4, 1, on.tokens.worker);
      expect(await on.engine(1).nodes()).toHaveLength(4);
    },
  ],
];

/** Three managers and a worker lose their leader, then their quorum. */
const leaders: Scene = (on) => {
  let leader: number;
  let follower: number;
  return [
    [
      'a leader that is killed has a successor after 9 to 25 s; until then its followers answer nothing',
      async () => {
        await on.form(3, 1);
        await on.remember(1, 2, 3, 4);
        await on.kill(1);
        const { ms, error } = await on.timed(on.engine(2).info());
        expect(error).toBeUndefined();
        expect(ms).toBeGreaterThan(7_000);
        expect(ms).toBeLessThan(on.most(25_000));
        leader = (await on.leader(2, 2, 3))!;
        follower = leader === 2 ? 3 : 2;
        expect(await on.leader(follower, 1, 2, 3)).toBe(leader);
      },
    ],
    [
      'right after a change of leader nodes are unknown, then ready as they come; the dead one is down 24 ' +
        'to 40 s later',
      async () => {
        expect((await on.node(leader, on.ids.get(1)!))!.state).toBe('unknown');
        await on.until(
          'the living are ready',
          async () => (await on.engine(leader).nodes()).filter(({ state }) => state === 'ready').length === 3,
          15_000,
        );
        const ms = await on.until(
          'the dead one is down',
          async () => (await on.node(leader, on.ids.get(1)!))!.state === 'down',
        );
        expect(ms).toBeGreaterThan(8_000);
        expect(ms).toBeLessThan(on.most(40_000));
        expect((await on.node(leader, on.ids.get(1)!))!.manager).toMatchObject({
          leader: false,
          reachability: 'unreachable',
        });
      },
    ],
    [
      'it comes back as a follower with the same node id',
      async () => {
        await on.start(1);
        await on.until(
          'it is a member again',
          async () =>
            (await on.node(leader, on.ids.get(1)!))?.manager?.reachability === 'reachable' &&
            (await on.node(leader, on.ids.get(1)!))!.state === 'ready',
          30_000,
        );
        await on.until('it follows', async () => (await on.leader(1, 1, 2, 3)) === leader);
        expect((await on.engine(1).info()).swarm).toMatchObject({
          state: 'active',
          nodeId: on.ids.get(1),
          controlAvailable: true,
        });
        expect(await on.engine(1).nodes()).toHaveLength(4);
      },
    ],
    [
      'without a quorum a write fails when the leader steps down, and after some time nobody leads and all ' +
        'reads are refused',
      async () => {
        // Writes go one after the other: one that is on its way already, about a session that has ended, would keep
        // ours from the log. So the first is down for good, and the other is not heard of any more without the end of
        // its session.
        await on.kill(1);
        await on.until('the dead one is down', async () => (await on.node(leader, on.ids.get(1)!))!.state === 'down');
        const { version } = await on.engine(leader).swarm();
        await on.cut(leader, follower);
        const { error, ms } = await on.timed(on.engine(leader).labelSwarm(version, { lost: 'yes' }));
        expect(error).toMatchObject({
          status: 500,
          message: 'rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status',
        });
        expect(ms).toBeGreaterThan(5_000);
        expect(ms).toBeLessThan(on.most(23_000));
        const late = await on.timed(on.engine(leader).swarm());
        expect(late.error).toMatchObject({
          status: 500,
          message: expect.stringMatching(
            /^rpc error: code = (DeadlineExceeded|Unknown) desc = context deadline exceeded$/,
          ),
        });
        expect(late.ms).toBeGreaterThan(19_000);
        for (const ask of [
          () => on.engine(leader).swarm(),
          () => on.engine(leader).nodes(),
          () => on.engine(leader).isLeader(on.ids.get(leader)!),
          () => on.engine(leader).labelSwarm(version, {}),
        ])
          expect(await on.refusal(ask())).toEqual([500, NO_LEADER]);
        expect((await on.engine(leader).info()).swarm).toEqual({
          state: 'active',
          nodeId: on.ids.get(leader),
          controlAvailable: true,
        });
        await on.kill(follower);
        await on.heal(leader, follower);
      },
    ],
    [
      'without a quorum a join fails after 10 s, and nothing of it stays',
      async () => {
        await on.prepare(5);
        const { error, ms } = await on.timed(on.join(5, leader, on.tokens.manager));
        expect(error).toMatchObject({ status: 500, message: NO_LEADER });
        expect(ms).toBeGreaterThan(8_000);
        expect(ms).toBeLessThan(on.most(15_000));
        expect(await on.state(5)).toBe('inactive');
      },
    ],
    [
      'the quorum is back with the second manager, whose engine answers nobody before there is a leader, ' +
        'or 20 s have passed',
      async () => {
        await on.start(follower);
        expect((await on.engine(follower).info()).swarm).toMatchObject({
          state: expect.stringMatching(/active|pending/),
          nodeId: on.ids.get(follower),
          controlAvailable: true,
        });
        // The one whose log is shorter may campaign first, in vain, and put the other off, again and again.
        await on.until('there is a leader', async () => (await on.leader(leader, 2, 3)) !== undefined, 180_000);
        await on.until('it is active', async () => (await on.state(follower)) === 'active', 20_000);
        const { version } = await on.engine(leader).swarm();
        await on.engine(leader).labelSwarm(version, { back: 'yes' });
        expect((await on.engine(follower).swarm()).labels).toMatchObject({ back: 'yes' });
      },
    ],
    [
      'the write that failed was committed after all: it was in the log of the only manager that could be elected',
      async () => {
        expect((await on.engine(follower).swarm()).labels).toEqual({ lost: 'yes', back: 'yes' });
      },
    ],
    [
      'a demotion that would cost the quorum is refused, and so is that of the last manager',
      async () => {
        const at = (await on.leader(2, 2, 3))!;
        const other = at === 2 ? 3 : 2;
        expect(await on.refusal(on.engine(at).updateNode(on.ids.get(other)!, { role: 'worker' }))).toEqual([
          400,
          "rpc error: code = FailedPrecondition desc = can't remove member from the raft: this would " +
            'result in a loss of quorum',
        ]);
        await on.engine(at).updateNode(on.ids.get(1)!, { role: 'worker' });
        await on.until(
          'the dead one has left raft',
          async () => (await on.node(at, on.ids.get(1)!))!.manager === undefined,
          20_000,
        );
        await on.engine(at).updateNode(on.ids.get(other)!, { role: 'worker' });
        await on.until(
          'the other has left raft',
          async () => (await on.node(at, on.ids.get(other)!))!.manager === undefined,
          20_000,
        );
        // The other counts as a manager until its role has followed, some seconds later.
        const last = [
          400,
          'rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm',
        ].join();
        await on.until(
          'it is the last manager',
          async () => (await on.refusal(on.engine(at).updateNode(on.ids.get(at)!, { role: 'worker' }))).join() === last,
          20_000,
        );
      },
    ],
  ];
};

/** Nodes go and come back. */
const nodes: Scene = (on) => {
  const isDown = async () => (await on.node(1, on.ids.get(3)!))!.state === 'down';
  const isReady = async () => (await on.node(1, on.ids.get(3)!))!.state === 'ready';
  return [
    [
      'a worker that is stopped is not down at once but after 7 s or more, as if it had been killed, and ' +
        'ready soon after it is started again',
      async () => {
        await on.form(2, 1);
        await on.remember(1, 2, 3);
        const { ms } = await on.timed(on.stop(3).then(() => on.until('it is down', isDown)));
        expect(ms).toBeGreaterThan(7_000);
        expect(ms).toBeLessThan(on.most(30_000));
        await on.start(3);
        expect((await on.engine(3).info()).swarm).toEqual({
          state: 'active',
          nodeId: on.ids.get(3),
          controlAvailable: false,
        });
        await on.until('it is ready', isReady, 5_000);
      },
    ],
    [
      'a worker that is cut off is down as soon, calls itself active, and is ready within 12 s of the end of the cut',
      async () => {
        await on.cut(3, 1, 2);
        const ms = await on.until('it is down', isDown);
        expect(ms).toBeGreaterThan(7_000);
        expect(ms).toBeLessThan(on.most(20_000));
        expect(await on.state(3)).toBe('active');
        await on.heal(3, 1, 2);
        await on.until('it is ready', isReady, 12_000);
      },
    ],
    [
      'events of nodes reach whoever watches, until they are told to stop',
      async () => {
        const watch = new AbortController();
        let events = 0;
        const watching = on.timed(on.engine(2).watch(() => events++, watch.signal));
        await on.sleep(500);
        await on.engine(1).updateNode(on.ids.get(3)!, { availability: 'drain' });
        await on.until('the event', async () => events > 0, 5_000);
        watch.abort();
        expect((await watching).error).toBeDefined();
        const seen = events;
        await on.engine(1).updateNode(on.ids.get(3)!, { availability: 'active' });
        await on.sleep(500);
        expect(events).toBe(seen);
      },
    ],
    [
      'every manager knows which ports services publish, and tells whoever watches that a service has changed',
      async () => {
        const ports: PublishedPort[] = [
          {
            service: 'web',
            port: 8081,
            protocol: 'tcp',
            mode: 'ingress',
            certificate: 'arn:aws:acm:eu-west-1:123456789012:certificate/1',
          },
          { service: 'dns', port: 8053, protocol: 'udp', mode: 'host' },
        ];
        expect(await on.engine(2).publishedPorts()).toEqual([]);
        const watch = new AbortController();
        const told = new Set<string>();
        const watching = on.timed(on.engine(2).watch((about) => told.add(about), watch.signal));
        await on.sleep(500);
        await on.publish(1, ports);
        await on.until('they are there', async () => (await on.engine(2).publishedPorts()).length === 2, 5_000);
        expect(await on.engine(1).publishedPorts()).toEqual([ports[1], ports[0]]);
        await on.until('the event', async () => told.has('service'), 5_000);
        told.clear();
        await on.publish(2, []);
        await on.until('they are gone', async () => (await on.engine(1).publishedPorts()).length === 0, 5_000);
        await on.until('the event', async () => told.has('service'), 5_000);
        watch.abort();
        await watching;
      },
    ],
    [
      'a worker that leaves stays in the list and is down within 20 s; then it may be removed without force',
      async () => {
        await on.engine(3).leaveSwarm({ force: true });
        expect((await on.engine(3).info()).swarm).toEqual({ state: 'inactive', controlAvailable: false });
        const ms = await on.until('it is down', isDown);
        expect(ms).toBeLessThan(on.most(20_000));
        await on.engine(1).removeNode(on.ids.get(3)!, { force: false });
        expect(await on.engine(2).nodes()).toHaveLength(2);
      },
    ],
    [
      'a manager that leaves by force leaves its member of raft behind: of two, no quorum is left',
      async () => {
        const { version } = await on.engine(1).swarm();
        expect(await on.refusal(on.engine(2).leaveSwarm({ force: false }))).toEqual([
          503,
          expect.stringContaining('participating as a manager'),
        ]);
        await on.engine(2).leaveSwarm({ force: true });
        expect(await on.state(2)).toBe('inactive');
        const { error } = await on.timed(on.engine(1).labelSwarm(version, { a: 'b' }));
        expect(error).toMatchObject({
          status: 500,
          message: 'rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status',
        });
      },
    ],
  ];
};

/** Engines are killed while they join. */
const killedJoins: Scene = (on) => [
  [
    'an engine killed while it waits for its certificate comes back inactive, and nothing of the join goes on',
    async () => {
      await on.form(2, 0);
      await on.prepare(3);
      for (const token of [on.tokens.manager, on.tokens.worker]) {
        await on.cut(3, 1, 2);
        const join = on.timed(on.join(3, 1, token));
        await on.until('it is pending', async () => (await on.state(3)) === 'pending');
        await on.sleep(1_000);
        await on.kill(3);
        expect((await join).error).toMatchObject({ code: expect.stringMatching(/ECONNRESET|ECONNREFUSED/) });
        await on.start(3);
        await on.heal(3, 1, 2);
        await on.sleep(2_000);
        expect((await on.engine(3).info()).swarm).toEqual({ state: 'inactive', controlAvailable: false });
      }
      expect(await on.engine(1).nodes()).toHaveLength(2);
    },
  ],
  [
    'a manager killed at any moment of its join is no member at all or, once started again, the one member ' +
      'that it was to be: never a swarm of its own, never two members',
    async () => {
      const { swarmId } = await on.engine(1).swarm();
      for (const ms of [0, 20, 40, 60, 90, 130, 200, 400]) {
        const known = new Set((await on.engine(1).nodes()).map(({ id }) => id));
        const join = on.timed(on.join(3, 1, on.tokens.manager));
        await on.sleep(ms);
        await on.kill(3);
        await join;
        await on.start(3);
        const { swarm } = await on.engine(3).info();
        if (swarm.state === 'inactive') {
          expect((await on.engine(1).nodes()).filter(({ id, manager }) => !known.has(id) && manager)).toEqual([]);
          continue;
        }
        // A member that is deaf is the one that it was to be all the same.
        if (swarm.swarmId !== undefined)
          expect(swarm).toMatchObject({ state: 'active', swarmId, controlAvailable: true });
        else
          expect(swarm).toEqual({
            state: expect.stringMatching(/active|pending/),
            nodeId: expect.any(String),
            controlAvailable: true,
          });
        await on.until(
          'it is reachable',
          async () => (await on.node(1, swarm.nodeId!))?.manager?.reachability === 'reachable',
          20_000,
        );
        expect((await on.engine(1).nodes()).filter(({ id }) => !known.has(id))).toHaveLength(1);
        await on.engine(1).updateNode(swarm.nodeId!, { role: 'worker' });
        await on.until('it has left raft', async () => (await on.node(1, swarm.nodeId!))!.manager === undefined);
        await on.until('it serves no longer', async () => !(await on.engine(3).info()).swarm.controlAvailable);
        await on.engine(3).leaveSwarm({ force: true });
        await on.engine(1).removeNode(swarm.nodeId!, { force: true });
      }
    },
  ],
];

/** A manager is killed when it has its certificate, and finds nobody when it is started again. */
const forsaken: Scene = (on) => [
  [
    'a manager with a certificate that cannot reach its remote when it is started answers after 20 s, with ' +
      'an error that only another start heals',
    async () => {
      await on.form(2, 0);
      await on.prepare(3);
      // The leader is to reach it, and cannot: it waits for 5 s.
      await on.cut(3, 1);
      const join = on.timed(on.join(3, 2, on.tokens.manager));
      await on.until('it has its certificate', async () => (await on.engine(3).info()).swarm.nodeId !== undefined);
      const { swarm } = await on.engine(3).info();
      await on.cut(3, 2);
      expect(swarm).toMatchObject({ state: 'pending', nodeId: expect.any(String) });
      await on.kill(3);
      await join;
      const { ms } = await on.timed(on.start(3));
      expect(ms).toBeGreaterThan(15_000);
      expect((await on.engine(3).info()).swarm).toEqual({ state: 'error', controlAvailable: false });
      await on.heal(3, 1, 2);
      await on.sleep(10_000);
      expect((await on.engine(3).info()).swarm).toEqual({ state: 'error', controlAvailable: false });
      expect(await on.refusal(on.join(3, 1, on.tokens.manager))).toEqual([503, ALREADY]);
      // It looks like a join that never got anywhere, and is not one.
      expect(await on.isCertified(3)).toBe(true);
      await on.kill(3);
      await on.start(3);
      await on.until(
        'it is a manager',
        async () =>
          (await on.node(1, swarm.nodeId!))?.manager?.reachability === 'reachable' && (await on.state(3)) === 'active',
        30_000,
      );
      expect(await on.id(3)).toBe(swarm.nodeId);
      expect(await on.engine(1).nodes()).toHaveLength(3);
    },
  ],
];

/** One manager is cut off from two others, and comes back. */
const cutOff =
  (role: 'leader' | 'follower'): Scene =>
  (on) => {
    const cut = role === 'leader' ? 1 : 3;
    return [
      [
        `a ${role} that is cut off does not lead for long, if it did, and answers nothing; the others go on`,
        async () => {
          await on.form(3, 0);
          await on.remember(1, 2, 3);
          const { version } = await on.engine(2).swarm();
          await on.cut(cut, ...[1, 2, 3].filter((number) => number !== cut));
          if (role === 'follower')
            await on.until(
              'it is unreachable',
              async () => (await on.node(1, on.ids.get(3)!))!.manager?.reachability === 'unreachable',
              10_000,
            );
          const write = await on.timed(on.engine(cut).labelSwarm(version, { lost: 'yes' }));
          expect(write.error).toBeInstanceOf(EngineError);
          expect(write.ms).toBeLessThan(on.most(25_000));
          await on.until(
            'the others have a leader',
            async () => ((await on.leader(2, 1, 2, 3)) ?? cut) !== cut,
            30_000,
          );
          await on.engine(2).labelSwarm((await on.engine(2).swarm()).version, { kept: 'yes' });
          await on.until(
            'it knows of no leader',
            async () => (await on.refusal(on.engine(cut).nodes()))[1] === NO_LEADER,
            50_000,
          );
        },
      ],
      [
        `that ${role} is a follower again some time after the end of the cut, and has what the others wrote`,
        async () => {
          await on.heal(cut, ...[1, 2, 3].filter((number) => number !== cut));
          await on.until(
            'all agree',
            async () => {
              const leaders = await Promise.all([1, 2, 3].map((at) => on.leader(at, 1, 2, 3)));
              return (
                leaders[0] !== undefined &&
                new Set(leaders).size === 1 &&
                (await on.engine(cut).nodes()).every(
                  ({ state, manager }) => state === 'ready' && manager?.reachability === 'reachable',
                )
              );
            },
            150_000,
          );
          // What it wrote alone is gone: the others' log has a later term.
          expect((await on.engine(cut).swarm()).labels).toEqual({ kept: 'yes' });
          expect(await on.id(cut)).toBe(on.ids.get(cut));
        },
      ],
    ];
  };

/** A demoted manager's certificate is renewed later than it leaves raft. */
const demoted: Scene = (on) => [
  [
    'an engine killed right after its demotion may come back as a member of raft that nobody asked for, ' +
      'and leave it behind unreachable: only a promotion and a demotion take it out',
    async () => {
      await on.form(4, 0);
      await on.remember(1, 4);
      const id = on.ids.get(4)!;
      const member = async () => (await on.node(1, id))!.manager;
      await on.engine(1).updateNode(id, { role: 'worker' });
      await on.until('it serves no longer', async () => !(await on.engine(4).info()).swarm.controlAvailable);
      await on.kill(4);
      expect(await member()).toBeUndefined();
      await on.sleep(10_000);
      await on.start(4);
      await on.until(
        'it has understood',
        async () =>
          !(await on.engine(4).info()).swarm.controlAvailable && (await member())?.reachability !== 'reachable',
        40_000,
      );
      await on.sleep(5_000);
      expect((await on.engine(4).info()).swarm).toEqual({ state: 'active', nodeId: id, controlAvailable: false });
      await on.kill(4);
      const orphan = await member();
      await on.engine(1).updateNode(id, { role: 'worker' });
      expect(await member()).toEqual(orphan && { ...orphan, leader: false, reachability: 'unreachable' });
      await on.engine(1).updateNode(id, { role: 'manager' });
      if (orphan) await on.engine(1).updateNode(id, { role: 'worker' });
      await on.until('it has left raft', async () => (await member()) === undefined, 15_000);
    },
  ],
];

/** A manager's disk goes on at another address. */
const moved: Scene = (on) => [
  [
    'a follower that comes back with another address runs, but raft does not reach it any more, and it reads nothing',
    async () => {
      await on.form(3, 0);
      await on.remember(1, 2, 3);
      await on.kill(3);
      await on.changeAddress(3, `10.0.1.${Number(on.address(3).split('.')[3])}`);
      await on.start(3);
      await on.sleep(30_000);
      expect((await on.node(1, on.ids.get(3)!))!.manager).toMatchObject({ leader: false, reachability: 'unreachable' });
      // Its agent has a session, or has none: that depends on whether it asked its own manager first.
      expect((await on.engine(3).info()).swarm).toEqual({
        state: expect.stringMatching(/active|pending/),
        nodeId: on.ids.get(3),
        controlAvailable: true,
      });
      expect(await on.refusal(on.engine(3).nodes())).toEqual([500, NO_LEADER]);
    },
  ],
];

/** A member of raft that died before it had written down the first entries of its leader, as the third of three. */
const deafThird: Scene = (on) => [
  [
    'comes back deaf: it waits for ever, its node is down, and the leader calls it reachable',
    async () => {
      await on.form(2, 0);
      await on.prepare(3);
      await on.joinDeaf(3, 1);
      const { swarm } = await on.engine(3).info();
      expect(swarm).toEqual({ state: 'pending', nodeId: expect.any(String), controlAvailable: true });
      await on.until('it is down', async () => (await on.node(1, swarm.nodeId!))?.state === 'down');
      await on.sleep(10_000);
      expect((await on.node(1, swarm.nodeId!))!.manager).toMatchObject({ leader: false, reachability: 'reachable' });
      expect((await on.engine(3).info()).swarm).toEqual(swarm);
    },
  ],
  [
    'is no member any more soon after it was demoted, and may be removed; then it leaves and joins afresh',
    async () => {
      const { nodeId } = (await on.engine(3).info()).swarm;
      await on.engine(1).updateNode(nodeId!, { role: 'worker' });
      await on.until('it has left raft', async () => (await on.node(1, nodeId!))!.manager === undefined, 10_000);
      await on.engine(1).removeNode(nodeId!, { force: true });
      await on.engine(3).leaveSwarm({ force: true });
      expect(await on.state(3)).toBe('inactive');
      await on.join(3, 1, on.tokens.manager);
      const id = await on.id(3);
      expect(id).not.toBe(nodeId);
      await on.until(
        'it works',
        async () =>
          (await on.node(2, id))?.state === 'ready' && (await on.node(2, id))?.manager?.reachability === 'reachable',
        15_000,
      );
      expect(await on.engine(1).nodes()).toHaveLength(3);
    },
  ],
];

/** The same as the second of two. */
const deafSecond: Scene = (on) => [
  [
    'takes the quorum with it: both answer, and neither sees a leader',
    async () => {
      await on.form(1, 0);
      await on.remember(1);
      await on.prepare(2);
      await on.engine(1).labelSwarm((await on.engine(1).swarm()).version, { kept: 'yes' });
      await on.joinDeaf(2, 1);
      await on.until(
        'there is no leader',
        async () => (await on.refusal(on.engine(1).nodes()))[1] === NO_LEADER,
        60_000,
      );
      expect((await on.engine(1).info()).swarm).toEqual({
        state: 'active',
        nodeId: on.ids.get(1),
        controlAvailable: true,
      });
      expect((await on.engine(2).info()).swarm).toEqual({
        state: 'pending',
        nodeId: expect.any(String),
        controlAvailable: true,
      });
    },
  ],
  [
    'has left, and the first goes on alone at once: the same swarm, with a version that has grown and all that it had',
    async () => {
      await on.remember(2);
      await on.engine(2).leaveSwarm({ force: true });
      const { error } = await on.timed(on.engine(1).recoverSwarm({ advertiseAddress: on.address(1) }));
      expect(error).toBeUndefined();
      const { swarmId, version, tokens, labels } = await on.engine(1).swarm();
      expect((await on.engine(1).info()).swarm).toEqual({
        state: 'active',
        nodeId: on.ids.get(1),
        swarmId,
        controlAvailable: true,
      });
      expect(tokens).toEqual(on.tokens);
      expect(labels).toEqual({ kept: 'yes' });
      await on.engine(1).labelSwarm(version, { more: 'yes' });
      expect((await on.engine(1).swarm()).version).toBeGreaterThan(version);
      expect(await on.leader(1, 1)).toBe(1);
    },
  ],
  [
    'stays in the list as a manager that is no member, and down 24 to 40 s later; it may be removed then, ' +
      'and its engine joins afresh',
    async () => {
      const left = on.ids.get(2)!;
      expect((await on.node(1, left))!.manager).toBeUndefined();
      await on.until('it is down', async () => (await on.node(1, left))!.state === 'down');
      expect(await on.node(1, left)).toMatchObject({ role: 'manager', address: on.address(2) });
      await on.engine(1).removeNode(left, { force: true });
      await on.join(2, 1, on.tokens.manager);
      const id = await on.id(2);
      await on.until(
        'it works',
        async () =>
          (await on.node(1, id))?.state === 'ready' && (await on.node(1, id))?.manager?.reachability === 'reachable',
        15_000,
      );
      expect(await on.engine(1).nodes()).toHaveLength(2);
    },
  ],
];

/** Managers join after a worker has. */
const lateManagers: Scene = (on) => [
  [
    'a worker that joined through the only manager is ready again when that one is dead, and one of those ' +
      'that came later leads',
    async () => {
      await on.form(1, 1);
      await on.prepare(3, 4);
      for (const number of [3, 4]) await on.join(number, 1, on.tokens.manager);
      await on.remember(1, 2, 3, 4);
      await on.until(
        'they are reachable',
        async () =>
          (await on.engine(1).nodes()).filter(({ manager }) => manager?.reachability === 'reachable').length === 3,
      );
      await on.sleep(1_000);
      await on.kill(1);
      await on.until('another one leads', async () => (await on.leader(3, 3, 4)) !== undefined, 30_000);
      await on.until(
        'the worker has come to it',
        async () => (await on.node(3, on.ids.get(2)!))!.state === 'ready',
        20_000,
      );
    },
  ],
];

const SCENES: [name: string, engines: number, scene: Scene][] = [
  ['in a swarm', 4, sentences],
  ['joins that fail', 4, failedJoins],
  ['leaders', 5, leaders],
  ['nodes', 3, nodes],
  ['killed while joining', 3, killedJoins],
  ['demoted', 4, demoted],
  ['forsaken', 3, forsaken],
  ['cut-off leader', 3, cutOff('leader')],
  ['cut-off follower', 3, cutOff('follower')],
  ['late managers', 4, lateManagers],
  ['moved', 3, moved],
  ['a deaf third', 3, deafThird],
  ['a deaf second', 2, deafSecond],
];

/** Engines of another try are other engines. */
const NEXT_TRY = 100;

export function describeEngine(name: string, harness: Harness): void {
  describe(name, () => {
    let engines: Engines;
    const outcomes = new Map<string, Promise<Failures>>();
    // Engines that start at once on a small machine are late for everything.
    const turns = new Turns(1);
    let offset = 0;
    const scenes = SCENES.map(([sceneName, count, scene]) => {
      const first = offset;
      offset += count;
      const stage = (earlierTries: number) => new Stage(() => engines, first + earlierTries * NEXT_TRY, turns);
      return { sceneName, count, stage, scene };
    });
    type Planned = (typeof scenes)[number];

    async function tryOnce({ count, stage, scene }: Planned, earlierTries: number): Promise<Failures> {
      const on = stage(earlierTries);
      const failures: Failures = new Map();
      for (const [sentence, body] of scene(on)) {
        // What follows in a scene rests on what came before.
        const [before] = failures.keys();
        const { error } =
          before === undefined ? await on.timed(body()) : { error: new Error(`"${before}" failed before.`) };
        if (error) failures.set(sentence, error);
      }
      await Promise.all(Array.from({ length: count }, (_, n) => on.kill(n + 1).catch(() => undefined)));
      return failures;
    }

    async function play(planned: Planned): Promise<Failures> {
      for (let tries = 1; ; tries++) {
        const failures = await tryOnce(planned, tries - 1);
        const [first] = failures;
        if (first === undefined || tries === harness.tries) return failures;
        process.stderr.write(
          `${name}, ${planned.sceneName}: "${first[0]}" failed, and is played again on new engines: ` +
            `${first[1].message}\n`,
        );
      }
    }

    beforeAll(async () => {
      engines = await harness.begin();
      const lanes = new Turns(harness.atOnce);
      for (const planned of scenes)
        outcomes.set(
          planned.sceneName,
          lanes.take(() => play(planned)),
        );
    });
    afterAll(() => harness.end());

    for (const { sceneName, stage, scene } of scenes) {
      for (const [sentence] of scene(stage(0))) {
        harness.test(`${sceneName}: ${sentence}`, async () => {
          const error = (await harness.finish(outcomes.get(sceneName)!)).get(sentence);
          if (error) throw error;
        });
      }
    }
  });
}

/** What went wrong in a scene, by the sentence it went wrong in. */
type Failures = Map<string, Error>;

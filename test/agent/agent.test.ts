import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { Agent } from '../../agent/agent';
import type { Validity } from '../../agent/certificate';
import type { Illness } from '../../agent/health';
import type { Host } from '../../agent/host';
import { Mailbox } from '../../agent/mailbox';
import { commandsCodec, PUBLISHED_TOKENS_ATTRIBUTE, type Command } from '../../protocol/commands';
import { reportCodec, tokensDigest, type Notice, type Report } from '../../protocol/report';
import { ordersCodec } from '../../protocol/orders';
import { decodeSwarmReport, type PublishedPort } from '../../protocol/swarm';
import { DynamoDb } from '../../rehearsal/aws/dynamodb/dynamodb';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';
import { EngineStub, instanceId, memberOf, nodeId, nodeOf, swarmId, tokens } from './engine-stub';

const box = `AROAMANAGER:${instanceId}`;

function start(role: 'manager' | 'worker', startedAtBoot = false) {
  const clock = new VirtualClock();
  const dynamodb = new DynamoDb(clock);
  for (const tableName of ['tokens', 'reports'])
    dynamodb.createTable({ tableName, tableArn: tableName, partitionKey: 'pk', sortKey: 'sk' });
  const principal = { accessKeyId: 'a', role: 'r', arn: 'arn', userId: box };
  let broken = false;
  const client = {
    send: async (command: { input: object }) => {
      if (broken) throw new Error('connect ETIMEDOUT');
      return dynamodb.call(command.constructor.name.replace(/Command$/, ''), command.input, principal);
    },
  } as unknown as DynamoDBClient;
  const engine = new EngineStub();
  engine.running = startedAtBoot;
  const volume = { attached: false, mounted: false };
  let daemonConfig = '';
  const begun = new Set<string>();
  const host: Host = {
    findDevice: async () => (volume.attached ? '/dev/nvme1n1' : undefined),
    isMounted: async () => volume.mounted,
    mountVolume: async () => void (volume.mounted = true),
    configureEngine: async (config) => {
      const changed = daemonConfig !== JSON.stringify(config);
      daemonConfig = JSON.stringify(config);
      return changed;
    },
    stopEngine: async () => void (engine.running = false),
    killEngine: async () => engine.kill(),
    startEngine: async () => {
      if (role === 'manager' && !volume.mounted)
        throw new Error('The condition ConditionPathIsMountPoint was not met.');
      engine.start();
    },
    begin: async (name) => !begun.has(name) && begun.add(name).size > 0,
    isCertified: async () => engine.certified,
    certificateValidity: async () => certificate.validity,
  };
  const certificate: { validity?: Validity } = {};
  const metadata = { notice: (): Notice | undefined => undefined };
  const logged: string[] = [];
  let illness: Illness;
  const makeAgent = () =>
    new Agent({
      config: {
        cluster: 'c',
        role,
        roleId: 'AROAMANAGER',
        region: 'eu-west-1',
        tokenTable: 'tokens',
        reportTable: 'reports',
        logGroup: 'l',
        labels: {},
        daemon: {},
        ...(role === 'manager' && { seat: { number: 0, volumeId: 'vol-1' } }),
      },
      identity: {
        instanceId,
        address: '10.0.0.1',
        zone: 'eu-west-1a',
        instanceType: 't4g.small',
        lifecycle: 'on-demand',
      },
      clock,
      log: (level, message, fields) => void logged.push(JSON.stringify({ level, message, ...fields })),
      engine,
      host,
      metadata: { notice: async () => metadata.notice() },
      health: { see: (seen) => (illness = seen) },
      mailbox: new Mailbox(client, { tokenTable: 'tokens', reportTable: 'reports' }, box),
    });
  let stop = new AbortController();
  let ended = makeAgent().run(stop.signal);
  const item = (table: string, sk: string) =>
    dynamodb
      .items(table)
      .map((one) => unmarshall(one as never))
      .find((one) => one.pk === box && one.sk === sk);
  return {
    clock,
    engine,
    volume,
    logged,
    report: (): Report | undefined => {
      const decoded = reportCodec.decode(item('reports', 'report'));
      return decoded.ok ? decoded.value : undefined;
    },
    swarmReport: () => decodeSwarmReport([item('reports', 'swarm#0')].filter((one) => one !== undefined)),
    overwriteReport: (old: Report) =>
      dynamodb.call(
        'PutItem',
        { TableName: 'reports', Item: marshall({ pk: box, sk: 'report', ...reportCodec.encode(old) }) },
        principal,
      ),
    metadata,
    breakTables: () => void (broken = true),
    certificate,
    illness: () => illness,
    tell: (command: Command | null, attributes: object = {}) =>
      dynamodb.call(
        'PutItem',
        {
          TableName: 'tokens',
          Item: marshall({ pk: box, sk: 'commands', ...commandsCodec.encode({ command }), ...attributes }),
        },
        principal,
      ),
    order: (attributes: object) =>
      dynamodb.call(
        'PutItem',
        { TableName: 'tokens', Item: marshall({ pk: box, sk: 'orders', ...attributes }) },
        principal,
      ),
    /** Lets virtual time pass. */
    pass: (ms: number) => clock.advance(ms),
    /** The agent ends, and systemd starts another. */
    async restart() {
      stop.abort();
      await clock.advance(10_000);
      await ended;
      stop = new AbortController();
      ended = makeAgent().run(stop.signal);
    },
    async end() {
      stop.abort();
      await clock.advance(10_000);
      await ended;
    },
  };
}

const command = { id: 'c1', instanceId, reason: 'test' };
const initCommand = (now: number): Command => ({
  ...command,
  kind: 'init',
  expiresAt: now + 60_000,
  volumeId: 'vol-1',
  advertiseAddress: '10.0.0.1',
  addressPools: ['100.64.0.0/10'],
  addressPoolPrefixLength: 24,
});
const joinCommand = (now: number): Command => ({
  ...command,
  kind: 'join',
  role: 'worker',
  expiresAt: now + 60_000,
  token: tokens.worker,
  swarmId,
  managers: ['10.0.0.1', '10.0.1.1', '10.0.2.1'],
});

describe('an engine that cannot be the node that it was', () => {
  it.each(['no command', 'a command to join', 'an expired command'])(
    'is restarted until it can be, and never leaves the swarm, with %s',
    async (what) => {
      const { engine, volume, clock, logged, tell, pass, end } = start('manager');
      engine.certified = true;
      engine.failingStarts = 2;
      volume.attached = true;
      if (what !== 'no command') await tell(joinCommand(clock.now() - (what === 'an expired command' ? 120_000 : 0)));
      await pass(19_000);
      expect(engine.failingStarts).toBe(1);
      await pass(60_000);
      await end();
      expect(engine.local.state).toBe('active');
      expect(engine.left).toBe(0);
      expect(logged.filter((line) => line.includes('Restarting the Docker engine.'))).toHaveLength(2);
    },
  );
});

describe('an instance that is about to end', () => {
  it('says so in its report as soon as it is told, and goes on working', async () => {
    const { metadata, pass, report, end } = start('worker');
    await pass(10_000);
    expect(report()).not.toHaveProperty('notice');
    metadata.notice = () => 'interruption';
    await pass(6_000);
    expect(report()).toMatchObject({ notice: 'interruption', engine: { version: '25.0.8' } });
    metadata.notice = () => 'termination';
    await pass(6_000);
    metadata.notice = () => {
      throw new Error('Nobody asks any more.');
    };
    await pass(30_000);
    await end();
    expect(report()).toMatchObject({ notice: 'termination', engine: { version: '25.0.8' } });
  });

  it('goes on working when the metadata service fails, and remembers what it was told', async () => {
    const { metadata, pass, report, logged, end } = start('worker');
    metadata.notice = () => 'interruption';
    await pass(10_000);
    metadata.notice = () => {
      throw new Error('connect EHOSTUNREACH');
    };
    await pass(20_000);
    await end();
    expect(report()).toMatchObject({ notice: 'interruption', engine: { version: '25.0.8' } });
    expect(logged.join()).toContain('did not answer whether this instance is about to end');
  });
});

/** A manager that leads a swarm of its own. */
async function leading() {
  const node = start('manager');
  node.engine.certified = true;
  node.volume.attached = true;
  await node.pass(120_000);
  return node;
}

describe('tasks without a node', () => {
  const pendingOf = (read: ReturnType<ReturnType<typeof start>['swarmReport']>) =>
    read.ok ? read.value.tasksPending : read.refusal;

  it('are counted once a minute, together with the node list', async () => {
    const { engine, pass, swarmReport, end } = await leading();
    engine.pending = 3;
    await pass(120_000);
    expect(pendingOf(swarmReport())).toBe(3);
    const before = engine.pendingAsked;
    await pass(600_000);
    await end();
    expect(engine.pendingAsked - before).toBeGreaterThanOrEqual(8);
    expect(engine.pendingAsked - before).toBeLessThanOrEqual(10);
  });

  it('are left out when the engine does not say, which is not asked again at once', async () => {
    const { engine, pass, swarmReport, end } = await leading();
    engine.pending = undefined;
    await pass(120_000);
    const before = engine.pendingAsked;
    await pass(600_000);
    await end();
    expect(engine.pendingAsked - before).toBeLessThanOrEqual(10);
    expect(pendingOf(swarmReport())).toBeUndefined();
  });
});

describe('published ports', () => {
  const web: PublishedPort = { service: 'web', port: 8081, protocol: 'tcp', mode: 'ingress' };
  const portsOf = (read: ReturnType<ReturnType<typeof start>['swarmReport']>) =>
    read.ok ? read.value.ports : read.refusal;

  it('are reported as soon as a service changes, and asked for twice a minute otherwise', async () => {
    const { engine, pass, swarmReport, end } = await leading();
    expect(portsOf(swarmReport())).toEqual([]);
    const before = engine.portsAsked;
    await pass(300_000);
    expect(engine.portsAsked - before).toBeLessThanOrEqual(12);
    engine.ports = [web];
    engine.tell('service');
    await pass(1_000);
    await end();
    expect(portsOf(swarmReport())).toEqual([web]);
  });

  it('are found within half a minute without an event', async () => {
    const { engine, pass, swarmReport, end } = await leading();
    engine.ports = [web];
    await pass(40_000);
    await end();
    expect(portsOf(swarmReport())).toEqual([web]);
  });

  it('stay as they were while the engine does not say, so that nothing is taken down by that', async () => {
    const { engine, pass, swarmReport, end } = await leading();
    engine.ports = [web];
    engine.tell('service');
    await pass(1_000);
    engine.ports = undefined;
    engine.tell('service');
    await pass(100_000);
    expect(portsOf(swarmReport())).toEqual([web]);
    // After some time they are not known any more: nobody decides by them.
    await pass(60_000);
    await end();
    expect(portsOf(swarmReport())).toBeUndefined();
  });
});

describe('load balancers', () => {
  it('are told to send nothing before a node is in the swarm, nor once it is about to end', async () => {
    const { clock, metadata, illness, tell, pass, end } = start('worker');
    await pass(5_000);
    expect(illness()).toBe('The Docker engine is not an active node of a swarm.');
    await tell(joinCommand(clock.now()));
    await pass(10_000);
    expect(illness()).toBeUndefined();
    metadata.notice = () => 'termination';
    await pass(10_000);
    await end();
    expect(illness()).toBe('This instance is leaving the cluster.');
  });

  it('are told the state of the engine when no table could ever be reached', async () => {
    const { illness, pass, breakTables, end } = start('worker');
    breakTables();
    await pass(10_000);
    await end();
    expect(illness()).toBe('The Docker engine is not an active node of a swarm.');
  });

  it('are answered the same while no table can be reached', async () => {
    const { clock, metadata, illness, tell, pass, breakTables, end } = start('worker');
    await tell(joinCommand(clock.now()));
    await pass(10_000);
    breakTables();
    await pass(60_000);
    expect(illness()).toBeUndefined();
    metadata.notice = () => 'termination';
    await pass(30_000);
    await end();
    expect(illness()).toBe('This instance is leaving the cluster.');
  });

  it('are told to send nothing once the node has a tombstone', async () => {
    const { clock, illness, tell, pass, end } = start('worker');
    await tell(joinCommand(clock.now()));
    await pass(10_000);
    await tell(null, { tombstone: clock.now() });
    await pass(25_000);
    await end();
    expect(illness()).toBe('This instance is leaving the cluster.');
  });
});

describe('a certificate that Docker does not renew', () => {
  const days = (count: number) => count * 24 * 3_600_000;

  it('is logged every hour until it is renewed', async () => {
    const { clock, certificate, logged, pass, end } = start('worker');
    const complaints = () => logged.filter((line) => line.includes('CertificatesOverdue')).length;
    certificate.validity = { from: clock.now() - days(70), until: clock.now() + days(20) };
    await pass(60_000);
    expect(complaints()).toBe(0);
    certificate.validity = { from: clock.now() - days(80), until: clock.now() + days(10) };
    await pass(7_200_000);
    expect(complaints()).toBe(2);
    certificate.validity = { from: clock.now(), until: clock.now() + days(90) };
    await pass(3_700_000);
    await end();
    expect(complaints()).toBe(2);
  });
});

describe('an engine that runs and does not answer', () => {
  it('is killed after a minute of silence, and started again', async () => {
    const { engine, pass, report, end } = start('worker');
    await pass(5_000);
    engine.hangs = true;
    await pass(55_000);
    expect(engine.kills).toBe(0);
    await pass(20_000);
    await end();
    expect(engine.kills).toBe(1);
    expect(report()).toMatchObject({ engine: { version: '25.0.8' } });
  });

  it('is killed once a minute at most, however long it stays silent', async () => {
    const { engine, pass, end } = start('worker');
    await pass(5_000);
    engine.hangs = true;
    engine.hangsAgain = true;
    await pass(300_000);
    await end();
    expect(engine.kills).toBeGreaterThan(2);
    expect(engine.kills).toBeLessThan(6);
  });
});

describe('a manager', () => {
  const lost = memberOf('o'.repeat(25), { state: 'down' }, 'unreachable');
  const leading = async () => {
    const node = start('manager');
    node.engine.certified = true;
    node.volume.attached = true;
    node.engine.otherNodes = [structuredClone(lost)];
    await node.pass(5_000);
    return node;
  };

  it('tries a join once for each command, even after a restart of the agent', async () => {
    const node = start('manager');
    node.engine.joinWorks = false;
    node.volume.attached = true;
    const join = { ...joinCommand(node.clock.now()), role: 'manager' } as Command;
    await node.tell(join);
    await node.pass(5_000);
    await node.restart();
    await node.pass(5_000);
    expect(node.engine.joins).toHaveLength(1);
    expect(node.report()).toMatchObject({
      lastCommand: { id: 'c1', outcome: 'failed', error: "A manager's join is attempted only once." },
    });
    await node.tell({ ...join, id: 'c2', expiresAt: node.clock.now() + 60_000 });
    await node.pass(5_000);
    expect(node.engine.joins).toHaveLength(2);
    await node.end();
  });

  it('never begins a join that it refused, even after its clock is set back and its agent restarts', async () => {
    const node = start('manager');
    node.volume.attached = true;
    await node.tell({ ...joinCommand(node.clock.now() - 60_001), role: 'manager' } as Command);
    await node.pass(5_000);
    expect(node.report()).toMatchObject({ lastCommand: { id: 'c1', outcome: 'refused', error: 'It has expired.' } });
    await node.tell({ ...joinCommand(node.clock.now()), role: 'manager' } as Command);
    await node.restart();
    await node.pass(5_000);
    await node.end();
    expect(node.engine.joins).toEqual([]);
  });

  it('that leads carries out its orders, and ignores unreadable ones without logging their contents', async () => {
    const worker = nodeOf('w'.repeat(25), { instanceId: 'i-00000000000000007' });
    const { engine, logged, order, pass, swarmReport, end } = await leading();
    engine.otherNodes = [worker];
    await order({ v: 99, body: 'poison' });
    await pass(5_000);
    expect(logged.join()).toContain('Orders were ignored.');
    expect(logged.join()).not.toContain('poison');
    expect(swarmReport()).toMatchObject({
      ok: true,
      value: { nodes: [{ id: worker.id, availability: 'active' }, { id: nodeId }] },
    });
    await order(
      ordersCodec.encode({ orders: [{ kind: 'release', nodeId: worker.id, instanceId: worker.instanceId! }] }),
    );
    await pass(5_000);
    await end();
    expect(engine.otherNodes).toEqual([]);
    expect(swarmReport()).toMatchObject({ ok: true, value: { nodes: [{ id: nodeId }] } });
  });

  it('that leads removes another when told to, and reports the list without it', async () => {
    const { engine, clock, tell, pass, report, swarmReport, end } = await leading();
    await tell({ ...command, kind: 'remove', expiresAt: clock.now() + 60_000, nodeId: lost.id });
    await pass(5_000);
    await end();
    expect(engine.otherNodes).toEqual([]);
    expect(report()).toMatchObject({ lastCommand: { id: 'c1', outcome: 'done' } });
    expect(swarmReport()).toMatchObject({ ok: true, value: { nodes: [{ id: nodeId }] } });
  });

  it('removes nobody when it does not lead, or when the rest would be no quorum', async () => {
    const { engine, clock, tell, pass, report, end } = await leading();
    engine.leads = false;
    await tell({ ...command, kind: 'remove', expiresAt: clock.now() + 60_000, nodeId: lost.id });
    await pass(5_000);
    expect(report()).toMatchObject({ lastCommand: { outcome: 'refused', error: 'This node is not the leader.' } });
    engine.leads = true;
    engine.otherNodes.push({ ...structuredClone(lost), id: 'p'.repeat(25) });
    await pass(5_000);
    await end();
    expect(report()).toMatchObject({
      lastCommand: { outcome: 'refused', error: 'Only 1 of the other 2 managers work: that is no quorum.' },
    });
    expect(engine.otherNodes).toHaveLength(2);
  });

  it('goes on alone when told to, but only while it sees no leader', async () => {
    const { engine, clock, tell, pass, report, end } = await leading();
    const recover: Command = {
      ...command,
      kind: 'recover',
      expiresAt: clock.now() + 60_000,
      nodeId,
      advertiseAddress: '10.0.0.1',
    };
    await tell(recover);
    await pass(5_000);
    expect(engine.recovered).toEqual([]);
    engine.local = { state: 'active', nodeId, controlAvailable: true };
    await tell({ ...recover, id: 'c2' });
    await pass(5_000);
    await end();
    expect(engine.recovered).toEqual(['10.0.0.1']);
    expect(report()).toMatchObject({ swarm: { swarmId }, lastCommand: { id: 'c2', outcome: 'done' } });
  });

  it('that sees no leader reports for how long, in steps, and starts anew after it has seen one', async () => {
    const { engine, pass, report, end } = await leading();
    engine.local = { state: 'active', nodeId, controlAvailable: true };
    await pass(29_000);
    expect(report()!.leaderless).toBeUndefined();
    await pass(65_000);
    expect(report()!.leaderless).toBe(90);
    engine.local = { state: 'active', nodeId, swarmId, controlAvailable: true };
    await pass(3_000);
    expect(report()!.leaderless).toBeUndefined();
    engine.local = { state: 'active', nodeId, controlAvailable: true };
    await pass(35_000);
    await end();
    expect(report()!.leaderless).toBe(30);
  });

  it('leaves the swarm when told to, but only while it sees no leader', async () => {
    const { engine, clock, tell, pass, report, end } = await leading();
    await tell({ ...command, kind: 'leave', expiresAt: clock.now() + 60_000 });
    await pass(5_000);
    expect(report()).toMatchObject({
      lastCommand: { outcome: 'refused', error: 'This node is a working manager: it sees a leader.' },
    });
    expect(engine.left).toBe(0);
    engine.local = { state: 'pending', nodeId, controlAvailable: true };
    await pass(5_000);
    await end();
    expect(engine.left).toBe(1);
    expect(report()).toMatchObject({ swarm: { state: 'inactive' } });
  });
});

test('an engine that starts and never answers is reported, and not started over and over', async () => {
  const { engine, pass, report, end } = start('worker');
  let starts = 0;
  engine.start = () => void starts++;
  await pass(60_000);
  await end();
  expect(report()).toMatchObject({ instanceId, role: 'worker' });
  expect(starts).toBeLessThan(200);
  expect(starts).toBeGreaterThan(10);
});

test('a manager corrects its report after an older write, with tokens in it, overtook a newer one', async () => {
  const { volume, clock, tell, pass, report, overwriteReport, end } = start('manager');
  volume.attached = true;
  await tell(initCommand(clock.now()));
  await pass(5_000);
  const old = report()!;
  expect(old.tokens).toEqual(tokens);
  await tell(null, { publishedTokens: tokensDigest(tokens) });
  await pass(10_000);
  expect(report()!.tokens).toBeUndefined();
  await overwriteReport(old);
  await pass(310_000);
  await end();
  expect(report()!.tokens).toBeUndefined();
});

test('a leader goes on reporting after its clock is set back', async () => {
  const { engine, volume, clock, tell, pass, swarmReport, end } = start('manager');
  volume.attached = true;
  await tell(initCommand(clock.now()));
  await pass(60_000);
  const epoch = () => {
    const decoded = swarmReport();
    return decoded.ok ? decoded.value.epoch : 0;
  };
  const before = epoch();
  const now = clock.now.bind(clock);
  clock.now = () => now() - 600_000;
  await pass(60_000);
  await end();
  expect(engine.local.state).toBe('active');
  expect(epoch()).toBeGreaterThan(before);
});

describe('a swarm whose engine was killed while it formed it', () => {
  const born = async (prepare: (node: ReturnType<typeof start>) => Promise<void> | void, attributes = {}) => {
    const node = start('manager');
    node.volume.attached = true;
    node.engine.stillborn = true;
    await prepare(node);
    await node.tell(initCommand(node.clock.now()), attributes);
    await node.pass(5_000);
    await node.end();
    return node;
  };

  it('is left and formed anew: nobody ever knew of it', async () => {
    const { engine, swarmReport } = await born(() => undefined);
    expect(engine.inits).toBe(2);
    expect(swarmReport().ok).toBe(true);
  });

  it('is not left when it has another node', async () => {
    const other = nodeOf('o'.repeat(25), { state: 'down' });
    const { engine, logged } = await born((node) => void node.engine.otherNodes.push(other));
    expect(engine.inits).toBe(1);
    expect(logged.join()).toContain('external CA');
  });

  it('is not left when its tokens were published', async () => {
    const { engine } = await born(() => undefined, { publishedTokens: 'digest' });
    expect(engine.inits).toBe(1);
  });
});

describe('the agent of a manager', () => {
  it('reports before its volume is there, then starts the engine, forms the swarm and reports it', async () => {
    const node = start('manager');
    await node.pass(1_000);
    expect(node.report()).toMatchObject({
      instanceId,
      role: 'manager',
      seat: 0,
      volume: { id: 'vol-1', state: 'waiting' },
    });
    expect(node.engine.running).toBe(false);

    node.volume.attached = true;
    await node.pass(1_000);
    expect(node.report()).toMatchObject({ volume: { state: 'mounted' }, swarm: { state: 'inactive' } });

    await node.tell(initCommand(node.clock.now()));
    await node.pass(1_000);
    expect(node.report()).toMatchObject({
      swarm: { state: 'active', nodeId, swarmId },
      lastCommand: { id: 'c1', outcome: 'done' },
      tokens,
    });
    const first = node.swarmReport();
    expect(first).toMatchObject({ ok: true, value: { swarmId, epoch: 11 } });
    expect(node.engine.labels).toEqual({ 'cdk-docker-swarm.fence': '1', 'cdk-docker-swarm.command': 'report' });
    await node.end();
  });

  it('commits its fence at the next try when somebody else changed the swarm in between', async () => {
    const node = start('manager');
    node.engine.othersChange = 2;
    node.volume.attached = true;
    await node.tell(initCommand(node.clock.now()));
    await node.pass(1_000);
    expect(node.swarmReport()).toMatchObject({ ok: true, value: { epoch: 13 } });
    expect(node.logged.join()).not.toContain('A pass failed');
    await node.end();
  });

  it('erases the tokens from its report when it is leaving', async () => {
    const node = start('manager');
    node.volume.attached = true;
    await node.tell(initCommand(node.clock.now()));
    await node.pass(5_000);
    expect(node.report()?.tokens).toEqual(tokens);
    await node.tell(null, { tombstone: node.clock.now() });
    await node.pass(5_000);
    await node.end();
    expect(node.report()).not.toHaveProperty('tokens');
  });

  it('logs nothing of orders while it has none', async () => {
    const node = await leading();
    await node.end();
    expect(node.logged.join()).not.toContain('Orders were ignored.');
  });

  it('erases the tokens from its report once they are published, and only then', async () => {
    const node = start('manager');
    node.volume.attached = true;
    await node.tell(initCommand(node.clock.now()));
    await node.pass(5_000);
    expect(node.report()?.tokens).toEqual(tokens);
    await node.tell(null, { [PUBLISHED_TOKENS_ATTRIBUTE]: 'of other tokens' });
    await node.pass(5_000);
    expect(node.report()?.tokens).toEqual(tokens);
    await node.tell(null, { [PUBLISHED_TOKENS_ATTRIBUTE]: tokensDigest(tokens) });
    await node.pass(5_000);
    expect(node.report()).not.toHaveProperty('tokens');
    expect(node.logged.join()).not.toContain('SWMTKN');
    await node.end();
  });

  it('writes a swarm report every 30 seconds while nothing changes', async () => {
    const node = start('manager');
    node.volume.attached = true;
    await node.tell(initCommand(node.clock.now()), { [PUBLISHED_TOKENS_ATTRIBUTE]: tokensDigest(tokens) });
    await node.pass(5_000);
    const before = node.engine.version;
    await node.pass(20_000);
    expect(node.engine.version).toBe(before);
    await node.pass(100_000);
    expect(node.engine.version - before).toBeGreaterThanOrEqual(3);
    expect(node.engine.version - before).toBeLessThanOrEqual(4);
    await node.end();
  });
});

describe('the agent', () => {
  it("stops an engine that the image started at boot: a manager's state belongs on its volume", async () => {
    const node = start('manager', true);
    await node.pass(1_000);
    expect(node.engine.running).toBe(false);
    node.volume.attached = true;
    await node.pass(1_000);
    expect(node.engine.running).toBe(true);
    await node.end();
  });
});

describe('the agent of a worker', () => {
  it('starts the engine at once, and joins when told to', async () => {
    const node = start('worker');
    await node.pass(1_000);
    expect(node.report()).toMatchObject({ engine: { version: '25.0.8' }, swarm: { state: 'inactive' } });
    await node.tell(joinCommand(node.clock.now()));
    await node.pass(1_000);
    expect(node.report()).toMatchObject({ swarm: { state: 'active', nodeId }, lastCommand: { outcome: 'done' } });
    await node.end();
  });

  it("tries another manager at each try, and reports what failed in Docker's own words", async () => {
    const node = start('worker');
    node.engine.joinWorks = false;
    await node.tell(joinCommand(node.clock.now()));
    await node.pass(6_000);
    expect(node.engine.joins.slice(0, 4)).toEqual(['10.0.0.1', '10.0.1.1', '10.0.2.1', '10.0.0.1']);
    expect(node.report()).toMatchObject({
      lastCommand: { id: 'c1', outcome: 'failed', error: expect.stringContaining('Unavailable') },
    });
    expect(node.engine.joins.length).toBeLessThan(10);
    expect(JSON.stringify(node.report()) + node.logged.join()).not.toContain(tokens.worker);
    await node.end();
  });

  it('ignores a command of another version, logs it without its contents, and goes on', async () => {
    const node = start('worker');
    await node.tell(null, { v: 99, body: 'poison' });
    await node.pass(1_000);
    expect(node.report()).toMatchObject({ swarm: { state: 'inactive' } });
    expect(node.logged.join()).toContain('A command was ignored.');
    expect(node.logged.join()).not.toContain('poison');
    await node.end();
  });
});

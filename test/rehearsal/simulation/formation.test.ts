/** What went wrong in others' clusters while they formed, one after the other, in ours. */
import { leaderCodec } from '../../../protocol/cluster';
import { plainAttributes } from '../../../protocol/items';
import { CLUSTER_PARTITION, LEADER_KEY, PARTITION_KEY, REPORT_KEY, SORT_KEY, SWARM_KEY_PREFIX } from '../../../protocol/keys';
import { reportCodec } from '../../../protocol/report';
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import { MINUTE, Scenario } from './support';

jest.setTimeout(60_000);

const ONE = { managers: 1, workers: 0 };
const THREE = { managers: 3, workers: 1 };

const swarms = (scenario: Scenario) => scenario.cluster.docker.swarms();
const told = (scenario: Scenario, what: string) => scenario.logs.filter((line) => line.includes(`"Told to ${what}.`) && line.includes('"level":"info"') && line.startsWith('Swarm'));
const leader = (scenario: Scenario) => {
  const decoded = leaderCodec.decode(plainAttributes(scenario.item('token', CLUSTER_PARTITION, LEADER_KEY)!));
  if (!decoded.ok) throw new Error(decoded.refusal);
  return decoded.value;
};
/** What a node itself may write: an item of its own mailbox in the report table. */
async function writeReport(scenario: Scenario, node: SimulatedNode, key: string, attributes: Record<string, { S?: string; N?: string }>): Promise<void> {
  const { region } = scenario.cluster;
  const names = Object.keys(attributes);
  const table = scenario.cluster.region.tableItems().find(({ table }) => table.toLowerCase().includes('report'))!.table;
  await region.call({
    service: 'dynamodb',
    action: 'UpdateItem',
    input: {
      TableName: table,
      Key: { [PARTITION_KEY]: { S: node.mailbox }, [SORT_KEY]: { S: key } },
      UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(', ')}`,
      ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
      ExpressionAttributeValues: Object.fromEntries(names.map((name) => [`:${name}`, attributes[name]])),
    },
    accessKeyId: region.credentialsFor(node.identity.instanceId)!.accessKeyId,
  });
}

describe('the bootstrap', () => {
  it('is taken up by the successor when the winner is killed between its command and init', async () => {
    const scenario = await Scenario.begin(ONE);
    let killed: string | undefined;
    scenario.onEffect = (node, effect) => {
      if (effect !== 'initSwarm' || killed !== undefined) return;
      killed = node.identity.instanceId;
      scenario.cluster.loseInstance(killed);
    };
    await scenario.whole();
    expect(killed).toBeDefined();
    expect(swarms(scenario)).toHaveLength(1);
    expect(told(scenario, 'init')).toHaveLength(2);
    expect(scenario.seat(0)!.identity.instanceId).not.toBe(killed);
  });

  it('is inherited by the successor when the winner is killed between init and its report: the very swarm lives on, and nobody is told to make another', async () => {
    const scenario = await Scenario.begin(ONE);
    let made: string | undefined;
    scenario.cluster.docker.onEvent(({ what, swarmId }) => {
      if (what !== 'bootstrapped') return;
      made = swarmId;
      scenario.cluster.loseInstance(scenario.seat(0)!.identity.instanceId);
    });
    await scenario.whole();
    expect(swarms(scenario).map(({ swarmId }) => swarmId)).toEqual([made]);
    expect(told(scenario, 'init')).toHaveLength(1);
    expect(leader(scenario).swarmId).toBe(made);
  });

  it('falls to one when three managers ask at once; the others join it one at a time', async () => {
    const scenario = await Scenario.begin({ ...THREE });
    await scenario.until(() => told(scenario, 'init').length > 0);
    const waiting = scenario.cluster.region.groups().flatMap(({ instances }) => instances).filter(({ state }) => state === 'Pending:Wait');
    expect(waiting).toHaveLength(3);
    const members: number[] = [];
    scenario.cluster.docker.onEvent(({ what }) => what === 'raft-member-added' && members.push(scenario.cluster.clock.now()));
    await scenario.whole();
    expect(swarms(scenario)).toHaveLength(1);
    expect(told(scenario, 'init')).toHaveLength(1);
    expect(members).toHaveLength(2);
  });
});

describe('a join', () => {
  /** Cuts a node off from all managers when it first joins. */
  async function cutOffAtJoin(node: (scenario: Scenario) => SimulatedNode | undefined): Promise<{ scenario: Scenario; joins: () => number; heal: () => void }> {
    const scenario = await Scenario.begin(THREE);
    const { network } = scenario.cluster.docker;
    let joins = 0;
    scenario.onEffect = (one, effect) => {
      if (effect !== 'joinSwarm' || one !== node(scenario)) return;
      if (joins++ > 0) return;
      for (const other of scenario.cluster.machines.nodes.values()) if (other !== one) network.cut(one.identity.address, other.identity.address);
    };
    await scenario.until(() => joins === 1);
    return { scenario, joins: () => joins, heal: () => network.healAll() };
  }

  it('that times out goes on in the background and is waited for: it is not begun twice', async () => {
    const { scenario, joins, heal } = await cutOffAtJoin((one) => one.seat(1));
    await scenario.pass(35_000);
    expect((await scenario.seat(1)!.daemon.info()).swarm.state).toBe('pending');
    heal();
    await scenario.whole();
    expect(joins()).toBe(1);
    expect(swarms(scenario)[0]!.nodes).toHaveLength(4);
  });

  it('that times out and finds nobody until its command expired is ended, and begun anew under another command', async () => {
    const { scenario, joins, heal } = await cutOffAtJoin((one) => one.seat(1));
    await scenario.pass(2 * MINUTE);
    heal();
    await scenario.whole();
    expect(joins()).toBeGreaterThan(1);
    expect(scenario.logs.some((line) => line.includes('Ending the join.'))).toBe(true);
    expect(swarms(scenario)).toHaveLength(1);
  });

  it('leaves no token behind: not in mailboxes and reports, nor in events, queues and logs', async () => {
    const scenario = await Scenario.begin(THREE);
    let seen = 0;
    scenario.onCall = ({ input }) => void (JSON.stringify(input).includes('SWMTKN-') && seen++);
    await scenario.whole();
    // Else the search below would find nothing because there was nothing.
    expect(seen).toBeGreaterThan(3);
    const holders = scenario.cluster.region.tableItems().filter(({ item }) => JSON.stringify(item).includes('SWMTKN-'));
    expect(holders.map(({ item }) => `${item.pk?.S} / ${item.sk?.S}`)).toEqual(['cluster / leader']);
    expect(scenario.logs.filter((line) => line.includes('SWMTKN-'))).toEqual([]);
  });
});

describe('a report', () => {
  /** Its own agent, which would put its report right again, does not reach AWS: whoever writes in its name has taken its credentials. */
  async function silencedWorker(scenario: Scenario): Promise<SimulatedNode> {
    await scenario.until(() => scenario.workers().length > 0 && scenario.item('report', scenario.workers()[0]!.mailbox, REPORT_KEY) !== undefined);
    const [worker] = scenario.workers();
    scenario.cluster.isolated.add(worker!.identity.instanceId);
    return worker!;
  }

  it('with another swarm id is refused and alarmed, and its node not admitted, until it speaks the truth', async () => {
    const foreign = 'z'.repeat(25);
    let lying = true;
    const scenario: Scenario = await Scenario.begin(THREE, {
      tamper: (_, action, input) => {
        const ofSeat1 = lying && action === 'UpdateItem' && input.Key?.pk?.S === scenario.seat(1)?.mailbox && input.Key?.sk?.S === REPORT_KEY;
        return ofSeat1 ? JSON.parse(JSON.stringify(input).replaceAll(swarms(scenario)[0]!.swarmId, foreign)) : input;
      },
    });
    await scenario.until(() => scenario.logs.some((line) => line.includes('member of another swarm')));
    expect(scenario.logs.find((line) => line.includes('member of another swarm'))).toContain('"metric":"MembershipAlarms"');
    await scenario.pass(MINUTE);
    expect(scenario.events.some(({ what, subject }) => what === 'hook-completed' && subject === scenario.seat(1)!.identity.instanceId)).toBe(false);
    lying = false;
    scenario.seat(1)!.killAgent();
    await scenario.whole();
    expect(leader(scenario).swarmId).not.toBe(foreign);
  });

  it('with a stale epoch changes nothing', async () => {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.stack === 'created');
    const first = scenario.calls.find(({ action, input }) => action === 'UpdateItem' && String(input.Key?.sk?.S).startsWith(SWARM_KEY_PREFIX))!;
    await scenario.whole();
    const before = leader(scenario);
    const refusals = scenario.logs.filter((line) => line.includes('which is published')).length;
    const values = Object.fromEntries(Object.entries(first.input.ExpressionAttributeNames as Record<string, string>).map(([name, attribute]) => [attribute, first.input.ExpressionAttributeValues[name.replace('#', ':')]]));
    await writeReport(scenario, scenario.seat(0)!, `${SWARM_KEY_PREFIX}0`, values);
    await scenario.until(() => scenario.logs.filter((line) => line.includes('which is published')).length > refusals, MINUTE);
    expect(leader(scenario).epoch).toBeGreaterThanOrEqual(before.epoch);
    await scenario.whole();
  });

  it('of 10 MB, in as many items as it takes, neither stops nor starves the others', async () => {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.seat(1) !== undefined && scenario.item('report', scenario.seat(1)!.mailbox, REPORT_KEY) !== undefined);
    const forger = scenario.seat(1)!;
    const body = 'A'.repeat(256 * 1024);
    for (let n = 0; n < 40; n++) await writeReport(scenario, forger, `${SWARM_KEY_PREFIX}${n}`, { v: { N: '1' }, epoch: { N: '999999' }, chunks: { N: '40' }, body: { S: body } });
    await scenario.whole();
    expect(scenario.logs.some((line) => line.includes('A swarm report was ignored.') && line.includes(forger.identity.instanceId))).toBe(true);
    expect(leader(scenario).epoch).toBeLessThan(999_999);
  });

  it('that is one item beyond what DynamoDB holds is refused by it, and the largest one that fits is ignored for its size', async () => {
    const scenario = await Scenario.begin(THREE);
    const worker = await silencedWorker(scenario);
    await expect(writeReport(scenario, worker, REPORT_KEY, { v: { N: '1' }, body: { S: 'A'.repeat(10 * 1024 * 1024) } })).rejects.toThrow(/size/i);
    await writeReport(scenario, worker, REPORT_KEY, { v: { N: '1' }, body: { S: 'A'.repeat(390 * 1024) } });
    await scenario.until(() => scenario.logs.some((line) => line.includes('A report was ignored.') && line.includes('"refusal":"size"')));
    scenario.cluster.isolated.clear();
    worker.killAgent();
    await scenario.whole();
  });

  it('of another role is ignored: a worker is no manager because it says so, and leads no swarm', async () => {
    const scenario = await Scenario.begin(THREE);
    const worker = await silencedWorker(scenario);
    const { instanceId, address } = worker.identity;
    const { v, body } = reportCodec.encode({ instanceId, role: 'manager', seat: 2, address });
    await writeReport(scenario, worker, REPORT_KEY, { v: { N: String(v) }, body: { S: body } });
    await writeReport(scenario, worker, `${SWARM_KEY_PREFIX}0`, { v: { N: '1' }, epoch: { N: '999999' }, chunks: { N: '1' }, body: { S: 'x' } });
    await scenario.until(() => ['contradicts what AWS says', 'it lies in no mailbox of a manager'].every((refusal) => scenario.logs.some((line) => line.includes(refusal))));
    scenario.cluster.isolated.clear();
    worker.killAgent();
    await scenario.whole();
    expect(leader(scenario).epoch).toBeLessThan(999_999);
  });
});

describe('a launch hook past its deadline', () => {
  const waitingAt = (scenario: Scenario, node: SimulatedNode) => scenario.events.filter(({ what, subject }) => what === 'hook-completed' && subject === node.identity.instanceId);

  it('is abandoned while a quorum reports, and the successor is admitted', async () => {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.workers().length > 0);
    const silent = scenario.workers()[0]!;
    scenario.cluster.isolated.add(silent.identity.instanceId);
    await scenario.until(() => waitingAt(scenario, silent).length > 0, 14 * MINUTE);
    expect(waitingAt(scenario, silent)[0]!.detail).toMatchObject({ result: 'ABANDON' });
    await scenario.whole();
    expect(scenario.workers()[0]).not.toBe(silent);
  });

  it('is extended while no quorum reports, and the very instance is admitted once one does', async () => {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.workers().length > 0);
    const { isolated, machines } = scenario.cluster;
    const worker = scenario.workers()[0]!;
    // It has spoken, and is kept from going further; then nobody reaches AWS any more.
    scenario.cluster.docker.network.cut(worker.identity.address, scenario.seat(0)!.identity.address);
    await scenario.until(() => scenario.item('report', worker.mailbox, REPORT_KEY) !== undefined && scenario.seat(1) !== undefined);
    for (const instanceId of machines.nodes.keys()) isolated.add(instanceId);
    await scenario.until(() => scenario.logs.some((line) => line.includes('Done: extend-hook.') && line.includes(worker.identity.instanceId)), 14 * MINUTE);
    isolated.clear();
    scenario.cluster.docker.network.healAll();
    await scenario.until(() => waitingAt(scenario, worker).length > 0, 5 * MINUTE);
    expect(waitingAt(scenario, worker)[0]!.detail).toMatchObject({ result: 'CONTINUE' });
  });
});

describe('a member of raft whose agent is silent past its deadline', () => {
  it('is kept while the others would be no quorum without it, and admitted once it is heard', async () => {
    const scenario = await Scenario.begin(THREE);
    const { docker, isolated } = scenario.cluster;
    docker.onEvent(({ what, address }) => what === 'node-created' && address === scenario.seat(1)?.identity.address && isolated.add(scenario.seat(1)!.identity.instanceId));
    await scenario.until(() => isolated.size > 0);
    const silent = scenario.seat(1)!;
    await scenario.until(() => scenario.logs.some((line) => line.includes('Done: extend-hook.') && line.includes(silent.identity.instanceId)), 14 * MINUTE);
    expect(swarms(scenario)[0]!.hasQuorum).toBe(true);
    await scenario.pass(2 * MINUTE);
    expect(scenario.events.some(({ what, subject }) => what === 'hook-completed' && subject === silent.identity.instanceId)).toBe(false);
    isolated.clear();
    await scenario.until(() => scenario.events.some(({ what, subject, detail }) => what === 'hook-completed' && subject === silent.identity.instanceId && detail.result === 'CONTINUE'));
    expect(scenario.invariants.breaches).toEqual([]);
  });
});

describe('a seat whose user data failed in an outage', () => {
  it('is given up and replaced though no quorum reports: it has never spoken, and holds no volume', async () => {
    const scenario = await Scenario.begin(ONE);
    await scenario.whole();
    const { isolated } = scenario.cluster;
    const first = scenario.seat(0)!;
    scenario.cluster.loseInstance(first.identity.instanceId);
    await scenario.until(() => scenario.seat(0) !== undefined);
    const silent = scenario.seat(0)!.identity.instanceId;
    isolated.add(silent);
    await scenario.until(() => scenario.logs.some((line) => line.includes(`${silent}: User data failed`)));
    isolated.delete(silent);
    await scenario.until(() => scenario.events.some(({ what, subject, detail }) => what === 'hook-completed' && subject === silent && detail.result === 'ABANDON'));
    await scenario.whole();
    expect(swarms(scenario)).toHaveLength(1);
  });
});

describe('identity', () => {
  it('is the label and the mailbox, not the address: the successor of a seat has the address of a node that is still listed Ready, and is not taken for it', async () => {
    const scenario = await Scenario.begin(THREE);
    await scenario.until(() => scenario.seat(1) !== undefined && swarms(scenario)[0]?.nodes.some(({ instanceId }) => instanceId === scenario.seat(1)!.identity.instanceId) === true);
    const first = scenario.seat(1)!;
    const { address } = first.identity;
    await scenario.whole();
    scenario.cluster.loseInstance(first.identity.instanceId);
    await scenario.until(() => scenario.seat(1) !== undefined && scenario.seat(1) !== first);
    const second = scenario.seat(1)!;
    expect(second.identity.address).toBe(address);
    let labelled: number | undefined;
    await scenario.until(() => {
      if (swarms(scenario)[0]!.nodes.some(({ instanceId }) => instanceId === second.identity.instanceId)) labelled ??= scenario.cluster.clock.now();
      return scenario.events.some(({ what, subject, detail }) => what === 'hook-completed' && detail.hook === 'launch' && subject === second.identity.instanceId);
    });
    expect(labelled).toBeDefined();
    await scenario.whole();
  });
});

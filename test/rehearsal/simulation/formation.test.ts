/** What went wrong in others' clusters while they formed, one after the other, in ours. */
import { leaderCodec } from '../../../protocol/cluster';
import { plainAttributes } from '../../../protocol/items';
import {
  CLUSTER_PARTITION,
  LEADER_KEY,
  PARTITION_KEY,
  REPORT_KEY,
  SORT_KEY,
  SWARM_KEY_PREFIX,
} from '../../../protocol/keys';
import { reportCodec } from '../../../protocol/report';
import type { SimulatedNode } from '../../../rehearsal/simulation/cluster/node';
import { MINUTE, Story } from './support';

jest.setTimeout(60_000);

const ONE = { managers: 1, workers: 0 };
const THREE = { managers: 3, workers: 1 };

const swarms = (story: Story) => story.cluster.docker.swarms();
const told = (story: Story, what: string) =>
  story.logs.filter(
    (line) => line.includes(`"Told to ${what}.`) && line.includes('"level":"info"') && line.startsWith('Swarm'),
  );
const leader = (story: Story) => {
  const decoded = leaderCodec.decode(plainAttributes(story.item('token', CLUSTER_PARTITION, LEADER_KEY)!));
  if (!decoded.ok) throw new Error(decoded.refusal);
  return decoded.value;
};
/** What a node itself may write: an item of its own mailbox in the report table. */
async function writeReport(
  story: Story,
  node: SimulatedNode,
  key: string,
  attributes: Record<string, { S?: string; N?: string }>,
): Promise<void> {
  const { region } = story.cluster;
  const names = Object.keys(attributes);
  const table = story.cluster.region.tableItems().find(({ table }) => table.toLowerCase().includes('report'))!.table;
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
    const story = await Story.begin(ONE);
    let killed: string | undefined;
    story.onEffect = (node, effect) => {
      if (effect !== 'initSwarm' || killed !== undefined) return;
      killed = node.identity.instanceId;
      story.cluster.loseInstance(killed);
    };
    await story.whole();
    expect(killed).toBeDefined();
    expect(swarms(story)).toHaveLength(1);
    expect(told(story, 'init')).toHaveLength(2);
    expect(story.seat(0)!.identity.instanceId).not.toBe(killed);
  });

  it(
    'is inherited by the successor when the winner is killed between init and its report: the very swarm ' +
      'lives on, and nobody is told to make another',
    async () => {
      const story = await Story.begin(ONE);
      let made: string | undefined;
      story.cluster.docker.onEvent(({ what, swarmId }) => {
        if (what !== 'bootstrapped') return;
        made = swarmId;
        story.cluster.loseInstance(story.seat(0)!.identity.instanceId);
      });
      await story.whole();
      expect(swarms(story).map(({ swarmId }) => swarmId)).toEqual([made]);
      expect(told(story, 'init')).toHaveLength(1);
      expect(leader(story).swarmId).toBe(made);
    },
  );

  it('falls to one when three managers ask at once; the others join it one at a time', async () => {
    const story = await Story.begin({ ...THREE });
    await story.until(() => told(story, 'init').length > 0);
    const waiting = story.cluster.region
      .groups()
      .flatMap(({ instances }) => instances)
      .filter(({ state }) => state === 'Pending:Wait');
    expect(waiting).toHaveLength(3);
    const members: number[] = [];
    story.cluster.docker.onEvent(({ what }) => what === 'raft-member-added' && members.push(story.cluster.clock.now()));
    await story.whole();
    expect(swarms(story)).toHaveLength(1);
    expect(told(story, 'init')).toHaveLength(1);
    expect(members).toHaveLength(2);
  });
});

describe('a join', () => {
  /** Cuts a node off from all managers when it first joins. */
  async function cutOffAtJoin(
    node: (story: Story) => SimulatedNode | undefined,
  ): Promise<{ story: Story; joins: () => number; heal: () => void }> {
    const story = await Story.begin(THREE);
    const { network } = story.cluster.docker;
    let joins = 0;
    story.onEffect = (one, effect) => {
      if (effect !== 'joinSwarm' || one !== node(story)) return;
      if (joins++ > 0) return;
      for (const other of story.cluster.machines.nodes.values())
        if (other !== one) network.cut(one.identity.address, other.identity.address);
    };
    await story.until(() => joins === 1);
    return { story, joins: () => joins, heal: () => network.healAll() };
  }

  it('that times out goes on in the background and is waited for: it is not begun twice', async () => {
    const { story, joins, heal } = await cutOffAtJoin((one) => one.seat(1));
    await story.pass(35_000);
    expect((await story.seat(1)!.daemon.info()).swarm.state).toBe('pending');
    heal();
    await story.whole();
    expect(joins()).toBe(1);
    expect(swarms(story)[0]!.nodes).toHaveLength(4);
  });

  it('that times out and finds nobody until its command expired is ended, and begun anew', async () => {
    const { story, joins, heal } = await cutOffAtJoin((one) => one.seat(1));
    await story.pass(2 * MINUTE);
    heal();
    await story.whole();
    expect(joins()).toBeGreaterThan(1);
    expect(story.logs.some((line) => line.includes('Aborting the join.'))).toBe(true);
    expect(swarms(story)).toHaveLength(1);
  });

  it('leaves no token behind: not in mailboxes and reports, nor in events, queues and logs', async () => {
    const story = await Story.begin(THREE);
    let seen = 0;
    story.onCall = ({ input }) => void (JSON.stringify(input).includes('SWMTKN-') && seen++);
    await story.whole();
    // Else the search below would find nothing because there was nothing.
    expect(seen).toBeGreaterThan(3);
    const holders = story.cluster.region.tableItems().filter(({ item }) => JSON.stringify(item).includes('SWMTKN-'));
    expect(holders.map(({ item }) => `${item.pk?.S} / ${item.sk?.S}`)).toEqual(['cluster / leader']);
    expect(story.logs.filter((line) => line.includes('SWMTKN-'))).toEqual([]);
  });
});

describe('a report', () => {
  /**
   * Its own agent, which would put its report right again, does not reach AWS: whoever writes in its name has taken its
   * credentials.
   */
  async function silencedWorker(story: Story): Promise<SimulatedNode> {
    await story.until(
      () => story.workers().length > 0 && story.item('report', story.workers()[0]!.mailbox, REPORT_KEY) !== undefined,
    );
    const [worker] = story.workers();
    story.cluster.isolated.add(worker!.identity.instanceId);
    return worker!;
  }

  it('with another swarm id is refused and alarmed, and its node not admitted, until it speaks the truth', async () => {
    const foreign = 'z'.repeat(25);
    let lying = true;
    const story: Story = await Story.begin(THREE, {
      tamper: (_, action, input) => {
        const ofSeat1 =
          lying &&
          action === 'UpdateItem' &&
          input.Key?.pk?.S === story.seat(1)?.mailbox &&
          input.Key?.sk?.S === REPORT_KEY;
        return ofSeat1 ? JSON.parse(JSON.stringify(input).replaceAll(swarms(story)[0]!.swarmId, foreign)) : input;
      },
    });
    await story.until(() => story.logs.some((line) => line.includes('member of another swarm')));
    expect(story.logs.find((line) => line.includes('member of another swarm'))).toContain(
      '"metric":"MembershipAlarms"',
    );
    await story.pass(MINUTE);
    expect(
      story.events.some(
        ({ what, subject }) => what === 'hook-completed' && subject === story.seat(1)!.identity.instanceId,
      ),
    ).toBe(false);
    lying = false;
    story.seat(1)!.killAgent();
    await story.whole();
    expect(leader(story).swarmId).not.toBe(foreign);
  });

  it('with a stale epoch changes nothing', async () => {
    const story = await Story.begin(THREE);
    await story.until(() => story.stack === 'created');
    const first = story.calls.find(
      ({ action, input }) => action === 'UpdateItem' && String(input.Key?.sk?.S).startsWith(SWARM_KEY_PREFIX),
    )!;
    await story.whole();
    const before = leader(story);
    const refusals = story.logs.filter((line) => line.includes('is not above the published')).length;
    const values = Object.fromEntries(
      Object.entries(first.input.ExpressionAttributeNames as Record<string, string>).map(([name, attribute]) => [
        attribute,
        first.input.ExpressionAttributeValues[name.replace('#', ':')],
      ]),
    );
    await writeReport(story, story.seat(0)!, `${SWARM_KEY_PREFIX}0`, values);
    await story.until(
      () => story.logs.filter((line) => line.includes('is not above the published')).length > refusals,
      MINUTE,
    );
    expect(leader(story).epoch).toBeGreaterThanOrEqual(before.epoch);
    await story.whole();
  });

  it('of 10 MB, in as many items as it takes, neither stops nor starves the others', async () => {
    const story = await Story.begin(THREE);
    await story.until(
      () => story.seat(1) !== undefined && story.item('report', story.seat(1)!.mailbox, REPORT_KEY) !== undefined,
    );
    const forger = story.seat(1)!;
    const body = 'A'.repeat(256 * 1024);
    for (let n = 0; n < 40; n++)
      await writeReport(story, forger, `${SWARM_KEY_PREFIX}${n}`, {
        v: { N: '1' },
        epoch: { N: '999999' },
        chunks: { N: '40' },
        body: { S: body },
      });
    await story.whole();
    expect(
      story.logs.some(
        (line) => line.includes('A swarm report was ignored.') && line.includes(forger.identity.instanceId),
      ),
    ).toBe(true);
    expect(leader(story).epoch).toBeLessThan(999_999);
  });

  it(
    'that is one item beyond what DynamoDB holds is refused by it, and the largest one that fits is ignored ' +
      'for its size',
    async () => {
      const story = await Story.begin(THREE);
      const worker = await silencedWorker(story);
      await expect(
        writeReport(story, worker, REPORT_KEY, { v: { N: '1' }, body: { S: 'A'.repeat(10 * 1024 * 1024) } }),
      ).rejects.toThrow(/size/i);
      await writeReport(story, worker, REPORT_KEY, { v: { N: '1' }, body: { S: 'A'.repeat(390 * 1024) } });
      await story.until(() =>
        story.logs.some((line) => line.includes('A report was ignored.') && line.includes('"refusal":"size"')),
      );
      story.cluster.isolated.clear();
      worker.killAgent();
      await story.whole();
    },
  );

  it('of another role is ignored: a worker is no manager because it says so, and leads no swarm', async () => {
    const story = await Story.begin(THREE);
    const worker = await silencedWorker(story);
    const { instanceId, address } = worker.identity;
    const { v, body } = reportCodec.encode({ instanceId, role: 'manager', seat: 2, address });
    await writeReport(story, worker, REPORT_KEY, { v: { N: String(v) }, body: { S: body } });
    await writeReport(story, worker, `${SWARM_KEY_PREFIX}0`, {
      v: { N: '1' },
      epoch: { N: '999999' },
      chunks: { N: '1' },
      body: { S: 'x' },
    });
    await story.until(() =>
      ['contradicts what AWS says', 'its mailbox does not belong to a manager'].every((refusal) =>
        story.logs.some((line) => line.includes(refusal)),
      ),
    );
    story.cluster.isolated.clear();
    worker.killAgent();
    await story.whole();
    expect(leader(story).epoch).toBeLessThan(999_999);
  });
});

describe('a launch hook past its deadline', () => {
  const waitingAt = (story: Story, node: SimulatedNode) =>
    story.events.filter(({ what, subject }) => what === 'hook-completed' && subject === node.identity.instanceId);

  it('is abandoned while a quorum reports, and the successor is admitted', async () => {
    const story = await Story.begin(THREE);
    await story.until(() => story.workers().length > 0);
    const silent = story.workers()[0]!;
    story.cluster.isolated.add(silent.identity.instanceId);
    await story.until(() => waitingAt(story, silent).length > 0, 14 * MINUTE);
    expect(waitingAt(story, silent)[0]!.detail).toMatchObject({ result: 'ABANDON' });
    await story.whole();
    expect(story.workers()[0]).not.toBe(silent);
  });

  it('is extended while no quorum reports, and the very instance is admitted once one does', async () => {
    const story = await Story.begin(THREE);
    await story.until(() => story.workers().length > 0);
    const { isolated, machines } = story.cluster;
    const worker = story.workers()[0]!;
    // It has spoken, and is kept from going further; then nobody reaches AWS any more.
    story.cluster.docker.network.cut(worker.identity.address, story.seat(0)!.identity.address);
    await story.until(
      () => story.item('report', worker.mailbox, REPORT_KEY) !== undefined && story.seat(1) !== undefined,
    );
    for (const instanceId of machines.nodes.keys()) isolated.add(instanceId);
    await story.until(
      () => story.logs.some((line) => line.includes('Done: extend-hook.') && line.includes(worker.identity.instanceId)),
      14 * MINUTE,
    );
    isolated.clear();
    story.cluster.docker.network.healAll();
    await story.until(() => waitingAt(story, worker).length > 0, 5 * MINUTE);
    expect(waitingAt(story, worker)[0]!.detail).toMatchObject({ result: 'CONTINUE' });
  });
});

describe('a member of raft whose agent is silent past its deadline', () => {
  it('is kept while the others would be no quorum without it, and admitted once it is heard', async () => {
    const story = await Story.begin(THREE);
    const { docker, isolated } = story.cluster;
    docker.onEvent(
      ({ what, address }) =>
        what === 'node-created' &&
        address === story.seat(1)?.identity.address &&
        isolated.add(story.seat(1)!.identity.instanceId),
    );
    await story.until(() => isolated.size > 0);
    const silent = story.seat(1)!;
    await story.until(
      () => story.logs.some((line) => line.includes('Done: extend-hook.') && line.includes(silent.identity.instanceId)),
      14 * MINUTE,
    );
    expect(swarms(story)[0]!.hasQuorum).toBe(true);
    await story.pass(2 * MINUTE);
    expect(
      story.events.some(({ what, subject }) => what === 'hook-completed' && subject === silent.identity.instanceId),
    ).toBe(false);
    isolated.clear();
    await story.until(() =>
      story.events.some(
        ({ what, subject, detail }) =>
          what === 'hook-completed' && subject === silent.identity.instanceId && detail.result === 'CONTINUE',
      ),
    );
    expect(story.invariants.breaches).toEqual([]);
  });
});

describe('a seat whose user data failed in an outage', () => {
  it('is given up and replaced though no quorum reports: it has never spoken, and holds no volume', async () => {
    const story = await Story.begin(ONE);
    await story.whole();
    const { isolated } = story.cluster;
    const first = story.seat(0)!;
    story.cluster.loseInstance(first.identity.instanceId);
    await story.until(() => story.seat(0) !== undefined);
    const silent = story.seat(0)!.identity.instanceId;
    isolated.add(silent);
    await story.until(() => story.logs.some((line) => line.includes(`${silent}: User data failed`)));
    isolated.delete(silent);
    await story.until(() =>
      story.events.some(
        ({ what, subject, detail }) => what === 'hook-completed' && subject === silent && detail.result === 'ABANDON',
      ),
    );
    await story.whole();
    expect(swarms(story)).toHaveLength(1);
  });
});

describe('identity', () => {
  it(
    'is the label and the mailbox, not the address: the successor of a seat has the address of a node that ' +
      'is still listed Ready, and is not taken for it',
    async () => {
      const story = await Story.begin(THREE);
      await story.until(
        () =>
          story.seat(1) !== undefined &&
          swarms(story)[0]?.nodes.some(({ instanceId }) => instanceId === story.seat(1)!.identity.instanceId) === true,
      );
      const first = story.seat(1)!;
      const { address } = first.identity;
      await story.whole();
      story.cluster.loseInstance(first.identity.instanceId);
      await story.until(() => story.seat(1) !== undefined && story.seat(1) !== first);
      const second = story.seat(1)!;
      expect(second.identity.address).toBe(address);
      let labelled: number | undefined;
      await story.until(() => {
        if (swarms(story)[0]!.nodes.some(({ instanceId }) => instanceId === second.identity.instanceId))
          labelled ??= story.cluster.clock.now();
        return story.events.some(
          ({ what, subject, detail }) =>
            what === 'hook-completed' && detail.hook === 'launch' && subject === second.identity.instanceId,
        );
      });
      expect(labelled).toBeDefined();
      await story.whole();
    },
  );
});

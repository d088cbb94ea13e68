/**
 * A quorum that is lost for good: two of three managers, with all that was on their volumes. A person says so, and the
 * swarm goes on with what is left.
 */
import type { RecoveryAnswer } from '../../../protocol/recovery';
import { AwsError } from '../../../rehearsal/aws/core/types';
import type { SimulatedNode } from '../../../rehearsal/simulation/cluster/node';
import { assemblies, MINUTE, Story } from './support';

jest.setTimeout(120_000);

const SETUP = { managers: 3, workers: 2 };
const swarm = ({ cluster }: Story) => cluster.docker.swarms()[0]!;

async function formed(): Promise<Story> {
  const story = await Story.begin(SETUP);
  await story.whole();
  return story;
}

/** As an operator does, with the AWS CLI. */
async function ask(story: Story, event: object): Promise<RecoveryAnswer> {
  const { region, clock } = story.cluster;
  const fn = region.functions().find(({ logicalId }) => logicalId.includes('NodeLeave'))!;
  let answer: RecoveryAnswer | undefined;
  void region.invoke(fn.logicalId, event).then((got) => (answer = got as RecoveryAnswer));
  const end = clock.now() + MINUTE;
  while (answer === undefined && clock.now() < end) await story.pass(100);
  return answer!;
}

/** Both managers and whatever was on their volumes, in the same moment. */
async function loseForGood(story: Story, seats: number[]): Promise<void> {
  const { region, machines } = story.cluster;
  for (const seat of seats) {
    const node = story.seat(seat)!;
    const volumeId = node.attachedVolume!;
    story.cluster.loseInstance(node.identity.instanceId);
    await story.until(() => region.volumes().find((volume) => volume.volumeId === volumeId)?.attachment === undefined);
    await region.loseVolume(volumeId);
    expect(machines.volumes.has(volumeId)).toBe(false);
  }
}

const seats = (story: Story) =>
  [0, 1, 2].map((seat) => story.seat(seat)).filter((node): node is SimulatedNode => node !== undefined);

test(
  'two of three volumes are gone: the third manager goes on alone, and the others join anew with other ' + 'volumes',
  async () => {
    const story = await formed();
    const { swarmId } = swarm(story);
    const survivor = story.seat(1)!;
    const nodeId = survivor.daemon.runner!.nodeId;
    await loseForGood(story, [0, 2]);
    await story.pass(6 * MINUTE);
    expect(swarm(story).hasQuorum).toBe(false);
    // Nothing is thrown away meanwhile.
    expect(story.seat(1)).toBe(survivor);

    const dry = await ask(story, { recover: { seat: 1 } });
    expect(dry).toEqual({
      wouldDo: expect.arrayContaining([expect.stringContaining('goes on as the only manager')]),
      toConfirm: { recover: { seat: 1, swarmId } },
    });
    await story.pass(3 * MINUTE);
    expect(swarm(story).hasQuorum).toBe(false);

    story.invariants.personRecovers(1);
    expect(await ask(story, (dry as { toConfirm: object }).toConfirm)).toEqual({ begun: expect.any(Array) });
    await story.until(() => swarm(story).hasQuorum && swarm(story).nodes.length === 3, 5 * MINUTE);
    expect(story.invariants.breaches).toEqual([]);
    expect(swarm(story)).toMatchObject({ swarmId, members: [{ nodeId }] });
    // Workers are what they were.
    expect(swarm(story).nodes.filter(({ role, state }) => role === 'worker' && state === 'ready')).toHaveLength(2);

    story.deploy(await assemblies.of({ ...SETUP, volumeGenerations: { 0: 2, 2: 2 } }));
    await story.until(() => story.stack !== 'creating', 180 * MINUTE);
    expect(story.stack).toBe('created');
    await story.whole(30 * MINUTE);
    expect(swarm(story).swarmId).toBe(swarmId);
    expect(story.cluster.docker.swarms()).toHaveLength(1);
  },
);

test(
  'two managers that break and keep their volumes are terminated first, and their volumes are never attached ' +
    'again',
  async () => {
    const story = await formed();
    const given = [0, 2].map((seat) => story.seat(seat)!.attachedVolume!);
    for (const seat of [0, 2]) story.seat(seat)!.breakDown();
    await story.pass(6 * MINUTE);
    story.invariants.personRecovers(1);
    expect(await ask(story, { recover: { seat: 1, swarmId: swarm(story).swarmId } })).toEqual({
      begun: expect.arrayContaining([expect.stringMatching(/^i-\w+ of seat 0 is terminated\.$/)]),
    });
    await story.until(() => swarm(story).hasQuorum && swarm(story).nodes.length === 3, 10 * MINUTE);
    await story.pass(30 * MINUTE);
    expect(
      seats(story).filter(({ attachedVolume }) => attachedVolume !== undefined && given.includes(attachedVolume)),
    ).toEqual([]);
    expect(
      story.logs.some((line) => line.includes('was given up in a recovery of the quorum. Deploy a new one with')),
    ).toBe(true);
    expect(story.invariants.breaches).toEqual([]);
    // Their instances wait, and are not launched again and again.
    const launched = new Set(
      story.events.filter(({ source, what }) => source === 'ec2' && what === 'running').map(({ subject }) => subject),
    ).size;
    expect(launched).toBeLessThanOrEqual(7);
  },
);

test('while a quorum reports, nothing is given up', async () => {
  const story = await formed();
  expect(await ask(story, { recover: { seat: 1, swarmId: swarm(story).swarmId } })).toEqual({
    refused: [
      expect.stringMatching(/^A leader reported \d+ s ago\./),
      expect.stringContaining(
        "Seat 1 has no instance whose engine runs on the seat's volume as a manager that sees no leader.",
      ),
    ],
  });
  await story.pass(MINUTE);
  await story.whole();
});

test.each([
  [{ recover: { seat: 9 } }],
  [{ recover: { seat: 'one' } }],
  [{ recover: { seat: 1, force: true } }],
  [{ recover: null }],
])('what is no request is refused with the form of one: %j', async (event) => {
  const story = await formed();
  expect(await ask(story, event)).toEqual({ refused: [expect.stringContaining('First send {"recover":{"seat":')] });
});

test(
  'a quorum that is only unheard, since leader-token does not work, is not given up: the others say that ' +
    'they see a leader',
  async () => {
    let deaf = false;
    const story = await Story.begin(SETUP, { hears: (name: string) => !deaf || name !== 'leader-token' });
    await story.whole();
    const { docker, machines } = story.cluster;
    deaf = true;
    // For all that seat 1 knows it is alone.
    const { address } = story.seat(1)!.identity;
    for (const { identity } of machines.nodes.values())
      if (identity.address !== address) docker.network.cut(address, identity.address);
    await story.pass(7 * MINUTE);
    const { refused } = (await ask(story, { recover: { seat: 1, swarmId: swarm(story).swarmId } })) as {
      refused: string[];
    };
    expect(refused).toHaveLength(2);
    for (const reason of refused)
      expect(reason).toContain(
        'reports that it sees a leader. There is a quorum then, and only its reports do not arrive',
      );
    deaf = false;
    docker.network.healAll();
    await story.pass(MINUTE);
    await story.whole();
  },
);

test(
  'managers that EC2 does not end hold the recovery up, also when a deployment gives their seats other ' +
    'volumes meanwhile',
  async () => {
    let stuck: string[] = [];
    const tamper = (_service: string, action: string, input: Record<string, any>) => {
      if (action === 'TerminateInstanceInAutoScalingGroup' && stuck.includes(input.InstanceId))
        throw new AwsError('InternalFailure', 'Out of reach.', 500);
      return input;
    };
    const story = await Story.begin(SETUP, { tamper });
    await story.whole();
    const broken = [0, 2].map((seat) => story.seat(seat)!);
    stuck = broken.map(({ identity }) => identity.instanceId);
    const before = swarm(story).members.map(({ nodeId }) => nodeId);
    const survivor = story.seat(1)!.daemon.runner!.nodeId!;
    for (const node of broken) node.breakDown();
    await story.pass(6 * MINUTE);
    story.invariants.personRecovers(1);
    expect(await ask(story, { recover: { seat: 1, swarmId: swarm(story).swarmId } })).toHaveProperty('begun');
    await story.pass(5 * MINUTE);
    expect(swarm(story).members.map(({ nodeId }) => nodeId)).toEqual(before);
    expect(story.logs.some((line) => line.includes('The recovery of the quorum waits. It is still InService.'))).toBe(
      true,
    );
    // From now on their volumes are of no seat. They have them until CloudFormation has their groups end them.
    story.deploy(await assemblies.of({ ...SETUP, volumeGenerations: { 0: 2, 2: 2 } }));
    await story.until(() => story.stack !== 'creating', 180 * MINUTE);
    expect(story.stack).toBe('created');
    await story.whole(30 * MINUTE);
    expect(
      swarm(story)
        .members.map(({ nodeId }) => nodeId)
        .filter((nodeId) => before.includes(nodeId)),
    ).toEqual([survivor]);
  },
);

/** A quorum that is lost for good: two of three managers, with all that was on their volumes. A person says so, and the swarm goes on with what is left. */
import type { RecoveryAnswer } from '../../../protocol/recovery';
import { AwsError } from '../../../rehearsal/aws/types';
import type { SimulatedNode } from '../../../rehearsal/simulation/node';
import { assemblies, MINUTE, Scenario } from './support';

jest.setTimeout(120_000);

const SETUP = { managers: 3, workers: 2 };
const swarm = ({ cluster }: Scenario) => cluster.docker.swarms()[0]!;

async function formed(): Promise<Scenario> {
  const scenario = await Scenario.begin(SETUP);
  await scenario.whole();
  return scenario;
}

/** As an operator does, with the AWS CLI. */
async function ask(scenario: Scenario, event: object): Promise<RecoveryAnswer> {
  const { region, clock } = scenario.cluster;
  const fn = region.functions().find(({ logicalId }) => logicalId.includes('NodeLeave'))!;
  let answer: RecoveryAnswer | undefined;
  void region.invoke(fn.logicalId, event).then((got) => (answer = got as RecoveryAnswer));
  const end = clock.now() + MINUTE;
  while (answer === undefined && clock.now() < end) await scenario.pass(100);
  return answer!;
}

/** Both managers and whatever was on their volumes, in the same moment. */
async function loseForGood(scenario: Scenario, seats: number[]): Promise<void> {
  const { region, machines } = scenario.cluster;
  for (const seat of seats) {
    const node = scenario.seat(seat)!;
    const volumeId = node.attachedVolume!;
    scenario.cluster.loseInstance(node.identity.instanceId);
    await scenario.until(() => region.volumes().find((volume) => volume.volumeId === volumeId)?.attachment === undefined);
    await region.loseVolume(volumeId);
    expect(machines.volumes.has(volumeId)).toBe(false);
  }
}

const seats = (scenario: Scenario) => [0, 1, 2].map((seat) => scenario.seat(seat)).filter((node): node is SimulatedNode => node !== undefined);

test('two of three volumes are gone: the third manager goes on alone, and the others join anew with other volumes', async () => {
  const scenario = await formed();
  const { swarmId } = swarm(scenario);
  const survivor = scenario.seat(1)!;
  const nodeId = survivor.daemon.runner!.nodeId;
  await loseForGood(scenario, [0, 2]);
  await scenario.pass(6 * MINUTE);
  expect(swarm(scenario).hasQuorum).toBe(false);
  // Nothing is thrown away meanwhile.
  expect(scenario.seat(1)).toBe(survivor);

  const dry = await ask(scenario, { recover: { seat: 1 } });
  expect(dry).toEqual({ wouldDo: expect.arrayContaining([expect.stringContaining('goes on as the only manager')]), toConfirm: { recover: { seat: 1, swarmId } } });
  await scenario.pass(3 * MINUTE);
  expect(swarm(scenario).hasQuorum).toBe(false);

  scenario.invariants.personRecovers(1);
  expect(await ask(scenario, (dry as { toConfirm: object }).toConfirm)).toEqual({ begun: expect.any(Array) });
  await scenario.until(() => swarm(scenario).hasQuorum && swarm(scenario).nodes.length === 3, 5 * MINUTE);
  expect(scenario.invariants.breaches).toEqual([]);
  expect(swarm(scenario)).toMatchObject({ swarmId, members: [{ nodeId }] });
  // Workers are what they were.
  expect(swarm(scenario).nodes.filter(({ role, state }) => role === 'worker' && state === 'ready')).toHaveLength(2);

  scenario.deploy(await assemblies.of({ ...SETUP, volumeGenerations: { 0: 2, 2: 2 } }));
  await scenario.until(() => scenario.stack !== 'creating', 180 * MINUTE);
  expect(scenario.stack).toBe('created');
  await scenario.whole(30 * MINUTE);
  expect(swarm(scenario).swarmId).toBe(swarmId);
  expect(scenario.cluster.docker.swarms()).toHaveLength(1);
});

test('two managers that break and keep their volumes are terminated first, and their volumes are never attached again', async () => {
  const scenario = await formed();
  const given = [0, 2].map((seat) => scenario.seat(seat)!.attachedVolume!);
  for (const seat of [0, 2]) scenario.seat(seat)!.breakDown();
  await scenario.pass(6 * MINUTE);
  scenario.invariants.personRecovers(1);
  expect(await ask(scenario, { recover: { seat: 1, swarmId: swarm(scenario).swarmId } })).toEqual({ begun: expect.arrayContaining([expect.stringMatching(/^i-\w+ of seat 0 is terminated\.$/)]) });
  await scenario.until(() => swarm(scenario).hasQuorum && swarm(scenario).nodes.length === 3, 10 * MINUTE);
  await scenario.pass(30 * MINUTE);
  expect(seats(scenario).filter(({ attachedVolume }) => attachedVolume !== undefined && given.includes(attachedVolume))).toEqual([]);
  expect(scenario.logs.some((line) => line.includes('was given up when the quorum was recovered. Deploy with another one'))).toBe(true);
  expect(scenario.invariants.breaches).toEqual([]);
  // Their instances wait, and are not launched again and again.
  const launched = new Set(scenario.events.filter(({ source, what }) => source === 'ec2' && what === 'running').map(({ subject }) => subject)).size;
  expect(launched).toBeLessThanOrEqual(7);
});

test('while a quorum reports, nothing is given up', async () => {
  const scenario = await formed();
  expect(await ask(scenario, { recover: { seat: 1, swarmId: swarm(scenario).swarmId } })).toEqual({ refused: [expect.stringMatching(/^A leader reported \d+ s ago\./), expect.stringContaining('Seat 1 has no instance whose engine runs with its volume and is a manager that sees no leader.')] });
  await scenario.pass(MINUTE);
  await scenario.whole();
});

test.each([
  [{ recover: { seat: 9 } }],
  [{ recover: { seat: 'one' } }],
  [{ recover: { seat: 1, force: true } }],
  [{ recover: null }],
])('what is no request is refused with the form of one: %j', async (event) => {
  const scenario = await formed();
  expect(await ask(scenario, event)).toEqual({ refused: [expect.stringContaining('It must be {"recover":{"seat":')] });
});

test('a quorum that is only unheard, since leader-token does not work, is not given up: the others say that they see a leader', async () => {
  let deaf = false;
  const scenario = await Scenario.begin(SETUP, { hears: (name: string) => !deaf || name !== 'leader-token' });
  await scenario.whole();
  const { docker, machines } = scenario.cluster;
  deaf = true;
  // For all that seat 1 knows it is alone.
  const { address } = scenario.seat(1)!.identity;
  for (const { identity } of machines.nodes.values()) if (identity.address !== address) docker.network.cut(address, identity.address);
  await scenario.pass(7 * MINUTE);
  const { refused } = (await ask(scenario, { recover: { seat: 1, swarmId: swarm(scenario).swarmId } })) as { refused: string[] };
  expect(refused).toHaveLength(2);
  for (const reason of refused) expect(reason).toContain('says that it sees a leader: there is a quorum, and only its reports do not arrive.');
  deaf = false;
  docker.network.healAll();
  await scenario.pass(MINUTE);
  await scenario.whole();
});

test('managers that EC2 does not end hold the recovery up, also when a deployment gives their seats other volumes meanwhile', async () => {
  let stuck: string[] = [];
  const tamper = (_service: string, action: string, input: Record<string, any>) => {
    if (action === 'TerminateInstanceInAutoScalingGroup' && stuck.includes(input.InstanceId)) throw new AwsError('InternalFailure', 'Out of reach.', 500);
    return input;
  };
  const scenario = await Scenario.begin(SETUP, { tamper });
  await scenario.whole();
  const broken = [0, 2].map((seat) => scenario.seat(seat)!);
  stuck = broken.map(({ identity }) => identity.instanceId);
  const before = swarm(scenario).members.map(({ nodeId }) => nodeId);
  const survivor = scenario.seat(1)!.daemon.runner!.nodeId!;
  for (const node of broken) node.breakDown();
  await scenario.pass(6 * MINUTE);
  scenario.invariants.personRecovers(1);
  expect(await ask(scenario, { recover: { seat: 1, swarmId: swarm(scenario).swarmId } })).toHaveProperty('begun');
  await scenario.pass(5 * MINUTE);
  expect(swarm(scenario).members.map(({ nodeId }) => nodeId)).toEqual(before);
  expect(scenario.logs.some((line) => line.includes('The recovery of the quorum waits. It is InService still.'))).toBe(true);
  // From now on their volumes are of no seat. They have them until CloudFormation has their groups end them.
  scenario.deploy(await assemblies.of({ ...SETUP, volumeGenerations: { 0: 2, 2: 2 } }));
  await scenario.until(() => scenario.stack !== 'creating', 180 * MINUTE);
  expect(scenario.stack).toBe('created');
  await scenario.whole(30 * MINUTE);
  expect(swarm(scenario).members.map(({ nodeId }) => nodeId).filter((nodeId) => before.includes(nodeId))).toEqual([survivor]);
});

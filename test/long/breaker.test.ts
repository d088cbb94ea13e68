/**
 * Half of the workers are cut off from the swarm for longer than a hung instance is given: it is the network, not they.
 * With the breaker nothing is done about it, and all of them are back when it is over. Without it they are replaced,
 * which an invariant finds.
 */
import { isTripped } from '../../lambda/membership/breaker';
import { HUNG_MS } from '../../lambda/membership/rules/replace-hung';
import { simulate } from '../../rehearsal/simulation/simulation';
import { assemblies, BUNDLES, expectSeedNeeds, MINUTE, Story } from '../rehearsal/simulation/support';

jest.setTimeout(600_000);

jest.mock('../../lambda/membership/breaker', () => {
  const actual = jest.requireActual<typeof import('../../lambda/membership/breaker')>(
    '../../lambda/membership/breaker',
  );
  return { ...actual, isTripped: jest.fn(actual.isTripped) };
});
const guard = jest.mocked(isTripped);
const { isTripped: trips } = jest.requireActual<typeof import('../../lambda/membership/breaker')>(
  '../../lambda/membership/breaker',
);

const FOUR = { managers: 3, workers: 4 };

async function cutOff(workers: number): Promise<Story> {
  const story = await Story.begin(FOUR);
  await story.whole();
  const { docker, machines } = story.cluster;
  const managers = [0, 1, 2].map((seat) => story.seat(seat)!.identity.address);
  const cut = story.workers().slice(0, workers);
  for (const { identity } of cut) for (const manager of managers) docker.network.cut(identity.address, manager);
  // What must never happen is judged at every step.
  for (let passed = 0; passed < HUNG_MS + 3 * MINUTE; passed += 1_000) await story.pass(1_000);
  for (const { identity } of cut)
    if (machines.nodes.has(identity.instanceId))
      for (const manager of managers) docker.network.heal(identity.address, manager);
  return story;
}

const replaced = ({ calls }: Story) => calls.filter(({ action }) => action === 'SetInstanceHealth').length;

beforeEach(() => guard.mockImplementation(trips));

test('nobody is replaced while half of them are down, and somebody is told', async () => {
  const story = await cutOff(2);
  expect(replaced(story)).toBe(0);
  expect(story.logs.join('\n')).toContain(
    '2 of 4 workers are down. With so many at once, the instances are not the cause: none is replaced.',
  );
  await story.whole();
});

test('one alone is replaced', async () => {
  const story = await cutOff(1);
  expect(replaced(story)).toBeGreaterThan(0);
  await story.whole();
});

test('without the breaker half of them are replaced, which an invariant finds', async () => {
  guard.mockReturnValue(false);
  const story = await cutOff(2);
  expect(replaced(story)).toBeGreaterThan(0);
  expect(story.invariants.breaches.join('\n')).toMatch(/^10: .* was set to Unhealthy while 2 of 4 workers were down/m);
});

test('without the breaker a seed fails, which passes with it', () =>
  // Workers are down for long when nobody mends their engines: their agents do not reach AWS.
  expectSeedNeeds(
    async (seed, state) => {
      guard.mockImplementation(state === 'off' ? () => false : trips);
      return simulate({
        seed,
        assembly: await assemblies.of(FOUR),
        bundles: BUNDLES,
        act: 'healing',
        faults: ['isolation', 'hang-engine'],
        intervalsMs: { isolation: MINUTE, 'hang-engine': 20_000 },
        faultsEndMs: 15 * MINUTE,
      });
    },
    /^10: .* was set to Unhealthy while \d of 4 workers were down/,
    25,
  ));

import { Kills, type Kill } from '../../../rehearsal/scenarios/formation-kills';
import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';

const seat = { name: 'seat 0', instanceId: 'i-0' };
const atReady: Kill = { what: 'engine', node: 'seat 0', at: 'ready' };

/** One engine, which its supervisor starts again 2 s after it died. */
function engine(clock: VirtualClock) {
  let id: string | undefined = '1';
  return {
    died: [] as string[],
    exec: async () => '',
    serviceProcess: async () => (id === undefined ? undefined : { id, ready: true }),
    async killProcess(_: string, killed: string) {
      if (id !== killed) return false;
      this.died.push(killed);
      id = undefined;
      clock.after(2_000, () => (id = String(Number(killed) + 1)));
      return true;
    },
  };
}

function planned(...plan: Kill[]) {
  const clock = new VirtualClock();
  const started = clock.now();
  const machines = engine(clock);
  const failures: Error[] = [];
  const functions = { caller: () => undefined, kill: () => 0 };
  const kills = new Kills(plan, {
    clock,
    machines,
    functions,
    elapsed: () => clock.now() - started,
    failed: (error) => failures.push(error),
  });
  return { clock, kills, machines, failures };
}

it('kills what runs at the moment, and says so', async () => {
  const { clock, kills, machines } = planned(atReady);
  kills.reached(seat, 'engine');
  kills.reached(seat, 'ready');
  await clock.advance(3_000);
  expect(machines.died).toEqual(['1']);
  expect(kills.done).toMatchObject([{ kill: atReady, momentMs: 0, prompt: true }]);
});

it('counts the moment of a kill from its milestone', async () => {
  const later: Kill = { ...atReady, afterMs: 150 };
  const { clock, kills } = planned(later);
  kills.reached(seat, 'ready');
  await clock.advance(3_000);
  expect(kills.done).toMatchObject([{ kill: later, momentMs: 150, killedMs: 150, prompt: true }]);
});

it('is not prompt when the process of the moment had died already: then one that was started later dies', async () => {
  const atHook: Kill = { ...atReady, at: 'hook' };
  const { clock, kills, machines } = planned(atReady, atHook);
  kills.reached(seat, 'ready');
  await clock.advance(500);
  kills.reached(seat, 'hook');
  await clock.advance(5_000);
  expect(machines.died).toEqual(['1', '2']);
  expect(kills.done).toMatchObject([
    { kill: atReady, prompt: true },
    { kill: atHook, momentMs: 500, prompt: false },
  ]);
});

it('fails a formation that never came to the moment of a kill', async () => {
  await expect(planned(atReady).kills.settled()).rejects.toThrow(
    'The swarm has formed without the moments of these kills: [{"what":"engine","node":"seat 0","at":"ready"}]',
  );
});

it('fails a formation in which what was killed never runs again', async () => {
  const { clock, kills, machines, failures } = planned(atReady);
  kills.reached(seat, 'ready');
  await clock.advance(10);
  machines.serviceProcess = async () => undefined;
  await clock.advance(100_000);
  expect(failures.map(({ message }) => message)).toEqual([
    'The engine of seat 0 runs again after it was killed: this did not happen within 90 s.',
  ]);
});

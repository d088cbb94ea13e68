import { commitFence } from '../../agent/fence';
import { FENCE_COMMAND_LABEL, FENCE_COUNTER_LABEL } from '../../protocol/labels';
import { VirtualClock } from '../../rehearsal/simulation/virtual-clock';
import { EngineStub } from './engine-stub';

const commit = (engine: EngineStub) => {
  const clock = new VirtualClock();
  return clock.finish(commitFence(engine, clock, 'command-1'), 60_000);
};

it('a fence counts on from the last one, and names what is done behind it', async () => {
  const engine = new EngineStub();
  await commit(engine);
  expect(engine.labels).toEqual({ [FENCE_COUNTER_LABEL]: '1', [FENCE_COMMAND_LABEL]: 'command-1' });
  await commit(engine);
  expect(engine.labels[FENCE_COUNTER_LABEL]).toBe('2');
});

it('a fence is committed at the fifth try at the latest when others change the swarm in between', async () => {
  const engine = Object.assign(new EngineStub(), { othersChange: 4 });
  await commit(engine);
  expect(engine.fences).toBe(1);
  const busy = Object.assign(new EngineStub(), { othersChange: 5 });
  await expect(commit(busy)).rejects.toThrow('update out of sequence');
});

it('a fence is not tried again after another error', async () => {
  const engine = Object.assign(new EngineStub(), { stillborn: true });
  let asked = 0;
  const swarm = engine.swarm.bind(engine);
  engine.swarm = () => (asked++, swarm());
  await expect(commit(engine)).rejects.toThrow('external CA');
  expect(asked).toBe(1);
});

import { VirtualClock } from '../../../rehearsal/simulation/virtual-clock';

test('alarms ring in the order of their time, and in the order they were set when their time is the same', async () => {
  const clock = new VirtualClock();
  const rung: string[] = [];
  clock.after(20, () => rung.push('late'));
  clock.after(10, () => rung.push('first'));
  clock.after(10, () => rung.push('second'));
  await clock.advance(15);
  expect(rung).toEqual(['first', 'second']);
  await clock.advance(5);
  expect(rung).toEqual(['first', 'second', 'late']);
});

test('everything that is ready runs before time moves on', async () => {
  const clock = new VirtualClock();
  const start = clock.now();
  const seen: number[] = [];
  const work = async () => {
    await clock.sleep(10);
    for (let n = 0; n < 50; n += 1) await Promise.resolve();
    seen.push(clock.now() - start);
    await clock.sleep(10);
    seen.push(clock.now() - start);
  };
  clock.after(11, () => seen.push(11));
  await clock.finish(work(), 100);
  expect(seen).toEqual([10, 11, 20]);
});

test('a cancelled alarm never rings, and an aborted sleep ends at once', async () => {
  const clock = new VirtualClock();
  let rung = false;
  clock.after(10, () => (rung = true))();
  const abort = new AbortController();
  let ended = false;
  void clock.sleep(1000, abort.signal).then(() => (ended = true));
  abort.abort();
  await clock.settle();
  expect(ended).toBe(true);
  await clock.advance(20);
  expect(rung).toBe(false);
  expect(clock.pending()).toBe(0);
});

test('a seed decides every random number and identifier', () => {
  const draw = (seed: number) => {
    const clock = new VirtualClock(seed);
    return [clock.random(), clock.random(), clock.uuid()];
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7)[2]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('running until a condition says when nothing can bring it about any more, and when time is up', async () => {
  const clock = new VirtualClock();
  await expect(clock.run(() => false, 100)).rejects.toThrow('nothing is scheduled');
  const again = () => void clock.after(10, again);
  again();
  await expect(clock.run(() => false, 100)).rejects.toThrow('does not hold after 100 virtual milliseconds');
});

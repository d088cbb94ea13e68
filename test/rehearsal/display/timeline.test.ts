import { Progress } from '../../../rehearsal/display/progress';
import { renderTimeline, Timeline } from '../../../rehearsal/display/timeline';

const MANAGER = { instanceId: 'i-1', name: 'seat 0', role: 'manager', address: '10.0.0.4', availabilityZone: 'a' };
const WORKER = { instanceId: 'i-2', name: 'Workers', role: 'worker', address: '10.0.0.5', availabilityZone: 'b' };

test('milestones count from the launch of their instance, and only the first time', () => {
  let now = 1_000;
  const told: string[] = [];
  const timeline = new Timeline(
    () => now,
    (node, milestone) => told.push(`${node.name} ${milestone}`),
  );
  now = 3_000;
  timeline.launch(MANAGER);
  now = 4_500;
  timeline.reach('i-1', 'engine');
  now = 9_000;
  timeline.reach('i-1', 'engine');
  timeline.reach('i-unknown', 'engine');
  expect(timeline.rows()).toEqual([{ ...MANAGER, launched: 2_000, milestones: { engine: 1_500 } }]);
  expect(told).toEqual(['seat 0 launched', 'seat 0 engine']);
});

test('the table shows what was not reached, and leaves out volumes of workers', () => {
  expect(
    renderTimeline([
      { ...MANAGER, launched: 100, milestones: { userData: 400, engine: 12_340 } },
      { ...WORKER, launched: 2_000, milestones: {} },
    ]),
  ).toEqual([
    'node     instance  address   launched  user data  volume  engine up  command  joined  Ready  hook completed',
    'seat 0   i-1       10.0.0.4       0.1        0.4       -       12.3        -       -      -               -',
    'Workers  i-2       10.0.0.5       2.0          -                  -        -       -      -               -',
  ]);
});

test('while redrawn the table fits a terminal of 80 columns, and one with fewer lines than nodes', () => {
  let text = '';
  const progress = new Progress({ isTTY: true, columns: 80, rows: 4, write: (part) => (text += part) });
  const rows = Array.from({ length: 10 }, (_, n) => ({ ...WORKER, name: `worker ${n}`, launched: 0, milestones: {} }));
  progress.milestone(rows[9]!, 'launched', rows, 0);
  const lines = text.trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/hook$/);
  expect(lines.at(-1)).toContain('worker 9');
});

test('progress is plain lines where there is no terminal', () => {
  let text = '';
  const progress = new Progress({ write: (part) => (text += part) });
  const row = { ...MANAGER, launched: 0, milestones: {} };
  progress.milestone(row, 'launched', [row], 1_234);
  progress.milestone(row, 'hook', [row], 61_000);
  progress.line('done');
  expect(text).toBe('   1.2 s  seat 0: launched (i-1, 10.0.0.4, a)\n  61.0 s  seat 0: hook completed\ndone\n');
});

test('progress in a terminal is one table, redrawn in its place and never wider than the screen', () => {
  const writes: string[] = [];
  const progress = new Progress({ isTTY: true, columns: 40, write: (part) => writes.push(part) });
  const row = { ...MANAGER, launched: 0, milestones: {} };
  progress.milestone(row, 'launched', [row], 0);
  progress.milestone(row, 'engine', [row], 0);
  expect(writes[1]).toBe('\u001b[2A\u001b[J');
  expect(Math.max(...writes[0]!.split('\n').map((line) => line.length))).toBeLessThan(40);
});

import { parseRehearse, parseStart } from '../../bin/cdk-docker-swarm';
import { SCENARIOS } from '../../rehearsal/scenarios/scenarios';

test('without arguments the app decides on the size of the cluster', () => {
  expect(parseStart([])).toEqual({ json: false });
});

test('all arguments of start are understood', () => {
  expect(parseStart(['--managers', '5', '--workers', '0', '--json', '--keep-logs', 'logs'])).toEqual({
    managers: 5,
    workers: 0,
    json: true,
    keepLogs: 'logs',
  });
  expect(parseStart(['--help'])).toBe('help');
});

test.each([
  [['--managers', '2'], '--managers is "2", but must be 1, 3, 5 or 7'],
  [['--managers', '9'], '--managers is "9"'],
  [['--managers', 'three'], '--managers is "three"'],
  [['--workers', '-1'], '--workers'],
  [['--workers', '51'], '--workers is "51", but must be a whole number from 0 to 50'],
  [['--workers', '1.5'], '--workers is "1.5"'],
  [['--keep-logs', ''], '--keep-logs needs the name of a folder'],
  [['--region', 'x'], "Unknown option '--region'"],
  [['now'], 'now'],
])('start %j is refused with a reason', (args, message) => {
  expect(() => parseStart(args)).toThrow(message);
});

test('a scenario sets the size of the cluster itself', () => {
  expect(parseStart(['--scenario', 'leader-killed', '--json'])).toEqual({ json: true, scenario: 'leader-killed' });
  expect(() => parseStart(['--scenario', 'leader-killed', '--workers', '2'])).toThrow('omit --managers and --workers');
  expect(() => parseStart(['--scenario', 'toString'])).toThrow(
    'There is no scenario "toString". The scenarios are worker-terminated, ',
  );
});

test('one scenario is rehearsed, or all of them', () => {
  expect(parseRehearse(['--scenario', 'spot-notice'])).toEqual({ scenarios: ['spot-notice'], times: 1, atOnce: 1 });
  expect(parseRehearse(['--all', '--times', '3', '--at-once', '2', '--write', 'docs/rehearsal.md'])).toEqual({
    scenarios: Object.keys(SCENARIOS),
    times: 3,
    atOnce: 2,
    write: 'docs/rehearsal.md',
  });
  expect(parseRehearse(['--help'])).toBe('help');
});

test.each([
  [[], 'Use either --scenario NAME or --all.'],
  [['--all', '--scenario', 'leader-killed'], 'Use either --scenario NAME or --all.'],
  [['--scenario', 'nothing'], 'There is no scenario "nothing"'],
  [['--all', '--times', '0'], '--times is "0", but must be a whole number from 1 to 99'],
  [['--all', '--write', ''], '--write needs the name of a file'],
  [['--json'], "Unknown option '--json'"],
])('rehearse %j is refused with a reason', (args, message) => {
  expect(() => parseRehearse(args)).toThrow(message);
});

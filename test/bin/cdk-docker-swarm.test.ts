import { parseStart } from '../../bin/cdk-docker-swarm';

test('without arguments the app decides on its own size', () => {
  expect(parseStart([])).toEqual({ json: false });
});

test('all arguments are understood', () => {
  expect(parseStart(['--managers', '5', '--workers', '0', '--json', '--keep-logs', 'logs'])).toEqual({ managers: 5, workers: 0, json: true, keepLogs: 'logs' });
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
])('%j is refused in words', (args, message) => {
  expect(() => parseStart(args)).toThrow(message);
});

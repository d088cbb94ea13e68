import { matchesFilters, page } from '../../../../rehearsal/aws/core/describe';
import { matchesPattern } from '../../../../rehearsal/aws/events/pattern';

// Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
const event = {
  source: 'aws.ec2',
  detail: { state: 'running', count: 5, tags: ['a', 'b'], nothing: null },
  dynamodb: { Keys: { sk: { S: 'swarm#12' } } },
};

test.each<[string, Record<string, any>, boolean]>([
  ['a value matches when it is one of the list', { source: ['aws.s3', 'aws.ec2'] }, true],
  ['a value that is not in the list does not match', { source: ['aws.s3'] }, false],
  ['every field of the pattern must match', { source: ['aws.ec2'], detail: { state: ['stopped'] } }, false],
  [
    'nested fields match nested patterns',
    { dynamodb: { Keys: { sk: { S: ['report', { prefix: 'swarm#' }] } } } },
    true,
  ],
  ['prefix matches the beginning only', { dynamodb: { Keys: { sk: { S: [{ prefix: '#12' }] } } } }, false],
  ['suffix matches the end', { dynamodb: { Keys: { sk: { S: [{ suffix: '#12' }] } } } }, true],
  ['anything-but refuses the values it names', { detail: { state: [{ 'anything-but': ['running'] }] } }, false],
  ['anything-but accepts other values', { detail: { state: [{ 'anything-but': 'stopped' }] } }, true],
  ['anything-but takes a prefix', { detail: { state: [{ 'anything-but': { prefix: 'run' } }] } }, false],
  ['anything-but needs the field to be there', { detail: { other: [{ 'anything-but': 'x' }] } }, false],
  ['exists: true needs the field', { detail: { other: [{ exists: true }] } }, false],
  ['exists: false needs its absence', { detail: { other: [{ exists: false }] } }, true],
  ['a list field matches when any member does', { detail: { tags: ['b'] } }, true],
  ['null is a value of its own', { detail: { nothing: [null] } }, true],
  ['numbers compare by range', { detail: { count: [{ numeric: ['>', 0, '<=', 5] }] } }, true],
  ['numbers outside a range do not match', { detail: { count: [{ numeric: ['<', 5] }] } }, false],
  ['equals-ignore-case ignores case', { source: [{ 'equals-ignore-case': 'AWS.EC2' }] }, true],
  ['$or matches when one of its patterns does', { $or: [{ source: ['x'] }, { detail: { state: ['running'] } }] }, true],
])('in event patterns, %s', (_, pattern, expected) => {
  expect(matchesPattern(pattern, event)).toBe(expected);
});

test('an operator that the emulation does not know is an error that names it', () => {
  expect(() => matchesPattern({ source: [{ cidr: '10.0.0.0/8' }] }, event)).toThrow("'cidr'");
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
test('filters must all hold, the values of one are alternatives, and * and ? are wildcards', () => {
  const tags = { role: 'manager', 'a.b': 'x' };
  const known = { 'instance-state-name': 'running' };
  expect(
    matchesFilters(
      [
        { Name: 'tag:role', Values: ['worker', 'man*'] },
        { Name: 'instance-state-name', Values: ['runn?ng'] },
      ],
      tags,
      known,
    ),
  ).toBe(true);
  expect(
    matchesFilters(
      [
        { Name: 'tag:role', Values: ['manager'] },
        { Name: 'instance-state-name', Values: ['stopped'] },
      ],
      tags,
      known,
    ),
  ).toBe(false);
  expect(matchesFilters([{ Name: 'tag-key', Values: ['a.b'] }], tags, known)).toBe(true);
  expect(matchesFilters([{ Name: 'tag-key', Values: ['a-b'] }], tags, known)).toBe(false);
  expect(matchesFilters([{ Name: 'tag-value', Values: ['x'] }], tags, known)).toBe(true);
  expect(() => matchesFilters([{ Name: 'hypervisor', Values: ['xen'] }], tags, known)).toThrow("'hypervisor'");
});

test('pages follow each other by token and end without one', () => {
  const first = page([1, 2, 3], 2, undefined);
  expect(first.items).toEqual([1, 2]);
  const second = page([1, 2, 3], 2, first.next);
  expect(second).toEqual({ items: [3], next: undefined });
  expect(() => page([1], 2, 'bogus')).toThrow("The token 'bogus' is invalid");
});

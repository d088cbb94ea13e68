import { overlap, parseCidr, rangeOfCidr } from '../../../lib/core/cidr';

test.each([
  ['10.0.0.0/16', '10.0.128.0/24', true],
  ['10.0.128.0/24', '10.0.0.0/16', true],
  ['10.0.5.7/16', '10.0.9.9/16', true],
  ['10.0.0.0/16', '10.1.0.0/16', false],
  ['100.64.0.0/10', '10.0.0.0/8', false],
  ['0.0.0.0/0', '192.168.1.1/32', true],
  ['nonsense', '10.0.0.0/8', false],
])('%s and %s overlap: %s', (a, b, expected) => {
  expect(overlap(a, b)).toBe(expected);
});

test.each(['10.0.0.0', '10.0.0.0/33', '010.0.0.0/8', '10.0.0/8', '300.0.0.0/8', 'fd00::/8', '10.0.0.0/ 8', ''])(
  '%j is not an IPv4 network',
  (text) => {
    expect(parseCidr(text)).toBeUndefined();
  },
);

test('a network goes from its own address to its broadcast address', () => {
  expect(rangeOfCidr('10.0.5.7/22')).toEqual({ first: '10.0.4.0', last: '10.0.7.255' });
  expect(rangeOfCidr('nonsense')).toBeUndefined();
});

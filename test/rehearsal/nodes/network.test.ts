import { routerOf } from '../../../rehearsal/nodes/network';

test("a subnet's router has the first address after the network's own", () => {
  expect(routerOf('10.0.96.0/19')).toEqual({ address: '10.0.96.1', prefixLength: 19 });
});

test('what is no network is refused by its name', () => {
  expect(() => routerOf('10.0.96.0')).toThrow('The subnet "10.0.96.0" is not a network in CIDR notation.');
});

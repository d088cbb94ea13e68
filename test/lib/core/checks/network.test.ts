import { checkAddressPools, checkNatGateways, checkVpcCidr } from '../../../../lib/core/checks/network';

test('address pools must not overlap the VPC or each other, and must hold at least one overlay network', () => {
  expect(checkAddressPools(['100.64.0.0/10'], 24, ['10.0.0.0/16'])).toEqual([]);
  expect(checkAddressPools([undefined], undefined, [])).toEqual([]);
  expect(checkAddressPools(['10.0.0.0/8'], 24, ['10.0.0.0/16'])).toEqual([
    "Address pool 10.0.0.0/8 overlaps the VPC's network 10.0.0.0/16, so containers could not reach the VPC. Use a " +
      'pool outside it.',
  ]);
  expect(checkAddressPools(['100.64.0.0/10', '100.65.0.0/16'], 24, [])).toEqual([
    'Address pools 100.64.0.0/10 and 100.65.0.0/16 must not overlap.',
  ]);
  expect(checkAddressPools(['100.64.0.0', '1.2.3.400/8', '1.2.3.4/33'], 24, [])).toEqual([
    "Address pool '100.64.0.0' must be an IPv4 network in CIDR notation, such as 100.64.0.0/10.",
    "Address pool '1.2.3.400/8' must be an IPv4 network in CIDR notation, such as 100.64.0.0/10.",
    "Address pool '1.2.3.4/33' must be an IPv4 network in CIDR notation, such as 100.64.0.0/10.",
  ]);
  expect(checkAddressPools(['100.64.0.0/26'], 24, [])).toEqual([
    'Address pool 100.64.0.0/26 is smaller than one overlay network (/24). Use a larger pool, or a greater ' +
      'addressPoolPrefixLength.',
  ]);
  expect(checkAddressPools([], 30, [])).toEqual([
    'addressPools must have from 1 to 16 networks, but has 0.',
    'addressPoolPrefixLength (30) must be a whole number from 16 to 29.',
  ]);
});

test('the network of a VPC must be divisible into its subnets', () => {
  expect(checkVpcCidr('10.0.0.0/16')).toEqual([]);
  expect(checkVpcCidr('192.168.1.0/25')).toEqual([]);
  for (const cidr of ['10.0.0.0', '10.0.0.0/15', '10.0.0.0/26']) {
    expect(checkVpcCidr(cidr)).toEqual([
      `cidr ('${cidr}') must be an IPv4 network in CIDR notation, from /16 to /25, such as 10.0.0.0/16.`,
    ]);
  }
  expect(checkVpcCidr(undefined)).toEqual([expect.stringContaining('must be known at synth')]);
});

test('there are at most as many NAT gateways as zones, and their number is known at synth', () => {
  expect(checkNatGateways(0, 3)).toEqual([]);
  expect(checkNatGateways(4, 3)).toEqual(['natGateways (4) must be a whole number from 0 to 3.']);
  expect(checkNatGateways(undefined, 3)).toEqual([
    expect.stringMatching(/^The number of NAT gateways must be known at synth.*from 0 to 3, the number of zones\.$/),
  ]);
});

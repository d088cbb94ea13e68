/** What is refused, and in which words. `undefined` is what is not known before deployment. */
import * as v from 'valibot';
import {
  architectureOf,
  architectureOfImage,
  checkAddressPools,
  checkBridgeNetworks,
  checkCapacity,
  checkClusterTag,
  checkDaemon,
  checkImageCanBeChosen,
  checkInstanceTypes,
  checkLabels,
  checkManagerCount,
  checkNatGateways,
  checkSpot,
  checkUserDataSize,
  checkVolumeSize,
  checkVpcCidr,
  checkZones,
  seatsToBuild,
} from '../../../lib/core/validation';
import { agentConfigSchema } from '../../../protocol/environment';

test.each([1, 3, 5, 7])('%i managers are fine', (count) => {
  expect(checkManagerCount(count)).toEqual([]);
  expect(seatsToBuild(count)).toBe(count);
});

test.each([
  [0, '0 managers were asked for. Give 1, 3, 5 or 7.'],
  [2, '2 managers were asked for, but an even number survives no more losses than 1. Give 1, 3, 5 or 7.'],
  [4, '4 managers were asked for, but an even number survives no more losses than 3. Give 1, 3, 5 or 7.'],
  [9, '9 managers were asked for, but more than 7 only slow down every change. Give 1, 3, 5 or 7.'],
  [-1, '-1 managers were asked for. Give 1, 3, 5 or 7.'],
  [NaN, 'NaN managers were asked for. Give 1, 3, 5 or 7.'],
  [1.5, '1.5 managers were asked for. Give 1, 3, 5 or 7.'],
])('%d managers are refused', (count, sentence) => {
  expect(checkManagerCount(count)).toEqual([sentence]);
  expect(seatsToBuild(count)).toBe(1);
});

test('a number of managers that is known only at deployment is refused, since seats are resources', () => {
  expect(checkManagerCount(undefined)).toEqual([expect.stringContaining('must be known at synth')]);
});

test.each([
  [1, ['a'], 0],
  [3, ['a', 'b', 'c'], 0],
  [7, ['a', 'b', 'c'], 0],
  [3, ['a', 'b'], 1],
  [5, ['a'], 1],
  [3, undefined, 0],
  [3, [], 0],
])('%i managers in zones %j: %i mistakes', (managers, zones, count) => {
  expect(checkZones(managers, zones)).toHaveLength(count);
});

test('too few zones are named', () => {
  expect(checkZones(3, ['eu-west-1a', 'eu-west-1b'])).toEqual([
    '3 managers need subnets in 3 zones, so that the loss of one leaves a quorum, but there are only 2: ' +
      'eu-west-1a, eu-west-1b. Give subnets in more zones, or one manager.',
  ]);
});

test.each([
  ['t4g.small', 'arm64'],
  ['a1.large', 'arm64'],
  ['c7gn.16xlarge', 'arm64'],
  ['x2gd.metal', 'arm64'],
  ['im4gn.large', 'arm64'],
  ['is4gen.medium', 'arm64'],
  ['g5g.xlarge', 'arm64'],
  ['m5.large', 'x86_64'],
  ['g4dn.xlarge', 'x86_64'],
  ['c6a.metal', 'x86_64'],
  ['m7i-flex.large', 'x86_64'],
  ['u-6tb1.112xlarge', 'x86_64'],
  ['r7iz.metal-16xl', 'x86_64'],
  ['large', undefined],
  ['T4G.small', undefined],
  ['', undefined],
])('instance type %s has architecture %s', (type, architecture) => {
  expect(architectureOf(type)).toBe(architecture);
});

test.each([
  ['/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64', 'arm64'],
  ['resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id', 'x86_64'],
  ['ami-0123456789abcdef0', undefined],
])('the name %s tells architecture %s', (name, architecture) => {
  expect(architectureOfImage(name)).toBe(architecture);
});

test('instance types must be real, of one architecture, and the image’s', () => {
  expect(checkInstanceTypes(['t4g.small', 'c7g.large'], 'arm64')).toEqual([]);
  expect(checkInstanceTypes([undefined, 't3.small'], undefined)).toEqual([]);
  expect(checkInstanceTypes([], undefined)).toEqual([
    'No instance type was given. Give at least one, or leave `instanceTypes` out.',
  ]);
  expect(checkInstanceTypes(['huge'], 'arm64')).toEqual(["'huge' is no instance type. Give one such as 't4g.small'."]);
  expect(checkInstanceTypes(['t4g.small', 't3.small'], undefined)).toEqual([
    'Instance type t3.small is x86_64, but t4g.small is arm64: one image cannot serve both. Give types of ' +
      'one architecture, or make two groups.',
  ]);
  expect(checkInstanceTypes(['m5.large'], 'arm64')).toEqual([
    'Instance type m5.large is x86_64, but the machine image is made for arm64. Give an image for x86_64, ' +
      'or instance types of arm64.',
  ]);
});

test.each([
  [0, 1, []],
  [0, 0, ['maxCapacity is 0, so the group could never have a worker. Give at least 1, or leave the group out.']],
  [2, 2, []],
  [undefined, 1, []],
  [3, undefined, []],
  [3, 1, ['minCapacity is 3, more than maxCapacity, which is 1. Give a minimum up to the maximum.']],
  [-1, 2, ['minCapacity is -1. Give a whole number, 0 or more.']],
  [0, 1.5, ['maxCapacity is 1.5. Give a whole number, 0 or more.']],
])('capacity from %s to %s', (min, max, sentences) => {
  expect(checkCapacity(min, max)).toEqual(sentences);
});

test('shares of spot are bounded', () => {
  expect(checkSpot(undefined, undefined)).toEqual([]);
  expect(checkSpot(2, 100)).toEqual([]);
  expect(checkSpot(-1, 101)).toEqual([
    'spot.onDemandBase is -1. Give a whole number of instances, 0 or more.',
    'spot.onDemandPercentage is 101. Give a whole number from 0 to 100.',
  ]);
});

test('sizes and counts of what surrounds the nodes are bounded', () => {
  expect(checkVolumeSize('volumeSize', 20)).toEqual([]);
  expect(checkVolumeSize('volumeSize', undefined)).toEqual([]);
  expect(checkVolumeSize('volumeSize', 1.5)).toEqual([
    'volumeSize is 1.5 GiB. Give a whole number of GiB from 1 to 65536.',
  ]);
  expect(checkVolumeSize('volumeSize', 0)).toHaveLength(1);
  expect(checkNatGateways(0, 3)).toEqual([]);
  expect(checkNatGateways(4, 3)).toEqual(['natGateways is 4. Give a whole number from 0 to 3, the number of zones.']);
  expect(checkNatGateways(undefined, 3)).toEqual([
    expect.stringMatching(/^The number of NAT gateways must be known at synth.*from 0 to 3\.$/),
  ]);
  expect(checkUserDataSize(16_384)).toEqual([]);
  expect(checkUserDataSize(16_385)).toEqual([
    expect.stringContaining('The user data has 16385 bytes, but EC2 takes at most 16384.'),
  ]);
});

test.each([
  ['tier', 'web', 0],
  ['com.example.tier', 'web', 0],
  ['tier', undefined, 0],
  ['aws.instance-id', 'i-1', 1],
  ['cdk-docker-swarm.fence', '1', 1],
  ['com.docker.stack', 'x', 1],
  ['io.docker.x', 'x', 1],
  ['org.dockerproject.x', 'x', 1],
  ['', 'x', 1],
  ['a b', 'x', 1],
  ['a=b', 'x', 1],
  ['a/b', 'x', 1],
  ['a'.repeat(129), 'x', 1],
  ['tier', 'x'.repeat(257), 1],
  ['tier', 'two\nlines', 1],
])('label %j with value %j: %i mistakes', (key, value, count) => {
  const sentences = checkLabels({ [key]: value });
  expect(sentences).toHaveLength(count);
  for (const sentence of sentences) expect(sentence).toContain(`'${key}'`);
});

test('a reserved label is refused with the list of what is reserved', () => {
  expect(checkLabels({ 'aws.zone': 'a' })).toEqual([
    "Label 'aws.zone' begins with 'aws.', which is reserved (aws. cdk-docker-swarm. com.docker. io.docker. " +
      'org.dockerproject.). Give another key.',
  ]);
});

test.each(['labels', 'hosts', 'data-root'])('daemon.json key %s is refused with its reason', (key) => {
  expect(checkDaemon({ debug: true, [key]: [] })).toEqual([
    expect.stringMatching(new RegExp(`^daemon\\['${key}'\\] cannot be given: .+\\.$`)),
  ]);
});

test('keys of daemon.json are as long as the agent takes them, and no longer', () => {
  expect(checkDaemon({ ['k'.repeat(128)]: 1 })).toEqual([]);
  expect(v.safeParse(agentConfigSchema.entries.daemon, { ['k'.repeat(128)]: 1 }).success).toBe(true);
  expect(v.safeParse(agentConfigSchema.entries.daemon, { ['k'.repeat(129)]: 1 }).success).toBe(false);
  expect(checkDaemon({ ['k'.repeat(129)]: 1 })).toEqual([
    "daemon['kkkkkkkkkkkkkkkkkkkk...'] is a key of 129 characters. Give keys of at most 128.",
  ]);
});

test('live-restore is refused unless it is off', () => {
  expect(checkDaemon({ 'live-restore': false })).toEqual([]);
  expect(checkDaemon({ 'live-restore': true })).toEqual([
    "daemon['live-restore'] is true, but engines in a swarm cannot have it. Leave it out, or give false.",
  ]);
});

test('address pools are networks outside of the VPC and of each other, each large enough for an overlay', () => {
  expect(checkAddressPools(['100.64.0.0/10'], 24, ['10.0.0.0/16'])).toEqual([]);
  expect(checkAddressPools([undefined], undefined, [])).toEqual([]);
  expect(checkAddressPools(['10.0.0.0/8'], 24, ['10.0.0.0/16'])).toEqual([
    "Address pool 10.0.0.0/8 overlaps the VPC's 10.0.0.0/16: containers could not reach it. Give a pool outside of it.",
  ]);
  expect(checkAddressPools(['100.64.0.0/10', '100.65.0.0/16'], 24, [])).toEqual([
    'Address pools 100.64.0.0/10 and 100.65.0.0/16 overlap. Give separate ones.',
  ]);
  expect(checkAddressPools(['100.64.0.0', '1.2.3.400/8', '1.2.3.4/33'], 24, [])).toEqual([
    "Address pool '100.64.0.0' is no IPv4 network. Give one in CIDR notation, such as 100.64.0.0/10.",
    "Address pool '1.2.3.400/8' is no IPv4 network. Give one in CIDR notation, such as 100.64.0.0/10.",
    "Address pool '1.2.3.4/33' is no IPv4 network. Give one in CIDR notation, such as 100.64.0.0/10.",
  ]);
  expect(checkAddressPools(['100.64.0.0/26'], 24, [])).toEqual([
    'Address pool 100.64.0.0/26 is smaller than one overlay (/24). Give a larger pool, or a greater ' +
      'addressPoolPrefixLength.',
  ]);
  expect(checkAddressPools([], 30, [])).toEqual([
    'addressPools has 0 networks. Give from 1 to 16.',
    'addressPoolPrefixLength is 30. Give a whole number from 16 to 29.',
  ]);
});

test('networks of the bridges are outside of the VPC and of the address pools', () => {
  const daemon = {
    bip: '172.26.0.1/16',
    'default-address-pools': [{ base: '172.27.0.0/16', size: 24 }, { base: 'fd00::/48', size: 64 }, {}, null],
  };
  expect(checkBridgeNetworks(daemon, ['10.0.0.0/16'], ['100.64.0.0/10'])).toEqual([]);
  expect(checkBridgeNetworks({ 'default-address-pools': 'wrong', bip: 1 }, ['10.0.0.0/16'], [])).toEqual([]);
  expect(checkBridgeNetworks(daemon, ['172.26.0.0/15'], ['172.16.0.0/12'])).toEqual([
    "daemon['default-address-pools'] has 172.27.0.0/16, which overlaps the VPC's 172.26.0.0/15: containers " +
      'could not reach it. Give a network outside of it.',
    "daemon['default-address-pools'] has 172.27.0.0/16, which overlaps the address pool 172.16.0.0/12 of " +
      'overlay networks. Give separate ones.',
    "daemon['bip'] has 172.26.0.1/16, which overlaps the VPC's 172.26.0.0/15: containers could not reach " +
      'it. Give a network outside of it.',
    "daemon['bip'] has 172.26.0.1/16, which overlaps the address pool 172.16.0.0/12 of overlay networks. " +
      'Give separate ones.',
  ]);
});

test('the network of a VPC is one that can be divided into its subnets', () => {
  expect(checkVpcCidr('10.0.0.0/16')).toEqual([]);
  expect(checkVpcCidr('192.168.1.0/25')).toEqual([]);
  expect(checkVpcCidr('10.0.0.0')).toEqual([
    "cidr '10.0.0.0' is no IPv4 network. Give one in CIDR notation, from /16 to /25, such as 10.0.0.0/16.",
  ]);
  for (const cidr of ['10.0.0.0/15', '10.0.0.0/26']) {
    expect(checkVpcCidr(cidr)).toEqual([
      `cidr ${cidr} has a prefix length that cannot be used. Give a network in CIDR notation, from /16 to ` +
        '/25, such as 10.0.0.0/16.',
    ]);
  }
  expect(checkVpcCidr(undefined)).toEqual([expect.stringContaining('must be known at synth')]);
});

test('without a known instance type the image must be given', () => {
  expect(checkImageCanBeChosen([undefined, 't4g.small'], false)).toEqual([]);
  expect(checkImageCanBeChosen([undefined], true)).toEqual([]);
  expect(checkImageCanBeChosen([], false)).toEqual([]);
  expect(checkImageCanBeChosen([undefined, undefined], false)).toEqual([
    expect.stringMatching(/known only at deployment.*Give `machineImage`/),
  ]);
});

test('the tag that names the cluster must be a tag', () => {
  expect(checkClusterTag('Stack/Swarm')).toEqual([]);
  expect(checkClusterTag(undefined)).toEqual([]);
  expect(checkClusterTag('Stack/Schwärm')).toHaveLength(1);
  expect(checkClusterTag('x'.repeat(257))).toHaveLength(1);
});

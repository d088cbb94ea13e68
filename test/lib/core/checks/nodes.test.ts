import {
  architectureOf,
  architectureOfImage,
  checkImageCanBeChosen,
  checkInstanceTypes,
  checkLabels,
  checkUserDataSize,
  checkVolumeSize,
} from '../../../../lib/core/checks/nodes';

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
])('the image name %s reveals architecture %s', (name, architecture) => {
  expect(architectureOfImage(name)).toBe(architecture);
});

test('instance types must be valid, of one architecture, and match the image', () => {
  expect(checkInstanceTypes(['t4g.small', 'c7g.large'], 'arm64')).toEqual([]);
  expect(checkInstanceTypes([undefined, 't3.small'], undefined)).toEqual([]);
  expect(checkInstanceTypes([], undefined)).toEqual([
    'instanceTypes is empty. Name at least one instance type, or omit it.',
  ]);
  expect(checkInstanceTypes(['huge'], 'arm64')).toEqual([
    "'huge' is not an instance type. Use one such as 't4g.small'.",
  ]);
  expect(checkInstanceTypes(['t4g.small', 't3.small'], undefined)).toEqual([
    'Instance type t3.small is x86_64, but t4g.small is arm64: one image cannot run on both. Use types of one ' +
      'architecture, or make two groups.',
  ]);
  expect(checkInstanceTypes(['m5.large'], 'arm64')).toEqual([
    'Instance type m5.large is x86_64, but the machine image is for arm64. Use an image for x86_64, or arm64 ' +
      'instance types.',
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
])('label %j with value %j: %i problems', (key, value, count) => {
  const sentences = checkLabels({ [key]: value });
  expect(sentences).toHaveLength(count);
  for (const sentence of sentences) expect(sentence).toContain(`'${key}'`);
});

test('a reserved label is refused with the list of reserved prefixes', () => {
  expect(checkLabels({ 'aws.zone': 'a' })).toEqual([
    "Label 'aws.zone' begins with 'aws.', which is reserved (aws. cdk-docker-swarm. com.docker. io.docker. " +
      'org.dockerproject.). Use another key.',
  ]);
});

test('without a known instance type, an image is required', () => {
  expect(checkImageCanBeChosen([undefined, 't4g.small'], false)).toEqual([]);
  expect(checkImageCanBeChosen([undefined], true)).toEqual([]);
  expect(checkImageCanBeChosen([], false)).toEqual([]);
  expect(checkImageCanBeChosen([undefined, undefined], false)).toEqual([
    expect.stringMatching(/known only at deployment.*Set `machineImage`/),
  ]);
});

test('a volume has a whole number of GiB within the limits of EBS', () => {
  expect(checkVolumeSize('volumeSize', 20)).toEqual([]);
  expect(checkVolumeSize('volumeSize', undefined)).toEqual([]);
  expect(checkVolumeSize('volumeSize', 1.5)).toEqual([
    'volumeSize in GiB (1.5) must be a whole number from 1 to 65536.',
  ]);
  expect(checkVolumeSize('volumeSize', 0)).toHaveLength(1);
});

test('user data may be as large as EC2 accepts, and no larger', () => {
  expect(checkUserDataSize(16_384)).toEqual([]);
  expect(checkUserDataSize(16_385)).toEqual([
    expect.stringContaining('The user data has 16385 bytes, but EC2 accepts at most 16384.'),
  ]);
});

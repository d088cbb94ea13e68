/**
 * What can be wrong with what a user gives. Pure: every check returns a list of sentences, each naming what was given
 * and what is allowed, and an empty list when all is well. `undefined` stands for a value that is not known before
 * deployment: a check fails on it only where synth needs the value.
 */
import { overlap, parseCidr } from './cidr';
import { RESERVED_LABEL_PREFIXES } from '../../protocol/labels';
import {
  ALLOWED_MANAGER_COUNTS,
  DAEMON_KEY_LIMIT,
  MANAGER_ZONES,
  USER_DATA_LIMIT,
  VOLUME_SIZE_BOUNDS,
  VPC_CIDR,
  VPC_PREFIX_BOUNDS,
  type Architecture,
} from './defaults';

export function checkManagerCount(count: number | undefined): string[] {
  if (count === undefined)
    return [
      'The number of managers must be known at synth, because every manager gets resources of its own. ' +
        'Give `count` as a plain number: 1, 3, 5 or 7.',
    ];
  if (ALLOWED_MANAGER_COUNTS.includes(count)) return [];
  const even = Number.isInteger(count) && count > 0 && count < 7;
  const why = even
    ? `, but an even number survives no more losses than ${count - 1}`
    : count > 7
      ? ', but more than 7 only slow down every change'
      : '';
  return [`${count} managers were asked for${why}. Give 1, 3, 5 or 7.`];
}

/** How many seats can be laid out, whatever was asked for: the mistake itself is {@link checkManagerCount}'s. */
export function seatsToBuild(count: number | undefined): number {
  return count !== undefined && ALLOWED_MANAGER_COUNTS.includes(count) ? count : 1;
}

/**
 * @param generations what was given, whatever it is: what is not understood would silently take a volume away, or bring
 * an old one back
 * @param seats how many there are; undefined when that is a mistake of its own
 */
export function checkVolumeGenerations(generations: unknown, seats: number | undefined): string[] {
  if (generations === undefined) return [];
  if (typeof generations !== 'object' || generations === null || Array.isArray(generations))
    return [
      `volumeGenerations is ${JSON.stringify(generations)}. Give an object from seats to whole numbers, ` +
        `such as { '1': 2 }.`,
    ];
  return Object.entries(generations as Record<string, unknown>).flatMap(([seat, generation]) => {
    if (!/^[0-6]$/.test(seat) || (seats !== undefined && Number(seat) >= seats))
      return [
        `volumeGenerations names seat '${seat}', but the seats are ` +
          `${seats === 1 ? '0 alone' : `'0' to '${(seats ?? 7) - 1}'`}.`,
      ];
    return typeof generation === 'number' && Number.isInteger(generation) && generation >= 1
      ? []
      : [
          `volumeGenerations has ${JSON.stringify(generation)} for seat ${seat}. Give a whole number from ` +
            '1 on, greater than it was before, and known when the app is synthesised.',
        ];
  });
}

/** Names out of a list of names. */
export function checkNames(what: string, given: readonly string[], known: readonly string[]): string[] {
  if (given.length === 0) return [`${what} is empty. Give some of ${known.join(', ')}, or leave it out.`];
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${what} has '${name}'. There are ${known.join(', ')}.`);
}

/** @param zones the distinct zones of the subnets */
export function checkZones(managers: number, zones: string[] | undefined): string[] {
  const needed = Math.min(managers, MANAGER_ZONES);
  if (zones === undefined || zones.length === 0 || zones.length >= needed) return [];
  return [
    `${managers} managers need subnets in ${needed} zones, so that the loss of one leaves a quorum, but ` +
      `there are only ${zones.length}: ${zones.join(', ')}. ` +
      'Give subnets in more zones, or one manager.',
  ];
}

/** @param image what the machine image is made for */
export function checkInstanceTypes(types: (string | undefined)[], image: Architecture | undefined): string[] {
  if (types.length === 0) return ['No instance type was given. Give at least one, or leave `instanceTypes` out.'];
  const known = types.filter((type) => type !== undefined);
  const broken = known
    .filter((type) => architectureOf(type) === undefined)
    .map((type) => `'${type}' is no instance type. Give one such as 't4g.small'.`);
  const ofType = known
    .flatMap((type) => ({ type, architecture: architectureOf(type) }))
    .filter(({ architecture }) => architecture !== undefined);
  const first = ofType[0];
  if (first === undefined) return broken;
  const others = ofType
    .filter(({ architecture }) => architecture !== first.architecture)
    .map(
      ({ type, architecture }) =>
        `Instance type ${type} is ${architecture}, but ${first.type} is ${first.architecture}: one image ` +
        'cannot serve both. Give types of one architecture, or make two groups.',
    );
  const mismatches =
    image === undefined
      ? []
      : ofType
          .filter(({ architecture }) => architecture !== image)
          .map(
            ({ type, architecture }) =>
              `Instance type ${type} is ${architecture}, but the machine image is made for ${image}. Give ` +
              `an image for ${architecture}, or instance types of ${image}.`,
          );
  return [...broken, ...others, ...mismatches];
}

/** @param imageGiven whether the user chose the machine image */
export function checkImageCanBeChosen(types: (string | undefined)[], imageGiven: boolean): string[] {
  return imageGiven || types.length === 0 || types.some((type) => type !== undefined)
    ? []
    : [
        'The instance type is known only at deployment, so no machine image can be chosen for its ' +
          'architecture. Give `machineImage`, or an instance type that is known at synth.',
      ];
}

/**
 * The architecture of an EC2 instance type, or undefined when the text is none. In a name such as `c7gn.large` the
 * letters after the generation begin with the processor's: `g` is Graviton. Source:
 * https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
 */
export function architectureOf(instanceType: string): Architecture | undefined {
  const match = /^([a-z]+)(?:-\d+[a-z]+)?(\d*)([a-z]*)(?:-[a-z0-9]+)*\.([a-z0-9]+(?:-[a-z0-9]+)*)$/.exec(instanceType);
  if (!match) return undefined;
  const [, family, generation, options] = match;
  // The very first Graviton: https://aws.amazon.com/ec2/instance-types/a1/
  return options!.startsWith('g') || (family === 'a' && generation === '1') ? 'arm64' : 'x86_64';
}

/** What an image is made for, as far as its name tells: an SSM parameter's path, or nothing. */
export function architectureOfImage(name: string): Architecture | undefined {
  if (/arm64|aarch64/.test(name)) return 'arm64';
  return /x86_64|amd64/.test(name) ? 'x86_64' : undefined;
}

export function checkCapacity(min: number | undefined, max: number | undefined): string[] {
  const whole = ([name, value]: [string, number | undefined]) =>
    value === undefined || (Number.isInteger(value) && value >= 0)
      ? []
      : [`${name} is ${value}. Give a whole number, 0 or more.`];
  const problems = [...whole(['minCapacity', min]), ...whole(['maxCapacity', max])];
  // A rolling update needs a maximum above MinInstancesInService, which is at least 0.
  if (max === 0)
    problems.push('maxCapacity is 0, so the group could never have a worker. Give at least 1, or leave the group out.');
  if (min !== undefined && max !== undefined && min > max)
    problems.push(`minCapacity is ${min}, more than maxCapacity, which is ${max}. Give a minimum up to the maximum.`);
  return problems;
}

/** Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstancesDistribution.html */
export function checkSpot(base: number | undefined, percentage: number | undefined): string[] {
  const problems: string[] = [];
  if (base !== undefined && !(Number.isInteger(base) && base >= 0))
    problems.push(`spot.onDemandBase is ${base}. Give a whole number of instances, 0 or more.`);
  if (percentage !== undefined && !(Number.isInteger(percentage) && percentage >= 0 && percentage <= 100)) {
    problems.push(`spot.onDemandPercentage is ${percentage}. Give a whole number from 0 to 100.`);
  }
  return problems;
}

/** GiB. */
export function checkVolumeSize(name: string, size: number | undefined): string[] {
  const { min, max } = VOLUME_SIZE_BOUNDS;
  return size === undefined || (Number.isInteger(size) && size >= min && size <= max)
    ? []
    : [`${name} is ${size} GiB. Give a whole number of GiB from ${min} to ${max}.`];
}

export function checkNatGateways(count: number | undefined, zones: number): string[] {
  if (count === undefined)
    return [
      'The number of NAT gateways must be known at synth, because the subnets of the nodes depend on it. ' +
        `Give \`natGateways\` as a plain number from 0 to ${zones}.`,
    ];
  return Number.isInteger(count) && count >= 0 && count <= zones
    ? []
    : [`natGateways is ${count}. Give a whole number from 0 to ${zones}, the number of zones.`];
}

/**
 * The network of a VPC that is to be divided into subnets. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html#vpc-sizing-ipv4
 */
export function checkVpcCidr(cidr: string | undefined): string[] {
  const { min, max } = VPC_PREFIX_BOUNDS;
  const allowed = `in CIDR notation, from /${min} to /${max}, such as ${VPC_CIDR}`;
  if (cidr === undefined)
    return [
      `The network of the VPC must be known at synth, because its subnets are parts of it. Give \`cidr\` ` +
        `as a plain text ${allowed}.`,
    ];
  const parsed = parseCidr(cidr);
  if (parsed === undefined) return [`cidr '${cidr}' is no IPv4 network. Give one ${allowed}.`];
  return parsed.prefix >= min && parsed.prefix <= max
    ? []
    : [`cidr ${cidr} has a prefix length that cannot be used. Give a network ${allowed}.`];
}

/** @param group path of the group's stack; `lifecycle`: of its lifecycle's */
export function checkSameStack(group: string, lifecycle: string): string[] {
  return group === lifecycle
    ? []
    : [
        `The group is in the stack ${group}, but its NodeLifecycle is in ${lifecycle}: node-join signals ` +
          'CloudFormation for its own stack only, so the group could never be created. ' +
          'Make the group in the stack of the lifecycle.',
      ];
}

/** Engine labels. @param labels values that are not known yet are undefined */
export function checkLabels(labels: Record<string, string | undefined>): string[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const problems: string[] = [];
    const prefix = RESERVED_LABEL_PREFIXES.find((reserved) => key.startsWith(reserved));
    // What a placement constraint can name: https://docs.docker.com/reference/cli/docker/service/create/#constraint
    if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/.test(key)) {
      problems.push(
        `Label '${key}' cannot be used in placement constraints. Give a key of at most 128 letters, ` +
          `digits, '.', '-' and '_' that begins with a letter or '_'.`,
      );
    } else if (prefix !== undefined) {
      problems.push(
        `Label '${key}' begins with '${prefix}', which is reserved (${RESERVED_LABEL_PREFIXES.join(' ')}). ` +
          'Give another key.',
      );
    }
    if (value !== undefined && (value.length > 256 || /[\u0000-\u001f\u007f]/.test(value))) {
      problems.push(
        `Label '${key}' has a value of ${value.length} ` +
          `characters${value.length > 256 ? '' : ', some of them control characters'}. Give at most 256, all ` +
          'printable.',
      );
    }
    return problems;
  });
}

/** Keys of `daemon.json` that would break a node. */
export function checkDaemon(daemon: Record<string, unknown>): string[] {
  const refused: Record<string, string> = {
    labels: "the agent writes them. Give the group's `labels` instead",
    hosts: 'the agent talks to the engine by its socket, and an open port would hand over the node. Leave it out',
    'data-root': "a manager's state volume is mounted at /var/lib/docker. Leave it out",
  };
  const problems = Object.keys(daemon)
    .filter((key) => Object.hasOwn(refused, key))
    .map((key) => `daemon['${key}'] cannot be given: ${refused[key]}.`);
  problems.push(
    ...Object.keys(daemon)
      .filter((key) => key.length > DAEMON_KEY_LIMIT)
      .map(
        (key) =>
          `daemon['${key.slice(0, 20)}...'] is a key of ${key.length} characters. Give keys of at most ` +
          `${DAEMON_KEY_LIMIT}.`,
      ),
  );
  // Source: https://docs.docker.com/engine/daemon/live-restore/#live-restore-and-swarm-mode
  if (daemon['live-restore'] !== undefined && daemon['live-restore'] !== false) {
    problems.push(
      `daemon['live-restore'] is ${JSON.stringify(daemon['live-restore'])}, but engines in a swarm cannot ` +
        'have it. Leave it out, or give false.',
    );
  }
  return problems;
}

/**
 * The networks of the engine's bridges. Source:
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 * @param vpcCidrs what the VPC uses, as far as it is known
 * @param addressPools networks for overlays, as far as they are known
 */
export function checkBridgeNetworks(
  daemon: Record<string, unknown>,
  vpcCidrs: string[],
  addressPools: string[],
): string[] {
  const pools: unknown[] = Array.isArray(daemon['default-address-pools']) ? daemon['default-address-pools'] : [];
  const bases = pools.map((pool) =>
    typeof pool === 'object' && pool !== null && 'base' in pool ? pool.base : undefined,
  );
  const named = [...bases.map((base) => ["daemon['default-address-pools']", base]), ["daemon['bip']", daemon.bip]] as [
    string,
    unknown,
  ][];
  return named.flatMap(([name, network]) =>
    typeof network !== 'string'
      ? []
      : [
          ...vpcCidrs
            .filter((vpc) => overlap(network, vpc))
            .map(
              (vpc) =>
                `${name} has ${network}, which overlaps the VPC's ${vpc}: containers could not reach it. ` +
                'Give a network outside of it.',
            ),
          ...addressPools
            .filter((pool) => overlap(network, pool))
            .map(
              (pool) =>
                `${name} has ${network}, which overlaps the address pool ${pool} of overlay networks. Give ` +
                'separate ones.',
            ),
        ],
  );
}

/**
 * @param pools networks for overlays
 * @param prefixLength of each overlay
 * @param vpcCidrs what the VPC uses, as far as it is known
 */
export function checkAddressPools(
  pools: (string | undefined)[],
  prefixLength: number | undefined,
  vpcCidrs: string[],
): string[] {
  const problems: string[] = [];
  if (pools.length === 0 || pools.length > 16)
    problems.push(`addressPools has ${pools.length} networks. Give from 1 to 16.`);
  if (prefixLength !== undefined && !(Number.isInteger(prefixLength) && prefixLength >= 16 && prefixLength <= 29)) {
    problems.push(`addressPoolPrefixLength is ${prefixLength}. Give a whole number from 16 to 29.`);
  }
  const known = pools.filter((pool) => pool !== undefined);
  known.forEach((pool, n) => {
    const parsed = parseCidr(pool);
    if (parsed === undefined) {
      problems.push(`Address pool '${pool}' is no IPv4 network. Give one in CIDR notation, such as 100.64.0.0/10.`);
      return;
    }
    if (prefixLength !== undefined && parsed.prefix > prefixLength) {
      problems.push(
        `Address pool ${pool} is smaller than one overlay (/${prefixLength}). Give a larger pool, or a ` +
          'greater addressPoolPrefixLength.',
      );
    }
    problems.push(
      ...vpcCidrs
        .filter((vpc) => overlap(pool, vpc))
        .map(
          (vpc) =>
            `Address pool ${pool} overlaps the VPC's ${vpc}: containers could not reach it. Give a pool outside of it.`,
        ),
      ...known
        .slice(0, n)
        .filter((other) => overlap(pool, other))
        .map((other) => `Address pools ${other} and ${pool} overlap. Give separate ones.`),
    );
  });
  return problems;
}

/**
 * The value of the cluster's tag. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
 */
export function checkClusterTag(value: string | undefined): string[] {
  return value === undefined || /^[A-Za-z0-9 _.:/=+@-]{1,256}$/.test(value)
    ? []
    : [
        `The cluster would be tagged '${value}', but a tag's value has at most 256 letters, digits, spaces ` +
          `and '_.:/=+-@'. Give the constructs other ids.`,
      ];
}

/** @param bytes of the script, as far as it is known */
export function checkUserDataSize(bytes: number): string[] {
  return bytes <= USER_DATA_LIMIT
    ? []
    : [
        `The user data has ${bytes} bytes, but EC2 takes at most ${USER_DATA_LIMIT}. Give fewer lines of ` +
          'extraUserData: let them fetch a longer script from S3, or build an image.',
      ];
}

/** Checks of the VPC, its NAT gateways, and the address pools of overlay networks. */
import { overlap, parseCidr } from '../cidr';
import { VPC_CIDR, VPC_PREFIX_BOUNDS } from '../defaults';
import { checkWholeNumber } from '../whole-number';

/**
 * The network of a VPC must divide into subnets. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html#vpc-sizing-ipv4
 */
export function checkVpcCidr(cidr: string | undefined): string[] {
  const { min, max } = VPC_PREFIX_BOUNDS;
  const expected = `in CIDR notation, from /${min} to /${max}, such as ${VPC_CIDR}`;
  if (cidr === undefined)
    return [
      'The network of the VPC must be known at synth, because its subnets are parts of it. Set `cidr` to a plain ' +
        `string ${expected}.`,
    ];
  const parsed = parseCidr(cidr);
  return parsed !== undefined && parsed.prefix >= min && parsed.prefix <= max
    ? []
    : [`cidr ('${cidr}') must be an IPv4 network ${expected}.`];
}

export function checkNatGateways(count: number | undefined, zones: number): string[] {
  if (count === undefined)
    return [
      'The number of NAT gateways must be known at synth, because the subnets of the nodes depend on it. Set ' +
        `\`natGateways\` to a plain number from 0 to ${zones}, the number of zones.`,
    ];
  return checkWholeNumber('natGateways', count, { min: 0, max: zones });
}

/**
 * @param pools networks from which overlay networks get their subnets
 * @param prefixLength of each overlay network
 * @param vpcCidrs networks of the VPC that are known at synth
 */
export function checkAddressPools(
  pools: (string | undefined)[],
  prefixLength: number | undefined,
  vpcCidrs: string[],
): string[] {
  const problems: string[] = [];
  if (pools.length === 0 || pools.length > 16)
    problems.push(`addressPools must have from 1 to 16 networks, but has ${pools.length}.`);
  problems.push(...checkWholeNumber('addressPoolPrefixLength', prefixLength, { min: 16, max: 29 }));
  const known = pools.filter((pool) => pool !== undefined);
  known.forEach((pool, n) => {
    const parsed = parseCidr(pool);
    if (parsed === undefined) {
      problems.push(`Address pool '${pool}' must be an IPv4 network in CIDR notation, such as 100.64.0.0/10.`);
      return;
    }
    if (prefixLength !== undefined && parsed.prefix > prefixLength) {
      problems.push(
        `Address pool ${pool} is smaller than one overlay network (/${prefixLength}). Use a larger pool, or a ` +
          'greater addressPoolPrefixLength.',
      );
    }
    problems.push(
      ...vpcCidrs
        .filter((vpc) => overlap(pool, vpc))
        .map(
          (vpc) =>
            `Address pool ${pool} overlaps the VPC's network ${vpc}, so containers could not reach the VPC. Use a ` +
            'pool outside it.',
        ),
      ...known
        .slice(0, n)
        .filter((other) => overlap(pool, other))
        .map((other) => `Address pools ${other} and ${pool} must not overlap.`),
    );
  });
  return problems;
}

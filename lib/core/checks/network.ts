/** Checks of the VPC, its NAT gateways, and the address pools of overlay networks. */
import { overlap, parseCidr } from '../cidr';
import { VPC_CIDR, VPC_PREFIX_BOUNDS } from '../defaults';

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

/** IPv4 networks in CIDR notation. */
import { IPv4 } from 'ipaddr.js';

/** @returns undefined for what is no IPv4 network */
export function parseCidr(text: string): { address: IPv4; prefix: number } | undefined {
  if (!IPv4.isValidCIDRFourPartDecimal(text)) return undefined;
  const [address, prefix] = IPv4.parseCIDR(text);
  return { address, prefix };
}

/** The first and the last address of an IPv4 network. @returns undefined for what is no IPv4 network */
export function rangeOfCidr(text: string): { first: string; last: string } | undefined {
  return (
    parseCidr(text) && { first: `${IPv4.networkAddressFromCIDR(text)}`, last: `${IPv4.broadcastAddressFromCIDR(text)}` }
  );
}

/** Whether two IPv4 networks share an address. Texts that are no networks share none. */
export function overlap(a: string, b: string): boolean {
  const [one, other] = [parseCidr(a), parseCidr(b)];
  return (
    one !== undefined && other !== undefined && one.address.match(other.address, Math.min(one.prefix, other.prefix))
  );
}

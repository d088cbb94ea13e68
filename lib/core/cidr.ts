/** IPv4 networks in CIDR notation. */
import { IPv4 } from 'ipaddr.js';

/** @returns undefined for a text that is not an IPv4 network */
export function parseCidr(text: string): { address: IPv4; prefix: number } | undefined {
  if (!IPv4.isValidCIDRFourPartDecimal(text)) return undefined;
  const [address, prefix] = IPv4.parseCIDR(text);
  return { address, prefix };
}

/** The first and the last address of an IPv4 network. @returns undefined for a text that is not one */
export function rangeOfCidr(text: string): { first: string; last: string } | undefined {
  return (
    parseCidr(text) && { first: `${IPv4.networkAddressFromCIDR(text)}`, last: `${IPv4.broadcastAddressFromCIDR(text)}` }
  );
}

/** Whether two IPv4 networks share an address. A text that is not a network shares none. */
export function overlap(a: string, b: string): boolean {
  const [first, second] = [parseCidr(a), parseCidr(b)];
  return (
    first !== undefined &&
    second !== undefined &&
    first.address.match(second.address, Math.min(first.prefix, second.prefix))
  );
}

/** IPv4 networks in CIDR notation. */
import { IPv4 } from 'ipaddr.js';

/** @returns undefined for what is no IPv4 network */
export function parseCidr(text: string): { address: IPv4; prefix: number } | undefined {
  if (!IPv4.isValidCIDRFourPartDecimal(text)) return undefined;
  const [address, prefix] = IPv4.parseCIDR(text);
  return { address, prefix };
}

/** Whether two IPv4 networks share an address. Texts that are no networks share none. */
export function overlap(a: string, b: string): boolean {
  const [one, other] = [parseCidr(a), parseCidr(b)];
  return (
    one !== undefined && other !== undefined && one.address.match(other.address, Math.min(one.prefix, other.prefix))
  );
}

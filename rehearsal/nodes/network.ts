/**
 * The VPC of the region's network namespace: one bridge that is the router of every subnet and the home of the instance
 * metadata service and of the AWS endpoint. Nodes hang on it by veth pairs.
 */
import { writeFileSync } from 'node:fs';
import { parseCidr } from '../../lib/core/cidr';
import { run } from './shell';

const BRIDGE = 'vpc';
/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
export const METADATA_ADDRESS = '169.254.169.254';

/** Makes the bridge. Afterwards the metadata address can be listened on, and is what nodes reach this namespace by. */
export async function makeNetwork(): Promise<void> {
  // A fixed hardware address: a bridge otherwise takes over those of its ports, and nodes' neighbour tables would go
  // stale.
  await batch([
    'link set lo up',
    `link add ${BRIDGE} address ${hardwareAddress(METADATA_ADDRESS)} type bridge`,
    `addr add ${METADATA_ADDRESS}/32 dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
  ]);
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  writeFileSync(`/proc/sys/net/ipv4/conf/${BRIDGE}/send_redirects`, '0');
  writeFileSync('/proc/sys/net/ipv4/conf/all/send_redirects', '0');
}

/**
 * Gives the router its address in a subnet: the first after the network's own, as in every VPC. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
 */
export function routerOf(subnetCidr: string): { address: string; prefixLength: number } {
  const network = parseCidr(subnetCidr);
  if (!network) throw new Error(`The subnet "${subnetCidr}" is not a network in CIDR notation.`);
  const [a, b, c, d] = network.address.octets;
  return { address: `${a}.${b}.${c}.${d! + 1}`, prefixLength: network.prefix };
}

/** Plugs a node's network namespace into the VPC; `eth0` appears in it, without an address yet. */
export async function plug(processId: number, port: string, address: string, subnetCidr: string): Promise<void> {
  const router = routerOf(subnetCidr);
  await batch([
    `addr replace ${router.address}/${router.prefixLength} dev ${BRIDGE}`,
    // The hardware address belongs to the private address: a seat's successor has the same network interface, and so
    // the same one.
    `link add ${port} type veth peer name eth0 address ${hardwareAddress(address)} netns ${processId}`,
    `link set ${port} master ${BRIDGE} up`,
  ]);
}

/**
 * Takes a port away at once; the kernel would do it some time after the node's last process has ended, and its
 * successor may have the same addresses.
 */
export async function unplug(port: string): Promise<void> {
  await run('ip', ['link', 'delete', port]).catch((error: Error) => {
    // `ip` does not find it any more, or the kernel has taken it in the moment after.
    if (!/Cannot find device|No such device/.test(error.message)) throw error;
  });
}

/** Locally administered: https://www.rfc-editor.org/rfc/rfc7042#section-2.1 */
function hardwareAddress(address: string): string {
  return ['02', '00', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

function batch(lines: string[]): Promise<string> {
  return run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
}

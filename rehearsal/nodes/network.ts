/**
 * The VPC of the region's network namespace: one bridge that is the router of every subnet and hosts the instance
 * metadata service and the AWS endpoint. veth pairs connect the nodes to it.
 */
import { writeFileSync } from 'node:fs';
import { parseCidr } from '../../lib/core/cidr';
import { run } from './shell';

const BRIDGE = 'vpc';
/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
export const METADATA_ADDRESS = '169.254.169.254';

/** Creates the bridge. Afterwards this namespace can listen on the metadata address, by which nodes reach it. */
export async function makeNetwork(): Promise<void> {
  // A fixed hardware address: otherwise a bridge takes one from its ports, and the nodes' neighbour tables go stale.
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
 * The router's address in a subnet: the first after the network address, as in every VPC. Source:
 * https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
 */
export function routerOf(subnetCidr: string): { address: string; prefixLength: number } {
  const network = parseCidr(subnetCidr);
  if (!network) throw new Error(`The subnet "${subnetCidr}" is not a network in CIDR notation.`);
  const [a, b, c, d] = network.address.octets;
  return { address: `${a}.${b}.${c}.${d! + 1}`, prefixLength: network.prefix };
}

/** Connects a node's network namespace to the VPC: `eth0` appears in it, still without an address. */
export async function plug(processId: number, port: string, address: string, subnetCidr: string): Promise<void> {
  const router = routerOf(subnetCidr);
  await batch([
    `addr replace ${router.address}/${router.prefixLength} dev ${BRIDGE}`,
    // The hardware address follows the private address: a seat's successor has the same network interface.
    `link add ${port} type veth peer name eth0 address ${hardwareAddress(address)} netns ${processId}`,
    `link set ${port} master ${BRIDGE} up`,
  ]);
}

/**
 * Removes a port at once. The kernel would do it some time after the node's last process has ended, but a successor may
 * need the same addresses before.
 */
export async function unplug(port: string): Promise<void> {
  await run('ip', ['link', 'delete', port]).catch((error: Error) => {
    // The port is already gone, or the kernel removed it at the same moment.
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

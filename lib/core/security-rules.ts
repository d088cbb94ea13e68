/** Inbound rules of the security groups: data that both flavours turn into their own rules. */
import { HEALTH_PORT } from '../../protocol/environment';
import type { ListenerProtocol } from './listeners';

/** A rule that admits connections from all nodes. */
export interface NodeRule {
  /** Construct id. Logical ids of deployed stacks depend on it. */
  readonly id: string;
  /** The security group that gets the rule: that of all nodes, or that of managers. */
  readonly to: 'nodes' | 'managers';
  readonly protocol: 'tcp' | 'udp' | '50';
  /** Absent for a protocol without ports. */
  readonly port?: number;
  readonly description: string;
}

/**
 * What nodes need from each other.
 * Source: https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts
 */
export const NODE_RULES: readonly NodeRule[] = [
  { id: 'GossipTcp', to: 'nodes', protocol: 'tcp', port: 7946, description: 'Gossip among nodes' },
  { id: 'GossipUdp', to: 'nodes', protocol: 'udp', port: 7946, description: 'Gossip among nodes' },
  { id: 'Overlays', to: 'nodes', protocol: 'udp', port: 4789, description: 'Overlay networks among nodes' },
  // ESP has no ports. Source: https://docs.docker.com/engine/network/drivers/overlay/#encryption
  { id: 'EncryptedOverlays', to: 'nodes', protocol: '50', description: 'Encrypted overlay networks among nodes' },
  { id: 'Management', to: 'managers', protocol: 'tcp', port: 2377, description: 'Nodes join and follow managers' },
];

/** One rule of the security group of a load balancer, or of the nodes. */
export interface PortRule {
  readonly transport: 'tcp' | 'udp';
  /** One port, or the first and the last of a range. */
  readonly ports: number | readonly [first: number, last: number];
  readonly description: string;
}

/** The transports of a listener's protocol. A port needs one rule for each. */
export function transportsOf(protocol: ListenerProtocol): ('tcp' | 'udp')[] {
  if (protocol === 'TCP_UDP') return ['tcp', 'udp'];
  return protocol === 'UDP' ? ['udp'] : ['tcp'];
}

const healthChecks = (ports: number): PortRule => ({
  transport: 'tcp',
  ports,
  description: 'Health checks of the load balancer',
});

/** The rules of a declared listener: on the load balancer for its clients, on the nodes for the load balancer. */
export function listenerRules(listener: {
  readonly protocol: ListenerProtocol;
  readonly port: number;
  readonly targetPort: number;
  /** Absent when the agent answers health checks. */
  readonly healthCheckPort?: number;
}): { clients: PortRule[]; nodes: PortRule[] } {
  const { protocol, port, targetPort, healthCheckPort = HEALTH_PORT } = listener;
  const transports = transportsOf(protocol);
  return {
    clients: transports.map((transport) => ({ transport, ports: port, description: `Clients of port ${port}` })),
    nodes: [
      ...transports.map((transport) => ({ transport, ports: targetPort, description: 'Load balancer' })),
      healthChecks(healthCheckPort),
    ],
  };
}

/**
 * The rules on the nodes for a load balancer that follows published ports. target-update admits the clients at run
 * time, port by port.
 */
export const followedRules = ({ from, to }: { readonly from: number; readonly to: number }): PortRule[] => [
  { transport: 'tcp', ports: [from, to], description: 'Followed ports' },
  { transport: 'udp', ports: [from, to], description: 'Followed ports' },
  healthChecks(HEALTH_PORT),
];

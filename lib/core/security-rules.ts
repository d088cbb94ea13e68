/** Which connections security groups let in: data that both flavours turn into their own rules. */
import { HEALTH_PORT } from '../../protocol/environment';
import type { ListenerProtocol } from './listeners';

/** A rule between nodes. */
export interface NodeRule {
  /** Construct id. Logical ids of deployed stacks depend on it. */
  readonly id: string;
  /** The security group that is opened: of all nodes, or of managers. It is opened to all nodes. */
  readonly to: 'nodes' | 'managers';
  readonly protocol: 'tcp' | 'udp' | '50';
  /** A protocol that is neither TCP nor UDP has none. */
  readonly port?: number;
  readonly description: string;
}

/**
 * What nodes need of each other.
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

/** Ports that are opened by one rule of a load balancer's or the nodes' security group. */
export interface PortRule {
  readonly transport: 'tcp' | 'udp';
  /** One, or the first and the last of a range. */
  readonly ports: number | readonly [first: number, last: number];
  readonly description: string;
}

/** What a listener's protocol is carried by. A port takes one rule for each. */
export function transportsOf(protocol: ListenerProtocol): ('tcp' | 'udp')[] {
  if (protocol === 'TCP_UDP') return ['tcp', 'udp'];
  return protocol === 'UDP' ? ['udp'] : ['tcp'];
}

const healthChecks = (ports: number): PortRule => ({
  transport: 'tcp',
  ports,
  description: 'Health checks of the load balancer',
});

/** What a declared listener needs open: the load balancer for its clients, the nodes for the load balancer. */
export function listenerRules(listener: {
  readonly protocol: ListenerProtocol;
  readonly port: number;
  readonly targetPort: number;
  /** Absent where the agent answers. */
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
 * What nodes open to a load balancer that follows published ports. Its clients are let in while it runs, port by port,
 * by target-update.
 */
export const followedRules = ({ from, to }: { readonly from: number; readonly to: number }): PortRule[] => [
  { transport: 'tcp', ports: [from, to], description: 'Followed ports' },
  { transport: 'udp', ports: [from, to], description: 'Followed ports' },
  healthChecks(HEALTH_PORT),
];

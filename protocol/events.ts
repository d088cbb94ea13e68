/** Events that functions send to EventBridge's default bus, for notifications and for the user's own automation. */

export const EVENT_SOURCE = 'cdk-docker-swarm';

/** The detail-type of each event. */
export const swarmEvents = {
  /** An instance is a Ready node of the swarm and was admitted into service. */
  nodeReady: 'Swarm Node Ready',
  /**
   * An instance that Auto Scaling terminates has left the swarm, or did not in time. Its terminate hook was completed.
   */
  nodeLeft: 'Swarm Node Left',
  /** An instance ended without leaving the swarm. Its group replaces it. */
  nodeLost: 'Swarm Node Lost',
  /** An instance was handed to its group for replacement: it is down in the swarm, or EC2 reclaims it. */
  nodeReplaced: 'Swarm Node Replaced',
  /**
   * The loss of one more manager would lose the quorum, or it is already lost. Also sent while a deployment replaces
   * managers one by one.
   */
  quorumAtRisk: 'Swarm Quorum At Risk',
  /** The quorum is no longer at risk. */
  quorumSafe: 'Swarm Quorum Safe',
  /** A service publishes a port that a load balancer cannot follow. */
  portNotFollowed: 'Swarm Port Not Followed',
} as const;
export type SwarmEvent = keyof typeof swarmEvents;

/** The event's `detail`. */
export interface SwarmEventDetail {
  /** The value of the cluster tag. */
  cluster: string;
  /** Prose. */
  reason: string;
  /** In events about a node. */
  instanceId?: string;
  /** In events about a published port: the port, and the ARN of the load balancer. */
  port?: number;
  loadBalancer?: string;
}

/** What functions tell EventBridge's default bus of a cluster: for people's messages, and for automation of theirs. */

export const EVENT_SOURCE = 'cdk-docker-swarm';

/** By what happened: the event's detail-type. */
export const swarmEvents = {
  /** An instance is a Ready node of the swarm, and was let into service. */
  nodeReady: 'Swarm Node Ready',
  /** An instance that Auto Scaling terminates has left the swarm, or is past its deadline: it was let go. */
  nodeLeft: 'Swarm Node Left',
  /** An instance has ended without having left the swarm. Its group replaces it. */
  nodeLost: 'Swarm Node Lost',
  /** An instance was handed to its group to be replaced: it is down for the swarm, or EC2 takes it back. */
  nodeReplaced: 'Swarm Node Replaced',
  /**
   * One manager less would be no quorum any more, or there is none. Also while managers are replaced one after the
   * other by a deployment.
   */
  quorumAtRisk: 'Swarm Quorum At Risk',
  /** That is over. */
  quorumSafe: 'Swarm Quorum Safe',
  /** A service publishes a port that a load balancer cannot follow. */
  portNotFollowed: 'Swarm Port Not Followed',
} as const;
export type SwarmEvent = keyof typeof swarmEvents;

/** The event's `detail`. */
export interface SwarmEventDetail {
  /** The value of the cluster tag. */
  cluster: string;
  /** In words. */
  reason: string;
  /** Of events about a node. */
  instanceId?: string;
  /** Of events about a published port: that port, and the ARN of the load balancer. */
  port?: number;
  loadBalancer?: string;
}

/**
 * The names and fields of the metrics that functions log. Metric filters read them, so each name is defined once, here.
 */

/** Value of the field `metric` in a log line with a census of the cluster. */
export const CENSUS_METRIC = 'Census';
/** Value of the field `metric` in a log line that counts the actions taken. */
export const ACTIONS_METRIC = 'Deeds';
/** Value of the field `metric` in a log line that needs a person's attention. */
export const ALARM_METRIC = 'MembershipAlarms';
/**
 * Value of the field `metric` in a log line about published ports that no load balancer follows. `ports` is their
 * number.
 */
export const PORTS_METRIC = 'PortsNotFollowed';
/**
 * Value of the field `metric` in a log line about followed ports where no healthy node answers. `ports` is their
 * number.
 */
export const UNANSWERED_METRIC = 'PortsUnanswered';
/**
 * Value of the field `metric` in an agent's log line about a node certificate that Docker should have renewed by now.
 */
export const CERTIFICATE_METRIC = 'CertificatesOverdue';

/** The state of the cluster, in numbers. */
export interface Census {
  /** Managers configured. */
  seats: number;
  /** Managers that are Ready and reachable by the leader. */
  managersWorking: number;
  managersMissing: number;
  workersReady: number;
  /** Nodes of either role that the leader lists as down. */
  nodesDown: number;
  /** Instances waiting at their launch hook, and at their terminate hook. */
  instancesWaiting: number;
  instancesLeaving: number;
  /** Seat groups whose `Launch` process this function has suspended. */
  launchesHeld: number;
  /** Age of the leader's last published report; absent before the first one. The leader reports every 30 s. */
  leaderAgeSeconds?: number;
  /** Tasks that should run but have no node yet, as of the leader's last count. */
  tasksPending?: number;
}

/** The actions taken in one round. */
export interface ActionCounts {
  /** Instances admitted into service. */
  nodesReady: number;
  /**
   * Instances whose terminate hook was completed: `nodesLeft` after they left the swarm, `nodesLost` when they ended
   * without leaving.
   */
  nodesLeft: number;
  nodesLost: number;
  /** Instances handed to their groups for replacement. */
  nodesReplaced: number;
  /** Hooks completed past their deadline: an abandoned launch, or a node that did not leave in time. */
  hookDeadlines: number;
  /** Orders to remove a manager from raft. */
  managersRemoved: number;
  /** Rotations of the join tokens that were ordered. */
  rotations: number;
}

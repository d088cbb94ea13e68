/** The numbers that functions log and metric filters read: what the one calls a field, the other looks for. */

/** Value of the field `metric` in a log line that holds a census. */
export const CENSUS_METRIC = 'Census';
/** Value of the field `metric` in a log line that holds deeds. */
export const ACTIONS_METRIC = 'Deeds';
/** Value of the field `metric` in a log line about something that a person should know. */
export const ALARM_METRIC = 'MembershipAlarms';
/** And in a line about published ports that no load balancer follows: `ports` says how many. */
export const PORTS_METRIC = 'PortsNotFollowed';
/** And in one about ports that are followed, and that no healthy node answers at: `ports` says how many. */
export const UNANSWERED_METRIC = 'PortsUnanswered';
/** And in a line of a node's own log, about its certificate, which Docker should have renewed long ago. */
export const CERTIFICATE_METRIC = 'CertificatesOverdue';

/** How the cluster was seen. */
export interface Census {
  /** Managers that there should be. */
  seats: number;
  /** Managers that are Ready and that the leader reaches. */
  managersWorking: number;
  managersMissing: number;
  workersReady: number;
  /** Of any role, by the leader's list. */
  nodesDown: number;
  /** Instances that wait at their launch hook, and at their terminate hook. */
  instancesWaiting: number;
  instancesLeaving: number;
  /** Groups of seats whose `Launch` we have suspended. */
  launchesHeld: number;
  /** How long ago the leader's report was published; absent before the first. It reports every 30 s. */
  leaderAgeSeconds?: number;
  /** Tasks that should run and have no node yet, when the leader last counted them. */
  tasksPending?: number;
}

/** What one look has done. */
export interface ActionCounts {
  /** Instances that were let into service. */
  nodesReady: number;
  /** Instances that were let go: having left, having ended without it. */
  nodesLeft: number;
  nodesLost: number;
  /** Instances that were handed to their groups to be replaced. */
  nodesReplaced: number;
  /**
   * Hooks that were completed because they were past their deadline: a launch that was given up, a node that did not
   * leave in time.
   */
  hookDeadlines: number;
  /** Managers that are to be taken out of raft. */
  managersRemoved: number;
  /** Rotations of the join tokens that were asked for. */
  rotations: number;
}

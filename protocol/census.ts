/** The numbers that functions log and metric filters read: what the one calls a field, the other looks for. */

/** Value of the field `metric` in a log line that holds a census. */
export const CENSUS_METRIC = 'Census';
/** Value of the field `metric` in a log line about something that a person should know. */
export const ALARM_METRIC = 'MembershipAlarms';
/** And in a line of a node's own log, about its certificate, which Docker should have renewed long ago. */
export const CERTIFICATE_METRIC = 'CertificatesOverdue';

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
  /** How long ago the leader's report was published; absent before the first. It reports every 30 s. */
  leaderAgeSeconds?: number;
}

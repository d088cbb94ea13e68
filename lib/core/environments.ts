/** What each function is told by its environment. Values may be references that only the deployment resolves. */
import { environmentVariables as env } from '../../protocol/environment';

/** Names of the cluster's tables. */
export interface Tables {
  readonly tokenTable: string;
  readonly reportTable: string;
}

/** Unique ids of the nodes' roles. */
export interface RoleIds {
  readonly managerRoleId: string;
  readonly workerRoleId: string;
}

/** node-join and node-leave: the same rules run in both. */
export const membershipEnvironment = (
  given: { readonly cluster: string; readonly seats: string; readonly swarmSettings: string } & Tables & RoleIds,
): Record<string, string> => ({
  [env.cluster]: given.cluster,
  [env.tokenTable]: given.tokenTable,
  [env.reportTable]: given.reportTable,
  [env.managerRoleId]: given.managerRoleId,
  [env.workerRoleId]: given.workerRoleId,
  [env.seats]: given.seats,
  [env.swarmSettings]: given.swarmSettings,
});

/** In addition, where the cluster has a load balancer. */
export const loadBalancedEnvironment: Record<string, string> = { [env.loadBalanced]: 'true' };

export const leaderTokenEnvironment = (
  given: { readonly cluster: string; readonly joinQueueUrl: string } & Tables & RoleIds,
): Record<string, string> => ({
  [env.cluster]: given.cluster,
  [env.tokenTable]: given.tokenTable,
  [env.reportTable]: given.reportTable,
  [env.managerRoleId]: given.managerRoleId,
  [env.workerRoleId]: given.workerRoleId,
  [env.joinQueueUrl]: given.joinQueueUrl,
});

/** In addition, where the cluster has a load balancer. */
export const wakingTargetUpdate = (targetsQueueUrl: string): Record<string, string> => ({
  [env.targetsQueueUrl]: targetsQueueUrl,
});

export const targetUpdateEnvironment = (
  given: { readonly cluster: string; readonly joinQueueUrl: string; readonly loadBalancers: string } & Pick<
    Tables,
    'tokenTable'
  >,
): Record<string, string> => ({
  [env.cluster]: given.cluster,
  [env.tokenTable]: given.tokenTable,
  [env.joinQueueUrl]: given.joinQueueUrl,
  [env.loadBalancers]: given.loadBalancers,
});

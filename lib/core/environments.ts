/** The environment of each function. Values may be references that only the deployment resolves. */
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

type Shared = { readonly cluster: string } & Tables & RoleIds;

/** What the functions that read reports of nodes share. */
const shared = (values: Shared): Record<string, string> => ({
  [env.cluster]: values.cluster,
  [env.tokenTable]: values.tokenTable,
  [env.reportTable]: values.reportTable,
  [env.managerRoleId]: values.managerRoleId,
  [env.workerRoleId]: values.workerRoleId,
});

/** For node-join and node-leave, which run the same rules. */
export const membershipEnvironment = (
  values: { readonly seats: string; readonly swarmSettings: string } & Shared,
): Record<string, string> => ({
  ...shared(values),
  [env.seats]: values.seats,
  [env.swarmSettings]: values.swarmSettings,
});

/** Also for node-join and node-leave, when the cluster has a load balancer. */
export const loadBalancedEnvironment: Record<string, string> = { [env.loadBalanced]: 'true' };

export const leaderTokenEnvironment = (values: { readonly joinQueueUrl: string } & Shared): Record<string, string> => ({
  ...shared(values),
  [env.joinQueueUrl]: values.joinQueueUrl,
});

/** Also for leader-token, when the cluster has a load balancer. */
export const wakingTargetUpdate = (targetsQueueUrl: string): Record<string, string> => ({
  [env.targetsQueueUrl]: targetsQueueUrl,
});

export const targetUpdateEnvironment = (
  values: { readonly cluster: string; readonly joinQueueUrl: string; readonly loadBalancers: string } & Pick<
    Tables,
    'tokenTable'
  >,
): Record<string, string> => ({
  [env.cluster]: values.cluster,
  [env.tokenTable]: values.tokenTable,
  [env.joinQueueUrl]: values.joinQueueUrl,
  [env.loadBalancers]: values.loadBalancers,
});

/** The only place where functions read their environment. */
import * as v from 'valibot';
import { loadBalancersSchema, type LoadBalancerSettings } from '../../protocol/following';
import {
  environmentVariables,
  seatsSchema,
  swarmSettingsSchema,
  type Seats,
  type SwarmSettings,
} from '../../protocol/environment';

/** Environment variables by name, as `process.env` has them. */
export type Variables = Record<string, string | undefined>;

export class Environment {
  constructor(private readonly variables: Variables) {}

  cluster = () => this.required('cluster');
  tokenTable = () => this.required('tokenTable');
  reportTable = () => this.required('reportTable');
  roleIds = () => ({ manager: this.required('managerRoleId'), worker: this.required('workerRoleId') });
  joinQueueUrl = () => this.required('joinQueueUrl');
  targetsQueueUrl = (): string | undefined => this.variables[environmentVariables.targetsQueueUrl];
  loadBalanced = (): boolean => this.variables[environmentVariables.loadBalanced] === 'true';
  loadBalancers = (): LoadBalancerSettings[] =>
    v.parse(loadBalancersSchema, JSON.parse(this.required('loadBalancers')));
  seats = (): Seats => v.parse(seatsSchema, JSON.parse(this.required('seats')));
  swarmSettings = (): SwarmSettings => v.parse(swarmSettingsSchema, JSON.parse(this.required('swarmSettings')));

  /** @throws Error with the name of the missing variable */
  private required(name: keyof typeof environmentVariables): string {
    const variable = environmentVariables[name];
    const value = this.variables[variable];
    if (!value)
      throw new Error(
        `The environment variable ${variable} is not set. The constructs set it: deploy the stack again.`,
      );
    return value;
  }
}

/** The one place where functions read their environment. */
import * as v from 'valibot';
import { environmentVariables, seatsSchema, swarmSettingsSchema, type Seats, type SwarmSettings } from '../protocol/environment';

/** @throws Error naming the variable when it is missing. */
function required(name: keyof typeof environmentVariables): string {
  const variable = environmentVariables[name];
  const value = process.env[variable];
  if (!value) throw new Error(`The environment variable ${variable} is not set. It is set by the constructs; deploy the stack again.`);
  return value;
}

export const environment = {
  cluster: () => required('cluster'),
  tokenTable: () => required('tokenTable'),
  reportTable: () => required('reportTable'),
  managerRoleId: () => required('managerRoleId'),
  workerRoleId: () => required('workerRoleId'),
  joinQueueUrl: () => required('joinQueueUrl'),
  seats: (): Seats => v.parse(seatsSchema, JSON.parse(required('seats'))),
  swarmSettings: (): SwarmSettings => v.parse(swarmSettingsSchema, JSON.parse(required('swarmSettings'))),
};

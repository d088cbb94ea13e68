/** node-leave, made of what it is given: the real clients (`index.ts`) or a simulation's. */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../protocol/clock';
import { TERMINATE_HOOK } from '../../protocol/hooks';
import { Environment, type Variables } from '../environment';
import type { Log } from '../log';
import { completeHook, describeError } from '../membership/act';
import { groupMembers } from '../membership/observe';
import { plan } from './plan';
import { bury } from './tombstone';

export interface NodeLeaveParts {
  clock: Clock;
  log: Log;
  variables: Variables;
  dynamodb: DynamoDBClient;
  autoScaling: AutoScalingClient;
}

/** @throws Error naming an environment variable that is missing */
export function nodeLeave({ clock, log, variables, dynamodb, autoScaling }: NodeLeaveParts): () => Promise<void> {
  const environment = new Environment(variables);
  const cluster = environment.cluster();
  const tables = { clock, dynamodb, tokenTable: environment.tokenTable(), reportTable: environment.reportTable(), roleIds: environment.roleIds() };
  return async () => {
    for (const { instanceId, role, group, reason } of plan(await groupMembers(autoScaling, cluster))) {
      try {
        await bury(tables, role, instanceId);
        await completeHook(autoScaling, instanceId, group, TERMINATE_HOOK, 'CONTINUE');
        log('info', 'Terminate hook completed.', { instanceId, reason });
      } catch (error) {
        // One that fails keeps no other waiting; the sweep tries it again.
        log('warn', 'A terminate hook could not be completed.', { instanceId, error: describeError(error) });
      }
    }
  };
}

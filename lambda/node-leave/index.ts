/**
 * node-leave: lets go of instances that Auto Scaling terminates.
 *
 * Life cycle: woken by its queue (terminate hooks, spot and rebalance notices, the sweep each minute). Completes every terminate hook that waits. Writes nothing,
 * so it needs no lease.
 *
 * Traps: the message of a hook may come twice or never; a hook may be completed already.
 */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { systemClock } from '../../protocol/clock';
import { TERMINATE_HOOK } from '../../protocol/hooks';
import { environment } from '../environment';
import { jsonLog } from '../log';
import { completeHook, describeError } from '../membership/act';
import { groupMembers } from '../membership/observe';
import { plan } from './plan';

const log = jsonLog(systemClock);
const autoScaling = new AutoScalingClient();
const cluster = environment.cluster();

export async function handler(): Promise<void> {
  for (const { instanceId, group, reason } of plan(await groupMembers(autoScaling, cluster))) {
    try {
      await completeHook(autoScaling, instanceId, group, TERMINATE_HOOK, 'CONTINUE');
      log('info', 'Terminate hook completed.', { instanceId, reason });
    } catch (error) {
      // One that fails keeps no other waiting; the sweep tries it again.
      log('warn', 'A terminate hook could not be completed.', { instanceId, error: describeError(error) });
    }
  }
}

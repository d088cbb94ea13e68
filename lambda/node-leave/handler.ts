/** Builds node-leave from its parts: the real clients (`index.ts`), or those of a simulation. */
import type { RecoveryAnswer } from '../../protocol/recovery';
import { describeError } from '../../protocol/log';
import { converge } from '../membership/converge';
import { isLeaving } from '../membership/facts';
import { describeGroups } from '../shared/groups';
import { writeTombstone } from '../membership/tombstone';
import { wire, type MembershipParts } from '../membership/wire';
import { isRequest, recover } from './recovery';

/** @throws Error with the name of a missing environment variable */
export function nodeLeave(parts: MembershipParts): (event: unknown) => Promise<RecoveryAnswer | undefined> {
  const membership = wire(parts);
  const { autoScaling, cluster, log } = membership;
  return async (event) => {
    if (isRequest(event)) return recover(membership, event);
    // A manager gets its tombstone only when its hook is completed: until then it may lead, and its reports are needed.
    const { instances } = await describeGroups(autoScaling, cluster);
    const leaving = instances.filter((instance) => isLeaving(instance) && instance.group.role === 'worker');
    for (const { instanceId, group } of leaving) {
      // A failure blocks no other instance. The tombstone is written again before the hook is completed.
      await writeTombstone(membership, group.role, instanceId).catch((error: unknown) =>
        log('warn', 'Failed to write a tombstone. The next round tries again.', {
          instanceId,
          error: describeError(error),
        }),
      );
    }
    await converge(membership);
    return undefined;
  };
}

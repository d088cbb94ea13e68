/** node-leave, made of what it is given: the real clients (`index.ts`) or a simulation's. */
import type { RecoveryAnswer } from '../../protocol/recovery';
import { describeError } from '../../protocol/log';
import { converge } from '../membership/converge';
import { isLeaving } from '../membership/facts';
import { describeGroups } from '../shared/groups';
import { writeTombstone } from '../membership/tombstone';
import { wire, type MembershipParts } from '../membership/wire';
import { isRequest, recover } from './recovery';

/** @throws Error naming an environment variable that is missing */
export function nodeLeave(parts: MembershipParts): (event: unknown) => Promise<RecoveryAnswer | undefined> {
  const membership = wire(parts);
  const { autoScaling, cluster, log } = membership;
  return async (event) => {
    if (isRequest(event)) return recover(membership, event);
    // A manager's comes when it is let go: until then it may lead, and goes on to be heard.
    const { instances } = await describeGroups(autoScaling, cluster);
    const leaving = instances.filter((instance) => isLeaving(instance) && instance.group.role === 'worker');
    for (const { instanceId, group } of leaving) {
      // One that fails keeps no other waiting: it is buried again before its hook is completed.
      await writeTombstone(membership, group.role, instanceId).catch((error: unknown) =>
        log('warn', 'A tombstone could not be set.', { instanceId, error: describeError(error) }),
      );
    }
    await converge(membership);
    return undefined;
  };
}

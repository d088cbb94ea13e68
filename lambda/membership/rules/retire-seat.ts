/**
 * Rule `retire-seat`: removes a seat from the cluster for good. That takes two conditions: the seat is no longer in the
 * functions' configuration, and its instance is at its terminate hook, or gone.
 *
 * - While the manager works, the leader takes it out of raft (`retire`), one manager at a time. It is a worker then,
 *   which rule `release` drains and removes.
 * - While the others would be no quorum without it, it stays.
 * - A manager whose instance is gone, according to EC2, is a dead member: rule `return-seat` removes it.
 *
 * Pure: reads the observation, adds to the draft what to write.
 */
import { quorumOf, type SwarmNode } from '../../../protocol/swarm';
import type { Draft } from '../draft';
import type { Facts } from '../facts';
import type { Instance } from '../observation';

export function retireSeat(draft: Draft, facts: Facts): void {
  const { leader, now } = draft.observed;
  const change = draft.membership.managerChange;
  if (!leader || (change && change.kind !== 'retire')) return;
  const leaving = facts.retiring.filter((instance) => managerOf(instance, draft.observed.nodes));
  if (change) {
    const going = leaving.find(({ group }) => group.seat === change.seat);
    if (!going) return draft.endManagerChange('It is no longer a manager, or its instance is gone.');
    if ((now < change.expiresAt && change.instanceId === leader.instanceId) || retire(draft, facts, going)) return;
    // Others were lost in the meantime. Their dead members may have to be removed first, or their successors to return.
    if (facts.quorumVisible && now >= change.expiresAt)
      draft.endManagerChange('The others would be no quorum without it now.');
    return;
  }
  const [next] = leaving;
  if (next) retire(draft, facts, next);
}

/**
 * Orders the retirement while a quorum reports. Otherwise a later round does.
 * @returns whether it was ordered
 */
function retire(draft: Draft, facts: Facts, { instanceId: leavingInstanceId, group }: Instance): boolean {
  const { leader, nodes } = draft.observed;
  const { id: nodeId } = managerOf({ instanceId: leavingInstanceId }, nodes)!;
  const staying = facts.members.filter(({ id }) => id !== nodeId);
  // The list may still show a manager at work that was let go since, or that is deaf.
  const goes = ({ instanceId }: SwarmNode) => draft.membership.departures[instanceId ?? '']?.letGoAt !== undefined;
  const enough =
    staying.filter((node) => facts.confirmsItWorks(node) && !goes(node)).length >= quorumOf(staying.length);
  if (!facts.quorumVisible || !facts.isAlive(leader!.instanceId) || !enough || staying.length === 0) return false;
  const reason = `Seat ${group.seat} is no longer configured.`;
  draft.changeManagers(group.seat!, {
    kind: 'retire',
    ...draft.commandFor(leader!.instanceId, reason),
    nodeId,
    leavingInstanceId,
  });
  return true;
}

/** The node of this instance that is a manager, or still a member of raft. */
export function managerOf(
  { instanceId }: Pick<Instance, 'instanceId'>,
  nodes: readonly SwarmNode[],
): SwarmNode | undefined {
  return nodes.find((node) => node.instanceId === instanceId && (node.role === 'manager' || node.manager));
}

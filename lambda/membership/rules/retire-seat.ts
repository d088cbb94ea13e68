/**
 * Rule `retire-seat`: a seat leaves the cluster for good only when it is in the functions' list no more, and its
 * instance waits at its terminate hook, or is gone.
 *
 * - While it works, the leader takes it out of raft (`retire`), one at a time; then it is a worker that leaves, and
 *   rule `release` drains and removes it.
 * - Where the others would be no quorum, it is kept until they are.
 * - One that is gone, by EC2's own word, is a dead member with nobody behind it: rule `return-seat` has it removed.
 *
 * Pure: reads what was observed, adds to the plan what to write.
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
    if (!going) return draft.endManagerChange('It is no manager any more, or its instance is gone.');
    if ((now < change.expiresAt && change.instanceId === leader.instanceId) || retire(draft, facts, going)) return;
    // Others were lost meanwhile. What is left of them may have to go first, or their successors to come.
    if (facts.quorumVisible && now >= change.expiresAt)
      draft.endManagerChange('Without it the others would be no quorum now.');
    return;
  }
  const [next] = leaving;
  if (next) retire(draft, facts, next);
}

/**
 * Asks for it while a quorum reports; one that nobody can ask now is asked for later.
 * @returns whether it was asked for
 */
function retire(draft: Draft, facts: Facts, { instanceId: leavingInstanceId, group }: Instance): boolean {
  const { leader, nodes } = draft.observed;
  const { id: nodeId } = managerOf({ instanceId: leavingInstanceId }, nodes)!;
  const staying = facts.members.filter(({ id }) => id !== nodeId);
  // The list may still show one at work that was let go since, or that is deaf.
  const goes = ({ instanceId }: SwarmNode) => draft.membership.departures[instanceId ?? '']?.letGoAt !== undefined;
  const enough =
    staying.filter((node) => facts.confirmsItWorks(node) && !goes(node)).length >= quorumOf(staying.length);
  if (!facts.quorumVisible || !facts.isAlive(leader!.instanceId) || !enough || staying.length === 0) return false;
  const reason = `Seat ${group.seat} is configured no more.`;
  draft.changeManagers(group.seat!, {
    kind: 'retire',
    ...draft.commandFor(leader!.instanceId, reason),
    nodeId,
    leavingInstanceId,
  });
  return true;
}

/** The manager, or the member of raft that is to be none, that this instance is. */
export function managerOf(
  { instanceId }: Pick<Instance, 'instanceId'>,
  nodes: readonly SwarmNode[],
): SwarmNode | undefined {
  return nodes.find((node) => node.instanceId === instanceId && (node.role === 'manager' || node.manager));
}

/**
 * Rule `recover-quorum`: a quorum that is lost for good. A person asks for it (node-leave is invoked by hand, see README), says with which seat the swarm goes on, and names the swarm; nothing here begins by itself.
 *
 * `--force-new-cluster` makes one manager go on alone with all that it has. Old managers that came back later would be a second swarm of the same id (measured), so each step waits for the one before:
 *
 * 1. The volumes of all other seats are given up: written down, for ever, and never attached again. Who still holds one is terminated.
 * 2. When EC2 has said for some time that none of them is attached to anybody, the manager that is left goes on alone (`recover`).
 * 3. When it leads, the nodes of the others are taken out of the swarm. Their seats get other volumes by a deployment (`volumeGenerations`), and join anew.
 *
 * Should a quorum report before the second step, nothing is given up.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import type { Membership } from '../../protocol/cluster';
import type { RecoveryAnswer, RecoveryRequest } from '../../protocol/recovery';
import type { Draft } from './draft';
import { Facts, isLost, memberAddress, seesLeader } from './facts';
import type { Instance, Observation } from './observation';

/** How long nobody must have led before a quorum counts as lost for good: what heals by itself has begun to by then. */
export const SILENT_MS = 5 * 60_000;
/** For how long nobody must have held a volume that is given up: what EC2 says may be some seconds old. */
export const FREE_MS = 60_000;

type Recovery = NonNullable<Membership['recovery']>;

/**
 * What a person is answered who asks for it.
 * @returns with the membership record as it is to be, when it is begun
 */
export function askForRecovery(observed: Observation, { seat, swarmId }: RecoveryRequest): { answer: RecoveryAnswer; membership?: Membership } {
  const facts = new Facts(observed);
  const { leader, membership, seats, now } = observed;
  const refused: string[] = [];
  const wanted = seats.find((one) => one.seat === seat);
  if (!leader) return { answer: { refused: ['No swarm was ever made.'] } };
  if (membership.recovery) return { answer: { refused: [`It is under way already, with seat ${membership.recovery.seat}.`] } };
  if (swarmId !== undefined && swarmId !== leader.swarmId) refused.push(`The swarm of this cluster is ${leader.swarmId}.`);
  const silent = Math.max(0, Math.round((now - leader.updatedAt) / 1000));
  if (now - leader.updatedAt < SILENT_MS) refused.push(`A leader reported ${silent} s ago. A quorum counts as lost for good when none has reported for ${SILENT_MS / 1000} s.`);
  if (!wanted) refused.push(`There is no seat ${seat}. There are ${seats.map((one) => one.seat).join(', ')}.`);
  else if (membership.abandonedVolumes.includes(wanted.volumeId)) refused.push(`The volume of seat ${seat}, ${wanted.volumeId}, was given up before.`);
  const survivor = survivorOf(facts, seat);
  if (wanted && !survivor) refused.push(`Seat ${seat} has no instance whose engine runs with its volume and is a manager that sees no leader. ${facts.holders(seat).length === 0 ? 'It has no instance.' : 'See the log of its instance.'}`);
  if (!survivor || refused.length > 0) return { answer: { refused } };

  const others = seats.filter((one) => one.seat !== seat);
  const nodeId = survivor.report!.swarm!.nodeId!;
  const steps = [
    ...others.map((one) => `The volume of seat ${one.seat}, ${one.volumeId}, is given up, with all that only it has. It is never attached again.`),
    ...holdersOf(observed, others.map(({ volumeId }) => volumeId)).map(({ instanceId, group }) => `${instanceId} of seat ${group.seat}, which has its volume still, is terminated.`),
    `Then ${survivor.instanceId} of seat ${seat} goes on as the only manager of the swarm ${leader.swarmId}.`,
    `Then deploy with managers: { volumeGenerations: { ${others.map((one) => `'${one.seat}': 2`).join(', ')} } } (or one more than there is): these seats get other volumes, and join anew.`,
  ];
  if (swarmId === undefined) return { answer: { wouldDo: steps, toConfirm: { recover: { seat, swarmId: leader.swarmId } } } };
  const recovery: Recovery = {
    seat,
    volumes: others.map(({ volumeId }) => volumeId).filter((volumeId) => !membership.abandonedVolumes.includes(volumeId)),
    dead: facts.members.filter(({ id }) => id !== nodeId).map(({ id, manager }) => ({ nodeId: id, seat: seats.find(({ address }) => address === memberAddress(manager!))?.seat ?? seats.length })),
  };
  return { answer: { begun: steps }, membership: { ...membership, recovery, abandonedVolumes: [...membership.abandonedVolumes, ...recovery.volumes] } };
}

export function recoverQuorum(draft: Draft, facts: Facts): void {
  const { recovery } = draft.membership;
  if (!recovery) return;
  if (facts.quorumVisible) return recovery.told ? takeOutDead(draft, facts, recovery) : callOff(draft, recovery);
  const { observed } = draft;
  const holders = holdersOf(observed, recovery.volumes);
  if (holders.length > 0 || observed.volumes.some(({ volumeId, state }) => recovery.volumes.includes(volumeId) && state !== 'available')) {
    delete recovery.freeSince;
    for (const instance of holders) terminate(draft, instance);
    return;
  }
  recovery.freeSince ??= observed.now;
  if (observed.now - recovery.freeSince >= FREE_MS) goOnAlone(draft, facts, recovery);
}

function callOff({ membership, alarms, observed }: Draft, recovery: Recovery): void {
  membership.recovery = null;
  membership.abandonedVolumes = membership.abandonedVolumes.filter((volumeId) => !recovery.volumes.includes(volumeId));
  alarms.push({ instanceId: observed.leader!.instanceId, reason: 'The swarm has a quorum again: none of its volumes is given up.' });
}

function terminate({ effects }: Draft, { instanceId, lifecycleState, group }: Instance): void {
  const reason = `The volume of seat ${group.seat} is given up, and the swarm goes on without it.`;
  if (lifecycleState === 'InService') effects.push({ kind: 'terminate', instanceId, reason });
  else if (lifecycleState === 'Pending:Wait') effects.push({ kind: 'abandon', instanceId, group: group.name, reason });
}

function goOnAlone(draft: Draft, facts: Facts, recovery: Recovery): void {
  const { membership, observed } = draft;
  const survivor = survivorOf(facts, recovery.seat);
  const change = membership.managerChange;
  if (!survivor || (change?.kind === 'recover' && change.instanceId === survivor.instanceId && observed.now < change.expiresAt)) return;
  recovery.told = true;
  const reason = 'The quorum is lost for good: a person has said so.';
  draft.alarms.push({ instanceId: survivor.instanceId, reason: `The swarm goes on with one manager, of seat ${recovery.seat}. ${reason}` });
  draft.changeManagers(recovery.seat, { kind: 'recover', ...draft.commandFor(survivor.instanceId, reason), nodeId: survivor.report!.swarm!.nodeId!, advertiseAddress: facts.addressOf(recovery.seat)! });
}

/** One at a time; rule `return-seat` sees to it that each comes to an end. */
function takeOutDead(draft: Draft, facts: Facts, recovery: Recovery): void {
  const { membership, observed } = draft;
  if (membership.managerChange?.kind === 'recover') draft.endManagerChange('The swarm has a leader again.');
  if (membership.managerChange) return;
  const left = recovery.dead.flatMap(({ nodeId, seat }) => observed.nodes.filter(({ id }) => id === nodeId).map((node) => ({ node, seat })));
  if (left.length === 0) {
    membership.recovery = null;
    return;
  }
  const next = left.find(({ node }) => isLost(node));
  const leader = observed.leader!.instanceId;
  if (next && facts.isHere(leader)) draft.changeManagers(next.seat, { kind: 'remove', ...draft.commandFor(leader, 'Its volume is given up: nobody comes back as it.'), nodeId: next.node.id });
}

/** The instance of a seat whose engine keeps its state on the seat's volume, is a manager, and sees no leader. */
function survivorOf(facts: Facts, seat: number): Instance | undefined {
  return facts.holders(seat).find((instance) => {
    const swarm = instance.report?.swarm;
    return facts.hasItsVolume(instance) && swarm?.controlAvailable === true && swarm.nodeId !== undefined && !seesLeader(instance);
  });
}

/** Who has one of these volumes, by EC2's word. */
function holdersOf({ instances, volumes }: Observation, volumeIds: readonly string[]): Instance[] {
  const holders = new Set(volumes.flatMap(({ volumeId, attachedTo }) => (attachedTo !== undefined && volumeIds.includes(volumeId) ? [attachedTo] : [])));
  return instances.filter(({ instanceId }) => holders.has(instanceId));
}


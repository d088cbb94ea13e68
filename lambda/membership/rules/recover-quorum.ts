/**
 * Rule `recover-quorum`: a quorum that is lost for good. A person asks for it (node-leave is invoked by hand, see
 * docs/quorum-lost.md), says with which seat the swarm goes on, and names the swarm; nothing here begins by itself.
 *
 * `--force-new-cluster` makes one manager go on alone with all that it has. Old managers that came back later would be
 * a second swarm of the same id (measured), so each step waits for the one before:
 *
 * 1. The volumes of all other seats are given up: written down, for ever, and never attached again. Every other
 *    manager's instance that there is, is terminated.
 * 2. When all of these are gone, and EC2 has said for some time of each volume that nobody has it, the manager that is
 *    left goes on alone (`recover`).
 * 3. When it leads, the nodes of the others are taken out of the swarm. Their seats get other volumes by a deployment
 *    (`volumeGenerations`), and join anew.
 *
 * Should a quorum report before the second step, nothing is given up. While another manager says that it sees a leader,
 * nothing is done: there is a quorum then, and only its reports are not heard.
 *
 * Pure: reads what was observed, adds to the plan what to write and what to do.
 */
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import type { RecoveryAnswer, RecoveryRequest } from '../../../protocol/recovery';
import type { Draft } from '../draft';
import { Facts, formerManagers, isLost, memberAddress, seesLeader } from '../facts';
import type { Instance, Observation } from '../observation';

/** How long nobody must have led before a quorum counts as lost for good: what heals by itself has begun to by then. */
export const SILENT_MS = 5 * 60_000;
/**
 * For how long nobody must have had a volume that is given up. Longer than a function may run: what one was about to
 * ask of EC2 when it began is over by then.
 */
export const FREE_MS = 2 * 60_000;

type Recovery = NonNullable<Membership['recovery']>;

/**
 * What a person is answered who asks for it.
 * @returns with the membership record as it is to be, when it is begun
 */
export function askForRecovery(
  observed: Observation,
  { seat, swarmId }: RecoveryRequest,
): { answer: RecoveryAnswer; membership?: Membership } {
  const { leader, membership, seats } = observed;
  if (!leader) return { answer: { refused: ['No swarm was ever made.'] } };
  const before = membership.recovery;
  // Whoever did not hear the answer asks again.
  if (before?.seat === seat && swarmId === leader.swarmId) return { answer: { begun: ['It is under way.'] } };
  if (before?.told) return { answer: { refused: [`The manager of seat ${before.seat} was told to go on already.`] } };
  // Until a manager was told, another one may be chosen.
  const abandoned = membership.abandonedVolumes.filter((volumeId) => !before?.volumes.includes(volumeId));
  const refused = objections(observed, seat, swarmId, abandoned);
  const survivor = survivorOf(new Facts(observed), seat);
  if (!survivor || refused.length > 0) return { answer: { refused } };

  const others = seats.filter((one) => one.seat !== seat);
  const instances = observed.instances.filter(
    (one) => one.group.role === 'manager' && one.instanceId !== survivor.instanceId,
  );
  const volumes = [
    ...new Set([
      ...others.map(({ volumeId }) => volumeId),
      ...instances.flatMap(({ report }) => (report?.volume?.state === 'mounted' ? [report.volume.id] : [])),
    ]),
  ];
  const last = instances.find(({ instanceId }) => instanceId === leader.instanceId);
  const steps = [
    ...(last
      ? [
          `(The last leader, ${last.instanceId}, holds seat ${last.group.seat}. It has all that was ever ` +
            'agreed on, and another manager may not: where its engine runs, rather go on with that seat.)',
        ]
      : []),
    ...volumes.map(
      (volumeId) =>
        `The volume ${volumeId}${seatOf(observed, volumeId)} is given up, with all that only it has. It is ` +
        'never attached again.',
    ),
    ...instances.map(({ instanceId, group }) => `${instanceId} of seat ${group.seat} is terminated.`),
    `Then ${survivor.instanceId} of seat ${seat} goes on as the only manager of the swarm ${leader.swarmId}.`,
    ...(others.length > 0
      ? [
          'Not before that, deploy with managers: { volumeGenerations: { ' +
            `${others.map((one) => `'${one.seat}': 2`).join(', ')} } } (or one more than there is): these ` +
            'seats get other volumes, and join anew.',
        ]
      : []),
  ];
  if (swarmId === undefined)
    return { answer: { wouldDo: steps, toConfirm: { recover: { seat, swarmId: leader.swarmId } } } };
  const nodeId = survivor.report!.swarm!.nodeId!;
  const recovery: Recovery = {
    seat,
    volumes: volumes.filter((volumeId) => !abandoned.includes(volumeId)),
    instances: instances.map(({ instanceId }) => instanceId),
    // Members elsewhere are former managers: rule `return-seat` takes them out.
    dead: new Facts(observed).members
      .flatMap(({ id, manager }) => {
        const one = others.find(({ address }) => address === memberAddress(manager!));
        return one && id !== nodeId ? [{ nodeId: id, seat: one.seat }] : [];
      })
      .slice(0, seats.length),
  };
  return {
    answer: { begun: steps },
    membership: { ...membership, recovery, abandonedVolumes: [...abandoned, ...recovery.volumes] },
  };
}

function objections(observed: Observation, seat: number, swarmId: string | undefined, abandoned: string[]): string[] {
  const { membership, seats, now, instances, nodes, gone } = observed;
  const leader = observed.leader!;
  const facts = new Facts(observed);
  const refused: string[] = [];
  if (swarmId !== undefined && swarmId !== leader.swarmId)
    refused.push(`The swarm of this cluster is ${leader.swarmId}.`);
  const silent = Math.max(0, Math.round((now - leader.updatedAt) / 1000));
  if (now - leader.updatedAt < SILENT_MS)
    refused.push(
      `A leader reported ${silent} s ago. A quorum counts as lost for good when none has reported for ` +
        `${SILENT_MS / 1000} s.`,
    );
  const wanted = seats.find((one) => one.seat === seat);
  if (!wanted) refused.push(`There is no seat ${seat}. There are ${seats.map((one) => one.seat).join(', ')}.`);
  else if (abandoned.includes(wanted.volumeId))
    refused.push(`The volume of seat ${seat}, ${wanted.volumeId}, was given up before.`);
  else if (!survivorOf(facts, seat)) {
    const holders = instances.filter(({ group }) => group.seat === seat);
    refused.push(
      `Seat ${seat} has no instance whose engine runs with its volume and is a manager that sees no ` +
        'leader. ' +
        `${holders.length === 0 ? 'It has no instance.' : `See the log of ${holders.map(({ instanceId }) => instanceId).join(' and ')}.`}`,
    );
  }
  for (const { instanceId, group } of facts.quorumVisible ? [] : managersSeeingLeader(observed, seat))
    refused.push(
      `${instanceId} of seat ${group.seat} says that it sees a leader: there is a quorum, and only its ` +
        `reports do not arrive. See the functions' logs; if that instance hangs, terminate it first.`,
    );
  for (const { node, instanceId } of formerManagers(nodes, instances, seats))
    if (!gone.has(instanceId))
      refused.push(
        `${instanceId}, node ${node.id}, is a manager of no seat, and EC2 does not say that it is gone. ` +
          'Terminate it first.',
      );
  const { managerChange } = membership;
  if (managerChange && /^(leave|recover)$/.test(managerChange.kind) && now < managerChange.expiresAt + LEADER_STALE_MS)
    refused.push(
      `The manager of seat ${managerChange.seat} is just about to be taken in afresh. Try again in some minutes.`,
    );
  return refused;
}

export function recoverQuorum(draft: Draft, facts: Facts): void {
  const { recovery } = draft.membership;
  if (!recovery) return;
  if (facts.quorumVisible) return recovery.told ? takeOutDead(draft, facts, recovery) : callOff(draft, recovery);
  const { observed } = draft;
  const hold = (instanceId: string, reason: string) =>
    draft.alarms.push({ instanceId, reason: `The recovery of the quorum waits. ${reason}` });
  const [hearer] = recovery.told ? [] : managersSeeingLeader(observed, recovery.seat);
  if (hearer) return void hold(hearer.instanceId, 'It says that it sees a leader. If it hangs, terminate it.');
  const left = observed.instances.filter(({ instanceId }) => recovery.instances.includes(instanceId));
  for (const instance of left) terminate(draft, instance);
  const held = recovery.volumes.filter(
    (volumeId) =>
      !observed.volumes.some((volume) => volume.volumeId === volumeId && /^(available|deleted)$/.test(volume.state)),
  );
  if (left.length > 0 || held.length > 0) {
    delete recovery.freeSince;
    for (const { instanceId, lifecycleState } of left) hold(instanceId, `It is ${lifecycleState} still.`);
    if (left.length === 0) hold('none', `EC2 does not say that nobody has ${held.join(', ')}.`);
    return;
  }
  recovery.freeSince ??= observed.now;
  if (observed.now - recovery.freeSince >= FREE_MS) goOnAlone(draft, facts, recovery);
}

function callOff({ membership, alarms, observed }: Draft, recovery: Recovery): void {
  membership.recovery = null;
  membership.abandonedVolumes = membership.abandonedVolumes.filter((volumeId) => !recovery.volumes.includes(volumeId));
  alarms.push({
    instanceId: observed.leader!.instanceId,
    reason: 'The swarm has a quorum again: none of its volumes is given up.',
  });
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
  if (!survivor)
    return void draft.alarms.push({
      instanceId: 'none',
      reason: `The recovery of the quorum waits. Seat ${recovery.seat} has no manager any more that could go on.`,
    });
  if (change?.kind === 'recover' && change.instanceId === survivor.instanceId && observed.now < change.expiresAt)
    return;
  recovery.told = true;
  // What it reports from now on counts, however far behind the last leader it is.
  membership.generation = { number: (observed.leader!.generation ?? 0) + 1, seat: recovery.seat };
  const reason = 'The quorum is lost for good: a person has said so.';
  draft.alarms.push({
    instanceId: survivor.instanceId,
    reason: `The swarm goes on with one manager, of seat ${recovery.seat}. ${reason}`,
  });
  draft.changeManagers(recovery.seat, {
    kind: 'recover',
    ...draft.commandFor(survivor.instanceId, reason),
    nodeId: survivor.report!.swarm!.nodeId!,
    advertiseAddress: facts.addressOf(recovery.seat)!,
  });
}

/** One at a time; rule `return-seat` sees to it that each comes to an end. */
function takeOutDead(draft: Draft, facts: Facts, recovery: Recovery): void {
  const { membership, observed } = draft;
  if (membership.managerChange?.kind === 'recover') draft.endManagerChange('The swarm has a leader again.');
  if (membership.managerChange) return;
  const left = recovery.dead.flatMap(({ nodeId, seat }) =>
    observed.nodes.filter(({ id }) => id === nodeId).map((node) => ({ node, seat })),
  );
  if (left.length === 0) {
    membership.recovery = null;
    return;
  }
  const next = left.find(({ node }) => isLost(node));
  const leader = observed.leader!.instanceId;
  if (next && facts.isAlive(leader))
    draft.changeManagers(next.seat, {
      kind: 'remove',
      ...draft.commandFor(leader, 'Its volume is given up: nobody comes back as it.'),
      nodeId: next.node.id,
    });
}

/**
 * The instance of a seat whose engine keeps its state on the seat's volume, is a manager, and sees no leader. One that
 * waits at its terminate hook works still.
 */
function survivorOf(facts: Facts, seat: number): Instance | undefined {
  return [...facts.alive.values()].find((instance) => {
    const swarm = instance.report?.swarm;
    return (
      instance.group.seat === seat &&
      facts.hasItsVolume(instance) &&
      swarm?.controlAvailable === true &&
      swarm.nodeId !== undefined &&
      !seesLeader(instance)
    );
  });
}

/** Other managers that say that they see a leader. */
function managersSeeingLeader({ instances }: Observation, seat: number): Instance[] {
  return instances.filter(
    (instance) => instance.group.role === 'manager' && instance.group.seat !== seat && seesLeader(instance),
  );
}

function seatOf({ seats }: Observation, volumeId: string): string {
  const seat = seats.find((one) => one.volumeId === volumeId)?.seat;
  return seat === undefined ? '' : ` of seat ${seat}`;
}

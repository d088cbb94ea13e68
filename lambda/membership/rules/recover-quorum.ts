/**
 * Rule `recover-quorum`: recovers from a quorum that is lost for good. A person must ask for it by invoking node-leave
 * (see docs/operations/recover-quorum.md), choose the surviving seat,
 * and confirm with the swarm's id. It never starts by itself.
 *
 * `--force-new-cluster` lets one manager go on alone with all its state. Old managers that come back later would form a
 * second swarm with the same id (measured), so each step waits for the one before:
 *
 * 1. Give up the volumes of all other seats: they are recorded for ever and never attached again. Terminate every other
 *    manager's instance.
 * 2. When all of those are gone, and EC2 has confirmed for some time that no instance holds any of the volumes, tell
 *    the surviving manager to go on alone (`recover`).
 * 3. When it leads, remove the nodes of the others from the swarm. Their seats get new volumes by a deployment
 *    (`volumeGenerations`) and join afresh.
 *
 * If a quorum reports before step 2, the recovery is called off and no volume is given up. While another manager
 * reports that it sees a leader, nothing happens: then there is a quorum, and only its reports do not arrive.
 *
 * Pure: reads the observation, adds to the draft what to write and what to do.
 */
import { LEADER_STALE_MS, type Membership } from '../../../protocol/cluster';
import type { RecoveryAnswer, RecoveryRequest } from '../../../protocol/recovery';
import type { Draft } from '../draft';
import { Facts, formerManagers, isLost, memberAddress, seesLeader } from '../facts';
import type { Instance, Observation } from '../observation';

/**
 * How long no leader must have reported before a quorum counts as lost for good. Whatever heals by itself has started
 * to by then.
 */
export const SILENT_MS = 5 * 60_000;
/**
 * How long no instance must have held a volume that is given up. Longer than a function may run, so that any attachment
 * an earlier invocation was about to request is done by then.
 */
export const FREE_MS = 2 * 60_000;

type Recovery = NonNullable<Membership['recovery']>;

/**
 * Answers the person who asks for a recovery.
 * @returns also the membership record to write, if the recovery starts
 */
export function askForRecovery(
  observed: Observation,
  { seat, swarmId }: RecoveryRequest,
): { answer: RecoveryAnswer; membership?: Membership } {
  const { leader, membership, seats } = observed;
  if (!leader) return { answer: { refused: ['No swarm was ever created.'] } };
  const before = membership.recovery;
  // The answer may have been lost, and the person asked again.
  if (before?.seat === seat && swarmId === leader.swarmId)
    return { answer: { begun: ['The recovery is already under way.'] } };
  if (before?.told) return { answer: { refused: [`The manager of seat ${before.seat} was already told to go on.`] } };
  // Until a manager has its command, another one may be chosen.
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
          `(The last leader, ${last.instanceId}, is the instance of seat ${last.group.seat}. It has everything that ` +
            'was ever committed; another manager may not. If its engine runs, choose that seat instead.)',
        ]
      : []),
    ...volumes.map(
      (volumeId) =>
        `The volume ${volumeId}${seatOf(observed, volumeId)} is given up, with everything that only it holds, and ` +
        'never attached again.',
    ),
    ...instances.map(({ instanceId, group }) => `${instanceId} of seat ${group.seat} is terminated.`),
    `Then ${survivor.instanceId} of seat ${seat} goes on as the only manager of the swarm ${leader.swarmId}.`,
    ...(others.length > 0
      ? [
          'Only after that, deploy with managers: { volumeGenerations: { ' +
            `${others.map((one) => `'${one.seat}': 2`).join(', ')} } } (or one more than the present number): ` +
            'these seats get new volumes and join afresh.',
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
    // Members at other addresses are former managers: rule `return-seat` removes them.
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
    refused.push(`The id of this cluster's swarm is ${leader.swarmId}, not ${swarmId}.`);
  const silent = Math.max(0, Math.round((now - leader.updatedAt) / 1000));
  if (now - leader.updatedAt < SILENT_MS)
    refused.push(
      `A leader reported ${silent} s ago. The quorum counts as lost for good when no leader has reported for ` +
        `${SILENT_MS / 1000} s.`,
    );
  const wanted = seats.find((one) => one.seat === seat);
  if (!wanted) refused.push(`There is no seat ${seat}. The seats are ${seats.map((one) => one.seat).join(', ')}.`);
  else if (abandoned.includes(wanted.volumeId))
    refused.push(`The volume of seat ${seat}, ${wanted.volumeId}, was given up in an earlier recovery.`);
  else if (!survivorOf(facts, seat)) {
    const holders = instances.filter(({ group }) => group.seat === seat);
    refused.push(
      `Seat ${seat} has no instance whose engine runs on the seat's volume as a manager that sees no leader. ` +
        `${holders.length === 0 ? 'It has no instance.' : `See the log of ${holders.map(({ instanceId }) => instanceId).join(' and ')}.`}`,
    );
  }
  for (const { instanceId, group } of facts.quorumVisible ? [] : managersSeeingLeader(observed, seat))
    refused.push(
      `${instanceId} of seat ${group.seat} reports that it sees a leader. There is a quorum then, and only its ` +
        `reports do not arrive: see the functions' logs. If that instance hangs, terminate it first.`,
    );
  for (const { node, instanceId } of formerManagers(nodes, instances, seats))
    if (!gone.has(instanceId))
      refused.push(
        `${instanceId}, node ${node.id}, is a manager without a seat, and EC2 does not report it as terminated. ` +
          'Terminate it first.',
      );
  const { managerChange } = membership;
  if (managerChange && /^(leave|recover)$/.test(managerChange.kind) && now < managerChange.expiresAt + LEADER_STALE_MS)
    refused.push(`The manager of seat ${managerChange.seat} is about to join afresh. Try again in a few minutes.`);
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
  if (hearer) return void hold(hearer.instanceId, 'It reports that it sees a leader. If it hangs, terminate it.');
  const left = observed.instances.filter(({ instanceId }) => recovery.instances.includes(instanceId));
  for (const instance of left) terminate(draft, instance);
  const held = recovery.volumes.filter(
    (volumeId) =>
      !observed.volumes.some((volume) => volume.volumeId === volumeId && /^(available|deleted)$/.test(volume.state)),
  );
  if (left.length > 0 || held.length > 0) {
    delete recovery.freeSince;
    for (const { instanceId, lifecycleState } of left) hold(instanceId, `It is still ${lifecycleState}.`);
    if (left.length === 0)
      hold('none', `EC2 does not confirm that ${held.join(', ')} is detached from every instance.`);
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
    reason: 'The swarm has a quorum again. The recovery is called off, and no volume is given up.',
  });
}

function terminate({ effects }: Draft, { instanceId, lifecycleState, group }: Instance): void {
  const reason = `The quorum is recovered without seat ${group.seat}, whose volume is given up.`;
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
      reason: `The recovery of the quorum waits. Seat ${recovery.seat} no longer has a manager that could go on.`,
    });
  if (change?.kind === 'recover' && change.instanceId === survivor.instanceId && observed.now < change.expiresAt)
    return;
  recovery.told = true;
  // From now on its reports count, however far it was behind the last leader.
  membership.generation = { number: (observed.leader!.generation ?? 0) + 1, seat: recovery.seat };
  const reason = 'A person has confirmed that the quorum is lost for good.';
  draft.alarms.push({
    instanceId: survivor.instanceId,
    reason: `The swarm goes on with one manager, that of seat ${recovery.seat}. ${reason}`,
  });
  draft.changeManagers(recovery.seat, {
    kind: 'recover',
    ...draft.commandFor(survivor.instanceId, reason),
    nodeId: survivor.report!.swarm!.nodeId!,
    advertiseAddress: facts.addressOf(recovery.seat)!,
  });
}

/** One at a time. Rule `return-seat` brings each removal to its end. */
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
      ...draft.commandFor(leader, 'Its volume was given up, so it can never come back.'),
      nodeId: next.node.id,
    });
}

/**
 * A seat's instance whose engine keeps its state on the seat's volume, is a manager, and sees no leader. It may be at
 * its terminate hook, where it still works.
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

/** Other managers that report that they see a leader. */
function managersSeeingLeader({ instances }: Observation, seat: number): Instance[] {
  return instances.filter(
    (instance) => instance.group.role === 'manager' && instance.group.seat !== seat && seesLeader(instance),
  );
}

function seatOf({ seats }: Observation, volumeId: string): string {
  const seat = seats.find((one) => one.volumeId === volumeId)?.seat;
  return seat === undefined ? '' : ` of seat ${seat}`;
}

/** Decides whether a manager's report of the swarm becomes the leader record. Pure. */
import type { LeaderRecord, Membership } from '../../protocol/cluster';
import type { Report } from '../../protocol/report';
import { tokensDigest } from '../../protocol/report';
import type { SwarmReport } from '../../protocol/swarm';

export interface Observed {
  /** Milliseconds since 1970. */
  now: number;
  /** The owner of the mailbox that holds the report. */
  instanceId: string;
  report: Report;
  swarm: SwarmReport;
  leader?: LeaderRecord;
  membership: Membership;
}

export type Decision =
  | {
      kind: 'publish';
      leader: LeaderRecord;
      /** Digest of the tokens taken from this report: the node then erases them. */ publishedTokens?: string;
      reason: string;
    }
  | { kind: 'ignore'; reason: string }
  | { kind: 'refuse'; reason: string };

/** Ten commits a second for three years. A forged epoch beyond that would block every true report. */
const MAX_COMMITS = 1_000_000_000;

export function plan({ now, instanceId, report, swarm, leader, membership }: Observed): Decision {
  if (report.instanceId !== instanceId || report.role !== 'manager')
    return { kind: 'refuse', reason: 'The report names another instance or role than its mailbox.' };
  if (leader && swarm.swarmId !== leader.swarmId)
    return {
      kind: 'refuse',
      reason: `It reports another swarm, ${swarm.swarmId}, than this cluster's ${leader.swarmId}.`,
    };
  if (!leader && membership.bootstrap?.instanceId !== instanceId)
    return { kind: 'refuse', reason: 'No swarm exists yet, and this instance was not told to create one.' };
  const generation = generationOf(report, leader, membership);
  const isNewer = generation > (leader?.generation ?? 0);
  if (leader && !isNewer && swarm.epoch <= leader.epoch)
    return { kind: 'ignore', reason: `Its epoch ${swarm.epoch} is not above the published ${leader.epoch}.` };
  if (leader && swarm.epoch - leader.epoch > MAX_COMMITS)
    return { kind: 'refuse', reason: `Its epoch is ${swarm.epoch - leader.epoch} ahead: more than any swarm commits.` };
  // By the node id in its own mailbox: any worker can forge a label.
  const self = swarm.nodes.find((node) => node.id === report.swarm?.nodeId && node.instanceId === instanceId);
  if (!self?.manager?.leader) return { kind: 'refuse', reason: 'Its own node list does not show it as the leader.' };
  const tokens = report.tokens ?? leader?.tokens;
  if (!tokens) return { kind: 'ignore', reason: 'It contains no join tokens, and none are published yet.' };
  return {
    kind: 'publish',
    leader: {
      swarmId: swarm.swarmId,
      epoch: swarm.epoch,
      ...(generation > 0 && { generation }),
      instanceId,
      tokens,
      ...(swarm.rotation !== undefined && { rotation: swarm.rotation }),
      updatedAt: now,
    },
    publishedTokens: report.tokens && tokensDigest(report.tokens),
    reason: isNewer
      ? `First report since the quorum was recovered with seat ${report.seat}.`
      : leader
        ? `Its epoch ${swarm.epoch} is above the published ${leader.epoch}.`
        : 'First report of the swarm that this instance was told to create.',
  };
}

/**
 * After a recovery, only the surviving manager's report raises the generation. Until it has reported, no other report
 * does.
 */
function generationOf({ seat }: Report, leader: LeaderRecord | undefined, { generation }: Membership): number {
  const published = leader?.generation ?? 0;
  return generation && generation.number > published && generation.seat === seat ? generation.number : published;
}

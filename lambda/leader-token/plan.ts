/** Decides whether what a manager reports of the swarm becomes the leader record. Pure. */
import type { LeaderRecord, Membership } from '../../protocol/cluster';
import type { Report } from '../../protocol/report';
import { tokensDigest } from '../../protocol/report';
import type { SwarmReport } from '../../protocol/swarm';

export interface Observed {
  /** Milliseconds since 1970. */
  now: number;
  /** Of the mailbox that was written to. */
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
      /** Names the tokens taken from this report, so that the node erases them. */ publishedTokens?: string;
      reason: string;
    }
  | { kind: 'ignore'; reason: string }
  | { kind: 'refuse'; reason: string };

/**
 * Three years of ten commits a second. A greater epoch is an invention that would keep every true report from being
 * published.
 */
const MAX_COMMITS = 1_000_000_000;

export function plan({ now, instanceId, report, swarm, leader, membership }: Observed): Decision {
  if (report.instanceId !== instanceId || report.role !== 'manager')
    return { kind: 'refuse', reason: 'The report is not of the manager whose mailbox it lies in.' };
  if (leader && swarm.swarmId !== leader.swarmId)
    return { kind: 'refuse', reason: 'It is the report of another swarm than this cluster has.' };
  if (!leader && membership.bootstrap?.instanceId !== instanceId)
    return { kind: 'refuse', reason: 'No swarm was made here yet, and this instance was not told to make one.' };
  const generation = generationOf(report, leader, membership);
  const isNewer = generation > (leader?.generation ?? 0);
  if (leader && !isNewer && swarm.epoch <= leader.epoch)
    return { kind: 'ignore', reason: `Its epoch ${swarm.epoch} is not above ${leader.epoch}, which is published.` };
  if (leader && swarm.epoch - leader.epoch > MAX_COMMITS)
    return { kind: 'refuse', reason: `No swarm commits ${swarm.epoch - leader.epoch} changes between two reports.` };
  // By the node id that its own mailbox reports: a label alone can be forged by any worker.
  const self = swarm.nodes.find((node) => node.id === report.swarm?.nodeId && node.instanceId === instanceId);
  if (!self?.manager?.leader) return { kind: 'refuse', reason: 'By its own node list it does not lead the swarm.' };
  const tokens = report.tokens ?? leader?.tokens;
  if (!tokens) return { kind: 'ignore', reason: 'It carries no join tokens, and none are published.' };
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
      ? `It is the first report since the quorum was recovered with seat ${report.seat}.`
      : leader
        ? `Its epoch ${swarm.epoch} is above ${leader.epoch}.`
        : 'The first report of the swarm that this instance was told to make.',
  };
}

/** A recovered quorum begins with the manager that was told to go on; until that one has reported, nobody else does. */
function generationOf({ seat }: Report, leader: LeaderRecord | undefined, { generation }: Membership): number {
  const published = leader?.generation ?? 0;
  return generation && generation.number > published && generation.seat === seat ? generation.number : published;
}

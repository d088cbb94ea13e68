/** The tags by which functions find what belongs to a cluster. */
import type { NodeRole } from '../../protocol/body';
import { CLUSTER_TAG, ROLE_TAG, SEAT_TAG } from '../../protocol/tags';

/** Tags of groups (which pass them on to their instances), volumes and network interfaces. */
export function nodeTags(cluster: string, role: NodeRole, seat?: number): Record<string, string> {
  return { [CLUSTER_TAG]: cluster, [ROLE_TAG]: role, ...(seat !== undefined && { [SEAT_TAG]: String(seat) }) };
}

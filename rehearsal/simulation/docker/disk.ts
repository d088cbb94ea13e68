/**
 * What an engine keeps on its disk. Each write replaces the whole, as the atomic renames of the real files do for each
 * of them.
 */
import type { SwarmNode } from '../../../protocol/swarm';
import type { SwarmState } from './swarm-state';

/** What survives the engine: on a manager's volume, or on a root disk. */
export interface Disk {
  docker?: DockerState;
}

/** `/var/lib/docker/swarm` */
export interface DockerState {
  /** `docker-state.json`. The token of a join is not in it. */
  local: {
    advertiseAddress: string;
    /** Where a join was sent to. */
    remote?: string;
    joinInProgress: boolean;
  };
  /** `certificates/swarm-node.crt`: without it, all else is thrown away at the next start. */
  certificate?: { nodeId: string; swarmId: string; role: SwarmNode['role'] };
  /** `state.json`: addresses of the managers, as far as this node was told. */
  managers: readonly string[];
  /** `raft/`: what this member has. */
  raft?: {
    raftId: number;
    term: number;
    state: SwarmState;
    log?: SwarmState;
    /** Nothing of the leader's is written down yet: who dies now comes back without knowing the other members. */
    unheard?: true;
  };
}

/**
 * What an engine keeps on its disk. Each write replaces everything at once, as atomic renames do for each of the real
 * files.
 */
import type { SwarmNode } from '../../../protocol/swarm';
import type { SwarmState } from './swarm-state';

/** What survives the engine: on a manager's volume, or on a root disk. */
export interface Disk {
  docker?: DockerState;
}

/** `/var/lib/docker/swarm` */
export interface DockerState {
  /** `docker-state.json`. It does not contain the join token. */
  local: {
    advertiseAddress: string;
    /** The address that a join was sent to. */
    remote?: string;
    joinInProgress: boolean;
  };
  /** `certificates/swarm-node.crt`: without it, the next start discards everything else. */
  certificate?: { nodeId: string; swarmId: string; role: SwarmNode['role'] };
  /** `state.json`: the managers' addresses that this node knows. */
  managers: readonly string[];
  /** `raft/`: the entries of this member. */
  raft?: {
    raftId: number;
    term: number;
    state: SwarmState;
    log?: SwarmState;
    /** Nothing from the leader is on disk yet: a member that dies now comes back without knowing the others. */
    unheard?: true;
  };
}

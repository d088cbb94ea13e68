/** The results of a run: the inner process reports them, the outer one shows them. */
import type { NodeTimeline } from './timeline';

export interface SwarmListEntry {
  id: string;
  hostname: string;
  role: string;
  availability: string;
  state: string;
  /** `leader`, or the reachability of a manager; empty for workers. */
  manager: string;
  address: string;
  engine: string;
}

export interface Formed {
  nodes: NodeTimeline[];
  swarm: SwarmListEntry[];
  /** Milliseconds from the start of the deployment until every node was Ready and the stack complete. */
  formationMs: number;
  /** The part of it that the emulated AWS slept in order to be as slow as AWS. */
  delayedMs: number;
}

/** A moment of a scenario, in milliseconds since the cluster was disturbed. */
export interface Moment {
  what: string;
  ms: number;
}

export interface Deleted {
  deletionMs: number;
  /** Resources that the template retains when its stack is deleted; the command then removes them. */
  kept: string[];
}

/** Log texts by origin (`<instance id>/<file>`, `<function>`). */
export type Logs = Record<string, string>;

/** What a run has to show: what both the inner part, which sees it, and the outer one, which shows it, know of it. */
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
  /** Of these, what the emulated AWS slept to be as slow as the real one. */
  delayedMs: number;
}

/** Of a scenario: what came when, in milliseconds from what was done to the cluster. */
export interface Moment {
  what: string;
  ms: number;
}

export interface Deleted {
  deletionMs: number;
  /** What the template keeps when its stack is deleted (and the command then removes). */
  kept: string[];
}

/** Log texts by origin (`<instance id>/<file>`, `<function>`). */
export type Logs = Record<string, string>;

/**
 * What the part of the command that runs inside the region tells the part that owns the terminal. JSON over the IPC
 * channel.
 */
import type { Deleted, Formed, Logs, Moment } from '../display/results';
import type { Kill, KillDone } from '../scenarios/kills';
import type { Milestone, NodeTimeline } from '../display/timeline';

/** Given to the inner part on its command line. */
export interface RehearsalOrder {
  run: string;
  assembly: string;
  stackName: string;
  /** An empty folder for what the nodes are made of. */
  folder: string;
  /** Absolute paths. */
  node: string;
  dockerd: string;
  lambdaRuntime: string;
  awsStandIn: string;
  /** What is to die while the swarm forms. For tests. @default nothing */
  kills?: Kill[];
  /** What happens to the swarm once it has formed: a name of `scenarios.ts`. @default nothing */
  scenario?: string;
  /** Another assembly of the same stack, which the scenario deploys. */
  nextAssembly?: string;
  /** By then the swarm is formed and deleted again, or the run has failed, in milliseconds. @default 10 minutes */
  deadlineMs?: number;
}

/** What must hold however the formation went. */
export interface Evidence {
  /**
   * Every id of a swarm that the functions' record of the leader ever gave. A swarm that was never published may have
   * been left again, and made anew: nobody knew it.
   */
  published: string[];
  /** The ids of the swarms that the managers' engines are in, in the end. */
  joined: string[];
  kills: KillDone[];
}

export type Message =
  | { kind: 'milestone'; node: NodeTimeline; milestone: Milestone | 'launched'; rows: NodeTimeline[]; atMs: number }
  | { kind: 'formed'; formed: Formed; evidence: Evidence }
  | { kind: 'moment'; moment: Moment }
  | { kind: 'played'; moments: Moment[]; remarks: string[] }
  | { kind: 'deleted'; deleted: Deleted; logs: Logs }
  | { kind: 'failed'; error: string; rows: NodeTimeline[]; logs: Logs };

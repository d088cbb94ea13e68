/** Messages from the process inside the region to the process that owns the terminal: JSON over the IPC channel. */
import type { Deleted, Formed, Logs, Moment } from '../display/results';
import type { Kill, KillDone } from '../scenarios/formation-kills';
import type { Milestone, NodeTimeline } from '../display/timeline';

/** Passed to the inner process on its command line. */
export interface RehearsalOrder {
  run: string;
  assembly: string;
  stackName: string;
  /** An empty folder for the nodes' file systems. */
  folder: string;
  /** Absolute paths. */
  node: string;
  dockerd: string;
  lambdaRuntime: string;
  awsStandIn: string;
  /** What to kill while the swarm forms. For tests. @default nothing */
  kills?: Kill[];
  /** What happens to the swarm once it has formed: a name of `scenarios.ts`. @default nothing */
  scenario?: string;
  /** Another assembly of the same stack, which the scenario deploys. */
  nextAssembly?: string;
  /**
   * The run fails if the swarm has not formed and been deleted within this time, in milliseconds.
   * @default 10 minutes
   */
  deadlineMs?: number;
}

/** Facts that tests check, however the formation went. */
export interface Evidence {
  /**
   * Every swarm id that the leader record ever held. A swarm that was never published may have been left and created
   * again: no other node knew it.
   */
  published: string[];
  /** The ids of the swarms that the managers' engines are in at the end. */
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

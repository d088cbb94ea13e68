/**
 * What a membership decision is made from. Gathered afresh for every round by `observe.ts`; the rules read nothing
 * else.
 */
import type { LeaderRecord, Membership } from '../../protocol/cluster';
import type { Seats, SwarmSettings } from '../../protocol/environment';
import type { Report } from '../../protocol/report';
import type { SwarmNode } from '../../protocol/swarm';
import type { Group, GroupMember } from '../shared/groups';

export interface Observation {
  /** Milliseconds since 1970. */
  now: number;
  seats: Seats;
  settings: SwarmSettings;
  leader?: LeaderRecord;
  /** The swarm's node list as its leader last gave it; empty when none was ever given. */
  nodes: SwarmNode[];
  /** Tasks that should run and have no node yet, by the same report. */
  tasksPending?: number;
  membership: Membership;
  /** All of the cluster's, also those without an instance. */
  groups: Group[];
  instances: Instance[];
  /** Of the seats. Asked for while a seat's instance leaves, or a seat launches nobody. */
  interfaces: { networkInterfaceId: string; status: string }[];
  /**
   * Stacks that are being deleted, or whose creation is rolled back. Asked for while instances wait at their terminate
   * hook.
   */
  stacksLeaving: ReadonlySet<string>;
  /**
   * Instances that leave, or whose nodes are down, or, while instances wait, the one that last led, of which EC2 says
   * that they have ended, or does not know them any more.
   */
  gone: ReadonlySet<string>;
  /** Spot instances that EC2 is about to take back. Asked for while a group has spot instances in service. */
  interrupted: ReadonlySet<string>;
  volumes: Volume[];
  /** Which instances load balancers send connections to. Absent where there is no load balancer. */
  traffic?: { arrived: ReadonlySet<string>; left: ReadonlySet<string> };
}

/** A member of one of the cluster's Auto Scaling groups, and what else is known of it. */
export interface Instance extends GroupMember {
  /** Absent when EC2 was not asked or does not know it yet. */
  ec2?: { state: string; address?: string; launchedAt: number };
  /** Its tombstone lies in the place of its report: nobody hears it any more. */
  hasTombstone?: true;
  /**
   * The node's own word, when there is a valid one. Read for instances that wait at their launch hook, and for managers
   * that are admitted or leave.
   */
  report?: Report;
}

export interface Volume {
  volumeId: string;
  /** As EC2 names it: `available`, `in-use`, ...; `deleted` where it does not know the volume by its id any more. */
  state: string;
  attachedTo?: string;
}

/** The input of a membership decision. `observe.ts` gathers it for every round; the rules read nothing else. */
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
  /** The swarm's node list in its leader's last report; empty before the first. */
  nodes: SwarmNode[];
  /** Tasks that should run but have no node yet, from the same report. */
  tasksPending?: number;
  membership: Membership;
  /** All groups of the cluster, including empty ones. */
  groups: Group[];
  instances: Instance[];
  /**
   * Network interfaces of the seats. Requested only while a seat's instance is terminating, or a seat's launches are
   * suspended.
   */
  interfaces: { networkInterfaceId: string; status: string }[];
  /**
   * Stacks that are being deleted, or whose creation is being rolled back. Requested only while instances are at their
   * terminate hook.
   */
  stacksLeaving: ReadonlySet<string>;
  /**
   * Instances that have ended according to EC2, or that EC2 does not know any more. Requested only for instances that
   * leave, for those of nodes that are down, and, while instances wait at their launch hook, for the last leader.
   */
  gone: ReadonlySet<string>;
  /** Spot instances that EC2 is about to reclaim. Requested only while a group has spot instances in service. */
  interrupted: ReadonlySet<string>;
  volumes: Volume[];
  /** Instances that load balancers send connections to. Absent if there is no load balancer. */
  traffic?: { arrived: ReadonlySet<string>; left: ReadonlySet<string> };
}

/** A member of one of the cluster's Auto Scaling groups, with all that is known of it. */
export interface Instance extends GroupMember {
  /** Absent when EC2 was not asked, or does not know the instance yet. */
  ec2?: { state: string; address?: string; launchedAt: number };
  /** A tombstone has replaced its report, and it can write no other. */
  hasTombstone?: true;
  /**
   * The node's own report, if it is valid. Read for instances at their launch hook, and for managers that may be
   * working.
   */
  report?: Report;
}

export interface Volume {
  volumeId: string;
  /** As EC2 names it: `available`, `in-use`, ...; `deleted` if EC2 no longer knows the volume's id. */
  state: string;
  attachedTo?: string;
}

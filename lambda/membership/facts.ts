/**
 * Facts derived from an observation, independent of any decision: which instances exist, which nodes they are, and
 * whether the swarm has a quorum.
 */
import { LEADER_STALE_MS, type Membership } from '../../protocol/cluster';
import type { Report } from '../../protocol/report';
import { isWorkingManager, type SwarmNode } from '../../protocol/swarm';
import type { Instance, Observation } from './observation';

export class Facts {
  readonly waiting: Instance[];
  /** Instances at their terminate hook. */
  readonly leaving: Instance[];
  /** Instances that are not leaving, by id. */
  readonly present: ReadonlyMap<string, Instance>;
  /** Those, and the ones at their terminate hook, which still work. By id. */
  readonly alive: ReadonlyMap<string, Instance>;
  private readonly up: ReadonlySet<string | undefined>;
  readonly quorumVisible: boolean;
  private readonly nodes: ReadonlyMap<string, SwarmNode>;

  constructor(private readonly observed: Observation) {
    this.waiting = observed.instances.filter(({ lifecycleState }) => lifecycleState === 'Pending:Wait');
    this.present = new Map(
      observed.instances
        .filter(({ lifecycleState }) => /^(Pending|InService)/.test(lifecycleState))
        .map((instance) => [instance.instanceId, instance]),
    );
    this.leaving = observed.instances.filter(isLeaving);
    this.alive = new Map([
      ...this.present,
      ...this.leaving.map((instance) => [instance.instanceId, instance] as const),
    ]);
    this.nodes = new Map(observed.nodes.map((node) => [node.id, node]));
    this.up = new Set(
      observed.nodes
        .filter(({ state, manager }) => state !== 'down' && manager?.reachability !== 'unreachable')
        .map(({ instanceId }) => instanceId),
    );
    this.quorumVisible = observed.leader !== undefined && observed.now - observed.leader.updatedAt < LEADER_STALE_MS;
  }

  /** Instances at their terminate hook whose seat is no longer configured, highest seat first. */
  get retiring(): Instance[] {
    return this.leaving
      .filter(({ group }) => group.seat !== undefined && !this.isConfigured(group.seat))
      .sort((a, b) => b.group.seat! - a.group.seat!);
  }

  isAlive(instanceId: string): boolean {
    return this.alive.has(instanceId);
  }

  isConfigured(seat: number): boolean {
    return this.observed.seats.some((one) => one.seat === seat);
  }

  /**
   * Whether a recovery gave up its volume: the one that it has mounted, or else its seat's. The seat then needs another
   * volume.
   */
  isAbandoned({ group, report }: Instance, { abandonedVolumes }: Membership): boolean {
    const volumeId =
      report?.volume?.state === 'mounted'
        ? report.volume.id
        : this.observed.seats.find((one) => one.seat === group.seat)?.volumeId;
    return volumeId !== undefined && abandonedVolumes.includes(volumeId);
  }

  addressOf(seat: number | undefined): string | undefined {
    return this.observed.seats.find((one) => one.seat === seat)?.address;
  }

  /** Instances of a seat that are not leaving. */
  holders(seat: number): Instance[] {
    return [...this.present.values()].filter(({ group }) => group.seat === seat);
  }

  /** Both EC2 and the agent confirm that the engine keeps its state on the seat's own volume. */
  hasItsVolume({ instanceId, group, report }: Instance): boolean {
    const seat = this.observed.seats.find((one) => one.seat === group.seat);
    if (!seat || report?.volume?.state !== 'mounted' || report.volume.id !== seat.volumeId) return false;
    return this.observed.volumes.some(
      (volume) => volume.volumeId === seat.volumeId && volume.attachedTo === instanceId,
    );
  }

  /**
   * The seat's identity is on its volume, and this instance never had it mounted. EC2's answer may be some seconds old,
   * so the instance's own report counts too.
   */
  neverHadItsVolume({ group, report }: Instance): boolean {
    const { volumeId } = this.observed.seats.find((one) => one.seat === group.seat) ?? {};
    return (
      report?.volume?.state !== 'mounted' &&
      this.observed.volumes.some((volume) => volume.volumeId === volumeId && volume.state === 'available')
    );
  }

  /** The node of this instance, if the leader's list shows it Ready and the instance itself reports the same node. */
  readyNode({ instanceId, group, report }: Instance): SwarmNode | undefined {
    const swarm = report?.swarm;
    // For half a second after the leader has found it Ready, the engine still reports "pending". Its identity no longer
    // changes then.
    const nodeId = swarm?.state === 'active' || swarm?.state === 'pending' ? swarm.nodeId : undefined;
    if (nodeId === undefined) return undefined;
    const node = this.nodes.get(nodeId);
    if (node?.instanceId !== instanceId || node.state !== 'ready') return undefined;
    // If a person has demoted a seat's node, it stays a worker, whichever instance runs it.
    const inRole =
      node.role === 'worker' ? !node.manager : group.role === 'manager' && node.manager?.reachability === 'reachable';
    return inRole ? node : undefined;
  }

  /**
   * Whether any node labelled with this instance is up, in any role, drained or not. Right after a change of leader no
   * node is known to be down.
   */
  isUp(instanceId: string): boolean {
    return this.up.has(instanceId);
  }

  /**
   * The worker nodes labelled with this instance. A worker that forges the label of another one shares that one's fate;
   * no other node does.
   */
  workersOf(instanceId: string): SwarmNode[] {
    return this.observed.nodes.filter((node) => node.instanceId === instanceId && isWorkerOnly(node));
  }

  /** Members of raft, by the leader's list. */
  get members(): SwarmNode[] {
    return this.observed.nodes.filter(({ manager }) => manager);
  }

  /** Whether the list shows this manager at work and its own instance reports that it sees a leader. */
  confirmsItWorks(node: SwarmNode): boolean {
    const instance = this.alive.get(node.instanceId ?? '');
    return isWorkingManager(node) && instance?.report?.swarm?.nodeId === node.id && seesLeader(instance);
  }

  /** Managers in the list that are not members of raft: about to become one, or never to become one. */
  get managersWithoutMembership(): SwarmNode[] {
    return this.observed.nodes.filter(({ role, manager }) => role === 'manager' && !manager);
  }

  /**
   * Whether every seat's engine reports, and is either a member of raft or in no swarm. A manager in the list without
   * membership then belongs to no engine. A seat without an instance does not matter: its last change is over, so its
   * volume holds nothing, or a member that is unreachable now and blocks the others anyway. Also, its group may depend
   * on the seat that waits here.
   */
  everySeatIsKnown(): boolean {
    return this.observed.seats.every(({ seat, volumeId }) => {
      const holders = this.observed.instances.filter(({ group }) => group.seat === seat);
      return holders.every(
        ({ report }) =>
          report?.volume?.state === 'mounted' &&
          report.volume.id === volumeId &&
          (report.swarm?.state === 'inactive' || this.isMember(report)),
      );
    });
  }

  private isMember({ swarm }: Report): boolean {
    return (
      swarm?.state === 'active' && swarm.nodeId !== undefined && this.nodes.get(swarm.nodeId)?.manager !== undefined
    );
  }
}

/** The address of a raft member, without its port. */
export function memberAddress({ address }: NonNullable<SwarmNode['manager']>): string {
  return address.replace(/:\d+$/, '');
}

/**
 * No engine has ever connected as this node: the first thing that an engine sends is its host name. A later leader
 * lists such a node as down.
 */
export function neverSeen({ hostname, state }: SwarmNode): boolean {
  return hostname === '' && state !== 'ready';
}

/**
 * The leader calls a deaf member reachable, because it accepts messages. But its node usually has no session, and is
 * down.
 */
export const isLost = (node: SwarmNode) =>
  node.state === 'down' || node.manager?.reachability === 'unreachable' || neverSeen(node);

/** By its own report: a manager names its swarm only while it sees a leader. */
export function seesLeader({ report }: Instance): boolean {
  return report?.swarm?.swarmId !== undefined;
}

/** At its terminate hook, and still working. */
export function isLeaving({ lifecycleState }: Instance): boolean {
  return lifecycleState === 'Terminating:Wait';
}

/** Workers that are down and whose instance is no longer in any group of the cluster. */
export function lostWorkers(nodes: SwarmNode[], instances: Instance[]): { nodeId: string; instanceId: string }[] {
  const members = new Set(instances.map(({ instanceId }) => instanceId));
  return nodes.flatMap((node) =>
    isWorkerOnly(node) && node.state === 'down' && node.instanceId !== undefined && !members.has(node.instanceId)
      ? [{ nodeId: node.id, instanceId: node.instanceId }]
      : [],
  );
}

/**
 * Raft members at an address of no seat, whose instance is no longer in any group of the cluster. They can never
 * return.
 */
export function formerManagers(
  nodes: SwarmNode[],
  instances: Instance[],
  seats: Observation['seats'],
): { node: SwarmNode; instanceId: string }[] {
  const members = new Set(instances.map(({ instanceId }) => instanceId));
  return nodes.flatMap((node) => {
    const { instanceId, manager } = node;
    const former =
      manager &&
      instanceId !== undefined &&
      !members.has(instanceId) &&
      !seats.some(({ address }) => address === memberAddress(manager));
    return former ? [{ node, instanceId }] : [];
  });
}

/** Not a manager, not about to become one, and not a member of raft any more. */
const isWorkerOnly = ({ role, manager }: SwarmNode) => role === 'worker' && !manager;

/**
 * What follows from an observation by itself, whatever is to be done about it: who is there, who is who, and whether
 * the swarm has a quorum.
 */
import { LEADER_STALE_MS, type Membership } from '../../protocol/cluster';
import type { Report } from '../../protocol/report';
import { isWorkingManager, type SwarmNode } from '../../protocol/swarm';
import type { Instance, Observation } from './observation';

export class Facts {
  readonly waiting: Instance[];
  /** Instances that wait at their terminate hook. */
  readonly leaving: Instance[];
  /** Instances that are not on their way out, by id. */
  readonly present: ReadonlyMap<string, Instance>;
  /** Those, and instances that wait at their terminate hook: they work still. By id. */
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

  /** Instances of seats that are configured no more, and wait at their terminate hook; the last seat first. */
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
   * The volume that it has, or, without any, the one that its seat has, was given up: another one has to take its
   * place.
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

  /** Instances of a seat that are not on their way out. */
  holders(seat: number): Instance[] {
    return [...this.present.values()].filter(({ group }) => group.seat === seat);
  }

  /** Both EC2 and the agent say that the seat's own volume is where the engine keeps its state. */
  hasItsVolume({ instanceId, group, report }: Instance): boolean {
    const seat = this.observed.seats.find((one) => one.seat === group.seat);
    if (!seat || report?.volume?.state !== 'mounted' || report.volume.id !== seat.volumeId) return false;
    return this.observed.volumes.some(
      (volume) => volume.volumeId === seat.volumeId && volume.attachedTo === instanceId,
    );
  }

  /**
   * Whoever a seat was lies on its volume, and this instance never had it. What EC2 says may be some seconds old, so
   * the instance itself has a say.
   */
  neverHadItsVolume({ group, report }: Instance): boolean {
    const { volumeId } = this.observed.seats.find((one) => one.seat === group.seat) ?? {};
    return (
      report?.volume?.state !== 'mounted' &&
      this.observed.volumes.some((volume) => volume.volumeId === volumeId && volume.state === 'available')
    );
  }

  /** The node that the leader's list shows Ready for this instance, if the instance itself says the same. */
  readyNode({ instanceId, group, report }: Instance): SwarmNode | undefined {
    const swarm = report?.swarm;
    // The engine calls itself pending for half a second after the leader has found it Ready; its identity does not
    // change any more.
    const nodeId = swarm?.state === 'active' || swarm?.state === 'pending' ? swarm.nodeId : undefined;
    if (nodeId === undefined) return undefined;
    const node = this.nodes.get(nodeId);
    if (node?.instanceId !== instanceId || node.state !== 'ready') return undefined;
    // A seat that a person has demoted stays what it is, with each instance.
    const inRole =
      node.role === 'worker' ? !node.manager : group.role === 'manager' && node.manager?.reachability === 'reachable';
    return inRole ? node : undefined;
  }

  /**
   * Whether any node that calls itself this instance is up, in whatever role, drained or not. Right after a change of
   * leader nobody is known to be down.
   */
  isUp(instanceId: string): boolean {
    return this.up.has(instanceId);
  }

  /**
   * The workers that this instance is, by their own label. It can be false, so that a worker which claims to be another
   * one shares that one's fate; no other node does.
   */
  workersOf(instanceId: string): SwarmNode[] {
    return this.observed.nodes.filter((node) => node.instanceId === instanceId && isWorkerOnly(node));
  }

  /** Members of raft, by the leader's list. */
  get members(): SwarmNode[] {
    return this.observed.nodes.filter(({ manager }) => manager);
  }

  /** A manager that the list shows at work, and whose own instance says that it sees a leader. */
  confirmsItWorks(node: SwarmNode): boolean {
    const instance = this.alive.get(node.instanceId ?? '');
    return isWorkingManager(node) && instance?.report?.swarm?.nodeId === node.id && seesLeader(instance);
  }

  /** Managers in the list that are no members of raft: on the way to become one, or nobody any more. */
  get managersWithoutMembership(): SwarmNode[] {
    return this.observed.nodes.filter(({ role, manager }) => role === 'manager' && !manager);
  }

  /**
   * Whether every seat's engine speaks, and is either a member or has nothing. A manager in the list that is no member
   * is nobody then. A seat without an instance hides nobody: its last change is over, so that its volume holds nothing,
   * or a member that is not reachable now, which keeps the others waiting anyway. And its group may depend on the seat
   * that waits here.
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

/** The address of a member of raft, without its port. */
export function memberAddress({ address }: NonNullable<SwarmNode['manager']>): string {
  return address.replace(/:\d+$/, '');
}

/**
 * No engine has ever spoken to the swarm as this node: the first word of each is its host's name. A later leader lists
 * such a node as down.
 */
export function neverSeen({ hostname, state }: SwarmNode): boolean {
  return hostname === '' && state !== 'ready';
}

/**
 * The leader calls a deaf member reachable, since it takes what it is sent; but as a rule its node has no session, and
 * is down.
 */
export const isLost = (node: SwarmNode) =>
  node.state === 'down' || node.manager?.reachability === 'unreachable' || neverSeen(node);

/** What a manager says itself: it names its swarm only while it sees its leader. */
export function seesLeader({ report }: Instance): boolean {
  return report?.swarm?.swarmId !== undefined;
}

/** It waits at its terminate hook, and works still. */
export function isLeaving({ lifecycleState }: Instance): boolean {
  return lifecycleState === 'Terminating:Wait';
}

/** Workers that are down, and whose instance is in none of the cluster's groups any more. */
export function lostWorkers(nodes: SwarmNode[], instances: Instance[]): { nodeId: string; instanceId: string }[] {
  const members = new Set(instances.map(({ instanceId }) => instanceId));
  return nodes.flatMap((node) =>
    isWorkerOnly(node) && node.state === 'down' && node.instanceId !== undefined && !members.has(node.instanceId)
      ? [{ nodeId: node.id, instanceId: node.instanceId }]
      : [],
  );
}

/**
 * Members of raft at an address that no seat has, whose instance is in none of the cluster's groups any more: nobody
 * comes back as these.
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

/** Neither a manager nor on the way to be one, nor one that is to leave raft still. */
const isWorkerOnly = ({ role, manager }: SwarmNode) => role === 'worker' && !manager;

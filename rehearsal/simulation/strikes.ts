/**
 * Faults that strike at intervals: in the simulated machines, the network and EC2, and by operators. Faults at a call,
 * an event or an effect are in cluster/ (aws-link.ts, functions.ts, node.ts).
 */
import { PARTITION_KEY, SORT_KEY, SWARM_KEY_PREFIX } from '../../protocol/keys';
import { encodeSwarmReport, type PublishedPort, type SwarmNode } from '../../protocol/swarm';
import type { SimulatedCluster } from './cluster/cluster';
import { hash, type FaultKind, type Faults } from './faults';
import type { SimulatedNode } from './cluster/node';

/** The longest outage in which no node reaches AWS: longer than an instance has to become Ready. */
const OUTAGE_MS = 14 * 60_000;
/** If the faults of a run last longer than this, one node may be isolated from AWS as long as in an outage. */
const LONG_MS = 10 * 60_000;
/** How long an operator takes to notice a lost volume and deploy a new one. */
const NOTICED_MS = 60_000;
const POLL_MS = 1_000;

/** The longest time between two changes of services; the average is half of it. */
const SERVICES_MS = 60_000;
const CERTIFICATE = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';
/**
 * The ports that services may publish. One of them shares a port with another service, and one is outside the followed
 * range.
 */
const PORTS: PublishedPort[] = [
  { service: 'web', port: 8001, protocol: 'tcp', mode: 'ingress' },
  { service: 'api', port: 8002, protocol: 'tcp', mode: 'ingress', certificate: CERTIFICATE },
  { service: 'dns', port: 8003, protocol: 'udp', mode: 'ingress' },
  { service: 'dns', port: 8003, protocol: 'tcp', mode: 'ingress' },
  { service: 'odd', port: 8002, protocol: 'udp', mode: 'ingress' },
  { service: 'far', port: 9000, protocol: 'tcp', mode: 'ingress' },
];

export interface StrikesProps {
  seed: number;
  cluster: SimulatedCluster;
  faults: Faults;
  /** How long faults strike, in milliseconds. */
  endMs: number;
  /** The seat whose volume is lost, if any. */
  lostSeat: number;
  /** Begins the deployment of this run. */
  deploy(): void;
  trace(line: string): void;
}

export class Strikes {
  /** The availability that operators set by hand, which nothing else may change; by node id. */
  readonly wishes = new Map<string, SwarmNode['availability']>();

  constructor(private readonly props: StrikesProps) {}

  schedule(): void {
    const { cluster } = this.props;
    const { skews, region, machines } = cluster;
    this.every('kill-instance', (instanceId) => cluster.loseInstance(instanceId));
    this.every('terminate-instance', (instanceId) => this.terminate(instanceId));
    this.every('isolation', (instanceId) =>
      this.isolate('isolation', [instanceId], this.props.endMs > LONG_MS ? OUTAGE_MS : 60_000),
    );
    this.every('outage', () => this.isolate('outage', [...machines.nodes.keys()], OUTAGE_MS));
    this.every('clock-step', (instanceId) =>
      skews.set(instanceId, (this.props.faults.random('clock-step') - 0.5) * 600_000),
    );
    this.every('partition', (instanceId) => this.cutOff(instanceId));
    this.every('hang-engine', (instanceId) => machines.nodes.get(instanceId)!.hangEngine());
    this.every('break-instance', (instanceId) => this.breakDown(instanceId));
    this.every('spot-notice', (instanceId) => {
      if (machines.nodes.get(instanceId)!.identity.lifecycle === 'spot') region.interruptSpot(instanceId);
    });
    this.every('rebalance', (instanceId) => {
      if (machines.nodes.get(instanceId)!.identity.lifecycle === 'spot') region.recommendRebalance(instanceId);
    });
    this.changeServices(0);
    this.every('forged-report', (instanceId) => this.forge(instanceId));
    this.every('zone-loss', (instanceId) => this.loseZone(instanceId));
    this.every('spot-wave', () => {
      for (const [instanceId, { identity }] of machines.nodes)
        if (identity.lifecycle === 'spot') region.interruptSpot(instanceId);
    });
    this.every('operator', (instanceId) => void this.operate(instanceId));
    this.once('refresh', () => this.props.deploy());
    this.once('resize', () => this.props.deploy());
    this.once('volume-loss', () => void this.loseVolume());
  }

  /**
   * Not a fault: if a load balancer follows ports, operators create, change and remove services all the time. Without a
   * leader their changes are refused.
   */
  private changeServices(nth: number): void {
    const { cluster, faults, trace, seed } = this.props;
    cluster.clock.after(SERVICES_MS * hash(seed, 301, nth), () => {
      if (faults.stopped) return;
      this.changeServices(nth + 1);
      if (cluster.region.loadBalancers().length === 0) return;
      const ports = PORTS.filter((_, n) => hash(seed, 302, nth, n) < 0.4);
      const [swarm] = cluster.docker.swarms();
      const manager = [...cluster.machines.nodes.values()].find(
        ({ daemon, role }) => role === 'manager' && daemon.running && daemon.runner?.nodeId === swarm?.leader,
      );
      trace(
        `An operator publishes ${ports.map(({ port, protocol }) => `${port}/${protocol}`).join(', ') || 'nothing'}.`,
      );
      manager?.daemon.publish(ports).catch(() => undefined);
    });
  }

  private every(kind: FaultKind, work: (instanceId: string) => void): void {
    const pause = this.props.faults.pause(kind);
    if (pause === undefined) return;
    this.props.cluster.clock.after(pause, () => {
      this.strike(kind, work);
      this.every(kind, work);
    });
  }

  private once(kind: FaultKind, work: () => void): void {
    const pause = this.props.faults.pause(kind);
    // A deployment always happens if it can.
    if (pause !== undefined)
      this.props.cluster.clock.after(Math.min(pause, this.props.endMs / 2), () => this.strike(kind, work));
  }

  private strike(kind: FaultKind, work: (instanceId: string) => void): void {
    const { faults, cluster, trace } = this.props;
    if (faults.stopped) return;
    const instanceId = faults.pick(kind, [...cluster.machines.nodes.keys()]);
    if (instanceId === undefined || !faults.count(kind)) return;
    trace(`FAULT ${kind} ${instanceId}`);
    work(instanceId);
  }

  private isolate(kind: FaultKind, instanceIds: string[], most: number): void {
    const { isolated, clock } = this.props.cluster;
    for (const instanceId of instanceIds) isolated.add(instanceId);
    clock.after(this.props.faults.random(kind) * most, () =>
      instanceIds.forEach((instanceId) => isolated.delete(instanceId)),
    );
  }

  /** Cuts one node off from all others, or from one of them. */
  private cutOff(instanceId: string): void {
    const { faults, cluster } = this.props;
    const { machines, docker, clock } = cluster;
    const address = machines.nodes.get(instanceId)!.identity.address;
    const others = [...machines.nodes.values()]
      .map(({ identity }) => identity.address)
      .filter((other) => other !== address);
    const from = faults.random('partition') < 0.5 ? others : others.slice(0, 1);
    for (const other of from) docker.network.cut(address, other);
    clock.after(faults.random('partition') * 60_000, () =>
      from.forEach((other) => docker.network.heal(address, other)),
    );
  }

  /**
   * Breaks at most one node of a role at a time, and a manager only while all others work: if more of a role, or the
   * quorum, is down for good, an operator must act.
   */
  private breakDown(instanceId: string): void {
    const node = this.props.cluster.machines.nodes.get(instanceId)!;
    const sameRole = [...this.props.cluster.machines.nodes.values()].filter(({ role }) => role === node.role);
    if (sameRole.some((other) => other.isBroken) || (node.role === 'manager' && !this.othersWork(node))) return;
    node.breakDown();
  }

  /** Whether there are at least two other managers, all alive. */
  private othersWork({ identity }: SimulatedNode): boolean {
    const [swarm] = this.props.cluster.docker.swarms();
    const others = swarm?.members.filter(({ address }) => address !== identity.address) ?? [];
    return others.length >= 2 && others.every(({ alive }) => alive);
  }

  private loseZone(instanceId: string): void {
    const { cluster } = this.props;
    const { zone } = cluster.machines.nodes.get(instanceId)!.identity;
    for (const [id, { identity }] of [...cluster.machines.nodes]) if (identity.zone === zone) cluster.loseInstance(id);
  }

  /**
   * Loses a manager and its volume; an operator gives its seat a new volume. Not if that would lose the quorum for
   * good.
   */
  private async loseVolume(): Promise<void> {
    const { cluster, deploy, lostSeat } = this.props;
    const { region, clock } = cluster;
    const node = [...cluster.machines.nodes.values()].find(({ seat }) => seat === lostSeat);
    const volumeId = node?.attachedVolume;
    if (
      !node ||
      volumeId === undefined ||
      [...cluster.machines.nodes.values()].some(({ isBroken, role }) => role === 'manager' && isBroken) ||
      !this.othersWork(node)
    )
      return;
    cluster.loseInstance(node.identity.instanceId);
    while (region.volumes().find((volume) => volume.volumeId === volumeId)?.attachment !== undefined)
      await clock.sleep(POLL_MS);
    await region.loseVolume(volumeId);
    await clock.sleep(NOTICED_MS);
    deploy();
  }

  /**
   * `docker node update --availability`, or `docker node rm` of a worker whose instance is gone, on the leader. Docker
   * may refuse it.
   */
  private async operate(instanceId: string): Promise<void> {
    const { faults, cluster, trace } = this.props;
    const chance = faults.random('operator');
    const [swarm] = cluster.docker.swarms();
    const manager = [...cluster.machines.nodes.values()].find(
      ({ daemon, role }) => role === 'manager' && daemon.running && daemon.runner?.nodeId === swarm?.leader,
    );
    const target = swarm?.nodes.find((node) => node.instanceId === instanceId);
    if (!manager || !target) return;
    // Not a node that may come back: two of these down at once would trip the breaker.
    const gone = swarm?.nodes.find(
      (node) => node.role === 'worker' && node.state === 'down' && !cluster.machines.nodes.has(node.instanceId ?? ''),
    );
    if (gone && chance > 0.8) return manager.daemon.removeNode(gone.id, { force: false }).catch(() => undefined);
    // For a node that we drained, it is impossible to tell afterwards what the operator meant.
    if (target.drainedFor ?? target.idleFor) return;
    const availability = chance < 0.4 ? 'drain' : chance < 0.6 && target.role === 'worker' ? 'pause' : 'active';
    trace(`An operator sets ${target.id} ${availability}.`);
    await manager.daemon.updateNode(target.id, { availability }).then(
      () => this.wishes.set(target.id, availability),
      () => this.wishes.delete(target.id),
    );
  }

  /**
   * A compromised node reports in its own mailbox, with the newest epoch, that it leads. A worker claims to lead this
   * swarm; a manager, which may lead this one, claims to lead another.
   */
  private forge(instanceId: string): void {
    const { machines, region, docker } = this.props.cluster;
    const node = machines.nodes.get(instanceId)!;
    const nobody = 'f'.repeat(25);
    const swarm = node.role === 'worker' ? docker.swarms()[0] : undefined;
    const id = (swarm && node.daemon.runner?.nodeId) ?? nobody;
    const manager = { leader: true, reachability: 'reachable' as const, address: `${node.identity.address}:2377` };
    const [chunk] = encodeSwarmReport({
      swarmId: swarm?.swarmId ?? nobody,
      epoch: 999_999,
      nodes: [{ id, hostname: 'forged', role: 'manager', availability: 'active', state: 'ready', instanceId, manager }],
    });
    const values = Object.entries({ ...chunk }).map(([name, value]) => [
      `:${name}`,
      typeof value === 'number' ? { N: String(value) } : { S: value },
    ]);
    const input = {
      TableName: node.reportTable,
      Key: { [PARTITION_KEY]: { S: node.mailbox }, [SORT_KEY]: { S: `${SWARM_KEY_PREFIX}0` } },
      UpdateExpression: 'SET #v = :v, #epoch = :epoch, #chunks = :chunks, #body = :body',
      ExpressionAttributeNames: { '#v': 'v', '#epoch': 'epoch', '#chunks': 'chunks', '#body': 'body' },
      ExpressionAttributeValues: Object.fromEntries(values),
    };
    void region.call({
      service: 'dynamodb',
      action: 'UpdateItem',
      input,
      accessKeyId: region.credentialsFor(instanceId)!.accessKeyId,
    });
  }

  private terminate(instanceId: string): void {
    const { region } = this.props.cluster;
    const input = { InstanceId: instanceId, ShouldDecrementDesiredCapacity: false };
    // The node may already be leaving.
    region
      .call({
        service: 'autoscaling',
        action: 'TerminateInstanceInAutoScalingGroup',
        input,
        accessKeyId: region.operator.accessKeyId,
      })
      .catch(() => undefined);
  }
}

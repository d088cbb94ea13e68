/** Whether the cluster has converged, by the ground truth of the emulated AWS and the engines. */
import { ROLE_TAG } from '../../../protocol/tags';
import { environmentVariables } from '../../../protocol/environment';
import type { LoadBalancerSettings } from '../../../protocol/following';
import type { PublishedPort, SwarmNode } from '../../../protocol/swarm';
import { LEADER_KEY, PARTITION_KEY, SORT_KEY } from '../../../protocol/keys';
import type { EmulatedRegion } from '../../aws/region';
import type { SimulatedDocker } from '../docker/simulated-docker';
import type { SimulatedMachines } from '../cluster/machines';

export interface Cluster {
  stack: 'creating' | 'created' | Error;
  region: EmulatedRegion;
  docker: SimulatedDocker;
  machines: SimulatedMachines;
}

/**
 * One sentence for everything that is still missing; none when the cluster has converged, or has been deleted
 * completely.
 */
export function unfinished({ stack, region, docker }: Cluster): string[] {
  const missing: string[] = [];
  if (stack === 'creating') missing.push('The stack is not created yet.');
  const groups = region.groups();
  for (const group of groups) {
    if (group.suspended.length > 0)
      missing.push(`${group.name} has suspended processes: ${group.suspended.join(', ')}.`);
    if (group.instances.length !== group.desired)
      missing.push(`${group.name} has ${group.instances.length} instances, and wants ${group.desired}.`);
    for (const { instanceId, state, openHooks } of group.instances) {
      if (state !== 'InService' || openHooks.length > 0)
        missing.push(`${instanceId} of ${group.name} is ${state}, with open hooks: ${openHooks.join(', ') || 'none'}.`);
    }
  }
  if (stack instanceof Error) return missing;
  const [swarm] = docker.swarms();
  if (swarm === undefined) return [...missing, 'There is no swarm.'];
  if (!swarm.hasQuorum) missing.push('The swarm has no quorum.');
  const ready = new Map<string, number>();
  for (const { instanceId, role, state } of swarm.nodes) {
    if (state === 'ready') ready.set(`${instanceId} ${role}`, (ready.get(`${instanceId} ${role}`) ?? 0) + 1);
  }
  for (const group of groups) {
    for (const { instanceId } of group.instances) {
      const nodes = ready.get(`${instanceId} ${group.tags[ROLE_TAG]}`) ?? 0;
      if (nodes !== 1) missing.push(`${instanceId} is ${nodes} Ready nodes of the swarm.`);
    }
  }
  const present = new Set(groups.flatMap(({ instances }) => instances.map(({ instanceId }) => instanceId)));
  for (const { instanceId, role, state } of swarm.nodes) {
    // A node that never appeared has no label, and nothing removes it.
    if (role === 'worker' && instanceId !== undefined && !present.has(instanceId))
      missing.push(`A ${state} worker node remains of ${instanceId}, which is gone.`);
  }
  for (const { id, drainedFor, idleFor } of swarm.nodes)
    if (drainedFor ?? idleFor) missing.push(`Node ${id} is still drained for ${drainedFor ?? idleFor}.`);
  const managers = groups.filter((group) => group.tags[ROLE_TAG] === 'manager').length;
  const reachable = swarm.members.filter((member) => member.alive).length;
  if (swarm.members.length !== managers || reachable !== managers)
    missing.push(`Raft has ${swarm.members.length} members, ${reachable} of them reachable, for ${managers} seats.`);
  missing.push(...wrongTargets(region, swarm.nodes), ...wrongListeners(region, swarm.ports));
  return missing.length > 0 ? missing : [...wrongTokens(region, swarm.managerToken), ...leftTokens(region)];
}

/**
 * A load balancer that follows ports (by its settings in the function's environment) has a listener for each published
 * port that it may follow, besides the listeners of the template.
 */
function wrongListeners(region: EmulatedRegion, published: readonly PublishedPort[]): string[] {
  const settings = region
    .functions()
    .flatMap(
      ({ environment }) =>
        JSON.parse(environment[environmentVariables.loadBalancers] ?? '[]') as LoadBalancerSettings[],
    );
  return settings.flatMap(({ arn, follows }) => {
    if (!follows) return [];
    const { from, to, declared } = follows;
    const wanted = new Map<number, string>();
    for (const { port, protocol, certificate } of published) {
      if (port < from || port > to || declared.includes(port)) continue;
      const before = wanted.get(port);
      wanted.set(
        port,
        before !== undefined && before !== protocol ? 'both' : certificate === undefined ? protocol : 'tls',
      );
    }
    // A port with a certificate and UDP cannot be followed; its listener stays as it was.
    const odd = new Set(
      published
        .filter(
          ({ port, protocol }) =>
            protocol === 'udp' && published.some((one) => one.port === port && one.certificate !== undefined),
        )
        .map(({ port }) => port),
    );
    const names: Record<string, string> = { TCP: 'tcp', UDP: 'udp', TCP_UDP: 'both', TLS: 'tls' };
    const listeners = region.loadBalancers().find((one) => one.arn === arn)?.listeners ?? [];
    const line = (ports: [number, string][]) =>
      ports
        .filter(([port]) => !odd.has(port))
        .sort(([a], [b]) => a - b)
        .map(([port, protocol]) => `${port}/${protocol}`)
        .join(' ') || 'none';
    const [should, are] = [
      line([...wanted]),
      line(
        listeners.filter(({ port }) => !declared.includes(port)).map(({ port, protocol }) => [port, names[protocol]!]),
      ),
    ];
    return should === are ? [] : [`The load balancer has the listeners ${are}, but services publish ${should}.`];
  });
}

/**
 * The targets of each listener are all instances except those whose nodes an operator has drained, and all are healthy.
 * If all nodes are drained, some targets stay.
 */
function wrongTargets(region: EmulatedRegion, nodes: readonly SwarmNode[]): string[] {
  const drained = new Set(
    nodes.flatMap(({ availability, instanceId }) => (availability === 'drain' ? [instanceId] : [])),
  );
  const serving = region
    .groups()
    .flatMap((group) => group.instances.map(({ instanceId }) => instanceId))
    .filter((instanceId) => !drained.has(instanceId))
    .sort()
    .join();
  return region.loadBalancers().flatMap(({ listeners }) =>
    listeners.flatMap(({ port, targets }) => {
      const registered = targets.filter(({ state }) => state !== 'draining');
      const ids = registered
        .map(({ instanceId }) => instanceId)
        .sort()
        .join();
      const wrong = registered
        .filter(({ state, routed }) => state !== 'healthy' || !routed)
        .map(({ instanceId, state }) => `Target ${instanceId} of port ${port} is ${state}.`);
      return ids === serving || (serving === '' && ids !== '')
        ? wrong
        : [
            `The targets of port ${port} are ${ids || 'none'}, but the instances that may serve are ${serving || 'none'}.`,
          ];
    }),
  );
}

/** The next node that joins needs the swarm's current tokens. */
function wrongTokens(region: EmulatedRegion, managerToken: string): string[] {
  const leader = region.tableItems().find(({ item }) => item[SORT_KEY]?.S === LEADER_KEY);
  return leader?.item.body?.S?.includes(managerToken) ? [] : ["The published join tokens are not the swarm's."];
}

/** Once all nodes have joined, only the leader record holds join tokens. */
function leftTokens(region: EmulatedRegion): string[] {
  return region.tableItems().flatMap(({ table, item }) => {
    if (!JSON.stringify(item).includes('SWMTKN-')) return [];
    if (item[SORT_KEY]?.S === LEADER_KEY) return [];
    return [`A join token is left in ${table}, ${item[PARTITION_KEY]?.S} / ${item[SORT_KEY]?.S}.`];
  });
}

/** Whether the cluster is whole, by the ground truth of the emulated AWS and the engines. */
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

/** What is still missing, in sentences; nothing when the cluster is whole, or wholly gone again. */
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
    // A node that nobody ever was has no label, and nobody removes it.
    if (role === 'worker' && instanceId !== undefined && !present.has(instanceId))
      missing.push(`A worker that is ${state} is left of ${instanceId}, which is no more.`);
  }
  for (const { id, drainedFor, idleFor } of swarm.nodes)
    if (drainedFor ?? idleFor) missing.push(`Node ${id} is drained for ${drainedFor ?? idleFor} still.`);
  const managers = groups.filter((group) => group.tags[ROLE_TAG] === 'manager').length;
  const reachable = swarm.members.filter((member) => member.alive).length;
  if (swarm.members.length !== managers || reachable !== managers)
    missing.push(`Raft has ${swarm.members.length} members, ${reachable} of them reachable, for ${managers} seats.`);
  missing.push(...wrongTargets(region, swarm.nodes), ...wrongListeners(region, swarm.ports));
  return missing.length > 0 ? missing : [...wrongTokens(region, swarm.managerToken), ...leftTokens(region)];
}

/**
 * A load balancer that follows, by its settings in the function's environment, has a listener for each published port
 * that it may follow, besides those of the template.
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
    // With a certificate and UDP it cannot be followed, and what was there stays.
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
 * Behind each listener stand all instances but those whose nodes an operator has drained, and all of them are healthy.
 * Where all are drained, some stay.
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
        : [`The targets of port ${port} are ${ids || 'none'}, and the instances that may serve ${serving || 'none'}.`];
    }),
  );
}

/** Whoever joins next needs those of the swarm. */
function wrongTokens(region: EmulatedRegion, managerToken: string): string[] {
  const leader = region.tableItems().find(({ item }) => item[SORT_KEY]?.S === LEADER_KEY);
  return leader?.item.body?.S?.includes(managerToken)
    ? []
    : ["The join tokens that are published are not the swarm's."];
}

/** Join tokens belong in the leader record alone once everybody has joined. */
function leftTokens(region: EmulatedRegion): string[] {
  return region.tableItems().flatMap(({ table, item }) => {
    if (!JSON.stringify(item).includes('SWMTKN-')) return [];
    if (item[SORT_KEY]?.S === LEADER_KEY) return [];
    return [`A join token is left in ${table}, ${item[PARTITION_KEY]?.S} / ${item[SORT_KEY]?.S}.`];
  });
}

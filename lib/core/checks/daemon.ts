/** Checks of what a user adds to the engine's `daemon.json`. */
import { overlap } from '../cidr';
import { DAEMON_KEY_LIMIT } from '../defaults';

/** Keys of `daemon.json` that would break a node. */
export function checkDaemon(daemon: Record<string, unknown>): string[] {
  const refused: Record<string, string> = {
    labels: "the agent writes them. Give the group's `labels` instead",
    hosts: 'the agent talks to the engine by its socket, and an open port would hand over the node. Leave it out',
    'data-root': "a manager's state volume is mounted at /var/lib/docker. Leave it out",
  };
  const problems = Object.keys(daemon)
    .filter((key) => Object.hasOwn(refused, key))
    .map((key) => `daemon['${key}'] cannot be given: ${refused[key]}.`);
  problems.push(
    ...Object.keys(daemon)
      .filter((key) => key.length > DAEMON_KEY_LIMIT)
      .map(
        (key) =>
          `daemon['${key.slice(0, 20)}...'] is a key of ${key.length} characters. Give keys of at most ` +
          `${DAEMON_KEY_LIMIT}.`,
      ),
  );
  // Source: https://docs.docker.com/engine/daemon/live-restore/#live-restore-and-swarm-mode
  if (daemon['live-restore'] !== undefined && daemon['live-restore'] !== false) {
    problems.push(
      `daemon['live-restore'] is ${JSON.stringify(daemon['live-restore'])}, but engines in a swarm cannot ` +
        'have it. Leave it out, or give false.',
    );
  }
  return problems;
}

/**
 * The networks of the engine's bridges. Source:
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 * @param vpcCidrs what the VPC uses, as far as it is known
 * @param addressPools networks for overlays, as far as they are known
 */
export function checkBridgeNetworks(
  daemon: Record<string, unknown>,
  vpcCidrs: string[],
  addressPools: string[],
): string[] {
  const pools: unknown[] = Array.isArray(daemon['default-address-pools']) ? daemon['default-address-pools'] : [];
  const bases = pools.map((pool) =>
    typeof pool === 'object' && pool !== null && 'base' in pool ? pool.base : undefined,
  );
  const named = [...bases.map((base) => ["daemon['default-address-pools']", base]), ["daemon['bip']", daemon.bip]] as [
    string,
    unknown,
  ][];
  return named.flatMap(([name, network]) =>
    typeof network !== 'string'
      ? []
      : [
          ...vpcCidrs
            .filter((vpc) => overlap(network, vpc))
            .map(
              (vpc) =>
                `${name} has ${network}, which overlaps the VPC's ${vpc}: containers could not reach it. ` +
                'Give a network outside of it.',
            ),
          ...addressPools
            .filter((pool) => overlap(network, pool))
            .map(
              (pool) =>
                `${name} has ${network}, which overlaps the address pool ${pool} of overlay networks. Give ` +
                'separate ones.',
            ),
        ],
  );
}

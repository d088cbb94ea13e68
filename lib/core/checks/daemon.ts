/** Checks of what a user adds to the engine's `daemon.json`. */
import { overlap } from '../cidr';
import { DAEMON_KEY_LIMIT } from '../defaults';

/** Refuses keys of `daemon.json` that would break a node. */
export function checkDaemon(daemon: Record<string, unknown>): string[] {
  const refused: Record<string, string> = {
    labels: "the agent writes them. Use the group's `labels` instead",
    hosts: "the agent uses the engine's socket, and an open port would hand the node over. Omit it",
    'data-root': "a manager's state volume is mounted at /var/lib/docker. Omit it",
  };
  const problems = Object.keys(daemon)
    .filter((key) => Object.hasOwn(refused, key))
    .map((key) => `daemon['${key}'] cannot be set: ${refused[key]}.`);
  problems.push(
    ...Object.keys(daemon)
      .filter((key) => key.length > DAEMON_KEY_LIMIT)
      .map(
        (key) =>
          `The key daemon['${key.slice(0, 20)}...'] has ${key.length} characters. Use keys of at most ` +
          `${DAEMON_KEY_LIMIT}.`,
      ),
  );
  // Source: https://docs.docker.com/engine/daemon/live-restore/#live-restore-and-swarm-mode
  if (daemon['live-restore'] !== undefined && daemon['live-restore'] !== false) {
    problems.push(
      `daemon['live-restore'] is ${JSON.stringify(daemon['live-restore'])}, but swarm mode does not support it. Omit ` +
        'it, or set it to false.',
    );
  }
  return problems;
}

/**
 * Checks the networks of the engine's bridges. Source:
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 * @param vpcCidrs networks of the VPC that are known at synth
 * @param addressPools of overlay networks, those that are known at synth
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
  const networks: (readonly [name: string, network: unknown])[] = [
    ...bases.map((base) => ["daemon['default-address-pools']", base] as const),
    ["daemon['bip']", daemon.bip],
  ];
  return networks.flatMap(([name, network]) =>
    typeof network !== 'string'
      ? []
      : [
          ...vpcCidrs
            .filter((vpc) => overlap(network, vpc))
            .map(
              (vpc) =>
                `${name} (${network}) overlaps the VPC's network ${vpc}, so containers could not reach the VPC. Use ` +
                'a network outside it.',
            ),
          ...addressPools
            .filter((pool) => overlap(network, pool))
            .map((pool) => `${name} (${network}) must not overlap ${pool}, an address pool of overlay networks.`),
        ],
  );
}

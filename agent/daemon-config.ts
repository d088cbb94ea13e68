/**
 * The engine's `daemon.json`: our defaults, the labels that say what this node is, and the user's keys over them.
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 */
import type { AgentConfig } from '../protocol/environment';
import { INSTANCE_ID_LABEL, INSTANCE_TYPE_LABEL, LIFECYCLE_LABEL, ZONE_LABEL } from '../protocol/labels';
import type { Identity } from './identity';

/** Container logs are rotated: Docker keeps them for ever otherwise, and a full disk stops the node. */
const LOG_DEFAULTS = { 'log-driver': 'json-file', 'log-opts': { 'max-size': '10m', 'max-file': '3' } };

export function daemonConfig(config: AgentConfig, identity: Identity): Record<string, unknown> {
  const labels = {
    ...config.labels,
    [INSTANCE_ID_LABEL]: identity.instanceId,
    [ZONE_LABEL]: identity.zone,
    [INSTANCE_TYPE_LABEL]: identity.instanceType,
    [LIFECYCLE_LABEL]: identity.lifecycle,
  };
  // The options belong to the driver: another driver refuses them.
  const logs = 'log-driver' in config.daemon ? {} : LOG_DEFAULTS;
  return { ...logs, ...config.daemon, labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`) };
}

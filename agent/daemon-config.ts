/**
 * The engine's `daemon.json`: our defaults, the labels that describe this node, and the user's keys, which override the
 * defaults.
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
 */
import type { AgentConfig } from '../protocol/environment';
import { INSTANCE_ID_LABEL, INSTANCE_TYPE_LABEL, LIFECYCLE_LABEL, ZONE_LABEL } from '../protocol/labels';
import type { Identity } from './identity';

/** Rotates container logs. Docker would keep them for ever, and a full disk stops the node. */
const LOG_DEFAULTS = { 'log-driver': 'json-file', 'log-opts': { 'max-size': '10m', 'max-file': '3' } };

export function daemonConfig(config: AgentConfig, identity: Identity): Record<string, unknown> {
  const labels = {
    ...config.labels,
    [INSTANCE_ID_LABEL]: identity.instanceId,
    [ZONE_LABEL]: identity.zone,
    [INSTANCE_TYPE_LABEL]: identity.instanceType,
    [LIFECYCLE_LABEL]: identity.lifecycle,
  };
  // These options belong to the default driver; other drivers refuse them.
  const logs = 'log-driver' in config.daemon ? {} : LOG_DEFAULTS;
  return { ...logs, ...config.daemon, labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`) };
}

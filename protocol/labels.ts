/**
 * Engine labels that the agent sets on every node (`engine.labels.*` in placement constraints), service and node
 * labels, and labels of the swarm itself.
 */

export const INSTANCE_ID_LABEL = 'aws.instance-id';
export const ZONE_LABEL = 'aws.availability-zone';
export const INSTANCE_TYPE_LABEL = 'aws.instance-type';
/** `on-demand` or `spot`. */
export const LIFECYCLE_LABEL = 'aws.lifecycle';

/**
 * Prefixes reserved from users' labels. `com.docker.`, `io.docker.` and `org.dockerproject.` belong to Docker:
 * https://docs.docker.com/engine/manage-resources/labels/
 */
export const RESERVED_LABEL_PREFIXES = ['aws.', 'cdk-docker-swarm.', 'com.docker.', 'io.docker.', 'org.dockerproject.'];

/**
 * Service label: the ARN of a certificate. Load balancers that follow the service's TCP ports then terminate TLS with
 * it.
 */
export const CERTIFICATE_LABEL = 'swarm.loadbalancer.certificate';

/**
 * Node labels: the instance for which the functions drained the node, and the instance whose tasks on it have all
 * ended. Both are removed when another instance takes over the node.
 */
export const DRAINED_FOR_LABEL = 'cdk-docker-swarm.drained-for';
export const IDLE_FOR_LABEL = 'cdk-docker-swarm.idle-for';

/** Swarm labels of the raft fence: a counter, and the id of the command carried out under it. */
export const FENCE_COUNTER_LABEL = 'cdk-docker-swarm.fence';
export const FENCE_COMMAND_LABEL = 'cdk-docker-swarm.command';
/** Swarm label: the id of the last rotation of the join tokens that the functions ordered. */
export const ROTATION_LABEL = 'cdk-docker-swarm.rotation';

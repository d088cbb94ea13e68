/**
 * Engine labels that the agent gives every node (`engine.labels.*` in placement constraints), and labels of the swarm
 * itself.
 */

export const INSTANCE_ID_LABEL = 'aws.instance-id';
export const ZONE_LABEL = 'aws.availability-zone';
export const INSTANCE_TYPE_LABEL = 'aws.instance-type';
/** `on-demand` or `spot`. */
export const LIFECYCLE_LABEL = 'aws.lifecycle';

/**
 * Users' labels must not begin with these. `com.docker.`, `io.docker.` and `org.dockerproject.` are Docker's:
 * https://docs.docker.com/engine/manage-resources/labels/
 */
export const RESERVED_LABEL_PREFIXES = ['aws.', 'cdk-docker-swarm.', 'com.docker.', 'io.docker.', 'org.dockerproject.'];

/**
 * A service's label: the ARN of the certificate with which load balancers that follow its TCP ports take TLS
 * connections.
 */
export const CERTIFICATE_LABEL = 'swarm.loadbalancer.certificate';

/**
 * Node labels: the instance for which the functions had the node drained, and the instance whose tasks on it have all
 * ended since. Both go when another instance is the node.
 */
export const DRAINED_FOR_LABEL = 'cdk-docker-swarm.drained-for';
export const IDLE_FOR_LABEL = 'cdk-docker-swarm.idle-for';

/** Swarm labels that make up the raft fence: a counter and the command that was carried out under it. */
export const FENCE_COUNTER_LABEL = 'cdk-docker-swarm.fence';
export const FENCE_COMMAND_LABEL = 'cdk-docker-swarm.command';
/** And the id of the last rotation of the join tokens that the functions asked for. */
export const ROTATION_LABEL = 'cdk-docker-swarm.rotation';

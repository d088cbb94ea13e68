/**
 * Tags by which functions find what belongs to a cluster. They stand on Auto Scaling groups (and, propagated, on their
 * instances), on volumes and on network interfaces.
 */

/** Value: the cluster's identity, `<stack name>/<path of the construct>`. */
export const CLUSTER_TAG = 'cdk-docker-swarm:cluster';
/** Value: `manager` or `worker`. */
export const ROLE_TAG = 'cdk-docker-swarm:role';
/** Value: the number of the seat, on what belongs to a manager. */
export const SEAT_TAG = 'cdk-docker-swarm:seat';

/**
 * Set by CloudFormation itself on every Auto Scaling group it makes. Source:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
 */
export const STACK_ID_TAG = 'aws:cloudformation:stack-id';
export const LOGICAL_ID_TAG = 'aws:cloudformation:logical-id';

/**
 * Tags by which functions find the resources of a cluster: on Auto Scaling groups (propagated to their instances), on
 * volumes and on network interfaces.
 */

/** Value: the identity of the cluster, `<stack name>/<path of the construct>`. */
export const CLUSTER_TAG = 'cdk-docker-swarm:cluster';
/** Value: `manager` or `worker`. */
export const ROLE_TAG = 'cdk-docker-swarm:role';
/** Value: the number of the seat. On a manager's resources only. */
export const SEAT_TAG = 'cdk-docker-swarm:seat';

/**
 * CloudFormation itself sets these on every Auto Scaling group that it creates. Source:
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
 */
export const STACK_ID_TAG = 'aws:cloudformation:stack-id';
export const LOGICAL_ID_TAG = 'aws:cloudformation:logical-id';

/** What wakes the functions: filters for the report table's stream, and EventBridge patterns. */
import { REPORT_KEY, SORT_KEY, SWARM_KEY_PREFIX } from '../../protocol/keys';

/**
 * Spot interruption notices, and the rebalance recommendations that precede them. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 */
export const spotNotices = {
  source: ['aws.ec2'],
  detailType: ['EC2 Spot Instance Interruption Warning', 'EC2 Instance Rebalance Recommendation'],
};

/**
 * For target-update: an instance in a group of the stack comes into service, leaves, or is terminated. Source:
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
 */
export const instanceEvents = (stackName: string) => ({
  source: ['aws.autoscaling'],
  detailType: [
    'EC2 Instance Launch Successful',
    'EC2 Instance-terminate Lifecycle Action',
    'EC2 Instance Terminate Successful',
  ],
  // CloudFormation names a group after its stack.
  detail: { AutoScalingGroupName: [{ prefix: `${stackName}-` }] },
});

/** The sweep looks at everything again, so a lost event costs at most this long. */
export const SWEEP_MINUTES = 1;

/**
 * Matches writes of one kind of item, so that no function is woken for an item that it does not read.
 * https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html
 */
const written = (sortKey: unknown) => ({
  eventName: ['INSERT', 'MODIFY'],
  dynamodb: { Keys: { [SORT_KEY]: { S: [sortKey] } } },
});

/** For leader-token: the leader's agent wrote its report of the swarm. */
export const swarmReportWritten = written({ prefix: SWARM_KEY_PREFIX });
/** For node-join: a node wrote its report. Heartbeats wake no function. */
export const nodeReportWritten = written(REPORT_KEY);

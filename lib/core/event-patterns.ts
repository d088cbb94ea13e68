/** What wakes the functions: filters of the report table's stream, and patterns of EventBridge. */
import { REPORT_KEY, SORT_KEY, SWARM_KEY_PREFIX } from '../../protocol/keys';

/**
 * Spot interruptions and the earlier rebalance recommendations. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 */
export const spotNotices = {
  source: ['aws.ec2'],
  detailType: ['EC2 Spot Instance Interruption Warning', 'EC2 Instance Rebalance Recommendation'],
};

/**
 * For target-update: an instance of one of the groups of a stack is launched, in service, leaves or is gone. Source:
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
 */
export const instanceEvents = (stackName: string) => ({
  source: ['aws.autoscaling'],
  detailType: [
    'EC2 Instance Launch Successful',
    'EC2 Instance-terminate Lifecycle Action',
    'EC2 Instance Terminate Successful',
  ],
  // Groups that CloudFormation names are called after their stack.
  detail: { AutoScalingGroupName: [{ prefix: `${stackName}-` }] },
});

/** The sweep looks at everything again and so bounds what a lost event costs. */
export const SWEEP_MINUTES = 1;

/**
 * Only written keys of one kind: a function must not be woken by what it does not read.
 * https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html
 */
const written = (sortKey: unknown) => ({
  eventName: ['INSERT', 'MODIFY'],
  dynamodb: { Keys: { [SORT_KEY]: { S: [sortKey] } } },
});

/** For leader-token: the leader's agent wrote what the swarm looks like. */
export const swarmReportWritten = written({ prefix: SWARM_KEY_PREFIX });
/** For node-join: a node wrote what it has become. Heartbeats wake nobody. */
export const nodeReportWritten = written(REPORT_KEY);

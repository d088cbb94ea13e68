/**
 * The permissions that CloudWatch Logs' actions need: on the stream, not on the group. A group's ARN that ends in `:*`
 * covers its streams.
 * Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html#CWL_ARN_Format
 */
import type { Context } from '../core/context';
import { given, type Permissions } from '../iam/permission';

export function logsPermissions({ context }: { context: Pick<Context, 'arn'> }): Permissions {
  return (action, input) => {
    if (!['CreateLogStream', 'PutLogEvents', 'GetLogEvents'].includes(action)) return undefined;
    return given(input.logGroupName).map((group) => ({
      action: `logs:${action}`,
      resource: context.arn('logs', `log-group:${group}:log-stream:${input.logStreamName ?? ''}`),
    }));
  };
}

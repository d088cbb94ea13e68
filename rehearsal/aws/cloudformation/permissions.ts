/**
 * The permissions that CloudFormation's actions need. For an unknown stack the resource is `stack/<name>/*`.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
 */
import type { Context } from '../core/context';
import type { Permissions } from '../iam/permission';
import type { CloudFormation } from './engine';

export function cloudFormationPermissions({
  cloudformation,
  context,
}: {
  cloudformation: Pick<CloudFormation, 'stackArn'>;
  context: Pick<Context, 'arn'>;
}): Permissions {
  return (action, input) => {
    if (!['DescribeStacks', 'DescribeStackResource', 'DescribeStackResources', 'SignalResource'].includes(action))
      return undefined;
    const name: string | undefined = input.StackName;
    const resource =
      name === undefined
        ? '*'
        : (cloudformation.stackArn(name) ??
          (name.startsWith('arn:') ? name : context.arn('cloudformation', `stack/${name}/*`)));
    return [{ action: `cloudformation:${action}`, resource }];
  };
}

/**
 * The permissions that SQS's actions need.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
 */
import type { Context } from '../core/context';
import { given, type Permissions } from '../iam/permission';

export function sqsPermissions({ context }: { context: Pick<Context, 'arn'> }): Permissions {
  return (action, input) => {
    if (
      ![
        'SendMessage',
        'ReceiveMessage',
        'DeleteMessage',
        'ChangeMessageVisibility',
        'GetQueueUrl',
        'GetQueueAttributes',
      ].includes(action)
    )
      return undefined;
    const name: string | undefined = input.QueueName ?? /\/([\w-]+)$/.exec(input.QueueUrl ?? '')?.[1];
    return given(name).map((queue) => ({ action: `sqs:${action}`, resource: context.arn('sqs', queue) }));
  };
}

/**
 * The permissions that EventBridge's actions need. Each entry is checked separately.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html
 */
import type { Context } from '../core/context';
import type { Input, Permissions } from '../iam/permission';

export function eventsPermissions({ context }: { context: Pick<Context, 'arn'> }): Permissions {
  return (action, input) => {
    if (action !== 'PutEvents') return undefined;
    return (input.Entries ?? []).map(({ EventBusName = 'default', Source, DetailType }: Input) => ({
      action: 'events:PutEvents',
      resource: context.arn('events', `event-bus/${EventBusName}`),
      key: (key: string) => ({ 'events:source': [Source], 'events:detail-type': [DetailType] })[key],
    }));
  };
}

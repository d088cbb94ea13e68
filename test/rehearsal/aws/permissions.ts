/** For tests of what calls need to be allowed. */
import type { Permissions } from '../../../rehearsal/aws/iam/permission';

/** A request that an API might get, and what it needs: undefined when the emulation does not know the action. */
export type Needs = [action: string, input: Record<string, any>, needed: string[] | undefined];

export const context = {
  region: 'us-east-1',
  arn: (service: string, resource: string) => `arn:aws:${service}:us-east-1:1:${resource}`,
};

/** `<action> <resource>[ <leading keys, or the tag Team>]`; the account is left out. */
export function needed(permissions: Permissions, action: string, input: Record<string, any>): string[] | undefined {
  return permissions(action, input)?.map(({ action: name, resource, key }) => {
    const values = key?.('dynamodb:leadingkeys') ?? key?.('aws:resourcetag/team') ?? [];
    return [name, resource.replace('us-east-1:1:', ''), ...values].join(' ');
  });
}

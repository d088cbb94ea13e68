/**
 * The permissions that a call needs: actions, the resources they are checked on, and the service's condition keys. Each
 * service defines them in its `permissions.ts`; this file has what they share. Source of actions, resources and keys:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
 */
import { tagMap, type Tags } from '../core/describe';

export interface Permission {
  action: string;
  resource: string;
  /**
   * The values of a condition key of the request, by its name in lower case. Called only for keys that a policy uses.
   */
  key?: (name: string) => readonly string[] | undefined;
}

export type Input = Record<string, any>;

/**
 * The permissions that a call of one service needs.
 * @param action the API's action, e.g. `TransactWriteItems` @returns undefined for an unknown action. If the input does
 * not name a resource there is nothing to check: the service itself refuses the call.
 */
export type Permissions = (action: string, input: Input) => Permission[] | undefined;

/**
 * A permission on a customer managed key, which the service uses in the caller's name. Source:
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
 */
export function onKey(action: string, keyArn: string, service: string, region: string): Permission {
  const values: Record<string, string[]> = {
    'kms:viaservice': [`${service}.${region}.amazonaws.com`],
    'kms:grantisforawsresource': ['true'],
  };
  return { action: `kms:${action}`, resource: keyArn, key: (key) => values[key] };
}

/**
 * Tag keys are case-insensitive here:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourcetag
 */
export function tagValue(tags: Tags | undefined, key: string, prefix = 'aws:resourcetag/'): string[] | undefined {
  if (!key.startsWith(prefix)) return undefined;
  for (const name in tags)
    if (name.length === key.length - prefix.length && key.endsWith(name.toLowerCase())) return [tags[name]!];
  return undefined;
}

/**
 * The tags that a request adds, and the keys of those that it removes.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requesttag ,
 * and #condition-keys-tagkeys there
 */
export function requestTag({ Tags: list, TagKeys: keys }: Input, key: string): string[] | undefined {
  if (key === 'aws:tagkeys')
    return (keys as string[] | undefined) ?? (list as { Key: string }[] | undefined)?.map(({ Key }) => Key);
  return tagValue(tagMap(list), key, 'aws:requesttag/');
}

export function given(names: string | string[] | undefined): string[] {
  return names === undefined ? [] : [names].flat();
}

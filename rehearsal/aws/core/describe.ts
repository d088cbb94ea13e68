/** What the Describe actions of EC2 and Auto Scaling have in common: filters with wildcards, and pages. */
import { AwsError } from './types';

export type Tags = Record<string, string>;

export function tagList(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Tags as templates and APIs give them. */
export function tagMap(list: { Key: string; Value: string }[] | undefined): Tags {
  return Object.fromEntries((list ?? []).map(({ Key, Value }) => [Key, Value]));
}

/**
 * All filters must match, by any of their values; `*` and `?` are wildcards.
 * Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
 * @param valuesOf the resource's values by filter name
 * @throws Error naming a filter that the emulation does not know
 */
export function matchesFilters(
  filters: { Name?: string; Values?: string[] }[] | undefined,
  tags: Tags,
  valuesOf: Record<string, string | string[] | undefined>,
): boolean {
  return (filters ?? []).every(({ Name: name = '', Values: wanted = [] }) => {
    let values: (string | undefined)[];
    if (name.startsWith('tag:')) values = [tags[name.slice('tag:'.length)]];
    else if (name === 'tag-key') values = Object.keys(tags);
    else if (name === 'tag-value') values = Object.values(tags);
    else if (name in valuesOf) values = [valuesOf[name]].flat();
    else
      throw new Error(
        `The emulation does not know the filter '${name}'. It knows tag:<key>, tag-key, tag-value, ` +
          `${Object.keys(valuesOf).join(', ')}.`,
      );
    return values.some((value) => value !== undefined && wanted.some((pattern) => matchesWildcards(pattern, value)));
  });
}

function matchesWildcards(pattern: string, value: string): boolean {
  // Fast path: thousands of values are compared with the same few patterns.
  if (!/[*?]/.test(pattern)) return pattern === value;
  return new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*/g, '.*')
      .replace(/\?/g, '.')}$`,
    's',
  ).test(value);
}

/** One page of the results. A token is the index of the next page's first item. */
export function page<T>(items: T[], size: number, token: string | undefined): { items: T[]; next: string | undefined } {
  const start = token === undefined ? 0 : Number(Buffer.from(token, 'base64').toString('utf8'));
  if (!Number.isInteger(start) || start < 0)
    throw new AwsError('InvalidParameterValue', `The token '${token}' is invalid`);
  const end = start + size;
  return {
    items: items.slice(start, end),
    next: end < items.length ? Buffer.from(String(end)).toString('base64') : undefined,
  };
}

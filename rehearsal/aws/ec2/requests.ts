/** What requests of EC2 have in common: ids, pages and tags. */
import { page, tagMap, type Tags } from '../core/describe';
import { AwsError } from '../core/types';

const DEFAULT_PAGE = 1000;

/**
 * The resources with the given ids, or all. Ids and pages exclude each other:
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
 */
export function select<T>(
  input: Record<string, any>,
  member: string,
  wireName: string,
  one: (id: string) => T,
  all: T[],
): T[] {
  const ids: string[] | undefined = input[member];
  if (!ids?.length) return all;
  if (input.MaxResults !== undefined) {
    throw new AwsError(
      'InvalidParameterCombination',
      `The parameter ${wireName} cannot be used with the parameter maxResults`,
    );
  }
  return ids.map(one);
}

export function paged<T>(items: T[], input: Record<string, any>): { items: T[]; next: string | undefined } {
  const size = input.MaxResults ?? DEFAULT_PAGE;
  if (size < 5 || size > 1000) {
    throw new AwsError(
      'InvalidParameterValue',
      `Value ( ${size} ) for parameter maxResults is invalid. Expecting a value greater than or equal to ` +
        '5 and less than or equal to 1000.',
    );
  }
  return page(items, size, input.NextToken);
}

export function specifiedTags(data: Record<string, any>, resourceType: string): Tags {
  const specifications: { ResourceType: string; Tags: { Key: string; Value: string }[] }[] =
    data.TagSpecifications ?? [];
  return tagMap(specifications.find((specification) => specification.ResourceType === resourceType)?.Tags);
}

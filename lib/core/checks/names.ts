/** Checks of names: those chosen from a list, and the one that tags the cluster. */

/** @param list what the names are listed in, such as `events` */
export function checkNames(list: string, names: readonly string[], known: readonly string[]): string[] {
  if (names.length === 0) return [`${list}: the list is empty. Choose from ${known.join(', ')}, or omit it.`];
  return names
    .filter((name) => !known.includes(name))
    .map((name) => `${list}: '${name}' is unknown. Choose from ${known.join(', ')}.`);
}

/**
 * Checks the value of the cluster's tag. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
 */
export function checkClusterTag(value: string | undefined): string[] {
  return value === undefined || /^[A-Za-z0-9 _.:/=+@-]{1,256}$/.test(value)
    ? []
    : [
        `The cluster would be tagged '${value}', but a tag value has at most 256 letters, digits, spaces and ` +
          `'_.:/=+-@'. Use other construct ids.`,
      ];
}

/** Checks of names: those chosen from a list, and the one that tags the cluster. */

/** Names out of a list of names. */
export function checkNames(what: string, given: readonly string[], known: readonly string[]): string[] {
  if (given.length === 0) return [`${what} is empty. Give some of ${known.join(', ')}, or leave it out.`];
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${what} has '${name}'. There are ${known.join(', ')}.`);
}

/**
 * The value of the cluster's tag. Source:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
 */
export function checkClusterTag(value: string | undefined): string[] {
  return value === undefined || /^[A-Za-z0-9 _.:/=+@-]{1,256}$/.test(value)
    ? []
    : [
        `The cluster would be tagged '${value}', but a tag's value has at most 256 letters, digits, spaces ` +
          `and '_.:/=+-@'. Give the constructs other ids.`,
      ];
}

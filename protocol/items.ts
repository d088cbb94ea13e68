/** Reads a DynamoDB item into plain attributes. */

/**
 * Strings and numbers of an item. Other attribute types are dropped, since no record of ours has any. Never throws,
 * whatever a node wrote: a number that JavaScript cannot represent becomes the nearest one, which then fails its
 * schema.
 */
export function plainAttributes(item: Record<string, { S?: string; N?: string }>): Record<string, string | number> {
  const plain: Record<string, string | number> = {};
  for (const [name, { S, N }] of Object.entries(item)) {
    if (S !== undefined) plain[name] = S;
    else if (N !== undefined) plain[name] = Number(N);
  }
  return plain;
}

/** A table item as plain attributes. */

/**
 * Texts and numbers of an item; attributes of other types are left out, since no record of ours has any. Never throws,
 * whatever a node wrote: a number that JavaScript cannot hold exactly becomes the nearest one, which then fits no
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

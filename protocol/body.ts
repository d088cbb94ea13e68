/**
 * How a record travels in a table item: attribute `v` holds the protocol version, `body` the record as JSON text. What
 * comes back from a table is untrusted: bounded in size before it is parsed, then checked against its schema. Nothing
 * here throws on bad input.
 */
import * as v from 'valibot';

/** Written into every item. A reader ignores items of any other version. */
export const PROTOCOL_VERSION = 1;

/** Why an item was refused. Never carries the item's contents. */
export type Refusal = 'missing' | 'version' | 'size' | 'syntax' | 'schema';

export type Decoded<T> = { ok: true; value: T } | { ok: false; refusal: Refusal };

export interface Codec<T> {
  /** @throws Error when the value does not fit its own schema or bound: a bug of the writer. */
  encode(value: T): { v: number; body: string };
  decode(item: Record<string, unknown> | undefined): Decoded<T>;
}

/**
 * @param schema what the record must look like
 * @param maxBytes the most bytes of UTF-8 that a body may have
 */
export function codec<const S extends v.GenericSchema>(schema: S, maxBytes: number): Codec<v.InferOutput<S>> {
  return {
    encode(value) {
      const parsed = v.safeParse(schema, value);
      // Only where it does not fit: the schema library's own error repeats the value, which may hold a token, and
      // whoever catches it logs it.
      if (!parsed.success)
        throw new Error(
          'A record does not fit its schema at ' +
            `${parsed.issues.map((issue) => v.getDotPath(issue) ?? 'its top').join(', ')}.`,
        );
      const body = JSON.stringify(parsed.output);
      if (Buffer.byteLength(body) > maxBytes)
        throw new Error(`A record of ${Buffer.byteLength(body)} bytes exceeds its bound of ${maxBytes} bytes.`);
      return { v: PROTOCOL_VERSION, body };
    },
    decode(item) {
      if (item === undefined) return { ok: false, refusal: 'missing' };
      if (item.v !== PROTOCOL_VERSION) return { ok: false, refusal: 'version' };
      if (typeof item.body !== 'string' || item.body.length > maxBytes || Buffer.byteLength(item.body) > maxBytes)
        return { ok: false, refusal: 'size' };
      let parsed: unknown;
      try {
        parsed = JSON.parse(item.body);
      } catch {
        return { ok: false, refusal: 'syntax' };
      }
      // The first flaw is enough: the list of all of them could be far larger than the record.
      const result = v.safeParse(schema, parsed, { abortEarly: true });
      return result.success ? { ok: true, value: result.output } : { ok: false, refusal: 'schema' };
    },
  };
}

/** Building blocks shared by the schemas. */
export const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
export const nonNegativeInteger = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const instanceIdSchema = v.pipe(v.string(), v.regex(/^i-[0-9a-f]{8,17}$/));
export const ipv4Schema = v.pipe(v.string(), v.ipv4());
/** Identifiers that Swarm makes: 25 characters of base 36. */
export const swarmIdSchema = v.pipe(v.string(), v.regex(/^[0-9a-z]{25}$/));
/**
 * `SWMTKN-1-<digest>-<secret>`, or `SWMTKN-2-<whether FIPS is mandatory>-<digest>-<secret>`:
 * https://github.com/moby/swarmkit/blob/master/ca/config.go
 */
export const joinTokenSchema = v.pipe(v.string(), v.regex(/^SWMTKN-(1|2-[01])-[0-9a-z]{20,64}-[0-9a-z]{10,64}$/));
export const nodeRoleSchema = v.picklist(['manager', 'worker']);
export type NodeRole = v.InferOutput<typeof nodeRoleSchema>;

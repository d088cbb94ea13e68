/**
 * The REST protocol of S3 for GetObject and HeadObject: bucket and key come from the path or the host name, parameters
 * and results from the bindings of the SDK's schemas.
 * Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html ,
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { NormalizedSchema } from '@smithy/core/schema';
import { members, mismatch, requireScalar, unknownMember, type Place } from './scalars';

export interface S3Request {
  method: string;
  url: URL;
  headers: IncomingHttpHeaders;
}

/** @throws Error for anything except reading one object */
export function s3Action({ method, url, headers }: S3Request): string {
  const [, key] = bucketAndKey(url, headers.host ?? '');
  const action = { GET: 'GetObject', HEAD: 'HeadObject' }[method];
  if (!action || key === '' || (url.searchParams.get('x-id') ?? action) !== action) {
    throw new Error(
      `The emulated S3 only knows GetObject and HeadObject, and was asked to ${method} ${url.pathname}${url.search}.`,
    );
  }
  return action;
}

export function decodeS3(schema: NormalizedSchema, { url, headers }: S3Request, place: Place): Record<string, unknown> {
  const [bucket, key] = bucketAndKey(url, headers.host ?? '');
  const input: Record<string, unknown> = { Bucket: bucket, Key: key };
  const known = new Set(['x-id']);
  for (const [name, member] of members(schema)) {
    const { httpQuery, httpHeader } = member.getMergedTraits();
    if (httpQuery) known.add(httpQuery as string);
    const given = httpQuery
      ? url.searchParams.get(httpQuery as string)
      : httpHeader
        ? headers[String(httpHeader).toLowerCase()]
        : undefined;
    if (typeof given === 'string') input[name] = member.isNumericSchema() ? Number(given) : given;
  }
  for (const name of url.searchParams.keys()) if (!known.has(name)) throw unknownMember(place, name);
  return input;
}

/** The output's `Body` may be bytes or a string. */
export function encodeS3(
  schema: NormalizedSchema,
  output: Record<string, unknown>,
  place: Place,
): { headers: Record<string, string>; body: Uint8Array } {
  const known = members(schema);
  const headers: Record<string, string> = {};
  let body: Uint8Array = Buffer.alloc(0);
  for (const [name, value] of Object.entries(output)) {
    if (value === undefined) continue;
    const member = known.get(name);
    if (!member) throw unknownMember(place, name);
    const { httpHeader, httpPayload } = member.getMergedTraits();
    if (httpPayload) body = typeof value === 'string' ? Buffer.from(value) : requireBytes(value, `${place}.${name}`);
    else if (!httpHeader || member.isTimestampSchema())
      throw new Error(`The emulated S3 does not write ${place}.${name}.`);
    else headers[String(httpHeader).toLowerCase()] = String(requireScalar(member, `${place}.${name}`, value));
  }
  return { headers, body };
}

function requireBytes(value: unknown, place: Place): Uint8Array {
  if (!(value instanceof Uint8Array)) throw mismatch(place, 'bytes or a text', value);
  return value;
}

/** `https://bucket.host/key`, or `https://host/bucket/key`. */
function bucketAndKey(url: URL, host: string): [string, string] {
  const path = decodeURIComponent(url.pathname.slice(1));
  const named = /^(?<bucket>.+)\.(?:s3[.-][^:]*amazonaws\.com|localhost)(?::\d+)?$/.exec(host)?.groups?.bucket;
  if (named) return [named, path];
  const slash = path.indexOf('/');
  return slash < 0 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)];
}

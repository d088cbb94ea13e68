/**
 * AWS JSON 1.0 and 1.1, the protocols of DynamoDB, SQS, EventBridge and CloudWatch Logs: converts between JSON and the
 * SDK's shapes by the SDK's schemas.
 * Source: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
 */
import type { NormalizedSchema } from '@smithy/core/schema';
import { AwsError } from '../core/types';
import { members, requireList, requireObject, requireScalar, unknownMember, type Place } from './scalars';

export function decodeJson(schema: NormalizedSchema, body: string, place: Place): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body === '' ? '{}' : body);
  } catch {
    throw new AwsError('SerializationException', 'The body of the request is not JSON.');
  }
  return read(schema, parsed, place) as Record<string, unknown>;
}

export function encodeJson(
  schema: NormalizedSchema,
  output: Record<string, unknown>,
  place: Place,
): Record<string, unknown> {
  return write(schema, output, place) as Record<string, unknown>;
}

function read(schema: NormalizedSchema, value: unknown, place: Place): unknown {
  return walk(schema, value, place, read, (given) => {
    if (schema.isBlobSchema()) return typeof given === 'string' ? Uint8Array.from(Buffer.from(given, 'base64')) : given;
    if (schema.isTimestampSchema())
      throw new Error(`${place} is a timestamp, which the emulation cannot read from JSON.`);
    return given;
  });
}

function write(schema: NormalizedSchema, value: unknown, place: Place): unknown {
  return walk(schema, value, place, write, (given) => {
    if (schema.isTimestampSchema())
      throw new Error(`${place} is a timestamp, which the emulation cannot write to JSON.`);
    const scalar = requireScalar(schema, place, given);
    return scalar instanceof Uint8Array ? Buffer.from(scalar).toString('base64') : scalar;
  });
}

type Step = (schema: NormalizedSchema, value: unknown, place: Place) => unknown;

function walk(
  schema: NormalizedSchema,
  value: unknown,
  place: Place,
  step: Step,
  scalar: (value: unknown) => unknown,
): unknown {
  if (schema.isUnitSchema()) return {};
  if (schema.isStructSchema()) {
    const known = members(schema);
    const result: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(requireObject(place, value))) {
      if (member === undefined || member === null) continue;
      const memberSchema = known.get(name);
      if (!memberSchema) throw unknownMember(place, name);
      result[name] = step(memberSchema, member, `${place}.${name}`);
    }
    return result;
  }
  if (schema.isListSchema()) {
    const memberSchema = schema.getValueSchema();
    return requireList(place, value).map((member) => step(memberSchema, member, place));
  }
  if (schema.isMapSchema()) {
    const valueSchema = schema.getValueSchema();
    const result: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(requireObject(place, value))) {
      if (member !== undefined) result[name] = step(valueSchema, member, `${place}.${name}`);
    }
    return result;
  }
  return scalar(value);
}

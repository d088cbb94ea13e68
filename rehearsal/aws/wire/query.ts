/**
 * AWS query and EC2 query requests, the protocols of EC2, Auto Scaling, Elastic Load Balancing, CloudFormation and STS:
 * reads form fields such as `Filter.1.Value.2` by the SDK's schemas.
 * Sources: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html ,
 * https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
 */
import type { NormalizedSchema } from '@smithy/core/schema';
import { AwsError } from '../core/types';
import { members, unknownMember, type Place } from './scalars';

/** A form field, or the fields below a name. */
type Field = string | Map<string, Field>;

/** @param fields without `Action` and `Version` */
export function decodeQuery(
  schema: NormalizedSchema,
  fields: Iterable<[string, string]>,
  ec2: boolean,
  place: Place,
): Record<string, unknown> {
  const root = new Map<string, Field>();
  for (const [key, value] of fields) {
    const steps = key.split('.');
    let at = root;
    for (const step of steps.slice(0, -1)) {
      let below = at.get(step);
      if (!(below instanceof Map)) at.set(step, (below = new Map()));
      at = below;
    }
    at.set(steps.at(-1)!, value);
  }
  return read(schema, root, ec2, place) as Record<string, unknown>;
}

function read(schema: NormalizedSchema, field: Field, ec2: boolean, place: Place): unknown {
  if (schema.isUnitSchema() || schema.isStructSchema()) {
    const byWireName = new Map(
      [...members(schema)].map(([name, member]) => [wireName(name, member, ec2), { name, member }]),
    );
    const result: Record<string, unknown> = {};
    for (const [key, below] of asMap(field, place)) {
      const known = byWireName.get(key);
      if (!known) throw unknownMember(place, key);
      result[known.name] = read(known.member, below, ec2, `${place}.${known.name}`);
    }
    return result;
  }
  if (schema.isListSchema()) {
    // An empty list is one empty field.
    if (field === '') return [];
    const member = schema.getValueSchema();
    const flat = ec2 || schema.getMergedTraits().xmlFlattened;
    const wrapper = (member.getMergedTraits().xmlName as string | undefined) ?? 'member';
    return inOrder(flat ? field : below(field, wrapper, place), place).map((each) => read(member, each, ec2, place));
  }
  if (schema.isMapSchema()) {
    const flat = schema.getMergedTraits().xmlFlattened;
    const [key, value] = [schema.getKeySchema(), schema.getValueSchema()];
    const [keyName, valueName] = [
      (key.getMergedTraits().xmlName as string) ?? 'key',
      (value.getMergedTraits().xmlName as string) ?? 'value',
    ];
    const entries = inOrder(flat ? field : below(field, 'entry', place), place);
    return Object.fromEntries(
      entries.map((entry) => [below(entry, keyName, place), read(value, below(entry, valueName, place), ec2, place)]),
    );
  }
  if (typeof field !== 'string') throw malformed(place);
  if (schema.isBooleanSchema()) {
    if (field !== 'true' && field !== 'false') throw malformed(place);
    return field === 'true';
  }
  if (schema.isNumericSchema()) {
    if (field === '' || !Number.isFinite(Number(field))) throw malformed(place);
    return Number(field);
  }
  if (schema.isBlobSchema()) return Uint8Array.from(Buffer.from(field, 'base64'));
  return field;
}

function wireName(name: string, member: NormalizedSchema, ec2: boolean): string {
  const traits = member.getMergedTraits();
  if (!ec2) return (traits.xmlName as string | undefined) ?? name;
  if (traits.ec2QueryName) return traits.ec2QueryName as string;
  const xmlName = (traits.xmlName as string | undefined) ?? name;
  return xmlName[0]!.toUpperCase() + xmlName.slice(1);
}

/** The members `1`, `2`, ... in numeric order, whatever their order in the form. */
function inOrder(field: Field, place: Place): Field[] {
  const entries = [...asMap(field, place)];
  if (entries.some(([index]) => !/^[1-9]\d*$/.test(index))) throw malformed(place);
  return entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, each]) => each);
}

function below(field: Field, name: string, place: Place): Field {
  const found = asMap(field, place).get(name);
  if (found === undefined) throw malformed(place);
  return found;
}

function asMap(field: Field, place: Place): Map<string, Field> {
  if (typeof field === 'string') throw malformed(place);
  return field;
}

function malformed(place: Place): AwsError {
  return new AwsError('MalformedInput', `The form fields of ${place} cannot be read.`);
}
